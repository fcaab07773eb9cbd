"""
Tables of a run: what was measured, said and done.
"""

from __future__ import annotations

from smtpsource.phases import MEANINGS
from smtpsource.report import beside
from smtpsource.report.html.curves import percentilesIn
from smtpsource.report.html.markup import Html, Row, definitions, element, table, text
from smtpsource.report.html.room import fitting, outputsOf
from smtpsource.report.html.run import Run
from smtpsource.report.words import duration

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
    count = fitting(rows)
    for row, output in zip(rows, outputsOf(found[:count]), strict=False):
        row[3] += output
    headings = ["mark", "at", "kind", "what", "status", "took", "rate", "p99", "back after"]
<<<<<<< HEAD
    told = "Rate, p99 of transactions: the worst second until the run was as before; back after: how long that took."
=======
    told = "Rate, p99: the worst second until the run was as before; back after: how long that took."
>>>>>>> md4
    shown = table("What was done meanwhile", headings, rows[:count], (0, 2, 3))
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
    rows = (
        Row(
            (
                text(step.purpose),
                f"{step.rate:g}/s",
                f"{step.achieved:.1f}/s",
                "kept" if step.passed else "BROKEN",
                text(step.actual),
            ),
            "" if step.passed else "doubtful",
        )
        for step in found.steps
    )
    return table(
        f"Rates that were tried: {found.promise}", ["step", "asked", "achieved", "promise", "figure"], rows, (0, 3, 4)
    )


def latencies(run: Run) -> Html:
    """
    Latencies by phase.
    """
    latency = run.document["latency"]
    names = {name for figures in latency.values() for name in figures}
    columns = ["min", "mean", *(name for _, name in percentilesIn(names)), "max"]
    rows = (
        [
            text(phase),
            str(figures["count"]),
            *("-" if figures.get(name) is None else duration(figures[name]) for name in columns),
        ]
        for phase, figures in latency.items()
    )
    told = definitions((phase, text(meaning), "") for phase, meaning in MEANINGS.items() if phase in latency)
    rest = f"<details><summary>What the phases are</summary>{told}<p>Others: the reply to that command.</p></details>"
    return table("Latencies by phase", ["phase", "count", *columns], rows) + (rest if told else "")


def watched(run: Run) -> Html:
    """
    What was watched beside the run.
    """
    found = beside.figuresOf(sample.get("watched") for sample in run.document.get("series", ()))
    rows = (list(map(text, row)) for row in found)
    return table("Watched beside the run", ["name", "first", "last", "highest"], rows)


def replies(run: Run) -> Html:
    """
    What the server has said, and how often.
    """
    styles = {"4": "doubtful", "5": "bad"}
    rows = (
        Row((text(phase), text(code), text(tally["sample"]), str(tally["count"])), styles.get(code[:1], ""))
        for phase, codes in run.document["replies"].items()
        for code, tally in codes.items()
    )
    return table("Replies of the server", ["to", "code", "the first one", "count"], rows, (0, 1, 2))


def errors(run: Run) -> Html:
    """
    What went wrong, and how often.
    """
    rows = (
        Row((text(kind), text(tally["sample"]), str(tally["count"])), "bad")
        for kind, tally in run.document["errors"].items()
    )
    return table("Errors", ["kind", "the first one", "count"], rows, (0, 1))


def addresses(run: Run) -> Html:
    """
    How often each address of the destination was used, if there are several.
    """
    found = run.document.get("addresses", {})
    if len(found) < 2:
        return ""
    rows = (
        Row(
            (
                text(address),
                text(counts.get("name") or ""),
                *(str(counts[name]) for name in ("opened", "failed", "accepted")),
            ),
            "doubtful" if counts["failed"] else "",
        )
        for address, counts in found.items()
    )
    return table("Addresses of the destination", ["address", "name", "opened", "failed", "accepted"], rows, (0, 1))
