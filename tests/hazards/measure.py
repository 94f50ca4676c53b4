"""Is a training the same with GradScope and without? Run: python tests/hazards/measure.py [--only PATTERN] [--write].

Every row of the table is trained twice, in a process each: without the callback, and with it recording each step. Where
anything differs it is trained without once more, to see whether it is the same twice. Whatever else differs is a fault,
and so is a training that ends, or of which nothing is recorded nor said.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
sys.path.insert(0, str(Path(__file__).parents[1]))

from hazards import forks, tables
from hazards.outcome import Outcome
from hazards.program import Program
from hazards.rows import rows
from hazards.verdict import FAULTS, Verdict, same, verdict


def verdicts(
    programs: list[Program], *, jobs: int = 2, seconds: float = 240.0, told: Callable[[Program, Verdict], None]
) -> dict[Program, Verdict]:
    """Return the verdict on each program, and tell each as soon as it is known."""
    found: dict[Program, Verdict] = {}
    bare: dict[Program, list[Outcome]] = defaultdict(list)
    recorded: dict[Program, Outcome] = {}
    folder = Path(tempfile.mkdtemp())
    numbers = itertools.count()

    def trial(program: Program, *, records: bool) -> forks.Trial:
        return forks.Trial(program, records, folder / str(next(numbers)))

    def done(ended: forks.Trial, outcome: Outcome) -> None:
        program = ended.program
        shutil.rmtree(ended.folder, ignore_errors=True)
        if ended.recorded:
            recorded[program] = outcome
        else:
            bare[program].append(outcome)
        if program not in recorded or program not in bare:
            return
        if len(bare[program]) == 1 and not same(bare[program][0], recorded[program]):
            waiting.appendleft(trial(program, records=False))
            return
        found[program] = verdict(bare.pop(program), recorded.pop(program))
        told(program, found[program])

    waiting = deque(trial(program, records=records) for program in programs for records in (False, True))
    try:
        forks.run(waiting, seconds=seconds, jobs=jobs, done=done)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {program: found[program] for program in programs}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a regular expression that the name of a row has to match")
    parser.add_argument(
        "--write", action="store_true", help="keep the verdicts, and write the tables of all that are kept"
    )
    parser.add_argument("--rest", action="store_true", help="only rows of which no verdict is kept")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--seconds", type=float, default=240.0, help="limit of one training")
    parser.add_argument("--list", action="store_true", help="only name the rows")
    arguments = parser.parse_args()
    programs = [program for program in rows() if re.search(arguments.only, program.name)]
    if arguments.rest:
        programs = [program for program in programs if program not in tables.read()]
    if arguments.list:
        print("\n".join(program.name for program in programs))
        return 0
    begun = time.monotonic()

    def told(program: Program, verdict: Verdict) -> None:
        why = f" ({verdict.why})" if verdict.why else ""
        print(f"{verdict.kind:>9} {verdict.records}/{verdict.batches} {program.name}{why}", flush=True)
        if arguments.write:
            tables.keep({program: verdict})

    found = verdicts(programs, jobs=arguments.jobs, seconds=arguments.seconds, told=told)
    print(f"\n{len(found)} rows in {time.monotonic() - begun:.0f} s\n\n{tables.by_kind(found)}")
    return int(any(each.kind in FAULTS for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
