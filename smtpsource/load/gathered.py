"""
What several workers bring, second by second, as the work of one run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, floor

from smtpsource.load.lostpart import LostPart
from smtpsource.load.workerfacts import WorkerFacts
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame, merged
from smtpsource.measure.recorder import Recorder

#: Seconds for which a second waits for the frames of those who are behind.
PATIENCE = 2

#: Seconds by which a last frame may come after a whole second, and still be of that.
_MOMENT = 0.01


class _Worker:
    """
    What is known of a worker.

    @ivar counters: what it has counted in this epoch.
    @ivar epoch: that of its latest frame.
    @ivar second: up to which second of that epoch everything of it is there.
    @ivar latest: its latest frame that was added; C{None} before.
    @ivar isLiving: are there more to come?
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self.epoch = self.second = 0
        self.latest: Frame | None = None
        self.isLiving = True

    def isBehind(self, epoch: int, second: int) -> bool:
        """
        Is something of this second still to come?
        """
        return self.isLiving and (self.epoch, self.second) < (epoch, second)


class Gathering:
    """
    Adds the frames of all workers to one recorder as they come; and gives what all of them did in a second as one
    frame, when it is complete. A worker that is behind is not waited for longer than L{PATIENCE}: what comes of it then
    is counted as of a later second. So nothing is lost, and nothing is counted twice.

    The warm-up is over when it is over for all: what comes before of those for whom it is, waits.

    There is no clock in here: how late it is, is known by the frames of the others.

    @ivar epoch: 0; 1 when the warm-up is over.
    @ivar given: for each worker, what there is of it in the seconds that were given.
    """

    def __init__(
        self,
        recorder: Recorder,
        workers: int,
        whenSecond: Callable[[Frame], None],
        whenWarm: Callable[[Counters], None] = lambda counters: None,
    ) -> None:
        """
        @param recorder: what is counted of all workers. Its C{open} is set as well.
        @param workers: how many there are.
        @param whenSecond: called with each second; they follow each other without a gap.
        @param whenWarm: called when the warm-up is over, with what was counted in it. It has the recorder begin anew.
        """
        self._recorder = recorder
        self._whenSecond = whenSecond
        self._whenWarm = whenWarm
        self._workers = [_Worker() for _ in range(workers)]
        self.given = [WorkerFacts() for _ in range(workers)]
        self.epoch = 0
        self._early: list[tuple[int, Frame]] = []
        self._lostParts: list[LostPart] = []
        self._forget()

    def add(self, index: int, frame: Frame) -> None:
        """
        A worker says what it has done. What it still says of a warm-up that is over is of no interest.

        @param index: which one, from 0 on.
        """
        worker = self._workers[index]
        if frame.epoch != worker.epoch:
            worker.epoch, worker.second = frame.epoch, 0
        worker.second = max(worker.second, _secondOf(frame))
        worker.isLiving = worker.isLiving and not frame.last
        if frame.epoch > self.epoch:
            self._early.append((index, frame))
        elif frame.epoch == self.epoch:
            self._count(index, frame)
        self._goOn()

    def lost(self, index: int) -> None:
        """
        There is nothing more to come of a worker. May be called any number of times.
        """
        self._workers[index].isLiving = False
        self._setOpen()
        self._goOn()

    def goOnWithout(self, part: LostPart) -> None:
        """
        What the schedule asks for of a lost worker is never started: count it as that, second by second.
        """
        self._lostParts.append(part)

    def of(self, index: int) -> Counters:
        """
        What a worker has counted, since the warm-up if there was one.
        """
        return self._workers[index].counters.copy()

    def gauges(self) -> dict[str, float]:
        """
        The sums of the living workers' gauges; and C{asked} and C{scheduledSeconds}, if there is a schedule: how many
        messages it has asked for up to now, and for how many seconds.
        """
        found = dict(self._scheduled)
        for worker in self._workers:
            if worker.isLiving and worker.latest is not None:
                for name, value in worker.latest.gauges.items():
                    found[name] = found.get(name, 0) + value
        return found

    def _forget(self) -> None:
        # By second, the frames that have yet to be given; up to where they were.
        self._seconds: dict[int, list[tuple[int, Frame]]] = {}
        self._given, self._at = 0, 0.0
        self._scheduled: dict[str, float] = {}

    def _count(self, index: int, frame: Frame) -> None:
        worker = self._workers[index]
        frame.addTo(self._recorder)
        worker.counters = worker.counters.then(frame.counters)
        worker.latest = frame
        self._setOpen()
        if frame.asked is not None:
            self._scheduled["asked"] = self._scheduled.get("asked", 0.0) + frame.asked
        if frame.scheduledSeconds is not None:
            longest = max(self._scheduled.get("scheduledSeconds", 0.0), frame.scheduledSeconds)
            self._scheduled["scheduledSeconds"] = longest
        self._seconds.setdefault(max(_secondOf(frame), self._given + 1), []).append((index, frame))

    def _setOpen(self) -> None:
        living = [one.latest for one in self._workers if one.isLiving and one.latest is not None]
        self._recorder.open = sum(frame.counters.open for frame in living)

    def _goOn(self) -> None:
        """
        Give what is complete by now.
        """
        self._giveSeconds()
        while self._early and self._isWarm():
            self._restart()
            self._giveSeconds()

    def _isWarm(self) -> bool:
        """
        Is the epoch over for all, or for too long for others?
        """
        if all(worker.epoch > self.epoch for worker in self._workers if worker.isLiving):
            return True
        return max(_secondOf(frame) for _, frame in self._early) > PATIENCE

    def _restart(self) -> None:
        self._whenWarm(self._recorder.copy())
        # Each worker tells what was on its way as the first that it has started since.
        self._recorder.started = 0
        self.epoch += 1
        self._forget()
        for worker in self._workers:
            worker.counters = Counters()
        early, self._early = self._early, []
        for index, frame in early:
            if frame.epoch == self.epoch:
                self._count(index, frame)
            else:
                self._early.append((index, frame))

    def _giveSeconds(self) -> None:
        while self._seconds:
            second = min(self._seconds)
            latest = max((one.second for one in self._workers if one.epoch == self.epoch), default=0)
            if latest <= second + PATIENCE and any(one.isBehind(self.epoch, second) for one in self._workers):
                return
            self._give(second)

    def _give(self, second: int) -> None:
        those = self._seconds.pop(second)
        for index, of in those:
            self.given[index].add(of)
        frame = self._withLostParts(merged(of for _, of in those))
        # What has come late does not make this second longer. Gauges are those of all.
        before, self._at = self._at, max(self._at, frame.at)
        self._given = second
        counters = replace(frame.counters, open=self._recorder.open)
        length, last = self._at - before, self._isLast()
        self._whenSecond(
            replace(
                frame, number=second, at=self._at, seconds=length, counters=counters, gauges=self.gauges(), last=last
            )
        )

    def _withLostParts(self, frame: Frame) -> Frame:
        """
        The same second with what is never started in it, which is counted by this.
        """
        seconds = frame.scheduledSeconds
        more = 0 if seconds is None else sum(part.asks(self.epoch, seconds) for part in self._lostParts)
        if not more:
            return frame
        self._recorder.dropped += more
        self._scheduled["asked"] = self._scheduled.get("asked", 0) + more
        return replace(frame, asked=(frame.asked or 0) + more, counters=frame.counters + Counters(dropped=more))

    def _isLast(self) -> bool:
        return not self._seconds and not any(worker.isLiving for worker in self._workers)


def _secondOf(frame: Frame) -> int:
    """
    In which second it ended, from 1 on. All but the last one end with a second, or a little later.
    """
    return max(1, ceil(frame.at - _MOMENT) if frame.last else floor(frame.at + 0.5))
