"""Does a case deserve its label? Its symptoms are confirmed, or its health, on the measurement alone.

`python tests/zoo/confirm.py DIR [DIR ...]` reads what `record.py` wrote, one directory a seed, prints what is not
confirmed and writes all claims, with the numbers that bear them out, to ``confirmed.csv``. Of a case that no directory
holds, the rows stay as they were.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from zoo.case import Case
from zoo.criteria import CRITERIA, MODEL, Evidence, dead_shares, stuck
from zoo.measurement import Measurement, load


@dataclass(frozen=True)
class Confirmation:
    """One claim and what the measurement says of it.

    Attributes:
        claim: The rule id claimed; for a healthy case ``learns`` or ``no …`` for a gross fault that must be absent.
        confirmed: Whether it holds at every layer claimed.
        layers: Where the symptom was seen, the claimed layers and others.
        numbers: What shows it, by layer; the key is empty for the whole model.
        missing: Claimed layers at which it was not seen.
    """

    claim: str
    confirmed: bool
    layers: tuple[str, ...]
    numbers: Evidence
    missing: tuple[str, ...] = ()


def confirm(case: Case, measurement: Measurement) -> list[Confirmation]:
    """Return one confirmation a claimed symptom, or five for a healthy case."""
    with np.errstate(all="ignore"):  # a broken training has infinite losses and gradients
        if case.healthy:
            return _healthy(case, measurement)
        return [_symptom(rule, layers, measurement) for rule, layers in case.symptoms.items()]


def _symptom(rule: str, claimed: tuple[str, ...], m: Measurement) -> Confirmation:
    found = CRITERIA[rule](m) if rule in CRITERIA else {}
    missing = tuple(layer for layer in claimed if layer not in found)
    seen = tuple(layer for layer in found if layer != MODEL)
    return Confirmation(rule, bool(found) and not missing, seen, found, missing)


def _healthy(case: Case, m: Measurement) -> list[Confirmation]:
    losses = m.epoch_losses()
    last = float(losses[-1]) if len(losses) else math.nan
    learnt = case.learns is not None and last <= case.learns
    broken = CRITERIA["nan_or_inf"](m) if _weights_broken(m) or not math.isfinite(last) else {}
    hidden = {layer.key for layer in m.layers if not layer.is_output}
    dead = {key: share for key, share in dead_shares(m).items() if share >= 0.25 and key in hidden}
    lost = _first_to_last(m)
    still = CRITERIA["unchanged_weights"](m)
    return [
        Confirmation("learns", learnt, (), {MODEL: last}),
        _absent("no NaN", broken),
        _absent("no layer a quarter dead", dead),
        _absent("no vanished gradient", {MODEL: lost} if lost < 1e-3 and stuck(m) else {}),
        _absent("no unchanged kernel", still),
    ]


def _absent(claim: str, found: Evidence) -> Confirmation:
    return Confirmation(claim, not found, tuple(layer for layer in found if layer != MODEL), found)


def _weights_broken(m: Measurement) -> bool:
    # a step that loss scaling skips has gradients that are no numbers, and does no harm
    return bool(np.nansum(m.by_variable["weight_nonfinite"]) > 0)


def _first_to_last(m: Measurement) -> float:
    """Return the first kernel's gradient RMS over the last one's, in the median of the later samples."""
    kernels = [number for number, variable in enumerate(m.variables) if variable.role == "kernel"]
    if len(kernels) < 2:
        return math.nan
    rms = m.by_variable["gradient_rms"][len(m.step) // 2 :]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = rms[:, kernels[0]] / rms[:, kernels[-1]]
    known = ratio[np.isfinite(ratio)]
    return float(np.median(known)) if len(known) else math.nan


def main(directories: list[Path]) -> int:
    """Write `confirmed.csv` and return 1 if a claim is not confirmed with every seed."""
    from zoo.cases import all_cases  # it loads Keras

    table = Path(__file__).parent / "confirmed.csv"
    with table.open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    rows: list[Mapping[str, object]] = []
    for case in all_cases():
        measured = [load(place) for d in directories if (place := d / case.name / "measurement.npz").is_file()]
        if not measured:
            print(f"  {case.name} was not recorded")
            rows += [row for row in known if row["case"] == case.name]
            continue
        by_claim = zip(*(confirm(case, measurement) for measurement in measured), strict=True)
        for each in by_claim:
            numbers = [number for one in each for number in one.numbers.values()]
            rows.append(
                {
                    "case": case.name,
                    "claim": each[0].claim,
                    "layers": " ".join(case.symptoms.get(each[0].claim, ())),
                    "confirmed": sum(one.confirmed for one in each),
                    "seeds": len(each),
                    "smallest": f"{np.nanmin(numbers):.4g}" if numbers else "",
                    "largest": f"{np.nanmax(numbers):.4g}" if numbers else "",
                }
            )
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    missing = [row for row in rows if str(row["confirmed"]) != str(row["seeds"])]
    print(f"{len(rows) - len(missing)} of {len(rows)} claims are confirmed with every seed.")
    for row in missing:
        print(f"  {row['case']}: {row['claim']} with {row['confirmed']} of {row['seeds']} seeds")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
