"""
Tables of a run: what was measured, said and done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smtpsource.measure.search import Step
from smtpsource.phases import MEANINGS
from smtpsource.report import beside
from smtpsource.report.html.curves import percentilesIn
from smtpsource.report.html.markup import Html, Row, definitions, element, text
from smtpsource.report.html.markup import table as wholeTable
from smtpsource.report.html.outputs import outputsOf
from smtpsource.report.html.room import TOGETHER, fitting, table
from smtpsource.report.html.run import Run
from smtpsource.report.words import duration

_Tally = Mapping[str, Any]

#: A document has by this name how many marks there were before those that it has.
EARLIER_MARKS = "earlierMarks"


def marks(run: Run) -> Html:
    """
    What was done meanwhile, with the numbers that stand in the charts, and what has come of it.
    """
    found, earlier = run.summary.marks, run.document.get(EARLIER_MARKS, 0)
    rows = [
        Row(
            (
                str(number),
                f"{mark.at:.1f} s",
                text(mark.kind),
                text(mark.text),
                "" if mark.status is None else str(mark.status),
                "" if mark.seconds is None else duration(mark.seconds),
                *map(text, beside.effectOf(mark)),
            ),
            "bad" if mark.status else "",
        )
        for number, mark in enumerate(found, 1 + earlier)
    ]
    count = fitting(rows, TOGETHER)
    for row, output in zip(rows, outputsOf(found[:count]), strict=False):
        row[3] += output
    headings = ["mark", "at", "kind", "what", "status", "took", "rate", "p99", "back after"]
    told = "Rate, p99 of transactions: the worst second until the run was as before; back after: how long that took."
    shown = wholeTable("What was done meanwhile", headings, rows[:count], (2, 3))
    if any(mark.effect for mark in found):
        shown += element("p", told, "aside")
    if earlier:
        shown += element("p", f"The first {earlier} are not told here, but in the report.", "aside")
    if count < len(rows):
        shown += element("p", f"And {len(rows) - count} more: see the report.", "aside")
    return shown


def search(run: Run) -> Html:
    """
    The rates that a search has tried.
    """
    found = run.summary.search
    if found is None:
        return ""

    def row(step: Step) -> Row:
        cells = (
            text(step.purpose),
            f"{step.rate:g}/s",
            f"{step.achieved:.1f}/s",
            "kept" if step.passed else "BROKEN",
            text(step.actual),
        )
        return Row(cells, "" if step.passed else "doubtful")

    headings = ["step", "asked", "achieved", "promise", "figure"]
    return table(f"Rates that were tried: {found.promise}", headings, found.steps, row, (0, 3, 4))


def latencies(run: Run) -> Html:
    """
    Latencies by phase.
    """
    latency = run.document["latency"]
    names = {name for figures in latency.values() for name in figures}
    columns = ["min", "mean", *(name for _, name in percentilesIn(names)), "max"]

    def row(phase: str) -> list[Html]:
        figures = latency[phase]
        shown = ("-" if figures.get(name) is None else duration(figures[name]) for name in columns)
        return [text(phase), str(figures["count"]), *shown]

    told = definitions((phase, text(meaning), "") for phase, meaning in MEANINGS.items() if phase in latency)
    rest = f"<details><summary>What the phases are</summary>{told}<p>Others: the reply to that command.</p></details>"
    return table("Latencies by phase", ["phase", "count", *columns], latency, row) + (rest if told else "")


def watched(run: Run) -> Html:
    """
    What was watched beside the run.
    """
    found = beside.figuresOf(sample.get("watched") for sample in run.document.get("series", ()))
    headings = ["name", "first", "last", "highest"]
    return table("Watched beside the run", headings, found, lambda row: list(map(text, row)))


def replies(run: Run) -> Html:
    """
    What the server has said, and how often.
    """
    styles = {"4": "doubtful", "5": "bad"}
    found = ((phase, code, tally) for phase, codes in run.document["replies"].items() for code, tally in codes.items())

    def row(one: tuple[str, str, _Tally]) -> Row:
        phase, code, tally = one
        return Row((text(phase), text(code), text(tally["sample"]), str(tally["count"])), styles.get(code[:1], ""))

    headings = ["to", "code", "the first one", "count"]
    return table(
        "Replies of the server", headings, found, row, (0, 1, 2), weight=lambda one: one[2]["count"], isCount=True
    )


def errors(run: Run) -> Html:
    """
    What went wrong, and how often.
    """

    def row(one: tuple[str, _Tally]) -> Row:
        kind, tally = one
        return Row((text(kind), text(tally["sample"]), str(tally["count"])), "bad")

    found, headings = run.document["errors"].items(), ["kind", "the first one", "count"]
    return table("Errors", headings, found, row, (0, 1), weight=lambda one: one[1]["count"], isCount=True)


def addresses(run: Run) -> Html:
    """
    How often each address of the destination was used, if there are several.
    """
    found = run.document.get("addresses", {})
    if len(found) < 2:
        return ""

    def row(address: str) -> Row:
        counts = found[address]
        used = (str(counts[name]) for name in ("opened", "failed", "accepted"))
        return Row((text(address), text(counts.get("name") or ""), *used), "doubtful" if counts["failed"] else "")

    headings = ["address", "name", "opened", "failed", "accepted"]
    weight = lambda address: found[address]["opened"] + found[address]["failed"]  # noqa: E731
    return table("Addresses of the destination", headings, found, row, (0, 1), weight=weight)
