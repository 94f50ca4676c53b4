"""What a run looks like to a person: the summary table, in the terminal and in a notebook."""
