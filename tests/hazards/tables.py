"""The tables that a measurement writes: how many rows of each kind had which verdict, and which have a reason."""

from __future__ import annotations

import contextlib
import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from hazards.program import KINDS, Program
from hazards.rows import rows
from hazards.verdict import CHANGED, GRAPH, IN_PART, KILLED, NO_PREMISE, RECORDED, REFUSED, SILENT, VERDICTS, Verdict

README = Path(__file__).with_name("README.md")
VERDICTS_FILE = Path(__file__).with_name("verdicts.csv")
TITLES = {
    "step": "train steps",
    "random": "random sources",
    "optimizer": "optimizers",
    "data": "data",
    "device": "devices",
    "python": "Python state",
    "effect": "side effects",
    "fits": "repeated fits",
    "error": "errors",
    "precision": "precision",
    "mode": "modes",
}


def by_kind(found: Mapping[Program, Verdict]) -> str:
    """Return a table of kinds: rows in which the kind is not the harmless value, by verdict."""
    lines = [f"| kind | values | rows | {' | '.join(VERDICTS)} |", "|---|---" + "|---" * (1 + len(VERDICTS)) + "|"]
    for kind, title in TITLES.items():
        chosen = [verdict for program, verdict in found.items() if kind in program.hazards]
        lines.append(_line(title, str(len([*KINDS[kind]])), chosen))
    lines.append(_line("**all**", "", found.values()))
    return "\n".join(lines)


def _line(title: str, values: str, verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdict.kind for verdict in verdicts)
    return f"| {title} | {values} | {sum(counts.values())} | {' | '.join(str(counts[kind]) for kind in VERDICTS)} |"


def with_reasons(found: Mapping[Program, Verdict]) -> str:
    """Return a table of the rows that are not recorded in full, with the reason."""
    lines = ["| row | verdict | recorded | why |", "|---|---|---|---|"]
    for program, verdict in found.items():
        if verdict.why:
            why = verdict.why.replace("|", r"\|")
            lines.append(f"| {program.name} | {verdict.kind} | {verdict.records} of {verdict.batches} | {why} |")
    return "\n".join(lines) if len(lines) > 2 else "None."


def in_short(found: Mapping[Program, Verdict]) -> str:
    """Return a sentence with the counts, which says how many rows are measured where not all are."""
    counts = Counter(verdict.kind for verdict in found.values())
    total = len(rows())
    of_all = (
        f"Of {total} programs" if len(found) == total else f"Of {total} programs {len(found)} are measured; of these"
    )
    return (
        f"{of_all} {counts[RECORDED]} are recorded in full, {counts[IN_PART]} in part and {counts[REFUSED]} not, with "
        f"the reason; {counts[CHANGED]} are changed, {counts[GRAPH]} the same by another graph, {counts[KILLED]} end, "
        f"of {counts[SILENT]} nothing is recorded nor said, and {counts[NO_PREMISE]} are not the same twice without it."
    )


def read() -> dict[Program, Verdict]:
    """Return the verdicts that are kept, of the rows that there still are, in their order."""
    kept: dict[str, Verdict] = {}
    with contextlib.suppress(FileNotFoundError), VERDICTS_FILE.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            kept[line["row"]] = Verdict(line["verdict"], line["why"], int(line["records"]), int(line["batches"]))
    return {program: kept[program.name] for program in rows() if program.name in kept}


def keep(found: Mapping[Program, Verdict]) -> None:
    """Keep these verdicts beside those of rows that were measured before, and write the tables of all."""
    together = read() | dict(found)
    ordered = {program: together[program] for program in rows() if program in together}
    with VERDICTS_FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "verdict", "records", "batches", "why"])
        for program, verdict in ordered.items():
            writer.writerow([program.name, verdict.kind, verdict.records, verdict.batches, verdict.why])
    README.write_text(with_tables(README.read_text(encoding="utf-8"), ordered), encoding="utf-8")


def with_tables(text: str, found: Mapping[Program, Verdict]) -> str:
    """Return a text with the tables between its markers."""
    blocks = {"short": in_short(found), "kinds": by_kind(found), "reasons": with_reasons(found)}
    for name, block in blocks.items():
        pattern = rf"(<!-- {name}: [^\n]* -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda match, block=block: f"{match[1]}{block}\n{match[2]}", text, flags=re.DOTALL)
    return text
