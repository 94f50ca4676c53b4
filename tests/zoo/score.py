"""Scores gradscope's rules, and the published ones beside them, on recorded runs of the zoo.

`python tests/zoo/score.py DIR [DIR ...]` reads what `record.py` wrote, one directory a seed, and prints the tables;
with ``--write`` they replace those in the README files.

What counts: an *alarm* is a finding of medium or high severity. A sick case is *detected* when it has an alarm, a
healthy one with an alarm is a false alarm. A finding on a sick case is *right* when it names a symptom or what follows
from one; a symptom is *named* by a finding of any severity. The peers' rules have no severity: each of their messages
counts as an alarm. Seeds are no trials of their own, so an interval is that of as many trials as there are cases.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import gradscope
from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.discover import known_rules
from gradscope.diagnose.finding import Finding, rank
from zoo.case import Case
from zoo.cases import HALVES, all_cases, half
from zoo.measurement import load as load_measurement
from zoo.peers import autotrainer, deepdiagnosis, deeplocalize, sagemaker_debugger, umlaut
from zoo.peers.alarm import Alarm
from zoo.told import told_live

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- zoo: what tests/zoo/score.py --write puts here -->", "<!-- end of zoo -->"
PEERS = {
    "SageMaker Debugger": sagemaker_debugger.verdict,
    "AUTOTRAINER": autotrainer.verdict,
    "DeepLocalize": deeplocalize.verdict,
    "DeepDiagnosis": deepdiagnosis.verdict,
    "UMLAUT": umlaut.verdict,
}
OURS = "GradScope"


@dataclass(frozen=True)
class Verdict:
    """What one tool says of one recorded case.

    Attributes:
        case: The case.
        alarmed: Whether it raised an alarm.
        layers: Layers that it named in its alarms.
        findings: Ours only: what it found.
        told: Ours only: whether it raised an alarm before the training had ended.
    """

    case: Case
    alarmed: bool
    layers: frozenset[str]
    findings: tuple[Finding, ...] = ()
    told: bool = False


@dataclass
class Count:
    """So many of so many, over how many different things."""

    hits: int = 0
    of: int = 0
    names: set[str] = field(default_factory=set[str])

    def add(self, name: str, *, hit: bool) -> None:
        self.of += 1
        self.hits += hit
        self.names.add(name)

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else math.nan

    def __str__(self) -> str:
        if not self.of:
            return "–"
        low, high = wilson(self.share, len(self.names))
        return f"{self.share:.3f} ({low:.2f}–{high:.2f}, {self.hits}/{self.of})"


def wilson(share: float, of: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many trials, after Wilson, 1927.

    >>> [round(limit, 3) for limit in wilson(0.9, 10)]
    [0.596, 0.982]
    """
    middle = share + z * z / (2 * of)
    width = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)


def ours(case: Case, directory: Path) -> Verdict:
    """Return what the installed rules say of a recorded case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "The rule .* failed")  # else a rule that fails would count as silent
        findings = tuple(diagnose(gradscope.load(directory).frames))
        told = bool(told_live(directory))
    alarms = [f for f in findings if rank(f.severity) >= 1]
    return Verdict(case, bool(alarms), frozenset(f.layer for f in alarms if f.layer is not None), findings, told)


def peers(case: Case, alarms: Sequence[Alarm]) -> Verdict:
    """Return what the alarms of a published tool's rules say of the same training."""
    return Verdict(case, bool(alarms), frozenset(alarm.layer for alarm in alarms if alarm.layer is not None))


def detection(verdicts: Iterable[Verdict]) -> dict[str, Count]:
    """Return how well sick cases are told from healthy ones."""
    counts = {name: Count() for name in ("precision", "recall", "false alarms", "right layer")}
    for verdict in verdicts:
        name = verdict.case.name
        if verdict.alarmed:
            counts["precision"].add(name, hit=not verdict.case.healthy)
        if verdict.case.healthy:
            counts["false alarms"].add(name, hit=verdict.alarmed)
            continue
        counts["recall"].add(name, hit=verdict.alarmed)
        wanted = {layer for layers in verdict.case.symptoms.values() for layer in layers}
        if wanted:
            counts["right layer"].add(name, hit=bool(wanted & verdict.layers))
    return counts


_WHILE = {False: "sick, and told while it trained", True: "healthy, and alarmed while it trained"}


def naming(verdicts: Iterable[Verdict]) -> dict[str, Count]:
    """Return how often our findings name what is wrong, and where."""
    names = ("findings that are right", "symptoms named", "right layer of a symptom", *_WHILE.values())
    counts = {name: Count() for name in names}
    for verdict in verdicts:
        case = verdict.case
        counts[_WHILE[case.healthy]].add(case.name, hit=verdict.told)
        for finding in verdict.findings:
            if rank(finding.severity) >= 1:
                right = finding.rule in case.symptoms or finding.rule in case.consequences
                counts["findings that are right"].add(f"{case.name}: {finding.key}", hit=right)
        for rule, layers in case.symptoms.items():
            found = [f for f in verdict.findings if f.rule == rule]
            counts["symptoms named"].add(f"{case.name}: {rule}", hit=bool(found))
            if layers and found:
                counts["right layer of a symptom"].add(
                    f"{case.name}: {found[0].key} for {layers}", hit=any(f.layer in layers for f in found)
                )
    return counts


def by_rule(verdicts: Sequence[Verdict]) -> dict[str, tuple[Count, Count, Count]]:
    """Return precision, recall and false alarms on healthy cases of each of our rules."""
    result: dict[str, tuple[Count, Count, Count]] = {}
    for rule in known_rules():
        precision, recall, healthy = Count(), Count(), Count()
        for verdict in verdicts:
            case = verdict.case
            fired = [f for f in verdict.findings if f.rule == rule]
            alarmed = any(rank(f.severity) >= 1 for f in fired)
            if alarmed:
                precision.add(case.name, hit=rule in case.symptoms or rule in case.consequences)
            if rule in case.symptoms:
                recall.add(case.name, hit=bool(fired))
            if case.healthy:
                healthy.add(case.name, hit=alarmed)
        result[rule] = precision, recall, healthy
    return result


def f1(counts: dict[str, Count]) -> float:
    precision, recall = counts["precision"].share, counts["recall"].share
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else math.nan


def flips(by_seed: Sequence[dict[str, Verdict]]) -> list[str]:
    """Return the cases of which the verdict depends on the seed."""
    names = set[str]().union(*by_seed)
    return sorted(n for n in names if len({seed[n].alarmed for seed in by_seed if n in seed}) > 1)


def tool_table(verdicts: dict[str, list[Verdict]]) -> list[str]:
    lines = [
        "| tool | precision | recall | F1 | false alarms on healthy models | right layer |",
        "|---|---|---|---|---|---|",
    ]
    for tool, of_tool in verdicts.items():
        counts = detection(of_tool)
        cells = [str(counts["precision"]), str(counts["recall"]), f"{f1(counts):.2f}"]
        cells += [str(counts["false alarms"]), str(counts["right layer"])]
        lines.append(f"| {tool} | {' | '.join(cells)} |")
    return lines


def rule_table(verdicts: Sequence[Verdict]) -> list[str]:
    lines = ["| rule | precision | recall | false alarms on healthy models |", "|---|---|---|---|"]
    for rule, counts in by_rule(verdicts).items():
        lines.append(f"| `{rule}` | {' | '.join(map(str, counts))} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="+", type=Path, help="what record.py wrote, one a seed")
    parser.add_argument("--half", choices=HALVES, help="read one half only")
    parser.add_argument("--details", action="store_true", help="list what was missed and what was falsely found")
    parser.add_argument("--write", action="store_true", help="put the tables into the README files")
    arguments = parser.parse_args()
    halves = (arguments.half,) if arguments.half else HALVES
    by_seed = [verdicts_of(directory, halves) for directory in arguments.directories]
    tables = {part: tables_of(part, [seed[part] for seed in by_seed]) for part in halves}
    print("\n\n".join(f"# {part}\n\n{text}" for part, text in tables.items()))
    if arguments.details:
        for part in halves:
            show_details([verdict for seed in by_seed for verdict in seed[part][OURS].values()])
    if arguments.write:
        write(tables)


Verdicts: TypeAlias = dict[str, dict[str, Verdict]]
"""By tool and by name of the case."""


def verdicts_of(directory: Path, halves: Sequence[str]) -> dict[str, Verdicts]:
    """Return, by half, what each tool says of each recorded case."""
    result: dict[str, Verdicts] = {part: {tool: {} for tool in (OURS, *PEERS)} for part in halves}
    for case in all_cases():
        place, part = directory / case.name, half(case)
        if part not in result:
            continue
        if not (place / "measurement.npz").is_file():
            print(f"{directory.name} holds no recording of {case.name}.", file=sys.stderr)
            continue
        result[part][OURS][case.name] = ours(case, place)
        measurement = load_measurement(place / "measurement.npz")
        for tool, verdict in PEERS.items():
            result[part][tool][case.name] = peers(case, verdict(measurement))
    return result


def tables_of(part: str, by_seed: Sequence[Verdicts]) -> str:
    """Return the tables of one half as Markdown."""
    by_seed = [seed for seed in by_seed if seed[OURS]]  # a seed may be recorded for one half only
    pooled = {tool: [verdict for seed in by_seed for verdict in seed[tool].values()] for tool in (OURS, *PEERS)}
    healthy = sum(verdict.case.healthy for verdict in pooled[OURS])
    changing = flips([seed[OURS] for seed in by_seed])
    heading = (
        f"{len(pooled[OURS])} trainings of the {part} half, {healthy} of them healthy, over {len(by_seed)} seed(s); in "
        "brackets the 95 % interval after Wilson and the counts."
    )
    lines = [
        heading,
        "",
        *tool_table(pooled),
        "",
        "GradScope's findings of medium or high severity, one by one:",
        "",
        *(f"- {name}: {count}" for name, count in naming(pooled[OURS]).items()),
        f"- verdicts that change with the seed: {', '.join(changing) or 'none'}",
        "",
        *rule_table(pooled[OURS]),
    ]
    return "\n".join(lines)


def write(tables: dict[str, str]) -> None:
    """Put the tables into the README of the zoo, and the first one of the half held back into that of the project."""
    details = "\n\n".join(f"### The {part} half\n\n{text}" for part, text in tables.items())
    replace_block(ROOT / "tests" / "zoo" / "README.md", details)
    if "held-back" in tables:
        first_table = tables["held-back"].split("\n\n")[:2]
        replace_block(ROOT / "README.md", "\n\n".join(first_table))


def replace_block(path: Path, text: str, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Put ``text`` between the two markers of a README."""
    begin, end = markers
    whole = path.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise SystemExit(f"{path.name} needs the markers {begin!r} and {end!r} once each.")
    before, _, rest = whole.partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def show_details(verdicts: Sequence[Verdict]) -> None:
    """Print what was missed and what was falsely found, case by case."""
    for verdict in verdicts:
        case = verdict.case
        found = [(f.rule, f.severity, f.layer) for f in verdict.findings]
        wrong = [
            f for f in verdict.findings
            if rank(f.severity) >= 1 and f.rule not in case.symptoms and f.rule not in case.consequences
        ]  # fmt: skip
        missed = [rule for rule in case.symptoms if rule not in {f.rule for f in verdict.findings}]
        if wrong or missed:
            print(f"\n{case.name}: wrong {[f.key for f in wrong]}, missed {missed}\n    {found}")


if __name__ == "__main__":
    main()
