"""
What has been of a run, for one who comes late: as JSON that is there already, and within bounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from smtpsource.measure.frame import Frame
from smtpsource.measure.series import Sample, joined
from smtpsource.measure.step import Step
from smtpsource.measure.step import joined as joinedSteps
from smtpsource.measure.timeline import tableOf
from smtpsource.printable import printable
from smtpsource.report.dashboard.seen import Seen
from smtpsource.report.html.data import columnsOf
from smtpsource.report.html.steps import often, timelineOf

#: The most samples: an hour of seconds. Of a longer run, neighbours become one.
MOST_SAMPLES = 3600

#: The most steps with all that is known of their time: more than a picture has room for.
MOST_STEPS = 720

#: The most kinds of errors, and of replies that refuse, of a step: what comes more rarely is in no chart for long.
MOST_KINDS = 32

#: The columns of a sample.
COLUMNS = tuple(columnsOf(()))

_Kept = TypeVar("_Kept")


class Bounded(Generic[_Kept]):
    """
    Things that follow each other, however many there were: when there are too many, with each that comes two neighbours
    become one, from the first on to the last and then again. So nothing takes long at any time.
    """

    def __init__(self, most: int, join: Callable[[_Kept, _Kept], _Kept], write: Callable[[_Kept], bytes]) -> None:
        """
        @param most: an even number.
        @param join: makes one of two.
        @param write: gives one as JSON, in ASCII.
        """
        self._most = most
        self._join = join
        self._write = write
        self._place = 0
        self.kept: list[_Kept] = []
        self.texts: list[bytes] = []

    def add(self, one: _Kept, text: bytes) -> bytes:
        """
        Keep one more.

        @param text: it, as JSON.
        @return: that.
        """
        self.kept.append(one)
        self.texts.append(text)
        if len(self.kept) > self._most:
            self._joinAt(self._place)
            self._place = (self._place + 1) % (self._most // 2)
        return text

    def _joinAt(self, place: int) -> None:
        both = self._join(self.kept[place], self.kept[place + 1])
        self.kept[place : place + 2] = [both]
        self.texts[place : place + 2] = [self._write(both)]

    def clear(self) -> None:
        """
        Forget all.
        """
        self._place = 0
        self.kept, self.texts = [], []

    def pieces(self, size: int) -> Iterator[bytes]:
        """
        All of them as JSON, in lists of at most so many.
        """
        for start in range(0, len(self.texts), size):
            yield b"[" + b",".join(self.texts[start : start + size]) + b"]"


class History:
    """
    The samples and the steps of a run's epoch, as they are known by now.

    @ivar epoch: see L{Frame}; -1 before the first one.
    @ivar number: of the last frame.
    @ivar seen: what there was to be seen in the epoch.
    """

    def __init__(self) -> None:
        self.epoch = self.number = -1
        self.samples = Bounded[Sample](MOST_SAMPLES, joined, lambda sample: _row(sample, _columns(sample)))
        # As bytes, they take little room.
        self.steps = Bounded[bytes](MOST_STEPS, _together, _step)
        self.seen = Seen()

    def add(self, frame: Frame, sample: Sample, step: Step) -> tuple[bytes, bytes]:
        """
        Take what happened in a second.

        @return: the sample and the step, as JSON.
        """
        if frame.epoch != self.epoch:
            self.samples.clear()
            self.steps.clear()
            self.seen = Seen()
        self.epoch, self.number = frame.epoch, frame.number
        columns = _columns(sample)
        self.seen.add(sample, columns)
        sample = self.seen.charted(sample)
        return self.samples.add(sample, _row(sample, columns)), self.steps.add(step.encode(), _table(step))


def _columns(sample: Sample) -> dict[str, float | None]:
    return {name: value for name, (value,) in columnsOf((sample,)).items()}


def _row(sample: Sample, columns: Mapping[str, float | None]) -> bytes:
    watched = {printable(name): value for name, value in (sample.watched or {}).items()}
    return asJSON([*columns.values(), watched])


def _together(first: bytes, second: bytes) -> bytes:
    return joinedSteps((Step.decode(first), Step.decode(second))).encode()


def _step(step: bytes) -> bytes:
    return _table(Step.decode(step))


def _table(step: Step) -> bytes:
    return asJSON(_only(timelineOf(often(tableOf((step,)), MOST_KINDS))))


def _only(table: Any) -> Any:
    """
    A table of one step, without its lists.
    """
    return {name: _only(inner) for name, inner in table.items()} if isinstance(table, dict) else table[0]


def asJSON(value: Any) -> bytes:
    """
    In one line of ASCII.
    """
    return json.dumps(value, separators=(",", ":")).encode("ascii")
