"""
A summary as text, for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from smtpsource.measure.histogram import nameOf
from smtpsource.measure.summary import Summary, Tally
from smtpsource.phases import MEANINGS
from smtpsource.report import facts
from smtpsource.report.page import Fact, Line, Page
from smtpsource.report.usual import Usual, usualOf
from smtpsource.report.words import duration

if TYPE_CHECKING:
    from smtpsource.measure.counters import AddressCounts
    from smtpsource.measure.histogram import Latency
    from smtpsource.measure.search import Found

#: Where the text of a reply, or of an error, goes on if it takes several lines.
_SAMPLE_INDENT = 31

#: The columns of a latency table: of a phase's name, of a count, and of each other figure at the least.
_NAME, _COUNT, _FIGURE = 12, 9, 8


def render(summary: Summary, page: Page | None = None) -> str:
    """
    A summary in lines: all of it, or, where that is wanted, without what is as usual.

    @param page: where they are shown; C{None} is 80 columns, without colors, and for all of it.
    """
    page = page or Page()
    return page.lay(_lines(summary, page))


def _lines(summary: Summary, page: Page) -> Iterator[Line | str]:
    yield from (fact.line for fact in facts.found(summary))
    yield ""
    said = [*facts.counted(summary), *facts.surroundings(summary)]
    usual = Usual() if page.isWhole else usualOf(summary, said)
    yield from (fact.line for fact in said if fact not in usual.facts)
    if summary.search is not None:
        yield from _steps(summary.search)
    yield from _addresses(summary.addresses)
    yield from _latencies(summary, usual, page.width)
    yield from _replies(summary, usual)
    yield from _errors(summary.errors)
    if summary.marks:
        from smtpsource.report import beside  # few have such

        yield from beside.marksOf(summary.marks)
    if any(sample.watched for sample in summary.series):
        from smtpsource.report import beside

        yield from beside.watchedOf(summary.series)
    words = usual.words
    if words:
        yield ""
        yield Fact("with -v", words, "aside").line


def _addresses(addresses: Mapping[str, AddressCounts]) -> Iterator[Line | str]:
    if len(addresses) < 2:
        return
    width = max(map(len, addresses)) + 2
    yield ""
    yield f"{'addresses':<{width}}{'opened':>9}{'failed':>9}{'accepted':>11}"
    for address, counts in addresses.items():
        name = f"  {counts.name}" if counts.name else ""
        row = f"{address:<{width}}{counts.opened:>9}{counts.failed:>9}{counts.accepted:>11}{name}"
        yield Line(row, "doubtful" if counts.failed else "", 4)


def _latencies(summary: Summary, usual: Usual, width: int) -> Iterator[Line | str]:
    """
    A table; where there is no room for all of its columns there is a second one below.
    """
    latencies = {phase: latency for phase, latency in summary.latency.items() if phase not in usual.phases}
    if not latencies:
        return
    headings = ["mean", *map(nameOf, summary.percentiles), "max"]
    rows = {phase: _figuresOf(summary, phase, latency) for phase, latency in latencies.items()}
    column = max(_FIGURE, 1 + max(map(len, headings)))
    room = max(1, (width - _NAME - _COUNT) // column)
    for begin in range(0, len(headings), room):
        part = slice(begin, begin + room)
        yield ""
        yield f"{'latency':<{_NAME}}{'count':>{_COUNT}}" + "".join(f"{name:>{column}}" for name in headings[part])
        for phase, figures in rows.items():
            times = "".join(f"{'-' if each is None else duration(each):>{column}}" for each in figures[part])
            yield f"{phase:<{_NAME}}{latencies[phase].count:>{_COUNT}}{times}"
    meanings = [f"{phase}: {meaning}" for phase, meaning in MEANINGS.items() if phase in rows]
    if len(meanings) < len(rows):
        meanings.append("others: the reply to that command" if meanings else "the replies to these commands")
    yield Line("; ".join(meanings), "aside", 0)


def _figuresOf(summary: Summary, phase: str, latency: Latency) -> list[float | None]:
    return [latency.mean, *(summary.percentile(phase, each) for each in summary.percentiles), latency.maximum]


def _replies(summary: Summary, usual: Usual) -> Iterator[Line | str]:
    replies = {phase: codes for phase, codes in summary.replies.items() if phase not in usual.replies}
    if not replies:
        return
    yield ""
    yield f"{'replies':<12}{'code':>6}{'count':>11}  the first one"
    for phase, codes in replies.items():
        for code, tally in codes.items():
            sample = tally.sample
            if phase == "helo" and summary.capabilities and code.startswith("2"):
                sample = sample.partition(" | ")[0]  # the rest of it was told: what is announced
            style = {"4": "doubtful", "5": "bad"}.get(code[:1], "")
            yield Line(f"{phase:<12}{code:>6}{tally.count:>11}  {sample}", style, _SAMPLE_INDENT)


def _errors(errors: Mapping[str, Tally]) -> Iterator[Line | str]:
    if not errors:
        return
    yield ""
    yield f"{'errors':<18}{'count':>11}  the first one"
    for kind, tally in errors.items():
        yield Line(f"{kind:<18}{tally.count:>11}  {tally.sample}", "bad", _SAMPLE_INDENT)


def _steps(found: Found) -> Iterator[Line | str]:
    yield ""
    yield f"{'search':<9}{'asked':>9}{'achieved':>11}  {found.promise}"
    for step in found.steps:
        rates = f"{step.rate:>7g}/s{step.achieved:>9.1f}/s"
        text = f"{step.purpose:<9}{rates}  {'kept' if step.passed else 'BROKEN'}: {step.actual}"
        yield Line(text, "" if step.passed else "doubtful", _SAMPLE_INDENT)
