"""What an activation function is to gradscope: where it loses its slope.

Keras' own functions have exact profiles (`known_profile`); any other is probed by its value and slope (`probe`).
"""

from gradscope.activations.known import NOT_ELEMENTWISE, known_profile
from gradscope.activations.probe import SLOPE_FLOOR, Evaluate, probe

__all__ = ["NOT_ELEMENTWISE", "SLOPE_FLOOR", "Evaluate", "known_profile", "probe"]
