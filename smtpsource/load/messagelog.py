"""
The log of messages: one line of JSON for each, as soon as its outcome is known.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from smtpsource.load import hints
from smtpsource.measure.logsample import LogSample
from smtpsource.messages import headers
from smtpsource.messages.draws import draws
from smtpsource.messages.logged import LoggedMessage
from smtpsource.pacing.share import Share
from smtpsource.phases import MESSAGE, NAMES
from smtpsource.plan import SourcePlan
from smtpsource.printable import printable
from smtpsource.process.spool import Spool
from smtpsource.process.streams import Patience
from smtpsource.process.targets import Target, targetAt
from smtpsource.smtp.queueids import queueId

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage, IReactor

#: The longest reply that a line has, in bytes.
_LONGEST = 300

#: Seconds that a worker waits at its end for a disk, or a reader, that takes nothing, and in all: its parent waits for
#: it. A run of one process waits as long as it does for who reads anything else of it.
_PATIENCE_OF_WORKER, _MOST_OF_WORKER = 2.0, 3.0
_MOST = 3600.0

#: So many messages of a process are remembered, if not twice as many, where all are in doubt.
_ROOM = 250_000

#: What a message came to.
ACCEPTED, REJECTED, FAILED = "accepted", "rejected", "failed"


class MessageLog:
    """
    What a run writes of its messages.

    @ivar path: where to.
    @ivar zero: when the measured time of the run begins, on its clock.
    @ivar forgotten: so many lines can't be made, as too little is known any more of their messages.
    """

    forgotten = 0

    def __init__(
        self,
        plan: SourcePlan,
        share: Share,
        run: bytes,
        idOf: Callable[[int], bytes] | None,
        clock: Callable[[], float],
        hint: Callable[[str], None],
    ) -> None:
        """
        @param share: which part of the run is done here.
        @param run: the run's id.
        @param idOf: gives the id of a message that the ledger has; C{None} if there is none.
        @param hint: called with a line about it when lines are dropped, once.
        """
        assert plan.logMessages is not None and not isinstance(plan.logSample, str)
        self.path = plan.logMessages
        self.zero = clock()
        self._sample = plan.logSample or LogSample("100%", 1.0)
        self._draws = draws(plan.seedInUse, "message log")
        self._share = share
        self._mostSessions = share.of(plan.mostSessions)
        self._sessions = 0
        self._idOf = _ids(plan, run) if idOf is None else lambda number: f'"{idOf(number).decode("ascii")}"'
        self._sinceEpoch = time.time() - clock()
        self._dropping: Callable[[str], None] = lambda problem: hint(hints.ofLog(printable(problem)))
        self._spool: Spool | None = None

    def open(self, reactor: IReactor, *, ofWorker: bool) -> None:
        """
        Begin the file. Where that is not possible, all lines are dropped.

        @param ofWorker: others write there, too; whoever has them begins it.
        """
        self._patience = (_PATIENCE_OF_WORKER, _MOST_OF_WORKER) if ofWorker else (None, _MOST)
        self._spool = Spool(reactor, partial(self._target, ofWorker), self._dropping)

    def _target(self, ofWorker: bool) -> Target:
        if ofWorker and self.path == "-":
            raise OSError(errno.EBADF, "the standard output of a worker on another machine is nobody's")
        return targetAt(self.path, fresh=not ofWorker)

    def close(self) -> Deferred[None]:
        """
        No more lines come.

        @return: fires when all are written, or dropped.
        """
        if self._spool is None:
            return succeed(None)
        seconds, most = self._patience
        return self._spool.finish(Patience(seconds), most)

    @property
    def result(self) -> dict[str, Any]:
        """
        What came of it, as JSON takes it.
        """
        spool = self._spool
        if spool is None:
            return {"file": self.path, "lines": 0, "dropped": 0, "unknown": 0, "problem": None}
        problem = spool.problem if spool.dropped else None
        if self.forgotten and problem is None:
            problem = "too many messages were in doubt"
        problem = None if problem is None else printable(problem)
        dropped = spool.dropped + self.forgotten
        return {"file": self.path, "lines": spool.lines, "dropped": dropped, "unknown": 0, "problem": problem}

    @property
    def gauges(self) -> dict[str, int]:
        """
        How many lines are there, dropped and waiting, as gauges of a frame: of a worker that is lost no more is known.
        """
        result, waiting = self.result, 0 if self._spool is None else self._spool.waiting
        return {"logLines": max(0, result["lines"]), "logDropped": result["dropped"], "logWaiting": max(0, waiting)}

    def session(self) -> int:
        """
        The number of another session, from 1: those of all shares together have each number once.
        """
        self._sessions += 1
        return 1 + self._share.number(self._sessions - 1)

    @property
    def roomOfSession(self) -> int:
        """
        How many of its messages the session that came last may remember: those of all have little room together.
        """
        return max(1, _ROOM // max(1, self._mostSessions, self._sessions))

    def watched(self, message: Any, now: float) -> IMessage:
        """
        A message that was taken: one that keeps what happens to it, if that may be wanted.
        """
        part = self._sample.part
        isDrawn = part >= 1.0
        if not isDrawn and part:
            self._draws.at(message.number)
            isDrawn = self._draws.random() < part
        if not isDrawn and self._sample.isDrawn:
            found: IMessage = message
            return found
        return LoggedMessage(message, now, isDrawn)

    def tell(
        self,
        message: LoggedMessage,
        session: int,
        outcome: str,
        now: float,
        *,
        due: float | None = None,
        times: Mapping[int, float] | None = None,
        accepted: int = 0,
        rejected: int = 0,
        said: tuple[int, bytes] | None = None,
        error: str | None = None,
    ) -> None:
        """
        A message has its outcome: write that down, if it is one of those that are wanted.

        @param session: the number of the session that had it.
        @param now: the time, on the run's clock.
        @param due: when the schedule wanted it, likewise; C{None} without one.
        @param times: more phases, in seconds.
        @param accepted: how many recipients were accepted; and how many were C{rejected}.
        @param said: the phase and the text of the reply that has decided.
        @param error: the kind of fault that has.
        """
        # Those of a window are taken one by one, and written at one time.
        longest = max((times or {}).values(), default=0.0)
        seconds = max(now - (message.begun if due is None else due), longest)
        if not message.drawn and not self._sample.has(outcome != ACCEPTED, seconds, message.times):
            return
        for phase, each in (times or {}).items():
            message.heard(phase, each)
        assert self._spool is not None
        at, name = message.begun - self.zero, self._idOf(message.number)
        answers, code, reply, queue = _said(said, outcome)
        line = (
            f'{{"number":{message.number},"id":{name},"session":{session},"at":{at:.6f},'
            f'"time":{message.begun + self._sinceEpoch:.6f},"outcome":"{outcome}","seconds":{seconds:.6f},'
            f'"phase":{answers},"code":{code},"reply":{reply},"queueId":{queue},'
            f'"error":{"null" if error is None else quoted(error)},"recipients":{{"asked":{message.recipients},'
            f'"accepted":{accepted},"rejected":{rejected}}},'
            f'"size":{"null" if message.size is None else message.size},"phases":{{{_phases(message.times)}}}}}\n'
        )
        self._spool.add(line.encode("ascii"))


def _ids(plan: SourcePlan, run: bytes) -> Callable[[int], str]:
    """
    What stands before the @ of the Message-Id that this program gives a message, as JSON has it.
    """
    own = plan.exercise == "mail" and not plan.oldMode and plan.message is None
    if not own or "message-id" in map(headers.name, headers.given(plan.headers)):
        return lambda number: "null"
    prefix = run.decode("ascii")
    return lambda number: f'"{prefix}.{number:x}"'


def _said(said: tuple[int, bytes] | None, outcome: str) -> tuple[str, str, str, str]:
    """
    The reply that has decided, in parts: as JSON has them.
    """
    if said is None:
        return "null", "null", "null", "null"
    phase, text = said
    queue = queueId(text) if phase == MESSAGE and outcome == ACCEPTED else None
    reply = quoted(printable(text[:_LONGEST].rstrip()))
    return f'"{NAMES[phase]}"', text[:3].decode("ascii"), reply, "null" if queue is None else quoted(queue)


def _phases(times: Mapping[int, list[float]]) -> str:
    return ",".join(
        [f'"{NAMES[phase]}":[{",".join([f"{seconds:.6f}" for seconds in each])}]' for phase, each in times.items()]
    )


def ofWorkers(plan: SourcePlan) -> SourcePlan:
    """
    What a plan says to the workers of this process, which write to the same place; what it had before goes.
    """
    if plan.logMessages is None:
        return plan
    path = f"/proc/{os.getpid()}/fd/1" if plan.logMessages == "-" else plan.logMessages
    try:
        targetAt(plan.logMessages, fresh=True).close()
    except OSError:
        pass  # each of them meets the same, and tells it
    for_ = copy(plan)
    object.__setattr__(for_, "logMessages", path)
    return for_
