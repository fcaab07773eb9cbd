"""
What a machine can generate, as text, for people.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from smtpsource.report.words import duration
from smtpsource.tools.calibration import BUSY, TOLERATED, TRUSTED, Calibration, Measured, highestOf

#: The longest line.
WIDTH = 103

#: The columns of a load's name.
_NAME = 39

_COLUMNS = (("messages/s", 11), ("MB/s", 8), ("CPU us", 9), ("own", 6), ("sink", 6), ("p50", 8), ("p95", 8), ("p99", 8))


def heading() -> str:
    """
    The first line of the table.
    """
    return f"{'load':<{_NAME}}" + "".join(f"{name:>{width}}" for name, width in _COLUMNS) + "\n"


def row(measured: Measured) -> str:
    """
    One load: a line of the table, or what was wrong with it.
    """
    name = f"{measured.name:<{_NAME}}"
    if measured.problem is not None:
        how = "left out" if measured.leftOut else "FAILED"
        return textwrap.fill(f"{name}  {how}: {measured.problem}", WIDTH, subsequent_indent=" " * (_NAME + 2)) + "\n"
    highest = highestOf(measured)
    if highest is not None:
        # The other figures are of many rates, some of them too high.
        values = [f"{highest:.1f}"] + ["-"] * (len(_COLUMNS) - 1)
    else:
        figures = measured.figures
        assert figures is not None, "without figures there is a problem"
        values = [
            f"{figures['rate']:.1f}",
            f"{figures['bytesRate'] / 1e6:.1f}",
            f"{figures['cpu'] * 1e6:.1f}",
            f"{figures['ownShare']:.0%}",
            f"{figures['sinkShare']:.0%}",
            duration(figures["p50"]),
            duration(figures["p95"]),
            duration(figures["p99"]),
        ]
    return name + "".join(f"{value:>{width}}" for value, (_, width) in zip(values, _COLUMNS, strict=True)) + "\n"


def conclusions(calibration: Calibration) -> str:
    """
    What follows from the table.
    """
    lines = [""]
    for label, text in _conclusions(calibration):
        lines += textwrap.wrap(text, WIDTH, initial_indent=f"{label:<13}", subsequent_indent=" " * 13)
    return "\n".join(lines) + "\n"


def _conclusions(calibration: Calibration) -> Iterator[tuple[str, str]]:
    if calibration.stopped:
        yield "stopped", "before its end: this is what there is"
    if not any(one.figures for one in calibration.all):
        yield "conclusion", "nothing was measured"
        return
    yield "conclusion", _trust(calibration)
    disturbed, of = calibration.disturbed
    if disturbed:
        yield (
            "disturbed",
            f"in {disturbed} of {of} loads with several sessions this machine had something else to do, as neither "
            f"generator nor sink got {BUSY:.0%} of a processor, or the generator had to wait for one: these figures "
            "are too low",
        )
    yield "processors", _processors(calibration.processors)
    ports = "" if calibration.ports is None else f", {calibration.ports} ports to each address of a server"
    yield (
        "sessions",
        f"at most {calibration.sessions} at once: open files for {calibration.openFiles} (ulimit -Hn){ports}",
    )
    if calibration.connectionRate is not None:
        yield (
            "connections",
            f"{calibration.connectionRate:.0f} new ones a second; they end by a reset, so that none keeps its port in "
            "TIME_WAIT",
        )


def _trust(calibration: Calibration) -> str:
    part = f"{TRUSTED:.0%}"
    why = calibration.disturbance
    if why is not None:
        return f"no conclusion: this machine had something else to do, {why}; try again when it has not"
    if calibration.trusted is not None:
        return (
            f"figures of up to {calibration.trusted:.0f} messages/s can be trusted: {part} of the highest rate, of "
            f"which {100 - TOLERATED}% started in time; for other loads it is {part} of the rate in their row"
        )
    if calibration.highest is not None and calibration.lateShare is not None:
        return (
            f"no rate can be trusted: at {part} of the highest one, {calibration.lateShare:.1%} of the messages "
            "started late; try again when this machine has nothing else to do"
        )
    return f"figures can be trusted up to {part} of the rate in a load's row; which rate starts in time is unknown"


def _processors(count: int) -> str:
    if count == 1:
        return "1, shared by generator and sink: with the server on another machine there is more to be had"
    text = (
        f"{count}; the sink ran here as well and took its share (sink): where the generator used well below 100% of "
        "one (own), it can do more with the server on another machine"
    )
    if count > 2:
        text += "; a generator uses one, with --workers more"
    return text
