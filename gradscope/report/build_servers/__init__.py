"""Findings in the forms that build servers read."""
