import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tensorboard import errors

from gradscope_dashboard.refusals import RequestError
from gradscope_dashboard.source import RecordedRun, Source
from gradscope_dashboard.tables import ANSWER_BYTES, read_table


class TooLargeError(Exception):
    """What gRPC raises for an answer that is too large for the wire."""

    def code(self) -> Any:
        return SimpleNamespace(name="RESOURCE_EXHAUSTED")


class Provider:
    """A data provider that fails as it is told, or gives one run of one wide table, and keeps what it was asked."""

    def __init__(self, failure: Exception | None = None, *, room: int = 10**12) -> None:
        self.failure = failure
        self.room = room
        self.asked: list[int] = []

    def list_tensors(self, _context: object, **_asked: Any) -> Any:
        if self.failure:
            raise self.failure
        rows = [f"layer_{index}" for index in range(1_000)]
        wide = {"version": "1.0", "table": "activations", "columns": ["mean", "std"], "rows": rows}
        told = {"gradscope/epoch": {"version": "1.0"}, "gradscope/activations/0": wide}
        return {"mlp/gradscope": {tag: series(content) for tag, content in told.items()}}

    def read_tensors(self, _context: object, *, downsample: int, run_tag_filter: Any, **_asked: Any) -> Any:
        if self.failure:
            raise self.failure
        self.asked.append(downsample)
        if downsample > self.room:
            raise TooLargeError
        (tag,) = run_tag_filter.tags
        value = np.array(0) if tag == "gradscope/epoch" else np.ones((1_000, 2), np.float32)
        return {"mlp/gradscope": {tag: [SimpleNamespace(step=0, wall_time=1.0, numpy=value)]}}


def series(content: dict[str, Any]) -> Any:
    return SimpleNamespace(max_step=0, max_wall_time=1.0, plugin_content=json.dumps(content).encode())


def source(provider: Provider) -> Source:
    return Source(provider, None, "")


def test_a_wide_table_is_asked_for_in_as_many_steps_as_one_answer_has_room_for() -> None:
    provider = Provider()
    run = source(provider).run("mlp")
    found = read_table(source(provider), run, "activations", ())
    assert found.read_count == 1
    assert 0.9 * ANSWER_BYTES < provider.asked[-1] * 4 * 2_000 < ANSWER_BYTES


def test_an_answer_that_is_too_large_is_asked_for_again_in_fewer_points() -> None:
    provider = Provider(room=100_000)
    run = source(provider).run("mlp")
    assert source(provider).read(run, ["gradscope/epoch"])
    assert provider.asked[-1] <= 100_000 < provider.asked[-2]


def test_an_answer_that_is_never_small_enough_is_refused() -> None:
    provider = Provider(room=0)
    run = source(provider).run("mlp")
    with pytest.raises(RequestError, match="too large") as raised:
        source(provider).read(run, ["gradscope/epoch"])
    assert raised.value.code == 404


@pytest.mark.parametrize("failure", [RuntimeError("secret"), OSError("secret"), KeyError("secret")])
def test_a_failing_provider_is_a_404_with_a_sentence_that_gives_nothing_away(failure: Exception) -> None:
    with pytest.raises(RequestError, match="cannot be read") as raised:
        source(Provider(failure)).runs()
    assert raised.value.code == 404
    assert "secret" not in raised.value.sentence


def test_a_provider_that_refuses_access_keeps_its_own_words() -> None:
    with pytest.raises(errors.PermissionDeniedError):
        source(Provider(errors.PermissionDeniedError("not yours"))).runs()


def test_a_run_whose_points_are_all_void_is_not_there() -> None:
    provider = Provider()
    provider.list_tensors = lambda *_, **__: {  # type: ignore[method-assign]
        "mlp/gradscope": {"gradscope/epoch": SimpleNamespace(max_step=None, max_wall_time=None, plugin_content=b"")}
    }
    assert source(provider).runs() == []


def test_a_run_is_named_in_full_where_its_short_name_is_another() -> None:
    provider = Provider()
    told = {"gradscope/epoch": series({"version": "1.0"})}
    provider.list_tensors = lambda *_, **__: {"mlp": told, "mlp/gradscope": told}  # type: ignore[method-assign]
    assert [run.shown for run in source(provider).runs()] == ["mlp", "mlp/gradscope"]
    for name in ("mlp", "mlp/gradscope"):
        assert isinstance(source(provider).run(name), RecordedRun)
        assert source(provider).run(name).name == name
