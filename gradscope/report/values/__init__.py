"""What a report says, as values: a run in one table, many runs, a comparison."""
