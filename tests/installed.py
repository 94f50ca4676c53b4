"""Rules as another package brings them: an entry point of the group ``gradscope.rules``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gradscope.diagnose.discover import GROUP, known_rules


@contextmanager
def installed_rule(name: str, source: str, folder: Path) -> Iterator[None]:
    """Install the module of ``source``, which has a rule of this name, for as long as the context lasts."""
    (folder / f"{name}_module.py").write_text(textwrap.dedent(source), encoding="utf-8")
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}_module:{name}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        known_rules.cache_clear()
        try:
            yield
        finally:
            sys.modules.pop(f"{name}_module", None)
            known_rules.cache_clear()
