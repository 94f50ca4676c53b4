"""Records the zoo: trains each case once, under GradScope as users have it and beside it the slow measurement.

`python tests/zoo/record.py --seed 0 --out DIR` writes ``DIR/<case>/`` for each case: the recorded run, which
`gradscope.load` reads, and ``measurement.npz``. What an earlier recording left there is replaced.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.case import Case

TESTS = str(Path(__file__).resolve().parents[1])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

# Set before the workers start, as TensorFlow reads them once: two workers of one thread each disturb each other least.
WORKER_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}


@dataclass(frozen=True)
class Recording:
    """What became of one case.

    Attributes:
        name: The case.
        seconds: What it took: building, training, recording, measuring and writing.
        note: What the person should know although the case is recorded; empty if nothing.
        warnings: Texts of the warnings raised, each once.
        error: The traceback of what kept it from being recorded; empty if it is.
    """

    name: str
    seconds: float
    note: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""


def record(name: str, seed: int, out: Path) -> Recording:
    """Train the case of this name and write its run and its measurement into a folder of its own."""
    import keras

    from zoo.cases import all_cases

    (case,) = (each for each in all_cases() if each.name == name)
    begun = time.perf_counter()
    note = error = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            note = _trained(case, seed, _emptied(out / name))
        except Exception:
            error = traceback.format_exc()
        finally:
            keras.utils.clear_session()
            keras.config.set_dtype_policy("float32")
    texts = dict.fromkeys(f"{each.category.__name__}: {each.message}" for each in caught)
    return Recording(name, time.perf_counter() - begun, note, tuple(texts), error)


def _emptied(folder: Path) -> Path:
    """Return the folder without an earlier recording: a run that is there might be resumed."""
    shutil.rmtree(folder / "gradscope", ignore_errors=True)
    (folder / "measurement.npz").unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _trained(case: Case, seed: int, folder: Path) -> str:
    """Train and record; return what is to be noted. A training that raises is recorded up to there."""
    import keras

    import gradscope
    from zoo.measure import Measure

    keras.utils.set_random_seed(seed)
    training = case.build()
    fit = dict(training.fit)
    measure = Measure(fit)
    own = fit.pop("callbacks", [])
    scope = gradscope.GradScope(folder, quiet=True)
    note = ""
    try:
        history = training.model.fit(**fit, verbose=0, callbacks=[*own, scope, measure])
    except Exception as error:
        note = f"the training raised {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        scope._run.sink.close()  # as the end of the process would: Keras tells no callback that fit has raised
    else:
        losses = history.history.get("loss", [])  # a step of one's own may call it otherwise
        if case.learns is not None and losses and not losses[-1] <= case.learns:
            note = f"ended at a loss of {losses[-1]:.4g}, which is above the {case.learns:g} that its label asks for"
    measure.save(folder / "measurement.npz")
    gradscope.load(folder)  # what cannot be read is not recorded
    return note


def _names() -> list[str]:
    from zoo.cases import all_cases

    return [case.name for case in all_cases()]


def record_all(names: Sequence[str], seed: int, out: Path, processes: int) -> list[Recording]:
    """Record cases in as many processes, each of which loads TensorFlow once, and print a line for each."""
    recordings: list[Recording] = []
    os.environ.update(WORKER_ENVIRONMENT)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        # The pool lists the cases too, so that this process need not load TensorFlow.
        known = pool.submit(_names).result()
        unknown = set(names) - set(known)
        if unknown:
            raise SystemExit(f"--only names no case of the zoo: {', '.join(sorted(unknown))}.")
        tasks = [pool.submit(record, name, seed, out) for name in names or known]
        for number, task in enumerate(as_completed(tasks), 1):
            recording = task.result()
            recordings.append(recording)
            print(f"{number:3d}/{len(tasks)} {_line(recording)}", flush=True)
    return recordings


def _line(recording: Recording) -> str:
    verdict = "FAILED" if recording.error else recording.note
    line = f"{recording.name:42s} {recording.seconds:5.1f} s  {verdict}".rstrip()
    return "\n".join([line, *(f"        {text}" for text in recording.warnings)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the zoo; return 1 if a case could not be recorded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="Keras' seed, set before each case is built (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets one folder a case")
    parser.add_argument("--processes", type=int, default=2, help="trainings at a time (default 2)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="record these cases only")
    given = parser.parse_args(arguments)
    begun = time.perf_counter()
    recordings = record_all(given.only, given.seed, given.out, given.processes)
    failed = [recording for recording in recordings if recording.error]
    for recording in failed:
        print(f"\n{recording.name} was not recorded:\n{recording.error}")
    seconds = time.perf_counter() - begun
    print(f"\n{len(recordings) - len(failed)} of {len(recordings)} cases recorded in {seconds:.0f} s.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
