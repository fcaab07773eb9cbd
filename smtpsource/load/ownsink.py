"""
The sink that a run starts: the destination C{sink:}, what its server delivers to meanwhile, or both in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from smtpsource.interfaces import IReactor
from smtpsource.net.destination import Address, SinkDestination, TCPAddress
from smtpsource.plan import SourcePlan
from smtpsource.sink.companion import CompanionSink

if TYPE_CHECKING:
    from smtpsource.load.delivery import Delivery
    from smtpsource.load.run import Run
    from smtpsource.load.workersrun import WorkersRun

#: Seconds that it has to end before nobody waits for it any longer. It is killed before that.
SINK_PATIENCE = 20.0


class OwnSink:
    """
    It is started before the run begins, and stopped after it.

    @ivar isDestination: is it what is loaded?
    @ivar delivery: looks at what arrives, if the server delivers to it.
    """

    def __init__(self, reactor: IReactor, plan: SourcePlan, run: Run | WorkersRun) -> None:
        self._reactor = reactor
        self._plan = plan
        self._run = run
        # A pair of an address and a port, whatever it was given as.
        self._place: Any = plan.deliverTo
        self.isDestination = isinstance(plan.destination, SinkDestination)
        self.delivery: Delivery | None = None
        self._due: IDelayedCall | None = None
        self._companion = CompanionSink(reactor, whenLost=self._lost, **self._settings())

    def _settings(self) -> dict[str, Any]:
        plan = self._plan
        settings: dict[str, Any] = {}
        if self.isDestination:
            settings |= {"users": plan.logins, "lmtp": plan.lmtp, "tls": plan.tls == "implicit"}
            settings["proxyProtocol"] = plan.proxyProtocol is not None
        else:
            # Nobody could verify its certificate, and those who don't would have more to do.
            settings["startTLS"] = False
        if self._place is not None:
            host, port = self._place
            settings |= {"host": host, "port": port, "ledger": plan.ledger, "ledgerSync": plan.ledgerSync}
        return settings

    def start(self) -> Deferred[list[Address]]:
        """
        @return: where it is, once it listens; or fails with
            L{CompanionFailed<smtpsource.sink.companion.CompanionFailed>}.
        """
        started = self._companion.start()
        if self._place is not None:
            from smtpsource.load.delivery import Delivery  # numpy takes a while, but so does the sink

            run = self._run
            self.delivery = Delivery(self._reactor, int(run.id, 16), run.recorder, run.broken)
        return started.addCallback(self._listens)

    def _listens(self, port: int) -> list[Address]:
        host = "127.0.0.1" if self._place is None else self._place[0]
        return [TCPAddress(host, port)]

    def watchDelivery(self) -> None:
        """
        The sink listens, and the run has its ledgers: look at what arrives, if the server delivers to it.

        @raise LedgerError: a ledger can't be read.
        """
        if self.delivery is not None:
            ledgers = self._run.ledgers
            assert self._companion.ledger is not None
            if ledgers:  # or the run was stopped before it began
                self.delivery.begin(ledgers, self._companion.ledger)

    def _lost(self, problem: str) -> None:
        """
        Where the server delivers to there is nobody any more: what is still to come can't be judged.
        """
        if self.delivery is not None:
            self.delivery.giveUp(problem)
            self._run.trouble(problem, tolerable=False)

    def stop(self) -> Deferred[dict[str, Any]]:
        """
        @return: its report; or fails if there is none, or it takes too long. To be called once.
        """
        self._stopped: Deferred[dict[str, Any]] = Deferred()
        problem = RuntimeError(f"the companion sink did not end within {SINK_PATIENCE:g} seconds")
        self._due = self._reactor.callLater(SINK_PATIENCE, self._over, Failure(problem))
        try:
            self._companion.stop().addBoth(self._over)
        except Exception:
            self._over(Failure())
        return self._stopped

    def _over(self, result: dict[str, Any] | Failure) -> None:
        if self._stopped.called:
            return  # it has taken too long
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._stopped.callback(result)
