"""
The result of a run, once it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smtpsource._version import __version__
from smtpsource.measure.histogram import Latency
from smtpsource.measure.recorder import Recorder
from smtpsource.phases import NAMES
from smtpsource.printable import printable

#: The version of the report's layout; it changes when a field changes its meaning or goes away.
SCHEMA = 1


@dataclass(frozen=True)
class Tally:
    """
    How often something came, and the first one's text.
    """

    count: int
    sample: str


@dataclass(frozen=True)
class Messages:
    """
    C{started} is always the sum of the other three.
    """

    started: int
    accepted: int
    rejected: int
    failed: int


@dataclass(frozen=True)
class Summary:
    """
    What a run did and what came back. Immutable.

    @ivar command: the command line, or empty for an embedded run.
    @ivar reactor: the class of the reactor it ran on.
    @ivar started: when the run began, ISO 8601 with the zone.
    @ivar elapsed: seconds from the first connect to the end.
    @ivar exit: the exit status this run deserves: 0 all was accepted, 1 something was not.
    @ivar ended: C{"done"}, C{"aborted"} (a refusal or fault ended it) or C{"signal"} (it was told to stop).
    @ivar reason: for C{"aborted"}, the fault that ended the run, as one line.
    @ivar rate: accepted messages per second.
    @ivar user: CPU seconds this process spent in user mode, from the start of the run to its end.
    @ivar system: the same in the kernel.
    @ivar capabilities: what the server announced in reply to EHLO or LHLO: keywords, and their parameters.
    @ivar tls: how many connections have agreed on which version and cipher.
    @ivar latency: by phase; phases that never happened are left out.
    @ivar replies: by phase, by reply code.
    @ivar errors: by kind.
    @ivar sink: what the other end counted, where the run had its own (C{sink:}); else C{None}.
    """

    command: tuple[str, ...]
    reactor: str
    started: str
    elapsed: float
    exit: int
    ended: str
    reason: str | None
    messages: Messages
    recipientsAccepted: int
    recipientsRejected: int
    connectionsOpened: int
    connectionsFailed: int
    connectionsLost: int
    bytesSent: int
    bytesReceived: int
    rate: float
    user: float
    system: float
    latency: Mapping[str, Latency]
    capabilities: Mapping[str, str]
    tls: Mapping[str, int]
    replies: Mapping[str, Mapping[str, Tally]]
    errors: Mapping[str, Tally]
    sink: Mapping[str, Any] | None = None

    def asDict(self) -> dict[str, Any]:
        """
        The report as JSON takes it; docs/report.rst says what each field means.
        """
        return {
            "schema": SCHEMA,
            "tool": {"name": "smtp-source", "version": __version__},
            "command": list(self.command),
            "reactor": self.reactor,
            "started": self.started,
            "elapsed": self.elapsed,
            "exit": self.exit,
            "ended": self.ended,
            "reason": self.reason,
            "messages": {
                "started": self.messages.started,
                "accepted": self.messages.accepted,
                "rejected": self.messages.rejected,
                "failed": self.messages.failed,
            },
            "recipients": {"accepted": self.recipientsAccepted, "rejected": self.recipientsRejected},
            "connections": {
                "opened": self.connectionsOpened,
                "failed": self.connectionsFailed,
                "lost": self.connectionsLost,
            },
            "bytes": {"sent": self.bytesSent, "received": self.bytesReceived},
            "rate": self.rate,
            "cpu": {"user": self.user, "system": self.system},
            "latency": {phase: _latencyDict(latency) for phase, latency in self.latency.items()},
            "capabilities": dict(self.capabilities),
            "tls": dict(self.tls),
            "replies": {phase: _tallies(codes) for phase, codes in self.replies.items()},
            "errors": _tallies(self.errors),
            **({} if self.sink is None else {"sink": dict(self.sink)}),
        }


def _latencyDict(latency: Latency) -> dict[str, float]:
    return {
        "count": latency.count,
        "min": latency.minimum,
        "mean": latency.mean,
        "p50": latency.p50,
        "p90": latency.p90,
        "p99": latency.p99,
        "p99.9": latency.p999,
        "max": latency.maximum,
    }


def _tallies(tallies: Mapping[str, Tally]) -> dict[str, dict[str, Any]]:
    return {name: {"count": tally.count, "sample": tally.sample} for name, tally in tallies.items()}


def latenciesOf(recorder: Recorder) -> dict[str, Latency]:
    """
    The latency table of what was recorded.
    """
    return {
        name: latency
        for name, latencies in zip(NAMES, recorder.latencies, strict=True)
        if (latency := latencies.summarize()) is not None
    }


def repliesOf(recorder: Recorder) -> dict[str, dict[str, Tally]]:
    """
    The reply codes of what was recorded, with one sample text each.
    """
    return {
        name: {
            code.decode("ascii", "replace"): Tally(count, printable(samples[code]))
            for code, count in sorted(codes.items())
        }
        for name, codes, samples in zip(NAMES, recorder.replies, recorder.replySamples, strict=True)
        if codes
    }


def errorsOf(recorder: Recorder) -> dict[str, Tally]:
    """
    The errors of what was recorded, by kind.
    """
    return {kind: Tally(count, recorder.errorSamples[kind]) for kind, count in sorted(recorder.errors.items())}
