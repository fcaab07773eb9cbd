"""
What has come of a run, and what is different in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smtpsource.report import facts
from smtpsource.report.html.markup import Html, Row, element, text
from smtpsource.report.html.room import facts as listed
from smtpsource.report.html.room import lines, table
from smtpsource.report.html.run import Run
from smtpsource.report.page import Change, Fact
from smtpsource.report.words import NOUNS, duration


def result(run: Run) -> Html:
    """
    The verdict, the figures that everybody asks for, and why it is so.
    """
    verdict, *others = facts.found(run.summary)
    label, said, style, *_ = verdict
    return (
        element("p", f"<strong>{text(label)}</strong> <span>{text(said)}</span>", f"verdict {style}".strip())
        + _figures(run)
        + _facts(others)
    )


def _figures(run: Run) -> Html:
    """
    The few numbers that everybody asks for.
    """
    summary = run.summary
    more = NOUNS[summary.exercise][1]
    found = []
    if summary.search is None:
        asked = "" if summary.askedRate is None else f", of {_number(summary.askedRate)}/s asked"
        found.append((f"{_number(summary.rate)}/s", f"{more} accepted{asked}"))
    elif summary.search.rate is not None:
        found.append((f"{_number(summary.search.rate)}/s", f"the highest rate that kept {summary.search.promise}"))
    phase = next((name for name in ("response", "transaction", "noop", "connect") if name in summary.latency), None)
    if phase is not None:
        latency = summary.latency[phase]
        known = (("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99), ("max", latency.maximum))
        found += [(duration(seconds), f"{name} of {phase}") for name, seconds in known if seconds is not None]
    messages = summary.messages
    bad = messages.rejected + messages.failed
    if messages.started:
        found.append((f"{bad / messages.started:.2%}", f"rejected or failed: {bad} of {messages.started}"))
    if summary.judgement is not None:
        judged = summary.judgement
        found.append((str(judged.lost), "lost"))
        found.append((str(judged.duplicated), "duplicated"))
    items = "".join(f"<li><b>{text(value)}</b> <span>{text(what)}</span></li>" for value, what in found)
    return f'<ul class="figures">{items}</ul>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def counted(run: Run) -> Html:
    """
    What was counted, and what it met.
    """
    return _facts((*facts.counted(run.summary), *facts.surroundings(run.summary)))


def _facts(those: Iterable[Fact]) -> Html:
    return listed(
        (fact.label, element("code", text(fact.text)) if fact.isCommand else text(fact.text), fact.style)
        for fact in those
    )


def changed(labels: Sequence[str], changes: Sequence[Change]) -> Html:
    """
    What has changed from one run to another, and whether it is more than noise.
    """

    def row(one: Change) -> Row:
        cells = map(text, (one.name, one.first, one.second, one.change, one.verdict))
        return Row(cells, "more" if one.isMore else "")

    headings = ["figure", *labels[:2], "change", "going by each second"]
    return table("From the first to the second", headings, changes, row, (0, 4))


def notes(those: Sequence[str]) -> Html:
    """
    Some lines.
    """
    return lines([element("li", text(one)) for one in those], lambda items: element("ul", items, "notes"))
