"""
Whole runs in memory, and sessions that note what they are told. The public names are in L{smtpsource.testing}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from attrs import evolve
from zope.interface import implementer

from smtpsource.interfaces import IMessage, ISession
from smtpsource.load.service import SourceService
from smtpsource.measure.summary import Summary
from smtpsource.net.destination import HostDestination
from smtpsource.plan import SourcePlan
from smtpsource.testing.memory import FakeReactor


@implementer(ISession)
class RecordingSession:
    """
    A session that sends what it has, then quits, and notes what it is told.

    @ivar messages: what is left to send.
    @ivar quits: does it quit when there is none left? Otherwise it leaves the connection open.
    @ivar events: what came, in order, each as a tuple of the method's name and its arguments, without times.
    @ivar seconds: for each accepted message, how long it took.
    """

    def __init__(self, messages: Iterable[IMessage] = (), quits: bool = True) -> None:
        self.messages = deque(messages)
        self.quits = quits
        self.events: list[tuple[Any, ...]] = []
        self.seconds: list[float] = []

    def ready(self, protocol: Any) -> None:
        """See L{ISession.ready}."""
        self.events.append(("ready",))
        if self.messages:
            protocol.send(self.messages.popleft())
        elif self.quits:
            protocol.quit()

    def accepted(self, seconds: float, recipientsAccepted: int, recipientsRejected: int) -> None:
        """See L{ISession.accepted}."""
        self.seconds.append(seconds)
        self.events.append(("accepted", recipientsAccepted, recipientsRejected))

    def acceptedNext(self, protocol: Any, seconds: float, recipientsAccepted: int) -> IMessage | None:
        """See L{ISession.acceptedNext}."""
        self.accepted(seconds, recipientsAccepted, 0)
        self.ready(protocol)
        return None

    def rejected(self, recipientsRejected: int) -> None:
        """See L{ISession.rejected}."""
        self.events.append(("rejected", recipientsRejected))

    def exercised(self) -> None:
        """See L{ISession.exercised}."""
        self.events.append(("exercised",))

    def refused(self, phase: int, text: bytes, what: str = "") -> None:
        """See L{ISession.refused}."""
        self.events.append(("refused", phase, text, what) if what else ("refused", phase, text))

    def following(self) -> IMessage | None:
        """See L{ISession.following}."""
        return self.messages.popleft() if self.messages else None

    def recipientRefused(self, phase: int, recipient: int, code: bytes) -> None:
        """See L{ISession.recipientRefused}. C{refused} has told."""

    def postponed(self, code: bytes) -> None:
        """See L{ISession.postponed}."""

    def contentLeaves(self) -> None:
        """See L{ISession.contentLeaves}."""

    def unanswered(self, recipientsAccepted: int, recipientsRejected: int) -> None:
        """See L{ISession.unanswered}."""
        self.events.append(("unanswered", recipientsAccepted, recipientsRejected))

    def fault(self, kind: str, text: str, quitting: bool = False, doubtful: int = 0) -> None:
        """See L{ISession.fault}."""
        self.events.append(("fault", kind, text))

    def disconnected(self, lost: bool) -> None:
        """See L{ISession.disconnected}."""
        self.events.append(("disconnected", lost))


def runInMemory(
    plan: SourcePlan, serverFactory: Any, *, reactor: FakeReactor | None = None, limit: float = 86400.0
) -> Summary:
    """
    Run a plan to its end against a server in memory, at once: pauses and timeouts pass on a fake clock::

        summary = runInMemory(SourcePlan(messageCount=10), myFactory)
        self.assertEqual(summary.messages.accepted, 10)

    @param plan: what to do; its destination does not matter.
    @param serverFactory: makes the server's protocols; each connection gets one.
    @param reactor: its clock is the run's; a new one unless given.
    @param limit: how many seconds the run may take on that clock.
    @raise TimeoutError: it takes longer.
    """
    if reactor is None:
        reactor = FakeReactor()
    reactor.server = serverFactory
    plan = evolve(plan, destination=HostDestination("127.0.0.1"))  # type: ignore[misc]
    service = SourceService(reactor, plan, clock=reactor.seconds)
    done: list[Summary] = []
    service.whenDone().addCallback(done.append)
    end = reactor.seconds() + limit
    serverFactory.doStart()
    service.startService()
    while not done:
        if reactor.seconds() > end:
            raise TimeoutError(f"the run did not end within {limit:g} seconds")
        calls = reactor.getDelayedCalls()
        reactor.advance(max(0.0, min(call.getTime() for call in calls) - reactor.seconds()) if calls else limit + 1)
    reactor.advance(0)  # let connections that are just being closed be gone for the server as well
    service.stopService()
    serverFactory.doStop()
    return done[0]
