"""
Tests for L{smtpsource.net.tls.client}: real handshakes over TCP, on Twisted's reactor and on ours.

The servers are Python's own C{ssl}, in a thread each, or plain sockets that say what no TLS server says.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

from patience import PATIENCE
from twisted.internet import error, protocol
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

import smtpsource
from smtpsource.net.tls import words
from smtpsource.net.tls.client import CERTIFICATE_REFUSED, TLS_FAILED, ClientTLS, TLSFailed
from smtpsource.net.tls.settings import TLSSettings

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from OpenSSL import SSL
    from OpenSSL.crypto import X509

    from smtpsource.net.tls import client as module
except ImportError:
    SSL = None  # type: ignore[assignment]

try:
    from twisted.internet.epollreactor import EPollReactor as DefaultReactor

    from smtpsource.net.reactor import LeanReactor
except ImportError:
    from twisted.internet.selectreactor import SelectReactor as DefaultReactor  # type: ignore[assignment]

    LeanReactor = None  # type: ignore[assignment, misc]

HOST = "mail.example"

DAY = datetime.timedelta(days=1)

GREETING = b"220 hello\r\n"


class Signed:
    """
    A certificate, its key, and files of both.
    """

    def __init__(
        self,
        directory,
        name,
        issuer=None,
        alternatives=(HOST,),
        begin=-2,
        end=2,
        authority=False,
        usage=None,
        rsaBits=0,
        digest=None,
    ):
        """
        @param issuer: who signs it: C{None} for itself.
        @param begin: from when on it is valid, in days from now; likewise C{end}.
        """
        self.isRoot = issuer is None
        self.key = rsa.generate_private_key(65537, rsaBits) if rsaBits else ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        signer = issuer or self
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self.begin, self.end = now + begin * DAY, now + end * DAY
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.begin)
            .not_valid_after(self.end)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if alternatives and not authority:
            names = x509.SubjectAlternativeName([_alternative(name) for name in alternatives])
            builder = builder.add_extension(names, critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        self.certificate = builder.sign(signer.key, digest or hashes.SHA256())
        # Roots are not sent.
        self.chain = [self] if issuer is None else [self, *(it for it in issuer.chain if not it.isRoot)]
        self.certificateFile = directory / f"{name}.pem"
        self.certificateFile.write_bytes(b"".join(one.pem() for one in self.chain))
        self.keyFile = directory / f"{name}.key"
        self.keyFile.write_bytes(self.keyPem())

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def keyPem(self, encryption=None):
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            encryption or serialization.NoEncryption(),
        )


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Server:
    """
    Accepts connections in a thread, one after the other.

    @ivar served: what C{serve} returned for each, or the exception it raised.
    """

    def __init__(self, case, serve):
        """
        @param serve: called in the thread with each connected socket.
        """
        self._serve = serve
        self.served = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        case.addCleanup(self.stop)

    def _run(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(PATIENCE)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    self.served.append(self._serve(peer))
                except OSError as e:
                    self.served.append(e)

    def stop(self):
        """
        Stop, and wait until everything is served.
        """
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(PATIENCE)
        self._listener.close()


def exhaust(peer):
    """
    Send no more, and wait for the end.
    """
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(65536):
        pass


def politely(peer):
    """
    Say goodbye as TLS has it, and wait for the answer.
    """
    peer.unwrap()


def rudely(peer):
    """
    Close without a word.
    """
    socket.socket.shutdown(peer, socket.SHUT_WR)
    while socket.socket.recv(peer, 65536):
        pass


def speaksTLS(context, end=politely):
    """
    A server that does TLS, greets and ends the connection.

    @return: what to do with a connection: it returns whether the session was resumed and the client's certificate.
    """

    def serve(peer):
        try:
            with context.wrap_socket(peer, server_side=True) as encrypted:
                encrypted.sendall(GREETING)
                found = encrypted.session_reused, encrypted.getpeercert()
                end(encrypted)
                return found
        except ssl.SSLError as e:
            return e

    return serve


def says(answer, reset=False):
    """
    A server that gives one answer to whatever the client says first, and closes.

    @param reset: whether it does so the rude way.
    """

    def serve(peer):
        peer.recv(65536)
        peer.sendall(answer)
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            exhaust(peer)

    return serve


@implementer(IHandshakeListener)
class Client(protocol.Protocol):
    """
    Does TLS as soon as it is connected, and closes when it got the greeting.

    @ivar events: what happened: C{"complete"}, C{"data"}, C{"failed"} and C{"lost"}.
    @ivar explanation: of the end.
    @ivar remembers: whether it wants its session to be remembered.
    @ivar waits: whether the server is to close, not the client.
    @ivar aborts: whether it aborts the handshake.
    """

    remembers = True
    waits = False
    aborts = False

    def __init__(self, tls, done, name):
        self.tls = tls.connection(name)
        self.done = done
        self.events = []
        self.received = b""

    def connectionMade(self):
        self.transport.startTLS(self.tls)
        if self.aborts:
            self.transport.abortConnection()

    def handshakeCompleted(self):
        self.events.append("complete")
        try:
            self.tls.completed()
        except TLSFailed as e:
            self.failure = e
            self.events.append("failed")
            self.transport.abortConnection()

    def dataReceived(self, data):
        if "failed" in self.events:
            return  # It may have come along with the end of the handshake.
        if not self.received:
            self.events.append("data")
        self.received += data
        if self.remembers:
            self.tls.remember()
        if not self.waits:
            self.transport.loseConnection()

    def connectionLost(self, reason):
        self.events.append("lost")
        self.reason = reason
        self.explanation = self.tls.explained(reason)
        self.done()


class TLSTestCase(ReactorBuilder, SynchronousTestCase):
    """
    A test with a directory, an authority and a certificate for C{mail.example}.
    """

    if SSL is None:
        skip = "pyOpenSSL or cryptography is not installed"

    reactorFactory = DefaultReactor

    def setUp(self):
        super().setUp()
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir(parents=True)
        self.authority = Signed(self.directory, "authority", authority=True)
        self.server = self.sign("server", self.authority, (HOST, "*.wild.example", "127.0.0.1", "::1"))
        self.ca = str(self.authority.certificateFile)

    def sign(self, name, issuer=None, alternatives=(HOST,), **options):
        return Signed(self.directory, name, issuer, alternatives, **options)

    def context(self, signed=None, version=None, ciphers=None):
        """
        What a server needs for TLS.

        @param version: the only one to offer.
        """
        signed = signed or self.server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.certificateFile, signed.keyFile)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if ciphers is not None:
            context.set_ciphers(ciphers)
        return context

    def hashed(self, crl=None):
        """
        @return: a directory with the authority's certificate, and a list of those that it has revoked.
        """
        directory = self.directory / "hashed"
        directory.mkdir()
        name = f"{X509.from_cryptography(self.authority.certificate).subject_name_hash():08x}"
        (directory / f"{name}.0").write_bytes(self.authority.pem())
        if crl is not None:
            (directory / f"{name}.r0").write_bytes(crl)
        return str(directory)

    def connect(self, tls, serve, name=None, **attributes):
        """
        Make one connection, and wait for its end.

        @param serve: for L{Server}, or one that is running.
        @param name: of the host, if it is not that of all.
        @param attributes: for the L{Client}.

        @return: the L{Client} at its end.
        """
        reactor = self.buildReactor()
        server = serve if isinstance(serve, Server) else Server(self, serve)
        client = Client(tls, reactor.stop, name)
        vars(client).update(attributes)
        factory = protocol.ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda address: client
        factory.clientConnectionFailed = lambda connector, reason: reactor.stop()
        reactor.connectTCP("127.0.0.1", server.port, factory)
        self.runReactor(reactor, PATIENCE)
        if server is not serve:
            server.stop()
            self.served = server.served
        return client

    def handshake(self, context, host=HOST, **settings):
        """
        One handshake that succeeds.
        """
        client = self.connect(ClientTLS(TLSSettings(**settings), host), speaksTLS(context))
        self.assertEqual((client.events, client.received), (["complete", "data", "lost"], GREETING))
        self.assertIsNone(client.explanation)
        # Its type: older versions of twisted.mail, in another test, put something else into the one failure of all.
        self.assertTrue(client.reason.check(error.ConnectionDone), client.reason)
        return client

    def refused(self, context, text, host=HOST, **settings):
        """
        One handshake after which the server's certificate is refused.

        @param text: a regular expression for the explanation.
        """
        settings.setdefault("ca", self.ca)
        tls = ClientTLS(TLSSettings(verify=True, **settings), host)
        client = self.connect(tls, speaksTLS(context))
        kind, found = client.explanation
        self.assertEqual(kind, CERTIFICATE_REFUSED)
        self.assertRegex(found, f"^{text}$")
        self.assertEqual(client.received, b"")
        return client

    def failed(self, serve, text, host=HOST, events=("lost",), **settings):
        """
        One handshake that fails.

        @param text: a regular expression for the explanation.
        """
        client = self.connect(ClientTLS(TLSSettings(**settings), host), serve)
        kind, found = client.explanation
        self.assertEqual(kind, TLS_FAILED)
        self.assertRegex(found, f"^{text}$")
        self.assertEqual(client.events, list(events))
        return client


class HandshakeTests(TLSTestCase):
    """
    Tests for connections that succeed.
    """

    def test_versions(self):
        """
        TLS 1.2 and 1.3: the description has version and cipher.
        """
        for version, description in (
            (ssl.TLSVersion.TLSv1_2, r"TLSv1\.2 ECDHE-ECDSA-AES\d+-GCM-SHA\d+"),
            (ssl.TLSVersion.TLSv1_3, r"TLSv1\.3 TLS_AES_\d+_GCM_SHA\d+"),
        ):
            client = self.handshake(self.context(version=version))
            self.assertRegex(client.tls.description, f"^{description}$")
            self.assertFalse(client.tls.resumed)

    def test_verified(self):
        """
        A certificate of a CA of ours for the destination's name or address, or for the name in the settings.
        """
        for host, serverName in (
            (HOST, None),
            ("MAIL.example.", None),
            ("a.wild.example", None),
            ("127.0.0.1", None),
            ("::1", None),
            ("127.0.0.2", HOST),
            ("other.example", "127.0.0.1"),
            (None, HOST),
        ):
            self.handshake(self.context(), host, verify=True, ca=self.ca, serverName=serverName)

    def test_verifiedChain(self):
        """
        The server sends the CAs between its certificate and ours.
        """
        between = self.sign("between", self.authority, authority=True)
        self.handshake(self.context(self.sign("below", between)), verify=True, ca=self.ca)

    def test_caDirectory(self):
        """
        CAs may be in a directory, each in a file that is called by the hash of its name.
        """
        directory = self.hashed()
        self.handshake(self.context(), verify=True, ca=directory)
        self.refused(self.context(self.sign("self")), "self-signed: .*", ca=directory)

    def test_passphrase(self):
        """
        The client's key has a passphrase, which is the first line of a file.
        """
        secret = self.directory / "secret"
        secret.write_bytes(b"s\xfc\xdf und lang\r\nmore\n")
        key = self.directory / "encrypted.key"
        context = self.context()
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        client = self.sign("client", self.authority, usage=x509.ExtendedKeyUsageOID.CLIENT_AUTH)
        key.write_bytes(
            client.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.BestAvailableEncryption(b"s\xfc\xdf und lang"),
            )
        )
        self.handshake(context, certificate=str(client.certificateFile), key=str(key), keyPasswordFile=str(secret))

    def test_verifiedAgain(self):
        """
        Connections of a run are verified each: the next one may meet another server.
        """
        tls = ClientTLS(TLSSettings(verify=True, ca=self.ca), HOST)
        right = speaksTLS(self.context())
        wrong = speaksTLS(self.context(self.sign("wrong", self.authority, ["wrong.example"])))
        kinds = [(self.connect(tls, serve).explanation or ("fine",))[0] for serve in (right, right, wrong, right)]
        self.assertEqual(kinds, ["fine", "fine", CERTIFICATE_REFUSED, "fine"])

    def test_notVerified(self):
        """
        If it is not to be verified any certificate will do.
        """
        old = self.sign("old", alternatives=["wrong.example"], end=-1)
        self.handshake(self.context(old))
        self.handshake(self.context(old), ca=self.ca)

    def test_serverName(self):
        """
        The name is sent, in ASCII and without a trailing dot; addresses are not.
        """
        for host, serverName, expected in (
            (HOST, None, HOST),
            ("Mail.Example.", None, HOST),
            ("localhost", None, "localhost"),
            ("under_score.example", None, "under_score.example"),
            ("127.0.0.1", None, None),
            ("::1", None, None),
            ("fe80::1%lo", None, None),
            ("2130706433", None, None),
            ("127.0.0.1", "other.example", "other.example"),
            (HOST, "::1", None),
            (None, None, None),
            (HOST, "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "xn--bcher-kva.example"),
        ):
            context = self.context()
            names = []
            context.sni_callback = lambda peer, name, context, names=names: names.append(name)
            self.handshake(context, host, serverName=serverName)
            self.assertEqual(names, [expected])

    def test_names(self):
        """
        A connection may be to another host than the run's, such as a mail exchanger: its name is sent and verified,
        unless the settings have one for all.
        """
        other, names = "other.example", []
        context = self.context(self.sign("other", self.authority, [other]))
        context.sni_callback = lambda peer, name, context: names.append(name)
        tls = ClientTLS(TLSSettings(verify=True, ca=self.ca), HOST)
        kinds = [
            (self.connect(tls, speaksTLS(context), name=name).explanation or ("fine",))[0]
            for name in (other, None, "third.example", other)
        ]
        self.assertEqual(kinds, ["fine", CERTIFICATE_REFUSED, CERTIFICATE_REFUSED, "fine"])
        tls = ClientTLS(TLSSettings(verify=True, ca=self.ca, serverName=other), HOST)
        self.assertIsNone(self.connect(tls, speaksTLS(context), name="third.example").explanation)
        self.assertEqual(names, [other, HOST, "third.example", other, other])

    def test_nameOfNobody(self):
        """
        A host whose name no certificate can have is refused where it is to be verified, and only there.
        """
        tls = ClientTLS(TLSSettings(verify=True, ca=self.ca), HOST)
        kind, text = self.connect(tls, speaksTLS(self.context()), name="a!b.example").explanation
        self.assertEqual(kind, CERTIFICATE_REFUSED)
        self.assertIn("'a!b.example' is not a server name that a certificate could have", text)
        tls = ClientTLS(TLSSettings(), HOST)
        self.assertIsNone(self.connect(tls, speaksTLS(self.context()), name="a!b.example").explanation)

    def test_bounds(self):
        """
        Of the versions that the server has, one within the bounds is used.
        """
        for settings, version in (
            ({"minimum": "1.2"}, "TLSv1.3"),
            ({"minimum": "1.3"}, "TLSv1.3"),
            ({"maximum": "1.3"}, "TLSv1.3"),
            ({"maximum": "1.2"}, "TLSv1.2"),
            ({"minimum": "1.0", "maximum": "1.2"}, "TLSv1.2"),
            ({"minimum": "1.2", "maximum": "1.2"}, "TLSv1.2"),
        ):
            client = self.handshake(self.context(), **settings)
            self.assertEqual(client.tls.description.split()[0], version)

    def test_oldVersions(self):
        """
        Versions that OpenSSL does not like any more can be asked for.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for name, version in (("1.0", ssl.TLSVersion.TLSv1), ("1.1", ssl.TLSVersion.TLSv1_1)):
                for settings in ({"maximum": name}, {"minimum": name}):
                    context = self.context(version=version, ciphers="DEFAULT@SECLEVEL=0")
                    client = self.handshake(context, **settings)
                    self.assertRegex(client.tls.description, rf"^TLSv{name.removesuffix('.0')} \S+-SHA$")

    def test_ciphers(self):
        """
        Those named are used: of TLS 1.2, and by a pyOpenSSL that can choose them of TLS 1.3.
        """
        older, newer = "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_CHACHA20_POLY1305_SHA256"
        client = self.handshake(self.context(), ciphers=older, maximum="1.2")
        self.assertEqual(client.tls.description, f"TLSv1.2 {older}")
        if hasattr(SSL.Context, "set_tls13_ciphersuites"):
            for version, cipher in (("1.2", older), ("1.3", newer)):
                client = self.handshake(self.context(), ciphers=f"{newer}:{older}", maximum=version)
                self.assertEqual(client.tls.description, f"TLSv{version} {cipher}")

    def test_standardNames(self):
        """
        Those of older ciphers begin like those of TLS 1.3.
        """
        name = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        try:
            ClientTLS(TLSSettings(ciphers=name), HOST)
        except ValueError:
            self.skipTest("this OpenSSL does not know them")
        client = self.handshake(self.context(version=ssl.TLSVersion.TLSv1_2), ciphers=name)
        self.assertEqual(client.tls.description, "TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305")
        client = self.handshake(self.context(), ciphers=name)
        self.assertRegex(client.tls.description, "^TLSv1.3 ")

    def test_clientCertificate(self):
        """
        The client shows its certificate with the chain, to a server that knows the end of it alone.
        """
        between = self.sign("between", self.authority, authority=True)
        signed = self.sign("client", between)
        together = self.directory / "together.pem"
        together.write_bytes(signed.keyPem() + signed.certificateFile.read_bytes())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for certificate, key in ((signed.certificateFile, signed.keyFile), (together, None)):
                context = self.context(version=version)
                context.load_verify_locations(self.ca)
                context.verify_mode = ssl.CERT_REQUIRED
                self.handshake(context, certificate=str(certificate), key=key and str(key))
                [(_, found)] = self.served
                self.assertEqual(found["subject"], ((("commonName", "client"),),))


class ResumptionTests(TLSTestCase):
    """
    Tests for sessions that are resumed.
    """

    def resumptions(self, version, end=politely, number=4, **settings):
        """
        @return: whether connections one after another were resumed, as the server has it and as the client has it.
        """
        server = Server(self, speaksTLS(self.context(version=version), end))
        settings.setdefault("resume", True)
        tls = ClientTLS(TLSSettings(**settings), HOST)
        clients = [self.connect(tls, server, waits=end is rudely) for _ in range(number)]
        server.stop()
        self.assertEqual([client.received for client in clients], [GREETING] * number)
        self.assertEqual([client.explanation for client in clients], [None] * number)
        return [resumed for resumed, _ in server.served], [client.tls.resumed for client in clients]

    def test_resumed(self):
        """
        All but the first are resumed, verified or not.
        """
        expected = [False, True, True, True]
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(self.resumptions(version), (expected, expected))
            self.assertEqual(self.resumptions(version, verify=True, ca=self.ca), (expected, expected))

    def test_rudeServer(self):
        """
        A server that closes without TLS's goodbye does not spoil its session.
        """
        expected = [False, True, True, True]
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(self.resumptions(version, rudely), (expected, expected))

    def test_notWanted(self):
        """
        Nothing is resumed without being asked for.
        """
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(self.resumptions(version, number=2, resume=False), ([False] * 2, [False] * 2))

    def test_otherServer(self):
        """
        A server that does not know the session makes a new one, which is offered next.
        """
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            tls = ClientTLS(TLSSettings(resume=True), HOST)
            resumed = []
            for _ in range(2):
                server = Server(self, speaksTLS(self.context(version=version)))
                resumed += [self.connect(tls, server).tls.resumed for _ in range(3)]
                server.stop()
            self.assertEqual(resumed, [False, True, True] * 2)

    def test_names(self):
        """
        A session is offered to the host only that it was made with: another one has shown no certificate.
        """
        server = Server(self, speaksTLS(self.context()))
        tls = ClientTLS(TLSSettings(resume=True), HOST)
        names = ["a.example", "a.example", "b.example", None, "b.example", None, "a.example"]
        resumed = [self.connect(tls, server, name=name).tls.resumed for name in names]
        server.stop()
        self.assertEqual(resumed, [False, True, False, False, True, True, True])

    def test_noTicket(self):
        """
        Where the server gives no tickets of TLS 1.3 nothing is remembered.
        """
        context = self.context(version=ssl.TLSVersion.TLSv1_3)
        context.num_tickets = 0
        tls = ClientTLS(TLSSettings(resume=True), HOST)
        self.assertFalse(self.connect(tls, speaksTLS(context)).tls.resumed)
        self.assertIsNone(tls.server().session)

    def test_forgotten(self):
        """
        Nothing is offered of a connection that was not to be remembered.
        """
        tls = ClientTLS(TLSSettings(resume=True), HOST)
        self.connect(tls, speaksTLS(self.context()), remembers=False)
        self.assertIsNone(tls.server().session)

    def test_wrongName(self):
        """
        Nothing is remembered of a server that was not the right one, even if somebody asks for it.
        """
        tls = ClientTLS(TLSSettings(resume=True, verify=True, ca=self.ca), "wrong.example")
        client = self.connect(tls, speaksTLS(self.context()))
        self.assertEqual(client.explanation[0], CERTIFICATE_REFUSED)
        client.tls.remember()
        self.assertIsNone(tls.server().session)

    def test_askedIfPossible(self):
        """
        A pyOpenSSL which knows whether the session was reused is asked.
        """
        if hasattr(module._Connection, "session_reused"):
            self.skipTest("it is asked in all other tests")
        module._Connection.session_reused = lambda connection: 1
        self.addCleanup(delattr, module._Connection, "session_reused")
        server = Server(self, speaksTLS(self.context()))
        tls = ClientTLS(TLSSettings(resume=True), HOST)
        self.assertEqual([self.connect(tls, server).tls.resumed for _ in range(2)], [False, True])


class RefusalTests(TLSTestCase):
    """
    Tests for certificates that are refused.
    """

    def test_expired(self):
        """
        With the date.
        """
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            signed = self.sign("old", self.authority, end=-1)
            client = self.refused(
                self.context(signed, version), f"expired: not valid after {signed.end:%Y-%m-%d %H:%M:%S} UTC"
            )
            self.assertEqual(client.events, ["lost"])

    def test_notYetValid(self):
        """
        With the date.
        """
        signed = self.sign("new", self.authority, begin=1)
        self.refused(self.context(signed), f"not yet valid: not before {signed.begin:%Y-%m-%d %H:%M:%S} UTC")

    def test_issuerExpired(self):
        """
        It is the certificate of a CA that has expired, and it is named.
        """
        between = self.sign("between", self.authority, authority=True, end=-1)
        self.refused(
            self.context(self.sign("below", between)), r"expired: not valid after .* UTC \(the issuer CN=between\)"
        )

    def test_selfSigned(self):
        """
        With its name.
        """
        self.refused(self.context(self.sign("own")), "self-signed: CN=own")

    def test_unknownIssuer(self):
        """
        With the issuer's name, whether or not the server sends the issuer's certificate.
        """
        stranger = self.sign("stranger", authority=True)
        signed = self.sign("strange", stranger)
        self.refused(self.context(signed), "unknown issuer: CN=stranger")
        signed.certificateFile.write_bytes(signed.pem() + stranger.pem())
        self.refused(self.context(signed), "unknown issuer: CN=stranger")

    def test_systemCAs(self):
        """
        Without a file the system's CAs are trusted, which have not signed this.
        """
        self.refused(self.context(), "unknown issuer: CN=authority", ca=None)

    def test_wrongName(self):
        """
        With the name that was wanted, and those there are.
        """
        names = r"mail\.example, \*\.wild\.example, 127\.0\.0\.1, ::1"
        for host, settings, wanted in (
            ("other.example", {}, "other.example"),
            ("a.b.wild.example", {}, "a.b.wild.example"),
            ("127.0.0.2", {}, "127.0.0.2"),
            ("::2", {}, "::2"),
            (HOST, {"serverName": "wanted.example"}, "wanted.example"),
        ):
            client = self.refused(
                self.context(), f"wrong name: wanted {wanted}, the certificate is for {names}", host, **settings
            )
            self.assertEqual(client.events, ["complete", "failed", "lost"])
            self.assertEqual((client.failure.kind, str(client.failure)), client.explanation)
            self.assertEqual(client.failure.text, str(client.failure))

    def test_manyNames(self):
        """
        Only some of many are listed.
        """
        signed = self.sign("many", self.authority, [f"n{i}.example" for i in range(100)])
        self.refused(
            self.context(signed), r"wrong name: wanted mail.example, .* n0\.example, .*, n7.example and 92 more"
        )

    def test_noNames(self):
        """
        Common names do not count.
        """
        signed = self.sign(HOST, self.authority, ())
        self.refused(self.context(signed), r"wrong name: wanted mail\.example, the certificate is for none \(.+\)")

    def test_nameInWrongForm(self):
        """
        Names may make no sense at all.
        """
        signed = self.sign("odd", self.authority, ("*.*.example",))
        self.refused(self.context(signed), r"wrong name: wanted mail\.example, .* for \*\.\*\.example \(.+\)")

    def test_weakKey(self):
        """
        With its size.
        """
        signed = self.sign("weak", self.authority, rsaBits=2048)
        ciphers = "DEFAULT@SECLEVEL=3"
        self.refused(self.context(signed), "weak key: 2048 bits", ciphers=ciphers)

    def test_weakDigest(self):
        """
        With its name.
        """
        signed = self.sign("weak", self.authority, digest=hashes.SHA224())
        self.refused(self.context(signed), "weak digest: sha224", ciphers="DEFAULT@SECLEVEL=3")

    def test_revoked(self):
        """
        If there is a list of revoked certificates in the file or the directory of CAs, it counts.
        """
        now = datetime.datetime.now(datetime.UTC)
        revoked = (
            x509.RevokedCertificateBuilder()
            .serial_number(self.server.certificate.serial_number)
            .revocation_date(now - DAY)
            .build()
        )
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.authority.name)
            .last_update(now - DAY)
            .next_update(now + DAY)
            .add_revoked_certificate(revoked)
            .sign(self.authority.key, hashes.SHA256())
        )
        path = self.directory / "crl.pem"
        path.write_bytes(self.authority.pem() + crl.public_bytes(serialization.Encoding.PEM))
        directory = self.hashed(crl.public_bytes(serialization.Encoding.PEM))
        other = self.sign("other", self.authority)
        for ca in (str(path), directory):
            self.refused(self.context(), "revoked", ca=ca)
            self.handshake(self.context(other), verify=True, ca=ca)

    def test_wrongUsage(self):
        """
        A certificate for clients.
        """
        signed = self.sign("client", self.authority, usage=x509.ExtendedKeyUsageOID.CLIENT_AUTH)
        self.refused(self.context(signed), "not meant for TLS servers")

    def test_noCertificate(self):
        """
        A server that has none is not trusted, even if the client offered to do without.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
        self.refused(
            context,
            "no certificate: the server has sent none",
            ciphers="AECDH-AES128-SHA:@SECLEVEL=0",
            maximum="1.2",
        )

    def test_oneLine(self):
        """
        A server cannot write what it likes on the user's terminal.
        """
        evil = self.sign("evil", authority=True)
        evil.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\n\x1b[31mb\u202e")])
        self.refused(self.context(self.sign("signed", evil)), r"unknown issuer: CN=a[^\n\x1b\u202e]+b\?")

    def test_otherErrors(self):
        """
        What there are no words for has a number.
        """
        certificate = X509.from_cryptography(self.server.certificate)
        self.assertEqual(words.refusalText(7, 0, certificate), "wrong signature")
        self.assertEqual(words.refusalText(24, 1, certificate), "invalid CA certificate (the issuer CN=server)")
        self.assertEqual(words.refusalText(999, 0, certificate), "OpenSSL's verification error 999")

    def test_unreadable(self):
        """
        The reason is told even if nothing else can be.
        """

        def fail(certificate):
            raise ValueError("no way")

        self.patch(X509, "to_cryptography", fail)
        self.refused(self.context(self.sign("own")), r"self-signed \(no way\)")
        self.refused(self.context(), "not readable: no way")


class FailureTests(TLSTestCase):
    """
    Tests for handshakes that fail for other reasons.
    """

    def test_noCommonVersion(self):
        """
        The server sends an alert.
        """
        for settings, version in (
            ({"minimum": "1.3"}, ssl.TLSVersion.TLSv1_2),
            ({"maximum": "1.2"}, ssl.TLSVersion.TLSv1_3),
        ):
            self.failed(
                speaksTLS(self.context(version=version)), "the server sent the alert protocol version", **settings
            )

    def test_noCommonCipher(self):
        """
        The server sends an alert.
        """
        context = self.context(version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
        self.failed(
            speaksTLS(context), "the server sent the alert handshake failure", ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"
        )

    def test_nothingLeft(self):
        """
        OpenSSL's security level may leave no version.
        """
        self.failed(
            speaksTLS(self.context()),
            r"no TLS version is left by the settings here \(no protocols available\)",
            maximum="1.1",
            ciphers="DEFAULT:@SECLEVEL=2",
        )

    def test_notTLS(self):
        """
        A server that talks SMTP, or something else.
        """
        for answer in (b"220 mail.example ESMTP Postfix\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\r\n" * 20):
            self.failed(says(answer), r"the server does not speak TLS here \(wrong version number\)")

    def test_closed(self):
        """
        A server that closes: at once, in the middle of a record, with a reset, or with a goodbye.
        """
        for serve in (
            says(b""),
            says(b"\x16\x03\x03\x00\x40\x02"),
            says(b"", reset=True),
            says(b"\x15\x03\x03\x00\x02\x01\x00"),
            lambda peer: None,
        ):
            self.failed(serve, "the server closed the connection in the TLS handshake")

    def test_alert(self):
        """
        Alerts have names, but not all of them.
        """
        for number, text in (
            (80, "the server sent the alert internal error"),
            (40, "the server sent the alert handshake failure"),
            (42, "the server sent the alert bad certificate"),
            (112, "the server sent the alert unrecognized name"),
            (99, "unnamed error in SSL routines"),
        ):
            self.failed(says(b"\x15\x03\x03\x00\x02\x02" + bytes([number])), text)

    def test_certificateRequired(self):
        """
        The server wants a certificate of the client: in TLS 1.3 it says so after the client's part of the handshake.
        """
        for version, events, text in (
            (ssl.TLSVersion.TLSv1_2, ["lost"], "the server sent the alert handshake failure"),
            (ssl.TLSVersion.TLSv1_3, ["complete", "lost"], "the server sent the alert certificate required"),
        ):
            context = self.context(version=version)
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
            self.failed(speaksTLS(context), text, events=events)

    def test_certificateUnknown(self):
        """
        The server refuses the certificate of the client: that is not our refusal.
        """
        stranger = self.sign("stranger")
        for version, events in ((ssl.TLSVersion.TLSv1_2, ["lost"]), (ssl.TLSVersion.TLSv1_3, ["complete", "lost"])):
            context = self.context(version=version)
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
            settings = {"certificate": str(stranger.certificateFile), "key": str(stranger.keyFile)}
            self.failed(speaksTLS(context), "the server sent the alert unknown ca", events=events, **settings)

    def test_garbageLater(self):
        """
        A server that forgets about TLS after the handshake.
        """

        def forget(peer):
            socket.socket.send(peer, b"221 and goodbye, in the clear\r\n")
            rudely(peer)

        client = self.connect(ClientTLS(TLSSettings(), HOST), speaksTLS(self.context(), forget), waits=True)
        self.assertEqual(client.explanation[0], TLS_FAILED)
        self.assertRegex(client.explanation[1], "record|version")

    def test_closedLater(self):
        """
        After the handshake the end of the connection is none of TLS's business, whichever way it comes.
        """
        for end in (politely, rudely):
            client = self.connect(ClientTLS(TLSSettings(), HOST), speaksTLS(self.context(), end), waits=True)
            self.assertEqual((client.received, client.explanation), (GREETING, None))
            self.assertTrue(client.reason.check(error.ConnectionDone))

    def test_abortedHere(self):
        """
        Nor is what we did ourselves.
        """
        client = self.connect(ClientTLS(TLSSettings(), HOST), exhaust, aborts=True)
        self.assertTrue(client.reason.check(error.ConnectionAborted))
        self.assertIsNone(client.explanation)


class ExplanationTests(SynchronousTestCase):
    """
    Tests for the words of L{TLSConnection.explained}.
    """

    if SSL is None:
        skip = "pyOpenSSL or cryptography is not installed"

    def explained(self, exception):
        return ClientTLS(TLSSettings(), HOST).connection().explained(Failure(exception))

    def test_notTLS(self):
        """
        Before TLS was started it has nothing to do with the end.
        """
        for exception in (error.ConnectionDone(), error.ConnectionLost(), error.ConnectionAborted(), ValueError()):
            self.assertIsNone(self.explained(exception))

    def test_never_empty(self):
        """
        There is always a text, one line of it.
        """
        for exception, text in (
            (SSL.Error([]), "OpenSSL does not say why"),
            (SSL.Error(), "OpenSSL does not say why"),
            (SSL.ZeroReturnError(), "OpenSSL does not say why"),
            (SSL.Error([("", "", "")]), "unnamed error in OpenSSL"),
            (SSL.Error([("SSL routines", "", "")]), "unnamed error in SSL routines"),
            (SSL.Error([("SSL routines", "", "one"), ("SSL routines", "", "two")]), "one; two"),
            (SSL.Error([("SSL routines", "", "one"), ("SSL routines", "", "record layer failure")]), "one"),
            (SSL.Error([("SSL routines", "", "record layer failure")]), "record layer failure"),
            (SSL.SysCallError(-1, "Unexpected EOF"), "the server closed the connection in the TLS handshake"),
            (SSL.SysCallError(104, "ECONNRESET"), "the system's error ECONNRESET"),
            (SSL.SysCallError(104, None), "the system's error 104"),
            (SSL.SysCallError(), "the system's error None"),
        ):
            self.assertEqual(self.explained(exception), (TLS_FAILED, text))

    def test_alerts(self):
        """
        OpenSSL has had several names for alerts.
        """
        for reason in (
            *("tls alert handshake failure", "sslv3 alert handshake failure", "ssl/tls alert handshake failure"),
            *("tlsv1 alert handshake failure", "tlsv13 alert handshake failure", "tlsv1 handshake failure"),
        ):
            self.assertEqual(
                self.explained(SSL.Error([("SSL routines", "", reason)])),
                (TLS_FAILED, "the server sent the alert handshake failure"),
            )


class SettingsTests(TLSTestCase):
    """
    Tests for settings that cannot be had: each gives one clear line.
    """

    def check(self, text, host=HOST, **settings):
        found = self.assertRaises(ValueError, ClientTLS, TLSSettings(**settings), host)
        self.assertRegex(str(found), f"^{text}$")

    def file(self, contents):
        path = self.directory / "file.pem"
        path.write_bytes(contents)
        return str(path)

    def test_versions(self):
        """
        Unknown ones, and bounds the wrong way round.
        """
        expected = "is not a TLS version: expected one of 1.0, 1.1, 1.2, 1.3"
        self.check(f"'1.4' {expected}", minimum="1.4")
        self.check(f"'TLSv1.2' {expected}", maximum="TLSv1.2")
        self.check("the minimum TLS version 1.3 is above the maximum 1.2", minimum="1.3", maximum="1.2")

    def test_versionNotThere(self):
        """
        An OpenSSL may be without some.
        """

        def refuse(context, version):
            raise SSL.Error([])

        self.patch(SSL.Context, "set_max_proto_version", refuse)
        self.check(r"OpenSSL [\d.]+\S* does not have TLS 1.1", maximum="1.1")

    def test_ciphers(self):
        """
        Unknown ones, of both kinds.
        """
        self.check(r"OpenSSL \S+ has no such ciphers: FOO:BAR", ciphers="FOO:BAR")
        if hasattr(SSL.Context, "set_tls13_ciphersuites"):
            self.check(r"OpenSSL \S+ has no such ciphers: TLS_FOO", ciphers="TLS_FOO:HIGH")
        self.check("the list of ciphers is empty", ciphers="")

    def test_ca(self):
        """
        A file that is not there, and one with something else.
        """
        path = self.file(b"nothing\n")
        self.check("cannot read the CA file /nonexistent: No such file or directory", ca="/nonexistent")
        self.check(
            f"no certificate in the directory {self.directory} has a hash for its name: expected what openssl rehash "
            "makes",
            ca=str(self.directory),
        )
        self.check(f"no usable CA certificate in {path}: .*no certificate or crl found", ca=path, verify=True)

    def test_certificate(self):
        """
        Files that are not there, with something else, encrypted, or of somebody else.
        """
        certificate, key = str(self.server.certificateFile), str(self.server.keyFile)
        missing = "/nonexistent"
        self.check(f"the key {key} needs a certificate", key=key)
        self.check(f"cannot read the certificate file {missing}: No such file .*", certificate=missing, key=key)
        self.check(f"cannot read the key file {missing}: No such file .*", certificate=certificate, key=missing)
        self.check(f"no usable certificate in {key}: .+", certificate=key)
        expected = f"no usable key in {certificate}, the file of the certificate: expected one there, or a key: .+"
        self.check(expected, certificate=certificate)
        other = str(self.authority.keyFile)
        self.check(f"the key in {other} does not match .* in {certificate}", certificate=certificate, key=other)
        other = str(self.sign("rsa", rsaBits=2048).keyFile)
        self.check(f"the key in {other} does not match .* in {certificate}", certificate=certificate, key=other)
        encrypted = self.file(self.server.keyPem(serialization.BestAvailableEncryption(b"secret")))
        both = {"certificate": certificate, "key": encrypted}
        expected = r"expected keyPasswordFile \(--tls-key-password-file\) along with it"
        self.check(f"the key in {encrypted!r} has a passphrase: {expected}", **both)
        secret = self.directory / "secret"
        longest = "expected a passphrase of 1 to 1023 bytes in the first line"
        for text, expected in (
            (b"wrong\n", f"its first line is not the passphrase of the key in {encrypted!r}"),
            (b"\nsecret\n", longest),
            (b"x" * 1024, longest),
        ):
            secret.write_bytes(text)
            self.check(expected, **both, keyPasswordFile=str(secret))
        self.check("expected a readable file: No such file or directory", **both, keyPasswordFile="/nonexistent")
        self.check("the passphrase in x needs a certificate with a key", keyPasswordFile="x")
        secret.write_bytes(b"secret")
        ClientTLS(TLSSettings(**both, keyPasswordFile=str(secret)), HOST)

    def test_names(self):
        """
        What is no name, and no name to verify.
        """
        self.check("cannot verify a certificate without a server name: expected serverName", None, verify=True)
        self.check("'a b' is not a server name that a certificate could have .*", serverName="a b")
        self.check("'' is not a server name that a certificate could have .*", serverName="")
        self.check("'2130706433' is not a server name .*", "2130706433", verify=True)

    def test_oldPyOpenSSL(self):
        """
        TLS 1.3's ciphers take a pyOpenSSL of 2025.
        """
        if hasattr(SSL.Context, "set_tls13_ciphersuites"):
            method = SSL.Context.set_tls13_ciphersuites
            del SSL.Context.set_tls13_ciphersuites
            self.addCleanup(setattr, SSL.Context, "set_tls13_ciphersuites", method)
        self.check("this pyOpenSSL cannot choose ciphers of TLS 1.3: .*", ciphers="TLS_AES_128_GCM_SHA256")


class MissingTests(SynchronousTestCase):
    """
    Tests for a Python without pyOpenSSL.
    """

    def test_missing(self):
        """
        The module can be imported, and says what to install.
        """
        program = (
            "import sys\n"
            "sys.modules['OpenSSL'] = None\n"
            "from smtpsource.net.tls.client import ClientTLS, TLSConnection, TLSFailed\n"
            "from smtpsource.net.tls.settings import TLSSettings\n"
            "try:\n"
            "    ClientTLS(TLSSettings(), 'localhost')\n"
            "except ValueError as e:\n"
            "    print(e)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(smtpsource.__file__).parents[1])}
        found = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertRegex(
            found.stdout, r"^TLS needs pyOpenSSL and service_identity: pip install 'smtpsource\[tls\]' \(.+\)\n$"
        )
        self.assertEqual((found.returncode, found.stderr), (0, ""))


def onOurs(case):
    """
    The same tests on our reactor.
    """
    members = {"reactorFactory": LeanReactor, "__module__": __name__, "__doc__": f"{case.__name__} on our reactor."}
    if LeanReactor is None:
        members["skip"] = "there is no epoll(7) here"
    return type(f"Lean{case.__name__}", (case,), members)


LeanHandshakeTests = onOurs(HandshakeTests)
LeanResumptionTests = onOurs(ResumptionTests)
LeanRefusalTests = onOurs(RefusalTests)
LeanFailureTests = onOurs(FailureTests)
