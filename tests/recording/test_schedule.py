import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.errors import ArgumentError
from gradscope.recording.schedule import (
    MOST_RECORDS,
    REASONS,
    Moment,
    Schedule,
    budget,
    default,
    each_epoch,
    early,
    every,
    from_argument,
    loss_jump,
    thinned,
)
from gradscope.recording.triggers import NO_REST

BEGINNING = Moment(0, 0, 0, True, math.nan, 0.0, 0.0, 0.0, 0.0, math.nan, 0)


class Recorded(NamedTuple):
    """One recorded step of a simulated training, what was known as it began, and what it cost."""

    reason: str
    moment: Moment
    seconds: float


class Training(NamedTuple):
    """A simulated training: what was recorded, the seconds at its end, and how often the schedule was asked."""

    records: list[Recorded]
    training_seconds: float
    charged: dict[str, float]
    asked: int

    def steps(self, *reasons: str) -> list[int]:
        return [r.moment.step for r in self.records if not reasons or r.reason in reasons]


def train(
    schedule: Schedule,
    steps: int,
    *,
    losses: list[float] | None = None,
    start_step: int = 0,
    epoch_steps: int = 10**9,
    step_seconds: float = 0.01,
    record_seconds: float = 0.025,
    noise: float = 0.0,
    seed: int = 0,
    record_count: int = 0,
    rests: bool = False,
) -> Training:
    """Simulate a training whose steps and records take noisy times; the expected cost is the mean of the last 20.

    Asked at every batch, or, if it ``rests``, only where no rest lasts.
    """
    random = np.random.default_rng(seed)
    step_times = (step_seconds * random.lognormal(0.0, noise, steps)).tolist()
    record_times = (record_seconds * random.lognormal(0.0, noise, steps)).tolist()
    state, seconds, loss = schedule.init(), 0.0, math.nan
    charged = {"early": 0.0, "each_epoch": 0.0, "running": 0.0}
    costs: list[float] = []
    records: list[Recorded] = []
    rest, passed, asked = NO_REST, list[float](), 0
    for i in range(steps):
        moment = Moment(
            step=start_step + i,
            start_step=start_step,
            epoch=i // epoch_steps,
            first_in_epoch=i % epoch_steps == 0,
            loss=loss,
            training_seconds=seconds,
            early_seconds=charged["early"],
            epoch_seconds=charged["each_epoch"],
            running_seconds=charged["running"],
            record_seconds=sum(costs[-20:]) / len(costs[-20:]) if costs else math.nan,
            record_count=record_count + len(records),
            passed=tuple(passed),
        )
        seconds += step_times[i]
        before, loss = loss, losses[i] if losses is not None else 1.0
        if rests and not moment.first_in_epoch and rest.lasts(moment.step, moment.training_seconds, before):
            passed.append(before)
            continue
        asked += 1
        passed.clear()
        state = schedule.update(state, moment)
        rest = NO_REST if state.due else schedule.rest(state, moment)
        if state.due:
            records.append(Recorded(state.reason, moment, record_times[i]))
            costs.append(record_times[i])
            charged[state.reason if state.reason in charged else "running"] += record_times[i]
    return Training(records, seconds, charged, asked)


def calm(count: int, seed: int = 0) -> list[float]:
    return np.random.default_rng(seed).uniform(0.9, 1.1, count).tolist()


def is_jump(loss: float, before: list[float]) -> bool:
    """The definition, sorted anew each time."""
    finite = [x for x in before if math.isfinite(x)][-50:]
    if len(finite) < 20:
        return False
    median = sorted(finite)[len(finite) // 2]
    deviation = sorted(abs(x - median) for x in finite)[len(finite) // 2]
    return loss - median > 6 * deviation


# every


@given(n=st.integers(1, 40), start=st.integers(0, 100))
def test_every_counts_over_the_whole_run(n: int, start: int) -> None:
    assert train(every(n), 120, start_step=start).steps() == [s for s in range(start, start + 120) if s % n == 0]


# early


@given(count=st.integers(1, 60), until=st.integers(1, 2000), start=st.integers(0, 10**6))
def test_early_records_the_first_step_and_so_many_after_it(count: int, until: int, start: int) -> None:
    steps = train(early(count, until), min(until, 300) + 50, start_step=start).steps()
    within = [s - start for s in steps]
    assert within[0] == 0
    assert max(within) <= until
    if until <= 300:
        assert len(within) == min(count, until) + 1
        assert count == 1 or within[-1] == until
    assert within == sorted(set(within))


@given(count=st.integers(2, 60), until=st.integers(2, 5000))
def test_early_steps_grow_geometrically(count: int, until: int) -> None:
    schedule = early(count, until)
    state = schedule.init()
    steps = [s for s in range(1, until + 1) if schedule.update(state, BEGINNING._replace(step=s)).due]
    for k, step in enumerate(steps):
        assert step == pytest.approx(max(k + 1, until ** (k / max(len(steps) - 1, 1))), abs=1)


def test_default_beginning_is_about_twenty_steps_up_to_a_hundred() -> None:
    expected = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 18, 23, 30, 38, 48, 62, 78, 100]
    assert train(early(), 500).steps() == expected


# each_epoch


def test_each_epoch_is_due_at_its_first_batch() -> None:
    assert train(each_epoch(), 100, epoch_steps=30).steps() == [0, 30, 60, 90]


def test_tiny_epochs_are_recorded_only_as_often_as_they_pay() -> None:
    training = train(each_epoch(0.02), 20_000, epoch_steps=2)
    assert training.steps()[:20] == list(range(0, 40, 2))
    later = training.steps()[20:]
    assert len(later) == pytest.approx(20_000 * 0.01 * 0.02 / 0.025, rel=0.05)  # share of the seconds, over the price
    assert min(np.diff(later)) >= 125  # 125 steps of 0.01 s pay for one record of 0.025 s


def test_long_epochs_are_all_recorded() -> None:
    assert len(train(each_epoch(0.02), 15_000, epoch_steps=300).steps()) == 50


def test_epochs_after_half_a_minute_are_recorded_only_as_often_as_they_pay() -> None:
    steps = train(each_epoch(0.01), 6000, epoch_steps=100, step_seconds=0.03, record_seconds=0.09).steps()
    assert steps[:10] == list(range(0, 1000, 100))  # epochs of 3 seconds
    assert set(np.diff(steps[10:])) == {300}  # 9 seconds pay for a record of 0.09


# budget


@settings(max_examples=25)
@given(
    share=st.floats(0.005, 0.5),
    price=st.floats(0.2, 20.0),
    noise=st.floats(0.0, 1.0),
    epoch_steps=st.sampled_from([3, 50, 10**9]),
    seed=st.integers(0, 99),
)
def test_total_share_is_respected_over_a_long_run(
    share: float, price: float, noise: float, epoch_steps: int, seed: int
) -> None:
    losses = np.random.default_rng(seed).lognormal(0.0, 2.0, 6000).tolist()  # so heavy a tail that it jumps often
    training = train(
        default(share),
        6000,
        losses=losses,
        epoch_steps=epoch_steps,
        record_seconds=0.01 * price,
        noise=noise,
        seed=seed,
    )
    allowed, spent = share * training.training_seconds, sum(r.seconds for r in training.records)
    of_epochs = [r.seconds for r in training.records if r.reason == "each_epoch"]
    beginning = training.charged["early"] + sum(of_epochs[:20])
    priciest = max(r.seconds for r in training.records)
    # Until the beginning is paid only epochs (1/2 of the share) and jumps (1/4) go on, within the error of the price;
    # a burst of three may follow the last record that the budget allowed.
    assert spent <= max(allowed, beginning + 0.75 * (1 + noise / 2) * allowed) + 4 * priciest
    budgeted = [r.moment for r in training.records if r.reason == "budget"]
    for moment in budgeted:
        spent = moment.early_seconds + moment.epoch_seconds + moment.running_seconds
        assert spent + moment.record_seconds <= share * moment.training_seconds


@settings(max_examples=20)
@given(share=st.floats(0.01, 0.2), price=st.floats(1.0, 10.0), noise=st.floats(0.0, 0.5), seed=st.integers(0, 99))
def test_budget_is_spent_and_not_exceeded(share: float, price: float, noise: float, seed: int) -> None:
    training = train(budget(share), 10_000, record_seconds=0.01 * price, noise=noise, seed=seed)
    allowed, spent = share * training.training_seconds, sum(training.charged.values())
    one = 0.01 * price * math.exp(4.5 * noise)
    assert spent <= allowed + one
    assert spent >= 0.7 * allowed - 2 * one


def test_budget_spreads_its_records_evenly_after_an_expensive_beginning_too() -> None:
    training = train(early() | budget(0.05), 10_000)
    steps = training.steps("budget")
    # 21 early records of 2.5 steps are paid for at step 1050; from then on one record every 2.5 / 0.05 = 50 steps.
    assert steps[0] == pytest.approx(1100, abs=2)
    assert set(np.diff(steps)) <= {50, 51}


def test_budget_does_not_burst_after_a_quiet_time() -> None:
    schedule = budget(0.1)
    moment = BEGINNING._replace(record_seconds=1.0, record_count=5, training_seconds=10_000.0)
    state = schedule.update(schedule.init(), moment)
    assert state.due
    for seconds in (10_001.0, 10_005.0, 10_009.0):
        state = schedule.update(state, moment._replace(training_seconds=seconds))
        assert not state.due
    assert schedule.update(state, moment._replace(training_seconds=10_010.0)).due


def test_budget_alone_takes_the_first_record_to_learn_its_cost() -> None:
    assert train(budget(0.02), 3).steps() == [0]


# loss_jump


def test_jump_of_the_loss_makes_the_next_three_steps_due() -> None:
    losses = [*calm(100), 5.0, *calm(100)]
    assert train(loss_jump(), 201, losses=losses).steps() == [101, 102, 103]


def test_fall_of_the_loss_is_no_jump() -> None:
    assert train(loss_jump(), 201, losses=[*calm(100), -5.0, *calm(100)]).steps() == []


def test_jump_needs_twenty_losses() -> None:
    assert train(loss_jump(), 60, losses=[*calm(19), 50.0, *calm(60)]).steps() == []
    assert train(loss_jump(), 60, losses=[*calm(20), 50.0, *calm(60)]).steps() == [21, 22, 23]


@pytest.mark.parametrize("explosion", [math.nan, math.inf, -math.inf])
def test_loss_that_stays_non_finite_is_recorded_three_times(explosion: float) -> None:
    assert train(loss_jump(), 300, losses=[*calm(5), *[explosion] * 300]).steps() == [6, 7, 8]


def test_explosion_right_after_a_jump_is_recorded_though_the_jump_is_not_paid_yet() -> None:
    losses = [*calm(50), 9.0, *calm(4), *[math.nan] * 60]
    assert train(loss_jump(0.0001), 100, losses=losses).steps() == [51, 52, 53, 56, 57, 58]


def test_unknown_loss_is_no_explosion() -> None:
    assert train(loss_jump(), 100, losses=[math.nan] * 100).steps() == []


def test_noisy_loss_costs_no_more_than_its_share() -> None:
    noisy = np.random.default_rng(0).lognormal(0.0, 2.0, 20_000).tolist()
    assert sum(is_jump(noisy[i], noisy[i - 50 : i]) for i in range(50, 20_000)) > 1000
    training = train(every(10**9) | loss_jump(0.02), 20_000, losses=noisy)
    assert 30 < len(training.steps("loss_jump")) <= 3 + 20_000 * 0.01 * 0.02 / 0.025


@settings(max_examples=200)
@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 1.0 + 1e-9])), max_size=120),
    st.floats(-1e6, 1e6),
)
def test_jump_agrees_with_its_definition(before: list[float], loss: float) -> None:
    schedule = loss_jump()
    state = schedule.init()
    for step, earlier in enumerate(before):
        # A record costs so much that a second jump is not paid: forget the first.
        state = schedule.update(state, BEGINNING._replace(step=step, loss=earlier, record_seconds=0.0))
        if state.due:
            rested = state.memories[0]._replace(remaining=0)  # pyright: ignore[reportOptionalMemberAccess]
            state = state._replace(memories=(rested,))
    due = schedule.update(state, BEGINNING._replace(step=len(before), loss=loss, record_seconds=0.0)).due
    assert due == is_jump(loss, before)


# rest


@settings(max_examples=60)
@given(
    schedule=st.sampled_from(
        [
            default(),
            default(0.3),
            loss_jump(),
            loss_jump(1.0),
            budget(0.1),
            early(5, 200) | every(70),
            from_argument(7, 0.05),
            thinned(every(3) | loss_jump(1.0), 40),
        ]
    ),
    spread=st.sampled_from([0.0, 0.3, 2.0]),
    trend=st.sampled_from([-0.02, 0.0, 0.02]),
    odd=st.lists(st.tuples(st.integers(0, 799), st.sampled_from([math.nan, math.inf, -math.inf, 50.0])), max_size=6),
    epoch_steps=st.sampled_from([7, 100, 10**9]),
    seed=st.integers(0, 999),
)
def test_a_schedule_left_at_rest_records_the_same_steps(
    schedule: Schedule,
    spread: float,
    trend: float,
    odd: list[tuple[int, float]],
    epoch_steps: int,
    seed: int,
) -> None:
    losses = (np.random.default_rng(seed).lognormal(0.0, spread, 800) + trend * np.arange(800)).tolist()
    for step, loss in odd:
        losses[step] = loss
    always, rarely = (
        train(schedule, 800, losses=losses, epoch_steps=epoch_steps, noise=0.3, seed=seed, rests=rests)
        for rests in (False, True)
    )
    assert [(r.moment.step, r.reason) for r in rarely.records] == [(r.moment.step, r.reason) for r in always.records]


def test_a_calm_training_is_asked_about_one_batch_in_six() -> None:
    losses = (2.0 - 0.0002 * np.arange(5000) + np.random.default_rng(0).normal(0.0, 0.1, 5000)).tolist()
    training = train(default(), 5000, losses=losses)
    resting = train(default(), 5000, losses=losses, rests=True)
    assert training.asked == 5000
    assert resting.asked < 5000 / 6
    assert resting.steps() == training.steps()


def test_every_is_asked_only_where_it_is_due() -> None:
    training = train(every(100), 1000, rests=True)
    assert training.steps() == list(range(0, 1000, 100))
    assert training.asked <= 21  # each record, and the batch after it


# joining


def test_joined_schedule_is_due_where_any_part_is_and_names_the_first_reason() -> None:
    joined = loss_jump() | budget(0.02) | every(7) | each_epoch() | early(3, 10)
    training = train(joined, 700, epoch_steps=50, losses=[*calm(600), 9.0, *calm(100)])
    assert training.records[0].reason == "early"
    assert training.steps("early") == train(early(3, 10), 700).steps()
    assert training.steps("each_epoch") == list(range(50, 700, 50))
    assert set(range(0, 700, 7)) <= set(training.steps())
    assert {601, 602, 603} <= set(training.steps())
    assert training.steps("loss_jump") == [601, 603]  # 602 is a multiple of 7
    assert {r.reason for r in training.records} <= set(REASONS)


def test_joining_does_not_depend_on_the_order() -> None:
    assert every(3) | early() | budget(0.1) == budget(0.1) | (early() | every(3))


@settings(max_examples=50)
@given(
    st.sampled_from(
        [
            every(3),
            early(),
            each_epoch(),
            budget(0.1),
            loss_jump(),
            default(),
            thinned(default(0.5), 20),
            every(2) | every(5),
        ]
    ),
    st.lists(st.tuples(st.floats(allow_nan=True), st.booleans(), st.floats(0, 10)), max_size=80),
)
def test_update_changes_nothing_and_repeats_itself(
    schedule: Schedule, batches: list[tuple[float, bool, float]]
) -> None:
    state, seconds = schedule.init(), 0.0
    for step, (loss, first, took) in enumerate(batches):
        seconds += took
        moment = BEGINNING._replace(
            step=step, loss=loss, first_in_epoch=first, training_seconds=seconds, record_seconds=0.5, record_count=step
        )
        before = repr((schedule, state, moment))
        after = schedule.update(state, moment)
        assert schedule.update(state, moment) == after
        assert repr((schedule, state, moment)) == before
        assert after.due == (after.reason != "")
        state = after


# thinned


def test_records_are_thinned_from_half_of_the_limit_on_and_never_pass_it() -> None:
    steps = train(thinned(every(1), 40), 30_000).steps()
    assert steps[:20] == list(range(20))
    expected, due = list(range(20)), 20  # the 20th due moment is step 19
    for k in range(20):
        interval = 2 ** (1 + k // 2)  # doubles after every twentieth of 40
        due = (due // interval + 1) * interval
        expected.append(due - 1)
    assert steps == expected


def test_resumed_run_counts_the_records_that_it_holds() -> None:
    assert train(thinned(every(1), 40), 100, record_count=40).steps() == []
    assert len(train(thinned(every(1), 40), 100, record_count=30).steps()) < 10


def test_explosion_is_recorded_in_a_thinned_run_as_long_as_there_is_room() -> None:
    losses = [*calm(30), *[math.nan] * 30]
    sparse = thinned(every(1) | loss_jump(), 40)
    assert {31, 32, 33} <= set(train(sparse, 60, losses=losses, record_count=30).steps())
    assert train(sparse, 60, losses=losses, record_count=40).steps() == []


def test_from_argument_limits_every_schedule() -> None:
    assert MOST_RECORDS == 20_000
    limits = [from_argument(argument).most for argument in (None, 5, every(5), thinned(every(5), 30_000))]
    assert limits == [20_000] * 4
    assert from_argument(thinned(every(1), 100)).most == 100
    assert (thinned(every(1), 100) | every(2)).most == 100


# from_argument


def test_without_arguments_the_default_schedule_runs_at_two_percent() -> None:
    assert from_argument(None) == thinned(default(0.02))
    assert from_argument(None, 0.1) == thinned(default(0.1))


def test_int_records_every_so_many_steps_without_a_budget() -> None:
    assert train(from_argument(10), 1000).steps() == list(range(0, 1000, 10))
    assert train(from_argument(np.int64(10)), 100).steps() == list(range(0, 100, 10))  # pyright: ignore[reportArgumentType]


def test_int_and_overhead_together_record_on_its_steps_within_the_share() -> None:
    training = train(from_argument(10, 0.02), 20_000)
    assert all(step % 10 == 0 for step in training.steps())
    spent = sum(training.charged.values())
    assert 0.9 * 0.02 * training.training_seconds <= spent <= 0.02 * training.training_seconds


def test_given_schedule_passes_and_a_given_overhead_limits_its_running_records_only() -> None:
    schedule = early() | every(2)
    assert train(from_argument(schedule), 300).steps() == train(schedule, 300).steps()
    limited = train(from_argument(schedule, 0.02), 6000)
    assert limited.steps("early") == train(early(), 500).steps()
    assert sum(limited.charged.values()) <= 0.02 * limited.training_seconds
    assert str(from_argument(budget(0.5) | every(3), 0.1)) == "every(3) within 0.1 | budget(0.1)"
    assert str(from_argument(budget(0.05), 0.1)) == "budget(0.05)"


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (from_argument, (0,), "schedule=0 would never record. Pass a positive number of steps"),
        (from_argument, (-5,), "schedule=-5 would never record"),
        (from_argument, (True,), "schedule=True is no number of steps"),
        (from_argument, (10.0,), "schedule=10.0 is no number of steps"),
        (from_argument, ("often",), "schedule='often' is no number of steps"),
        (every, (0,), r"every\(0\) would never record.*every\(100\)"),
        (every, (2.5,), r"every\(2.5\) is no number of steps"),
        (early, (0,), r"early\(count=0\) would never record"),
        (early, (20, -1), r"early\(until=-1\) would never record"),
        (thinned, (every(1), 0), "most=0 would never record"),
        (from_argument, (None, 0), "max_overhead=0 is no share .* above 0 and at most 1.*max_overhead=0.02"),
        (from_argument, (None, 1.5), "max_overhead=1.5 is no share"),
        (from_argument, (None, -0.1), "max_overhead=-0.1 is no share"),
        (from_argument, (None, math.nan), "max_overhead=nan is no share"),
        (from_argument, (None, True), "max_overhead=True is no share"),
        (from_argument, (5, "2%"), "max_overhead='2%' is no share"),
        (budget, (2,), r"budget\(2\) is no share"),
        (each_epoch, (0,), r"each_epoch\(0\) is no share"),
        (loss_jump, (-1,), r"loss_jump\(-1\) is no share"),
    ],
)
def test_wrong_argument_gets_an_error_that_says_what_to_pass(
    function: Callable[..., Schedule], arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        function(*arguments)
