"""
Tests for L{smtpsource.net.limits}.
"""

from __future__ import annotations

import resource
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from smtpsource.net.limits import raiseFileLimit


class LimitTests(SynchronousTestCase):
    """
    How many connections a process may have.
    """

    def raised(self, soft, hard, refuses=None):
        """
        @return: the number that is told, and what was set, on a system with these limits.
        """
        with (
            mock.patch("resource.getrlimit", return_value=(soft, hard)) as get,
            mock.patch("resource.setrlimit", side_effect=refuses) as put,
        ):
            number = raiseFileLimit()
        get.assert_called_once_with(resource.RLIMIT_NOFILE)
        return number, [call.args for call in put.call_args_list]

    def test_raised(self):
        """
        The soft limit becomes the hard one, and some are left for other things.
        """
        self.assertEqual(self.raised(1024, 4096), (4046, [(resource.RLIMIT_NOFILE, (4096, 4096))]))

    def test_highAlready(self):
        """
        What is as high as can be is left alone.
        """
        self.assertEqual(self.raised(4096, 4096), (4046, []))

    def test_refused(self):
        """
        Where it can't be raised, what there is must do.
        """
        for reason in (ValueError(), OSError()):
            self.assertEqual(self.raised(1024, 4096, reason)[0], 974)

    def test_few(self):
        """
        However low it is, one connection may be tried.
        """
        self.assertEqual(self.raised(20, 20)[0], 1)

    def test_unlimited(self):
        """
        No limit is a very large number.
        """
        infinity = resource.RLIM_INFINITY
        self.assertEqual(self.raised(1024, infinity)[0], 2**31 - 1)
