"""
What happens in a run, told to all who watch it: as server-sent events, and once for all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from twisted.web.http import Request

from smtpsource.measure.frame import Frame
from smtpsource.measure.marks import Mark
from smtpsource.measure.progress import Progress
from smtpsource.report.dashboard.eventreader import packed
from smtpsource.report.dashboard.history import COLUMNS, History, asJSON
from smtpsource.report.following import Followed, told
from smtpsource.web.eventstream import Watcher, written
from smtpsource.web.staying import Stays

#: The most who watch at once.
MOST = 8

#: So many events wait for one who does not read: with a second each, that is long enough to come back.
MOST_WAITING = 150

#: So many seconds are remembered for those who come back.
REMEMBERED = 600

#: How many samples and steps go into one event, of those that have been: some tens of kilobytes.
SAMPLES_AT_ONCE, STEPS_AT_ONCE = 300, 20


class Broadcast:
    """
    Those who watch a run.

    @ivar history: what has been.
    """

    def __init__(self, reactor: Any, marks: Callable[[], Sequence[Mark]]) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param marks: gives the moments that were marked so far.
        """
        self._reactor = reactor
        self._marks = marks
        self._stays = Stays(MOST)
        self.history = History()
        self._recent: deque[tuple[str, bytes]] = deque(maxlen=REMEMBERED)
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

    def add(self, frame: Frame, progress: Progress) -> None:
        """
        A second has passed.

        @param progress: how far the run had come then.
        """
        if frame.epoch != self.history.epoch >= 0:
            self._recent.clear()
            for watcher in list(self._pages.values()):
                watcher.tell(self._reset())
        row, step = self.history.add(frame)
        event = written("frame", b'{"row":%s,"step":%s}' % (row, step), self.identity)
        self._recent.append((self.identity, event))
        self._tell(self._pages, event)
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

    def sayMarks(self) -> None:
        """
        There are others than before, or more is known of one.
        """
        self.say("marks", asJSON([asdict(mark) for mark in self._marks()]))

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
        known = next((place for place, (known, _) in enumerate(self._recent) if known == after), None)
        if known is None:
            self._tellAll(watcher)
        else:
            for _, event in list(self._recent)[known + 1 :]:
                watcher.tell(event)
        for event in self._standing.values():
            watcher.tell(event)
        if self._over is not None:
            watcher.tell(self._over)

    def watchFrames(self, request: Request) -> None:
        """
        Somebody wants the frames: those that have been, as one, and those to come.

        @raise Problem: there are too many.
        """
        watcher = self._begin(request, self._others)
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
        watcher.tell(self._reset())
        for steps in history.steps.pieces(STEPS_AT_ONCE):
            watcher.tell(written("history", b'{"rows":[],"steps":%s}' % steps))
        # With the last of them, all is known.
        for rows in history.samples.pieces(SAMPLES_AT_ONCE):
            watcher.tell(written("history", b'{"rows":%s,"steps":[]}' % rows))
        if history.epoch >= 0:
            watcher.tell(written("known", b"null", self.identity))
