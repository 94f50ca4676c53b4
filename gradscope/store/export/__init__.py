"""Exports: Parquet, CSV and JSON of every table of a run."""
