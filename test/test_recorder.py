"""
Tests for L{smtpsource.measure.recorder}.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.histogram import LatencyRecorder
from smtpsource.measure.recorder import SAMPLE_LENGTH, Recorder
from smtpsource.phases import BANNER, CONNECT, MAIL, NAMES, RCPT, TRANSACTION


class RecorderTests(SynchronousTestCase):
    """
    What is counted.
    """

    def test_nothing(self):
        """
        A new one has counted nothing, and shares nothing with another.
        """
        one, two = Recorder(), Recorder()
        one.reply(MAIL, 0.1, b"250", b"250 ok\r\n")
        one.error("x", "y")
        one.transaction(1.0, 1)
        for name, value in vars(two).items():
            if isinstance(value, int):
                self.assertEqual(value, 0, name)
        self.assertEqual((two.replies, two.errors), ([{} for _ in NAMES], {}))
        self.assertEqual([latencies.summarize() for latencies in two.latencies], [None] * len(NAMES))

    def test_replies(self):
        """
        Replies are counted by phase and code; the first of each is kept, cut to a bearable length.
        """
        recorder = Recorder()
        recorder.reply(MAIL, 0.1, b"250", b"250 first\r\n")
        recorder.reply(MAIL, 0.1, b"250", b"250 second\r\n")
        recorder.reply(MAIL, 0.1, b"450", b"450 " + b"x" * 1000)
        recorder.reply(RCPT, 0.1, b"250", b"250 other\r\n")
        self.assertEqual(recorder.replies[MAIL], {b"250": 2, b"450": 1})
        self.assertEqual(
            recorder.replySamples[MAIL], {b"250": b"250 first\r\n", b"450": (b"450 " + b"x" * 1000)[:SAMPLE_LENGTH]}
        )
        self.assertEqual((recorder.replies[RCPT], recorder.replies[BANNER]), ({b"250": 1}, {}))

    @given(st.lists(st.floats(-0.01, 20.0), min_size=1, max_size=60))
    @settings(deadline=None)
    def test_latencies(self, times):
        """
        Each reply's time is counted once, as the histogram would count it, fast and slow ones in any order.
        """
        recorder, alone = Recorder(), LatencyRecorder()
        for seconds in times:
            recorder.reply(MAIL, seconds, b"250", b"250 ok\r\n")
            alone.record(seconds)
        found, expected = recorder.latencies[MAIL].counts, alone.counts
        self.assertEqual({i: n for i, n in enumerate(found) if n}, {i: n for i, n in enumerate(expected) if n})
        self.assertEqual(sum(recorder.latencies[RCPT].counts), 0)

    def test_backwards(self):
        """
        A negative time, if a clock should ever give one, is 0, also after others.
        """
        recorder = Recorder()
        for seconds in (0.001, -0.000002):
            recorder.reply(MAIL, seconds, b"250", b"250 ok\r\n")
        self.assertEqual(recorder.latencies[MAIL].counts[0], 1)
        self.assertEqual(recorder.latencies[MAIL].summarize().maximum, 0.001)

    def test_durations(self):
        """
        Phases that no reply ends.
        """
        recorder = Recorder()
        recorder.duration(CONNECT, 0.5)
        self.assertApproximates(recorder.latencies[CONNECT].summarize().mean, 0.5, 0.001)
        self.assertEqual(recorder.replies[CONNECT], {})

    def test_transactions(self):
        """
        An accepted message, with its recipients and its time.
        """
        recorder = Recorder()
        recorder.transaction(1.0, 3)
        recorder.transaction(2.0, 1)
        self.assertEqual((recorder.accepted, recorder.recipientsAccepted), (2, 4))
        self.assertEqual(recorder.latencies[TRANSACTION].summarize().count, 2)

    def test_errors(self):
        """
        Errors are counted by kind; the first one's text is kept.
        """
        recorder = Recorder()
        for kind, text in (("timeout", "a"), ("timeout", "b"), ("connection-lost", "c")):
            recorder.error(kind, text)
        self.assertEqual(recorder.errors, {"timeout": 2, "connection-lost": 1})
        self.assertEqual(recorder.errorSamples, {"timeout": "a", "connection-lost": "c"})
