"""Looking at a training while it runs: from inside it, and from the files that it writes."""
