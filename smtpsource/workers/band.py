"""
The workers of a run, all together: started, told what to do, and heard, up to the last one's end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from smtpsource.workers.link import Link, WorkerFailed
from smtpsource.workers.wire import Kind
from smtpsource.workers.words import understood

#: Seconds that workers may take to get ready: they import all, and read what they are to send.
START_TIMEOUT = 120.0

#: Seconds that a worker has beyond what it takes to end in order.
PATIENCE = 5.0

#: Seconds after which a worker that has begun, and says nothing, will not say anything any more.
SILENCE = 15.0

#: Seconds after which its silence is worth a remark.
REMARKABLE = 4.0


class _Worker:
    """
    What is known of one of them.
    """

    def __init__(self, link: Link, name: str) -> None:
        self.link = link
        self.name = name
        self.ready: dict[str, Any] | None = None
        self.hasEnded = self.isGone = self.isSilent = False
        self.heard = 0.0
        self.how = ""


class Band:
    """
    All workers of a run. None of them is waited for without an end: one that does not get ready in time is the end of
    the run, and one that falls silent, or does not end in time, is killed.

    @ivar size: how many workers there are.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        links: Sequence[Link],
        grace: float,
        whenSaid: Callable[[int, Kind, Any], object],
        whenLost: Callable[[int, str], object],
        whenOver: Callable[[], object],
        whenSilent: Callable[[int, float], object] = lambda index, seconds: None,
    ) -> None:
        """
        @param grace: seconds that a worker may take to end in order, once it was told to drain.
        @param whenSaid: called with a worker's index, and what it has said; L{Kind.END} is the last of it.
        @param whenLost: called with a worker's index, and why it is gone before its end, as one line.
        @param whenOver: called once, when all are gone.
        @param whenSilent: called with a worker's index when it has begun, and said nothing for some seconds; and how
            many these are.
        """
        self.size = len(links)
        self._reactor = reactor
        self._grace = grace
        self._whenSaid = whenSaid
        self._whenLost = whenLost
        self._whenOver = whenOver
        self._whenSilent = whenSilent
        self._workers = [
            _Worker(link, f"worker {number} of {self.size}" + (f" ({link.host})" if link.host else ""))
            for number, link in enumerate(links, 1)
        ]
        self._allReady: Deferred[list[dict[str, Any]]] | None = None
        self._problem: str | None = None
        self._timer: Any = None
        self._until = 0.0
        self._hasStarted = self._hasBegun = self._isOver = self._isNeedless = False
        # When the look at those that are to end is due; C{None} before the first.
        self._lookDue: float | None = None
        for index, link in enumerate(links):
            link.whenSaid = partial(self._said, index)
            link.whenGone = partial(self._gone, index)

    def name(self, index: int) -> str:
        """
        What a worker is called.
        """
        return self._workers[index].name

    def how(self, index: int) -> str:
        """
        How a worker has ended: empty if that was in order, or if it has not.
        """
        return self._workers[index].how

    def start(self, plans: Sequence[Iterable[tuple[Kind, bytes | dict[str, Any]]]]) -> Deferred[list[dict[str, Any]]]:
        """
        Start all workers.

        @param plans: for each, what to tell it first.
        @return: what all of them have said when they were ready; or fails with L{WorkerFailed}, and then none is left.
        """
        self._hasStarted = True
        self._allReady = ready = Deferred[list[dict[str, Any]]]()
        self._timer = self._reactor.callLater(START_TIMEOUT, self._notReady)
        for worker, plan in zip(self._workers, plans, strict=True):
            worker.link.start()
            for message in plan:
                worker.link.send(*message)
        return ready

    def go(self, body: dict[str, Any]) -> None:
        """
        All begin.

        @param body: see L{Kind.GO}.
        """
        self._hasBegun = True
        self.tell(Kind.GO, body)
        self._watchOver()

    def say(self, index: int, kind: Kind, body: dict[str, Any]) -> None:
        """
        Tell one worker something.
        """
        self._workers[index].link.send(kind, body)

    def tell(self, kind: Kind, body: dict[str, Any] | None = None) -> None:
        """
        Tell all workers something.
        """
        for worker in self._workers:
            if not worker.isGone:
                worker.link.send(kind, body)

    def drain(self) -> None:
        """
        No further message is started; all end in order within the grace period, or are killed. Before they have begun,
        they end at once.
        """
        if not self._hasBegun:
            self.abort()
            return
        self.tell(Kind.DRAIN)
        self._endWithin(self._grace + PATIENCE)

    def abort(self) -> None:
        """
        All end now.
        """
        if self._hasBegun:
            self.tell(Kind.ABORT)
            self._endWithin(PATIENCE)
        else:
            self._giveAllUp()

    def giveUp(self, index: int, reason: str) -> None:
        """
        There is no use for this worker: end it.

        @param reason: why, as one line.
        """
        self._workers[index].link.kill(reason)

    def end(self) -> None:
        """
        Whatever there is left of them ends.
        """
        if not self._isOver:
            self._giveAllUp()

    @property
    def living(self) -> list[int]:
        """
        The indexes of those that are not over.
        """
        return [index for index, worker in enumerate(self._workers) if not (worker.isGone or worker.hasEnded)]

    # What workers say, and what becomes of them

    def _said(self, index: int, kind: Kind, body: Any) -> None:
        worker = self._workers[index]
        worker.heard = self._reactor.seconds()
        if kind is Kind.READY or kind is Kind.UNUSABLE:
            self._saidFirst(worker, kind, body)
        elif kind in _WHILE_IT_GOES_ON and not worker.hasEnded:
            if kind is Kind.END:
                self._ends(worker)
            self._whenSaid(index, kind, body)
        else:
            worker.link.kill(f"said {kind.name}, which makes no sense now")

    def _saidFirst(self, worker: _Worker, kind: Kind, body: Any) -> None:
        try:
            meaning = understood(kind, body)
        except ValueError as e:
            worker.link.kill(f"said {kind.name} in a way that makes no sense: {e}")
            return
        if kind is Kind.READY:
            worker.ready = meaning
            self._countReady()
        else:
            self._problem = self._problem or meaning
            worker.link.kill("can't be used")

    def _countReady(self) -> None:
        if self._allReady is not None and all(worker.ready is not None for worker in self._workers):
            self._stopTimer()
            ready, self._allReady = self._allReady, None
            ready.callback([worker.ready or {} for worker in self._workers])

    def _notReady(self) -> None:
        late = [worker for worker in self._workers if worker.ready is None]
        self._problem = f"{late[0].name} was not ready within {START_TIMEOUT:g} seconds"
        self._giveAllUp()

    def _ends(self, worker: _Worker) -> None:
        """
        A worker has said all: its process ends, and those that have nothing more to say are not waited for.
        """
        worker.hasEnded = True
        self._watchOver()

    def _gone(self, index: int, how: str) -> None:
        worker = self._workers[index]
        worker.isGone = True
        if not worker.hasEnded:
            worker.how = how or "ended before its time"
            if self._isNeedless:
                pass  # it was told to
            elif self._allReady is not None:
                self._problem = self._problem or f"{worker.name} {worker.how}"
                self._giveAllUp()
            else:
                self._whenLost(index, worker.how)
        if all(worker.isGone for worker in self._workers):
            self._over()
        elif self._hasBegun:
            self._watchOver()

    def _over(self) -> None:
        if self._isOver:
            return
        self._isOver = True
        self._stopTimer()
        ready, self._allReady = self._allReady, None
        if ready is not None and self._problem is not None:
            ready.errback(WorkerFailed(self._problem))
        self._whenOver()

    # Whom nobody waits for any longer

    def _watchOver(self) -> None:
        """
        The workers have begun, or are to end: look after those that may hang, from now on.
        """
        if self._isOver or self._timer is not None:
            return
        now = self._reactor.seconds()
        if self._lookDue is None:
            for worker in self._workers:
                worker.heard = max(worker.heard, now)
        self._lookDue = now + _LOOK
        self._timer = self._reactor.callLater(_LOOK, self._look)

    def _look(self) -> None:
        """
        A worker says something every second. One that has been silent for so long that a second can't be the reason
        will not end by itself, and others may wait for what it has; nor does one that has ended but for its process.
        """
        self._timer = None
        now = self._reactor.seconds()
        late = now - (self._lookDue or now)
        if late > _LATE:
            # This process has stood still itself: what others have said meanwhile is not read yet.
            self._until += late if self._until else 0.0
            for worker in self._workers:
                worker.heard += late
        for worker in self._workers:
            if not worker.isGone:
                self._lookAt(worker, now)
        self._watchOver()

    def _lookAt(self, worker: _Worker, now: float) -> None:
        silent = now - worker.heard
        if worker.hasEnded:
            if silent > PATIENCE:
                worker.link.kill("did not end its process")
        elif silent > (min(SILENCE, self._grace + PATIENCE) if self._isEnding else SILENCE):
            worker.link.kill(f"was silent for {silent:.0f} seconds")
        elif self._until and now > self._until:
            worker.link.kill("did not end in time")
        elif silent < REMARKABLE:
            worker.isSilent = False
        elif not worker.isSilent and self._hasBegun:
            worker.isSilent = True
            self._whenSilent(self._workers.index(worker), silent)

    @property
    def _isEnding(self) -> bool:
        """
        Do the others end?
        """
        return bool(self._until) or any(worker.isGone or worker.hasEnded for worker in self._workers)

    def _endWithin(self, seconds: float) -> None:
        until = self._reactor.seconds() + seconds
        self._until = min(self._until, until) if self._until else until
        self._watchOver()

    def _giveAllUp(self) -> None:
        """
        There will be no run with them, or no more of it. Those that are ready have something to put away, such as a
        ledger.
        """
        if self._isNeedless:
            return
        self._isNeedless = True
        self._stopTimer()
        for worker in self._workers:
            if not self._hasStarted:
                worker.isGone = True
            elif worker.ready is not None:
                worker.link.send(Kind.ABORT)
            elif not worker.isGone:
                worker.link.kill("was not needed any more")
        if all(worker.isGone for worker in self._workers):
            self._over()
        else:
            self._endWithin(PATIENCE)

    def _stopTimer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


#: What workers say from GO on.
_WHILE_IT_GOES_ON = frozenset((Kind.FRAME, Kind.WANT, Kind.STEPPED, Kind.TROUBLE, Kind.BROKEN, Kind.HINT, Kind.END))

#: Seconds between two looks at those that may hang, and by how much a look is late when this process stood still.
_LOOK, _LATE = 0.5, 1.0
