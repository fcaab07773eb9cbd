"""
Tests for the extensions of SMTP that the sink offers, in memory: L{smtpsource.sink.chunking},
L{smtpsource.sink.parameters}, L{smtpsource.sink.xclient}, L{smtpsource.sink.proxy} and the switches for all of them.
TLS and AUTH have files of their own.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

from hypothesis import strategies as st
from properties import given, settings
from sinks import TRANSACTION, WITHOUT, Pair, extensions, outcome
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink import proxy
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.xclient import attributes

ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"


class SwitchTests(SynchronousTestCase):
    """
    Each extension can be left out.
    """

    def offered(self, **plan):
        """
        @return: the keywords in the reply to EHLO.
        """
        lines = Pair(**plan).say(b"EHLO x\r\n").splitlines()[1:]
        return {line[4:].split()[0].decode() for line in lines}

    def test_switches(self):
        """
        Without its switch it is there, and with it nothing else is gone.
        """
        everything = self.offered()
        for name, keyword in {
            "startTLS": "STARTTLS",
            "auth": "AUTH",
            "chunking": "CHUNKING",
            "dsn": "DSN",
            "smtpUTF8": "SMTPUTF8",
            "mtPriority": "MT-PRIORITY",
            "deliverBy": "DELIVERBY",
            "xclient": "XCLIENT",
        }.items():
            self.assertEqual(everything - self.offered(**{name: False}), {keyword})
        # In clear text it isn't there anyway.
        self.assertEqual(self.offered(requireTLS=False), everything)

    def test_lmtp(self):
        """
        LHLO lists the same.
        """
        lines = Pair(lmtp=True).say(b"LHLO x\r\n").splitlines()[1:]
        self.assertEqual({line[4:].split()[0].decode() for line in lines}, self.offered())

    def test_verbs(self):
        """
        What isn't offered isn't known.
        """
        pair = Pair(**WITHOUT)
        self.assertEqual(pair.codes(b"STARTTLS\r\nAUTH PLAIN\r\nBDAT 0 LAST\r\nXCLIENT NAME=x\r\n"), [500] * 4)

    def test_withoutESMTP(self):
        """
        Without EHLO there is no extension at all.
        """
        pair = Pair(esmtp=False)
        self.assertEqual(
            pair.codes(b"HELO x\r\nBDAT 0\r\nMAIL FROM:<> SIZE=1\r\nMAIL FROM:<>\r\n"), [250, 500, 555, 250]
        )

    def test_plan(self):
        """
        The fields of a plan are checked.
        """
        for name in ("startTLS", "tls", "auth", "chunking", "dsn", "smtpUTF8", "requireTLS", "mtPriority"):
            self.assertRaisesRegex(ValueError, f"^{name}: 'no' is not usable: expected", SinkPlan, **{name: "no"})
        for name in ("deliverBy", "xclient", "proxyProtocol"):
            self.assertRaisesRegex(ValueError, f"^{name}: 1 is not usable: expected", SinkPlan, **{name: 1})
        for name in ("tlsCert", "tlsKey", "authUsers"):
            self.assertRaisesRegex(ValueError, f"^{name}: '' is not usable: expected", SinkPlan, **{name: ""})
        self.assertRaisesRegex(ValueError, "^tlsKey: '/x' is not usable: expected a tlsCert", SinkPlan, tlsKey="/x")


class ChunkingTests(SynchronousTestCase):
    """
    BDAT (RFC 3030).
    """

    def test_lockStep(self):
        """
        Each chunk has its reply when it is there, and the last one that of the message.
        """
        pair = Pair()
        self.assertEqual(pair.codes(ENVELOPE), [250, 250])
        self.assertEqual(pair.say(b"BDAT 5\r\n"), b"")
        self.assertEqual(pair.say(b"abc"), b"")
        self.assertEqual(pair.counts.messages, 0)
        self.assertEqual(pair.say(b"\r\n"), b"250 2.0.0 Ok\r\n")
        self.assertEqual(pair.codes(b"bdat 4 last\r\nQUIT"), [250])
        self.assertEqual((pair.counts.messages, pair.counts.recipients, pair.counts.quits), (1, 1, 0))
        self.assertEqual(extensions(pair), {"bdat": 2})
        self.assertEqual(pair.codes(ENVELOPE), [250, 250])

    def test_pipelined(self):
        """
        Whole messages in one input have all their replies in one write.
        """
        pair = Pair()
        before = pair.transport.writes
        message = ENVELOPE + b"BDAT 12 LAST\r\nSubject: x\r\n"
        self.assertEqual(pair.codes(message * 3 + b"QUIT\r\n"), [250, 250, 250] * 3 + [221])
        self.assertEqual(pair.transport.writes, before + 1)
        self.assertEqual((pair.counts.messages, pair.counts.errors), (3, {}))

    def test_noOctets(self):
        """
        A chunk may be empty, and a message too.
        """
        pair = Pair()
        self.assertEqual(pair.codes(ENVELOPE + b"BDAT 0\r\nBDAT 0 LAST\r\n"), [250] * 4)
        self.assertEqual(pair.codes(ENVELOPE), [250] * 2)
        self.assertEqual(pair.codes(b"BDAT 0 LAST\r\n"), [250])
        self.assertEqual(pair.counts.messages, 2)

    def test_lmtp(self):
        """
        In LMTP only the last chunk has a reply for each recipient.
        """
        pair = Pair(lmtp=True)
        envelope = ENVELOPE + b"RCPT TO:<c>\r\n"
        self.assertEqual(pair.codes(envelope + b"BDAT 2\r\nxxBDAT 2 LAST\r\nxx"), [250] * 3 + [250] + [250] * 2)
        self.assertEqual(pair.codes(envelope + b"BDAT 2 LAST\r\nxx"), [250] * 3 + [250] * 2)
        self.assertEqual((pair.counts.messages, pair.counts.recipients), (2, 4))

    def test_withoutRecipients(self):
        """
        A chunk without recipients is refused when its octets are there; they are no commands.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"), [503, 250])
        self.assertEqual(pair.codes(b"MAIL FROM:<>\r\nBDAT 6\r\n"), [250])
        self.assertEqual(pair.codes(b"QUIT\r\n"), [503])
        # The transaction is over until MAIL.
        self.assertEqual(pair.codes(b"RCPT TO:<b>\r\nBDAT 1\r\nxBDAT 2 LAST\r\nxx"), [503, 503, 503])
        self.assertEqual(pair.codes(ENVELOPE + b"BDAT 2 LAST\r\nxx"), [250] * 3)
        self.assertEqual((pair.counts.messages, pair.counts.errors["sequence"][0]), (1, 5))

    def test_refusedGroup(self):
        """
        The chunk of a message whose recipients were refused is skipped.
        """
        pair = Pair()
        reply = pair.codes(b"MAIL FROM:<>\r\nRCPT TO:b\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n" + ENVELOPE)
        self.assertEqual(reply, [250, 501, 503, 250, 250, 250])

    def test_malformed(self):
        """
        After a size that is none nobody knows what follows: the connection is closed.
        """
        for text in (b"BDAT\r\n", b"BDAT x\r\n", b"BDAT -1\r\n", b"BDAT 1 LATE\r\n", b"BDAT " + b"9" * 20 + b"\r\n"):
            pair = Pair()
            self.assertEqual(pair.codes(ENVELOPE + text + b"NOOP\r\n"), [250, 250, 501])
            self.assertTrue(pair.transport.disconnecting)
            self.assertEqual(pair.counts.errors["syntax"][0], 1)

    def test_mixed(self):
        """
        DATA and RCPT after BDAT are out of sequence until the message is complete or abandoned.
        """
        pair = Pair()
        pair.say(ENVELOPE + b"BDAT 1\r\nx")
        self.assertEqual(pair.codes(b"DATA\r\nRCPT TO:<c>\r\nMAIL FROM:<>\r\n"), [503, 503, 503])
        self.assertEqual(pair.codes(b"BDAT 1 LAST\r\nx"), [250])
        self.assertEqual(pair.codes(TRANSACTION), [250, 250, 354])
        self.assertEqual(pair.codes(b".\r\n"), [250])
        for command in (b"RSET", b"EHLO x", b"HELO x"):
            pair.say(ENVELOPE + b"BDAT 1\r\nx" + command + b"\r\n")
            self.assertEqual(pair.codes(TRANSACTION), [250, 250, 354])
            pair.say(b".\r\n")
        self.assertEqual((pair.counts.messages, pair.counts.recipients), (5, 5))

    def test_large(self):
        """
        Octets aren't kept, however many.
        """
        pair = Pair()
        pair.say(ENVELOPE + b"BDAT 10000000 LAST\r\n")
        for _ in range(99):
            self.assertEqual(pair.say(b"x" * 100_000), b"")
        self.assertLess(sum(len(value) for value in vars(pair.protocol).values() if isinstance(value, bytes)), 100)
        self.assertEqual(pair.codes(b"x" * 100_000 + b"NOOP\r\n"), [250, 250])

    def test_ending(self):
        """
        A transaction of chunks may be completed when the sink stops.
        """
        pair = Pair()
        pair.say(ENVELOPE + b"BDAT 3\r\nx")
        pair.factory.endSoon()
        self.assertEqual(pair.codes(b"xx"), [250])
        self.assertEqual(pair.codes(b"BDAT 3 LAST\r\nxxx"), [250, 421])
        self.assertTrue(pair.transport.disconnecting)

    def test_messageLimit(self):
        """
        A group after the last message is refused as its commands would be.
        """
        pair = Pair(messageLimit=1)
        self.assertEqual(pair.codes((ENVELOPE + b"BDAT 1 LAST\r\nx") * 2), [250] * 3 + [421])

    @settings(deadline=None, max_examples=200)
    @given(
        st.lists(
            st.tuples(st.integers(1, 3), st.lists(st.integers(0, 40), max_size=3), st.booleans(), st.booleans()),
            max_size=5,
        ),
        st.lists(st.integers(1, 60), max_size=20),
        st.booleans(),
    )
    def test_anySplit(self, messages, cuts, lmtp):
        """
        However a stream of messages is cut, the replies and the counts are the same.
        """
        stream = b""
        accepted = recipients = 0
        for number, sizes, isRefused, ends in messages:
            stream += b"MAIL FROM:<a> BODY=8BITMIME SIZE=1\r\n"
            stream += (b"RCPT TO:b\r\n" if isRefused else b"RCPT TO:<b>\r\n") * number
            for size in sizes:
                stream += b"BDAT %d\r\n" % size + b"RSET\r\n" * (size // 6) + b"." * (size % 6)
            stream += b"BDAT 6 LAST\r\nQUIT\r\n" if ends else b"RSET\r\n"
            if ends and not isRefused:
                accepted += 1
                recipients += number
        chunks, rest = [], stream
        for cut in cuts:
            chunks.append(rest[:cut])
            rest = rest[cut:]
        chunks = [chunk for chunk in [*chunks, rest] if chunk]
        expected = outcome({"lmtp": lmtp}, [stream] if stream else [])
        self.assertEqual(expected[1:4], (accepted, recipients, 0))
        self.assertEqual(outcome({"lmtp": lmtp}, chunks), expected)
        self.assertEqual(outcome({"lmtp": lmtp}, [stream[i : i + 1] for i in range(len(stream))]), expected)


class ParameterTests(SynchronousTestCase):
    """
    Parameters of MAIL and RCPT.
    """

    def reply(self, command, **plan):
        """
        @return: the code and the enhanced code that answers it, in a transaction for RCPT.
        """
        pair = Pair(**plan)
        if command.startswith(b"RCPT"):
            pair.say(b"MAIL FROM:<>\r\n")
        return pair.say(command + b"\r\n")[:9].decode()

    def test_mail(self):
        """
        What is right, and what is not, of each parameter of MAIL; and what is refused where it isn't offered.
        """
        for field, right, wrong in (
            ("", ["SIZE=0", "size=12345678901234567890"], ["SIZE", "SIZE=x", "SIZE=-1", "SIZE=" + "1" * 21]),
            ("eightBitMIME", ["BODY=7BIT", "BODY=8bitmime"], ["BODY", "BODY=BINARYMIME", "BODY=x"]),
            ("smtpUTF8", ["SMTPUTF8", "smtputf8"], ["SMTPUTF8=1"]),
            ("auth", ["AUTH=<>", "AUTH=e+3Dmc2@example.com"], ["AUTH", "AUTH=a+xx"]),
            ("dsn", ["RET=FULL", "RET=hdrs"], ["RET", "RET=SOME"]),
            ("dsn", ["ENVID=QQ314159", "ENVID=a+2Bb"], ["ENVID", "ENVID=a+2b", "ENVID=" + "x" * 101]),
            ("mtPriority", ["MT-PRIORITY=0", "MT-PRIORITY=-9", "MT-PRIORITY=9"], ["MT-PRIORITY=10", "MT-PRIORITY=+1"]),
            ("deliverBy", ["BY=120;R", "BY=-5;N", "BY=0;NT", "BY=+9;rt"], ["BY=0;R", "BY=-1;RT", "BY=1", "BY=1;X"]),
        ):
            for text in right:
                self.assertEqual(self.reply(b"MAIL FROM:<a> " + text.encode()), "250 2.1.0", text)
                if field:
                    refused = self.reply(b"MAIL FROM:<a> " + text.encode(), **{field: False})
                    self.assertEqual(refused, "555 5.5.4", text)
            for text in wrong:
                self.assertEqual(self.reply(b"MAIL FROM:<a> " + text.encode()), "501 5.5.4", text)

    def test_rcpt(self):
        """
        The same for RCPT.
        """
        for right in (
            "NOTIFY=NEVER",
            "NOTIFY=SUCCESS,FAILURE,DELAY",
            "notify=delay",
            "ORCPT=rfc822;a+2Bb@example.com",
            "ORCPT=utf-8;\u00e4@example.com NOTIFY=FAILURE",
        ):
            self.assertEqual(self.reply(b"RCPT TO:<b> " + right.encode()), "250 2.1.5", right)
            self.assertEqual(self.reply(b"RCPT TO:<b> " + right.encode(), dsn=False), "555 5.5.4", right)
        for wrong in ("NOTIFY", "NOTIFY=NEVER,DELAY", "NOTIFY=x", "ORCPT=x", "ORCPT=;x", "ORCPT=rfc822;"):
            self.assertEqual(self.reply(b"RCPT TO:<b> " + wrong.encode()), "501 5.5.4", wrong)

    def test_others(self):
        """
        Parameters that nobody knows, of the other command, given twice, or that are none.
        """
        for text, expected in {
            "FOO": "555 5.5.4",
            "FOO=1 SIZE=1": "555 5.5.4",
            "NOTIFY=NEVER": "555 5.5.4",
            "SIZE=1 size=2": "501 5.5.4",
            "=1": "501 5.5.4",
            "SIZE=": "501 5.5.4",
            "S_IZE=1": "501 5.5.4",
            "  SIZE=1   BODY=7BIT  ": "250 2.1.0",
            "": "250 2.1.0",
        }.items():
            self.assertEqual(self.reply(b"MAIL FROM:<a> " + text.encode()), expected, text)
        self.assertEqual(self.reply(b"RCPT TO:<a> SIZE=1"), "555 5.5.4")
        self.assertEqual(self.reply(b"MAIL FROM:<a>SIZE=1"), "501 5.5.4")
        # SMTPUTF8 goes with 8BITMIME.
        self.assertEqual(self.reply(b"MAIL FROM:<a> SMTPUTF8", eightBitMIME=False), "555 5.5.4")

    def test_quoted(self):
        """
        A bracket between quotes does not end the path.
        """
        self.assertEqual(self.reply(rb'MAIL FROM:<"a> \"b"@example.com> SIZE=1'), "250 2.1.0")
        self.assertEqual(self.reply(rb'MAIL FROM:<"a>b'), "501 5.5.4")

    def test_counts(self):
        """
        Parameters of accepted commands are counted, in groups and by themselves.
        """
        pair = Pair()
        pair.say(b"MAIL FROM:<> SIZE=1 BODY=7BIT\r\nRCPT TO:<b> NOTIFY=NEVER\r\nRCPT TO:<b> NOTIFY=DELAY\r\nRSET\r\n")
        pair.say(b"MAIL FROM:<> SIZE=1 FOO=1\r\n")
        for number in range(600):
            pair.say(b"MAIL FROM:<> SIZE=%d\r\nRCPT TO:<b>\r\nBDAT 1 LAST\r\nx" % number)
        self.assertEqual(extensions(pair), {"bdat": 600, "parameters": {"BODY": 1, "NOTIFY": 2, "SIZE": 601}})
        self.assertEqual(pair.counts.errors, {"parameter": (1, "MAIL FROM:<> SIZE=1 FOO=1")})

    def test_nested(self):
        """
        Parameters of a MAIL that is out of sequence don't count.
        """
        pair = Pair()
        pair.say(b"MAIL FROM:<>\r\nMAIL FROM:<> SIZE=1\r\nRCPT TO:<b>\r\nBDAT 1 LAST\r\nx")
        self.assertEqual(extensions(pair), {"bdat": 1})

    @settings(deadline=None, max_examples=200)
    @given(st.text('SIZEBODYRETNOTIFYBYMTPRIORITYORCPT=-;,+ 019<>"\\\u00e4\x01', max_size=60), st.booleans())
    def test_fuzz(self, text, isMAIL):
        """
        Whatever comes as a parameter has a reply.
        """
        command = (b"MAIL FROM:<a> " if isMAIL else b"RCPT TO:<a> ") + text.encode()
        self.assertIn(self.reply(command)[:3], ("250", "501", "555"))


class XClientTests(SynchronousTestCase):
    """
    XCLIENT.
    """

    COMMAND = (
        b"XCLIENT NAME=spike.example.org ADDR=168.100.189.2 PORT=1234 PROTO=ESMTP HELO=spike LOGIN=[UNAVAILABLE]\r\n"
    )

    def test_accepted(self):
        """
        The reply is a banner, and the session begins anew.
        """
        pair = Pair()
        pair.say(b"EHLO x\r\n")
        self.assertEqual(pair.say(self.COMMAND), b"220 smtp-sink ESMTP\r\n")
        self.assertEqual(pair.codes(b"MAIL FROM:<>\r\nFOO\r\nNOOP\r\n"), [503, 503, 250])
        self.assertEqual(pair.codes(b"XCLIENT DESTADDR=IPv6:2001:db8::1 DESTPORT=25 NAME=a+2Bb\r\n"), [220])
        self.assertEqual(pair.codes(b"HELO x\r\nMAIL FROM:<>\r\n"), [250, 250])
        self.assertEqual(
            extensions(pair),
            {"xclient": 2, "xclientAttributes": {"DESTADDR": "IPv6:2001:db8::1", "DESTPORT": "25", "NAME": "a+b"}},
        )

    def test_refused(self):
        """
        Not in a transaction, not badly written.
        """
        pair = Pair()
        pair.say(b"MAIL FROM:<>\r\n")
        self.assertEqual(pair.codes(self.COMMAND), [503])
        pair.say(b"RSET\r\n")
        for text in (
            b"",
            b" NAME",
            b" NAME=",
            b" FOO=x",
            b" ADDR=x",
            b" ADDR=1.2.3",
            b" ADDR=2001:db8::1",
            b" PORT=x",
            b" PORT=65536",
            b" PROTO=HTTP",
            b" NAME=a+xx",
            b" NAME=a=b",
        ):
            self.assertEqual(pair.codes(b"XCLIENT" + text + b"\r\n"), [501], text)
        self.assertEqual(extensions(pair), {})

    @given(st.binary(max_size=60))
    def test_fuzz(self, text):
        """
        Whatever comes as an attribute has a reply.
        """
        self.assertIn(type(attributes(b"XCLIENT " + text)), (dict, type(None)))


def version2(source, destination, command=0x21, family=0x11, more=b""):
    """
    @return: a header of version 2.
    """
    addresses = source + destination + struct.pack("!HH", 1, 2) if source else b""
    return proxy.SIGNATURE + struct.pack("!BBH", command, family, len(addresses + more)) + addresses + more


FOUR = ipaddress.ip_address("192.0.2.1").packed
SIX = ipaddress.ip_address("2001:db8::1").packed

HEADERS = {
    b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n": FOUR,
    b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 25\r\n": SIX,
    b"PROXY UNKNOWN\r\n": b"",
    b"PROXY UNKNOWN ffff:f::f x y z\r\n": b"",
    version2(FOUR, FOUR): FOUR,
    version2(SIX, SIX, family=0x21, more=b"\x04\x00\x01x"): SIX,
    version2(b"", b"", command=0x20, family=0): b"",
    version2(b"", b"", family=0, more=b"\x04\x00\x01x"): b"",
    proxy.SIGNATURE + b"\x21\x31" + struct.pack("!H", 216) + b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0"): b"/a",
}

NO_HEADERS = (
    b"EHLO x\r\n",
    b"PROXY\r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP5 192.0.2.1 192.0.2.2 56324 25\r\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 56324 25\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 x 25\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2 1 25\r\n",
    b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    b"PROXY UNKNOWN " + b"x" * 100,
    version2(FOUR, FOUR, command=0x11),
    version2(FOUR, FOUR, command=0x22),
    version2(FOUR, FOUR, family=0x41),
    version2(FOUR, FOUR, family=0x13),
    version2(FOUR, FOUR, family=0x21),
    b"\r\n\r\n\0\r\nQUIT\r",
)


class ProxyTests(SynchronousTestCase):
    """
    The PROXY protocol.
    """

    def pair(self, **plan):
        """
        @return: a session that waits for a header.
        """
        pair = Pair(proxyProtocol=True, **plan)
        self.assertEqual(pair.transport.value(), b"")
        return pair

    def test_headers(self):
        """
        All kinds of headers, whole, with commands after them, and byte by byte.
        """
        for header, source in HEADERS.items():
            self.assertEqual(proxy.parse(header), (source, len(header)))
            for end in range(len(header)):
                self.assertIs(proxy.parse(header[:end]), None, header[:end])
            self.assertEqual(self.pair().codes(header), [220])
            pair = self.pair()
            self.assertEqual(pair.codes(header + b"NOOP\r\nNOOP\r\n"), [220, 250, 250])
            self.assertEqual(pair.codes(b"NOOP\r\n"), [250])
            self.assertEqual(pair.counts.bytesReceived, len(header) + 18)
            pair = self.pair()
            for i in range(len(header)):
                pair.protocol.dataReceived(header[i : i + 1])
            self.assertEqual(pair.transport.value()[:3], b"220")
            used = {"proxy": 1, "proxySources": 1} if source else {"proxy": 1}
            self.assertEqual(extensions(pair), used)
            self.assertEqual(pair.counts.errors, {})

    def test_noHeaders(self):
        """
        What is none is counted, and the connection closed without a word.
        """
        for data in NO_HEADERS:
            self.assertRaises(ValueError, proxy.parse, data)
            pair = self.pair()
            self.assertEqual(pair.say(data), b"")
            self.assertTrue(pair.transport.disconnecting)
            self.assertEqual(pair.say(b"NOOP\r\n"), b"")
            self.assertEqual(pair.counts.errors["proxy"][0], 1)
            pair.protocol.connectionLost()
            self.assertEqual(pair.counts.errors["proxy"][0], 1)

    def test_sources(self):
        """
        Different addresses are counted, whatever the port.
        """
        pair = self.pair()
        for number in (1, 2, 3, 2, 1):
            pair.connect()
            pair.say(b"PROXY TCP4 192.0.2.%d 192.0.2.9 %d 25\r\n" % (number, pair.counts.sessions))
        self.assertEqual(extensions(pair), {"proxy": 5, "proxySources": 3})

    def test_silent(self):
        """
        A client that says nothing is dropped after the usual time, or counted when it hangs up.
        """
        pair = self.pair(idleTimeout=10.0)
        for _ in range(12):
            pair.factory.sweep()
            pair.clock.advance(1)
        self.assertTrue(pair.transport.aborted)
        self.assertEqual(pair.transport.value(), b"")
        self.assertEqual(list(pair.counts.errors), ["timeout"])
        pair = self.pair()
        pair.protocol.connectionLost()
        self.assertEqual(list(pair.counts.errors), ["proxy"])

    def test_stopping(self):
        """
        Nor is anything said to it when the sink stops.
        """
        pair = self.pair()
        pair.factory.endSoon()
        self.assertEqual(pair.transport.value(), b"")
        self.assertTrue(pair.transport.aborted)

    def test_resumed(self):
        """
        A connection that has waited for its place sends its header then.
        """
        pair = self.pair(maxSessions=1)
        first = pair.protocol
        pair.connect()
        first.connectionLost()
        self.assertEqual(pair.codes(b"PROXY UNKNOWN\r\n"), [220])

    @settings(deadline=None, max_examples=300)
    @given(
        st.one_of(
            st.binary(max_size=40),
            st.binary(max_size=40).map(lambda data: proxy.SIGNATURE + data),
            st.text("0123456789.: \r\n", max_size=40).map(lambda text: b"PROXY TCP4 " + text.encode()),
            st.sampled_from([*HEADERS, *NO_HEADERS]),
        ),
        st.lists(st.integers(1, 30), max_size=5),
    )
    def test_fuzz(self, data, cuts):
        """
        However garbage comes, nothing raises, and the end is the same.
        """
        whole = self.pair()
        whole.protocol.dataReceived(data)
        cut = self.pair()
        for size in [*cuts, len(data)]:
            if data:
                cut.protocol.dataReceived(data[:size])
            data = data[size:]
        self.assertEqual(cut.transport.value()[:4], whole.transport.value()[:4])
        self.assertEqual(cut.counts.errors.keys(), whole.counts.errors.keys())

    def test_packed(self):
        """
        Both versions mean the same address.
        """
        self.assertEqual(proxy.parse(version2(socket.inet_aton("192.0.2.1"), FOUR))[0], FOUR)
