"""
A run that goes on in another process, made of what is told of it: for those who show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from math import isfinite
from typing import Any

from smtpsource.measure.counters import AddressCounts, together
from smtpsource.measure.frame import Frame, Frames
from smtpsource.measure.histogram import PERCENTILES
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.progress import RUNNING, STATES, Awaited, Progress
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import take
from smtpsource.printable import printable
from smtpsource.report.words import NOUNS

#: What is told of a run's progress, and of which type it is.
_NUMBERS = ("at", "sessions", "asked", "askedRate", "overdue", "ofWarmUp", "givesUpAt", "total", "duration", "startsIn")
_NEEDED = ("at", "sessions", "ofWarmUp")


def told(progress: Progress) -> dict[str, Any]:
    """
    How far a run has come, as JSON takes it. How far a search has come is not told, nor what each worker does.
    """
    return {
        **{name: getattr(progress, name) for name in (*_NUMBERS, "state", "exercise")},
        "hints": list(progress.hints),
        "delivered": None if progress.delivered is None else asdict(progress.delivered),
        "awaited": None if progress.awaited is None else asdict(progress.awaited),
    }


def heard(document: Any) -> Progress:
    """
    The opposite of L{told}. It may be anybody's.

    @raise ValueError: it is none; the text is one line.
    """
    if not isinstance(document, Mapping):
        raise ValueError("expected an object that says how far a run has come")
    numbers = {name: _number(name, document.get(name), needed=name in _NEEDED) for name in _NUMBERS}
    state, exercise = document.get("state"), document.get("exercise")
    if state not in STATES or not isinstance(exercise, str) or exercise not in NOUNS:
        raise ValueError("expected a state and an exercise that are known; is it of a later version?")
    hints = document.get("hints")
    if not isinstance(hints, list) or not all(isinstance(hint, str) for hint in hints):
        raise ValueError("expected hints that are texts")
    delivered, awaited = document.get("delivered"), document.get("awaited")
    if delivered is not None:
        delivered = Delivered(**_all(delivered, ("acknowledged", "here", "arrived", "peak")))
    if awaited is not None:
        awaited = Awaited(**_all(awaited, ("missing", "silent", "enough", "left")))
    return Progress(
        **numbers,
        state=state,
        exercise=exercise,
        hints=tuple(printable(hint) for hint in hints),
        delivered=delivered,
        awaited=awaited,
    )


def _all(document: Any, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        raise ValueError(f"expected an object with {', '.join(names)}")
    return {name: _number(name, document.get(name), needed=True) for name in names}


def _number(name: str, value: Any, *, needed: bool) -> Any:
    if value is None and not needed:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**63 or not isfinite(value):
        raise ValueError(f"expected {name} to be a number")
    return value


class Followed:
    """
    Such a run: a L{Running<smtpsource.measure.progress.Running>}.

    @ivar recorder: what was counted, as far as it is known.
    @ivar percentiles: those that are told of latencies.
    """

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.percentiles: Sequence[float] = PERCENTILES
        self._last: Frame | None = None
        self._progress = Progress(at=0.0, state="starting", sessions=0)

    def take(self, frame: Frame, progress: Progress | None = None) -> None:
        """
        A second has passed, or several.

        @param progress: how far the run had come then; C{None} if nobody says.
        """
        recorder = self.recorder
        if self._last is None or frame.epoch != self._last.epoch:
            recorder.restart()
            recorder.started = 0
            self._progress = replace(self._progress, asked=None)
        self._last = frame
        frame.addTo(recorder)
        recorder.open = frame.counters.open
        self._progress = self._guessed(frame) if progress is None else progress

    def soFar(self) -> Frame | None:
        """
        All that was counted, as if it had come in one frame; C{None} if there was none.
        """
        last = self._last
        if last is None:
            return None
        whole = Frames(self.recorder).cut(take(self.recorder, last.at, None))
        return replace(whole, number=last.number, epoch=last.epoch, gauges=last.gauges, watched=last.watched)

    def _guessed(self, frame: Frame) -> Progress:
        """
        What the frame itself says.
        """
        gauges = frame.gauges
        return replace(
            self._progress,
            at=frame.at,
            state=RUNNING,
            sessions=int(gauges.get("sessions", 0)),
            asked=together(self._progress.asked, frame.asked) if self._progress.asked is not None else frame.asked,
            askedRate=gauges.get("askedRate"),
            overdue=int(gauges["overdue"]) if "overdue" in gauges else None,
            ofWarmUp=int(gauges.get("ofWarmUp", 0)),
            delivered=Delivered.of(gauges),
        )

    def progress(self) -> Progress:
        """
        How far it has come.
        """
        return self._progress

    def byAddress(self) -> Mapping[str, AddressCounts]:
        """
        That is not told.
        """
        return {}
