"""
Tests for L{smtpsource.report.visitors}, where visitors stay: at the control of a sink. (For those who get one answer
and go, see test_metrics.)
"""

from __future__ import annotations

from controlled import Steered
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.report.visitors import LONGEST
from smtpsource.sink.control.asked import LARGEST_BODY
from smtpsource.sink.control.server import MOST, ControlServer
from smtpsource.sink.control.site import READING_TIME
from smtpsource.sink.control.stream import QUIET
from smtpsource.testing import FakeTransport

WAIT = b"GET /messages?wait=600 HTTP/1.1\r\nHost: localhost\r\n\r\n"
WATCH = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
COUNTERS = b"GET /counters HTTP/1.1\r\nHost: localhost\r\n\r\n"


class StayingTests(SynchronousTestCase):
    """
    Who waits or watches, and who only takes room.
    """

    def setUp(self):
        self.reactor = MemoryReactorClock()
        self.steering = Steered()
        self.server = ControlServer(self.reactor, self.steering, "8025")
        self.server.listen()
        _, self.factory, _, _ = self.reactor.tcpServers[0]

    def visit(self, request=b""):
        """
        @return: the transport of a connection that says this; C{None} if it was not taken.
        """
        protocol = self.factory.buildProtocol(None)
        if protocol is None:
            return None
        transport = FakeTransport(self.reactor)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        transport.deliver(request)
        return transport

    def pass_(self, seconds):
        """
        Let time pass.
        """
        for _ in range(10):
            self.reactor.advance(seconds / 10)

    def test_stay(self):
        """
        Who waits for messages, or watches, stays when a stranger of the same age has to go, and hears of what happens.
        """
        waiting, watching, stranger = self.visit(WAIT), self.visit(WATCH), self.visit(WAIT[:-2])
        self.pass_(LONGEST + 1)
        self.assertEqual((waiting.connected, watching.connected, stranger.connected), (True, True, False))
        self.pass_(QUIET)
        self.assertTrue(watching.take().endswith(b":\n\n\r\n"))
        self.steering.receive(1)
        self.assertIn(b'"number": 1', waiting.take())
        self.reactor.advance(0)
        self.assertFalse(waiting.connected)

    def test_waitOver(self):
        """
        When the time of one who waits is over, there is an answer, and nothing is left to be done.
        """
        waiting = self.visit(WAIT)
        self.pass_(599)
        self.assertEqual(waiting.take(), b"")
        self.pass_(2)
        self.assertIn(b'"messages": []', waiting.take())
        self.assertFalse(waiting.connected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_gone(self):
        """
        Who goes before that is forgotten.
        """
        for request in (WAIT, WATCH):
            self.visit(request).abortConnection()
            self.reactor.advance(0)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.steering.receive(1)
        self.steering.publish("mark", text="x")

    def test_slowReader(self):
        """
        Who does not take an answer is gone after a minute.
        """
        transport = self.visit()
        self.patch(transport, "loseConnection", lambda: None)  # there is more to be sent
        transport.deliver(COUNTERS)
        self.pass_(READING_TIME - 1)
        self.assertFalse(transport.aborted)
        self.pass_(2)
        self.assertTrue(transport.aborted)

    def test_crowd(self):
        """
        Strangers take no room from those who wait, and none for long from who has just come.
        """
        waiting = [self.visit(WAIT) for _ in range(20)]
        for _ in range(10):
            for _ in range(30):
                self.visit()
            self.reactor.advance(0)
            self.assertLessEqual(len(self.factory.protocols), MOST)
            transport = self.visit(COUNTERS)
            self.assertIn(b"200 OK", transport.take())
            self.reactor.advance(0)
        self.assertTrue(all(transport.connected for transport in waiting))

    def test_large(self):
        """
        Of a body that is too large nothing is kept; who sends it is told, unless it is larger still.
        """
        head = b"PUT /rules HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        piece = b" " * 65536
        for size, answer in ((LARGEST_BODY + 1, b" 413 "), (20 * LARGEST_BODY, b"")):
            transport = self.visit(head + b"Content-Length: %d\r\n\r\n" % size)
            for start in range(0, size, len(piece)):
                transport.deliver(piece[: size - start])
            self.reactor.advance(0)
            self.assertIn(answer, transport.take())
            self.assertFalse(transport.connected)

    def test_close(self):
        """
        When the sink ends, all of them have to go.
        """
        transports = [self.visit(request) for request in (WAIT, WATCH, b"")]
        self.server.close()
        self.reactor.advance(0)
        self.assertFalse(any(transport.connected for transport in transports))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
