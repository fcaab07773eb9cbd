"""
Tests for L{smtpsource.sink.protocol} and L{smtpsource.sink.dialogue}, in memory.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given, settings
from sinks import TRANSACTION, WITHOUT, Pair, outcome
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.protocol import SMTPSinkProtocol
from smtpsource.sink.tls import available

BODY = b"Subject: x\r\n\r\nOne line.\r\n"


class DialogueTests(SynchronousTestCase):
    """
    What is said in answer to what.
    """

    def test_banner(self):
        """
        The banner has the sink's name, and ESMTP where EHLO is known.
        """
        self.assertEqual(Pair().transport.value(), b"220 smtp-sink ESMTP\r\n")
        self.assertEqual(Pair(hostname="mx.example.com", esmtp=False).transport.value(), b"220 mx.example.com\r\n")
        self.assertEqual(Pair(lmtp=True).transport.value(), b"220 smtp-sink LMTP\r\n")

    def test_ehlo(self):
        """
        EHLO lists the name, then the extensions (RFC 5321 section 4.1.1.1).
        """
        expected = [
            b"250-smtp-sink",
            b"250-PIPELINING",
            b"250-8BITMIME",
            b"250-SMTPUTF8",
            b"250-SIZE",
            b"250-ENHANCEDSTATUSCODES",
            *([b"250-STARTTLS"] if available() else []),
            b"250-AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2",
            b"250-CHUNKING",
            b"250-DSN",
            b"250-MT-PRIORITY",
            b"250-DELIVERBY",
            b"250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT",
            b"250 XFORWARD NAME ADDR PROTO HELO",
        ]
        self.assertEqual(Pair().say(b"EHLO client\r\n").splitlines(), expected)

    def test_ehloWithout(self):
        """
        Extensions can be left out; SMTPUTF8 goes with 8BITMIME.
        """
        pair = Pair(pipelining=False, eightBitMIME=False, enhancedStatusCodes=False, **WITHOUT)
        self.assertEqual(pair.say(b"EHLO client\r\n").splitlines(), [b"250-smtp-sink", b"250 SIZE"])

    def test_helo(self):
        """
        HELO is answered by one line.
        """
        self.assertEqual(Pair().say(b"HELO client\r\n"), b"250 smtp-sink\r\n")

    def test_withoutESMTP(self):
        """
        Without ESMTP, EHLO is unknown and HELO is not.
        """
        pair = Pair(esmtp=False)
        self.assertEqual(pair.codes(b"EHLO client\r\n"), [500])
        self.assertEqual(pair.codes(b"HELO client\r\n"), [250])

    def test_lmtpGreeting(self):
        """
        LMTP has LHLO and neither HELO nor EHLO (RFC 2033 section 4.1); SMTP has no LHLO.
        """
        pair = Pair(lmtp=True, smtpUTF8=False, **WITHOUT)
        self.assertEqual(pair.codes(b"LHLO client\r\nHELO client\r\nEHLO client\r\n"), [250] * 5 + [500, 500])
        self.assertEqual(Pair().codes(b"LHLO client\r\n"), [500])

    def test_transaction(self):
        """
        A message in lock-step: each command has its reply, and counts.
        """
        pair = Pair()
        steps = [
            (b"HELO client\r\n", b"250 smtp-sink\r\n"),
            (b"MAIL FROM:<a@example.com>\r\n", b"250 2.1.0 Ok\r\n"),
            (b"RCPT TO:<b@example.com>\r\n", b"250 2.1.5 Ok\r\n"),
            (b"RCPT TO:<c@example.com>\r\n", b"250 2.1.5 Ok\r\n"),
            (b"DATA\r\n", b"354 Start mail input; end with <CRLF>.<CRLF>\r\n"),
            (BODY + b".\r\n", b"250 2.0.0 Ok\r\n"),
            (b"QUIT\r\n", b"221 2.0.0 Bye\r\n"),
        ]
        for command, reply in steps:
            self.assertEqual(pair.say(command), reply)
        counts = pair.counts
        self.assertTrue(pair.transport.disconnecting)
        self.assertEqual((counts.sessions, counts.messages, counts.recipients, counts.quits), (1, 1, 2, 1))
        self.assertEqual(counts.bytesReceived, sum(len(command) for command, _ in steps))
        self.assertEqual(counts.bytesSent, len(b"220 smtp-sink ESMTP\r\n") + sum(len(reply) for _, reply in steps))
        self.assertEqual(counts.errors, {})

    def test_caseAndSpaces(self):
        """
        Verbs are known in any case (RFC 5321 section 2.4), and a space may follow the colon.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"mail from: <>\r\nRcpt To:<x> NOTIFY=NEVER\r\ndata\r\n"), [250, 250, 354])

    def test_parameters(self):
        """
        Parameters of MAIL are accepted, SIZE and SMTPUTF8 among them: see test_sink_extensions.
        """
        pair = Pair()
        self.assertEqual(pair.codes("MAIL FROM:<ä@example.com> SIZE=1000 SMTPUTF8\r\n".encode()), [250])

    def test_otherCommands(self):
        """
        NOOP, VRFY and RSET are accepted at any time.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"NOOP\r\nNOOP x\r\nVRFY user\r\nRSET\r\n"), [250] * 4)

    def test_sequence(self):
        """
        MAIL in a transaction, RCPT without MAIL and DATA without RCPT are out of sequence (RFC 5321 section
        4.1.4).
        """
        for lmtp in (False, True):
            pair = Pair(lmtp=lmtp)
            reply = pair.say(b"RCPT TO:<x>\r\nDATA\r\nMAIL FROM:<x>\r\nMAIL FROM:<y>\r\nDATA\r\nRCPT TO:<x>\r\n")
            self.assertEqual(
                [line[:9] for line in reply.splitlines()],
                [b"503 5.5.1", b"503 5.5.1", b"250 2.1.0", b"503 5.5.1", b"503 5.5.1", b"250 2.1.5"],
            )
            self.assertEqual(pair.counts.errors, {"sequence": (4, "RCPT TO:<x>")})

    def test_abandoned(self):
        """
        RSET and a new greeting abandon the transaction (RFC 5321 sections 4.1.1.5 and 4.1.4).
        """
        for command in (b"RSET", b"HELO x", b"EHLO x"):
            pair = Pair()
            pair.say(b"MAIL FROM:<x>\r\nRCPT TO:<x>\r\n" + command + b"\r\n")
            self.assertEqual(pair.codes(b"DATA\r\nRCPT TO:<x>\r\nMAIL FROM:<x>\r\n"), [503, 503, 250])

    def test_syntax(self):
        """
        MAIL and RCPT need a path, and DATA takes nothing.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"MAIL\r\nMAIL FROM:x\r\nMAIL TO:<x>\r\nMAIL FROM:<x>\r\n"), [501, 501, 501, 250])
        self.assertEqual(pair.codes(b"RCPT TO:x\r\nRCPT TO:<>\r\nRCPT TO:<x>\r\nDATA now\r\n"), [501, 250, 250, 501])
        self.assertEqual(pair.counts.errors["syntax"], (5, "MAIL"))

    def test_unknown(self):
        """
        Anything else is unknown, and so is a verb with something attached, and nothing at all.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"XFORWARDS\r\nMAILS FROM:<x>\r\n\r\n X\r\nDATA\tx\r\nQUITE\r\n"), [500] * 6)
        self.assertEqual(pair.counts.errors, {"unknown": (6, "XFORWARDS")})

    def test_anyBytes(self):
        """
        A command of arbitrary bytes has a sample that can be shown.
        """
        pair = Pair()
        pair.say(b"\xff\x00\x1b[2J\r\n")
        self.assertEqual(pair.counts.errors["unknown"][0], 1)
        self.assertTrue(pair.counts.errors["unknown"][1].isprintable())

    def test_verbose(self):
        """
        A verbose sink answers the same.
        """
        stream = b"HELO x\r\n" + TRANSACTION + BODY + b".\r\nFOO\r\nQUIT\r\n"
        self.assertEqual(Pair(verbose=True).say(stream), Pair().say(stream))


class LineTests(SynchronousTestCase):
    """
    Where a command line ends.
    """

    def test_bareLineFeed(self):
        """
        A bare LF is a byte like others.
        """
        pair = Pair()
        self.assertEqual(pair.say(b"NOOP\nQUIT\n"), b"")
        self.assertEqual(pair.codes(b"\r\n"), [500])

    def test_bareCarriageReturn(self):
        """
        So is a CR without its LF.
        """
        pair = Pair()
        self.assertEqual(pair.say(b"NOOP \r"), b"")
        self.assertEqual(pair.say(b"x\r"), b"")
        self.assertEqual(pair.codes(b"\n"), [250])

    def test_longest(self):
        """
        A command line of 2048 bytes with its CRLF is fine, in one piece or two.
        """
        line = b"NOOP " + b"x" * (2046 - 5) + b"\r\n"
        pair = Pair()
        self.assertEqual(pair.codes(line), [250])
        self.assertEqual(pair.say(line[:-1]), b"")
        self.assertEqual(pair.codes(line[-1:]), [250])

    def test_tooLong(self):
        """
        A longer one is refused, and ends the session: whether or not its end is there.
        """
        for end in (b"\r\n", b"", b"\r\nNOOP\r\n"):
            pair = Pair()
            self.assertEqual(pair.codes(b"NOOP\r\nNOOP " + b"x" * 2050 + end), [250, 500])
            self.assertTrue(pair.transport.disconnecting)
            self.assertEqual(pair.counts.errors["line-too-long"][0], 1)

    def test_endless(self):
        """
        A line without an end is not kept.
        """
        pair = Pair()
        for _ in range(10):
            pair.protocol.dataReceived(b"x" * 1000)
        self.assertTrue(pair.transport.disconnecting)
        self.assertEqual(pair.counts.errors["line-too-long"][0], 1)

    def test_afterQuit(self):
        """
        What comes after QUIT is not looked at.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"QUIT\r\nNOOP\r\n"), [221])
        self.assertEqual(pair.codes(b"NOOP\r\n"), [])
        self.assertEqual(pair.counts.quits, 1)


class ContentTests(SynchronousTestCase):
    """
    Where a message ends (RFC 5321 section 4.1.1.4).
    """

    def accepted(self, *chunks):
        """
        @return: after how many of these chunks of content a message was accepted, or L{None}.
        """
        pair = Pair()
        pair.say(TRANSACTION)
        for number, chunk in enumerate(chunks, 1):
            pair.say(chunk)
            if pair.counts.messages:
                return number
        return None

    def test_empty(self):
        """
        A dot directly after DATA ends an empty message.
        """
        self.assertEqual(self.accepted(b".\r\n"), 1)
        self.assertEqual(self.accepted(b".", b"\r", b"\n"), 3)

    def test_splitAnywhere(self):
        """
        The end may be split at any point, and into single bytes.
        """
        content = BODY + b".\r\n"
        for at in range(1, len(content)):
            self.assertEqual(self.accepted(content[:at], content[at:]), 2)
        self.assertEqual(self.accepted(*[content[i : i + 1] for i in range(len(content))]), len(content))

    def test_notTheEnd(self):
        """
        These are not ends.
        """
        for content in (
            b"..\r\n",
            b"x\r\n..\r\n",
            b"x.\r\n",
            b"x\n.\n",
            b"x\n.\r\n",
            b"x\r\n.\n",
            b"x\r\n.x\r\n",
            b"x\r\n. \r\n",
            b"\r.\r\n",
            b".\r",
            b".\n",
        ):
            self.assertEqual(self.accepted(content), None, content)
            self.assertEqual(self.accepted(*[content[i : i + 1] for i in range(len(content))]), None, content)
            self.assertEqual(self.accepted(content, b"\r\n.\r\n"), 2, content)

    def test_nothingKept(self):
        """
        Content isn't kept, however long.
        """
        pair = Pair()
        pair.say(TRANSACTION)
        for _ in range(100):
            pair.say(b"no line end" * 1000)
        self.assertLess(sum(len(value) for value in vars(pair.protocol).values() if isinstance(value, bytes)), 100)

    def test_commandsAfterContent(self):
        """
        What follows the end in the same chunk are commands (RFC 2920).
        """
        pair = Pair()
        pair.say(TRANSACTION)
        self.assertEqual(pair.codes(BODY + b".\r\n" + TRANSACTION), [250, 250, 250, 354])
        self.assertEqual(pair.codes(BODY + b".\r\nQUIT\r\n"), [250, 221])
        self.assertEqual(pair.counts.messages, 2)

    def test_oneWrite(self):
        """
        The replies to a chunk are written at once.
        """
        pair = Pair()
        before = pair.transport.writes
        self.assertEqual(pair.codes(b"NOOP\r\n" + TRANSACTION), [250, 250, 250, 354])
        self.assertEqual(pair.transport.writes, before + 1)

    def test_lmtp(self):
        """
        In LMTP each accepted recipient has a reply of its own (RFC 2033 section 4.2), and refused ones have
        none.
        """
        pair = Pair(lmtp=True)
        pair.say(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nRCPT TO:bad\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\n")
        self.assertEqual(pair.say(b".\r\n"), b"250 2.2.0 Ok\r\n" * 3)
        self.assertEqual((pair.counts.messages, pair.counts.recipients), (1, 3))
        self.assertEqual(pair.codes(b"DATA\r\n"), [503])


class EndTests(SynchronousTestCase):
    """
    Sessions that don't end by QUIT.
    """

    def test_lost(self):
        """
        A connection that is lost in a transaction is counted as such, another one isn't.
        """
        pair = Pair()
        pair.protocol.connectionLost()
        self.assertEqual(pair.counts.errors, {})
        pair.connect()
        pair.say(TRANSACTION)
        pair.protocol.connectionLost()
        self.assertEqual(pair.counts.errors["lost"][0], 1)
        self.assertEqual((pair.counts.sessions, pair.counts.open), (2, 0))

    def test_halfClosed(self):
        """
        A client that closes its direction still gets its replies.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"NOOP\r\n"), [250])
        pair.protocol.readConnectionLost()
        self.assertTrue(pair.transport.disconnecting)
        self.assertFalse(pair.transport.aborted)

    def test_endSoonIdle(self):
        """
        A session without a transaction is told 421 when the sink stops (RFC 5321 section 3.8).
        """
        pair = Pair()
        pair.transport.clear()
        pair.factory.endSoon()
        self.assertEqual(pair.transport.value()[:9], b"421 4.3.2")
        self.assertTrue(pair.transport.disconnecting)

    def test_endSoonInTransaction(self):
        """
        A session in a transaction may complete it, and is told 421 then.
        """
        pair = Pair()
        pair.say(b"MAIL FROM:<x>\r\n")
        pair.factory.endSoon()
        self.assertEqual(pair.codes(b"RCPT TO:<x>\r\nDATA\r\n"), [250, 354])
        self.assertEqual(pair.codes(BODY + b".\r\nMAIL FROM:<x>\r\n"), [250, 421])
        self.assertTrue(pair.transport.disconnecting)
        self.assertEqual(pair.counts.messages, 1)

    def test_messageLimit(self):
        """
        Not one message more than the limit is accepted, on any session; a client may still quit.
        """
        pair = Pair(messageLimit=1)
        first, firstTransport = pair.protocol, pair.transport
        pair.say(TRANSACTION)
        pair.connect()
        pair.say(TRANSACTION)
        self.assertEqual(pair.codes(b".\r\n"), [250])
        self.assertEqual(pair.codes(b"QUIT\r\n"), [221])
        firstTransport.clear()
        first.dataReceived(b".\r\n")
        self.assertEqual(firstTransport.value()[:3], b"421")
        self.assertTrue(firstTransport.disconnecting)
        self.assertEqual(pair.counts.messages, 1)

    def test_tooLate(self):
        """
        A client that comes when the sink is ending is told 421 instead of a banner.
        """
        pair = Pair()
        pair.factory.endSoon()
        pair.connect()
        self.assertEqual(pair.transport.value()[:3], b"421")
        self.assertEqual(pair.counts.sessions, 1)

    def test_idle(self):
        """
        A client that is silent for too long is told 421, and aborted if it does not take that; one that
        isn't stays.
        """
        pair = Pair(idleTimeout=10.0)
        for _ in range(12):
            pair.clock.advance(1)
            pair.say(b"NOOP\r\n")
            pair.factory.sweep()
        self.assertFalse(pair.transport.disconnecting)
        pair.transport.clear()
        for _ in range(9):
            pair.clock.advance(1)
            pair.factory.sweep()
        self.assertEqual(pair.transport.value(), b"")
        pair.clock.advance(1)
        pair.factory.sweep()
        self.assertEqual(pair.transport.value()[:9], b"421 4.4.2")
        self.assertTrue(pair.transport.disconnecting)
        self.assertEqual(pair.counts.errors["timeout"][0], 1)
        pair.clock.advance(10)
        pair.factory.sweep()
        self.assertTrue(pair.transport.aborted)
        self.assertEqual(pair.counts.errors["timeout"][0], 1)

    def test_maxSessions(self):
        """
        Clients over the limit wait for their banner, in the order they came.
        """
        pair = Pair(maxSessions=1)
        first = pair.protocol
        pair.connect()
        second, secondTransport = pair.protocol, pair.transport
        pair.connect()
        self.assertEqual((secondTransport.value(), secondTransport.producerState), (b"", "paused"))
        first.connectionLost()
        self.assertEqual((secondTransport.value()[:3], secondTransport.producerState), (b"220", "producing"))
        self.assertEqual(pair.transport.value(), b"")
        pair.protocol.connectionLost()
        second.connectionLost()
        self.assertEqual((pair.counts.sessions, pair.counts.ended, pair.counts.mostOpen), (2, 2, 1))

    def test_backPressure(self):
        """
        A session is its transport's producer: a client that reads no replies is not read from.
        """
        pair = Pair()
        self.assertIs(pair.transport.producer, pair.protocol)
        self.assertTrue(pair.transport.streaming)
        pair.protocol.pauseProducing()
        self.assertEqual(pair.transport.producerState, "paused")
        pair.protocol.resumeProducing()
        self.assertEqual(pair.codes(b"NOOP\r\n"), [250])


_PIECES = st.sampled_from(
    [
        b"HELO x\r\n",
        b"EHLO x\r\n",
        b"LHLO x\r\n",
        b"MAIL FROM:<a@example.com>\r\n",
        b"mail from:<> SIZE=3\r\n",
        b"RCPT TO:<b@example.com>\r\n",
        b"RCPT TO:bad\r\n",
        b"DATA\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"BDAT 10\r\n",
        b"BDAT 10 LAST\r\n",
        b"BDAT 0 LAST\r\n",
        b"BDAT x\r\n",
        b"0123456789",
        b"MAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<a>\r\nRCPT TO:<b>\r\nBDAT 3 LAST\r\nabc",
        b"MAIL FROM:<> FOO=1\r\nRCPT TO:<a>\r\nBDAT 3 LAST\r\nabc",
        b"MAIL FROM:<>\r\nRCPT TO:<a> NOTIFY=NEVER\r\nBDAT 3\r\nabcBDAT 4 LAST\r\nabcd",
        b"AUTH PLAIN\r\n",
        b"AUTH LOGIN\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"AGEAYg==\r\n",
        b"*\r\n",
        b"XCLIENT NAME=a\r\n",
        b"\r\n.\r\n",
        b".\r\n",
        b"..\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b".",
        b"x",
        TRANSACTION,
        TRANSACTION + BODY + b".\r\n",
        BODY,
        b"x" * 3000,
        b"QUIT\r\n",
    ]
)


class SplitTests(SynchronousTestCase):
    """
    How the bytes of a client come does not matter.
    """

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(st.one_of(_PIECES, st.binary(max_size=8)), max_size=25),
        st.lists(st.integers(0, 200), max_size=12),
        st.sampled_from([{}, {"lmtp": True}, {"messageLimit": 1}, {"chunking": False}, {"verbose": True}]),
    )
    def test_anySplit(self, pieces, cuts, plan):
        """
        Any split of a stream has the same replies and counts as the whole of it.
        """
        stream = b"".join(pieces)
        chunks = []
        rest = stream
        for cut in cuts:
            chunks.append(rest[:cut])
            rest = rest[cut:]
        chunks = [chunk for chunk in [*chunks, rest] if chunk]
        expected = outcome(plan, [stream] if stream else [])
        self.assertEqual(outcome(plan, chunks), expected)
        self.assertEqual(outcome(plan, [stream[i : i + 1] for i in range(len(stream))]), expected)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=300))
    def test_arbitraryBytes(self, data):
        """
        Nothing that a client can send raises, and replies are replies.
        """
        pair = Pair()
        reply = pair.say(data)
        for line in reply.splitlines():
            self.assertRegex(line, rb"^[245][0-9][0-9][ -]")


class InterfaceTests(SynchronousTestCase):
    """
    What the protocol promises to its transport.
    """

    def test_half(self):
        """
        The protocol is told when the client closes its direction.
        """
        from twisted.internet.interfaces import IHalfCloseableProtocol
        from zope.interface.verify import verifyObject

        self.assertTrue(verifyObject(IHalfCloseableProtocol, SMTPSinkProtocol()))
