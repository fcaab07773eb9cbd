"""
What is counted is what the server has said: many runs against L{ledger.LedgerServer}, with faults at random.

C{make counts SEEDS=1000} runs as many of each kind as one likes.
"""

from __future__ import annotations

import os

from certificates import makeCertificates
from ledger import FAULTS, LedgerServer
from twisted.internet import reactor, ssl
from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.load.service import SourceService
from smtpsource.net.destination import HostDestination
from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor, runInMemory

#: How many runs of each kind.
SEEDS = int(os.environ.get("SEEDS", 8))

LOCKSTEP = {"keepConnections": True}
NEW = {}
PIPELINED = {"keepConnections": True, "pipelining": "force"}
CHUNKED = {"keepConnections": True, "chunking": "force"}
PIECES = {**CHUNKED, "chunkSize": 200}
ALONG = {**CHUNKED, "pipelining": "force"}
WINDOW = {**ALONG, "window": 8}
WINDOW_OF_PIECES = {**WINDOW, "chunkSize": 200}
#: Those where a reply too many is not found out at once.
WINDOWS = (ALONG, WINDOW, WINDOW_OF_PIECES)


#: How many messages a run has.
MESSAGES = 30


def planned(kind, **more):
    """
    @return: a plan of this kind.
    """
    return SourcePlan(
        **{"sessionCount": 3, "messageCount": MESSAGES, "length": 500, "tolerant": True, "timeout": 30, **kind, **more},
        myhostname="me",
    )


def judge(test, summary, server, *about):
    """
    Fail unless our count is the server's.

    @param about: what to say besides.
    """
    counts = summary.messages
    messages, replies = server.accepted
    said = f"{about}: {counts}, {summary.errors}"
    test.assertEqual(counts.started, MESSAGES, said)
    test.assertEqual(counts.accepted + counts.rejected + counts.failed, counts.started, said)
    test.assertLessEqual(counts.accepted, messages, said)
    if server.exact and server.lmtp:
        # A message whose connection was lost between the replies to it has failed, for all of its recipients'.
        test.assertEqual(summary.recipientsAccepted, replies, said)
    elif server.exact:
        test.assertEqual(counts.accepted, messages, said)


class LedgerTests(SynchronousTestCase):
    """
    Our count against the server's, in memory.
    """

    def count(self, seed, kind, faults=FAULTS, **more):
        """
        @return: the summary of a run, and the server with its ledger.
        """
        reactor = FakeReactor()
        server = LedgerServer(reactor, seed, more.get("lmtp", False), faults)
        return runInMemory(planned(kind, **more), server, reactor=reactor), server

    def check(self, kinds, **more):
        for kind in kinds:
            for seed in range(SEEDS):
                judge(self, *self.count(seed, kind, **more), seed, kind, more)

    def test_SMTP(self):
        """
        Each command has one reply, but for a 421 along with one of them: every 2yz to a content is a message accepted.
        """
        kinds = (LOCKSTEP, NEW, PIPELINED, CHUNKED, PIECES, ALONG, WINDOW, WINDOW_OF_PIECES)
        self.check(kinds, recipientCount=2)
        self.check(kinds, faults=("farewell",))

    def test_LMTP(self):
        """
        The same for each of several recipients.
        """
        kinds = (LOCKSTEP, NEW, PIPELINED, CHUNKED, ALONG, WINDOW)
        self.check(kinds, lmtp=True, recipientCount=3)
        self.check(kinds, faults=("farewell",), lmtp=True, recipientCount=2)

    def test_twice(self):
        """
        A server that answers twice: no more is counted than it has accepted.
        """
        self.check((LOCKSTEP, PIPELINED, *WINDOWS), faults=("twice", "refuse"))

    def test_twiceIsNamed(self):
        """
        The run can't be taken for a good one.
        """
        for kind in (LOCKSTEP, PIPELINED, *WINDOWS):
            summary, server = self.count(1, kind, faults=("twice",))
            self.assertFalse(server.exact)
            self.assertIn("unexpected-reply", summary.errors)
            self.assertEqual(summary.exit, 1)


class TLSTests(TestCase):
    """
    The same on sockets, in TLS.
    """

    timeout = 300

    @inlineCallbacks
    def count(self, kind, seed, **more):
        faults = [fault for fault in FAULTS if fault != "silence"]  # that takes real time
        server = LedgerServer(reactor, seed, more.get("lmtp", False), faults, often=0.05)
        files = self.certificates
        context = ssl.DefaultOpenSSLContextFactory(str(files.key), str(files.certificate))
        port = reactor.listenSSL(0, server, context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        destination = HostDestination("127.0.0.1", port.getHost().port)
        plan = planned(kind, destination=destination, tls="implicit", timeout=120, **more)
        service = SourceService(reactor, plan)
        service.startService()
        summary = yield service.whenDone()
        yield service.stopService()
        judge(self, summary, server, seed, kind, more)

    @inlineCallbacks
    def test_TLS(self):
        """
        Lock-step, in groups, with a window; SMTP and LMTP.
        """
        self.certificates = makeCertificates(self.mktemp())
        for seed in range(max(1, SEEDS // 5)):
            for kind in (LOCKSTEP, PIPELINED, WINDOW):
                yield self.count(kind, seed)
                yield self.count(kind, seed, lmtp=True, recipientCount=3)
