from gradscope.records import Session
from gradscope_dashboard.sessions import counting


def point(step: int, wall_time: float) -> Session:
    return Session(step, wall_time, resumed=False, fingerprint="")


def steps(points: list[Session], *sessions: Session) -> list[tuple[int, float]]:
    return [(found.step, found.wall_time) for found in counting(points, sessions)]


def test_a_resumed_session_voids_what_was_recorded_at_or_after_its_first_step() -> None:
    points = [point(0, 10.0), point(5, 11.0), point(10, 12.0)]
    assert steps(points, point(5, 20.0)) == [(0, 10.0)]


def test_a_session_voids_nothing_that_is_recorded_after_it_began() -> None:
    points = [point(5, 20.0), point(6, 21.0)]
    assert steps(points, point(5, 20.0)) == [(5, 20.0), (6, 21.0)]


def test_of_steps_out_of_order_the_later_written_count() -> None:
    points = [point(0, 1.0), point(5, 2.0), point(9, 3.0), point(5, 4.0), point(6, 5.0)]
    assert steps(points) == [(0, 1.0), (5, 4.0), (6, 5.0)]


def test_of_one_step_twice_the_later_written_counts() -> None:
    assert steps([point(3, 1.0), point(3, 2.0)]) == [(3, 2.0)]


def test_a_void_point_voids_none_before_it() -> None:
    points = [point(0, 1.0), point(8, 2.0), point(5, 3.0)]
    assert steps(points, point(5, 9.0)) == [(0, 1.0)]


def test_no_points_are_no_points() -> None:
    assert steps([], point(0, 1.0)) == []
