"""
Tests for L{smtpsource.web.visitors}, where visitors stay: at the control of a sink. (For those who get one answer
and go, see test_metrics.)
"""

from __future__ import annotations

from controlled import Steered
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from visiting import VisitingMixin

from smtpsource.sink.control.asked import LARGEST_BODY
from smtpsource.sink.control.server import MOST, ControlServer
from smtpsource.web.eventstream import QUIET
from smtpsource.web.requests import READING_TIME
from smtpsource.web.visitors import LONGEST, SILENCE

WAIT = b"GET /messages?wait=600 HTTP/1.1\r\nHost: localhost\r\n\r\n"
WATCH = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
COUNTERS = b"GET /counters HTTP/1.1\r\nHost: localhost\r\n\r\n"


class StayingTests(VisitingMixin, SynchronousTestCase):
    """
    Who waits or watches, and who only takes room.
    """

    def setUp(self):
        self.reactor = MemoryReactorClock()
        self.steering = Steered()
        self.server = ControlServer(self.reactor, self.steering, "8025")
        self.server.listen()
        self.open()

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
        Very many who come at once and ask are all answered, one after the other, beside those who wait for something.
        """
        waiting = [self.visit(WAIT) for _ in range(20)]
        asking = [self.visit(COUNTERS) for _ in range(300)]
        while self.outside:
            self.assertEqual(len(self.factory.protocols), MOST)
            self.assertEqual(self.door.numberAccepts, 1)
            self.pass_(0)
        for transport in asking:
            self.assertIn(b"200 OK", transport.take())
            self.assertFalse(transport.aborted)
        self.assertTrue(all(transport.connected for transport in waiting))

    def test_silentCrowd(self):
        """
        Those who say nothing keep nobody out for long, and only as many of them go as others come.
        """
        waiting = [self.visit(WAIT) for _ in range(20)]
        silent = [self.visit() for _ in range(MOST - 20)]
        asking = [self.visit(COUNTERS) for _ in range(3)]
        self.pass_(SILENCE * 0.9)
        self.assertEqual(len(self.outside), 3)
        silent[0].deliver(COUNTERS[:10])
        self.pass_(SILENCE * 0.3)
        for transport in asking:
            self.assertIn(b"200 OK", transport.take())
        self.assertTrue(silent[0].connected)
        self.assertTrue(all(transport.connected for transport in waiting))
        self.assertLessEqual(sum(transport.aborted for transport in silent), len(asking))

    def test_slowCrowd(self):
        """
        So do those who do not take their answers.
        """
        slow = [self.visit() for _ in range(MOST)]
        for transport in slow:
            self.patch(transport, "loseConnection", lambda: None)  # there is more to be sent
            transport.deliver(COUNTERS)
        last = self.visit(COUNTERS)
        self.pass_(LONGEST + 2)
        self.assertIn(b"200 OK", last.take())

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
