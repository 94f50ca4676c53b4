"""Several runs, a line each."""
