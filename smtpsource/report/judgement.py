"""
What became of every message, as text and for JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from smtpsource.measure.encoding import decode, encode
from smtpsource.measure.histogram import Latency, summarize
from smtpsource.measure.judgement import CLASSES, TOLD, Judgement
from smtpsource.report.page import Fact, Line
from smtpsource.report.words import duration, several

_STYLES = {"pass": "good", "fail": "bad", "inconclusive": "doubtful"}

#: Why some came twice, in words.
_WHY = {
    "unknown-outcome": "after an unknown outcome",
    "unseen-reply": "after a reply that may not have been seen",
    "rule": "by a rule of the sink",
    "none": "for no reason",
}

#: What is said besides the classes, one and several.
_BESIDES = (
    ("corrupted", "arrived with another body"),
    ("transformed", "arrived with the same body, written in another way"),
    ("contradicted", "refused, and arrived"),
    ("misreported", "reported as not delivered, and arrived"),
    ("astray", "came for others as well"),
    ("early", "arrived before the acknowledgement was read"),
)

_STRANGERS = (
    ("ghosts", "never sent"),
    ("foreign", "of other runs"),
    ("unidentified", "without an id"),
    ("damaged", "with a damaged id"),
)

#: What an attribute is called in JSON, if that is something else.
_NAMES = {"ghosts": "ghost"}
_ATTRIBUTES = {key: name for name, key in _NAMES.items()}
_KEYS = {field.name: _NAMES.get(field.name, field.name) for field in fields(Judgement) if field.name != "buckets"}


def documentOf(judgement: Judgement) -> dict[str, Any]:
    """
    For JSON; the latencies stand elsewhere in a report, but for how early some were.
    """
    document = {key: getattr(judgement, name) for name, key in _KEYS.items()}
    return {
        **document,
        "reasons": list(judgement.reasons),
        "duplicatedBy": dict(judgement.duplicatedBy),
        "anomalies": [dict(anomaly) for anomaly in judgement.anomalies],
        "anomalyCount": judgement.anomalyCount,
        "earlyBy": _earlyBy(judgement),
    }


def _earlyBy(judgement: Judgement) -> dict[str, Any] | None:
    found = earlyOf(judgement)
    if found is None:
        return None
    figures = {"p50": found.p50, "p99": found.p99, "max": found.maximum}
    return {**figures, "histogram": encode(judgement.buckets["early"])}


def earlyOf(judgement: Judgement) -> Latency | None:
    """
    By how much some arrived before their acknowledgement was read.
    """
    return summarize(judgement.buckets.get("early", ()))


def judgementOf(document: Mapping[str, Any]) -> Judgement:
    """
    The other way round. There may be more in the document, or less where there are defaults.
    """
    early = document.get("earlyBy")
    buckets = {"early": decode(early["histogram"])} if early else {}
    return Judgement(buckets=buckets, **{name: document[key] for name, key in _KEYS.items() if key in document})


def factsOf(judgement: Judgement, where: str = "DIR") -> Iterator[Fact]:
    """
    A judgement for people, the verdict first; what is 0 is not told.

    @param where: the words that say where the ledgers are, for the command that says more.
    """
    yield Fact("ledger", *verdictOf(judgement))
    counts = [f"{getattr(judgement, name)} {name}" for name in CLASSES if getattr(judgement, name)]
    sent = several(judgement.sent, "message and recipient", "messages and recipients")
    yield Fact("fates", f"{sent}{': ' if counts else ''}{', '.join(counts)}")
    if judgement.duplicated:
        yield Fact("", f"{judgement.duplicated} duplicated: {_reasons(judgement.duplicatedBy)}", "bad")
    for name, words in _BESIDES:
        count = getattr(judgement, name)
        if count:
            more = _by(judgement) if name == "early" else ""
            yield Fact("", f"{count} {words}{more}", "bad" if name in ("corrupted", "astray") else "")
    strangers = "".join(f", {count} {words}" for name, words in _STRANGERS if (count := getattr(judgement, name)))
    yield Fact("arrivals", f"{judgement.arrivals} of this run{strangers}")
    if judgement.drain is not None:
        yield Fact(
            "drain",
            f"{duration(judgement.drain)} from the last acknowledgement to the last arrival; at most "
            f"{judgement.backlogPeak} were under way",
        )
    told: dict[str, list[Fact]] = {}
    for anomaly in judgement.anomalies:
        told.setdefault(str(anomaly["class"]), []).append(_anomaly(anomaly))
    for name, lines in told.items():
        yield from lines
        attribute = _ATTRIBUTES.get(name, name)
        others = getattr(judgement, attribute) - len(lines) if attribute in TOLD else 0
        if others > 0:
            yield Fact(name, f"and {others} more")
    if judgement.anomalies:
        yield Fact("", "the history of one of them:", "aside")
        yield Fact("", f"smtpsource reconcile --show ID {where}", "aside", isCommand=True)


def linesOf(judgement: Judgement, where: str = "DIR") -> Iterator[Line]:
    """
    The same as lines of text.
    """
    return (fact.line for fact in factsOf(judgement, where))


def _by(judgement: Judgement) -> str:
    found = earlyOf(judgement)
    return "" if found is None else f", by {duration(found.p50)} (p50), up to {duration(found.maximum)}"


def verdictOf(judgement: Judgement) -> tuple[str, str]:
    """
    @return: the verdict, and why, in a line; and its style.
    """
    came = "; ".join(judgement.reasons) or _well(judgement)
    verdict = judgement.verdict.upper() if judgement.verdict == "fail" else judgement.verdict
    return f"{verdict}: {came}", _STYLES[judgement.verdict]


def _well(judgement: Judgement) -> str:
    arrived = f"{judgement.delivered} acknowledged have arrived, each once"
    if not judgement.delivered:
        return f"nothing is lost: {f'{judgement.bounced} bounced' if judgement.bounced else 'nothing was acknowledged'}"
    return f"{arrived}, and {judgement.bounced} bounced" if judgement.bounced else f"all {arrived}"


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {_WHY.get(reason, reason)}" for reason, count in counts.items())


def _anomaly(anomaly: Mapping[str, object]) -> Fact:
    reason = f", {_WHY.get(str(anomaly['reason']), anomaly['reason'])}" if "reason" in anomaly else ""
    whom = f" for {anomaly['recipient']}" if anomaly.get("recipient") else ""
    return Fact(str(anomaly["class"]), f"{anomaly['id']}{whom}{reason}")
