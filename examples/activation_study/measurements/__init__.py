"""What is measured: each module trains networks and returns one tidy table, one row a network.

Each has ``FULL`` and ``QUICK``, what to train for the study and for its test, and ``measure(data, plan)``.
"""
