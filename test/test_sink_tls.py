"""
Tests for L{smtpsource.sink.tls}: STARTTLS and TLS from the first byte on, over real sockets, with Python's own C{ssl}
and C{smtplib}, and OpenSSL's command, as clients that share no code with us.
"""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
from unittest import SkipTest

from differential import program
from patience import PATIENCE, TEST_LIMIT
from sinks import Pair, Process, extensions
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.credentials import Credentials
from smtpsource.sink.companion import CompanionSink
from smtpsource.sink.options import SinkOptions
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.service import SinkService
from smtpsource.sink.tls import available

if available():
    from certificates import makeCertificates

MESSAGE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nBDAT 3 LAST\r\nabc"


class Client:
    """
    A client that blocks; for a thread.
    """

    def __init__(self, where, context=None, version=None, first=b""):
        """
        @param where: an address of TCP, or the path of a UNIX socket.
        @param context: C{ssl}'s; one that trusts everybody if left out.
        @param version: the only version of TLS to speak.
        @param first: what to send before all else.
        """
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(where)
        if first:
            self.socket.sendall(first)
        self.context = context or trusting(version)
        self.session = None

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.socket.close()

    def startTLS(self, session=None, name="localhost"):
        """
        Do the handshake.
        """
        self.socket = self.context.wrap_socket(self.socket, server_hostname=name, session=session)

    def lines(self, number):
        """
        @return: so many lines of reply.
        """
        data = b""
        while data.count(b"\n") < number:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(data)
            data += more
        return data.splitlines()

    def say(self, data, number=1):
        """
        @return: the codes of so many lines of reply.
        """
        self.socket.sendall(data)
        return [int(line[:3]) for line in self.lines(number)]

    def ehlo(self, verb=b"EHLO"):
        """
        @return: the keywords that are announced.
        """
        self.socket.sendall(verb + b" client\r\n")
        data = b""
        while b"\n250 " not in data or not data.endswith(b"\n"):
            data += self.socket.recv(65536)
        return {line[4:].split()[0].decode() for line in data.splitlines()[1:]}

    def rest(self):
        """
        @return: all that comes until the server closes.
        """
        data = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return data
            data += more


def trusting(version=None):
    """
    @return: a context that trusts everybody.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class TLSTestCase(TestCase):
    """
    A sink in this process, and clients in threads.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        if not available():
            raise SkipTest("TLS needs pyOpenSSL and cryptography")

    def start(self, **plan):
        """
        @return: where a sink listens that ends with the test.
        """
        self.service = SinkService(reactor, SinkPlan(**plan))
        self.service.startService()
        self.addCleanup(self.service.stopService)
        return plan.get("path") or ("127.0.0.1", self.service.address().port)

    @inlineCallbacks
    def run_(self, function, *arguments):
        """
        Let a client run in a thread, then end the sink, unless it has a limit that ends it.

        @return: fires with the summary.
        """
        yield deferToThread(function, *arguments)
        if self.service.factory.sessionLimit < 100:
            summary = yield self.service.whenDone()
        else:
            summary = yield self.service.finish()
        return summary


class StartTLSTests(TLSTestCase):
    """
    STARTTLS (RFC 3207).
    """

    @inlineCallbacks
    def test_dialogue(self):
        """
        State is reset, EHLO must come again, and announces what there is in TLS.
        """
        where = self.start()

        def talk():
            with Client(where) as client:
                self.assertEqual(client.lines(1), [b"220 smtp-sink ESMTP"])
                clear = client.ehlo()
                self.assertEqual(client.say(b"AUTH PLAIN AGEAYg==\r\n"), [235])
                self.assertEqual(client.say(b"MAIL FROM:<> REQUIRETLS\r\n"), [555])
                self.assertEqual(client.say(b"STARTTLS now\r\n"), [501])
                self.assertEqual(client.say(b"MAIL FROM:<>\r\nSTARTTLS\r\nRSET\r\n", 3), [250, 503, 250])
                self.assertEqual(client.say(b"STARTTLS\r\n"), [220])
                client.startTLS()
                self.assertEqual(client.say(b"MAIL FROM:<>\r\nAUTH PLAIN x\r\nSTARTTLS\r\n", 3), [503, 503, 503])
                inTLS = client.ehlo()
                self.assertEqual((clear - inTLS, inTLS - clear), ({"STARTTLS"}, {"REQUIRETLS"}))
                self.assertEqual(client.say(b"STARTTLS\r\n"), [503])
                self.assertEqual(client.say(b"AUTH PLAIN AGEAYg==\r\n"), [235])
                self.assertEqual(client.say(b"MAIL FROM:<> REQUIRETLS\r\nRSET\r\n", 2), [250, 250])
                self.assertEqual(client.say(MESSAGE * 3, 9), [250] * 9)
                self.assertEqual(client.say(b"QUIT\r\n"), [221])
                self.assertEqual(client.rest(), b"")

        summary = yield self.run_(talk)
        self.assertEqual((summary.messages, summary.sessions, summary.quits), (3, 1, 1))
        self.assertEqual(
            summary.extensions,
            {"tls": {"full": 1}, "auth": {"accepted": 2}, "bdat": 3, "parameters": {"REQUIRETLS": 1}},
        )
        self.assertRegex(summary.asText(), r"(?m)^tls +1 full handshakes, 0 resumed$")

    @inlineCallbacks
    def test_smtplib(self):
        """
        Python's smtplib logs in and sends in TLS.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("alice:secret\n")
        _, port = self.start(authUsers=path)

        def send():
            with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
                client.starttls(context=trusting())
                client.login("alice", "secret")
                client.sendmail("a@example.com", ["b@example.com", "c@example.com"], "Subject: x\r\n\r\n.\r\n")
            with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
                self.assertRaises(smtplib.SMTPAuthenticationError, client.login, "alice", "wrong")

        summary = yield self.run_(send)
        self.assertEqual((summary.messages, summary.recipients), (1, 2))
        self.assertEqual(summary.extensions["auth"]["accepted"], 1)
        self.assertEqual(summary.extensions["tls"], {"full": 1})

    @inlineCallbacks
    def test_lmtpOverUNIX(self):
        """
        The same in LMTP, over a UNIX socket.
        """
        where = self.start(path=self.mktemp(), lmtp=True)

        def talk():
            with Client(where) as client:
                client.lines(1)
                client.ehlo(b"LHLO")
                self.assertEqual(client.say(b"STARTTLS\r\n"), [220])
                client.startTLS()
                client.ehlo(b"LHLO")
                self.assertEqual(client.say(MESSAGE.replace(b"BDAT", b"RCPT TO:<c>\r\nBDAT"), 5), [250] * 5)

        summary = yield self.run_(talk)
        self.assertEqual((summary.messages, summary.recipients), (1, 2))

    @inlineCallbacks
    def test_resumed(self):
        """
        Sessions can be resumed, by tickets in both versions of TLS, and are counted.
        """
        where = self.start()

        def connect(context, session):
            with Client(where, context) as client:
                client.lines(1)
                client.say(b"STARTTLS\r\n")
                client.startTLS(session)
                # In TLS 1.3 tickets come after the handshake.
                client.ehlo()
                self.assertEqual(client.socket.session_reused, session is not None)
                return client.socket.session

        def talk():
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = trusting(version)
                session = connect(context, None)
                connect(context, session)
                connect(context, session)

        summary = yield self.run_(talk)
        self.assertEqual(summary.extensions["tls"], {"full": 2, "resumed": 4})

    @inlineCallbacks
    def test_resumedWithoutTicket(self):
        """
        So they can by a client of TLS 1.2 that knows no tickets.
        """
        where = self.start(tls=True)
        context = trusting(ssl.TLSVersion.TLSv1_2)
        context.options |= ssl.OP_NO_TICKET

        def connect(session):
            with Client(where, context) as client:
                client.startTLS(session)
                client.lines(1)
                # OpenSSL forgets a session that has not ended in order.
                client.say(b"QUIT\r\n")
                client.rest()
                return client.socket.session

        summary = yield self.run_(lambda: connect(connect(None)))
        self.assertEqual(summary.extensions["tls"], {"full": 1, "resumed": 1})

    @inlineCallbacks
    def test_injection(self):
        """
        What follows STARTTLS in clear text is never taken for what comes in TLS: the connection is closed.
        """
        where = self.start(sessionLimit=1)

        def talk():
            with Client(where) as client:
                client.lines(1)
                self.assertEqual(client.say(b"STARTTLS\r\nMAIL FROM:<evil>\r\n"), [503])
                self.assertEqual(client.rest(), b"")

        summary = yield self.run_(talk)
        self.assertEqual(summary.errors, {"plain-text-after-starttls": (1, "MAIL FROM:<evil>")})
        self.assertEqual(summary.extensions, {})

    @inlineCallbacks
    def test_laterInjection(self):
        """
        Nor is what comes after the reply.
        """
        where = self.start(sessionLimit=1)

        def talk():
            with Client(where) as client:
                client.lines(1)
                client.say(b"EHLO x\r\nSTARTTLS\r\n", 14)
                client.socket.sendall(b"MAIL FROM:<evil>\r\n")
                client.rest()

        summary = yield self.run_(talk)
        self.assertEqual(list(summary.errors), ["tls"])
        self.assertEqual(summary.extensions, {})

    @inlineCallbacks
    def test_distrusted(self):
        """
        A client that does not trust the certificate is counted.
        """
        where = self.start(sessionLimit=1)

        def talk():
            with Client(where, ssl.create_default_context()) as client:
                client.lines(1)
                client.say(b"STARTTLS\r\n")
                self.assertRaises(ssl.SSLCertVerificationError, client.startTLS)

        summary = yield self.run_(talk)
        self.assertEqual(list(summary.errors), ["tls"])
        self.assertIn("unknown ca", summary.errors["tls"][1])

    @inlineCallbacks
    def test_silence(self):
        """
        A client that begins no handshake is dropped when the time is over.
        """
        where = self.start(idleTimeout=0.1, sessionLimit=1)

        def talk():
            with Client(where) as client:
                client.lines(1)
                client.say(b"STARTTLS\r\n")
                self.assertEqual(client.rest(), b"")

        summary = yield self.run_(talk)
        self.assertEqual(summary.errors, {"timeout": (1, "")})


class ImplicitTests(TLSTestCase):
    """
    TLS from the first byte on.
    """

    @inlineCallbacks
    def test_dialogue(self):
        """
        The banner comes in TLS, and STARTTLS is not offered.
        """
        where = self.start(tls=True)

        def talk():
            with Client(where) as client:
                client.startTLS()
                self.assertEqual(client.lines(1), [b"220 smtp-sink ESMTP"])
                keywords = client.ehlo()
                self.assertNotIn("STARTTLS", keywords)
                self.assertIn("REQUIRETLS", keywords)
                self.assertEqual(client.say(b"STARTTLS\r\n"), [500])
                self.assertEqual(client.say(MESSAGE, 3), [250] * 3)
                self.assertEqual(client.say(b"QUIT\r\n"), [221])

        summary = yield self.run_(talk)
        self.assertEqual((summary.messages, summary.extensions["tls"]), (1, {"full": 1}))

    @inlineCallbacks
    def test_large(self):
        """
        Large content comes through, and so do thousands of replies at once.
        """
        where = self.start(tls=True)

        def talk():
            with Client(where) as client:
                client.startTLS()
                client.lines(1)
                size = 5_000_000
                message = MESSAGE.replace(b"BDAT 3 LAST\r\nabc", b"BDAT %d LAST\r\n" % size) + b"x" * size
                self.assertEqual(client.say(message, 3), [250] * 3)
                self.assertEqual(client.say(b"NOOP\r\n" * 20000, 20000), [250] * 20000)

        summary = yield self.run_(talk)
        self.assertEqual(summary.messages, 1)

    @inlineCallbacks
    def test_proxied(self):
        """
        A PROXY header comes before TLS, in the same packet or not.
        """
        where = self.start(tls=True, proxyProtocol=True)
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n"

        def talk():
            with Client(where, first=header) as client:
                client.startTLS()
                self.assertEqual(client.lines(1)[0][:3], b"220")
            # Together: the handshake's bytes are made in memory.
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            connection = trusting().wrap_bio(incoming, outgoing)
            with Client(where) as client:
                first = header
                while True:
                    try:
                        banner = connection.read()
                        break
                    except ssl.SSLWantReadError:
                        data = first + outgoing.read()
                        first = b""
                        if data:
                            client.socket.sendall(data)
                        incoming.write(client.socket.recv(65536))
                self.assertEqual(banner[:3], b"220")
            with Client(where, first=b"x" * 20) as client:
                self.assertEqual(client.rest(), b"")

        summary = yield self.run_(talk)
        self.assertEqual(summary.extensions, {"tls": {"full": 2}, "proxy": 2, "proxySources": 1})
        self.assertEqual(summary.errors, {"proxy": (1, "x" * 20)})

    @inlineCallbacks
    def test_noTLS(self):
        """
        A client that speaks something else, or nothing, is counted.
        """
        where = self.start(tls=True, sessionLimit=2)

        def talk():
            with Client(where, first=b"EHLO x\r\n") as client:
                client.rest()
            Client(where).socket.close()

        summary = yield self.run_(talk)
        self.assertEqual((list(summary.errors), summary.sessions), (["tls"], 2))
        self.assertEqual(summary.errors["tls"][0], 2)

    @inlineCallbacks
    def test_scanned(self):
        """
        What is said of a client that leaves in the handshake is a text to read, whether it closes or resets.
        """
        for linger in (b"", struct.pack("ii", 1, 0)):
            where = self.start(tls=True, sessionLimit=1)

            def scan(where=where, linger=linger):
                with Client(where, first=b"\x16\x03\x01") as client:
                    if linger:
                        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

            summary = yield self.run_(scan)
            number, sample = summary.errors["tls"]
            self.assertEqual(number, 1)
            self.assertRegex(
                sample, r"^(Connection was closed cleanly|Connection to the other side was lost|Unexpected)"
            )

    @inlineCallbacks
    def test_maxSessions(self):
        """
        Clients over the limit get their handshake when there is room.
        """
        where = self.start(tls=True, maxSessions=1)

        def talk():
            with Client(where) as first, Client(where) as second:
                first.startTLS()
                first.lines(1)
                first.say(b"QUIT\r\n")
                first.socket.close()
                second.startTLS()
                self.assertEqual(second.lines(1)[0][:3], b"220")

        summary = yield self.run_(talk)
        self.assertEqual(summary.extensions["tls"], {"full": 2})

    @inlineCallbacks
    def test_stopping(self):
        """
        A client in TLS is told 421 when the sink stops; one in its handshake is dropped.
        """
        where = self.start(tls=True)
        clients = []

        def connect():
            clients.extend([Client(where), Client(where)])
            clients[0].startTLS()
            clients[0].lines(1)

        yield deferToThread(connect)
        stopped = self.service.stopService()

        def look():
            with clients[0], clients[1]:
                self.assertEqual(clients[0].rest()[:3], b"421")
                self.assertEqual(clients[1].rest(), b"")

        yield deferToThread(look)
        yield stopped

    def client(self, *arguments):
        """
        @return: what C{openssl s_client} says.
        """
        command = [program("openssl"), "s_client", "-connect", "%s:%d" % self.where, *arguments]
        done = subprocess.run(
            command, input=b"QUIT\r\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE
        )
        return done.stdout.decode()

    @inlineCallbacks
    def test_openssl(self):
        """
        OpenSSL's client likes what it sees, by STARTTLS as well.
        """
        self.where = self.start(tls=True)
        text = yield deferToThread(self.client, "-quiet")
        self.assertIn("220 smtp-sink ESMTP", text)
        self.where = self.start()
        text = yield deferToThread(self.client, "-starttls", "smtp")
        self.assertRegex(text, "(?m)^ *New, TLSv1.3")


class CertificateTests(TLSTestCase):
    """
    What the sink shows.
    """

    @inlineCallbacks
    def test_own(self):
        """
        A certificate of our own making is for the sink's name and for this host, and trusts itself.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        path = self.mktemp()
        for name in ("mx.example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]", "x" * 60 + "." + "y" * 60):
            where = self.start(tls=True, hostname=name)

            def look(where=where, name=name):
                with Client(where) as client:
                    client.startTLS()
                    pem = ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(binary_form=True))
                with open(path, "w") as file:
                    file.write(pem)
                certificate = x509.load_pem_x509_certificate(pem.encode())
                self.assertIsInstance(certificate.public_key().curve, ec.SECP256R1)
                for host in (name.strip("[]").removeprefix("IPv6:"), "localhost", "127.0.0.1", "::1"):
                    with Client(where, ssl.create_default_context(cafile=path)) as client:
                        client.startTLS(name=host)
                        client.lines(1)

            yield deferToThread(look)

    @inlineCallbacks
    def test_files(self):
        """
        A certificate from files, with its key in another one or the same.
        """
        made = makeCertificates(self.mktemp())
        both = self.mktemp()
        with open(both, "wb") as file:
            file.write(made.key.read_bytes() + made.certificate.read_bytes())
        for plan in ({"tlsCert": str(made.certificate), "tlsKey": str(made.key)}, {"tlsCert": both}):
            where = self.start(tls=True, **plan)

            def talk(where=where):
                with Client(where, ssl.create_default_context(cafile=made.authority)) as client:
                    client.startTLS()
                    client.lines(1)

            yield deferToThread(talk)

    def test_unusable(self):
        """
        Files that can't be used are told in one line, as a C{ValueError} and as a usage error.
        """
        made = makeCertificates(self.mktemp())
        empty = os.path.abspath(self.mktemp())
        with open(empty, "w"):
            pass
        for certificate, key, expected in (
            (empty, None, "expected a certificate in PEM"),
            (str(made.certificate), None, "expected the certificate's private key in PEM"),
            (str(made.certificate), empty, "expected the certificate's private key in PEM"),
            (str(made.certificate), str(made.clientKey), "expected the certificate's private key in PEM"),
        ):
            self.assertRaisesRegex(ValueError, f"^{expected}", Pair, tlsCert=certificate, tlsKey=key)
            arguments = ["--tls-cert", certificate, *(["--tls-key", key] if key else []), ":1"]
            error = self.assertRaises(UsageError, SinkOptions().parseOptions, arguments)
            blamed = f"--tls-key: {key!r}" if key else f"--tls-cert: {certificate!r}"
            self.assertTrue(str(error).startswith(f"{blamed} is not usable: {expected}"), error)
            self.assertNotIn("\n", str(error))

    def test_passphrase(self):
        """
        A key with a passphrase, which a file has. That it has another one is told without it.
        """
        from cryptography.hazmat.primitives import serialization

        made = makeCertificates(self.mktemp())
        directory = made.key.parent
        key, secret = directory / "encrypted.key", directory / "secret"
        key.write_bytes(
            serialization.load_pem_private_key(made.key.read_bytes(), None).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"hunter2"),
            )
        )
        files = {"tlsCert": str(made.certificate), "tlsKey": str(key)}
        expected = r"has a passphrase: expected tlsKeyPasswordFile \(--tls-key-password-file\) along with it$"
        self.assertRaisesRegex(ValueError, expected, Pair, **files)
        for text, problem in (
            ("hunter2\n", None),
            ("hunter3", "its first line is not the passphrase of the key in '/"),
        ):
            secret.write_text(text)
            arguments = ["--tls-cert", files["tlsCert"], "--tls-key", str(key)]
            arguments += ["--tls-key-password-file", str(secret), ":1"]
            if problem is None:
                Pair(**files, tlsKeyPasswordFile=str(secret))
                SinkOptions().parseOptions(arguments)
                continue
            self.assertRaisesRegex(ValueError, problem, Pair, **files, tlsKeyPasswordFile=str(secret))
            error = str(self.assertRaises(UsageError, SinkOptions().parseOptions, arguments))
            self.assertTrue(error.startswith(f"--tls-key-password-file: '{secret}' is not usable: {problem}"), error)
            self.assertNotIn("hunter", error)
        error = self.assertRaises(
            UsageError, SinkOptions().parseOptions, ["--tls-key-password-file", str(secret), ":1"]
        )
        self.assertEqual(str(error), "--tls-key-password-file needs --tls-cert")


class WithoutTests(SynchronousTestCase):
    """
    Where there is no TLS.
    """

    def test_transport(self):
        """
        A transport that can't do TLS is told for the moment.
        """
        if not available():
            raise SkipTest("STARTTLS is not offered")
        self.assertEqual(Pair().codes(b"STARTTLS\r\n"), [454])

    def test_order(self):
        """
        TLS is started after the reply was written; then there is nothing to be said until it is there.
        """
        if not available():
            raise SkipTest("STARTTLS is not offered")
        pair = Pair()
        written = []
        pair.transport.startTLS = lambda context: written.append(pair.transport.value())
        self.assertEqual(pair.codes(b"EHLO x\r\nSTARTTLS\r\n")[-1], 220)
        self.assertEqual([data[-30:-20] for data in written], [b"220 2.0.0 "])
        pair.transport.clear()
        pair.factory.endSoon()
        self.assertEqual((pair.transport.value(), pair.transport.aborted), (b"", True))
        self.assertEqual(extensions(pair), {})

    def test_missing(self):
        """
        Without pyOpenSSL STARTTLS is not offered, and --tls is a usage error of one line; nothing else changes.
        """
        for name in ("OpenSSL", "cryptography"):
            self.patch(sys, "modules", {**sys.modules, name: None})
            self.assertFalse(available())
            self.assertNotIn(b"STARTTLS", Pair().say(b"EHLO x\r\n"))
            expected = "TLS needs pyOpenSSL and cryptography: pip install 'smtpsource[tls]'"
            self.assertRaisesRegex(ValueError, f"^tls: True is not usable: {expected[:3]}", SinkPlan, tls=True)
            error = self.assertRaises(UsageError, SinkOptions().parseOptions, ["--tls", ":1"])
            self.assertEqual(str(error), f"--tls is not usable: {expected}")
            SinkOptions().parseOptions([":1"])

    def test_lazy(self):
        """
        A sink that nobody wants TLS of imports no certificates.
        """
        program = (
            "import sys; from smtpsource.sink.factory import SinkFactory; from smtpsource.sink.plan import SinkPlan\n"
            "SinkFactory(SinkPlan(), None); sys.exit('cryptography.x509.extensions' in sys.modules)"
        )
        environment = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        program = program.replace("cryptography.x509.extensions", "scramp")
        self.assertEqual(
            subprocess.run([sys.executable, "-c", program], env=environment, timeout=PATIENCE).returncode, 0
        )


class CommandTests(SynchronousTestCase):
    """
    The command, on our own reactor.
    """

    def setUp(self):
        if not available():
            raise SkipTest("TLS needs pyOpenSSL and cryptography")

    def talk(self, where, first=b"", implicit=False):
        """
        A client with two messages.
        """
        with Client(where, first=first) as client:
            if implicit:
                client.startTLS()
            client.lines(1)
            client.ehlo()
            if not implicit:
                self.assertEqual(client.say(b"STARTTLS\r\n"), [220])
                client.startTLS()
                client.ehlo()
            self.assertEqual(client.say(MESSAGE * 2, 6), [250] * 6)
            self.assertEqual(client.say(b"QUIT\r\n"), [221])
            client.rest()

    def test_startTLS(self):
        """
        STARTTLS over TCP, and a session that has ended when TLS has.
        """
        sink = Process(self, "-n", "2", "--report", "-", "127.0.0.1:0", people="stderr")
        where = ("127.0.0.1", sink.port())
        self.talk(where)
        self.talk(where)
        status, out, err = sink.outcome()
        self.assertEqual(status, 0, err)
        self.assertIn('"full": 2', out)
        self.assertRegex(err, r"(?m)^bdat +4 chunks$")

    def test_everything(self):
        """
        A PROXY header, TLS from the first byte on, and a UNIX socket.
        """
        path = os.path.abspath(self.mktemp())
        sink = Process(self, "--tls", "--proxy-protocol", "-n", "1", f"unix:{path}")
        sink.line("^listening on ")
        self.talk(path, b"PROXY UNKNOWN\r\n", True)
        status, out, err = sink.outcome()
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"(?m)^tls +1 full handshakes, 0 resumed$")
        self.assertRegex(out, r"(?m)^proxy +1 headers, 0 different sources$")
        self.assertNotIn("errors", out)


class CompanionTests(TLSTestCase):
    """
    The child of the generator.
    """

    @inlineCallbacks
    def test_options(self):
        """
        It has TLS, the PROXY protocol and users if it is asked to.
        """
        users = [Credentials("alice", "secret"), *(Credentials(f"user{n}", "x" * 100) for n in range(2000))]
        sink = CompanionSink(reactor, tls=True, proxyProtocol=True, users=users)
        self.addCleanup(lambda: sink.stop().addErrback(lambda failure: None))
        port = yield sink.start()

        def talk():
            with Client(("127.0.0.1", port), first=b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n") as client:
                client.startTLS()
                client.lines(1)
                self.assertEqual(client.say(b"AUTH PLAIN AGFsaWNlAHdyb25n\r\n"), [535])
                self.assertEqual(client.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"), [235])

        yield deferToThread(talk)
        report = yield sink.stop()
        self.assertEqual(
            report["extensions"],
            {"tls": {"full": 1}, "auth": {"accepted": 1, "refused": 1}, "proxy": 1, "proxySources": 1},
        )

    @inlineCallbacks
    def test_usersUnwritten(self):
        """
        Users that can't be passed on are none to check: everybody may log in.
        """
        sink = CompanionSink(reactor, users=[Credentials("a:b", "secret")])
        self.addCleanup(lambda: sink.stop().addErrback(lambda failure: None))
        port = yield sink.start()

        def talk():
            with Client(("127.0.0.1", port)) as client:
                client.lines(1)
                self.assertEqual(client.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"), [235])

        yield deferToThread(talk)
        report = yield sink.stop()
        self.assertEqual(report["extensions"], {"auth": {"accepted": 1}})
