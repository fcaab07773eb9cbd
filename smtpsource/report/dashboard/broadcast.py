"""
What happens in a run, told to all who watch it: as server-sent events, and once for all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from twisted.web.http import Request

from smtpsource.measure.frame import Frame
from smtpsource.measure.marks import Mark
from smtpsource.measure.progress import Progress
from smtpsource.measure.series import Sample
from smtpsource.measure.step import Step
from smtpsource.report.dashboard.eventreader import packed
from smtpsource.report.dashboard.history import COLUMNS, History, asJSON
from smtpsource.report.dashboard.marks import Marks
from smtpsource.report.following import Followed, told
from smtpsource.web.eventstream import Watcher, written
from smtpsource.web.staying import Stays

#: The most who watch at once.
MOST = 8

#: So many events wait for one who does not read, besides what was before they came.
MOST_WAITING = 150

#: So many seconds are remembered for those who come back.
REMEMBERED = 600

#: How many samples and steps go into one event, of those that have been: some tens of kilobytes.
SAMPLES_AT_ONCE, STEPS_AT_ONCE = 300, 20


class _Second(NamedTuple):
    """
    One that has passed.

    @ivar row: its sample, as JSON.
    @ivar step: likewise.
    @ivar identity: what those say who know it.
    """

    row: bytes
    step: bytes
    identity: str


class Broadcast:
    """
    Those who watch a run.

    @ivar history: what has been.
    """

    def __init__(self, reactor: Any, percentiles: Sequence[float]) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param percentiles: those that are told of latencies.
        """
        self._reactor = reactor
        self._percentiles = percentiles
        self._stays = Stays(MOST)
        self.history = History()
        self._marks = Marks()
        self._recent: deque[_Second] = deque(maxlen=REMEMBERED)
        # For those who want frames.
        self._run = Followed()
        # What is not of a second: the latest of each kind.
        self._standing: dict[tuple[str, object], bytes] = {}
        self._over: bytes | None = None
        # Those who want what is made for a page, and those who want frames.
        self._pages: dict[object, Watcher] = {}
        self._others: dict[object, Watcher] = {}

    @property
    def isWatched(self) -> bool:
        """
        Does anybody look at a page?
        """
        return bool(self._pages)

    @property
    def identity(self) -> str:
        """
        That of the last second.
        """
        return f"{self.history.epoch}.{self.history.number}"

    def add(self, frame: Frame, progress: Progress, sample: Sample, step: Step) -> None:
        """
        A second has passed.

        @param progress: how far the run had come then.
        @param sample: the same second.
        @param step: likewise.
        """
        if frame.epoch != self.history.epoch >= 0:
            self._recent.clear()
            self._tell(self._pages, self._reset())
            for marks in self._marks.pieces():
                self._tell(self._pages, written("marks", marks))
        second = _Second(*self.history.add(frame, sample, step), self.identity)
        self._recent.append(second)
        self._tell(self._pages, written("frame", b'{"row":%s,"step":%s}' % second[:2], second.identity))
        self._run.take(frame, progress)
        if self._others:
            self._tell(self._others, written("frame", packed(told(progress), frame.encode())))

    def say(self, kind: str, data: bytes, of: object = None) -> None:
        """
        Something is to be seen from now on, in place of what was of its kind.

        @param data: one line of JSON.
        @param of: what it is of, where there are several of a kind.
        """
        event = written(kind, data)
        if self._standing.get((kind, of)) != event:
            self._standing[kind, of] = event
            self._tell(self._pages, event)

    def sayMarks(self, marks: Sequence[Mark]) -> None:
        """
        Tell which are others than before.

        @param marks: all of them.
        """
        for changed in self._marks.renew(marks):
            self._tell(self._pages, written("marks", changed))

    def end(self, forPages: bytes, forOthers: Callable[[], bytes]) -> None:
        """
        The run is over, and nothing more will be told.

        @param forPages: what there is to say of that, as one line of JSON.
        @param forOthers: gives the same for who is no page.
        """
        self._over = written("over", forPages)
        self._overForOthers = cache(lambda: written("over", forOthers()))
        self._tell(self._pages, self._over)
        if self._others:
            self._tell(self._others, self._overForOthers())

    def watch(self, request: Request, after: str | None) -> None:
        """
        Somebody has a page.

        @param after: the last second that they know; C{None} if there is none.
        @raise Problem: there are too many.
        """
        watcher = self._begin(request, self._pages)
        known = next((place for place, second in enumerate(self._recent) if second.identity == after), None)
        if known is None:
            self._tellAll(watcher)
        else:
            self._tellRest(watcher, list(self._recent)[known + 1 :])
        for marks in self._marks.pieces():
            watcher.tellOld(written("marks", marks))
        for event in self._standing.values():
            watcher.tellOld(event)
        watcher.tellOld(written("known", b"null", self.identity if self.history.epoch >= 0 else None))
        if self._over is not None:
            watcher.tellOld(self._over)

    def watchFrames(self, request: Request) -> None:
        """
        Somebody wants the frames: those that have been, as one, and those to come.

        @raise Problem: there are too many.
        """
        watcher = self._begin(request, self._others)
        watcher.tell(written("run", asJSON({"percentiles": self._percentiles})))
        known = self._run.soFar()
        if known is not None:
            watcher.tell(written("frame", packed(told(self._run.progress()), known.encode())))
        if self._over is not None:
            watcher.tell(self._overForOthers())

    def finish(self) -> None:
        """
        Nobody is to come back: all streams end when what was told is read.
        """
        for watcher in (*self._pages.values(), *self._others.values()):
            watcher.finish()

    def _begin(self, request: Request, those: dict[object, Watcher]) -> Watcher:
        stay = self._stays.begin(request)
        watcher = Watcher(self._reactor, request, stay, MOST_WAITING)
        watcher.begin("what happens in this run")
        those[watcher] = watcher
        stay.whenGone(lambda: those.pop(watcher, None))
        return watcher

    def _tell(self, those: Mapping[object, Watcher], event: bytes) -> None:
        for watcher in list(those.values()):
            watcher.tell(event)

    def _reset(self) -> bytes:
        return written("reset", asJSON({"columns": COLUMNS}))

    def _tellAll(self, watcher: Watcher) -> None:
        history = self.history
        watcher.tellOld(self._reset())
        for steps in history.steps.pieces(STEPS_AT_ONCE):
            watcher.tellOld(written("history", b'{"rows":[],"steps":%s}' % steps))
        for rows in history.samples.pieces(SAMPLES_AT_ONCE):
            watcher.tellOld(written("history", b'{"rows":%s,"steps":[]}' % rows))

    def _tellRest(self, watcher: Watcher, missed: Sequence[_Second]) -> None:
        for start in range(0, len(missed), STEPS_AT_ONCE):
            rows, steps, known = zip(*missed[start : start + STEPS_AT_ONCE], strict=True)
            content = b'{"rows":[%s],"steps":[%s]}' % (b",".join(rows), b",".join(steps))
            # Where this breaks off, they have what came up to there.
            watcher.tellOld(written("history", content, known[-1]))
