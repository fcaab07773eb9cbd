"""
Tests for L{smtpsource.pacing.timer}.
"""

from __future__ import annotations

import time

from twisted.internet import reactor as globalReactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from smtpsource.pacing.timer import ExactTimer, Timer, timer


class TimerTests(SynchronousTestCase):
    """
    The one that any reactor has.
    """

    def setUp(self):
        self.clock = Clock()
        self.called = []
        self.timer = timer(self.clock, self.clock.seconds, lambda: self.called.append(self.clock.seconds()))
        self.assertIsInstance(self.timer, Timer)

    def test_at(self):
        """
        It calls once, at the time it was told last.
        """
        self.timer.at(5.0)
        self.timer.at(2.0)
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.called, [2.0])

    def test_past(self):
        """
        A time that is over is now, but not within the call.
        """
        self.timer.at(-1.0)
        self.assertEqual(self.called, [])
        self.clock.advance(0)
        self.assertEqual(self.called, [0.0])

    def test_notYet(self):
        """
        A time that differs from now by no more than rounding still lets time pass: who waits for it does not wait
        for ever.
        """
        self.clock.advance(1.1)
        wanted = 1.1 + 1e-16 + 3e-16
        calls = []

        def again():
            calls.append(1)
            if self.clock.seconds() < wanted:
                waiting.at(wanted)

        waiting = Timer(self.clock, self.clock.seconds, again)
        waiting.at(wanted)
        self.clock.pump([1e-6] * 10)
        self.assertEqual(len(calls), 1)

    def test_cancel(self):
        """
        Nothing is called, and nothing waits in the reactor.
        """
        self.timer.at(5.0)
        self.timer.cancel()
        self.timer.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ExactTimerTests(TestCase):
    """
    The one of Linux.
    """

    def setUp(self):
        self.assertTrue(IReactorFDSet.providedBy(globalReactor))
        self.called = Deferred()
        self.timer = timer(globalReactor, time.perf_counter, lambda: self.called.callback(time.perf_counter()))
        self.addCleanup(self.timer.close)

    def test_kind(self):
        """
        It is there where the clock is the one it goes by, and is what a reactor reads.
        """
        self.assertIsInstance(self.timer, ExactTimer)
        verifyObject(IReadDescriptor, self.timer)
        self.assertIsInstance(timer(globalReactor, time.time, lambda: None), Timer)

    @inlineCallbacks
    def test_at(self):
        """
        It never calls too early. (How late it may be is this machine's affair.)
        """
        wanted = time.perf_counter() + 0.02
        self.timer.at(wanted + 100)
        self.timer.at(wanted)
        came = yield self.called
        self.assertGreaterEqual(came, wanted)

    @inlineCallbacks
    def test_past(self):
        """
        A time that is over is soon.
        """
        self.timer.at(1.0)
        yield self.called

    @inlineCallbacks
    def test_cancel(self):
        """
        After C{cancel} it calls no more; it can be set anew.
        """
        self.timer.at(time.perf_counter() + 0.001)
        self.timer.cancel()
        wanted = time.perf_counter() + 0.02
        self.timer.at(wanted)
        came = yield self.called
        self.assertGreaterEqual(came, wanted)

    def test_close(self):
        """
        The descriptor is given back, once.
        """
        readers = len(globalReactor.getReaders())
        self.timer.close()
        self.timer.close()
        self.assertEqual(len(globalReactor.getReaders()), readers - 1)
        self.timer.at(0.0)
        self.timer.cancel()
