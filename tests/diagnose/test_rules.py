"""What every rule owes: it never raises, says nothing without evidence, is quick, and explains itself."""

import inspect
import math
import time
import warnings
from collections.abc import Iterable

import numpy as np
import pytest
import runs

from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.discover import known_rules, thresholds_of
from gradscope.diagnose.finding import SEVERITIES, Finding, at_least
from gradscope.network import Network
from gradscope.records import EpochRecord, NetworkChange, Record, StepRecord
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS, TABLES
from gradscope.store.frames import Frames, frames_of

RULES = known_rules()


def only(records: Iterable[Record], *kinds: type) -> list[Record]:
    return [record for record in records if isinstance(record, kinds)]


def steps_filled_with(value: float, network: Network, count: int) -> Frames:
    """Return frames of ``count`` steps in which every number is ``value``."""
    records: list[Record] = [runs.session(), NetworkChange(0, runs.BEGAN, network)]
    for step in range(count):
        tables = [
            np.full(len(STEPS.statistics), value, np.float32),
            np.full((len(network.sites), len(ACTIVATIONS.statistics)), value, np.float32),
            np.full((len(network.variables), len(GRADIENTS.statistics)), value, np.float32),
        ]
        records.append(StepRecord(step, 0, runs.BEGAN + step, *tables))
        if step % 5 == 4:
            records.append(EpochRecord(step, step // 5, runs.BEGAN + step, {"loss": value}, runs.COSTS))
    return frames_of(records)


def noise(network: Network, count: int, seed: int = 0) -> Frames:
    """Return frames of ``count`` steps of positive random numbers of all sizes."""
    rng = np.random.default_rng(seed)
    records: list[Record] = [runs.session(), NetworkChange(0, runs.BEGAN, network)]
    for step in range(count):
        shapes = [
            (len(STEPS.statistics),),
            (len(network.sites), len(ACTIVATIONS.statistics)),
            (len(network.variables), len(GRADIENTS.statistics)),
        ]
        tables = [np.exp(rng.normal(0, 4, shape)).astype(np.float32) for shape in shapes]
        records.append(StepRecord(step, 0, runs.BEGAN + step, *tables))
        if step % 20 == 19:
            loss = float(np.exp(rng.normal()))
            records.append(EpochRecord(step, step // 20, runs.BEGAN + step, {"loss": loss}, runs.COSTS))
    return frames_of(records)


COLUMNS = {"", *(f"{name}.{column}" for name, table in TABLES.items() for column in table.statistic_names)}
RELU, SIGMOID, STEP = (runs.network(function, runs.layer_names(5)) for function in ("relu", "sigmoid", "step"))
ODD: dict[str, Frames] = {
    "nothing at all": frames_of([]),
    "a network and no step": frames_of(runs.nothing_recorded()),
    "one step": steps_filled_with(0.5, RELU, 1),
    "epochs only": frames_of(only(runs.healthy(), EpochRecord)),
    "all zero": steps_filled_with(0.0, RELU, 30),
    "all NaN": steps_filled_with(math.nan, SIGMOID, 30),
    "all infinite": steps_filled_with(math.inf, STEP, 30),
    "all one": steps_filled_with(1.0, STEP, 30),
    "all negative": steps_filled_with(-1.0, SIGMOID, 30),
    "noise": noise(SIGMOID, 60),
    "no variables": steps_filled_with(0.5, Network("m", RELU.layers, RELU.sites), 10),
    "no sites": steps_filled_with(0.5, Network("m", RELU.layers, (), RELU.variables), 10),
    "hostile names": frames_of(runs.awkward_names()),
    "two trainings": frames_of(runs.two_trainings()),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", RULES)
def test_a_rule_never_raises_and_gives_numbers_with_what_it_finds(name: str, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = list(RULES[name](ODD[kind]))
    for finding in findings:
        assert isinstance(finding, Finding)
        assert finding.rule == name
        assert finding.severity in SEVERITIES
        assert finding.evidence
        assert finding.first_step <= finding.last_step
        assert finding.message.endswith(".")
        assert finding.layer is None or finding.layer in finding.layers
        assert finding.statistic in COLUMNS


@pytest.mark.parametrize("kind", ["nothing at all", "a network and no step", "epochs only"])
def test_without_records_nothing_is_found(kind: str) -> None:
    assert diagnose(ODD[kind]) == []


def test_a_healthy_run_gives_no_finding_of_medium_or_high_severity() -> None:
    assert at_least(diagnose(frames_of(runs.healthy())), "medium") == []


def test_no_finding_depends_on_the_order_of_the_rules() -> None:
    frames = frames_of(runs.sick())
    found = diagnose(frames, list(RULES))
    assert found == diagnose(frames, list(reversed(RULES)))
    assert found


@pytest.mark.parametrize("name", RULES)
def test_the_same_frames_give_the_same_findings(name: str) -> None:
    frames = frames_of(runs.sick())
    assert list(RULES[name](frames)) == list(RULES[name](frames))


def test_all_rules_together_take_at_most_two_seconds_for_two_hundred_sites_and_two_thousand_steps() -> None:
    frames = noise(runs.network("sigmoid", runs.layer_names(200)), 2000)
    begun = time.process_time()
    diagnose(frames)
    assert time.process_time() - begun < 2.0


def test_ten_thousand_layers_are_no_obstacle() -> None:
    frames = noise(runs.network("relu", runs.layer_names(10_000)), 8)
    begun = time.process_time()
    diagnose(frames)
    assert time.process_time() - begun < 2.0


# ---- Their pages


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_it_sees_how_severe_it_is_what_to_try_and_where_it_comes_from(name: str) -> None:
    page = inspect.getdoc(RULES[name]) or ""
    assert page.splitlines()[0].endswith(".")
    assert len(page.splitlines()[0]) <= 120
    for part in ("\nSeverity: ", "\nWhat to try: ", "\nSource:\n"):
        assert part in page
    assert any(severity in page.partition("\nSeverity: ")[2] for severity in SEVERITIES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_explains_each_threshold_with_its_unit_and_reason(name: str) -> None:
    for threshold in thresholds_of(RULES[name]):
        assert isinstance(threshold.default, float | int), threshold.name
        assert threshold.meaning.endswith("."), threshold.name
        units = ("fraction", "pure number", "steps", "epochs", "records")
        assert any(f", {unit}" in threshold.meaning for unit in units), threshold.name


@pytest.mark.parametrize("name", RULES)
def test_a_threshold_can_be_given(name: str) -> None:
    rule = RULES[name]
    given = {threshold.name: threshold.default for threshold in thresholds_of(rule)}
    frames = frames_of(runs.sick())
    assert diagnose(frames, [name], **{name: given}) == diagnose(frames, [name])
