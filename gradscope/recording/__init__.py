"""The host's side of a recorded training: when to record, what it costs, and records made of what was measured."""
