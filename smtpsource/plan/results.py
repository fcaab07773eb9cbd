"""
Results: when a run ends early, what must be so of it, and where it is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from smtpsource.measure.histogram import PERCENTILES
from smtpsource.plan.thresholds import threshold
from smtpsource.values import checks, kinds, names
from smtpsource.values.color import COLOR
from smtpsource.values.files import directoryToBe
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Flag, Only, Settings, ValueOption, option, setting, switch, written
from smtpsource.values.rules import Contradiction, Rules, allOf, needs

if TYPE_CHECKING:
    from smtpsource.measure.thresholds import Threshold
    from smtpsource.values.serving import Where


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= 65535):
        raise ValueError("expected a port from 1 to 65535, or 0 for any that is free")
    return int(text)


def _interface(text: str) -> str:
    try:
        return names.ipAddress(text)
    except ValueError:
        raise ValueError("expected an address of this machine, such as 127.0.0.1, ::1 or, for all, 0.0.0.0")


def _place(text: str) -> Where:
    from smtpsource.values.serving import hostAndPort  # for those who have one

    return hostAndPort(text)


def _percentile(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100:
        raise ValueError("expected numbers above 0, up to 100, such as 99.9")
    return float(value)


def _percentiles(text: str) -> tuple[float, ...]:
    """
    Such as C{p50,p99.9}; they are told in growing order.
    """
    found = set()
    for word in text.split(","):
        number = word.strip().removeprefix("p")
        if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", number) or not 0 < float(number) <= 100:
            raise ValueError("expected percentiles, such as p50,p95,p99.9")
        found.add(float(number))
    return tuple(sorted(found))


def _errand(text: str) -> Any:
    from smtpsource.beside.values import once  # few have commands

    return once(text)


def _errands(text: str) -> Any:
    from smtpsource.beside.values import repeatedly  # likewise

    return repeatedly(text)


def figuresOfWatched(things: Any) -> list[str]:
    """
    The names of all figures that there may be of what is to be watched.
    """
    from smtpsource.beside.things import figuresOf

    return figuresOf(things)


def _watched(text: str) -> Any:
    from smtpsource.beside.things import thing  # likewise

    return thing(text)


def _hasASchedule(plan: Any) -> Rules:
    for one in plan.thresholds:
        if one.needsSchedule and not plan.openLoop:
            yield Contradiction(
                plan,
                "{thresholds}: {which!r} is not usable: expected {rate} or {stages} along with it",
                exclusive=False,
                which=one.text,
            )


def _hasALedger(plan: Any) -> Rules:
    for one in plan.thresholds:
        if one.needsLedger and plan.deliverTo is None:
            yield Contradiction(
                plan,
                "{thresholds}: {which!r} is not usable: expected {deliverTo} along with it",
                exclusive=False,
                which=one.text,
            )


def _isLongEnough(plan: Any) -> Rules:
    if not any(one.drifting for one in plan.thresholds):
        return
    from smtpsource.measure.drifting import LEAST  # few want it

    length = plan.stagesLength - plan.warmUp if plan.stages else plan.duration
    for one in plan.thresholds:
        if one.drifting and length is not None and length < LEAST:
            yield Contradiction(
                plan,
                "{thresholds}: {which!r} is not usable: a drift needs at least {least:g} minutes, and "
                f"{'{stages}' if plan.stages else '{duration}'} measures {{length:g}} seconds",
                exclusive=False,
                which=one.text,
                least=LEAST / 60,
                length=length,
            )


def _isOfOneRate(plan: Any) -> Rules:
    if plan.findRate is not None and plan.findRate.drifting:
        yield Contradiction(
            plan,
            "{findRate}: {which!r} is not usable: a drift is of minutes with the same load, and this tries many rates",
            exclusive=False,
            which=plan.findRate.text,
        )


class Results(Settings):
    """
    @ivar grace: seconds that messages on their way have to end once the run is told to stop.
    @ivar thresholds: what must be so of what is measured; texts are taken as on the command line.
    @ivar percentiles: those that the report and the live view tell of latencies, numbers above 0, up to 100.
    @ivar abortOnThreshold: end the run when a threshold fails while it goes on.
    @ivar trace: show the dialogue: 0 not at all, 1 commands and replies.
    @ivar command: the command line, for the report.
    """

    heading = "Results"
    rules = allOf(
        _hasASchedule,
        _hasALedger,
        _isLongEnough,
        _isOfOneRate,
        needs("{thresholds}", "abortOnThreshold", unless=lambda plan: plan.thresholds),
    )

    _files = Only(
        Flag("counter", "c", "show how many messages were accepted so far"),
        Flag("quiet", None, "no summary at the end"),
        written("report", "write the results there as JSON; - is standard output"),
        written("csv", "write what happened in each second there, as comma-separated values; - as above"),
        written("hlog", "write the latencies of each second there, as a log for HdrHistogram's tools; - as above"),
        written("html", "write the results there as one HTML file, with charts; - as above"),
        written("junit", "write there, as JUnit's XML, whether all was accepted and the thresholds held; - as above"),
        ValueOption(
            *("checkpoint", None, "DIR", None),
            "each second, write there what has come so far: smtpsource recover makes the report of it if the run is "
            "cut off (default: FILE.checkpoint beside --report, until that is written, for runs over a minute)",
            directoryToBe,
        ),
    )
    grace: float = option(
        "TIME",
        kinds.timeOrZero,
        "when the run is stopped, give messages on their way this long to end",
        shown="5s",
        default=5.0,
    )
    thresholds: tuple[Threshold, ...] | tuple[str, ...] = option(
        "EXPR",
        Kind(threshold.parse, checks.tupleOf(threshold.check, "texts, such as ('errors == 0',)")),
        "what must hold for the run: 'p99(message) < 250ms', 'rate >= 0.99 * asked' or 'errors < 0.1%'",
        long="threshold",
        repeated=True,
        default=(),
    )
    abortOnThreshold: bool = switch("end the run when a threshold fails while it goes on", default=False)
    percentiles: tuple[float, ...] = option(
        "LIST",
        Kind(_percentiles, checks.tupleOf(_percentile, "numbers, such as (50, 99.9)")),
        "which percentiles of latencies are shown, and in the report",
        shown="p50,p90,p95,p99,p99.9",
        default=PERCENTILES,
    )
    _color = Only(COLOR)
    _live = Only(
        ValueOption(
            *("live", None, "WHEN", "auto"),
            "show the run's progress on standard error: auto, if that is a terminal and none of --quiet, -c and -v is "
            "given; on, one line a second where it is no terminal; off",
            names.oneOf("auto", "on", "off"),
        ),
        ValueOption(
            *("metrics-port", None, "PORT", None),
            "serve metrics for Prometheus there while the run goes on; 0 is any free port",
            _port,
        ),
        ValueOption(
            *("metrics-interface", None, "ADDR", None),
            "serve them at this address of this machine (default: 127.0.0.1)",
            _interface,
        ),
        ValueOption(
            *("dashboard", None, "PLACE", None),
            "show the run in a browser there while it goes on: [HOST:]PORT, 127.0.0.1 by default; 0 is any free port",
            _place,
        ),
        Flag("linger", None, "keep the dashboard when the run is over, until the process is told to end"),
    )
    _beside = Only(
        ValueOption(
            *("at", None, "TIME CMD", None),
            "start a command so long after the beginning of what is measured, by /bin/sh, and mark it in the series: "
            "--at 10m 'systemctl restart postfix'",
            _errand,
            repeated=True,
            pair=True,
            typed=True,
        ),
        ValueOption(
            *("every", None, "TIME CMD", None),
            "the same each time that so long has passed: --every 30m 'postqueue -f'",
            _errands,
            repeated=True,
            pair=True,
            typed=True,
        ),
        ValueOption(
            *("watch", None, "WHAT", None),
            "once a second, measure the memory and CPU of a process, pid:N, or of a unit of systemd, unit:NAME; the "
            "queues of Postfix, postfix-queue:DIR; or a metric, prometheus:URL#METRIC; NAME=pid:N gives it a name",
            _watched,
            repeated=True,
        ),
    )
    trace: int = setting(
        checks.wholeNumber(0),
        Flag("verbose", "v", "show all commands and replies on standard error; twice is the same as once", True),
        default=0,
    )
    command: tuple[str, ...] = setting(checks.command, default=())
