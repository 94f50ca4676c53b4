"""How names read: on one line, control characters visible, the middle left out where they are long."""

from __future__ import annotations

from pathlib import Path

from rich.cells import cell_len


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with line breaks and control characters visible: names are data.

    Example:
        >>> print(printable("two\nlines \x1b[31mred"))
        two\nlines \x1b[31mred
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, cells: int) -> str:
    """Return ``text`` with its middle left out where it is wider than ``cells`` columns of a terminal.

    The end is kept longer than the beginning: names of layers differ there.

    Example:
        >>> shortened("encoder/block_12/attention/dense", 16)
        'encod…tion/dense'
    """
    text = printable(text)
    if cell_len(text) <= cells:
        return text
    tail = 2 * (cells - 1) // 3
    return _cut(text, cells - 1 - tail) + "…" + _cut(text[::-1], tail)[::-1]


def _cut(text: str, cells: int) -> str:
    while cell_len(text) > cells:
        text = text[:-1]
    return text


def quoted(path: Path) -> str:
    """Return ``path`` as one types it in a shell.

    Example:
        >>> quoted(Path("logs/mlp")), quoted(Path("my logs/mlp"))
        ('logs/mlp', '"my logs/mlp"')
    """
    return f'"{path}"' if " " in str(path) else str(path)
