"""The map of the package: which part may import which, what needs a framework, and what lies at the top.

`MAP` is data, to be read by a person who wants to know where something belongs, and to be changed with thought.
"""

import ast
import fnmatch
import graphlib
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import gradscope
from gradscope.network import Layer, Network, Site, Variable
from gradscope.records import Costs, EpochRecord, NetworkChange, Session, SessionEnd, StepRecord
from gradscope.report.values.shown import Shown
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS
from gradscope.store.event_sink import EventFileSink

ROOT = Path(__file__).parents[1]

# A module belongs to the longest name here that it begins with. It may import its own part, and these.
MAP: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "reasons": {"errors"},
    "schema": {"errors"},
    "nearest": set(),
    "lossless_json": set(),
    "network": {"lossless_json"},
    "records": {"network"},
    "statistics": {"errors"},
    "statistics.sums": {"network"},
    "activations": {"errors", "network"},
    "recording": {
        "errors", "instrument.observation", "network", "records", "schema", "statistics.sums", "store.sink",
    },
    "recording.arguments": {"errors", "nearest", "recording.schedule"},
    "recording.bad_batch_watch": {"store.bad_batch"},
    "recording.kept_batches": {"instrument.keras_border"},
    "recording.session": {
        "instrument.keras_border", "instrument.network_of", "instrument.optimizers", "network", "reasons", "records",
        "recording", "store.sink",
    },
    "recording.fit": {"network", "instrument.backend", "reasons", "records", "recording"},
    "recording.written_run": {"recording.copies", "store.bad_batch", "store.sink"},
    "store": {"_version", "errors", "lossless_json", "nearest", "schema", "network", "records"},
    "diagnose": {"errors", "lossless_json", "nearest", "reasons", "records", "schema", "network", "store"},
    "report.values": {"diagnose", "errors", "nearest", "network", "records", "schema", "store.read"},
    "report.words": {"diagnose", "nearest", "network", "records", "report.values", "schema"},
    "report.terminal": {"diagnose", "nearest", "network", "records", "report.values", "report.words", "schema"},
    "report.notebook": {"diagnose", "report.values", "report.words"},
    "report.build_servers": {"diagnose", "report.terminal", "report.values", "report.words"},
    "report.figures": {
        "diagnose", "errors", "nearest", "network", "records", "report.values", "report.words", "schema", "store.read",
    },
    "report.page": {
        "_version", "diagnose", "errors", "nearest", "network", "records", "report.figures", "report.values",
        "report.words", "schema", "store.read",
    },
    "report": set(),
    "watching": set(),
    "watching.window": {"records"},
    "watching.live": {
        "_version", "diagnose", "errors", "reasons", "records", "report", "store.read", "watching.window",
    },
    "watching.following": {"diagnose", "watching.window", "records", "report", "store"},
    "run": {"diagnose", "errors", "network", "records", "report", "store"},
    "comparing": {"errors", "report", "store.read"},
    "runs": {"comparing", "diagnose", "errors", "run", "report", "store"},
    "cli": {"_version", "comparing", "errors", "lossless_json", "nearest", "report", "run", "runs"},
    "__main__": {"cli"},
    "instrument.keras_border": {"errors", "reasons"},
    "instrument.optimizers": {"instrument.keras_border"},
    "instrument.network_of": {
        "_version", "activations", "errors", "instrument.keras_border", "instrument.optimizers", "nearest", "network",
    },
    "instrument": {
        "activations", "errors", "network", "reasons", "records", "schema", "statistics",
    },
    "instrument.tensorflow": {
        "activations", "errors", "instrument", "network", "reasons", "records", "schema", "statistics",
    },
    "callback": {"errors", "instrument.backend", "instrument.network_of", "recording"},
    "inspection": {
        "_version", "diagnose", "errors", "instrument.backend", "instrument.keras_border", "instrument.network_of",
        "instrument.optimizers", "instrument.python_state", "network", "recording.step_records", "records",
        "report.values", "store.bad_batch", "store.frames",
    },
    "demo": {"callback", "errors", "instrument.keras_border", "recording.schedule", "report", "run"},
    "testing": {"activations", "errors", "nearest", "schema", "network", "records", "store"},
}  # fmt: skip

# What a part may import besides, but only inside a function or for its types: not when the module loads.
LATE: dict[str, set[str]] = {
    "recording.arguments": {"diagnose", "watching.live"},
    "callback": {"diagnose.finding", "run", "watching.live"},
    "recording.fit": {"inspection.first_batch", "report.terminal.summary", "watching.live"},
    "recording.written_run": {"run", "store.event_sink", "store.read", "watching.live"},
    "cli": {"demo", "diagnose", "store", "watching"},
    "comparing": {"run"},
}  # fmt: skip

# The training half. All else is the analysis half, which runs where no framework is installed.
NEEDS_KERAS = {
    "callback", "demo", "inspection", "instrument", "instrument.keras_border", "instrument.network_of",
    "instrument.optimizers", "instrument.tensorflow", "recording.fit", "recording.kept_batches", "recording.session",
    "statistics",
}  # fmt: skip
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}

# Each is a folder of `instrument`, which nothing outside of it names. A demonstration has to choose one.
BACKENDS = {"tensorflow"}
CHOOSES_BACKEND = {"cli.demo", "demo"}

# The event file is read by TensorBoard's tab too, which starts without pandas.
NO_PANDAS = {"store", "store.events", "store.sink", "store.event_sink"}

# What TensorBoard's tab may import of gradscope.
DASHBOARD = {"lossless_json", "schema", "network", "records", "store.events", "store.layout"}

TOP_LEVEL = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "dashboards", "examples", "gradscope", "tests"}


@dataclass(frozen=True)
class Import:
    target: str  # with the leading "gradscope." left out
    late: bool  # inside a function or for the type checker only: not loaded with the module
    line: int


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """Return ``store.events`` for gradscope/store/events.py, ``store`` for gradscope/store/__init__.py."""
    parts = path.relative_to(ROOT / "gradscope").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES: dict[str, Path] = {module_name(path): path for path in python_files("gradscope")}
INNER = {name: path for name, path in MODULES.items() if name}  # the root, "", only names what there is


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        assert node.module is not None
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            is_module = submodule.removeprefix("gradscope.") in MODULES
            yield submodule if is_module else node.module


def imports(path: Path) -> list[Import]:
    top = tree(path)
    late = {inner for node in ast.walk(top) if is_late(node) for inner in ast.walk(node)}
    return [Import(name, node in late, node.lineno) for node in ast.walk(top) for name in imported_names(node)]


def is_late(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def inner_imports(path: Path) -> list[Import]:
    """Return what the module imports of gradscope itself; the root package is named ``""``."""
    return [
        Import(found.target.removeprefix("gradscope").removeprefix("."), found.late, found.line)
        for found in imports(path)
        if found.target.partition(".")[0] == "gradscope"
    ]


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(f"{part}.")


def part_of(module: str) -> str:
    return max((part for part in MAP if within(module, part)), key=len, default="")


def test_every_module_has_a_place_on_the_map() -> None:
    assert [module for module in INNER if not part_of(module)] == []


def test_what_the_map_names_exists() -> None:
    assert {*MAP, *LATE, *NEEDS_KERAS, *NO_PANDAS}.union(*MAP.values(), *LATE.values()) <= {*MODULES}


def test_the_map_has_no_circle() -> None:
    parts = {part: {part_of(target) for target in targets} for part, targets in MAP.items()}
    list(graphlib.TopologicalSorter(parts).static_order())  # raises CycleError, naming the circle


def test_modules_import_only_what_the_map_allows() -> None:
    refused: list[str] = []
    for module, path in INNER.items():
        part = part_of(module)
        always, late = {part, *MAP[part]}, LATE.get(part, set())
        for found in inner_imports(path):
            allowed = always | late if found.late else always
            if not any(within(found.target, target) for target in allowed):
                where = f"{path.relative_to(ROOT)}:{found.line}"
                refused.append(f"{where} imports gradscope.{found.target}, which {part!r} may not")
    assert refused == []


def test_no_two_files_import_each_other_late_imports_counted() -> None:
    files = {module: {found.target for found in inner_imports(path)} for module, path in INNER.items()}
    list(graphlib.TopologicalSorter(files).static_order())  # raises CycleError, naming the circle


def test_what_shows_a_value_is_there() -> None:
    public = [getattr(gradscope, name) for name in gradscope.__all__]
    shown = [value for value in public if inspect.isclass(value) and issubclass(value, Shown)]
    assert {value.__name__ for value in shown} >= {"Comparison", "Findings", "Summary", "Sweep"}
    for value in shown:
        names = [getattr(value, name, "") for name in ("TEXT", "HTML", "PAGE")]
        for module, _, function in (name.partition(":") for name in names if name):
            assert callable(getattr(importlib.import_module(module), function))


def test_the_root_package_loads_only_errors_and_the_version() -> None:
    for node in tree(MODULES[""]).body:
        names = {name for name in imported_names(node) if name.startswith("gradscope")}
        assert names <= {"gradscope.errors", "gradscope._version"}


def test_the_dashboard_sees_the_schema_and_the_events_only() -> None:
    seen = {found.target for path in python_files("dashboards") for found in inner_imports(path)}
    assert seen <= DASHBOARD


def test_only_the_training_half_imports_a_framework() -> None:
    analysis = [path for name, path in INNER.items() if part_of(name) not in NEEDS_KERAS]
    imported = {
        str(path.relative_to(ROOT)): found.target.partition(".")[0]
        for path in [MODULES[""], *analysis, *python_files("dashboards")]
        for found in imports(path)
        if found.target.partition(".")[0] in FRAMEWORKS
    }
    assert imported == {}


def test_nothing_but_its_own_folder_names_a_backend() -> None:
    named: list[str] = []
    for module, path in INNER.items():
        for backend in BACKENDS:
            if within(module, f"instrument.{backend}") or module in CHOOSES_BACKEND:
                continue
            folders = (backend, f"gradscope.instrument.{backend}")
            named += [f"{module} imports {each.target}" for each in imports(path) if each.target.startswith(folders)]
            words = (node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant))
            named += [f"{module} says {word!r}" for word in words if word == backend]
    assert named == []


# ---- What really gets loaded, in an interpreter of its own


def loaded_by(program: str, *arguments: str) -> set[str]:
    """Run a program in a new interpreter and return the top-level packages that it loaded."""
    report = "import json; print(); print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    finished = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\n{report}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert finished.returncode == 0, finished.stderr
    return set(json.loads(finished.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of one layer and two steps, written without a framework."""
    directory = tmp_path_factory.mktemp("run")
    network = Network(
        "mlp",
        layers=(Layer("dense", "mlp/dense", "Dense", 0, True, "float32"),),
        sites=(Site("dense", "dense", "tanh", None, 3),),
        variables=(Variable("mlp/dense/kernel", "dense", (2, 3), "kernel"),),
    )
    sink = EventFileSink(directory)
    sink.open()
    sink.write(Session(0, 1e9, resumed=False, fingerprint="f"))
    sink.write(NetworkChange(0, 1e9, network))
    for step in range(2):
        rows = [
            np.full(len(STEPS.statistics), 0.5, np.float32),
            np.full((1, len(ACTIVATIONS.statistics)), 0.25, np.float32),
            np.full((1, len(GRADIENTS.statistics)), 0.125, np.float32),
        ]
        sink.write(StepRecord(step, 0, 1e9 + step, *rows))
    sink.write(EpochRecord(1, 0, 1e9 + 2, {"loss": 0.5}, Costs()))
    sink.write(SessionEnd(1, 1e9 + 3, Costs()))
    sink.close()
    return str(directory)


def test_importing_gradscope_loads_neither_a_framework_nor_pandas() -> None:
    loaded = loaded_by("import gradscope")
    assert "gradscope" in loaded
    assert loaded.isdisjoint({*FRAMEWORKS, "pandas", "numpy", "rich", "typer", "tensorboard"})


def test_no_module_of_the_analysis_half_loads_a_framework() -> None:
    modules = [f"gradscope.{name}" for name in INNER if part_of(name) not in NEEDS_KERAS and name != "__main__"]
    loaded = loaded_by(f"import gradscope_dashboard, {', '.join(modules)}")
    assert loaded.isdisjoint(FRAMEWORKS)


@pytest.mark.parametrize("module", sorted(NO_PANDAS))
def test_writing_and_decoding_events_loads_no_pandas(module: str) -> None:
    assert "pandas" not in loaded_by(f"import gradscope.{module}")


def test_a_run_is_loaded_and_summed_up_without_a_framework(recorded: str) -> None:
    program = """
import gradscope
run = gradscope.load(sys.argv[1])
assert len(run.steps) == len(run.activations) == len(run.gradients) == 2
assert list(run.activations["mean"]) == [0.25, 0.25]
assert "dense" in str(run.summary())
assert list(gradscope.load_runs(sys.argv[1]))
"""
    assert loaded_by(program, recorded).isdisjoint(FRAMEWORKS)


def test_the_command_sums_a_run_up_without_a_framework(recorded: str) -> None:
    program = """
from gradscope.cli.main import main
assert main(["summary", sys.argv[1]]) == 0
"""
    assert loaded_by(program, recorded).isdisjoint(FRAMEWORKS)


# ---- The public surface


def test_all_lists_exactly_the_public_names_sorted() -> None:
    offered = {
        alias.asname or alias.name
        for node in ast.walk(tree(MODULES[""]))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradscope.")
        for alias in node.names
    }
    assert gradscope.__all__ == sorted(offered)


def test_public_names_resolve_are_listed_and_say_what_they_are() -> None:
    assert {*gradscope.__all__} <= {*dir(gradscope)}
    silent = [name for name in gradscope.__all__ if not inspect.getdoc(getattr(gradscope, name))]
    assert silent in ([], ["__version__"])


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gradscope.nonsense  # pyright: ignore


def test_what_packages_list_they_have() -> None:
    listing = [name for name, path in INNER.items() if "__all__" in path.read_text("utf-8")]
    packages = [importlib.import_module(f"gradscope.{name}") for name in listing]
    assert [name for package in packages for name in package.__all__ if not hasattr(package, name)] == []


# ---- Files


def test_modules_say_what_they_are_for() -> None:
    files = python_files("gradscope", "dashboards", "examples")
    assert [str(path) for path in files if not ast.get_docstring(tree(path))] == []


def test_files_are_named_after_what_is_inside() -> None:
    vague = {"base", "common", "core", "helper", "helpers", "misc", "tools", "util", "utils"}
    files = python_files("gradscope", "dashboards", "examples", "tests")
    assert [str(path) for path in files if {path.stem, path.parent.name} & vague] == []


def test_at_most_sixteen_modules_lie_at_the_top() -> None:
    assert len([*(ROOT / "gradscope").glob("*.py")]) <= 16


def test_every_folder_of_the_package_is_a_package() -> None:
    folders = {path.parent for path in python_files("gradscope")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_nothing_else_lies_at_the_top() -> None:
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()]
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    found = {name for name in found if not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)}
    assert found == TOP_LEVEL
