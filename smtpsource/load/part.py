"""
One worker's part of a run: what its parent says is done, and what comes of it is said.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smtpsource._version import __version__
from smtpsource.load.kinds import kindOf
from smtpsource.load.leased import LeasedRun
from smtpsource.load.stepped import SteppedRun
from smtpsource.load.watch import Watch
from smtpsource.measure.counters import OUTCOMES, sums
from smtpsource.measure.frame import Frame, continued
from smtpsource.measure.recorder import Recorder
from smtpsource.net.destination import unspelled
from smtpsource.net.reactorchoice import nameOf
from smtpsource.net.steady import keepSteady
from smtpsource.pacing.share import Share
from smtpsource.plan import SourcePlan
from smtpsource.process.unexpected import named
from smtpsource.workers.wire import Kind

if TYPE_CHECKING:
    from smtpsource.interfaces import IReactor

#: What its parent is told: the kind of a message, and its body.
Say = Callable[[Kind, "bytes | dict[str, Any]"], None]


class Part:
    """
    A run of a share, from its plan to its last word. It decides nothing by itself: a fault is told, and the parent says
    what is to be done.
    """

    def __init__(
        self,
        reactor: IReactor,
        plan: SourcePlan,
        share: Share,
        runId: bytes,
        say: Say,
        whenOver: Callable[[], object],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        @param runId: what all workers' messages have in common.
        @param whenOver: called once, when all is said.
        @param clock: what the parent's times are of.
        @raise ValueError: the plan can't be done here; the text says why.
        """
        self.recorder = Recorder()
        self._reactor = reactor
        self._plan = plan
        self._share = share
        self._say = say
        self._whenOver = whenOver
        self._clock = clock
        self._run = run = kindOf(plan, share)(
            *(reactor, plan, self.recorder, clock, self._ended, _show, self._warm, self._hint),
            share=share,
            runId=runId,
            whenTrouble=lambda text: say(Kind.TROUBLE, {"text": text}),
            whenBroken=lambda kind, text: say(Kind.BROKEN, {"kind": kind, "text": text}),
        )
        if isinstance(run, LeasedRun):
            run.want = lambda count: say(Kind.WANT, {"count": count, "epoch": run.epoch})
        elif isinstance(run, SteppedRun):
            run.whenStepped = lambda trial: say(Kind.STEPPED, trial.frame().encode())
        self._watch = Watch(reactor, run, whenCut=self._cut)
        # What the parent has not read yet becomes one frame.
        self._kept: Frame | None = None
        self.isBehind: Callable[[], bool] = lambda: False
        self._hasBegun = self._isOver = False
        self._warmUp: dict[str, Any] | None = None

    def open(self) -> None:
        """
        Be ready to go. For the reactor's thread, when it runs.
        """
        keepSteady(self._reactor)
        self._run.guarded(self._open)

    def obey(self, kind: Kind, body: Any) -> None:
        """
        The parent says something.

        @raise ValueError: that makes no sense from a parent.
        """
        if kind not in _ORDERS:
            raise ValueError(f"expected an order, not {kind.name}")
        if not self._isOver:
            self._run.guarded(_ORDERS[kind], self, body)

    def breakDown(self, kind: str, text: str) -> None:
        """
        This process can't go on: see L{smtpsource.load.run.Run.breakDown}.
        """
        if not self._isOver:
            self._run.breakDown(kind, text)

    def abandon(self) -> None:
        """
        There is no parent any more: end now, as nobody wants to know.
        """
        self._say = lambda kind, body: None
        self._abort({})

    def end(self) -> None:
        """
        Whatever the run is still at, it is over now.
        """
        self._ended()

    def sayKept(self) -> None:
        """
        The parent has read what it was told.
        """
        kept, self._kept = self._kept, None
        if kept is not None:
            self._say(Kind.FRAME, kept.encode())

    # What the parent says

    def _open(self) -> None:
        self._run.openLedger(worker={"index": self._share.index, "count": self._share.count})
        self._run.openLog(ofWorker=True)
        ledger = next(iter(self._run.ledgers), None)
        reactor = nameOf(self._reactor)
        self._say(Kind.READY, {"version": __version__, "pid": os.getpid(), "ledger": ledger, "reactor": reactor})

    def _go(self, body: Mapping[str, Any]) -> None:
        if not self._hasBegun:
            at, addresses = float(body["at"]), [unspelled(address) for address in body["addresses"]]
            self._hasBegun = True
            self._watch.start(at)
            self._run.begin(addresses, at)

    def _lease(self, body: Mapping[str, Any]) -> None:
        run: Any = self._run
        run.lease(int(body["first"]), int(body["count"]), int(body["epoch"]))

    def _reroute(self, body: Mapping[str, Any]) -> None:
        if self._hasBegun:
            self._run.reroute([unspelled(address) for address in body["addresses"]])

    def _step(self, body: Mapping[str, Any]) -> None:
        run: Any = self._run
        run.step(float(body["at"]), float(body["rate"]), float(body["seconds"]))

    def _expire(self, body: Mapping[str, Any]) -> None:
        self._leave(self._run.expire)

    def _drain(self, body: Mapping[str, Any]) -> None:
        self._leave(self._run.drain)

    def _abort(self, body: Mapping[str, Any]) -> None:
        self._leave(self._run.abort)

    def _leave(self, how: Callable[[], None]) -> None:
        """
        End the run, if it has begun; else there is none.
        """
        if self._hasBegun:
            how()
        else:
            self._ended()

    # What the run says

    def _hint(self, text: str) -> None:
        self._say(Kind.HINT, {"text": text})

    def _warm(self, began: float) -> dict[str, Any]:
        """
        The warm-up is over.
        """
        run, recorder = self._run, self.recorder
        self._watch.finish()
        # Before anything is wanted for what comes now: what is on its way counts there.
        self.sayKept()
        self._warmUp = {"seconds": began - run.startTime, **sums((recorder,), OUTCOMES)}
        recorder.restart()
        run.restartAddresses()
        self._watch.start(began)
        return self._warmUp

    def _cut(self, frame: Frame) -> None:
        """
        A second is over.
        """
        frame = replace(frame, gauges={**frame.gauges, self._run.state: 1})
        kept = self._kept
        if kept is not None and kept.epoch != frame.epoch:
            self.sayKept()
        elif kept is not None:
            frame = continued((kept, frame))
        self._kept = frame
        if frame.last or not self.isBehind():
            self.sayKept()

    # The end: whatever is raised here, the parent has its last words

    def _ended(self) -> None:
        """
        The run is over.
        """
        if self._isOver:
            return
        self._isOver = True
        self._run.reserve.release()
        if not self._hasBegun:
            self._watch.start(self._clock())
        for finish in (self._run.closeLedger, self._finish):
            self._known(finish)
        self._run.closeLog().addCallback(lambda _: self._sayAll())

    def _sayAll(self) -> None:
        self._known(self._sayEnd)
        self._whenOver()

    def _finish(self) -> None:
        if self._hasBegun and self._run.warmingUp:
            self._run.endInWarmUp()
        self._watch.finish(last=True)

    def _sayEnd(self) -> None:
        run, upkeep = self._run, self._watch.upkeep
        addresses = run.byAddress() if self._hasBegun else {}
        self._say(
            Kind.END,
            {
                "limits": list(run.limits(upkeep)),
                "disturbances": list(run.disturbances(upkeep)),
                "exhausted": run.exhausted,
                "catchUp": run.catchUp,
                "addresses": {where: [c.opened, c.failed, c.accepted, c.name] for where, c in addresses.items()},
                "warmUp": self._warmUp,
                "hints": list(run.standingHints),
                "ledger": next(iter(run.ledgers), None),
                "messageLog": run.messageLog,
            },
        )

    def _known(self, find: Callable[[], object]) -> None:
        try:
            find()
        except Exception as e:
            kind, text = named(e)
            self.recorder.error(kind, text)
            self._say(Kind.BROKEN, {"kind": kind, "text": text})


def _show(line: str) -> None:
    """
    A line of a trace.
    """
    print(line, file=sys.stderr)


#: What is done at a word of the parent's.
_ORDERS: Mapping[Kind, Callable[[Part, Any], None]] = {
    Kind.GO: Part._go,
    Kind.LEASE: Part._lease,
    Kind.ADDRESSES: Part._reroute,
    Kind.STEP: Part._step,
    Kind.EXPIRE: Part._expire,
    Kind.DRAIN: Part._drain,
    Kind.ABORT: Part._abort,
}
