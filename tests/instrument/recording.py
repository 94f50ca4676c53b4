"""Short trainings with the callback, recorded at every step and kept in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import gradscope


def recorded(model: Any, x: Any, y: Any = None, **fit: Any) -> gradscope.Run:
    """Train in the order of the data, by default one epoch, and return the run."""
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(x, y, **{"verbose": 0, "shuffle": False, "callbacks": [scope], **fit})
    assert len(scope.run.steps), scope.run.not_measured
    return scope.run


def at(frame: pd.DataFrame, step: int = 0) -> pd.DataFrame:
    """Return the rows of one step."""
    return frame[frame["step"] == step]


def site(run: gradscope.Run, key: str, step: int = 0) -> pd.Series:
    """Return the row of one site at one step."""
    rows = at(run.activations, step)
    rows = rows[rows["site"] == key]
    assert len(rows) == 1, f"{len(rows)} rows of site {key!r}; sites: {at(run.activations, step)['site'].tolist()}"
    return rows.iloc[0]


def variable(run: gradscope.Run, path: str, step: int = 0) -> pd.Series:
    """Return the row of one variable at one step."""
    rows = at(run.gradients, step)
    return rows[rows["variable"] == path].iloc[0]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Return normal numbers of a shape, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
