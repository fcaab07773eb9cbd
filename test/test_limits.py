"""
Tests for L{smtpsource.measure.limits}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.limits import limits


def said(busiest=0.2, worstLag=0.001, errors=None, late=0, exhausted=False):
    """
    The lines for these figures.
    """
    return list(limits(busiest, worstLag, errors or {}, late, exhausted))


class LimitsTests(SynchronousTestCase):
    """
    When the generator says that it was the limit.
    """

    def test_none(self):
        """
        A generator with time to spare says nothing, whatever the server did.
        """
        self.assertEqual(said(errors={"connection-lost": 5, "connect-refused": 2}), [])

    def test_busy(self):
        """
        No processor time left.
        """
        (line,) = said(busiest=0.97)
        self.assertIn("97% of a processor", line)

    def test_lag(self):
        """
        The reactor was held up.
        """
        (line,) = said(worstLag=0.21)
        self.assertIn("210 ms", line)

    def test_late(self):
        """
        Late starts although sessions were free. If none was, that may be the server's doing.
        """
        self.assertEqual(said(late=7, exhausted=True), [])
        (line,) = said(late=7)
        self.assertIn("could not keep up", line)

    def test_runOut(self):
        """
        No descriptors, no ports.
        """
        first, second = said(errors={"out-of-files": 1, "out-of-ports": 3})
        self.assertIn("ulimit", first)
        self.assertIn("--bind", second)
