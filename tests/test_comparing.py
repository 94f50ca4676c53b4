"""``gradscope.compare``, as a person calls it."""

import gc
import shutil
import subprocess
import sys
import types
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import healthy, sick, write
from sweeps import many, run

import gradscope
from gradscope import ArgumentError, Comparison, RunNotFoundError, compare, load, load_runs
from gradscope.run import Run
from gradscope.store.read import frames_of


def test_one_run_alone_is_told_to_need_another() -> None:
    alone = Run(frames_of(healthy()), name="alone")
    with pytest.raises(ArgumentError, match=r"Pass several: compare\(\[run, other\]\)"):
        compare(alone)  # pyright: ignore[reportArgumentType]


def test_compare_is_a_function_whatever_was_imported_before() -> None:
    program = """if True:
        import gradscope.comparing, gradscope.cli.compare, gradscope.cli.main, gradscope
        import gradscope.report.values.comparison
        assert callable(gradscope.compare), gradscope.compare
        assert not {"keras", "tensorflow"} & set(__import__("sys").modules)
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert isinstance(gradscope.compare, types.FunctionType)


def test_runs_below_a_directory_are_compared_with_the_first_or_the_one_named(tmp_path: Path) -> None:
    write(tmp_path / "a", healthy())
    write(tmp_path / "b", sick())
    runs = load_runs(tmp_path)
    comparison = runs.compare()
    assert isinstance(comparison, Comparison)
    assert (comparison.reference.name, comparison.others[0].name) == ("a", "b")
    assert "vanishing_gradient@dense" in [change.finding.key for change in comparison.gained("high")]
    assert runs.compare("b").reference.name == "b"
    assert [change.kind for change in runs.compare("b").finding_changes] == ["lost"] * len(comparison.gained())
    assert repr(compare(runs)) == repr(comparison)


def test_runs_may_come_one_after_another_and_names_that_are_given_twice_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "mlp", healthy())
    comparison = compare(load(path) for _ in range(3))
    assert [side.name for side in comparison.sides] == ["mlp", "mlp (2)", "mlp (3)"]
    assert not comparison.frame["notable"].any()
    assert {change.run for change in comparison.changes} == {"mlp (2)", "mlp (3)"}


def test_limits_are_passed_on() -> None:
    runs = many(2)
    assert not compare(runs).frame["notable"].any()
    assert compare(runs, ratio=1.05).frame["notable"].any()
    assert compare(runs, ratio=1.05).ratio == 1.05


def test_parameters_are_among_what_differs() -> None:
    comparison = compare([run(healthy(), "a", lr=0.1), run(healthy(), "b", lr=0.2)])
    assert [(each.name, each.values) for each in comparison.differences] == [("params.lr", (0.1, 0.2))]


def test_one_run_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="two runs or more, and only 'a' was given"):
        compare([run(healthy(), "a")])


def test_the_tables_of_a_run_on_a_disk_are_let_go_when_the_next_one_comes_and_read_again_for_a_page(
    tmp_path: Path,
) -> None:
    alive: list[int] = []
    frames: list[weakref.ref[object]] = []

    def runs() -> Iterator[Run]:
        for name in ("a", "b", "c"):
            made = load(write(tmp_path / name, healthy()))
            frames.append(weakref.ref(made.frames.activations))
            yield made
            del made
            gc.collect()
            alive.append(sum(frame() is not None for frame in frames))

    comparison = compare(runs())
    assert max(alive) <= 1
    assert "figure-pair" in comparison.report(tmp_path / "out.html").read_text(encoding="utf-8")


def test_runs_that_lie_nowhere_make_a_page_too(tmp_path: Path) -> None:
    comparison = compare([run(healthy(), "a"), run(sick(), "b")])
    assert "figure-pair" in comparison.report(tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_run_that_was_moved_away_since_is_named(tmp_path: Path) -> None:
    comparison = compare([load(write(tmp_path / name, healthy())) for name in ("a", "b")])
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(RunNotFoundError, match="b"):
        comparison.report(tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()
