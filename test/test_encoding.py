"""
Tests for L{smtpsource.measure.encoding}.
"""

from __future__ import annotations

import base64
import struct
import zlib

from hdrh.histogram import HdrHistogram
from hypothesis import strategies as st
from properties import given, settings
from results import MICROSECONDS, recorded
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.encoding import added, decode, encode, usedLength
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS


def histogram(body, length=None):
    """
    @return: a text of HdrHistogram's form around this.
    """
    packed = zlib.compress(body)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed) if length is None else length) + packed).decode()


def header(lowest=1, highest=HIGHEST_MICROSECONDS, digits=3, cookie=0x1C849313):
    """
    @return: what is before the counts.
    """
    return struct.pack(">IIIIQQd", cookie, 0, 0, digits, lowest, highest, 1.0)


class EncodingTests(SynchronousTestCase):
    """
    Histograms as text.
    """

    @given(st.lists(MICROSECONDS, max_size=100))
    @settings(deadline=None, max_examples=50)
    def test_thereAndBack(self, values):
        """
        Nothing is lost.
        """
        counts = recorded(values).counts
        self.assertEqual(decode(encode(counts)), counts[: usedLength(counts)])

    @given(st.lists(MICROSECONDS, max_size=100))
    @settings(deadline=None, max_examples=30)
    def test_othersReadIt(self, values):
        """
        HdrHistogram itself writes the same text for the same latencies, and reads ours.
        """
        reference = HdrHistogram(1, HIGHEST_MICROSECONDS, 3)
        for value in values:
            reference.record_value(value)
        text = encode(recorded(values).counts)
        self.assertEqual(text, reference.encode().decode())
        read = HdrHistogram.decode(text)
        self.assertEqual(read.get_total_count(), len(values))
        self.assertEqual(read.get_value_at_percentile(99), reference.get_value_at_percentile(99))

    def test_manyOfOne(self):
        """
        Counts may be as large as they like to be.
        """
        for count in (1, 2**31, 2**60):
            self.assertEqual(decode(encode([0, 0, count])), [0, 0, count])

    def test_broken(self):
        """
        What is no such text is refused with what would be right, whatever it is.
        """
        good = encode(recorded([5, 5000, 5_000_000]).counts)
        for text in (
            *("", "x", "\u00e9", "AAAA", good[:-8], good[8:], good[: len(good) // 2] + good),
            histogram(b""),
            histogram(header()[:10]),
            histogram(header(cookie=0x1C849301)),
            histogram(header() + b"\xff" * 200),
            histogram(header() + b"\x02" * 30_000),
            histogram(header() + b"\x02", length=3),
        ):
            error = self.assertRaises(ValueError, decode, text)
            self.assertEqual(str(error), "expected an HdrHistogram in base64, version 2", text)

    @given(st.text("HISTFAeJyz019+/=", max_size=50))
    def test_anything(self, text):
        """
        So is any other text.
        """
        self.assertRaises(ValueError, decode, text)

    def test_otherBuckets(self):
        """
        A histogram that can't be added to ours is refused.
        """
        for settings_ in ({"digits": 2}, {"lowest": 1000}, {"highest": 10**12}, {"lowest": 0}):
            error = self.assertRaises(ValueError, decode, histogram(header(**settings_)))
            self.assertEqual(str(error), "expected an HdrHistogram of 1 us to 1 hour with 3 digits")

    def test_added(self):
        """
        Histograms of different length are added bucket by bucket; none at all are an empty one.
        """
        self.assertEqual(added([[1, 2], [], [10, 20, 30]]), [11, 22, 30])
        self.assertEqual(added([]), [])
