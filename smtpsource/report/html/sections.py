"""
What stands on a page besides charts: what a run has come to, what was said, on what it ran.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from smtpsource.measure.summary import Summary
from smtpsource.phases import MEANINGS
from smtpsource.report import facts
from smtpsource.report.document import summaryFrom
from smtpsource.report.html.markup import Html, Row, definitions, element, lines, section, table, text
from smtpsource.report.page import Change, Fact
from smtpsource.report.words import NOUNS, duration

Document = Mapping[str, Any]


def lightly(document: Document) -> Summary:
    """
    The summary of a report without what takes long to read: histograms, the series and the timeline.
    """
    return summaryFrom({**document, "histograms": {}, "series": (), "timeline": None, "marks": ()})


class _Run(NamedTuple):
    label: str
    document: Document
    summary: Summary


def before(
    documents: Sequence[Document],
    labels: Sequence[str],
    changes: Sequence[Change] = (),
    differences: Sequence[str] = (),
) -> Iterator[Html]:
    """
    The sections that come before the charts.

    @param documents: reports, as the schema says.
    @param labels: what to call them.
    @param changes: from the first to the second.
    @param differences: what was different of what they ran on.
    """
    runs = _runs(documents, labels)
    yield section("verdict", "Result", _each(runs, _result))
    yield section("changes", "What has changed", _changes(labels, changes) + _notes(differences))


def after(documents: Sequence[Document], labels: Sequence[str]) -> Iterator[Html]:
    """
    The sections that come after them.
    """
    runs = _runs(documents, labels)
    for name, title, content in _AFTER:
        yield section(name, title, _each(runs, content))


def _runs(documents: Sequence[Document], labels: Sequence[str]) -> list[_Run]:
    return [_Run(label, one, lightly(one)) for one, label in zip(documents, labels, strict=True)]


def _each(runs: Sequence[_Run], content: Callable[[_Run], Html]) -> Html:
    if len(runs) == 1:
        return content(runs[0])
    found = [(run.label, content(run)) for run in runs]
    return "".join(f"<h3>{text(label)}</h3>{html}" for label, html in found if html)


def _result(run: _Run) -> Html:
    verdict, *others = facts.found(run.summary)
    label, said, style, *_ = verdict
    return (
        element("p", f"<strong>{text(label)}</strong> <span>{text(said)}</span>", f"verdict {style}".strip())
        + _figures(run)
        + _facts(others)
    )


def _facts(those: Iterable[Fact]) -> Html:
    return definitions(
        (fact.label, element("code", text(fact.text)) if fact.isCommand else text(fact.text), fact.style)
        for fact in those
    )


def _figures(run: _Run) -> Html:
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


def _changes(labels: Sequence[str], changes: Sequence[Change]) -> Html:
    rows = (
        Row(map(text, (one.name, one.first, one.second, one.change, one.verdict)), "more" if one.isMore else "")
        for one in changes
    )
    return table("From the first to the second", ["figure", *labels[:2], "change", "going by each second"], rows)


def _notes(those: Sequence[str]) -> Html:
    items = "".join(element("li", text(one)) for one in those)
    return element("ul", items, "notes") if items else ""


def _marks(run: _Run) -> Html:
    rows = [
        Row(
            (
                str(number),
                f"{mark['at']:.1f} s",
                text(mark.get("kind", "note")),
                text(mark["text"]) + _output(mark.get("output") or ""),
                "" if mark.get("status") is None else str(mark["status"]),
                "" if mark.get("seconds") is None else duration(mark["seconds"]),
            ),
            "bad" if mark.get("status") else "",
        )
        for number, mark in enumerate(run.document.get("marks", ()), 1)
    ]
    return table("What was done meanwhile", ["mark", "at", "kind", "what", "status", "took"], rows, 4)


def _output(output: str) -> Html:
    if not output.strip():
        return ""
    return f"<details><summary>output</summary><pre>{lines(output.rstrip())}</pre></details>"


def _counted(run: _Run) -> Html:
    return _facts((*facts.counted(run.summary), *facts.surroundings(run.summary)))


def _search(run: _Run) -> Html:
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
    return table(f"Rates that were tried: {found.promise}", ["step", "asked", "achieved", "promise", "figure"], rows)


def _latencies(run: _Run) -> Html:
    latency = run.document["latency"]
    names = {name for figures in latency.values() for name in figures if name[:1] == "p" and name[1:2].isdigit()}
    percentiles = sorted((name for name in names if _isNumber(name[1:])), key=lambda name: float(name[1:]))
    columns = ["min", "mean", *percentiles, "max"]
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


def _isNumber(word: str) -> bool:
    return word.replace(".", "", 1).isdecimal()


def _replies(run: _Run) -> Html:
    styles = {"4": "doubtful", "5": "bad"}
    rows = (
        Row((text(phase), text(code), text(tally["sample"]), str(tally["count"])), styles.get(code[:1], ""))
        for phase, codes in run.document["replies"].items()
        for code, tally in codes.items()
    )
    return table("Replies of the server", ["to", "code", "the first one", "count"], rows, 3)


def _errors(run: _Run) -> Html:
    rows = (
        Row((text(kind), text(tally["sample"]), str(tally["count"])), "bad")
        for kind, tally in run.document["errors"].items()
    )
    return table("Errors", ["kind", "the first one", "count"], rows, 2)


def _addresses(run: _Run) -> Html:
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
    return table("Addresses of the destination", ["address", "name", "opened", "failed", "accepted"], rows, 2)


def _workers(run: _Run) -> Html:
    rows = (
        Row(
            (
                str(number),
                text(one.get("host") or ""),
                text(one["started"]),
                *(f"{one['cpu'][kind]:.2f} s" for kind in ("user", "system")),
                text(one.get("lost") or ""),
            ),
            "bad" if one.get("lost") else "",
        )
        for number, one in enumerate(run.document.get("environment", {}).get("workers") or (), 1)
    )
    return table("Workers", ["worker", "host", "started", "user CPU", "system CPU", "lost"], rows, 2)


def _environment(run: _Run) -> Html:
    known = run.document.get("environment", {})
    pairs = _flat({name: value for name, value in known.items() if name != "workers"})
    return definitions((name, text(value), "") for name, value in pairs)


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """
    What is in objects within each other, with the names on the way there.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path} {name}".strip())
    elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        for number, inner in enumerate(value, 1):
            yield from _flat(inner, f"{path} {number}")
    elif value is not None and value != []:
        yield path, ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _command(run: _Run) -> Html:
    command = run.document["command"]
    return element("pre", element("code", text(shlex.join(command)))) if command else ""


_AFTER: tuple[tuple[str, str, Callable[[_Run], Html]], ...] = (
    ("marks", "Marks", _marks),
    ("counts", "Figures", _counted),
    ("search", "Search", _search),
    ("latencies", "Latencies", _latencies),
    ("replies", "Replies", _replies),
    ("errors", "Errors", _errors),
    ("addresses", "Addresses", _addresses),
    ("workers", "Workers", _workers),
    ("environment", "Environment", _environment),
    ("command", "Command", _command),
)
