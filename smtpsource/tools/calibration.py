"""
What a machine can generate: the figures of some typical loads, and what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smtpsource._version import __version__
from smtpsource.measure.limits import MATTERS
from smtpsource.measure.summary import Summary
from smtpsource.report.document import SEARCH

#: The part of the highest rate up to which figures can be trusted: the rest is for what else a machine has to do.
TRUSTED = 0.8

#: The per cent of messages that may start late: fewer do not matter.
TOLERATED = round(100 * MATTERS)

#: What a rate must keep to be one that starts in time.
PROMISE = f"late < {TOLERATED}%"

#: Generator and sink keep a processor busy, if several sessions wait for them. Where neither used so much of one, this
#: machine had something else to do.
BUSY = 0.8

#: The load to which the highest rate in time is compared, and the part of its rate that it is at least, unless this
#: machine had something else to do.
COMPARED, PLAUSIBLE = "20 sessions", 0.25

#: The version of the layout of L{Calibration.asDict}.
SCHEMA = 1


@dataclass(frozen=True)
class Measured:
    """
    One load, and what came of it.

    @ivar name: the load in words.
    @ivar command: the run's command line.
    @ivar summary: the run's result, if it came to one.
    @ivar problem: why there are no figures, as one line; else C{None}.
    @ivar leftOut: it was not tried, as this machine lacks something for it. That is no failure.
    """

    name: str
    command: tuple[str, ...]
    summary: Summary | None = None
    problem: str | None = None
    leftOut: bool = False

    @property
    def disturbances(self) -> Sequence[str]:
        """
        What kept the generator from its work in this run, though it had time for it.
        """
        return () if self.summary is None else self.summary.disturbances

    @property
    def figures(self) -> dict[str, Any] | None:
        """
        The figures of a run that went well, as in a report; docs/man/smtpsource-calibrate.rst says what each is.
        """
        run = self.summary
        if run is None or self.problem is not None:
            return None
        used = run.user + run.system
        transaction = run.latency["transaction"]
        sink = run.sink or {}
        return {
            "accepted": run.messages.accepted,
            "warmup": (run.warmUp or {}).get("accepted", 0),
            "counted": sink["messages"],
            "rate": run.rate,
            "bytesRate": run.bytesSent / run.elapsed,
            "connectionRate": run.connectionsOpened / run.elapsed,
            "cpu": used / run.messages.started,
            "ownShare": used / run.elapsed,
            "sinkShare": sum(sink["cpu"].values()) / sink["busy"],
            "p50": transaction.p50,
            "p95": transaction.p95,
            "p99": transaction.p99,
            "late": run.late,
            "lag": max((sample.lag for sample in run.series), default=0.0),
        }

    def asDict(self) -> dict[str, Any]:
        """
        As it stands in a report.
        """
        return {
            "name": self.name,
            "command": list(self.command),
            "problem": self.problem,
            "leftOut": self.leftOut,
            "disturbances": list(self.disturbances),
            **(self.figures or {}),
        }


def problemOf(run: Summary) -> str | None:
    """
    Why the figures of a run against C{sink:} can't be used, as one line, or C{None} if they can.
    """
    if run.search is not None and run.search.rate is None and run.exit != 1:
        return "no rate was in time whenever it was tried: this machine may have other work to do"
    if run.exit:
        reasons = [f"{kind}: {tally.sample}" for kind, tally in run.errors.items()]
        return run.reason or next(iter(reasons), f"it ended with status {run.exit}")
    if "transaction" not in run.latency or not run.elapsed:
        return "no message was accepted in this time: expected more of --seconds"
    if run.sink is None or not run.sink.get("busy"):
        return "the sink has no report"
    before = run.warmUp or {}
    accepted = run.messages.accepted + before.get("accepted", 0)
    if run.sink["messages"] != accepted:
        return f"the sink counted {run.sink['messages']} messages, where {accepted} were accepted"
    return None


@dataclass(frozen=True)
class Calibration:
    """
    All loads of a calibration.

    @ivar command: the command line.
    @ivar started: when it began, ISO 8601 with the zone.
    @ivar elapsed: seconds.
    @ivar seconds: for how long each load was measured.
    @ivar stopped: it was told to stop before its end.
    @ivar loads: those of the closed loop.
    @ivar search: the search for the highest rate that starts in time, if it came to that.
    @ivar check: a run at the part of that rate which can be trusted.
    @ivar environment: what it ran on; see L{smtpsource.measure.environment}.
    @ivar openFiles: how many connections this machine's limit of open files leaves for.
    """

    command: tuple[str, ...]
    started: str
    elapsed: float
    seconds: float
    stopped: bool
    loads: Sequence[Measured]
    search: Measured | None
    check: Measured | None
    environment: Mapping[str, Any]
    openFiles: int

    @property
    def all(self) -> Sequence[Measured]:
        """
        Everything that was tried, in order.
        """
        return [*self.loads, *filter(None, (self.search, self.check))]

    @property
    def exit(self) -> int:
        """
        The exit status: 0, or 1 if something failed or it was stopped.
        """
        return int(self.stopped or any(one.problem is not None and not one.leftOut for one in self.all))

    @property
    def highest(self) -> float | None:
        """
        The highest rate, in messages per second, that started in time.
        """
        return None if self.search is None else highestOf(self.search)

    @property
    def trusted(self) -> float | None:
        """
        Up to which rate figures can be trusted, in messages per second; C{None} if that is not known, if it did not
        hold when it was tried, or if this machine had other work to do.
        """
        if self.disturbance is not None or self.highest is None or (self.check is not None and self.lateShare is None):
            return None
        if self.lateShare is not None and self.lateShare * 100 >= TOLERATED:
            return None
        return TRUSTED * self.highest

    @property
    def lateShare(self) -> float | None:
        """
        The part of the messages that started late in the run at the rate that can be trusted.
        """
        figures = None if self.check is None else self.check.figures
        return None if figures is None else figures["late"] / figures["accepted"]

    @property
    def connectionRate(self) -> float | None:
        """
        The most new connections per second of any load.
        """
        return (
            max((one.figures["connectionRate"] for one in self.loads if one.figures is not None), default=0.0) or None
        )

    @property
    def ports(self) -> int | None:
        """
        How many local ports there are for connections to one address and port, if that is known.
        """
        ports = self.environment["limits"]["ports"]
        return None if ports is None else ports[1] - ports[0] + 1

    @property
    def sessions(self) -> int:
        """
        How many connections there can be at once, to one address.
        """
        return self.openFiles if self.ports is None else min(self.openFiles, self.ports)

    @property
    def processors(self) -> int:
        """
        How many processors these processes may use.
        """
        return self.environment["processors"]["usable"] or 1

    @property
    def disturbed(self) -> tuple[int, int]:
        """
        In how many of the loads with several sessions this machine had other work to do, and how many there are.
        """
        # A single session has generator and sink wait for each other.
        loads = [one for one in self.loads if one.figures is not None and "-s" in one.command]
        return sum(map(self._isDisturbed, loads)), len(loads)

    def _isDisturbed(self, load: Measured) -> bool:
        figures = load.figures
        assert figures is not None
        shares = figures["ownShare"], figures["sinkShare"]
        if self.processors == 1:
            return bool(sum(shares) < BUSY)  # they wait for each other
        return bool(max(shares) < BUSY or load.disturbances)

    @property
    def disturbance(self) -> str | None:
        """
        Why nothing follows from these figures: this machine had other work to do. C{None} if it had not.
        """
        disturbed, of = self.disturbed
        reasons = []
        if 2 * disturbed >= max(1, of):
            reasons.append(f"in {disturbed} of {of} loads with several sessions")
        searched = [one for one in (self.search, self.check) if one is not None]
        if self.processors > 1 and any(one.disturbances for one in searched):
            reasons.append("while it was looked for the highest rate in time")
        known = [one.figures["rate"] for one in self.loads if one.name == COMPARED and one.figures is not None]
        if self.highest is not None and known and self.highest < PLAUSIBLE * known[0]:
            reasons.append(
                f"as the highest rate that was found, {self.highest:.0f} messages/s, is so much less than what "
                f"{COMPARED} do"
            )
        return ", and ".join(reasons) or None

    def asDict(self) -> dict[str, Any]:
        """
        The report as JSON takes it; docs/man/smtpsource-calibrate.rst says what each field means.
        """
        found = None if self.search is None or self.search.summary is None else self.search.summary.search
        return {
            "schema": SCHEMA,
            "tool": {"name": "smtpsource-calibrate", "version": __version__},
            "command": list(self.command),
            "started": self.started,
            "elapsed": self.elapsed,
            "seconds": self.seconds,
            "exit": self.exit,
            "ended": "signal" if self.stopped else "done",
            "trusted": self.trusted,
            "disturbance": self.disturbance,
            "highest": self.highest,
            "sessions": self.sessions,
            "connectionRate": self.connectionRate,
            "loads": [one.asDict() for one in self.all],
            "search": None if found is None else SEARCH.write(found),
            "environment": dict(self.environment),
        }


def highestOf(search: Measured) -> float | None:
    """
    What a search has found.
    """
    run = search.summary
    return None if run is None or run.search is None or search.problem is not None else run.search.rate
