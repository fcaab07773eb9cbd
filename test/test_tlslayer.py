"""
Tests for L{smtpsource.net.lean.tls}: one connection of ours, whose other end is OpenSSL in the hands of the test.
"""

from __future__ import annotations

import gc
import socket
import weakref
from types import SimpleNamespace

from twisted.internet import error
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

try:
    from certificates import makeCertificates
    from OpenSSL import SSL
    from twisted.internet.interfaces import (
        IHandshakeListener,
        IOpenSSLClientConnectionCreator,
        ISSLTransport,
    )
    from zope.interface import implementer

    from smtpsource.net.lean import tls
except ImportError:
    SSL = None  # type: ignore[assignment]

try:
    from smtpsource.net.lean.transports import EagerServer
except ImportError:
    EagerServer = None  # type: ignore[assignment, misc]

#: Bytes before each record.
HEADER = 5

ROOM = 2**20


class StubReactor:
    """
    What a transport asks of its reactor. Nothing happens by itself.

    @ivar soon: the transports to be finished.
    """

    turn = 0

    def __init__(self):
        self.soon = []

    def finishSoon(self, transport):
        self.soon.append(transport)

    def ignore(self, *arguments):
        """
        Who reads and writes when is up to the test.
        """

    watchReading = forget = addReader = removeReader = addWriter = removeWriter = ignore


if SSL is not None:

    @implementer(IHandshakeListener)
    class Recorder(Protocol):
        """
        Keeps what comes.

        @ivar received: the pieces of data.
        @ivar reason: why the connection was lost.
        @ivar secured: how often a handshake was completed.
        """

        reason = None
        secured = 0

        def __init__(self, answer=lambda self, data: None):
            self.received = []
            self.answer = answer

        def handshakeCompleted(self):
            self.secured += 1

        def dataReceived(self, data):
            self.received.append(data)
            self.answer(self, data)

        def connectionLost(self, reason):
            self.reason = reason

    @implementer(IOpenSSLClientConnectionCreator)
    class Creator:
        """
        Makes the client's end.
        """

        def __init__(self, kind):
            self.kind = kind

        def clientConnectionForTLS(self, protocol):
            return self.kind(SSL.Context(SSL.TLS_METHOD), None)


class Connected:
    """
    Our client and its server.

    @ivar protocol: our protocol.
    @ivar transport: its transport.
    @ivar server: OpenSSL's end of it.
    @ivar socket: that end's socket: each read from it is what was sent at once.
    """

    def __init__(self, case, protocol=None, version="TLS1_3_VERSION", kind=None, stream=False):
        certificates = makeCertificates(case.mktemp())
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate_chain_file(str(certificates.certificate))
        context.use_privatekey_file(str(certificates.key))
        context.set_max_proto_version(getattr(SSL, version))
        self.reactor = StubReactor()
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_SEQPACKET)
        case.addCleanup(self.socket.close)
        case.addCleanup(ours.close)
        for end in ours, self.socket:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self.socket.setblocking(False)
        self.protocol = protocol or Recorder()
        self.transport = EagerServer(ours, self.protocol, ("", 0), None, 0, self.reactor)
        self.protocol.makeConnection(self.transport)
        self.server = SSL.Connection(context, None)
        self.server.set_accept_state()
        self.transport.startTLS(Creator(kind or SSL.Connection), False)
        for _ in range(3):
            self.take()
            self.handshake()
            self.give()
        case.assertEqual(self.protocol.secured, 1)

    def packet(self):
        """
        @return: what we have sent at once; nothing if there is none.
        """
        try:
            return self.socket.recv(ROOM)
        except BlockingIOError:
            return b""

    def take(self):
        """
        The server gets all that we have sent.
        """
        while packet := self.packet():
            self.server.bio_write(packet)

    def handshake(self):
        """
        The server goes on with its handshake.
        """
        try:
            self.server.do_handshake()
        except SSL.WantReadError:
            pass

    def give(self, *texts, size=ROOM):
        """
        We get what the server has to say.

        @param texts: each of them is a record.
        @param size: how much of that we read at once.
        """
        for text in texts:
            self.server.send(text)
        self.hand(self.written(), size)

    def written(self):
        """
        @return: what the server has written, encrypted.
        """
        try:
            return self.server.bio_read(ROOM)
        except SSL.WantReadError:
            return b""

    def hand(self, data, size=ROOM):
        """
        We get some bytes.
        """
        for start in range(0, len(data), size):
            self.socket.send(data[start : start + size])
            self.read()

    def read(self):
        """
        Our transport reads, as its reactor would have it do.
        """
        why = self.transport.doRead()
        if why is not None:
            self.transport.connectionLost(Failure(why))
        # What was put off until the end of the turn.
        soon, self.reactor.soon = self.reactor.soon, []
        for transport in soon:
            transport.doSoon()

    def text(self):
        """
        @return: what the server can read of what it has got.
        """
        self.take()
        text = b""
        try:
            while True:
                text += self.server.recv(ROOM)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return text


class LayerTests(SynchronousTestCase):
    """
    Our layer, the short way.
    """

    if SSL is None or EagerServer is None:
        skip = "there is no pyOpenSSL, or no epoll"

    #: Whether pyOpenSSL has the names that the short way needs.
    known = True

    def setUp(self):
        self.assertIs(tls._known, True)
        self.patch(tls, "_known", self.known)
        tls._isPlain.cache_clear()
        self.addCleanup(tls._isPlain.cache_clear)

    def test_acknowledgeSoon(self):
        """
        After the handshake what the server says is acknowledged at once: tickets of TLS 1.3 would hold up the next
        reply.
        """
        said = []
        really = tls._TLSLayer._acknowledgeSoon
        self.patch(tls._TLSLayer, "_acknowledgeSoon", lambda layer: said.append(layer.transport._connection.socket))
        it = Connected(self)
        self.assertEqual({it.transport.socket}, set(said))
        options = []
        layer = tls._TLSLayer.__new__(tls._TLSLayer)
        ours = SimpleNamespace(setsockopt=lambda *option: options.append(option))
        layer.transport = SimpleNamespace(_connection=SimpleNamespace(socket=ours))
        really(layer)
        self.assertEqual([(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)], options)

    def test_oneRecord(self):
        """
        A small write is one record and is sent at once.
        """
        it = Connected(self)
        it.protocol.transport.write(b"MAIL FROM:<>\r\n")
        packet = it.packet()
        self.assertEqual((packet[0], int.from_bytes(packet[3:HEADER], "big")), (23, len(packet) - HEADER))
        self.assertEqual(it.packet(), b"")
        it.server.bio_write(packet)
        self.assertEqual(it.text(), b"MAIL FROM:<>\r\n")

    def test_sequence(self):
        """
        So is a sequence.
        """
        it = Connected(self)
        it.protocol.transport.writeSequence([b"MAIL ", b"FROM", b":<>\r\n"])
        it.server.bio_write(it.packet())
        self.assertEqual(it.packet(), b"")
        self.assertEqual(it.text(), b"MAIL FROM:<>\r\n")

    def test_large(self):
        """
        What is too large for one record comes whole.
        """
        it = Connected(self)
        for size in (2**14 - 1, 2**14, 2**14 + 1, 100_000):
            text = bytes(range(256)) * (size // 256) + b"." * (size % 256)
            it.protocol.transport.write(text)
            self.assertEqual(it.text(), text)

    def test_nothing(self):
        """
        Nothing is no record.
        """
        it = Connected(self)
        it.protocol.transport.write(b"")
        it.protocol.transport.writeSequence([])
        self.assertEqual(it.packet(), b"")

    def test_noBytes(self):
        """
        What is no bytes is refused, and does not hurt.
        """
        it = Connected(self)
        self.assertRaises(TypeError, it.protocol.transport.write, 7)
        it.protocol.transport.write(b"QUIT\r\n")
        self.assertEqual(it.text(), b"QUIT\r\n")

    def test_queued(self):
        """
        What the kernel does not take at once is sent later, and all of it.
        """
        it = Connected(self, stream=True)
        text = bytes(range(256)) * 40_000
        it.protocol.transport.write(text)
        it.protocol.transport.write(b"QUIT\r\n")
        came = b""
        while len(came) < len(text) + 6:
            came += it.text()
            it.transport.doWrite()
        self.assertEqual(came, text + b"QUIT\r\n")

    def test_records(self):
        """
        All records of a read are handed on, and what they are answered.
        """
        it = Connected(self, Recorder(lambda self, data: self.transport.write(data.upper())))
        it.give(b"one\r\n", b"two\r\n", b"three\r\n")
        self.assertEqual(it.protocol.received, [b"one\r\n", b"two\r\n", b"three\r\n"])
        self.assertEqual(it.text(), b"ONE\r\nTWO\r\nTHREE\r\n")

    def test_parts(self):
        """
        A record may come in pieces.
        """
        it = Connected(self)
        it.give(b"one\r\n", b"two\r\n", size=1)
        it.give(b"three\r\n", b"four\r\n", size=40)
        self.assertEqual(b"".join(it.protocol.received), b"one\r\ntwo\r\nthree\r\nfour\r\n")

    def test_largeRead(self):
        """
        So may a content that is larger than any read.
        """
        it = Connected(self, stream=True)
        text = bytes(range(256)) * 2_000
        it.give(*(text[start : start + 2**14] for start in range(0, len(text), 2**14)), size=60_000)
        self.assertEqual(b"".join(it.protocol.received), text)

    def test_end(self):
        """
        The server says something and goodbye in one.
        """
        it = Connected(self)
        it.server.send(b"221 bye\r\n")
        it.server.shutdown()
        it.give()
        self.assertEqual(it.protocol.received, [b"221 bye\r\n"])
        self.assertTrue(it.protocol.reason.check(error.ConnectionDone))

    def test_unsaid(self):
        """
        The server goes away without a goodbye: no error of TLS, but the connection is lost.
        """
        it = Connected(self)
        it.give(b"220 hello\r\n")
        it.transport.connectionLost(Failure(error.ConnectionDone()))
        self.assertTrue(it.protocol.reason.check(error.ConnectionLost))

    def test_goodbye(self):
        """
        So do we; nothing that is written after it is sent, whoever has kept the method.
        """
        it = Connected(self)
        kept = it.transport.write
        it.protocol.transport.write(b"QUIT\r\n")
        it.protocol.transport.loseConnection()
        it.protocol.transport.write(b"MORE\r\n")
        kept(b"MORE\r\n")
        # What OpenSSL has to say against it would be taken for an error of the next connection.
        self.assertEqual(SSL._lib.ERR_peek_error(), 0)
        self.assertEqual(it.text(), b"QUIT\r\n")
        self.assertEqual(it.server.get_shutdown(), SSL.RECEIVED_SHUTDOWN)
        it.server.shutdown()
        it.give()
        self.assertTrue(it.protocol.reason.check(error.ConnectionDone))
        kept(b"MORE\r\n")

    def test_goodbyeToSome(self):
        """
        Who says goodbye to the first of several records gets the others, too: they were on their way.
        """
        it = Connected(self, Recorder(lambda self, data: self.transport.loseConnection()))
        it.give(b"one\r\n", b"two\r\n")
        self.assertEqual(it.protocol.received, [b"one\r\n", b"two\r\n"])

    def test_abort(self):
        """
        Who aborts the layer at the first of several records gets no more.
        """
        it = Connected(self, Recorder(lambda self, data: self.transport.protocol.abortConnection()))
        it.give(b"one\r\n", b"two\r\n")
        self.assertEqual(it.protocol.received, [b"one\r\n"])
        self.assertIsNotNone(it.protocol.reason)

    def test_tampered(self):
        """
        What somebody has changed on its way is an error of TLS, with OpenSSL's own words.
        """
        it = Connected(self)
        it.server.send(b"one\r\n")
        it.server.send(b"two\r\n")
        data = bytearray(it.written())
        data[-1] ^= 1
        it.hand(bytes(data))
        self.assertEqual(it.protocol.received, [b"one\r\n"])
        reason = it.protocol.reason.value
        self.assertIsInstance(reason, SSL.Error)
        self.assertIn("bad record mac", str(reason))

    def test_alert(self):
        """
        The server is told that.
        """
        it = Connected(self)
        it.server.send(b"one\r\n")
        data = bytearray(it.written())
        data[-1] ^= 1
        it.hand(bytes(data))
        it.take()
        self.assertIn("bad record mac", str(self.assertRaises(SSL.Error, it.server.recv, ROOM)))

    def test_renegotiation(self):
        """
        What is written while a handshake is under way waits for its end; what was kept of the transport's methods
        does not overtake it.
        """
        it = Connected(self, version="TLS1_2_VERSION")
        kept = it.protocol.transport.write
        kept(b"zero\r\n")
        self.assertEqual(it.text(), b"zero\r\n")
        it.server.renegotiate()
        it.handshake()
        it.give()
        it.protocol.transport.write(b"one\r\n")
        kept(b"two\r\n")
        it.protocol.transport.write(b"three\r\n")
        text = b""
        for _ in range(3):
            text += it.text()
            it.handshake()
            it.give()
        kept(b"four\r\n")
        self.assertEqual(text + it.text(), b"one\r\ntwo\r\nthree\r\nfour\r\n")
        it.give(b"250 ok\r\n")
        self.assertEqual(it.protocol.received, [b"250 ok\r\n"])
        self.assertEqual(it.server.total_renegotiations(), 1)

    def test_short(self):
        """
        After the handshake, and after another one, records come and go without pyOpenSSL.
        """
        calls = []

        def recv(connection, *arguments):
            calls.append(connection)
            return original(connection, *arguments)

        original = SSL.Connection.recv
        self.patch(SSL.Connection, "recv", recv)
        tls._isPlain.cache_clear()
        it = Connected(self, version="TLS1_2_VERSION")
        ours = it.transport.getHandle()
        del calls[:]
        it.give(b"220 hello\r\n")
        self.assertEqual(ours in calls, not self.known)
        it.server.renegotiate()
        it.handshake()
        it.give()
        it.protocol.transport.write(b"one\r\n")
        for _ in range(3):
            it.text()
            it.handshake()
            it.give()
        del calls[:]
        it.give(b"250 ok\r\n")
        self.assertEqual(it.protocol.received, [b"220 hello\r\n", b"250 ok\r\n"])
        self.assertEqual(ours in calls, not self.known)

    def test_notTaken(self):
        """
        Where OpenSSL does not take what came, as there is no memory, it is tried again and not lost.
        """
        it = Connected(self)
        self.patch(tls, "_feed", lambda *arguments: -1)
        it.give(b"220 hello\r\n")
        self.assertEqual(it.protocol.received, [b"220 hello\r\n"])

    def test_others(self):
        """
        Who brings a connection with methods of its own has these called.
        """
        calls = []

        class Noting(SSL.Connection):
            def recv(self, *arguments):
                calls.append("recv")
                return super().recv(*arguments)

        it = Connected(self, kind=Noting)
        del calls[:]
        it.give(b"220 hello\r\n")
        self.assertEqual(it.protocol.received, [b"220 hello\r\n"])
        self.assertIn("recv", calls)

    def test_told(self):
        """
        The transport says what it is, and whose handle it has.
        """
        it = Connected(self)
        self.assertTrue(ISSLTransport.providedBy(it.transport))
        self.assertIsInstance(it.transport.getHandle(), SSL.Connection)
        self.assertIsNotNone(it.transport.getPeerCertificate())

    def test_forgotten(self):
        """
        When the connection is lost, nothing of its TLS waits for the garbage collector.
        """
        it = Connected(self)
        it.give(b"220 hello\r\n")
        it.protocol.transport.write(b"QUIT\r\n")
        handle = it.transport.getHandle()
        gone = [weakref.ref(each) for each in (it.transport.protocol, handle, handle._ssl)]
        del handle
        gc.disable()
        self.addCleanup(gc.enable)
        it.transport.connectionLost(Failure(error.ConnectionDone()))
        self.assertEqual([each() for each in gone], [None] * 3)
        it.transport.write(b"MORE\r\n")


class TwistedsWayTests(LayerTests):
    """
    The same with a pyOpenSSL that does not have the names which the short way needs.
    """

    known = False
