"""
Tests for L{smtpsource.messages.sizes} and L{smtpsource.messages.bodies}: sizes that are drawn, and bodies of just these
sizes.
"""

from __future__ import annotations

import math
import statistics

from hypothesis import strategies as st
from properties import given, settings
from textfiles import writeFile
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.messages import sizes
from smtpsource.messages.bodies import SizedBodies, WholeBody
from smtpsource.messages.content import lines, stuffed
from smtpsource.messages.draws import Draws
from smtpsource.messages.sizes import Empirical, Fixed, LogNormal, Uniform, parse
from smtpsource.messages.weighted import Weighted
from smtpsource.smtp.streaming import LARGEST_WRITE
from smtpsource.values import numbers

DISTRIBUTIONS = st.one_of(
    st.integers(1, 300_000).map(Fixed),
    st.tuples(st.integers(1, 1000), st.integers(1000, 300_000)).map(lambda pair: Uniform(*pair)),
    st.tuples(st.integers(1, 9000), st.floats(0, 3)).map(lambda pair: LogNormal(*pair, 300_000)),
    st.lists(st.integers(1, 200_000), min_size=1).map(lambda numbers: Empirical(Weighted(tuple(numbers)))),
)


class DistributionTests(SynchronousTestCase):
    """
    What is drawn.
    """

    def drawn(self, distribution, number=4000):
        """
        @return: what is drawn, in order.
        """
        draw = distribution.drawing(Draws(1))
        return sorted(draw(message) for message in range(1, number + 1))

    def test_fixed(self):
        """
        Always the same.
        """
        self.assertEqual(set(self.drawn(Fixed(5), 10)), {5})

    def test_uniform(self):
        """
        Every number, its bounds too, about as often as any other.
        """
        found = self.drawn(Uniform(1, 4))
        for number in range(1, 5):
            self.assertTrue(900 < found.count(number) < 1100, number)
        self.assertEqual(set(found), {1, 2, 3, 4})

    def test_logNormal(self):
        """
        The median and the standard deviation of the logarithm are those that were asked for.
        """
        found = self.drawn(LogNormal(8192, 1.5))
        self.assertTrue(7500 < statistics.median(found) < 8900, statistics.median(found))
        logarithms = [math.log(number) for number in found]
        self.assertTrue(1.42 < statistics.stdev(logarithms) < 1.58, statistics.stdev(logarithms))

    def test_logNormalMost(self):
        """
        Nothing is above the most that there may be, nor piled up there; nothing is less than 1.
        """
        found = self.drawn(LogNormal(1000, 2.0, 5000))
        self.assertLessEqual(found[-1], 5000)
        self.assertLess(found.count(5000), 10)
        self.assertGreaterEqual(self.drawn(LogNormal(1, 3.0))[0], 1)
        self.assertLessEqual(self.drawn(LogNormal(1, 10.0))[-1], sizes.TIMES)

    def test_empirical(self):
        """
        The numbers that were seen, as often as their weights say; equally often without weights.
        """
        found = self.drawn(Empirical(Weighted((10, 20), (3.0, 1.0))))
        self.assertTrue(2850 < found.count(10) < 3150)
        found = self.drawn(Empirical(Weighted((10, 20))))
        self.assertTrue(1850 < found.count(10) < 2150)
        self.assertEqual(len(found), found.count(10) + found.count(20))

    @given(DISTRIBUTIONS, st.integers(0, 2**64 - 1), st.permutations(range(1, 21)))
    def test_seed(self, distribution, seed, order):
        """
        The same seed, the same number for a message, whatever was drawn before it.
        """
        one, two = (distribution.drawing(Draws(seed)) for _ in range(2))
        found = {message: two(message) for message in order}
        self.assertEqual([one(message) for message in sorted(order)], [found[message] for message in sorted(order)])


class ParseTests(SynchronousTestCase):
    """
    Distributions as users write them.
    """

    def test_parsed(self):
        """
        Each kind, of sizes and of counts.
        """
        seen = writeFile(self, b"1k 3\n100\n")
        for text, number, expected in (
            ("fixed:4k", numbers.size, Fixed(4096)),
            ("fixed:4k", numbers.count, Fixed(4000)),
            ("uniform:1k-100k", numbers.size, Uniform(1024, 102400)),
            ("uniform:1-1", numbers.count, Uniform(1, 1)),
            ("lognormal:median=8k,sigma=1.5", numbers.size, LogNormal(8192, 1.5)),
            ("lognormal:sigma=.5,max=1m,median=3", numbers.size, LogNormal(3, 0.5, 1048576)),
            (f"empirical:{seen}", numbers.size, Empirical(Weighted((1024, 100), (3.0, 1.0)))),
            (f"empirical:{seen}", numbers.count, Empirical(Weighted((1000, 100), (3.0, 1.0)))),
        ):
            self.assertEqual(parse(text, number), expected)

    def test_refused(self):
        """
        What is wrong is told, with what would be right.
        """
        seen = writeFile(self, b"100\nmany\n")
        for text, expected in (
            ("", "expected fixed:4k, uniform:1k-100k, lognormal:median=8k,sigma=1.5 or empirical:FILE"),
            ("4k", "expected fixed:4k, "),
            ("normal:1", "expected fixed:4k, "),
            ("fixed:", "expected a size in bytes of at least 1"),
            ("fixed:0", "expected a size in bytes of at least 1"),
            ("uniform:5", "expected two numbers, such as uniform:1k-100k"),
            ("uniform:1k-x", "expected a size in bytes of at least 1"),
            ("uniform:5-4", "expected the smaller number before the larger one"),
            ("lognormal:", "expected lognormal:median=8k,sigma=1.5"),
            ("lognormal:median=8k", "expected lognormal:median=8k,sigma=1.5"),
            ("lognormal:median=8k,sigma=1,mean=3", "expected lognormal:median=8k,sigma=1.5"),
            ("lognormal:median=8k,sigma=1,sigma=2", "expected lognormal:median=8k,sigma=1.5"),
            ("lognormal:median=8k,sigma=-1", "expected sigma to be a number from 0 to 10"),
            ("lognormal:median=8k,sigma=11", "expected sigma to be a number from 0 to 10"),
            ("lognormal:median=0,sigma=1", "expected a size in bytes of at least 1"),
            ("lognormal:median=8k,sigma=1,max=8000", "expected max to be no less than the median"),
            ("empirical:/no/such/file", "expected a readable file: No such file or directory"),
            (f"empirical:{seen}", "expected a size in bytes of at least 1, such as 4096, 10k or 1m, in line 2"),
        ):
            error = str(self.assertRaises(ValueError, parse, text, numbers.size))
            self.assertTrue(error.startswith(expected), (text, error))

    def test_given(self):
        """
        A program gives a text, or a distribution; and is told what else is wrong.
        """
        check = sizes.given(numbers.size)
        self.assertEqual(check("fixed:1k"), Fixed(1024))
        self.assertEqual(check(Uniform(1, 2)), Uniform(1, 2))
        for value in (4096, None, (1, 2), b"fixed:1"):
            self.assertRaises(ValueError, check, value)
        for make, values in (
            (Fixed, (0,)),
            (Fixed, ("1",)),
            (Uniform, (2, 1)),
            (LogNormal, (1, float("nan"))),
            (LogNormal, (10, 1.0, 5)),
            (Empirical, (Weighted((0,)),)),
            (Empirical, ((1, 2),)),
        ):
            self.assertRaises(ValueError, make, *values)


def both(body, head=b"A: b\r\n\r\n"):
    """
    @return: a body's content and octets with a head, whole.
    """
    return [b"".join(bytes(part) for part in parts) for parts in (body.content(head), body.bdatContent(head))]


class BodyTests(SynchronousTestCase):
    """
    Bodies.
    """

    @given(
        st.one_of(st.integers(1, 500), st.integers(LARGEST_WRITE - 300, LARGEST_WRITE + 300), st.integers(1, 2_000_000))
    )
    @settings(max_examples=200, deadline=None)
    def test_sized(self, size):
        """
        A body of exactly this size and a line end: lines that are not too long, each with CRLF, none with a dot at its
        beginning; the same by DATA and by BDAT.
        """
        head = b"A: b\r\n\r\n"
        body = SizedBodies(lambda number: size).draw(1, self.fail)
        self.assertEqual((body.size, body.total), (size, size + 2))
        content, octets = both(body, head)
        self.assertEqual(content, octets + b".\r\n")
        text = octets.removeprefix(head)
        self.assertEqual(len(text), size + 2)
        self.assertTrue(text.endswith(b"\r\n"))
        self.assertEqual(text.count(b"\n"), text.count(b"\r\n"))
        self.assertEqual(text.count(b"\r"), text.count(b"\n"))
        for line in text.split(b"\r\n"):
            self.assertLessEqual(len(line), 998)
            self.assertFalse(line.startswith(b"."))

    def test_notCopied(self):
        """
        Large bodies share one piece of memory, whatever their sizes; small ones are written at once.
        """
        drawn = iter([10_000_000, 9_999_999, 70_000, 5])
        bodies = SizedBodies(lambda number: next(drawn))
        first, second, third, small = (bodies.draw(number, self.fail).content(b"")[1] for number in range(1, 5))
        self.assertIs(first.obj, second.obj)
        self.assertIs(first.obj, third.obj)
        self.assertEqual(small, b"")

    @given(st.lists(st.sampled_from([b".", b"\n", b"\r\n", b"x", b"..", b"\r"]), max_size=40).map(b"".join))
    def test_whole(self, text):
        """
        A body that was there is stuffed for DATA and not for BDAT, small or large.
        """
        for file in (text, text + b"." * LARGEST_WRITE + b"\n" + text):
            content, octets = both(WholeBody(lines(file)), b"")
            self.assertEqual(content, stuffed(file) + b".\r\n")
            self.assertEqual(octets, lines(file))

    def test_wholeIsShared(self):
        """
        A large one is made ready once.
        """
        body = WholeBody(b".x" * LARGEST_WRITE + b"\r\n")
        self.assertIs(body.content(b"a")[1], body.content(b"b")[1])
        self.assertIs(body.bdatContent(b"a")[1], body.bdatContent(b"b")[1])
        self.assertEqual(body.content(b"a")[0], b"a")
