import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gradscope.lossless_json import WORDS, from_json, to_json

keys = st.text(max_size=8).filter(lambda key: key != "$float")
like_words = st.sampled_from([*WORDS, "\\NaN", "\\\\-Infinity"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | like_words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@given(values)
def test_every_value_comes_back_nan_and_infinities_included(value: Any) -> None:
    assert repr(from_json(to_json(value))) == repr(value)


@given(values)
def test_the_text_is_json_as_the_standard_has_it(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(to_json(value), parse_constant=refuse)


def test_tuples_become_lists_and_keys_strings() -> None:
    assert from_json(to_json({1: (1.5, -math.inf)})) == {"1": [1.5, -math.inf]}
