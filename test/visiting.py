"""
Visitors of an HTTP server in memory: some of them wait outside.
"""

from __future__ import annotations

from collections import deque

from smtpsource.testing import FakeTransport


class Door:
    """
    A port that is open, or has who comes wait.
    """

    numberAccepts = 1

    def __init__(self):
        self.isOpen = True

    def pauseProducing(self):
        """
        Nobody is let in.
        """
        self.isOpen = False

    def resumeProducing(self):
        """
        All are let in.
        """
        self.isOpen = True


class VisitingMixin:
    """
    For a test case that has C{reactor}, a C{MemoryReactorClock}, with one server.
    """

    def open(self):
        """
        Have a door.

        @ivar factory: makes the connections.
        @ivar outside: those who wait, with what they will say.
        """
        _, self.factory, _, _ = self.reactor.tcpServers[0]
        self.factory.door.port = self.door = Door()
        self.outside = deque()

    def visit(self, request=b""):
        """
        @return: the transport of a connection that says this, when it is let in.
        """
        transport = FakeTransport(self.reactor)
        self.outside.append((transport, request))
        self.letIn()
        return transport

    def letIn(self):
        """
        Let in who waits, as far as the door is open.
        """
        while self.outside and self.door.isOpen:
            transport, request = self.outside.popleft()
            transport.protocol = self.factory.buildProtocol(None)
            transport.protocol.makeConnection(transport)
            transport.deliver(request)

    def pass_(self, seconds):
        """
        Let time pass, in small steps.
        """
        for _ in range(10):
            self.reactor.advance(seconds / 10)
            self.letIn()
