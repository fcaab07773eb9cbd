"""
Tests against real servers.
"""

from __future__ import annotations

from patience import TEST_LIMIT
from subprocesses import loadAndReport
from twisted.internet import defer
from twisted.trial.unittest import TestCase


class PeerTestCase(TestCase):
    """
    What all of these have in common.
    """

    timeout = TEST_LIMIT

    def peer(self, peer):
        """
        @return: a L{defer.Deferred} that fires with this peer when it runs; it ends with the test.
        """
        self.addCleanup(peer.stop)
        return peer.start()

    @defer.inlineCallbacks
    def load(self, *arguments, **settings):
        """
        Run smtpsource, and see that nothing was refused and nothing went wrong.

        @return: the report.
        """
        result, report = yield loadAndReport(self, *arguments, **settings)
        self.assertEqual((result.status, result.err), (0, b""), result)
        self.assertEqual(report["messages"]["accepted"], report["messages"]["started"])
        self.assertEqual(report["recipients"]["rejected"], 0)
        self.assertEqual((report["connections"]["lost"], report["errors"]), (0, {}))
        return report
