"""
Tests for L{smtpsource.web.door}: those who ask a run without a pause take little of its time.
"""

from __future__ import annotations

import signal
import time

from dashboards import DashboardMixin, Shown, answered, eventsIn, second
from patience import TEST_LIMIT
from recording import ServingMixin
from results import example
from subprocesses import smtpsource
from test_dashboard_runs import SHOWN, ask
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from visiting import VisitingMixin

from smtpsource.web.budget import Budget
from smtpsource.web.door import CREDIT, PRICE, SHARE
from smtpsource.web.visitors import QuietSite, Visitors

#: Seconds that an answer takes here.
COST = 0.005


class Costly(Shown):
    """
    A run of which each mark takes a while.
    """

    def __init__(self, test):
        super().__init__(example())
        self._test = test

    def mark(self, text):
        self._test.cpu += COST
        return super().mark(text)


class BudgetTests(SynchronousTestCase):
    """
    What is counted.
    """

    def test_within(self):
        """
        What is done within something else is counted once, also when that fails.
        """
        clock, cpu = Clock(), Clock()
        budget = Budget(clock.seconds, 0.1, cpu.seconds)
        with self.assertRaises(ZeroDivisionError), budget.spend():
            cpu.advance(0.25)
            with budget.spend():
                cpu.advance(0.25)
                1 / 0  # noqa: B018
        self.assertAlmostEqual(budget.ahead, 5.0)
        with budget.spend():
            cpu.advance(0.5)
        self.assertAlmostEqual(budget.ahead, 10.0)
        clock.advance(60)
        self.assertEqual(budget.ahead, 0.0)
        budget.add(0.1)
        self.assertAlmostEqual(budget.ahead, 1.0)


class DoorTests(DashboardMixin, SynchronousTestCase):
    """
    Who comes to a dashboard.
    """

    def setUp(self):
        self.service = self.serve(Costly(self))

    def mark(self):
        return self.ask("/mark", "POST", "x")

    def exhaust(self):
        """
        Ask until the door is closed.
        """
        for _ in range(1000):
            if not self.door.isOpen:
                return
            self.mark()
            self.settle()
        self.fail("the door stays open")

    def test_loop(self):
        """
        Who asks again and again gets what there is for all, and no more than that.
        """
        seconds, answers, asked = 60, 0, self.mark()
        for _ in range(seconds * 100):
            self.reactor.advance(0.01)
            self.letIn()
            if b" 201 " in asked.take():
                answers += 1
                asked = self.mark()
        most = (seconds * SHARE + CREDIT) / (COST + PRICE) + 2
        self.assertLessEqual(answers, most)
        self.assertGreater(answers, 0.9 * most)

    def test_crowd(self):
        """
        One who comes while others ask so has their turn.
        """
        self.exhaust()
        others = [self.mark() for _ in range(20)]
        mine = self.mark()
        self.assertEqual(mine.take(), b"")
        self.pass_(60)
        for _ in others:
            self.pass_(1)
        self.assertEqual(answered(self.said(mine))[0], 201)

    def test_tabs(self):
        """
        Those who look already are told of each second all the same.
        """
        tab = self.ask("/events")
        self.said(tab)
        self.exhaust()
        self.said(tab)
        self.bring(second(0))
        told = eventsIn(self.said(tab).decode())
        self.assertIn("frame", [kind for _, kind, _ in told])
        self.assertFalse(self.door.isOpen)

    def test_page(self):
        """
        A browser gets all that a page needs at once.
        """
        for path in ("/", "/page.css", "/live.css", "/page.js", "/events.js", "/live.js"):
            self.cpu += COST
            self.assertEqual(self.answer(path)[0], 200)
        self.assertTrue(self.door.isOpen)

    def test_full(self):
        """
        When it is time again there may be no room, and the other way round: only with both does somebody come in.
        """
        strangers = [self.ask("/events") for _ in range(8)] + [self.visit() for _ in range(7)]
        self.exhaust()
        # The last place is free, and stays so until it is time.
        self.assertEqual(len(self.factory.protocols), 15)
        last = self.visit()
        self.assertEqual(len(self.factory.protocols), 15)
        self.reactor.advance(5)
        self.letIn()
        self.assertEqual(len(self.factory.protocols), 16)
        self.assertFalse(self.door.isOpen)
        for one in (*strangers, last):
            one.loseConnection()
        self.reactor.advance(60)
        self.assertTrue(self.door.isOpen)

    def test_stopped(self):
        """
        Nothing is left of it when the dashboard is closed.
        """
        self.exhaust()
        self.service.stopService()
        self.settle()
        self.reactor.advance(60)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertFalse(self.door.isOpen)


class PiecesTests(VisitingMixin, SynchronousTestCase):
    """
    An HTTP server that is all there is in its process.
    """

    def setUp(self):
        self.reactor = MemoryReactorClock()
        site = QuietSite(Resource(), timeout=None, reactor=self.reactor)
        self.reactor.listenTCP(0, Visitors(site, self.reactor, 16, 65_536))
        self.open()

    def test_small(self):
        """
        A request does not come in very many pieces: each is work.
        """
        transport = self.visit(b"GET / HTTP/1.1\r\nX: ")
        pieces = 0
        while transport.connected and pieces < 10_000:
            transport.deliver(b"x")
            self.reactor.advance(0)
            pieces += 1
        self.assertLess(pieces, 1100)

    def test_noLimit(self):
        """
        It is asked as often as anybody likes: of a sink, a test may want to know much.
        """
        for _ in range(2000):
            transport = self.visit(b"GET / HTTP/1.0\r\n\r\n")
            self.assertIn(b" 404 ", transport.take())
            self.reactor.advance(0)


class RunTests(ServingMixin, TestCase):
    """
    A run, and somebody who asks without a pause.
    """

    timeout = TEST_LIMIT

    @inlineCallbacks
    def test_loop(self):
        """
        That takes them a while, and the run nothing but that.
        """
        server = self.serve()
        command = smtpsource(self, "-d", "-s", "2", "-w", "20ms", "-m", "1m", "--dashboard", "0", server.destination)
        match = yield command.whenPrinted(SHOWN, "err")
        asks = 240
        began = time.monotonic()
        for _ in range(asks):
            status, _ = yield deferToThread(ask, match[1].decode(), "nothing")
            self.assertEqual(status, 404)
        self.assertGreaterEqual(time.monotonic() - began, (asks * PRICE - CREDIT) / SHARE)
        before = len(server.messages)
        yield server.when(lambda: len(server.messages) > before)
        command.signal(signal.SIGINT)
        yield command.whenEnded()
