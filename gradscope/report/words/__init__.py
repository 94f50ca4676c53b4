"""The words of a report, the same in every medium."""
