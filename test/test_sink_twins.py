"""
The compiled twins of the sink do what its pure Python does: the same bytes, cut anywhere, to both.
"""

from __future__ import annotations

import gc
import os
import socket
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from properties import given, settings
from sinkledgers import RUN, Read, group, message, stuffed
from sinktwins import COMPILED, PURE, Accepting, InMemory, OverSocket
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.ledger import records
from smtpsource.ledger.identity import idOf

BODY = b"Subject: x\r\n\r\nOne line.\r\n"
GROUP = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"

_USUAL = st.sampled_from(
    [
        GROUP + b"DATA\r\n" + BODY + b".\r\n",
        GROUP + b"DATA\r\n.\r\n",
        GROUP + b"DATA\r\n" + BODY,
        BODY + b".\r\n" + GROUP + b"DATA\r\n",
        BODY + b".\r\n",
        b".\r\n",
        GROUP + b"BDAT 5 LAST\r\n12345",
        GROUP + b"BDAT 5 LAST\r\n",
        GROUP + b"BDAT 3\r\n",
        GROUP + b"BDAT 3\r\nabc",
        b"BDAT 3\r\n",
        b"BDAT 3 LAST\r\nabc",
        b"abc",
        b"MAIL FROM:<> SIZE=5\r\nRCPT TO:<b>\r\nDATA\r\nx\r\n.\r\n",
        b"MAIL FROM:<a>\r\n",
        b"RCPT TO:<b>\r\n",
        b"DATA\r\n",
        b"RSET\r\n",
        b"12345",
    ]
)
_PIECES = st.one_of(
    _USUAL,
    _USUAL,
    _USUAL,
    st.sampled_from(
        [
            GROUP + b"DATA\r\n",
            GROUP + b"DATA\r\n" + BODY + b".\r\n",
            BODY + b".\r\n" + GROUP + b"DATA\r\n",
            GROUP + b"RCPT TO:<c>\r\nBDAT 5 LAST\r\n12345",
            3 * (GROUP + b"BDAT 5 LAST\r\n12345"),
            GROUP + b"BDAT 7 LAST\r\n",
            GROUP + b"BDAT 0 LAST\r\n" + GROUP,
            GROUP + b"BDAT 000000000000000001 LAST\r\nx",
            GROUP + b"BDAT 999999999999999999 LAST\r\n",
            b"MAIL FROM:<> SIZE=5 BODY=8BITMIME\r\nRCPT TO:<b>\r\nDATA\r\n.\r\n",
            b"MAIL FROM:<> SIZE=x\r\nRCPT TO:<b>\r\nDATA\r\n",
            b"MAIL FROM:<> \r\nRCPT TO:<b>\r\nDATA\r\n",
            b'MAIL FROM:<"a>b"@x>\r\nRCPT TO:<b>\r\nDATA\r\n',
            b"MAIL FROM:<" + 500 * b"a" + b">\r\nRCPT TO:<b>\r\nDATA\r\n",
            b"MAIL FROM:<" + 501 * b"a" + b">\r\nRCPT TO:<b>\r\nDATA\r\n",
            b"MAIL FROM:<>\r\n" + 300 * b"RCPT TO:<b>\r\n" + b"DATA\r\n",
            b"MAIL FROM:<>\r\n" + 300 * b"RCPT TO:<b>\r\n" + b"BDAT 1 LAST\r\nx",
            60 * (b"MAIL FROM:<>\r\nRCPT TO:<>\r\nBDAT 1 LAST\r\nx"),
            b"MAIL FROM:<a@example.com>\r\n",
            b"MAIL FROM: <a@example.com>\r\n",
            b"MAIL FROM:<a\n>\r\n",
            b"MAIL FROM:<a\r>\r\n",
            b"MAIL FROM:<a>>\r\n",
            b"MAIL FROM:a>\r\n",
            b"MAIL FROM:<\r\n",
            b"MAIL FROM:\r\n",
            b"MAIL \r\n",
            b"Mail From:<a>\r\n",
            b"MAIL FROM:<" + 1500 * b"a" + b">\r\n",
            b"RCPT TO:<b@example.com>\r\n",
            b"RCPT TO: <b>\r\n",
            b"RCPT TO:<b> NOTIFY=NEVER\r\n",
            b"RCPT TO:\r\n",
            b"RCPT TO:<\r\n",
            b"DATA\r\n",
            b"DATA \r\n",
            b"data\r\n",
            b"RSET\r\n",
            b"HELO x\r\n",
            b"HELO\r\n",
            b"EHLO x\r\n",
            b"LHLO x\r\n",
            b"QUIT\r\n",
            b"QUIT \r\n",
            b"BDAT 3\r\nabc",
            b"BDAT 3 LAST\r\nabc",
            b"BDAT 9999999999999999999\r\n",
            b"BDAT x\r\n",
            b"STARTTLS x\r\n",
            b"AUTH LOGIN\r\n",
            b"AGEAYg==\r\n",
            b"XCLIENT NAME=a\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 3 4\r\n",
            b"PROXY UNKNOWN\r\n" + GROUP,
            b"\r\n.\r\n",
            b".\r\n",
            b"..\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b".",
            b"x",
            BODY,
            3000 * b"x",
            200 * b"..\r\n",
            b"\r\n." + 20 * b"x",
        ]
    ),
    st.binary(max_size=12),
)
_IDENTIFIED = st.builds(
    lambda number, head, body, isChunk, recipients: group(message(number, body, head), *recipients)
    if isChunk
    else b"MAIL FROM:<%b>\r\n" % recipients[0]
    + b"".join(b"RCPT TO:<%b>\r\n" % one for one in recipients)
    + b"DATA\r\n"
    + stuffed(message(number, body, head)),
    st.integers(1, 10**18 - 1),
    st.sampled_from([b"", b"Subject: x\r\n", b"C: x\r\n", b"Content-Type: text/plain\r\n", b"x-smtpsource-id: y\r\n",
                     b"Content-Transfer-Encoding: base64\r\n", b"a\nCONTENT-type: multipart/x\r\n"]),
    st.sampled_from([b"", BODY, b"..\r\n", b"\r\n.\r\nx\r\n", b"YQ==\r\n", b"\r\n", b"x", b"\r\n\r\n"]),
    st.booleans(),
    st.lists(st.sampled_from([b"", b"b@x", b"b@X", b"c@x"]), min_size=1, max_size=4),
)  # fmt: skip
_NEARLY = st.builds(
    lambda value, fold: GROUP + b"DATA\r\nX-SmtpSource-ID:" + fold + value + b"\r\n\r\nx\r\n.\r\n",
    st.sampled_from([idOf(RUN, 1), idOf(RUN, 1)[:-1], b"x" + idOf(RUN, 1), idOf(RUN, 1) + b" x", idOf(RUN, 10**19 - 1),
                     idOf(RUN, 0), idOf(RUN.upper(), 1), b"", idOf(RUN, 1).replace(b"-", b"_"), idOf(RUN, 1) + b"\r"]),
    st.sampled_from([b"", b" ", b"\t \t", b"\r\n ", b"\r\n\r\n"]),
)  # fmt: skip
_LEDGERED = st.tuples(
    st.lists(
        st.one_of(_IDENTIFIED, _IDENTIFIED, _NEARLY, _PIECES, st.just(b"RCPT TO:<n> ORCPT=rfc822;o\r\n")), max_size=15
    ),
    st.lists(st.integers(1, 400), max_size=15),
)
_SAID = st.tuples(st.lists(_PIECES, min_size=1, max_size=25), st.lists(st.integers(1, 150), max_size=25))
_CALLED = st.sampled_from(["endSoon", "refuseMore", "idledOut", "pauseProducing", "resumeProducing", "sweep"])
_PLANS = st.fixed_dictionaries(
    {},
    optional={
        "lmtp": st.booleans(),
        "esmtp": st.booleans(),
        "chunking": st.booleans(),
        "messageLimit": st.integers(1, 6),
        "proxyProtocol": st.booleans(),
        "dsn": st.booleans(),
        "auth": st.booleans(),
    },
)


def withoutTimes(read):
    """
    @return: what can be compared of a ledger.
    """
    told = {one["address"] for one in read.records}
    # A recipient whose message has not come is named along with what is written next, which may be nothing any more.
    texts = {key: text for key, text in read.texts.items() if key[0] != records.ADDRESS or key[1] in told}
    return [{name: value for name, value in one.items() if name != "time"} for one in read.records], texts


def _cut(pieces, lengths):
    """
    @return: all of it, in pieces of these lengths; what is left in those that there were.
    """
    text = b"".join(pieces)
    steps = []
    for length in lengths:
        steps.append(text[:length])
        text = text[length:]
    return [step for step in [*steps, text] if step]


class SameTests(SynchronousTestCase):
    """
    What can be seen of a session is the same.
    """

    @settings(deadline=None, max_examples=3000)
    @given(_PLANS, _SAID, st.lists(st.tuples(st.integers(0, 20), _CALLED), max_size=1), st.booleans())
    def test_inMemory(self, plan, said, called, isWhole):
        """
        Of one that is given its bytes: each write, what it knows then, and all that is counted.
        """
        pieces, lengths = said
        steps = list(pieces) if isWhole else _cut(pieces, lengths)
        for place, name in called:
            steps.insert(place, name)
        pairs = [InMemory(kind, plan) for kind in (COMPILED, PURE)]
        for step in steps:
            one, other = (pair.does(step) for pair in pairs)
            self.assertEqual(one, other, step)

    @settings(deadline=None, max_examples=300)
    @given(_PLANS, _SAID, st.lists(st.tuples(st.integers(0, 20), _CALLED), max_size=1), st.booleans())
    def test_overSocket(self, plan, said, called, isWhole):
        """
        Of one that is read from a socket, in a turn of the reactor for each piece.
        """
        pieces, lengths = said
        steps = list(pieces) if isWhole else _cut(pieces, lengths)
        for place, name in called:
            steps.insert(place, name)
        pairs = [OverSocket(kind, plan, self) for kind in (COMPILED, PURE)]
        for step in steps:
            one, other = (pair.does(step) for pair in pairs)
            self.assertEqual(one, other, step)

    @settings(deadline=None, max_examples=1500)
    @given(_PLANS, _LEDGERED, st.booleans(), st.booleans())
    def test_ledger(self, plan, said, isWhole, isSocket):
        """
        Of one that keeps a ledger: what is in that as well, but for the times.
        """
        pieces, lengths = said
        steps = list(pieces) if isWhole else _cut(pieces, lengths)
        with TemporaryDirectory() as directory:
            places = [os.path.join(directory, name) for name in ("compiled", "pure")]
            pairs = [
                OverSocket(kind, {**plan, "ledger": place}, self)
                if isSocket
                else InMemory(kind, {**plan, "ledger": place})
                for kind, place in zip((COMPILED, PURE), places, strict=True)
            ]
            for step in steps:
                one, other = (pair.does(step) for pair in pairs)
                self.assertEqual(one, other, step)
            for pair in pairs:
                if not isSocket:
                    pair.protocol.connectionLost(Failure(ConnectionLost()))
            one, other = (withoutTimes(Read(place)) for place in places)
            self.assertEqual(one, other)

    def test_different(self):
        """
        They are two, where there are twins.
        """
        self.assertEqual(PURE.name, "pure Python")
        self.assertIsNot(COMPILED.protocol, PURE.protocol)


class _Kept(Protocol):
    """
    Keeps why it is over.
    """

    reason = None

    def connectionLost(self, reason):
        self.reason = reason.value


class _Factory(ServerFactory):
    """
    Keeps the protocols that it has made.
    """

    protocol = _Kept

    def __init__(self):
        self.made = []


class _OwnFactory(_Factory):
    """
    Looks at the address.
    """

    address = None
    refuses = fails = False

    def buildProtocol(self, address):
        self.address = address
        if self.fails:
            raise ValueError("a bug in a factory")
        return None if self.refuses else ServerFactory.buildProtocol(self, address)


class AcceptedTests(SynchronousTestCase):
    """
    What can be asked of an accepted connection.
    """

    def accepted(self, kind, factory=None):
        """
        @return: the pair, and the transport that is there now.
        """
        pair = Accepting(kind, factory or _Factory(), self)
        made = [one for one in pair.reactor.getReaders() if isinstance(one, kind.server)]
        return pair, made[0] if made else None

    def test_asked(self):
        """
        Addresses, names, and the socket, which is a real one and the same each time.
        """
        for kind in (COMPILED, PURE):
            pair, transport = self.accepted(kind)
            peer = IPv4Address("TCP", *pair.client.getsockname())
            self.assertEqual(transport.getPeer(), peer)
            self.assertEqual(transport.getHost(), pair.port.getHost())
            self.assertEqual(transport.hostname, "127.0.0.1")
            self.assertEqual(transport.logstr, "_Kept,0,127.0.0.1")
            self.assertEqual(repr(transport), f"<_Kept #0 on {pair.port.getHost().port}>")
            number = transport.fileno()
            handle = transport.getHandle()
            self.assertIs(type(handle), socket.socket)
            self.assertIs(transport.socket, handle)
            self.assertEqual(handle.fileno(), number)
            self.assertEqual(handle.getpeername(), pair.client.getsockname())
            self.assertEqual((handle.gettimeout(), handle.get_inheritable()), (0.0, False))
            transport.write(b"x")
            self.assertEqual(pair.client.recv(9), b"x")
            transport.loseConnection()
            pair.turn()
            self.assertEqual((transport.fileno(), handle.fileno()), (-1, -1))
            self.assertFalse(hasattr(transport, "socket"))
            self.assertEqual(pair.client.recv(9), b"")

    def test_neverAsked(self):
        """
        A descriptor that nobody has asked for is closed with its connection: in order, or by a reset.
        """
        for kind in (COMPILED, PURE):
            for end in ("loseConnection", "abortConnection"):
                pair, transport = self.accepted(kind)
                protocol, number = transport.protocol, transport.fileno()
                getattr(transport, end)()
                pair.turn()
                self.assertRaises(OSError, os.fstat, number)
                expected = "ConnectionDone" if end == "loseConnection" else "ConnectionAborted"
                self.assertEqual(type(protocol.reason).__name__, expected)
                self.assertEqual((transport.connected, transport.disconnected), (0, 1))
                self.assertIsNotNone(transport.lostProtocol())
                self.assertRaises(AttributeError, lambda gone=transport: gone.protocol)
                if end == "loseConnection":
                    self.assertEqual(pair.client.recv(9), b"")
                else:
                    self.assertRaises(ConnectionResetError, pair.client.recv, 9)

    def test_ownFactory(self):
        """
        A factory that makes protocols itself is given the address; one that wants none, or fails, gets the connection
        closed.
        """
        for kind in (COMPILED, PURE):
            factory = _OwnFactory()
            pair, transport = self.accepted(kind, factory)
            self.assertEqual(factory.address, IPv4Address("TCP", *pair.client.getsockname()))
            self.assertIs(transport.protocol.factory, factory)
            for name in ("refuses", "fails"):
                factory = _OwnFactory()
                setattr(factory, name, True)
                pair, transport = self.accepted(kind, factory)
                self.assertIsNone(transport)
                # What is logged may have it.
                self.assertEqual(len(self.flushLoggedErrors(ValueError)), int(name == "fails"))
                gc.collect()
                self.assertEqual(pair.client.recv(9), b"")
