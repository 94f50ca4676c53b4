"""How numbers read: nothing that is not quite none or all reads as that."""

from hypothesis import given
from hypothesis import strategies as st

from gradscope.report.values.summary import NAN
from gradscope.report.words.numbers import magnitude, metric, overhead_text, percentage


@given(st.floats(0, 1))
def test_only_none_reads_as_0_and_only_all_as_100_percent(fraction: float) -> None:
    assert (percentage(fraction) == "0%") == (fraction == 0)
    assert (percentage(fraction) == "100%") == (fraction == 1)


@given(st.floats(1e-300, 1e300))
def test_a_magnitude_reads_back_within_its_two_digits(value: float) -> None:
    assert abs(float(magnitude(value)) / value - 1) <= 0.051


@given(st.floats(0, 1e12))
def test_an_overhead_takes_five_characters_at_most_and_never_reads_as_less_than_it_nearly_is(fraction: float) -> None:
    text = overhead_text(fraction)
    assert len(text) <= 5
    if not text.startswith(">"):
        assert abs(float(text.rstrip("%")) - 100 * fraction) <= (0.051 if fraction < 0.0995 else 0.51)
    else:
        assert fraction > 9.99


def test_an_epoch_without_validation_has_no_value_and_a_loss_that_diverged_is_nan() -> None:
    assert (metric("val_loss", NAN), metric("loss", NAN), metric("val_loss", 0.5)) == ("–", "NaN", "0.5000")
