"""
What strangers can make a sink hold: nothing grows with what they send, and each limit has an option.
"""

from __future__ import annotations

import base64
import tracemalloc

from sinks import TRANSACTION, Pair, Transport
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink import proxy, steered

#: What comes in one read at the most.
CHUNK = 64 * 1024

#: A sink that takes everything, and one that keeps some of it.
KINDS = ({}, {"keep": 5})

MEBIBYTE = 2**20


def grown(pair, chunks):
    """
    @return: by how many bytes the memory of this process had grown at the most, while a session was told all that.
    """
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for chunk in chunks:
            pair.say(chunk)
        _, peak = tracemalloc.get_traced_memory()
        return peak - before
    finally:
        tracemalloc.stop()


class Reluctant(Transport):
    """
    A transport whose other end reads only when it is told to.
    """

    waiting = 0
    most = 0

    def write(self, data):
        super().write(data)
        self.waiting += len(data)
        self.most = max(self.most, self.waiting)
        if self.waiting > CHUNK and self.producer is not None:
            self.producer.pauseProducing()

    def read(self):
        """
        All that waits is read.
        """
        self.waiting = 0
        self.producer.resumeProducing()


class LineTests(SynchronousTestCase):
    """
    Lines, and how many of them.
    """

    def test_endless(self):
        """
        A line without an end costs the connection, as soon as it is too long.
        """
        for plan, most in (({}, 2046), ({"keep": 5}, 2046), ({"maxLineLength": 600}, 600)):
            pair = Pair(**plan)
            self.assertEqual(pair.say(b"x" * most), b"")
            self.assertEqual(pair.codes(b"xx"), [500], plan)
            self.assertTrue(pair.transport.disconnecting)

    def test_responses(self):
        """
        Lines of AUTH may be as long as RFC 4954 section 4 wants, and no longer.
        """
        for plan in KINDS:
            pair = Pair(**plan)
            self.assertEqual(pair.codes(b"AUTH LOGIN\r\n"), [334])
            self.assertEqual(pair.say(b"x" * 12288), b"")
            self.assertEqual(pair.codes(b"xx"), [500], plan)

    def test_commands(self):
        """
        Commands without end leave nothing behind, nor do those that are unknown; --max-commands is an end.
        """
        line = b"NOOP " + b"x" * 1000 + b"\r\n"
        for plan in KINDS:
            chunks = [line * 50, (b"?" + line) * 50] * 50
            self.assertLess(grown(Pair(**plan), chunks), 3 * MEBIBYTE)
        self.assertEqual(Pair(maxCommands=3).codes(line * 10), [250, 250, 250, 421])

    def test_logins(self):
        """
        An exchange of AUTH has as many rounds as its mechanism; --max-logins is an end of exchanges.
        """
        word = base64.b64encode(b"x" * 600) + b"\r\n"
        for plan in KINDS:
            pair = Pair(**plan)
            self.assertEqual(pair.codes(b"AUTH LOGIN\r\n" + word * 2 + word), [334, 334, 235, 500])
            pair = Pair(**plan)
            self.assertLess(grown(pair, [(b"AUTH CRAM-MD5\r\n" + word) * 50] * 50), 2 * MEBIBYTE)
            self.assertFalse(pair.transport.disconnecting)
        self.assertEqual(Pair(maxLogins=1).codes(b"AUTH CRAM-MD5\r\n*\r\nAUTH CRAM-MD5\r\n"), [334, 501, 421])


class EnvelopeTests(SynchronousTestCase):
    """
    Recipients.
    """

    def test_counted(self):
        """
        Half a million recipients are a number, where nobody wants to know who they are.
        """
        pair = Pair()
        pair.say(b"MAIL FROM:<a@b>\r\n")
        line = b"RCPT TO:<a@example.com>\r\n"
        self.assertLess(grown(pair, [line * 2000] * 250), MEBIBYTE)
        self.assertEqual(pair.protocol.recipients, 500_000)

    def test_most(self):
        """
        Who they are is remembered of so many, by default or by --max-recipients; others are refused.
        """
        self.patch(steered, "MOST_RECIPIENTS", 50)
        for plan, most in (({"keep": 5}, 50), ({"maxRecipients": 3}, 3), ({"maxRecipients": 70}, 70)):
            pair = Pair(**plan)
            codes = pair.codes(b"MAIL FROM:<a@b>\r\n" + b"RCPT TO:<c@d>\r\n" * 100)
            self.assertEqual(codes, [250] * (1 + most) + [452] * (100 - most))

    def test_long(self):
        """
        So it is of so many bytes of them; the next transaction has as much room.
        """
        pair = Pair(keep=5)
        line = b"RCPT TO:<" + b"x" * 2000 + b"@example.com>\r\n"
        for _ in range(2):
            pair.say(b"RSET\r\nMAIL FROM:<a@b>\r\n")
            self.assertLess(grown(pair, [line * 30] * 300), 20 * MEBIBYTE)
            self.assertEqual(pair.protocol.recipients, steered.MOST_ENVELOPE // (len(line) - 2))
        self.assertEqual(pair.codes(line + b"DATA\r\n"), [452, 354])


class ContentTests(SynchronousTestCase):
    """
    Content, and chunks.
    """

    def test_size(self):
        """
        Content is not held in memory, but for its beginning; by DATA and by BDAT, also one with the largest size that
        can be written.
        """
        for plan in KINDS:
            for begin in (TRANSACTION, TRANSACTION[:-6] + b"BDAT 9999999999999999999\r\n"):
                pair = Pair(**plan)
                pair.say(begin)
                self.assertLess(grown(pair, [b"x" * CHUNK] * 300), MEBIBYTE, (plan, begin))
                self.assertEqual(pair.counts.errors, {})

    def test_limits(self):
        """
        --max-message-size and --max-chunk-size.
        """
        pair = Pair(maxMessageSize=1000, keep=1)
        pair.say(TRANSACTION)
        self.assertLess(grown(pair, [b"x" * CHUNK] * 300), MEBIBYTE)
        self.assertEqual(pair.codes(b"\r\n.\r\n"), [552])
        self.assertEqual(Pair(maxChunkSize=10).codes(TRANSACTION[:-6] + b"BDAT 11\r\n"), [250, 250, 552])

    def test_noHeader(self):
        """
        A header without an end is looked at no further than its beginning.
        """
        pair = Pair(keep=1)
        pair.say(TRANSACTION)
        self.assertLess(grown(pair, [b"x: y\r\n" * 10_000] * 100), MEBIBYTE)


class ProxyTests(SynchronousTestCase):
    """
    The header of the PROXY protocol.
    """

    def test_text(self):
        """
        A header of version 1 has an end, and soon.
        """
        for plan in KINDS:
            pair = Pair(proxyProtocol=True, **plan)
            pair.say(b"PROXY UNKNOWN ")
            self.assertFalse(pair.transport.disconnecting)
            pair.say(b"x" * 100)
            self.assertTrue(pair.transport.disconnecting)

    def test_binary(self):
        """
        One of version 2 has 64 KiB at the most, and may come slowly.
        """
        header = proxy.SIGNATURE + b"\x21\x11\xff\xff" + b"\x7f\0\0\1" * 2 + b"\0" * 65527
        for plan in KINDS:
            pair = Pair(proxyProtocol=True, **plan)
            for at in range(0, len(header) - 1, 5000):
                self.assertEqual(pair.say(header[at : min(at + 5000, len(header) - 1)]), b"")
            self.assertEqual(pair.codes(header[-1:]), [220])

    def test_silent(self):
        """
        Who says nothing more is dropped after --timeout.
        """
        for plan in KINDS:
            pair = Pair(proxyProtocol=True, idleTimeout=10.0, **plan)
            pair.say(b"PROXY ")
            for _ in range(3):
                pair.clock.advance(10)
                pair.factory.sweep()
            self.assertTrue(pair.transport.aborted)


class WaitingTests(SynchronousTestCase):
    """
    What comes while something waits.
    """

    def test_delayed(self):
        """
        While a reply is delayed nothing is read; what was read is answered when its turn comes.
        """
        pair = Pair(ruleTexts=('on = "noop", do = { delay = "1s" }',))
        self.assertEqual(pair.say(b"NOOP\r\n" * 3 + b"RSET\r\n"), b"")
        for expected in (b"", b"250 2.0.0 Ok\r\n", b"250 2.0.0 Ok\r\n"):
            self.assertEqual(pair.transport.value(), expected)
            self.assertEqual(pair.transport.producerState, "paused")
            pair.transport.clear()
            pair.clock.advance(1)
        self.assertEqual(pair.transport.value(), b"250 2.0.0 Ok\r\n" * 2)
        self.assertEqual(pair.transport.producerState, "producing")

    def test_throttled(self):
        """
        A client that is read slowly and goes away leaves nothing that waits; of several reads, all count.
        """
        pair = Pair(ruleTexts=('on = "connect", do = { throttle = 100 }',))
        pair.say(b"NOOP " + b"x" * 93 + b"\r\n")
        pair.say(b"NOOP " + b"x" * 93 + b"\r\n")
        pair.clock.advance(1.5)
        self.assertEqual(pair.transport.producerState, "paused")
        pair.clock.advance(0.6)
        self.assertEqual(pair.transport.producerState, "producing")
        pair.say(b"NOOP\r\n" * 1000)
        pair.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(pair.clock.getDelayedCalls(), [])

    def unread(self, **plan):
        """
        @return: a session that was told many commands, and whose client has not read what was said.
        """
        pair = Pair(**plan)
        pair.transport = transport = Reluctant()
        pair.protocol = pair.factory.buildProtocol(None)
        pair.protocol.makeConnection(transport)
        transport.clear()
        pair.protocol.dataReceived(b"EHLO x\r\n" * (CHUNK // 8))
        self.assertEqual(transport.producerState, "paused")
        return pair

    def test_unread(self):
        """
        Who does not read is not read from, and has no more answered than what is on its way; later all of it.
        """
        pair = self.unread(keep=5)
        transport = pair.transport
        self.assertLess(transport.most, 3 * CHUNK)
        while transport.producerState == "paused":
            transport.read()
        self.assertLess(transport.most, 3 * CHUNK)
        self.assertEqual(transport.value().count(b"250 "), CHUNK // 8)

    def test_unreadBySink(self):
        """
        A sink that takes everything has answered what was read at once, and reads no more.
        """
        pair = self.unread()
        transport = pair.transport
        self.assertEqual(transport.value().count(b"250 "), CHUNK // 8)
        transport.read()
        self.assertEqual(transport.producerState, "producing")
