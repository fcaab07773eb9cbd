"""
What is said of a run, in words, whatever it is shown on: what it comes to, what was counted, what it ran on.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from smtpsource.measure.summary import Messages, Summary
from smtpsource.report.page import Fact
from smtpsource.report.words import NOUNS, amount, several

if TYPE_CHECKING:
    from smtpsource.measure.search import Found, Tried

#: Of so many workers it is told what each has done; of more, the least and the most.
_MOST_WORKERS = 8

#: A worker that has used so many times the mean of all has used more than others.
_MORE = 1.1

#: What is said of the end, by C{ended}.
_HOW = {
    "done": "",
    "aborted": ", ended before its time",
    "signal": ", stopped before its end",
    "running": ", not at its end",
}


def found(summary: Summary) -> Iterator[Fact]:
    """
    What has come of it, the verdict first.
    """
    yield verdict(summary)
    for reason in summary.limits:
        yield Fact("LIMITED BY", f"the generator, not the server: {reason}", "bad")
    for reason in summary.disturbances:
        yield Fact("DISTURBED", f"by this machine, not the server: {reason}", "doubtful")
    for missing in summary.incomplete:
        yield Fact("INCOMPLETE", missing, "bad")
    for hint in summary.hints:
        yield Fact("hint", hint, "doubtful")
    yield from _drifts(summary)
    for outcome in summary.thresholds:
        label, style = ("pass", "good") if outcome.passed else ("FAIL", "bad")
        yield Fact(label, f"{outcome.text}: {outcome.actual}", style)
    if summary.judgement is not None:
        from smtpsource.report import judgement  # for those who have one

        directory = os.path.dirname(next(iter(_ledgers(summary)), ""))
        yield from judgement.factsOf(summary.judgement, shlex.quote(directory or "DIR"))


def _drifts(summary: Summary) -> Iterator[Fact]:
    """
    What is not as it was at the beginning, but for what thresholds say of it.
    """
    told = " ".join(outcome.text for outcome in summary.thresholds)
    found = {name: drift for name, drift in summary.drift.items() if drift.isSignificant and f"({name})" not in told}
    if not found:
        return
    from smtpsource.measure.drift import perCentOf, wordsOf  # most runs are too short

    for name, drift in found.items():
        if drift.perCent is not None:
            of = " of the messages" if name == "errors" else ""
            change = f"has {'grown' if drift.perHour > 0 else 'fallen'} by {perCentOf(abs(drift.perCent))}{of} an hour"
            yield Fact("drift", f"{name} {change} ({wordsOf(drift)})", "doubtful")


def verdict(summary: Summary) -> Fact:
    """
    What it comes to: the first thing that anybody wants to know.
    """
    search = summary.search if summary.search is not None and summary.search.steps else None
    came = _fate(summary) if search is None else answerOf(search)
    missed = sum(not outcome.passed for outcome in summary.thresholds)
    if summary.ended == "running":
        return Fact("running", came, "bad" if missed else "")
    if summary.reason:
        return Fact("FAILED", f"ended before its time: {summary.reason}{'' if search is None else f'; {came}'}", "bad")
    if missed:
        of = several(len(summary.thresholds), "threshold", "thresholds")
        return Fact("FAILED", f"{missed} of {of} missed; {came}", "bad")
    if summary.ended == "signal":
        return Fact("stopped", f"before its end: {came}", "doubtful")
    if search is not None:
        return Fact("found", came, "good" if search.rate is not None else "bad")
    return Fact("FAILED", came, "bad") if summary.exit else Fact("passed", came, "good")


def _fate(summary: Summary) -> str:
    """
    What became of all that was to be sent, in words.
    """
    messages = summary.messages
    one, more = NOUNS[summary.exercise]
    what = several(messages.started, one, more)
    onTheirWay = messages.started - messages.accepted - messages.rejected - messages.failed
    if messages.rejected or messages.failed:
        text = f"of {what} {messages.accepted} accepted, {messages.rejected} rejected, {messages.failed} failed"
    elif onTheirWay > 0:
        text = f"of {what} {messages.accepted} accepted"
    else:
        text = f"all {what} accepted" if messages.started > 1 else f"{what} accepted"
    if onTheirWay > 0:
        text += f", {onTheirWay} on {'its' if onTheirWay == 1 else 'their'} way"
    if summary.dropped:
        text += f"; {summary.dropped} more never started"
    if summary.late:
        text += f"; {summary.late} of them started late"
    if summary.connectionsFailed and not messages.failed:
        text += f"; {several(summary.connectionsFailed, 'connection', 'connections')} could not be made"
    if summary.recipientsRejected:
        text += f"; {several(summary.recipientsRejected, 'recipient', 'recipients')} refused"
    others = sum(tally.count for tally in summary.errors.values())
    if others and not messages.failed and not summary.connectionsFailed:
        text += f"; {several(others, 'error', 'errors')} besides"
    if summary.judgement is not None and summary.judgement.verdict != "pass":
        text += f"; their delivery: {summary.judgement.verdict}"
    return text


def answerOf(found: Found) -> str:
    """
    What a search has found, with what speaks for it and against it.
    """
    if found.rate is None:
        lowest = found.tried[0]
        return f"no rate kept the promise: {lowest.rate:g}/s, the lowest that was tried, {_didNot(lowest)}"
    best = next((tried for tried in found.tried if tried.rate == found.rate), None)
    if best is None:
        return f"{found.rate:g} messages/s"  # a report that somebody has changed
    doubt = "" if best.kept > 1 else "; it was not confirmed"
    higher = next((tried for tried in found.tried if tried.rate > found.rate), None)
    if higher is None:
        against = ", no higher rate was tried"
    elif 2 * higher.kept > higher.times:
        against = f"; {higher.rate:g}/s kept it as well, {_times(higher)}, and was not confirmed"
    else:
        against = f", {higher.rate:g}/s {_didNot(higher)}"
    if higher is not None and higher.unreached and higher.kept + higher.unreached == higher.times:
        doubt += (
            "; but only as not all of its messages could be started: the server was too slow for so many sessions, or "
            "-s is too low"
        )
    return f"{found.rate:g} messages/s kept the promise {_times(best)}{against}{doubt}"


def _times(tried: Tried) -> str:
    if tried.kept < tried.times:
        return f"{tried.kept} of {tried.times} times"
    return {1: "once", 2: "twice"}.get(tried.times, f"{tried.times} times")


def _didNot(tried: Tried) -> str:
    if tried.kept:
        return f"only {tried.kept} of {tried.times} times"
    return "did not" if tried.times == 1 else f"did not, {_times(tried._replace(kept=tried.times))}"


def counted(summary: Summary) -> Iterator[Fact]:
    """
    What was counted.
    """
    messages = summary.messages
    one, more = NOUNS[summary.exercise]
    if "runs" in summary.environment:
        yield Fact("runs", f"{len(summary.environment['runs'])} added up")
    yield Fact(more, outcomes(messages))
    if summary.asked is not None:
        asked = several(round(summary.asked), one, more)
        yield Fact("schedule", f"{asked} asked, {summary.late} started late, {summary.dropped} dropped")
        if summary.catchUp:
            yield Fact("", f"{summary.catchUp:.3f} s more to catch up with what was overdue at its end")
        if summary.late + summary.dropped and summary.exhausted is not None:
            disturbed = "this machine had other work to do, " if summary.disturbances else ""
            busy = _busy(summary.exhausted, summary.environment.get("workers") or ())
            yield Fact("", f"{busy}: {disturbed}the server was too slow for this rate, or -s is too low")
    if summary.exercise == "mail":
        yield Fact(
            "recipients",
            f"{summary.recipientsAccepted} accepted, {summary.recipientsRejected} rejected",
            isUsual=not summary.recipientsRejected,
        )
    yield Fact(
        "" if summary.exercise == "connect" else "connections",
        f"{summary.connectionsOpened} opened, {summary.connectionsFailed} failed, {summary.connectionsLost} lost",
    )
    yield Fact("bytes", f"{summary.bytesSent} sent, {summary.bytesReceived} received", isUsual=True)
    if summary.warmUp is not None:
        before = summary.warmUp
        yield Fact(
            "warm-up",
            f"{before['seconds']:.3f} s, in no other figure: {before['accepted']} accepted, {before['rejected']} "
            f"rejected, {before['failed']} failed",
        )
        if before.get("overdue"):
            yield Fact("", f"{before['overdue']} of them were overdue at its end: the server came to them first")
    yield Fact("elapsed", f"{summary.elapsed:.3f} s{_HOW[summary.ended]}")
    if summary.search is None:  # the mean of many rates says nothing
        asked = "" if summary.askedRate is None else f"asked {summary.askedRate:.1f} {more}/s, achieved "
        sent = amount(summary.bytesSent / summary.elapsed if summary.elapsed else 0)
        yield Fact("rate", f"{asked}{summary.rate:.1f} {more}/s, {sent}/s sent")
    judgement = summary.judgement
    if judgement is not None and judgement.duration:
        rate = (judgement.delivered + judgement.recovered) / judgement.duration
        yield Fact("delivered", f"{rate:.1f}/s, for a recipient each, until the last of them had arrived")


def surroundings(summary: Summary) -> Iterator[Fact]:
    """
    What it ran on, and what it met.
    """
    cpu = summary.user + summary.system
    started = summary.messages.started
    each = f", {cpu / started * 1e6:.1f} us for each {NOUNS[summary.exercise][0]}" if started else ""
    yield Fact("own CPU", f"{summary.user:.2f} s user, {summary.system:.2f} s system{each}")
    speedups = summary.environment.get("versions", {}).get("speedups")
    yield Fact(
        "reactor",
        f"{summary.reactor}{', ' + speedups if speedups else ''}",
        isUsual=summary.reactor.endswith(".LeanReactor") and speedups == "compiled",
    )
    workers = summary.environment.get("workers")
    ofRuns = [len(one.get("workers") or (1,)) for one in summary.environment.get("runs", ())]
    if any(count > 1 for count in ofRuns):
        yield Fact("workers", f"of {len(ofRuns)} runs {', '.join(map(str, ofRuns))}")
    if workers:
        yield Fact("workers", _ofWorkers(workers, NOUNS[summary.exercise][1]))
    log = summary.environment.get("messageLog")
    if log:
        yield _logged(log)
    ledgers = _ledgers(summary)
    if ledgers:
        directory = os.path.dirname(ledgers[0])
        ledger = ledgers[0] if len(ledgers) == 1 else f"{len(ledgers)} files in {directory}"
        if summary.judgement is not None:
            yield Fact("written to", ledger)
        else:
            judge = f"smtpsource reconcile {shlex.quote(directory)}"
            sides = "a sink's ledger, --maildir, --mbox or --imap"
            yield Fact("ledger", f"{ledger} (judge it with {judge} and what has arrived: {sides})")
    if summary.capabilities:
        announced = ", ".join(f"{name} {value}".strip() for name, value in summary.capabilities.items())
        yield Fact("announced", announced, isUsual=True)
    if summary.tls:
        yield Fact("TLS", f"{', '.join(f'{count} with {what}' for what, count in summary.tls.items())}")
    if summary.sink is not None and summary.exercise == "mail" and {"messages", "recipients"} <= summary.sink.keys():
        counted = several(summary.sink["messages"], "message", "messages")
        same = (summary.messages.accepted, summary.recipientsAccepted)
        yield Fact(
            "sink",
            f"counted {counted}, {several(summary.sink['recipients'], 'recipient', 'recipients')} itself",
            isUsual=same == (summary.sink["messages"], summary.sink["recipients"]),
        )


def _ofWorkers(workers: Sequence[Mapping[str, Any]], noun: str) -> str:
    """
    How the load was shared.
    """
    started = [one["started"] for one in workers]
    used = [one["cpu"]["user"] + one["cpu"]["system"] for one in workers]
    if len(workers) > _MOST_WORKERS:
        messages = f"from {min(started)} to {max(started)}"
        seconds = f"from {min(used):.2f} to {max(used):.2f}"
        lost = sum(one["lost"] is not None for one in workers)
        messages += f" ({lost} of them lost)" if lost else ""
    else:
        messages = ", ".join(f"{one['started']}{'' if one['lost'] is None else ' (lost)'}" for one in workers)
        seconds = ", ".join(f"{one:.2f}" for one in used)
    text = f"{len(workers)}, {noun} of each {messages}; CPU of each {seconds} s"
    if max(used) > _MORE * sum(used) / len(used):
        most = used.index(max(used))
        host = workers[most].get("host")
        text += f", the most by worker {most + 1}{f' ({host})' if host else ''}"
    return text


def _busy(sessions: int, workers: Sequence[Mapping[str, Any]]) -> str:
    """
    Which sessions were all busy when a message was wanted.
    """
    those = [str(number) for number, one in enumerate(workers, 1) if one.get("exhausted") is not None]
    of = free = ""
    if those and len(those) < len(workers):
        of = f" of worker{'s' * (len(those) > 1)} {', '.join(those)}"
        if any(one.get("exhausted") is None and one["lost"] is None for one in workers):
            free = ", while others had free ones"
    return f"the only session{of} was busy{free}" if sessions == 1 else f"all {sessions} sessions{of} were busy{free}"


def _logged(log: Mapping[str, Any]) -> Fact:
    """
    What came of the log of messages.
    """
    unknown = log.get("unknown")
    text = f"{several(log['lines'], 'line', 'lines')}, {log['dropped']} dropped"
    text += f", up to {unknown} not known" if unknown else ""
    problem = f": {log['problem']}" if log["problem"] else ""
    return Fact("message log", text + problem, "doubtful" if log["dropped"] or unknown else "")


def _ledgers(summary: Summary) -> Sequence[str]:
    """
    The paths of the run's own ledgers.
    """
    found = summary.environment.get("ledger") or ()
    return (found,) if isinstance(found, str) else found


def outcomes(messages: Messages) -> str:
    """
    What became of the messages, in one line.
    """
    return ", ".join(f"{number} {name}" for name, number in asdict(messages).items())
