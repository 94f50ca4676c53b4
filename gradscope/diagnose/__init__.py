"""From the frames of a run to findings: what is wrong, where, since when, and what to try."""
