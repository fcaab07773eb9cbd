"""
Tests for L{smtpsource.measure.packed}, and for the series that is kept so.
"""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace
from unittest import mock

from hypothesis import strategies as st
from properties import given, settings
from results import second as sample
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure import series as series_
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.packed import BLOCK, Packed, withLast
from smtpsource.measure.series import Sample, Series, joined
from smtpsource.phases import NAMES, TRANSACTION

FLOATS = st.none() | st.floats(allow_nan=False)

SAMPLES = st.builds(
    sample,
    time=st.floats(0, 1e6),
    asked=FLOATS,
    accepted=st.integers(0, 2**70),
    p99=FLOATS,
    waited=FLOATS,
    arrived=st.none() | st.integers(-5, 2**40),
    watched=st.none() | st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False), max_size=3),
)


class PackedTests(SynchronousTestCase):
    """
    Things that are kept as bytes.
    """

    @given(st.lists(SAMPLES, min_size=1, max_size=4), st.integers(0, 4 * BLOCK), st.data())
    @settings(max_examples=60)
    def test_list(self, some, count, data):
        """
        They are what a list of them would be, to whoever looks at it; a copy stays as it is.
        """
        packed, plain = Packed(Sample), []
        for number in range(count):
            one = replace(some[number % len(some)], lag=float(number))
            packed.append(one)
            plain.append(one)
        copy, before = packed.copy(), plain.copy()
        if plain:
            packed.replaceLast(some[0])
            plain[-1] = some[0]
        self.assertEqual(list(packed), plain)
        self.assertEqual(packed, plain)
        self.assertEqual(len(packed), len(plain))
        self.assertEqual(copy, before)
        for place in data.draw(st.lists(st.integers(-count, count - 1), max_size=9)) if count else ():
            self.assertEqual(packed[place], plain[place])
        part = data.draw(st.slices(count))
        self.assertEqual(packed[part], plain[part])
        self.assertRaises(IndexError, lambda: packed[count])
        self.assertEqual(list(packed.drained()), plain)

    def test_withLast(self):
        """
        Another one in the place of the last takes no time, however many there are, and changes nothing else.
        """
        plain = [sample(float(number)) for number in range(3 * BLOCK)]
        packed = Packed(Sample)
        for one in plain:
            packed.append(one)
        with mock.patch.object(Packed, "_rows", side_effect=AssertionError):
            found = withLast(packed, sample(7.0))
        self.assertEqual(found, [*plain[:-1], sample(7.0)])
        self.assertEqual(withLast(plain, sample(7.0)), found)
        self.assertEqual(packed, plain)

    def test_other(self):
        """
        They are not equal to fewer or to others, nor to what is no list.
        """
        packed = Packed(Sample)
        packed.append(sample(1.0))
        for other in ([], [sample(2.0)], [sample(1.0), sample(1.0)], 7):
            self.assertNotEqual(packed, other)


class LongSeriesTests(SynchronousTestCase):
    """
    A series of more samples than are kept as they are.
    """

    @given(st.integers(0, 400), st.integers(1, 70), st.integers(1, 40), st.sets(st.integers(0, 400), max_size=5))
    @settings(max_examples=60)
    def test_plain(self, seconds, half, atOnce, looks):
        """
        It is what it would be if it were a list whose neighbors become one all at once, whoever looks at it meanwhile.
        """
        self.patch(series_, "_AT_ONCE", atOnce)
        series, plain, factor, inLast = Series(limit=2 * half), [], 1, 0
        for number in range(1, seconds + 1):
            one = series.add(_second(number))
            if inLast and inLast < factor:
                plain[-1] = joined(plain[-1], one)
                inLast += 1
            else:
                if len(plain) == 2 * half:
                    plain = [joined(*pair) for pair in zip(plain[::2], plain[1::2], strict=True)]
                    factor *= 2
                plain.append(one)
                inLast = 1
            if number in looks:
                self.assertEqual(series.samples, plain)
        self.assertEqual(series.samples, plain)

    def test_small(self):
        """
        With all that a sample may have it takes less than 250 bytes.
        """
        frames = [_second(number) for number in range(1, 3001)]
        series = Series()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        for frame in frames:
            series.add(frame)
        after, _ = tracemalloc.get_traced_memory()
        self.assertLess(after - before, 250 * len(frames))
        self.assertEqual(len(series.samples), len(frames))


def _second(number):
    """
    A frame in which everything is, and is as noisy as can be.
    """
    draw = random.Random(number)
    return Frame(
        number=number - 1,
        epoch=0,
        seconds=1.0,
        buckets=[
            {draw.randrange(9000): 1 for _ in range(9)} if phase == TRANSACTION else {} for phase in range(len(NAMES))
        ],
        replies=[{} for _ in NAMES],
        errors={},
        at=number + draw.random() / 1000,
        asked=5000.0,
        counters=Counters(started=5000, accepted=draw.randrange(5000), bytesSent=draw.randrange(10**7)),
        cpu=(draw.random(), draw.random()),
        lag=draw.random(),
        waited=draw.random(),
        gauges={"arrived": float(draw.randrange(10**6)), "backlog": 1.0},
        watched={f"sink {name}": draw.random() * 1e9 for name in ("rss", "cpu", "descriptors", "a", "b", "c")},
    )
