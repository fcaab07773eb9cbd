"""
The sessions of one sink: their number, their idle times, their end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from sys import maxsize
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.protocol import ServerFactory

from smtpsource.process.turns import inTurns
from smtpsource.sink.authenticator import Authenticator, loadUsers
from smtpsource.sink.connection import SinkConnection
from smtpsource.sink.dialogue import dialogue
from smtpsource.sink.parameters import OfferedParameters
from smtpsource.sink.plan import SinkPlan, isSteered
from smtpsource.sink.protocol import SMTPSinkProtocol
from smtpsource.sink.summary import SinkCounts
from smtpsource.sink.tls import ServerTLS

if TYPE_CHECKING:
    from smtpsource.sink.dns.world import World
    from smtpsource.sink.interfaces import SessionFactory
    from smtpsource.sink.keeping.ledger import SinkLedger
    from smtpsource.sink.steering import Steering


def _nothing(*arguments: object) -> None:
    pass


class SinkFactory(ServerFactory):
    """
    Makes the sessions of one sink, and keeps their number and their idle times in bounds.

    @ivar ports: the ports that use this factory; they don't accept while the sink is full.
    @ivar tls: makes the TLS of a connection.
    @ivar implicitTLS: connections begin with TLS.
    @ivar proxyProtocol: connections begin with a PROXY header.
    @ivar authenticator: says who may log in.
    @ivar parameters: checks those of MAIL and RCPT, and counts them.
    @ivar connections: all that are open, with those that wait for their banner.
    @ivar waiting: those that do.
    @ivar messageLimit: see L{SinkPlan.messageLimit}; a number in any case.
    @ivar later: calls something in a later turn of the reactor.
    @ivar whenLimitReached: called once, when a limit of the plan is reached.
    @ivar whenEmpty: called each time the last connection is gone.
    @ivar whenBroken: called with what was raised in the code of a session, which has ended then.
    @ivar ledger: where arrivals are written down, if that is wanted.
    @ivar steering: what this sink is steered by, if it is.
    @ivar world: the domains that it answers for, if it does.
    @ivar firstSession: when the first session began, in the reactor's seconds; C{None} before.
    @ivar lastEnd: when the latest session ended.
    """

    noisy = False
    protocol: Any = SMTPSinkProtocol

    def __init__(
        self, plan: SinkPlan, seconds: Callable[[], float], callLater: Callable[..., Any] | None = None
    ) -> None:
        """
        @param seconds: the reactor's clock.
        @param callLater: the reactor's, for a sink that is steered.
        @raise ValueError: a file that the plan names can't be used.
        """
        self.counts = SinkCounts()
        self.tls = ServerTLS(plan.hostname, plan.tlsCert, plan.tlsKey, plan.tlsKeyPasswordFile)
        self.implicitTLS = plan.tls
        self.proxyProtocol = plan.proxyProtocol
        users = None if plan.authUsers is None else loadUsers(plan.authUsers)
        self.authenticator = Authenticator(plan.hostname, users)
        self.messageLimit: float = plan.messageLimit or maxsize
        self.sessionLimit = plan.sessionLimit or maxsize
        self.maxSessions = plan.maxSessions or maxsize
        self.idleTimeout = plan.idleTimeout
        self.seconds = seconds
        self.ports: list[Any] = []
        self.connections: set[SinkConnection] = set()
        # In the order in which they came.
        self.waiting: OrderedDict[SinkConnection, None] = OrderedDict()
        self.later: Callable[[Callable[[], None]], object] = lambda call: call()
        self.whenLimitReached: Callable[[], None] = _nothing
        self.whenEmpty: Callable[[], None] = _nothing
        self.whenBroken: Callable[[BaseException | None], None] = _nothing
        self.firstSession: float | None = None
        self.lastEnd = 0.0
        self._ending = False
        self._isPaused = False
        self.world: World | None = None
        if plan.dns is not None:
            from smtpsource.sink.dns.worldfile import worldOf

            self.world = worldOf(plan.world)
        self.ledger: SinkLedger | None = None
        if plan.ledger is not None:
            from smtpsource.sink.keeping.ledger import SinkLedger  # for those who want one

            says = {"hostname": plan.hostname, "lmtp": plan.lmtp, "sync": plan.ledgerSync}
            header = {"command": list(plan.command), "plan": says}
            self.ledger = SinkLedger(plan.ledger, header, sync=plan.ledgerSync)
        self.steering: Steering | None = None
        if isSteered(plan):
            assert callLater is not None
            self._steer(plan, callLater)
        elif plan.ledger is not None:
            from smtpsource.sink.ledgered import LedgeredProtocol

            self.protocol = LedgeredProtocol
        self.dialogue = dialogue(plan, self.authenticator.mechanisms, self.protocol)
        self.parameters = OfferedParameters(self.dialogue.extensions, self.dialogue.extensionsInTLS)

    def _steer(self, plan: SinkPlan, callLater: Callable[..., Any]) -> None:
        # Most sinks have no use for what this takes.
        from smtpsource.sink.steered import SteeredProtocol
        from smtpsource.sink.steering import Steering

        self.protocol = SteeredProtocol
        self.steering = Steering(plan, self.counts, lambda: self.seconds(), callLater)
        self.steering.ledger = self.ledger
        self.steering.whenPaused = self._pause
        self.steering.drop = self.abort
        if self.world is not None:
            from smtpsource.sink.dns.behaviors import rulesByAddress

            self.steering.rulesByAddress = rulesByAddress(self.world)

    def _pause(self, paused: bool) -> None:
        """
        Listen to nobody; or to all again.
        """
        self._isPaused = paused
        if paused:
            for port in self.ports:
                port.pauseProducing()
        for protocol in list(self.connections):
            if protocol.begun:
                steered = cast("Any", protocol)
                if paused:
                    steered.stop("pause")
                else:
                    steered.go("pause")
        self._admit()

    def connected(self, protocol: SinkConnection) -> None:
        """
        There is a new connection: it begins, or waits, or has come too late.
        """
        self.connections.add(protocol)
        if self._ending:
            protocol.endSoon()
        elif self._isPaused or not self._hasRoom():
            # A port may accept several connections before it can be told to stop. For a client there is no
            # difference between waiting here and waiting in the kernel.
            self.waiting[protocol] = None
            protocol.pauseProducing()
            for port in self.ports:
                port.pauseProducing()
        else:
            self._begin(protocol)

    def _hasRoom(self) -> bool:
        """
        May another session begin?
        """
        return self.counts.open < self.maxSessions

    def _begin(self, protocol: SinkConnection) -> None:
        counts = self.counts
        if self.firstSession is None:
            self.firstSession = self.seconds()
        counts.sessions += 1
        if counts.open > counts.mostOpen:
            counts.mostOpen = counts.open
        protocol.begin()

    def disconnected(self, protocol: SinkConnection) -> None:
        """
        A connection is gone; the next one may begin.
        """
        self.connections.discard(protocol)
        if protocol.begun:
            self.counts.ended += 1
            self.lastEnd = self.seconds()
            if self.counts.ended >= self.sessionLimit:
                self.limitReached()
            if self.maxSessions != maxsize and not self._ending:
                self._admit()
        else:
            self.waiting.pop(protocol, None)
        if not self.connections:
            self.whenEmpty()

    def _admit(self) -> None:
        """
        Let in who waits, as far as there is room.
        """
        while not (self._isPaused or self._ending) and self._hasRoom():
            if not self.waiting:
                for port in self.ports:
                    port.resumeProducing()
                return
            protocol, _ = self.waiting.popitem(last=False)
            self._begin(protocol)
            protocol.resumeProducing()

    def writeUnseen(self, session: int, arrivals: int) -> None:
        """
        A session that had arrivals has ended, and nobody knows whether the replies to its latest ones were read.
        """
        self.toLedger(lambda ledger: ledger.unseen(session, arrivals))

    def writeTakenBack(self, octets: bytes, code: int) -> None:
        """
        What was written of some arrivals is not known to be on the disk: they were refused after all.

        @param code: of the reply.
        """
        self.toLedger(lambda ledger: ledger.takeBack(octets, code))

    def toLedger(self, write: Callable[[SinkLedger], None]) -> None:
        """
        Write something into the ledger that no reply depends on, as far as that is possible.
        """
        if self.ledger is not None:
            try:
                write(self.ledger)
            except OSError as e:
                self.counts.error("storage", f"{e.strerror}: {self.ledger.path}".encode("utf-8", "surrogateescape"))

    def limitReached(self) -> None:
        """
        No session may complete another message.
        """
        if not self._ending:
            self._ending = True
            self._dismissWaiting()
            for protocol in self.connections:
                if protocol.begun:
                    protocol.refuseMore()
            self.whenLimitReached()

    def endSoon(self) -> None:
        """
        Let sessions finish the transaction they are in, and end the others.
        """
        self._ending = True
        self._dismissWaiting()
        self._each(lambda protocol: protocol.endSoon())

    def _dismissWaiting(self) -> None:
        waiting, self.waiting = self.waiting, OrderedDict()
        inTurns(waiting, lambda protocol: protocol.endSoon(), self.later)

    def _each(self, tell: Callable[[SinkConnection], object]) -> None:
        """
        Tell every connection something.
        """
        connections = list(self.connections)
        inTurns((one for one in connections if one in self.connections), tell, self.later)

    def abort(self) -> int:
        """
        Drop all connections.

        @return: how many.
        """
        count = len(self.connections)
        self._each(lambda protocol: protocol.abort())
        return count

    def sweep(self, now: float | None = None, lost: Callable[[float], float] = lambda time: 0.0) -> None:
        """
        End the sessions that have been idle for too long; to be called regularly.

        @param now: the time that this is for, if that is past.
        @param lost: gives the seconds since a time that don't count.
        """
        if now is None:
            now = self.seconds()
        limit = self.idleTimeout

        def look(protocol: SinkConnection) -> None:
            if protocol.active:
                protocol.active = False
                protocol.quietSince = now
            elif (
                limit is not None and protocol.begun and now - protocol.quietSince - lost(protocol.quietSince) >= limit
            ):
                protocol.quietSince = now
                protocol.idledOut()

        self._each(look)


if TYPE_CHECKING:
    # It is Twisted that gives it to connections: here its type is compared with what they ask.
    _asAsked: type[SessionFactory] = SinkFactory
