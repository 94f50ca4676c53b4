"""Marks and words of a summary: nothing that is said is wrong at the edges."""

from gradscope.network import NotMeasured, Profile
from gradscope.report.values.summary import SiteRow, Summary, summarise
from gradscope.report.words.summary import dead, footing, gradient, legend, saturation
from gradscope.store.read import frames_of

NAN = float("nan")


def row(
    *,
    profile: Profile | None = None,
    saturated: float = NAN,
    dead_units: float = NAN,
    variable: str = "kernel",
    connected: bool = True,
) -> SiteRow:
    return SiteRow(
        layer="dense",
        site="dense",
        activation="relu",
        units=4,
        profile=profile,
        saturated_fraction=saturated,
        dead_unit_fraction=dead_units,
        variable=variable,
        connected=connected,
        first_gradient_rms=NAN,
        gradient_rms=NAN,
        gradient_norm=NAN,
        backward_rms=NAN,
        update_to_weight_ratio=NAN,
        nonfinite_count=0,
    )


def test_saturation_of_a_function_with_one_tail_stands_in_brackets() -> None:
    assert saturation(row(profile=Profile(z_low=-2.0, z_high=2.0), saturated=0.9)) == "90%"
    assert saturation(row(profile=Profile(z_low=0.0), saturated=0.9)) == "(90%)"
    assert saturation(row(profile=Profile(blocked=True))) == "flat"
    assert saturation(row(profile=None)) == "–"


def test_a_function_that_is_nowhere_exactly_zero_has_no_dead_units() -> None:
    assert dead(row(profile=Profile(z_low=-2.0, z_high=2.0), dead_units=0.0)) == "–"
    assert dead(row(profile=Profile(z_low=0.0, zero_low=0.0), dead_units=0.0)) == "0%"


def test_no_gradient_and_a_gradient_that_is_not_finite_read_differently() -> None:
    assert gradient(row(variable=""), NAN) == "–"
    assert gradient(row(connected=False), NAN) == "cut"
    assert gradient(row(), NAN) == "NaN"
    assert gradient(row(), 0.0) == "0"


def test_the_legend_explains_no_mark_that_does_not_occur() -> None:
    assert legend([row(profile=Profile(z_low=-2.0, z_high=2.0), saturated=0.9)]) == []


def test_what_is_not_measured_is_said_once_a_reason() -> None:
    missing = (*(NotMeasured(f"lstm_{i}", "runs in a loop") for i in range(5)), NotMeasured("mha", "is not called"))
    empty = summarise(frames_of([]))
    notes = footing(Summary("run", (), empty.progress, empty.costs, missing))
    assert notes[1:] == [
        "Not measured (runs in a loop): lstm_0, lstm_1, lstm_2 and 2 more",
        "Not measured (is not called): mha",
    ]


def test_what_was_lost_is_said() -> None:
    empty = summarise(frames_of([]))
    assert "Lost: 3 records" in footing(Summary("run", (), empty.progress, empty.costs, lost=("3 records",)))
