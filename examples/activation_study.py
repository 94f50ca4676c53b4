"""Measure what people say about activation functions. Run: python examples/activation_study.py [--quick]."""

import argparse
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pandas as pd
from activation_study import tables
from activation_study.claims import (
    blow_up,
    dead_units,
    fewer_steps,
    gradient_loss,
    linear_stack,
    step_blocks,
    zero_centred,
)
from activation_study.measurements import high_rates, linear_depth, signal_at_start, step_training, steps_to_loss
from activation_study.page import page
from activation_study.training import digits
from rich.console import Console

MEASUREMENTS: Final = {
    "signal_at_start": signal_at_start,
    "high_rates": high_rates,
    "steps_to_loss": steps_to_loss,
    "linear_depth": linear_depth,
    "step_training": step_training,
}
CLAIMS: Final = (gradient_loss, zero_centred, fewer_steps, dead_units, blow_up, linear_stack, step_blocks)

PAGE: Final = "activation_study.html"
HOW: Final = "how.txt"


def main() -> None:
    arguments = parsed()
    out: Path = arguments.out
    if not arguments.judge_again:
        measure(out, quick=arguments.quick)
    measured = {
        name: pd.read_csv(out / f"{name}.csv", keep_default_na=False, na_values=["nan"]) for name in MEASUREMENTS
    }
    how = (out / HOW).read_text(encoding="utf-8").splitlines()
    claims = [claim for module in CLAIMS for claim in module.claims(measured)]
    (out / PAGE).write_text(page(claims, how), encoding="utf-8")
    (out / "verdicts.json").write_text(tables.verdicts_json(claims), encoding="utf-8")
    if arguments.markdown:
        arguments.markdown.write_text(tables.markdown(claims, how), encoding="utf-8")
    tables.print_verdicts(claims, Console())
    print(f"Page and numbers: {out / PAGE}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short trainings, to see how it works")
    parser.add_argument("--out", type=Path, default=Path("logs/activation_study"), help="folder of page and numbers")
    parser.add_argument("--markdown", type=Path, help="file to write the verdicts to as Markdown")
    parser.add_argument("--judge-again", action="store_true", help="train nothing; judge the numbers that lie in --out")
    return parser.parse_args()


def measure(out: Path, *, quick: bool) -> None:
    """Write the table of each measurement into ``out``, and a file of sentences on how they were made."""
    out.mkdir(parents=True, exist_ok=True)
    data = digits()
    seeds: list[str] = []
    for name, module in MEASUREMENTS.items():
        print(f"{name} ...", end=" ", flush=True)
        frame = module.measure(data, module.QUICK if quick else module.FULL)
        frame.to_csv(out / f"{name}.csv", index=False, na_rep="nan")
        seeds.append(f"{name} {', '.join(map(str, sorted(frame['seed'].unique())))}")
        print(f"{len(frame)} networks, {time.process_time():.0f} s of processor time so far")
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("keras", "tensorflow", "scikit-learn", "keras-gradscope")
    )
    command = f"python examples/activation_study.py{' --quick' if quick else ''}"
    how = (
        f"Command: {command} ({time.process_time() / 60:.0f} min of processor time).",
        f"Seeds: {'; '.join(seeds)}. Those from 100 on only chose learning rates.",
        f"Versions: {versions}.",
        "Criteria were fixed before the full run, though after pilot trainings that settled rates and lengths.",
        (
            "Numbers are medians over seeds, with the smallest and the largest in brackets; with ratios and gains, the "
            "brackets hold the 95% bootstrap interval."
        ),
        *(["This was the quick form, which shows how the study works. Its verdicts mean nothing."] if quick else []),
    )
    (out / HOW).write_text("\n".join(how) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
