"""What a person's Python holds is put back after a step was traced once more."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import numpy as np

from gradscope.instrument.python_state import unchanged


class Holder:
    def __init__(self) -> None:
        self.count, self.name, self.flag, self.nothing = 0, "a", False, None
        self.list, self.deque, self.dict, self.set = [1], deque([1], maxlen=2), {"a": 1}, {1}
        self.generator, self.old, self.own = np.random.default_rng(1), np.random.RandomState(1), random.Random(1)

    def told(self) -> list[Any]:
        states = [self.generator.bit_generator.state, self.old.get_state()[1].tolist(), self.own.getstate()]
        single = [self.count, self.name, self.flag, self.nothing]
        return [*single, [*self.list], [*self.deque], {**self.dict}, {*self.set}, *states]

    def change(self) -> None:
        self.count, self.name, self.flag, self.nothing = self.count + 1, "b", True, 3
        self.list.append(2)
        self.deque.extend([2, 3])
        self.dict["b"] = 2
        self.set.add(2)
        self.generator.random(), self.old.rand(), self.own.random(), random.random(), np.random.rand()  # noqa: NPY002


def test_all_that_a_step_may_change_is_put_back() -> None:
    holder = Holder()
    before, held = holder.told(), [holder.list, holder.deque, holder.dict, holder.set]
    state, numbers = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with unchanged([holder, object()]):
        holder.change()
        assert holder.told() != before
    assert holder.told() == before
    assert all(a is b for a, b in zip(held, [holder.list, holder.deque, holder.dict, holder.set], strict=True))
    assert random.getstate() == state
    assert np.random.get_state()[1].tolist() == numbers  # noqa: NPY002


def test_it_is_put_back_after_an_error_too() -> None:
    holder = Holder()
    try:
        with unchanged([holder]):
            holder.change()
            raise ValueError
    except ValueError:
        assert holder.count == 0
