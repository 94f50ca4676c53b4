"""The zoo: small trainings with a known diagnosis, on which thresholds are fixed and rules are measured."""
