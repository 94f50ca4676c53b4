"""What is wrong with data, loss and output, as the first batch of a training shows it."""

from __future__ import annotations

import time
from typing import Any

from gradscope._version import __version__
from gradscope.diagnose.discover import known_checks
from gradscope.inspection.description import described
from gradscope.network import Network
from gradscope.records import BatchChecks, NetworkChange, StepRecord
from gradscope.store.frames import frames_of


def checks_of(model: Any, batch: Any, network: Network, record: StepRecord) -> BatchChecks | None:
    """Return what `gradscope.preflight` would say of a batch that a training has just seen; None for nothing.

    Args:
        model: The Keras model.
        batch: What its step was given.
        network: What is trained.
        record: Of that step.
    """
    now = time.time()
    subject = described(model, batch, network, frames_of([NetworkChange(record.step, now, network), record]))
    found = [finding.to_json() for check in known_checks().values() for finding in check(subject)]
    return BatchChecks(record.step, now, __version__, tuple(found)) if found else None
