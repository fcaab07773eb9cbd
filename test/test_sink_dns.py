"""
Tests for the name server of a world, and for mail that finds its way by it.
"""

from __future__ import annotations

import socket

from hypothesis import strategies as st
from patience import PATIENCE, TEST_LIMIT
from properties import given
from twisted.internet import defer, reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.names import dns, error
from twisted.names.client import Resolver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.process.listening import ListenError
from smtpsource.sink.dns import server
from smtpsource.sink.dns.server import NameServer, listenDNS
from smtpsource.sink.dns.worldfile import parseWorld

#: A world with something of each kind.
WORLD = (
    b"""
[[domain]]
name = "gmail.test"
mx = ["10 mx1.gmail.test", "20 mx2.gmail.test"]
[[domain]]
name = "no.test"
answer = "nxdomain"
[[domain]]
name = "fail.test"
answer = "servfail"
[[domain]]
name = "refused.test"
answer = "refused"
[[domain]]
name = "silent.test"
answer = "timeout"
[[domain]]
name = "cut.test"
answer = "truncate"
[[domain]]
name = "null.test"
answer = "null-mx"
[[domain]]
name = "lost.test"
answer = "mx-without-address"
[[domain]]
name = "late.test"
delay = "2s"
[[domain]]
name = "long.test"
txt = [\""""
    + b"x" * 1500
    + b"""\"]
"""
)


class Controller:
    """
    What a client over TCP tells of its connection.
    """

    def __init__(self):
        self.lost = defer.Deferred()

    def connectionMade(self, protocol):
        """
        There is one.
        """

    def connectionLost(self, protocol):
        """
        There is none any more.
        """
        self.lost.callback(None)


class NameServerTests(TestCase):
    """
    A client of twisted.names asks.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.server = listenDNS(reactor, "127.0.0.1", 0, parseWorld(WORLD, "world.toml"))
        self.addCleanup(self.server.close)
        self.resolver = self.client()

    def client(self, timeout=PATIENCE):
        """
        @return: one that asks our server.
        """
        return Resolver(servers=[("127.0.0.1", self.server.address.port)], timeout=(timeout,), reactor=reactor)

    @defer.inlineCallbacks
    def test_answers(self):
        """
        MX records and addresses.
        """
        answers, _, _ = yield self.resolver.lookupMailExchange("gmail.test")
        self.assertEqual(
            [(record.payload.preference, record.payload.name.name) for record in answers],
            [(10, b"mx1.gmail.test"), (20, b"mx2.gmail.test")],
        )
        answers, _, _ = yield self.resolver.lookupAddress("mx2.gmail.test")
        self.assertEqual([record.payload.dottedQuad() for record in answers], ["127.0.1.2"])
        self.assertEqual(self.server.counts, {("gmail.test", "MX", "answer"): 1, ("mx2.gmail.test", "A", "answer"): 1})

    @defer.inlineCallbacks
    def test_failures(self):
        """
        Each failure is what a client takes it for, and is counted.
        """
        for name, expected, counted in (
            ("no.test", error.DNSNameError, "nxdomain"),
            ("fail.test", error.DNSServerError, "servfail"),
            ("refused.test", error.DNSQueryRefusedError, "refused"),
        ):
            yield self.assertFailure(self.resolver.lookupMailExchange(name), expected)
            self.assertEqual(self.server.counts[name, "MX", counted], 1)
        answers, authority, _ = yield self.resolver.lookupAddress("mx.lost.test")
        self.assertEqual((answers, [record.type for record in authority]), ([], [dns.SOA]))
        self.assertEqual(self.server.counts["mx.lost.test", "A", "no-data"], 1)
        [null], _, _ = yield self.resolver.lookupMailExchange("null.test")
        self.assertEqual((null.payload.preference, null.payload.name.name), (0, b""))

    @defer.inlineCallbacks
    def test_silence(self):
        """
        Where there is no answer, others are answered all the same.
        """
        silent = self.client(timeout=0.1).lookupMailExchange("silent.test")
        yield self.resolver.lookupMailExchange("gmail.test")
        yield self.assertFailure(silent, defer.TimeoutError)
        self.assertEqual(self.server.counts["silent.test", "MX", "timeout"], 1)

    @defer.inlineCallbacks
    def overTCP(self, name, type):
        """
        Ask over UDP, which is to be told to ask over TCP, and then so.

        @return: the records.
        """
        message = yield self.resolver.queryUDP([dns.Query(name, type)], (PATIENCE,))
        self.assertEqual((message.trunc, message.answers), (1, []))
        controller = Controller()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.server.address.port)
        protocol = yield connectProtocol(endpoint, dns.DNSProtocol(controller, reactor))
        message = yield protocol.query([dns.Query(name, type)], PATIENCE)
        self.assertEqual(message.trunc, 0)
        protocol.transport.loseConnection()
        yield controller.lost
        return message.answers

    @defer.inlineCallbacks
    def test_TCP(self):
        """
        What is truncated on purpose, or too long for a datagram, comes over TCP as a whole.
        """
        answers = yield self.overTCP("cut.test", dns.MX)
        self.assertEqual([record.type for record in answers], [dns.MX])
        answers = yield self.overTCP("long.test", dns.TXT)
        self.assertEqual(b"".join(answers[0].payload.data), b"x" * 1500)
        self.assertEqual(self.server.counts["cut.test", "MX", "truncated"], 1)

    def test_inUse(self):
        """
        A port that somebody has is told of; a free one is free for UDP as well.
        """
        port = self.server.address.port
        e = self.assertRaises(ListenError, listenDNS, reactor, "127.0.0.1", port, parseWorld(b"", "world.toml"))
        self.assertEqual(str(e), f"can't listen on dns:127.0.0.1:{port}: Address already in use")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            self.assertRaises(OSError, taken.bind, ("127.0.0.1", port))


def query(name="gmail.test", type=dns.MX, room=None, **fields):
    """
    @param room: the octets of an answer that the client says it takes.
    @return: a question, as bytes.
    """
    message = dns.Message(7, recDes=1, **fields)
    message.addQuery(name, type)
    if room is not None:
        message.additional = [dns.RRHeader(b"", dns.OPT, room, 0, dns.UnknownRecord(b""))]
    return message.toStr()


class QuestionTests(SynchronousTestCase):
    """
    What L{NameServer} makes of what comes, with a clock of its own.
    """

    def setUp(self):
        self.clock = Clock()
        self.server = NameServer(self.clock, parseWorld(WORLD, "world.toml"))

    def ask(self, data, overTCP=False):
        """
        @return: the answer, or C{None} if there is none by now.
        """
        self.sent = []
        self.server.take(data, self.sent.append, overTCP)
        return self.answer()

    def answer(self):
        """
        @return: what was answered by now.
        """
        if not self.sent:
            return None
        [sent] = self.sent
        message = dns.Message()
        message.fromStr(sent)
        self.assertEqual((message.id, message.answer), (7, 1))
        return message

    def test_header(self):
        """
        An answer of who knows, for who may ask for others as well; the question is in it.
        """
        answer = self.ask(query("GMAIL.test"))
        self.assertEqual((answer.auth, answer.recAv, answer.recDes, answer.rCode), (1, 1, 1, dns.OK))
        self.assertEqual(answer.queries[0].name.name, b"GMAIL.test")
        self.assertEqual(answer.answers[0].name.name.lower(), b"gmail.test")

    def test_EDNS(self):
        """
        A client that takes more than 512 octets gets them (RFC 6891), and an OPT record only if it has sent one.
        """
        self.assertEqual(self.ask(query("long.test", dns.TXT)).trunc, 1)
        self.assertEqual(self.ask(query("long.test", dns.TXT, room=100)).trunc, 1)
        answer = self.ask(query("long.test", dns.TXT, room=1800))
        self.assertEqual((answer.trunc, len(answer.answers)), (0, 1))
        self.assertEqual([record.type for record in answer.additional], [dns.OPT])
        self.assertEqual(self.ask(query()).additional, [])

    def test_refused(self):
        """
        What is no question about a name of the Internet.
        """
        self.assertEqual(self.ask(query(opCode=5)).rCode, dns.ENOTIMP)
        self.assertEqual(self.ask(query(type=dns.AXFR)).rCode, dns.EREFUSED)
        message = dns.Message(7)
        message.addQuery("version.bind", dns.TXT, dns.CH)
        self.assertEqual(self.ask(message.toStr()).rCode, dns.EREFUSED)
        message.queries *= 2
        self.assertEqual(self.ask(message.toStr()).rCode, dns.EFORMAT)
        self.assertEqual(self.ask(dns.Message(7).toStr()).rCode, dns.EFORMAT)
        self.assertEqual(self.ask(query()[:-3]).rCode, dns.EFORMAT)

    def test_longName(self):
        """
        A name that is longer than names may be is refused, and not remembered (RFC 1035 section 2.3.4).
        """
        for labels, code in ((30, dns.OK), (32, dns.EFORMAT), (8000, dns.EFORMAT)):
            data = query()[:12] + b"\7" + b"\7".join([b"abcdefg"] * labels) + b"\0" + b"\0\x0f\0\1"
            self.assertIn(self.ask(data, overTCP=True).rCode, (code, dns.ENAME), labels)
        self.assertLess(max(len(name) for name, *_ in self.server.asked()), 260)

    def test_ignored(self):
        """
        An answer to a question that nobody has asked, and what is none of either.
        """
        for data in (b"", b"x", query(answer=1), query()[:7], query()[:12] + b"\xc0\x0c\0\1\0\1"):
            self.assertIs(self.ask(data), None)

    @given(st.binary(max_size=60), st.booleans())
    def test_garbage(self, data, overTCP):
        """
        Whatever comes, nothing is raised.
        """
        self.server.take(data, lambda answer: None, overTCP)
        self.server.take(query()[:5] + data, lambda answer: None, overTCP)
        self.server.take(query()[:12] + data, lambda answer: None, overTCP)

    def test_late(self):
        """
        An answer that is sent when its time has come.
        """
        self.assertIs(self.ask(query("late.test")), None)
        self.clock.advance(1.9)
        self.assertIs(self.answer(), None)
        self.clock.advance(0.2)
        self.assertEqual(len(self.answer().answers), 1)

    def test_close(self):
        """
        What is late is not sent after the end; and so many wait for their time, and no more.
        """
        self.patch(server, "MOST_DELAYED", 2)
        for _ in range(3):
            self.ask(query("late.test"))
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)
        self.successResultOf(self.server.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_manyNames(self):
        """
        There is an end to what is counted by itself.
        """
        self.patch(server, "MOST_COUNTED", 2)
        for name in ("a.test", "b.test", "c.test", "d.test", "a.test"):
            self.ask(query(name))
        self.assertEqual(
            self.server.counts, {("a.test", "MX", "answer"): 2, ("b.test", "MX", "answer"): 1, server.OTHERS: 2}
        )


class ConnectionTests(SynchronousTestCase):
    """
    Connections of clients that ask over TCP.
    """

    def setUp(self):
        self.clock = Clock()
        self.server = NameServer(self.clock, parseWorld(WORLD, "world.toml"))

    def connect(self):
        """
        @return: protocol and transport.
        """
        transport = StringTransport()
        protocol = self.server.factory.buildProtocol(None)
        protocol.makeConnection(transport)
        return protocol, transport

    def framed(self, data):
        """
        @return: it with its length before it.
        """
        return len(data).to_bytes(2, "big") + data

    def test_several(self):
        """
        Several questions over one connection, in pieces.
        """
        protocol, transport = self.connect()
        for octet in self.framed(query()) + self.framed(query("no.test")):
            protocol.dataReceived(bytes([octet]))
        sent = transport.value()
        length = int.from_bytes(sent[:2], "big")
        self.assertEqual(len(sent), 4 + length + int.from_bytes(sent[2 + length : 4 + length], "big"))

    def test_idle(self):
        """
        Who says nothing for long is told nothing either.
        """
        protocol, transport = self.connect()
        self.clock.advance(server.IDLE - 1)
        protocol.dataReceived(self.framed(query()))
        self.clock.advance(server.IDLE - 1)
        self.assertFalse(transport.disconnected)
        self.clock.advance(2)
        self.assertTrue(transport.disconnected)

    def test_tooMany(self):
        """
        There is an end to connections, until another one is gone.
        """
        self.patch(server, "MOST_CONNECTIONS", 1)
        first, _ = self.connect()
        second, transport = self.connect()
        self.assertTrue(transport.disconnected)
        second.connectionLost(Failure(ConnectionDone()))
        first.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        _, transport = self.connect()
        self.assertFalse(transport.disconnected)

    def test_unread(self):
        """
        Who does not read is not read from; who is gone is not answered.
        """
        protocol, transport = self.connect()
        transport.producer.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        transport.producer.resumeProducing()
        self.assertEqual(transport.producerState, "producing")
        protocol.dataReceived(self.framed(query("late.test")))
        protocol.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(3)
        self.assertEqual(transport.value(), b"")
