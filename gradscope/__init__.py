"""See inside a neural network while it trains: saturation, dead units and gradients of every layer.

Importing gradscope loads neither a framework nor pandas: each name is resolved when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from gradscope._version import __version__
from gradscope.errors import (
    ArgumentError,
    CheckFailedError,
    GradscopeError,
    MissingTableError,
    ModelError,
    RunFormatError,
    RunNotFoundError,
    ShapeError,
    WriterError,
)

if TYPE_CHECKING:
    from gradscope.callback import GradScope
    from gradscope.comparing import compare
    from gradscope.diagnose.finding import Advice, Evidence, Finding
    from gradscope.diagnose.rule import rule
    from gradscope.diagnose.verdict import Verdict
    from gradscope.inspection.preflight import Preflight, preflight
    from gradscope.inspection.reproduce import reproduce
    from gradscope.recording.schedule import budget, early, every
    from gradscope.records import NonFiniteOrigin
    from gradscope.report import figures
    from gradscope.report.values.comparison import Comparison
    from gradscope.report.values.findings import Findings
    from gradscope.report.values.runs_table import Sweep
    from gradscope.report.values.summary import Summary
    from gradscope.run import Run, load
    from gradscope.runs import Runs, load_runs
    from gradscope.store.bad_batch import BadBatch

__all__ = [
    "Advice",
    "ArgumentError",
    "BadBatch",
    "CheckFailedError",
    "Comparison",
    "Evidence",
    "Finding",
    "Findings",
    "GradScope",
    "GradscopeError",
    "MissingTableError",
    "ModelError",
    "NonFiniteOrigin",
    "Preflight",
    "Run",
    "RunFormatError",
    "RunNotFoundError",
    "Runs",
    "ShapeError",
    "Summary",
    "Sweep",
    "Verdict",
    "WriterError",
    "__version__",
    "budget",
    "compare",
    "early",
    "every",
    "figures",
    "load",
    "load_runs",
    "preflight",
    "reproduce",
    "rule",
]

_HOMES: Final = {
    "Advice": "gradscope.diagnose.finding",
    "BadBatch": "gradscope.store.bad_batch",
    "Comparison": "gradscope.report.values.comparison",
    "Evidence": "gradscope.diagnose.finding",
    "Finding": "gradscope.diagnose.finding",
    "Findings": "gradscope.report.values.findings",
    "GradScope": "gradscope.callback",
    "NonFiniteOrigin": "gradscope.records",
    "Preflight": "gradscope.inspection.preflight",
    "Run": "gradscope.run",
    "Runs": "gradscope.runs",
    "Summary": "gradscope.report.values.summary",
    "Sweep": "gradscope.report.values.runs_table",
    "Verdict": "gradscope.diagnose.verdict",
    "budget": "gradscope.recording.schedule",
    "compare": "gradscope.comparing",
    "early": "gradscope.recording.schedule",
    "every": "gradscope.recording.schedule",
    "figures": "gradscope.report",
    "load": "gradscope.run",
    "load_runs": "gradscope.runs",
    "preflight": "gradscope.inspection.preflight",
    "reproduce": "gradscope.inspection.reproduce",
    "rule": "gradscope.diagnose.rule",
}


def __getattr__(name: str) -> Any:  # Any: the type checker knows each name from the imports above
    if name not in _HOMES:
        raise AttributeError(f"module 'gradscope' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    # A module, as figures is, is no attribute of its package before it is imported.
    value = getattr(home, name) if hasattr(home, name) else importlib.import_module(f"{home.__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__.copy()
