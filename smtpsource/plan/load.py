"""
How much load, how fast and for how long.
"""

from __future__ import annotations

from math import inf
from sys import maxsize
from typing import TYPE_CHECKING, Any, Literal, get_args

from smtpsource.plan.thresholds import threshold
from smtpsource.values import checks, kinds, moments
from smtpsource.values.files import orStandardInput
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Only, Settings, ValueOption, option, switch
from smtpsource.values.rules import Contradiction, OneOf, Rules, allOf, excludes, needs

if TYPE_CHECKING:
    from datetime import datetime

    from smtpsource.measure.thresholds import Threshold

#: The least seconds in which an open loop may catch up, where the plan says nothing else.
CATCH_UP = 5.0

#: The least seconds for a step of a search.
LEAST_STEP = 0.1

#: How the messages of an open loop come.
Arrivals = Literal["constant", "poisson"]

#: What stages are of.
StagesOf = Literal["rate", "sessions"]


def _stages(value: object) -> tuple[tuple[float, float], ...]:
    """
    Points, or nothing.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(one, list | tuple) and len(one) == 2 for one in value):
        raise ValueError("expected pairs of the seconds from the stage before, and the value")
    points = tuple((checks.secondsOrZero(seconds), checks.rateOrZero(value)) for seconds, value in value)
    if points and (points[0][0] or not any(seconds for seconds, _ in points) or not any(value for _, value in points)):
        raise ValueError("expected the first stage to be at 0 seconds, some to take time, and some to have a value")
    return points


def _holdStep(seconds: float) -> float:
    if seconds < LEAST_STEP:
        raise ValueError(f"expected {LEAST_STEP * 1000:g}ms or more, as less says nothing of a rate")
    return seconds


def _lasts(plan: Any) -> Rules:
    length = plan.stagesLength
    if plan.stages and plan.warmUp >= length:
        yield Contradiction(
            plan,
            "{warmUp}: {plan.warmUp:g} seconds are not usable: expected less than the {length:g} seconds of {stages}",
            exclusive=False,
            length=length,
        )


def _ends(plan: Any) -> Rules:
    if plan.rate is not None and not (plan.duration or plan.messageCount or plan.findRate):
        yield Contradiction(
            plan, "{rate} needs an end: expected {duration:m} or {messageCount:lm} along with it", exclusive=False
        )


def _hasASchedule(plan: Any) -> Rules:
    schedule = "findRate" if plan.findRate is not None else "stages" if plan.rate is None else "rate"
    inOpenLoop = excludes(
        f"{{{schedule}}}",
        "the schedule says when",
        *("fixedInterval", "randomInterval", "rampUp"),
        when=lambda plan: plan.openLoop,
    )
    yield from inOpenLoop(plan)


def _allJoin(plan: Any) -> Rules:
    if plan.duration is not None and plan.rampUp and plan.rampUp >= plan.warmUp + plan.duration:
        length = "{warmUp} and {duration}" if plan.warmUp else "{duration}"
        yield Contradiction(
            plan,
            f"{{rampUp}}: {{plan.rampUp:g}} seconds are not usable: expected less than the {{length:g}} seconds of "
            f"{length}, or not all sessions join",
            exclusive=False,
            length=plan.warmUp + plan.duration,
        )


class Load(Settings):
    """
    @ivar messageCount: messages of the run, over all sessions; C{None} for one or, where something else ends the run,
        for no limit.
    @ivar sessionCount: sessions in parallel; in an open loop, the most that there may be.
    @ivar keepConnections: use a session's connection for all of its messages.
    @ivar fixedInterval: seconds between a session's messages.
    @ivar randomInterval: the most seconds between a session's messages, drawn evenly from 0.
    @ivar startAt: when to begin, a time of day: seconds since the epoch; C{None}: as soon as the destination is found.
        From a program also a C{datetime} with a zone; one that is over is at once.
    @ivar duration: seconds after which no further message is started, the warm-up not included; C{None} for no such
        limit.
    @ivar warmUp: seconds at the beginning of the run of which nothing is measured.
    @ivar rampUp: seconds over which the sessions join evenly.
    @ivar rate: messages per second to start, whatever the server does (an open loop); C{None} for a closed loop, where
        a session starts a message when the one before it has ended.
    @ivar arrivals: of an open loop: C{"constant"}, evenly, or C{"poisson"}, independently of each other.
    @ivar stages: how the load changes: for each point the seconds from the one before, and the value there, linear in
        between; empty for no change. Its end is the run's.
    @ivar stagesOf: what C{stages} are of: C{"rate"}, messages per second, or C{"sessions"}.
    @ivar maxLate: seconds after which a message of an open loop that could not be started is dropped; C{None}: never.
    @ivar catchUp: seconds after the end of an open loop's schedule in which what is overdue is still started; the rest
        is dropped. C{None}: a fifth of C{duration} or of the C{stages}, at least L{CATCH_UP}; with a
        C{messageCount} alone, until all are started.
    @ivar findRate: look for the highest rate at which this threshold holds, a text as on the command line; refusals and
        faults don't end such a run. C{rate} is the first one that is tried.
    @ivar holdStep: seconds for which each rate is tried; twice as long where it is tried again.
    """

    heading = "Load"
    rules = allOf(
        OneOf("fixedInterval", "randomInterval"),
        OneOf("rate", "stages"),
        OneOf("duration", "stages"),
        _lasts,
        excludes(
            "{findRate}",
            "it has steps of its own",
            *("stages", "duration", "messageCount", "warmUp", "rampUp"),
            when=lambda plan: plan.findRate,
        ),
        excludes(
            "{findRate}",
            "what is overdue at the end of a step is dropped",
            "catchUp",
            when=lambda plan: plan.findRate,
        ),
        needs("{findRate}", "holdStep", unless=lambda plan: plan.findRate),
        _ends,
        _hasASchedule,
        needs("{rate}, {stages} or {findRate}", "maxLate", "arrivals", unless=lambda plan: plan.openLoop),
        needs("{rate} or {stages}", "catchUp", unless=lambda plan: plan.openLoop),
        _allJoin,
        needs("{stages}", "stagesOf", unless=lambda plan: plan.stages),
        excludes("{stages}", "it says when sessions join", "rampUp", when=lambda plan: plan.stages),
    )

    _scenario = Only(
        ValueOption(
            *("scenario", None, "FILE", None),
            "take the options that are not given here, and the destination, from this TOML file; - is standard input",
            orStandardInput,
        )
    )
    messageCount: int | None = option(
        "N",
        kinds.count,
        "messages to send, over all sessions (default: 1, or no limit with --duration or --stages)",
        letter="m",
        default=None,
    )
    sessionCount: int = option(
        "N", kinds.count, "sessions in parallel; with a rate, the most there may be", letter="s", default=1
    )
    keepConnections: bool = switch(
        "send all messages of a session over one connection", letter="d", long="dont-disconnect", default=False
    )
    fixedInterval: float | None = option(
        "TIME", kinds.time, "wait between a session's messages", letter="w", default=None
    )
    randomInterval: float | None = option(
        "TIME", kinds.time, "wait up to this long instead, drawn anew each time", letter="R", default=None
    )
    startAt: float | datetime | None = option(
        "WHEN",
        Kind(moments.momentToCome, moments.givenMoment),
        "begin at this time, such as 2030-01-31T12:00:00Z or, in seconds since 1970, @1896091200",
        default=None,
    )
    duration: float | None = option(
        "TIME", kinds.time, "keep sending for this long, such as 30s, 5m or 1h30m", default=None
    )
    warmUp: float = option(
        "TIME", kinds.timeIfAny, "send for this long first, without measuring", long="warmup", default=0.0
    )
    rampUp: float = option("TIME", kinds.timeIfAny, "let the sessions join evenly over this time", default=0.0)
    rate: float | None = option(
        "RATE",
        kinds.rate,
        "open loop: start this many messages, such as 500/s, 30/m or 10/h, whatever the server does; latency counts "
        "from the time that a message was due",
        default=None,
    )
    arrivals: Arrivals = option(
        "HOW",
        kinds.words(*get_args(Arrivals)),
        "with a rate: start messages evenly, constant, or independently of each other, poisson",
        default="constant",
    )
    stages: tuple[tuple[float, float], ...] = option(
        "STAGES",
        Kind(str, _stages),  # what the text means depends on the next
        "a rate that changes: 0:0,30s:1000,5m:1000,30s:0 rises from 0 to 1000/s in 30 s, and so on",
        default=(),
    )
    stagesOf: StagesOf = option(
        "WHAT",
        kinds.words(*get_args(StagesOf)),
        "what the stages are of: rate, or sessions, in a closed loop",
        default="rate",
    )
    maxLate: float | None = option(
        "TIME",
        kinds.timeIfAny,
        "with a rate: drop a message that can't start within this time (default: none is dropped)",
        default=None,
    )
    catchUp: float | None = option(
        "TIME",
        kinds.timeIfAny,
        "with a rate: when the time is over, start what is overdue for this long, and drop the rest (default: a fifth "
        "of the time, at least 5s)",
        default=None,
    )
    findRate: Threshold | str | None = option(
        "EXPR",
        threshold,
        "look for the highest rate at which this holds, such as 'p99(response) < 250ms and errors < 0.1%'; --rate is "
        "the first to try",
        default=None,
    )
    holdStep: float = option(
        "TIME",
        Kind(lambda text: _holdStep(kinds.time.parse(text)), lambda value: _holdStep(kinds.time.check(value))),
        "with --find-rate: try each rate for this long, and twice as long to confirm it",
        shown="10s",
        default=10.0,
    )

    @property
    def openLoop(self) -> bool:
        """
        Do messages start when a schedule says so, and not when the ones before them have ended?
        """
        return self.rate is not None or self.findRate is not None or (bool(self.stages) and self.stagesOf == "rate")

    @property
    def mostSessions(self) -> int:
        """
        The most sessions that there may be at once: those of the highest stage, if stages are of sessions.
        """
        if self.stages and self.stagesOf == "sessions":
            return round(max(value for _, value in self.stages))
        return self.sessionCount

    @property
    def stagesLength(self) -> float:
        """
        For how many seconds the stages last.
        """
        return sum(seconds for seconds, _ in self.stages)

    @property
    def messageLimit(self) -> int:
        """
        The most messages there will be.
        """
        if self.messageCount is not None:
            return self.messageCount
        return maxsize if self.duration is not None or self.stages or self.findRate is not None else 1

    @property
    def catchUpTime(self) -> float:
        """
        For how many seconds after the end of its schedule an open loop may start messages; infinite for no limit.
        """
        if self.catchUp is not None:
            return self.catchUp
        length = self.stagesLength or self.duration
        return inf if length is None else max(CATCH_UP, length / 5)
