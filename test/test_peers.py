"""
Tests for L{peers}: each real server starts, takes mail from Postfix's smtp-source, and is gone afterwards.
"""

from __future__ import annotations

import os
import sys

from differential import run, runPostfix
from peers import DovecotLMTP, PostfixServer, PostfixSink, eventually, freePort
from twisted.internet import defer
from twisted.trial.unittest import TestCase


class PeerTestCase(TestCase):
    """
    Starting a peer, and sending something to it.
    """

    timeout = 90

    def start(self, peer):
        """
        Start a peer that is stopped after the test.

        @return: a L{defer.Deferred} that fires with the peer.
        """
        self.addCleanup(peer.stop)
        return peer.start()

    @defer.inlineCallbacks
    def send(self, peer, flags, status=0):
        """
        Send mail to a peer.

        @param flags: options of smtp-source, separated by blanks.
        @param status: the exit status to expect.
        """
        finished = yield runPostfix([*flags.split(), peer.destination])
        self.assertEqual(status, finished.status, (finished.err, peer.log()))
        return finished

    @defer.inlineCallbacks
    def gone(self, peer):
        """
        Stop a peer, and see whether it is gone: its processes and its directory.
        """
        directory, pid = peer.directory, peer._pid
        yield peer.stop()
        self.assertFalse(directory.exists())
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        # Nothing left open that names the directory.
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    self.assertNotIn(os.fsencode(directory), file.read())
            except OSError:
                continue


class PostfixSinkTests(PeerTestCase):
    """
    L{PostfixSink}.
    """

    @defer.inlineCallbacks
    def check(self, flags, peer, messages):
        yield self.start(peer)
        yield self.send(peer, flags)
        yield peer.whenMessages(messages)
        self.assertEqual(messages, peer.messages())
        yield self.gone(peer)

    def test_TCP(self):
        """
        SMTP over TCP.
        """
        return self.check("-m 3 -s 2", PostfixSink(), 3)

    def test_IPv6(self):
        """
        SMTP over IPv6.
        """
        return self.check("-m 2", PostfixSink("inet6"), 2)

    def test_UNIX(self):
        """
        SMTP over a UNIX socket.
        """
        return self.check("-m 2 -d", PostfixSink("unix"), 2)

    def test_LMTP(self):
        """
        LMTP over a UNIX socket, with other options.
        """
        return self.check("-L -m 2 -r 3", PostfixSink("unix", args=["-h", "sink.example"], lmtp=True), 2)

    @defer.inlineCallbacks
    def test_failure(self):
        """
        If it ends instead of listening, that is known at once, with the reason.
        """
        peer = PostfixSink(args=["-Z"])
        self.addCleanup(peer.stop)
        problem = yield self.assertFailure(peer.start(), RuntimeError)
        self.assertIn("usage", str(problem))


class PostfixServerTests(PeerTestCase):
    """
    L{PostfixServer}.
    """

    @defer.inlineCallbacks
    def test_delivery(self):
        """
        It takes mail for anyone, and gets rid of it.
        """
        peer = yield self.start(PostfixServer())
        yield self.send(peer, "-m 3 -r 2 -s 2 -t user@example.org")
        yield peer.whenDelivered(6)
        self.assertEqual((3, 6, 0), (peer.received(), peer.delivered(), peer.rejected()), peer.log())
        yield self.gone(peer)

    @defer.inlineCallbacks
    def test_IPv6(self):
        """
        SMTP over IPv6.
        """
        peer = yield self.start(PostfixServer("inet6"))
        yield self.send(peer, "-d -m 2")
        yield peer.whenDelivered(2)

    @defer.inlineCallbacks
    def test_refusedRecipient(self):
        """
        It can be told to refuse recipients.
        """
        settings = {"smtpd_recipient_restrictions": "check_recipient_access inline:{2foo@example.org=REJECT}, permit"}
        peer = yield self.start(PostfixServer(settings=settings))
        finished = yield self.send(peer, "-A -r 3 -t foo@example.org")
        self.assertIn(b"554", finished.err)
        yield peer.whenDelivered(2)
        self.assertEqual((1, 2, 1), (peer.received(), peer.delivered(), peer.rejected()), peer.log())

    @defer.inlineCallbacks
    def test_map(self):
        """
        It can be given a lookup table, here of senders to refuse.
        """
        settings = {"smtpd_sender_restrictions": "check_sender_access texthash:%(directory)s/senders"}
        peer = PostfixServer(settings=settings)
        peer.addMap("senders", {"bad@example.org": "450 4.7.1 Later"})
        yield self.start(peer)
        finished = yield self.send(peer, "-A -f bad@example.org")
        self.assertIn(b"450 4.7.1", finished.err)
        yield eventually(lambda: peer.rejected() == 1, "the log")
        self.assertEqual(0, peer.received())

    @defer.inlineCallbacks
    def test_badConfiguration(self):
        """
        If it doesn't start, that is known at once.
        """
        peer = PostfixServer(settings={"inet_interfaces": "192.0.2.255.1"})
        self.addCleanup(peer.stop)
        yield self.assertFailure(peer.start(), RuntimeError)


class DovecotLMTPTests(PeerTestCase):
    """
    L{DovecotLMTP}.
    """

    @defer.inlineCallbacks
    def test_delivery(self):
        """
        It delivers to anyone.
        """
        peer = yield self.start(DovecotLMTP())
        yield self.send(peer, "-L -m 2 -r 2 -s 2 -t foo@localhost")
        self.assertEqual({"foo@localhost": 2, "2foo@localhost": 2}, peer.mailboxes(), peer.log())
        self.assertEqual(4, peer.delivered())
        yield self.gone(peer)

    @defer.inlineCallbacks
    def test_UNIX(self):
        """
        LMTP over a UNIX socket, and recipients without a domain.
        """
        peer = yield self.start(DovecotLMTP("unix"))
        yield self.send(peer, "-L -m 3 -d -N -t foo")
        self.assertEqual({"1foo": 1, "2foo": 1, "3foo": 1}, peer.mailboxes(), peer.log())

    @defer.inlineCallbacks
    def test_IPv6(self):
        """
        LMTP over IPv6.
        """
        peer = yield self.start(DovecotLMTP("inet6"))
        yield self.send(peer, "-L -t foo")
        self.assertEqual(1, peer.delivered())

    @defer.inlineCallbacks
    def test_unknownUsers(self):
        """
        It can be told which recipients there are.
        """
        peer = yield self.start(DovecotLMTP(users=["foo@localhost", "1bar"]))
        yield self.send(peer, "-L -t foo@localhost")
        yield self.send(peer, "-L -N -t bar")
        finished = yield self.send(peer, "-L -t who@localhost", status=1)
        self.assertIn(b"550", finished.err)
        self.assertEqual({"foo@localhost": 1, "1bar": 1}, peer.mailboxes(), peer.log())

    @defer.inlineCallbacks
    def test_badConfiguration(self):
        """
        If it doesn't start, that is known, with the reason.
        """
        peer = DovecotLMTP(settings=["no_such_setting = yes"])
        self.addCleanup(peer.stop)
        problem = yield self.assertFailure(peer.start(), RuntimeError)
        self.assertIn("no_such_setting", str(problem))


class WaitingTests(TestCase):
    """
    L{eventually} and L{freePort}.
    """

    timeout = 20

    @defer.inlineCallbacks
    def test_eventually(self):
        """
        It asks until there is an answer.
        """
        answers = ["yes", None, 0]
        self.assertEqual("yes", (yield eventually(answers.pop, "an answer")))

    def test_deadline(self):
        """
        It doesn't ask for ever.
        """
        return self.assertFailure(eventually(lambda: False, "nothing", 0.05), TimeoutError)

    def test_error(self):
        """
        What the condition raises is the end of it.
        """
        return self.assertFailure(eventually(lambda: 1 / 0, "nothing"), ZeroDivisionError)

    def test_cancel(self):
        """
        Cancelling stops the asking.
        """
        waiting = eventually(lambda: False, "nothing")
        waiting.cancel()
        return self.assertFailure(waiting, defer.CancelledError)

    def test_freePort(self):
        """
        Ports are free for IPv4 and for IPv6.
        """
        self.assertGreater(freePort(), 1023)
        self.assertGreater(freePort("::1"), 1023)

    @defer.inlineCallbacks
    def test_missingProgram(self):
        """
        A program that isn't there skips the test, but not where C{CI} is set.
        """
        script = (
            "import os, unittest, differential\n"
            "try:\n"
            "    differential.program('no-such-program')\n"
            "except (unittest.SkipTest, RuntimeError) as e:\n"
            "    print(type(e).__name__)\n"
        )
        env = {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", script]
        here = yield run(command, env={**env, "CI": ""})
        there = yield run(command, env={**env, "CI": "true"})
        self.assertEqual([b"SkipTest\n", b"RuntimeError\n"], [here.out, there.out], (here.err, there.err))
