"""The verdict on a row: what recording did to the training, and how much of it was recorded."""

from __future__ import annotations

from dataclasses import dataclass

from hazards.outcome import Outcome, apart

RECORDED, IN_PART, REFUSED = "recorded", "in part", "refused"
CHANGED, GRAPH, KILLED, SILENT = "CHANGED", "GRAPH", "KILLED", "SILENT"
NO_PREMISE = "not reproducible bare"
FAULTS = (CHANGED, GRAPH, KILLED, SILENT, NO_PREMISE)
VERDICTS = (RECORDED, IN_PART, REFUSED, *FAULTS)
UNSAID = "nothing is said of it"


@dataclass(frozen=True)
class Verdict:
    """A row's verdict.

    Attributes:
        kind: One of `VERDICTS`: what was recorded, or the fault; ``GRAPH`` is a training that is
            the same, by other graphs.
        why: The reason, in words; empty where all was recorded.
        records: Steps recorded.
        batches: Steps trained.
    """

    kind: str
    why: str = ""
    records: int = 0
    batches: int = 0


def verdict(bare: list[Outcome], recorded: Outcome) -> Verdict:
    """Return the verdict on the trainings of one program, one or several of them without the callback."""
    first, *more = bare
    counts = recorded.records, recorded.batches
    if first.died:
        return Verdict(NO_PREMISE, f"without the callback it dies: {first.died}")
    for again in more:
        if not same(first, again):
            return Verdict(NO_PREMISE, again.died or "; ".join([*differences(first, again), *graphs(first, again)]))
    if recorded.died:
        return Verdict(KILLED, recorded.died, *counts)
    found = differences(first, recorded)
    if found:
        return Verdict(CHANGED, "; ".join([*found, *graphs(first, recorded)]), *counts)
    if graphs(first, recorded):
        return Verdict(GRAPH, graphs(first, recorded)[0], *counts)
    said = "; ".join(dict.fromkeys(recorded.said))
    if not recorded.records and (said or recorded.batches):
        return Verdict(REFUSED, said, *counts) if said else Verdict(SILENT, "nothing recorded, nothing said", *counts)
    if said or recorded.records < recorded.batches:
        return Verdict(IN_PART, said or UNSAID, *counts)
    return Verdict(RECORDED, "", *counts)


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Return in words what differs between two trainings of one program; the first is the truth."""
    found = []
    if one.raised != other.raised:
        found.append(f"raised {one.raised or 'nothing'!r} without, {other.raised or 'nothing'!r} with")
    weights = unlike(one.state, other.state)
    if weights:
        found.append(f"weights, metrics or logs up to {apart(one, other):.3g} apart: {_few(weights)}")
    kept, random, files = (unlike(getattr(one, what), getattr(other, what)) for what in ("kept", "random", "files"))
    found += [f"of the user's own: {_few(kept)}"] if kept else []
    found += [f"another state of {_few(random)}"] if random else []
    found += [f"other files: {_few(files)}"] if files else []
    if one.printed != other.printed:
        found.append(f"printed {len(one.printed)} lines without, {len(other.printed)} with")
    return found


def same(one: Outcome, other: Outcome) -> bool:
    """Return whether two trainings of one program are the same in all that is compared."""
    return not (one.died or other.died or differences(one, other) or graphs(one, other))


def unlike(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def graphs(one: Outcome, other: Outcome) -> list[str]:
    """Return in words how the graphs of the model's own functions differ, if they do."""
    if one.graphs == other.graphs:
        return []
    sizes = [[sum(kinds.values()) for _, kinds, _ in each.graphs] for each in (one, other)]
    if sizes[0] != sizes[1]:
        return [f"another graph: {sizes[0]} nodes without, {sizes[1]} with"]
    return ["another graph: as many nodes, of other types or names"]


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
