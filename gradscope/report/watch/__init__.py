"""A run that is still being recorded, on one screen."""
