"""What is claimed: each module has ``claims(measured)``, which judges the tables of the measurements, by their names.

Nothing is trained here, and no verdict is written down: each follows from the table by the criterion in the module.
"""
