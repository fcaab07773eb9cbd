"""
Tests for L{smtpsource.messages.weighted}: values in turn or at random, and the files they come from.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from properties import given
from textfiles import writeFile
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.messages.draws import Draws
from smtpsource.messages.weighted import Weighted, evenly, read, weight


class DrawingTests(SynchronousTestCase):
    """
    What comes, and how often.
    """

    def test_inTurn(self):
        """
        Without weights each comes in its turn, again and again.
        """
        draw = Weighted(("a", "b", "c")).drawing(Draws(1))
        self.assertEqual([draw(number) for number in range(1, 8)], ["a", "b", "c", "a", "b", "c", "a"])

    def test_weights(self):
        """
        With weights each comes as often as its weight says; 0 is never.
        """
        draw = Weighted(("a", "b", "c", "d"), (0, 9, 1, 0)).drawing(Draws(1))
        found = Counter(draw(number) for number in range(10_000))
        self.assertEqual(set(found), {"b", "c"})
        self.assertTrue(8800 < found["b"] < 9200, found)

    @given(st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any), st.integers(0, 2**64 - 1))
    def test_seed(self, weights, seed):
        """
        The same seed, the same values; one with the weight 0 never comes.
        """
        values = Weighted(tuple(range(len(weights))), tuple(weights))
        one, two = values.drawing(Draws(seed)), values.drawing(Draws(seed))
        drawn = [one(number) for number in range(50)]
        self.assertEqual(drawn[::-1], [two(number) for number in range(49, -1, -1)])
        self.assertTrue(all(weights[n] for n in drawn))

    def test_last(self):
        """
        The greatest of random numbers is still one of the values.
        """
        draws = Draws(1)
        self.patch(draws, "random", lambda: 1.0)
        self.assertEqual(Weighted(("a", "b"), (0.1, 0.2)).drawing(draws)(1), "b")

    def test_evenly(self):
        """
        What would be in turn is at random, and what is at random stays as it is.
        """
        self.assertEqual(evenly(Weighted(("a", "b"))), Weighted(("a", "b"), (1.0, 1.0)))
        self.assertEqual(evenly(Weighted(("a", "b"), (1, 2))), Weighted(("a", "b"), (1, 2)))

    def test_refused(self):
        """
        Values that can't be drawn.
        """
        for values, weights in (((), None), (("a",), ()), (("a",), (0,)), (("a",), (-1,)), (("a",), (float("nan"),))):
            self.assertRaises(ValueError, Weighted, values, weights)


class ReadTests(SynchronousTestCase):
    """
    Files of values and weights.
    """

    def test_lines(self):
        """
        Values, weights, comments, empty lines, any line ends, a byte order mark.
        """
        for content, expected in (
            (b"a\nb\n", Weighted((b"a", b"b"))),
            (b"a 2\n\n  # no\nb\t0.5", Weighted((b"a", b"b"), (2.0, 0.5))),
            (b"a 2\r\nb # as often as most\r\n", Weighted((b"a", b"b"), (2.0, 1.0))),
            (b"\xef\xbb\xbfa\n", Weighted((b"a",))),
            (b"#x@y\na#b\n", Weighted((b"a#b",))),
            (b'"a b"@c 3\n"a\\" b"@c\n', Weighted((b'"a b"@c', b'"a\\" b"@c'), (3.0, 1.0))),
            (b"gr\xc3\xbcn\xff 3 # x\n", Weighted((b"gr\xc3\xbcn\xff",), (3.0,))),
        ):
            self.assertEqual(read(writeFile(self, content), bytes), expected)

    def test_refused(self):
        """
        What is wrong is told with the number of its line.
        """

        def never(text):
            raise ValueError("expected something else")

        for content, convert, expected in (
            (b"", bytes, "expected at least one line that is neither empty nor a comment"),
            (b"# a\n\n", bytes, "expected at least one line that is neither empty nor a comment"),
            (b"a\n\nb c d\n", bytes, "expected one value and maybe a weight, in line 3"),
            (b"a x\n", bytes, "expected a weight of 0 or more, such as 3 or 0.5, in line 1"),
            (b"#\na -1\n", bytes, "expected a weight of 0 or more, such as 3 or 0.5, in line 2"),
            (b"a 0\n", bytes, "expected a weight of more than 0"),
            (b"\na", never, "expected something else, in line 2"),
        ):
            error = self.assertRaises(ValueError, read, writeFile(self, content), convert)
            self.assertEqual(str(error), expected)
        error = self.assertRaises(ValueError, read, "/no/such/file", bytes)
        self.assertEqual(str(error), "expected a readable file: No such file or directory")

    def test_weight(self):
        """
        A weight is a number as people write it.
        """
        for text, expected in (("0", 0.0), ("3", 3.0), ("0.25", 0.25), (".5", 0.5), ("2.", 2.0)):
            self.assertEqual(weight(text), expected)
        for text in ("", "-1", "1e3", "nan", "inf", "1_0", "x", "99999999999", "2147483648", "1 ", "+1"):
            self.assertRaises(ValueError, weight, text)

    def test_many(self):
        """
        Each of many lines is there, in its order.
        """
        found = read(writeFile(self, b"".join(b"user%d@example.com\n" % n for n in range(20_000))), bytes)
        self.assertEqual((len(found.values), found.values[12_345]), (20_000, b"user12345@example.com"))
        self.assertIs(found.weights, None)
