"""
A run as a test, in the XML that JUnit made common: continuous integration shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from xml.etree import ElementTree as ET

from smtpsource.measure import thresholds
from smtpsource.measure.summary import Summary
from smtpsource.printable import printable
from smtpsource.report.facts import answerOf, outcomes
from smtpsource.report.text import render


def lines(summary: Summary) -> Iterator[str]:
    """
    The document: one test for the run, which fails unless everything was accepted, one for what became of every
    message, if that is known, and one for each threshold.
    """
    failures = _runFailures(summary)
    judged = [] if summary.judgement is None else [summary.judgement]
    promises = [] if summary.search is None else [summary.search]
    failed = bool(failures) + sum(not outcome.passed for outcome in summary.thresholds)
    failed += sum(found.rate is None for found in promises)
    verdicts = [thresholds.verdictBesides(_thresholdsOf(summary), one) for one in judged]
    failed += sum(verdict != "pass" for verdict in verdicts)
    tests = 1 + len(promises) + len(judged) + len(summary.thresholds)
    numbers = {"tests": str(tests), "failures": str(failed), "errors": "0"}
    times = {"time": f"{summary.elapsed:.3f}"}
    suites = ET.Element("testsuites", {"name": "smtpsource", **numbers, **times})
    suite = ET.SubElement(suites, "testsuite", {"name": "smtpsource", **numbers, **times})
    suite.set("timestamp", summary.started[:19])  # local time, without a zone: its schema wants no more
    if "host" in summary.environment:
        suite.set("hostname", printable(str(summary.environment["host"])))
    _case(suite, "run", times, failures)
    for found in promises:
        answer = [] if found.rate is not None else [answerOf(found) if found.steps else "no rate was tried to its end"]
        _case(suite, f"find-rate: {found.promise}", {"time": "0"}, answer)
    for one, verdict in zip(judged, verdicts, strict=True):
        answer = [] if verdict == "pass" else [f"{one.verdict}: {'; '.join(one.reasons)}"]
        _case(suite, "ledger", {"time": "0"}, answer)
    for outcome in summary.thresholds:
        _case(suite, outcome.text, {"time": "0"}, [] if outcome.passed else [f"it was {outcome.actual}"])
    ET.SubElement(suite, "system-out").text = render(summary)
    ET.indent(suites)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield ET.tostring(suites, encoding="unicode") + "\n"


def _thresholdsOf(summary: Summary) -> Iterator[thresholds.Threshold]:
    for outcome in summary.thresholds:
        with suppress(ValueError):  # a report may be of another version
            yield thresholds.parse(outcome.text)


def _runFailures(summary: Summary) -> list[str]:
    """
    Why a run deserves the status 1, or would without its thresholds.
    """
    judged = summary.judgement is not None and summary.judgement.verdict != "pass"
    if summary.exit == 0 or ((summary.exit == 3 or judged) and not _failedBesides(summary)):
        return []
    became = outcomes(summary.messages)
    stopped = ["the run was stopped before its end"] if summary.ended == "signal" else []
    samples = [f"{kind}: {tally.sample}" for kind, tally in summary.errors.items()]
    return [summary.reason or became, *([became] if summary.reason else []), *stopped, *summary.incomplete, *samples]


def _failedBesides(summary: Summary) -> bool:
    """
    Has a run failed in another way than by its thresholds and its ledger?
    """
    byThreshold = summary.ended == "aborted" and (summary.reason or "").startswith("threshold ")
    if summary.ended != "done" and not byThreshold:
        return True
    if summary.search is not None:
        return False  # what rates that are too high have done is part of it
    if summary.incomplete:
        return True
    messages = summary.messages
    spoilt = summary.recipientsRejected or summary.dropped or "unexpected-reply" in summary.errors
    return bool(spoilt) or messages.accepted != messages.started


def _case(suite: ET.Element, name: str, times: dict[str, str], failures: list[str]) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": "smtpsource", "name": printable(name), **times})
    if failures:
        failure = ET.SubElement(case, "failure", {"message": printable(failures[0]), "type": "failure"})
        failure.text = "\n".join(map(printable, failures))
