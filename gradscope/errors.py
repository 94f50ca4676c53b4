"""The errors that gradscope raises on purpose.

Every one descends from `GradscopeError` and, where one fits, from a builtin, so that a caller may catch either.
Each message says what was received, why it cannot work and what to do.
"""


class GradscopeError(Exception):
    """The base of every error that gradscope raises on purpose."""


class ArgumentError(GradscopeError, ValueError):
    """An argument has a value that cannot work."""


class ShapeError(GradscopeError, ValueError):
    """An array has a shape that the statistic is not defined for."""


class ModelError(GradscopeError, ValueError):
    """The model cannot be recorded: it is not compiled, or its backend is not supported."""


class MovedNameError(GradscopeError, AttributeError):
    """A release of Keras or TensorFlow has moved something that is needed and that it never promised."""


class RunNotFoundError(GradscopeError, FileNotFoundError):
    """A path holds no recorded run."""


class RunFormatError(GradscopeError, ValueError):
    """A file is there, but it cannot be read as a recorded run: damaged, empty, or of a newer version."""


class MissingTableError(GradscopeError, KeyError):
    """A run holds no rows of the table that was asked for."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would print the repr, with its quotes


class WriterError(GradscopeError, OSError):
    """A run's directory cannot be written: it is a file, read-only, or in use by another training."""


class CheckFailedError(GradscopeError, AssertionError):
    """A run has findings that its check was told to fail on; the message names them."""
