"""All cases of the zoo, and the half that each lies in: the one for tuning thresholds, or the one held back."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from zoo.case import Case

Half = Literal["tuning", "held-back"]
HALVES: tuple[Half, Half] = ("tuning", "held-back")
KEPT = Path(__file__).parent / "halves.json"
_HEALTHY = "healthy"


def all_cases() -> list[Case]:
    """Return the sick cases and the healthy ones; importing them loads Keras."""
    from zoo import healthy, sick

    return [*sick.CASES, *healthy.CASES]


def half(case: Case) -> Half:
    """Return the half that a case of the zoo lies in, which is that of its whole family."""
    return _split_of_the_zoo()[case.family]


@cache
def _split_of_the_zoo() -> Mapping[str, Half]:
    """Return the half of each family: as it was when thresholds were first fixed, new families as `split` puts them.

    Split anew, the zoo would carry cases that thresholds were fixed on into the half held back as soon as it grows.
    """
    kept: Mapping[str, Half] = json.loads(KEPT.read_text(encoding="utf-8"))
    return {**split(all_cases()), **kept}


def split(cases: Iterable[Case]) -> dict[str, Half]:
    """Return the half of each family.

    Families whose rarest label has the fewest families are placed first, those alike in the order of a digest of
    their names, so that nobody chooses. Each goes to the half that lacks its labels: a label in one of few families
    counts more than one of many. Where both halves lack them equally, the half with fewer cases takes it. A label is a
    symptom, or health. So a label that two families have lies in both halves unless those families' rarer labels
    are at odds, which a test would show; and one that a single family has is in the half of that family only.
    """
    families: dict[str, list[Case]] = {}
    for case in cases:
        families.setdefault(case.family, []).append(case)
    labels = {family: _labels(members) for family, members in families.items()}
    spread = Counter(label for counted in labels.values() for label in counted)

    def order(family: str) -> tuple[int, str]:
        return min(spread[label] for label in labels[family]), hashlib.sha256(family.encode()).hexdigest()

    halves: dict[str, Half] = {}
    taken: dict[Half, Counter[str]] = {each: Counter() for each in HALVES}
    sizes: Counter[Half] = Counter()
    for family in sorted(families, key=order):

        def presence(each: Half, family: str = family) -> tuple[float, int]:
            return sum(taken[each][label] / spread[label] for label in labels[family]), sizes[each]

        chosen = min(HALVES, key=presence)
        halves[family] = chosen
        taken[chosen].update(labels[family])
        sizes[chosen] += len(families[family])
    return halves


def _labels(members: Iterable[Case]) -> set[str]:
    """Return the symptoms of a family's cases, and health if one of them is healthy."""
    return {label for case in members for label in (case.symptoms or (_HEALTHY,))}


if __name__ == "__main__":
    KEPT.write_text(json.dumps(dict(sorted(_split_of_the_zoo().items())), indent=0, ensure_ascii=False) + "\n", "utf-8")
