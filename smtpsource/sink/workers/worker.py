"""
One worker of a sink, as its process sees it.

It does what its parent says, and ends with it, whatever becomes of that.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.process.listening import ListenError
from smtpsource.process.unexpected import INTERNAL_ERROR
from smtpsource.sink.doors import Doors
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.service import SinkService
from smtpsource.sink.summary import SinkSummary
from smtpsource.sink.user import becomeUser
from smtpsource.sink.workers.counted import Counted, Result
from smtpsource.sink.workers.factory import WorkerFactory
from smtpsource.sink.workers.listening import WorkerDoors
from smtpsource.sink.workers.shared import PATIENCE, Shared
from smtpsource.sink.workers.table import SIZE
from smtpsource.sink.workers.task import Task
from smtpsource.sink.workers.wire import LONGEST, READ, SHARED, WRITE, Kind, framed, packed, readFirst, unpacked

if TYPE_CHECKING:
    from smtpsource.process.streams import Lines
    from smtpsource.sink.workers.answering import Answering

#: Seconds between two looks at whether there is something new to tell.
_INTERVAL = 0.25


class WorkerService(SinkService):
    """
    A sink whose parent has the last word.

    @ivar plan: what it is to be.
    @ivar whenLimit: called when this one finds that a limit is reached, of all workers together.
    """

    def __init__(self, reactor: Any, task: Task, shared: Shared) -> None:
        """
        @raise ValueError: a file that the plan names can't be used.
        """
        self._task = task
        self._shared = shared
        self.plan = task.plan
        self.whenLimit: Callable[[], None] = lambda: None
        super().__init__(reactor, task.plan)

    def counted(self) -> Counted:
        """
        What it has counted so far.
        """
        return Counted.of(self.factory, self._cpu)

    def newFactory(self, plan: SinkPlan) -> SinkFactory:
        """
        See L{SinkService.newFactory}.
        """
        seconds, callLater = self._reactor.seconds, self._reactor.callLater
        return WorkerFactory(plan, seconds, callLater, self._shared, self._task.worker)

    def newDoors(self, plan: SinkPlan) -> Doors:
        """
        See L{SinkService.newDoors}.
        """
        return WorkerDoors(self._reactor, plan, cast("WorkerFactory", self.factory), self._task.families)

    def _limitReached(self) -> None:
        self.whenLimit()
        super()._limitReached()


@implementer(IHalfCloseableProtocol)
class Talk(Int32StringReceiver):
    """
    What is said between a worker and its parent, from the worker's side.
    """

    MAX_LENGTH = LONGEST
    transport: Any

    def __init__(self, reactor: Any, sink: WorkerService) -> None:
        self._reactor = reactor
        self._sink = sink
        self._told: Counted | None = None
        self._telling = LoopingCall(sink.guarded, self._tellCounts)
        self._telling.clock = reactor
        self._answering: Answering | None = None
        self.ended: Deferred[None] = Deferred()

    def say(self, kind: Kind, body: Any = None) -> None:
        """
        Tell the parent something.
        """
        if self.transport is not None:
            self.sendString(packed(kind, body))

    def stringReceived(self, string: bytes) -> None:
        """
        The parent says something.
        """
        kind, body = unpacked(string)
        factory = self._sink.factory
        assert isinstance(factory, WorkerFactory)
        if kind is Kind.BEGIN:
            self._begin(*body)
        elif kind is Kind.LIMIT:
            factory.limitReached()
        elif kind is Kind.ROOM:
            factory.haveRoom()
        elif kind is Kind.FINISH:
            self._sink.finish(body)
        elif self._answering is not None:
            if kind is Kind.ASK:
                self._answering.ask(*body)
            elif kind is Kind.WATCH:
                self._answering.watch(body)

    def _begin(self, user: str | None, root: str | None) -> None:
        sink = self._sink
        factory = sink.factory
        assert isinstance(factory, WorkerFactory)
        problem = becomeUser(user, root, sink.doors.prepare)
        try:
            if problem is None:
                sink.startService()
        except (ListenError, ValueError, OSError) as e:
            problem = str(e)
        if problem is not None:
            self.say(Kind.UNUSABLE, problem)
            return
        sink.whenLimit = lambda: self.say(Kind.LIMIT)
        factory.whenRoom = lambda: self.say(Kind.ROOM)
        if sink.plan.control is not None:
            from smtpsource.sink.workers.answering import Answering  # twisted.web takes a while

            self._answering = Answering(self._reactor, factory, self.say, self._tellCounts)
        sink.whenDone().addCallback(self._over)
        self._telling.start(_INTERVAL, now=False)
        self.say(Kind.READY, None if factory.ledger is None else factory.ledger.path)

    def _tellCounts(self) -> None:
        counted = self._sink.counted()
        if self._told is None or counted.withoutTimes() != self._told.withoutTimes():
            self._told = counted
            self.say(Kind.COUNTS, counted)

    def _over(self, summary: SinkSummary) -> None:
        if self._telling.running:
            self._telling.stop()
        if self._answering is not None:
            self._answering.close()
        self.say(Kind.END, Result.of(self._sink.factory, summary, self._sink.counted()))
        # When that is written: the parent closes its end then.
        if self.transport is not None:
            self.transport.loseConnection()
        else:
            self._end()

    def readConnectionLost(self) -> None:
        """
        The parent is gone, or wants nothing any more.
        """
        self._gone()

    def writeConnectionLost(self) -> None:
        """
        Likewise.
        """
        self._gone()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Likewise.
        """
        self._gone()

    def _gone(self) -> None:
        self.transport = None
        self._sink.finish("signal")
        self._sink.whenDone().addCallback(lambda summary: self._end())

    def _end(self) -> None:
        if not self.ended.called:
            self.ended.callback(None)


class _Lines:
    """
    A file for a log, whose lines the parent shows.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def write(self, text: str) -> int:
        """
        Say it to the parent.
        """
        self._talk.say(Kind.LOG, text)
        return len(text)

    def flush(self) -> None:
        """
        It is said already.
        """


def _run(reactor: Any, task: Task) -> Deferred[None]:
    from twisted.internet._posixstdio import StandardIO

    from smtpsource.process.failurelog import FailureObserver, beginLogging

    shared = Shared(SHARED, task.workers, SIZE)
    try:
        sink = WorkerService(reactor, task, shared)
    except (ValueError, OSError) as e:
        os.write(WRITE, framed(packed(Kind.UNUSABLE, str(e))))
        raise SystemExit(1)
    talk = Talk(reactor, sink)

    def breakDown(kind: str, text: str) -> None:
        sink.breakDown(kind, text)
        talk.say(Kind.BROKEN, (kind, text))

    def stuck(process: int) -> None:
        text = (
            f"process {process} has kept what all workers share to itself for more than {PATIENCE:g} second: what they "
            "decide together may be off by some"
        )
        breakDown(INTERNAL_ERROR, text)
        talk.say(Kind.COMPLAINT, f"{INTERNAL_ERROR}: {text}")

    shared.whenStuck = stuck
    observer = FailureObserver(reactor, breakDown, lambda line: talk.say(Kind.COMPLAINT, line))
    beginLogging(observer, cast("Lines", _Lines(talk)) if task.plan.verbose else None)
    StandardIO(talk, stdin=READ, stdout=WRITE, reactor=reactor)
    # The reactor has taken this one for itself.
    reactor.callWhenRunning(signal.signal, signal.SIGTERM, signal.SIG_IGN)
    return talk.ended


def main() -> NoReturn:
    """
    The child.

    @raise SystemExit: always.
    """
    from twisted.internet.task import react

    from smtpsource.net.reactorchoice import installLike
    from smtpsource.process.garbage import relax

    first = readFirst(READ)
    if first is None:
        # The parent is gone.
        raise SystemExit(1)
    task: Task = first[1]
    if task.processor is not None:
        os.sched_setaffinity(0, {task.processor})
    installLike(task.reactor)
    relax()
    react(_run, (task,))
    raise SystemExit(0)
