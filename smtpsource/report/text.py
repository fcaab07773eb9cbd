"""
A summary as text, for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from smtpsource.measure.summary import Messages, Summary, Tally
from smtpsource.printable import printable

if TYPE_CHECKING:
    from smtpsource.measure.counters import AddressCounts
    from smtpsource.measure.search import Found
    from smtpsource.measure.thresholds import Outcome

_LATENCY_HEADINGS = ("count", "mean", "p50", "p90", "p99", "p99.9", "max")


def render(summary: Summary) -> str:
    """
    All of a summary, in lines of up to about 100 characters.
    """
    return "\n".join(map(printable, _lines(summary))) + "\n"


def _lines(summary: Summary) -> Iterator[str]:
    messages = summary.messages
    cpu = summary.user + summary.system
    if "runs" in summary.environment:
        yield f"runs         {len(summary.environment['runs'])} added up"
    yield f"messages     {outcomes(messages)}"
    if summary.asked is not None:
        yield f"schedule     {summary.asked:.0f} messages asked, {summary.late} started late, {summary.dropped} dropped"
        if summary.catchUp:
            yield f"             {summary.catchUp:.3f} s more to catch up with what was overdue at its end"
        if summary.late + summary.dropped and summary.exhausted is not None:
            disturbed = "this machine had other work to do, " if summary.disturbances else ""
            yield (
                f"             all {summary.exhausted} sessions were busy: {disturbed}the server was too slow for this "
                "rate, or -s is too low"
            )
    yield f"recipients   {summary.recipientsAccepted} accepted, {summary.recipientsRejected} rejected"
    yield (
        f"connections  {summary.connectionsOpened} opened, {summary.connectionsFailed} failed, "
        f"{summary.connectionsLost} lost"
    )
    yield f"bytes        {summary.bytesSent} sent, {summary.bytesReceived} received"
    if summary.warmUp is not None:
        before = summary.warmUp
        yield (
            f"warm-up      {before['seconds']:.3f} s, in no other figure: {before['accepted']} accepted, "
            f"{before['rejected']} rejected, {before['failed']} failed"
        )
        if before.get("overdue"):
            yield f"             {before['overdue']} of them were overdue at its end: the server came to them first"
    yield f"elapsed      {summary.elapsed:.3f} s{_HOW[summary.ended]}"
    asked = "" if summary.askedRate is None else f"asked {summary.askedRate:.1f} messages/s, achieved "
    yield (
        f"rate         {asked}{summary.rate:.1f} messages/s, "
        f"{_bytes(summary.bytesSent / summary.elapsed if summary.elapsed else 0)}/s sent"
    )
    each = f", {cpu / messages.started * 1e6:.1f} us for each message" if messages.started else ""
    yield f"own CPU      {summary.user:.2f} s user, {summary.system:.2f} s system{each}"
    for reason in summary.limits:
        yield f"LIMITED BY   the generator, not the server: {reason}"
    for reason in summary.disturbances:
        yield f"DISTURBED    by this machine, not the server: {reason}"
    speedups = summary.environment.get("versions", {}).get("speedups")
    yield f"reactor      {summary.reactor}{', ' + speedups if speedups else ''}"
    if summary.capabilities:
        yield f"announced    {', '.join(f'{name} {value}'.strip() for name, value in summary.capabilities.items())}"
    if summary.tls:
        yield f"TLS          {', '.join(f'{count} with {what}' for what, count in summary.tls.items())}"
    if summary.sink is not None:
        yield (
            f"sink         counted {summary.sink['messages']} messages, {summary.sink['recipients']} recipients itself"
        )
    yield from _addresses(summary.addresses)
    yield from _latencies(summary)
    yield from _replies(summary)
    yield from _errors(summary.errors)
    yield from _thresholds(summary.thresholds)
    if summary.search is not None:
        yield from _search(summary.search)
    yield from _hints(summary.hints)


def outcomes(messages: Messages) -> str:
    """
    What became of the messages, in one line.
    """
    return ", ".join(f"{number} {name}" for name, number in asdict(messages).items())


_HOW = {"done": "", "aborted": ", ended before its time", "signal": ", stopped before its end"}


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _addresses(addresses: Mapping[str, AddressCounts]) -> Iterator[str]:
    if len(addresses) < 2:
        return
    width = max(map(len, addresses)) + 2
    yield ""
    yield f"{'addresses':<{width}}{'opened':>9}{'failed':>9}{'accepted':>11}"
    for address, counts in addresses.items():
        name = f"  {counts.name}" if counts.name else ""
        yield f"{address:<{width}}{counts.opened:>9}{counts.failed:>9}{counts.accepted:>11}{name}"


def _hints(hints: Sequence[str]) -> Iterator[str]:
    if hints:
        yield ""
    for hint in hints:
        yield f"{'hint':<13}{hint}"


def _latencies(summary: Summary) -> Iterator[str]:
    if not summary.latency:
        return
    yield ""
    yield f"{'latency':<12}" + "".join(f"{heading:>11}" for heading in _LATENCY_HEADINGS)
    for phase, latency in summary.latency.items():
        times = (latency.mean, latency.p50, latency.p90, latency.p99, latency.p999, latency.maximum)
        yield f"{phase:<12}{latency.count:>11}" + "".join(f"{duration(seconds):>11}" for seconds in times)


def duration(seconds: float) -> str:
    """
    A time in the unit that suits it, with 3 digits: C{"84 us"}, C{"1.25 ms"}, C{"12.0 s"}.
    """
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.9995:
        return f"{_threeDigits(seconds * 1e3)} ms"
    return f"{_threeDigits(seconds)} s"


def _threeDigits(number: float) -> str:
    if number < 9.995:
        return f"{number:.2f}"
    if number < 99.95:
        return f"{number:.1f}"
    return f"{number:.0f}"


def _replies(summary: Summary) -> Iterator[str]:
    if not summary.replies:
        return
    yield ""
    yield f"{'replies':<12}{'code':>6}{'count':>11}  the first one"
    for phase, codes in summary.replies.items():
        for code, tally in codes.items():
            yield f"{phase:<12}{code:>6}{tally.count:>11}  {tally.sample}"


def _errors(errors: Mapping[str, Tally]) -> Iterator[str]:
    if not errors:
        return
    yield ""
    yield f"{'errors':<18}{'count':>11}  the first one"
    for kind, tally in errors.items():
        yield f"{kind:<18}{tally.count:>11}  {tally.sample}"


def _thresholds(outcomes: Sequence[Outcome]) -> Iterator[str]:
    if not outcomes:
        return
    yield ""
    yield "thresholds   what was wanted, and what there was"
    for outcome in outcomes:
        yield f"{'pass' if outcome.passed else 'FAIL':<13}{outcome.text}: {outcome.actual}"


def _search(found: Found) -> Iterator[str]:
    yield ""
    yield f"{'search':<13}{'asked':>11}{'achieved':>12}  {found.promise}"
    for step in found.steps:
        rates = f"{step.rate:>9.1f}/s{step.achieved:>10.1f}/s"
        yield f"{step.purpose:<13}{rates}  {'kept' if step.passed else 'BROKEN'}: {step.actual}"
    best = "no rate kept it" if found.rate is None else f"{found.rate:.1f} messages/s is the highest rate that kept it"
    yield f"{'found':<13}{best}"
