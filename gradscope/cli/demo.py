"""``gradscope demo``: a sick and a healthy network, trained and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from gradscope.errors import GradscopeError

_NEEDED: Final = ("keras", "tensorflow", "sklearn")


def demo(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Keep the logs here, for TensorBoard and `gradscope summary`."),
    ] = None,
) -> None:
    """Train a sick and a healthy network and compare them.

    Both read scanned digits and have the same depth and width; only activation and
    initialiser differ.
    It takes under a minute and needs TensorFlow.

    \b
    Examples:
      gradscope demo
      gradscope demo --dir logs
    """
    try:
        from gradscope.demo import demo as train_both  # loads Keras and TensorFlow

        train_both(directory)
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        message = f"The demo needs {error.name}: pip install 'keras-gradscope[tensorflow,demo]'"
        raise GradscopeError(message) from None
