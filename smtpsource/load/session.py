"""
A session: one slot of a run's concurrency.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from smtpsource.interfaces import IMessage, IReactor, IRun, ISession
from smtpsource.net.patience import Standstills
from smtpsource.net.reconnecting import ReconnectingConnector
from smtpsource.net.route import ConnectQueue, Route, sessionDelay
from smtpsource.phases import BANNER, CONNECT, NAMES
from smtpsource.printable import printable
from smtpsource.process.unexpected import OURS
from smtpsource.smtp.protocol import SMTPSourceProtocol

#: After so many connections that could not be had a session waits no longer, if nothing but its messages ends the run.
#: That is some twenty seconds, enough for most servers to be started again.
_TRIES = 17

#: A message that starts so many seconds after it was wanted is late. Less than that is what a timer and a turn of the
#: reactor take.
LATE_AFTER = 0.01

#: Refusals with these codes may tell what is wrong with what was asked for: see L{smtpsource.load.hints.Refusals}.
_TELLING = frozenset({b"421", b"500", b"501", b"502", b"550", b"553"})


@implementer(ISession)
class Session:
    """
    Takes messages from the run's pool one by one, and sends each on a connection: a new one, or the one it has.

    @ivar message: the message that is started and has no outcome yet.
    @ivar protocol: the connection, once it is made and as long as it is there.
    @ivar parked: it waits until the run has a message for it.
    @ivar leaving: it takes no further message.
    @cvar wanted: when the message, and each of the following, was wanted, on the run's clock; empty without a schedule.
    """

    __slots__ = (
        "_acceptedHere",
        "_connector",
        "_failures",
        "_following",
        "_held",
        "_left",
        "_pause",
        "_reactor",
        "_run",
        "_take",
        "leaving",
        "message",
        "parked",
        "protocol",
    )

    wanted: Sequence[float] = ()

    def __init__(self, run: IRun, reactor: IReactor, route: Route, queue: ConnectQueue) -> None:
        plan = run.plan
        self._run = run
        self._take = run.take
        self._reactor = reactor
        self.parked = self.leaving = False
        self.message: IMessage | None = None
        # With pipelining, those after it that are started, too.
        self._following: deque[IMessage] = deque()
        # How many more messages may be sent on this connection, and how many were accepted.
        self._left = self._acceptedHere = 0
        self.protocol: SMTPSourceProtocol | None = None
        self._pause: IDelayedCall | None = None
        # How many connections could not be had since the last one that could.
        self._failures = 0
        self._held: IDelayedCall | None = None
        self._connector = ReconnectingConnector(
            reactor,
            route,
            queue,
            run.clock,
            self._build,
            self._addressFailed,
            self._gaveUp,
            self._unconnected,
            attempts=plan.connectAttempts,
            timeout=plan.connectTimeout,
            windowSize=plan.windowSize,
            sources=run.sources,
        )

    def connectNoMore(self) -> None:
        """
        Don't try again if a connection can't be had.
        """
        self._connector.lastAttempt()

    def noMessageLeft(self) -> None:
        """
        Go on at once, if this session is pausing; don't connect if there is no message yet for the connection.
        """
        if self._pause is not None:
            self.endPause()
        elif self._isSeeking() and self._connector.stop():
            self._run.ended(self)

    def sign(self, number: int) -> None:
        """
        Tell every message that this session sends it.

        @param number: the session's, from 1.
        """
        take = self._take

        def takeAndSign() -> IMessage | None:
            message: Any = take()
            if message is not None:
                message.session = number
            return message  # type: ignore[no-any-return]

        self._take = takeAndSign

    def start(self) -> None:
        """
        Begin with the first message; without one the session is over at once.
        """
        self._next()

    def stop(self) -> None:
        """
        Take no further message. One that is on its way goes on; a connection that waits for work, or has yet to be
        made, is given up.
        """
        if self._pause is not None:
            self.endPause()
        elif self.parked:
            self.resume()
        elif self._held is not None:
            self._held.cancel()
            self._holdOver()
        elif self.protocol is None and self._connector.stop():
            if self.message is not None:
                self._run.recorder.error("stopped", "not connected yet when the run was told to stop")
            self._endMessage()
            self._run.ended(self)

    def endPause(self) -> None:
        """
        Go on at once, if this session is pausing.
        """
        if self._pause is not None:
            self._pause.cancel()
            self._pauseOver()

    def resume(self) -> None:
        """
        Wait no longer: the run has a message, or will have none any more.
        """
        self.parked = False
        if self.protocol is None or not self.protocol.over:
            self._next()
        # Else the connection is being closed; _unconnected comes next.

    def finish(self) -> None:
        """
        Take no further message: end the connection, if there is one, and the session.
        """
        self.leaving = True
        if self.protocol is None:
            self._run.ended(self)
        else:
            self._quit()

    def abort(self) -> None:
        """
        End now. A message that is on its way has failed.
        """
        if self.protocol is None:
            self.stop()
        else:
            if self.message is not None:
                self._run.recorder.error("stopped", "without an answer yet when the grace period was over")
            self.protocol.abort()

    def awaitsBanner(self, now: float, seconds: float, standstills: Standstills) -> bool:
        """
        Has the server kept a connection waiting for its banner so long?

        @param standstills: as in L{sweep}.
        """
        protocol = self.protocol
        if protocol is None or not protocol.awaits(BANNER):
            return False
        return now - standstills.since(protocol.lastActivity) - protocol.lastActivity >= seconds

    def sweep(self, now: float, timeout: float, standstills: Standstills) -> None:
        """
        End a connection whose server has been silent for too long.

        @param standstills: what is not the server's silence.
        """
        protocol = self.protocol
        if protocol is not None:
            protocol.overdue(now - standstills.since(protocol.lastActivity), timeout)

    def settle(self) -> None:
        """
        Add the messages that were accepted on this connection to those of its address.
        """
        if self._acceptedHere:
            self._connector.target.accepted += self._acceptedHere
            self._acceptedHere = 0

    # What the connection tells: ISession

    def ready(self, protocol: object) -> None:
        """
        See L{ISession.ready}.
        """
        try:
            if self.message is not None:
                self._left -= 1
                self.protocol.send(self.message)  # type: ignore[union-attr]
            elif self._left and self._run.remaining:
                self._nextAfterPause()
            else:
                self._quit()
        except Exception as e:
            self._broken(e)

    def following(self) -> IMessage | None:
        """
        See L{ISession.following}.
        """
        take = self._take  # an attribute is found quicker than a method that is none
        try:
            if not self._left or self._run.pause is not None or (message := take()) is None:
                return None
        except Exception as e:
            self._run.broken(e)  # the message before it goes on
            return None
        self._left -= 1
        self._following.append(message)
        return message

    def accepted(self, seconds: float, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.accepted}.
        """
        # _answered, without the call: this is for every message.
        self.message = self._following.popleft() if self._following else None
        self._acceptedHere += 1
        recorder = self._run.recorder
        recorder.transaction(seconds, recipientsAccepted)
        recorder.recipientsRejected += recipientsRejected

    def acceptedNext(self, protocol: object, seconds: float, recipientsAccepted: int) -> IMessage | None:
        """
        See L{ISession.acceptedNext}.
        """
        self.accepted(seconds, recipientsAccepted, 0)
        run = self._run
        if self._left and run.remaining and run.pause is None:
            try:
                take = self._take
                self.message = message = take()
            except Exception as e:
                self._broken(e)
                return None
            if message is not None:
                self._left -= 1
                return message
        self.ready(protocol)
        return None

    def rejected(self, recipientsRejected: int) -> None:
        """
        See L{ISession.rejected}.
        """
        self._answered()
        recorder = self._run.recorder
        recorder.rejected += 1
        recorder.recipientsRejected += recipientsRejected

    def exercised(self) -> None:
        """
        See L{ISession.exercised}.
        """
        self._answered()
        self._run.recorder.accepted += 1
        self._connector.target.accepted += 1

    def refused(self, phase: int, text: bytes, what: str = "") -> None:
        """
        See L{ISession.refused}.
        """
        if text[:3] in _TELLING:
            self._run.refused(phase, text)
        self._run.trouble(f"{what or NAMES[phase] + ' refused'}: {printable(text)}")

    def recipientRefused(self, phase: int, recipient: int, code: bytes) -> None:
        """
        See L{ISession.recipientRefused}. What is counted are all that were.
        """

    def postponed(self, code: bytes) -> None:
        """
        See L{ISession.postponed}.
        """
        assert self.message is not None
        self._following.append(self.message)
        self.message = self._following.popleft()

    def contentLeaves(self) -> None:
        """
        See L{ISession.contentLeaves}.
        """

    def fault(self, kind: str, text: str, quitting: bool = False, doubtful: int = 0) -> None:
        """
        See L{ISession.fault}.
        """
        if kind in OURS:
            self._run.breakDown(kind, text)
            return
        if self.parked and kind == "closed-while-idle":
            # A server may end a connection that waits for its next message for long (RFC 5321 section 4.5.3.2.7); the
            # next message makes another.
            self._run.recorder.error(kind, text)
            return
        if doubtful:
            taken = self._run.recorder.takeBack(min(doubtful, self._acceptedHere))
            if taken:
                self._acceptedHere -= taken
                text = f"{text}; {taken} of the messages accepted here may not have been: counted as failed"
        self._run.recorder.error(kind, text)
        if kind in ("tls-failed", "certificate-refused"):
            from smtpsource.load import hints  # for those who need it

            self._run.hint(hints.ofTLS(self._run.plan, text))
        if not quitting:
            self._run.trouble(f"{kind}: {text}")

    def unanswered(self, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.unanswered}.
        """
        recorder = self._run.recorder
        recorder.recipientsAccepted += recipientsAccepted
        recorder.recipientsRejected += recipientsRejected

    def disconnected(self, lost: bool) -> None:
        """
        See L{ISession.disconnected}.
        """
        self.protocol = None
        self.settle()
        if self._held is not None:
            self._held.cancel()
            self._held = None
        recorder = self._run.recorder
        recorder.open -= 1
        if lost:
            recorder.connectionsLost += 1
        self._endMessage()

    # Messages, one after the other

    def _nextAfterPause(self) -> None:
        pause = self._run.pause
        if pause is not None and (seconds := pause()) > 0:
            self._pause = self._reactor.callLater(seconds, self._pauseOver)
        else:
            self._next()

    def _pauseOver(self) -> None:
        self._pause = None
        if self._failures:
            self._run.seeking.discard(self)
        if self.protocol is None or not self.protocol.over:
            self._next()
        # Else the connection is being closed; _unconnected comes next.

    def _next(self) -> None:
        """
        Take the next message. If there will be none, this session is over.
        """
        try:
            take = self._take
            self.message = take()
            if self.message is not None:
                if self.protocol is not None:
                    self._left -= 1
                    self.protocol.send(self.message)
                else:
                    self._connector.connect()
            elif self._run.remaining:
                self._run.idle(self)
            else:
                self.finish()
        except Exception as e:
            self._broken(e)

    def _quit(self) -> None:
        """
        No more messages on this connection: end it, unless it is to be held open for a while.
        """
        if self._run.plan.hold and not self._run.draining:
            self._held = self._reactor.callLater(self._run.plan.hold, self._holdOver)
        else:
            self.protocol.quit()  # type: ignore[union-attr]

    def _holdOver(self) -> None:
        self._held = None
        try:
            if not self.protocol.over:  # type: ignore[union-attr]
                self.protocol.quit()  # type: ignore[union-attr]
        except Exception as e:
            self._broken(e)

    def _broken(self, exception: Exception) -> None:
        """
        Something has raised what nobody expected, and this session is no longer sure of what it does: it ends, and so
        does the run.
        """
        self._run.broken(exception)
        if self.protocol is not None:
            self.protocol.abort()
            return
        with suppress(Exception):
            self._connector.stop()
        self._endMessage()
        self._run.ended(self)

    def _answered(self) -> None:
        self.message = self._following.popleft() if self._following else None

    def _endMessage(self) -> None:
        while self.message is not None:
            self._answered()
            self._run.recorder.failed += 1

    # Connecting

    def _build(self) -> SMTPSourceProtocol:
        try:
            protocol: SMTPSourceProtocol = self._run.build(self)
        except Exception as e:
            # What comes of it is a connection that could not be made; but that is no server's fault.
            self._run.broken(e)
            raise
        if self._failures:
            self._failures = 0
            self._run.seeking.discard(self)
        recorder = self._run.recorder
        recorder.connectionsOpened += 1
        self._connector.target.opened += 1
        self._run.reached = True
        recorder.open += 1
        recorder.duration(CONNECT, self._connector.sinceStarted())
        self._left = self._run.perConnection
        self._acceptedHere = 0
        self.protocol = protocol
        return protocol

    def _addressFailed(self) -> None:
        self._run.recorder.connectionsFailed += 1
        self._connector.target.failed += 1

    def _gaveUp(self, kind: str, text: str) -> None:
        self.fault(kind, text)
        self._endMessage()
        run = self._run
        if run.remaining and not self.leaving and (run.endsInTime or run.recorder.open or self._failures < _TRIES):
            self._tryLater()
        else:
            run.seeking.discard(self)
            self._unconnected()

    def _tryLater(self) -> None:
        """
        There is no connection to be had now, and the next message would fail as well: it can wait.
        """
        seconds = sessionDelay(self._failures)
        pause = self._run.pause
        if pause is not None:
            seconds = max(seconds, pause())
        self._failures += 1
        self._run.seeking.add(self)
        self._pause = self._reactor.callLater(seconds, self._tryAgain)

    def _tryAgain(self) -> None:
        """
        Connect, and take a message when that is done. Where nobody has ever answered, each try takes a message with it.
        """
        if self._run.reached:
            self._pause = None
            self._connector.connect()
        else:
            self._pauseOver()

    def _isSeeking(self) -> bool:
        """
        Is this session connecting without a message?
        """
        return self.message is None and self._pause is None and self in self._run.seeking

    def _unconnected(self) -> None:
        """
        There is no connection, and another can be made.
        """
        if self._pause is not None or self.parked:
            return  # the connection was idle: the next message makes a new one
        if self._run.remaining and not self.leaving:
            self._nextAfterPause()
        else:
            self._run.ended(self)
