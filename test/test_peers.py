"""
Tests for L{peers}: each real server starts, takes mail from Postfix's smtp-source, and is gone afterwards.  What
smtp-source doesn't do (TLS, AUTH, and so on) is proven with Python's smtplib and with plain sockets, in threads.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import smtplib
import socket
import ssl
import struct
import sys
from unittest import SkipTest, mock

from differential import run, runPostfix
from patience import PATIENCE, TEST_LIMIT
from peers import DovecotAuth, DovecotLMTP, PostfixServer, PostfixSink, eventually, freePort, missing
from twisted.internet import defer
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

try:
    from certificates import makeCertificates
except ModuleNotFoundError:
    # Without cryptography.
    makeCertificates = None


class Conversation:
    """
    A client in a thread that sends what it is told to, and never waits for longer than L{patience.PATIENCE}.
    """

    def __init__(self, destination, header=b"", context=None, session=None):
        """
        @param destination: where to connect to.
        @param header: what to send before anything else, and before TLS.
        @param context: for TLS from the start, with C{localhost}.
        @param session: the TLS session to resume.
        """
        if destination.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(destination.removeprefix("unix:"))
        else:
            self.socket = socket.create_connection(address(destination), PATIENCE)
        self.socket.sendall(header)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost", session=session)
        self._file = self.socket.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()
        self.socket.close()

    def reply(self):
        """
        @return: a reply, its lines separated by C{"\\n"}.
        """
        lines = []
        while not lines or lines[-1][3:4] == "-":
            line = self._file.readline()
            if not line.endswith(b"\r\n"):
                raise EOFError(f"the peer hung up after {lines}")
            lines.append(line[:-2].decode())
        return "\n".join(lines)

    def ask(self, *commands):
        """
        Send commands, all at once.

        @param commands: a text each, without the end of the line; or bytes, which are sent as they are.

        @return: a list of the reply to each.
        """
        self.socket.sendall(b"".join(c if isinstance(c, bytes) else f"{c}\r\n".encode() for c in commands))
        return [self.reply() for _ in commands]

    def deliver(self, hello="EHLO"):
        """
        Send one message in a chunk, and end.
        """
        self.ask(f"{hello} client.example")
        replies = self.ask(*MESSAGE, "QUIT")
        codes = [reply[:3] for reply in replies]
        if codes != ["250", "250", "250", "221"]:
            raise AssertionError(replies)


#: A transaction with BDAT.
MESSAGE = ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", b"BDAT 14 LAST\r\nSubject: x\r\n\r\n")

CLIENT, SERVER = "192.0.2.9", "192.0.2.1"
CLIENT6, SERVER6 = "2001:db8::9", "2001:db8::1"

#: Headers of the PROXY protocol, version 1 with IPv4 and 2 with IPv6.
PROXY1 = f"PROXY TCP4 {CLIENT} {SERVER} 4444 25\r\n".encode()
PROXY2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21" + struct.pack(
    "!H16s16sHH", 36, ipaddress.ip_address(CLIENT6).packed, ipaddress.ip_address(SERVER6).packed, 4444, 25
)


def address(destination):
    """
    @return: a destination the way sockets want it.
    """
    host, _, port = destination.rpartition(":")
    return host.strip("[]"), int(port)


def encoded(text):
    """
    @return: it in base 64.
    """
    return base64.b64encode(text.encode()).decode()


class PeerTestCase(TestCase):
    """
    Starting a peer, and sending something to it.
    """

    timeout = TEST_LIMIT

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

    def certificates(self, **settings):
        """
        @return: new certificates.
        """
        if makeCertificates is None:
            missing("cryptography isn't installed")
        return makeCertificates(self.mktemp(), **settings)

    def context(self, certificates, version=None):
        """
        @param version: the one version of TLS to offer.

        @return: the context of a client that trusts the authority of these certificates.
        """
        context = ssl.create_default_context(cafile=certificates.authority)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


class CertificatesTests(PeerTestCase):
    """
    L{makeCertificates}.
    """

    def shake(self, certificates, name="localhost", trusted=None, required=False):
        """
        Shake hands in memory.

        @param name: the name that the client asks for.
        @param trusted: what the client trusts, the authority if left out.
        @param required: whether a certificate of the client is required.

        @return: the client's certificate, as the server sees it.
        """
        client = ssl.create_default_context(cafile=trusted or certificates.authority)
        client.load_cert_chain(certificates.clientCertificate, certificates.clientKey)
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.authority)
        server.load_cert_chain(certificates.certificate, certificates.key)
        server.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_NONE
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
        for _ in range(4):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        return ends[1].getpeercert()

    def refused(self, why, **settings):
        """
        See that a client refuses the server.
        """
        error = self.assertRaises(ssl.SSLCertVerificationError, self.shake, self.certificates(**settings))
        self.assertIn(why, str(error).lower())

    def test_names(self):
        """
        The server's certificate is good for each of its names, and for no other.
        """
        certificates = self.certificates()
        for name in ("localhost", "peer.example", "127.0.0.1", "::1"):
            self.shake(certificates, name)
        self.assertRaises(ssl.SSLCertVerificationError, self.shake, certificates, "wrong.example")

    def test_client(self):
        """
        The client's certificate is from the same authority.
        """
        found = self.shake(self.certificates(), required=True)
        self.assertEqual((("DNS", "client.example"),), found["subjectAltName"])

    def test_expired(self):
        """
        One that has expired.
        """
        self.refused("expired", expired=True)

    def test_wrongNames(self):
        """
        One for another name.
        """
        self.shake(self.certificates(names=["wrong.example"]), "wrong.example")
        self.refused("mismatch", names=["wrong.example"])

    def test_selfSigned(self):
        """
        One that is signed by itself: it is good for whoever trusts just that one.
        """
        certificates = self.certificates(selfSigned=True)
        self.shake(certificates, trusted=certificates.certificate)
        # With a blank or with a hyphen, as of OpenSSL's version.
        self.refused("signed certificate", selfSigned=True)

    def test_otherAuthority(self):
        """
        Each call has an authority of its own.
        """
        trusted = self.certificates().authority
        self.assertRaises(ssl.SSLCertVerificationError, self.shake, self.certificates(), trusted=trusted)


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


class PostfixServerTLSTests(PeerTestCase):
    """
    L{PostfixServer} with TLS.
    """

    @defer.inlineCallbacks
    def test_STARTTLS(self):
        """
        STARTTLS is announced, and the log tells what came of it.
        """
        certificates = self.certificates()
        peer = yield self.start(PostfixServer(tls=certificates))

        def deliver():
            with smtplib.SMTP("localhost", peer.port, timeout=PATIENCE) as client:
                client.starttls(context=self.context(certificates, ssl.TLSVersion.TLSv1_3))
                client.sendmail("a@example.org", ["b@example.org"], "Subject: x\n\nx\n")
                return client.sock.version(), client.sock.cipher()[0]

        protocol, cipher = yield deferToThread(deliver)
        yield peer.whenDelivered(1)
        self.assertEqual([("Anonymous", protocol, cipher)], peer.tlsConnections(), peer.log())
        self.assertEqual("TLSv1.3", peer.tlsConnections()[0].protocol)
        self.assertEqual(0, peer.tlsResumptions())
        yield self.gone(peer)

    @defer.inlineCallbacks
    def test_optional(self):
        """
        TLS is an offer.
        """
        peer = yield self.start(PostfixServer(tls=self.certificates()))
        yield self.send(peer, "-m 2")
        yield peer.whenDelivered(2)
        self.assertEqual([], peer.tlsConnections())

    @defer.inlineCallbacks
    def test_implicit(self):
        """
        TLS from the start, on another port; here with IPv6 and a certificate of the client.
        """
        certificates = self.certificates()
        peer = yield self.start(PostfixServer("inet6", tls=certificates))
        context = self.context(certificates, ssl.TLSVersion.TLSv1_2)
        context.load_cert_chain(certificates.clientCertificate, certificates.clientKey)

        def deliver():
            host, port = address(peer.implicitDestination)
            with smtplib.SMTP_SSL(host, port, timeout=PATIENCE, context=context) as client:
                client.sendmail("a@example.org", ["b@example.org"], "Subject: x\n\nx\n")

        yield deferToThread(deliver)
        yield peer.whenDelivered(1)
        self.assertEqual([("Trusted", "TLSv1.2")], [found[:2] for found in peer.tlsConnections()], peer.log())

    @defer.inlineCallbacks
    def test_resumption(self):
        """
        Sessions can be resumed, whichever version of TLS, and whichever process it is.
        """
        certificates = self.certificates()
        peer = yield self.start(PostfixServer(tls=certificates))

        def resume(context):
            resumed, session = [], None
            for _ in range(3):
                with Conversation(peer.implicitDestination, b"", context, session) as client:
                    client.ask("QUIT")
                    # With TLS 1.3 it comes after the handshake, so not until something was read.
                    session = client.socket.session
                    resumed.append(client.socket.session_reused)
            return resumed

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            resumed = yield deferToThread(resume, self.context(certificates, version))
            self.assertEqual([False, True, True], resumed)
        yield eventually(lambda: len(peer.tlsConnections()) == 6, "the log")
        self.assertEqual(4, peer.tlsResumptions(), peer.log())

    @defer.inlineCallbacks
    def test_refusedCertificate(self):
        """
        Certificates that nobody should accept are presented, too.
        """
        for settings in ({"expired": True}, {"names": ["wrong.example"]}, {"selfSigned": True}):
            certificates = self.certificates(**settings)
            peer = yield self.start(PostfixServer(tls=certificates))
            connecting = deferToThread(Conversation, peer.implicitDestination, b"", self.context(certificates))
            yield self.assertFailure(connecting, ssl.SSLCertVerificationError)
            self.assertEqual([], peer.tlsConnections())

    @defer.inlineCallbacks
    def test_notAsked(self):
        """
        Without certificates there is no TLS.
        """
        peer = yield self.start(PostfixServer())
        with self.assertRaises(ValueError):
            _ = peer.implicitDestination
        with (yield deferToThread(Conversation, peer.destination)) as client:
            announced = yield deferToThread(client.ask, "EHLO client.example")
        self.assertNotIn("STARTTLS", announced[0])


class PostfixServerAuthTests(PeerTestCase):
    """
    L{PostfixServer} with L{DovecotAuth}.
    """

    @defer.inlineCallbacks
    def peers(self, *arguments):
        """
        @return: a L{defer.Deferred} that fires with the two that were started.
        """
        auth = yield self.start(DovecotAuth(*arguments))
        peer = yield self.start(PostfixServer(auth=auth))
        return auth, peer

    @defer.inlineCallbacks
    def test_smtplib(self):
        """
        What smtplib can do.
        """
        auth, peer = yield self.peers({"joe": "pa:ss word"})

        def logIn():
            for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
                with smtplib.SMTP(*address(peer.destination), timeout=PATIENCE) as client:
                    client.ehlo()
                    client.user, client.password = "joe", "pa:ss word"
                    answer = getattr(client, f"auth_{mechanism}".lower().replace("-", "_"))
                    client.auth(mechanism, answer, initial_response_ok=mechanism == "PLAIN")
                    client.sendmail("a@example.org", ["b@example.org"], "Subject: x\n\nx\n")
            with smtplib.SMTP(*address(peer.destination), timeout=PATIENCE) as client:
                self.assertRaises(smtplib.SMTPAuthenticationError, client.login, "joe", "wrong")

        yield deferToThread(logIn)
        yield peer.whenDelivered(3)
        self.assertEqual([("PLAIN", "joe"), ("LOGIN", "joe"), ("CRAM-MD5", "joe")], peer.saslLogins(), peer.log())
        # With login() it tries one after the other, and the log may be a moment behind the last reply.
        yield eventually(lambda: set(peer.saslFailures()) == {"PLAIN", "LOGIN", "CRAM-MD5"}, "the log")
        yield self.gone(peer)
        yield self.gone(auth)

    @defer.inlineCallbacks
    def test_unicode(self):
        """
        Names and passwords may be more than ASCII.
        """
        _, peer = yield self.peers({"j\xf6@example.org": "p\xe4ss"})

        def logIn():
            with Conversation(peer.destination) as client:
                client.ask("EHLO client.example")
                return client.ask("AUTH PLAIN " + encoded("\0j\xf6@example.org\0p\xe4ss"))

        replies = yield deferToThread(logIn)
        self.assertEqual(["235 2.7.0 Authentication successful"], replies)

    @defer.inlineCallbacks
    def test_announced(self):
        """
        All mechanisms are announced, with and without TLS; or those that are asked for.
        """
        auth = yield self.start(DovecotAuth())
        few = yield self.start(DovecotAuth(mechanisms=["PLAIN", "SCRAM-SHA-256"]))
        for given, expected in ((auth, DovecotAuth.MECHANISMS), (few, ["PLAIN", "SCRAM-SHA-256"])):
            peer = yield self.start(PostfixServer(auth=given))
            with (yield deferToThread(Conversation, peer.destination)) as client:
                (announced,) = yield deferToThread(client.ask, "EHLO client.example")
            (line,) = [line for line in announced.split("\n") if line[4:].startswith("AUTH ")]
            self.assertEqual(sorted(expected), sorted(line[4:].split()[1:]))

    @defer.inlineCallbacks
    def test_SCRAM(self):
        """
        SCRAM-SHA-256 (RFC 7677), where the server proves that it knows the password as well.
        """
        _, peer = yield self.peers()

        def logIn():
            with Conversation(peer.destination) as client:
                client.ask("EHLO client.example")
                first = "n=user,r=nonce"
                (challenge,) = client.ask("AUTH SCRAM-SHA-256 " + encoded(f"n,,{first}"))
                challenge = base64.b64decode(challenge.removeprefix("334 ")).decode()
                fields = dict(field.split("=", 1) for field in challenge.split(","))
                salt, iterations = base64.b64decode(fields["s"]), int(fields["i"])
                salted = hashlib.pbkdf2_hmac("sha256", b"secret", salt, iterations)
                last = f"c={encoded('n,,')},r={fields['r']}"
                message = f"{first},{challenge},{last}".encode()
                key = hmac.digest(salted, b"Client Key", "sha256")
                signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
                proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
                (final,) = client.ask(encoded(f"{last},p={proof}"))
                expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
                verifier = base64.b64decode(final.removeprefix("334 ")).decode()
                self.assertEqual(f"v={base64.b64encode(expected).decode()}", verifier)
                self.assertEqual(["235 2.7.0 Authentication successful"], client.ask(""))
                client.deliver()

        yield deferToThread(logIn)
        yield peer.whenDelivered(1)
        self.assertEqual([("SCRAM-SHA-256", "user")], peer.saslLogins(), peer.log())

    @defer.inlineCallbacks
    def test_tokens(self):
        """
        XOAUTH2 and OAUTHBEARER (RFC 7628), with a good token and with an expired one.
        """
        auth, peer = yield self.peers()
        good, bad = auth.token("joe"), auth.token("joe", -60)

        def logIn(mechanism, response):
            with Conversation(peer.destination) as client:
                client.ask("EHLO client.example")
                (reply,) = client.ask(f"AUTH {mechanism} {encoded(response)}")
                if reply.startswith("235"):
                    client.deliver()
                    return reply
                # It tells why first, and wants to hear something.
                self.assertIn('"status":', base64.b64decode(reply.removeprefix("334 ")).decode())
                return client.ask("" if mechanism == "XOAUTH2" else encoded("\1"))[0]

        for mechanism, response in (
            ("XOAUTH2", "user=joe\1auth=Bearer %s\1\1"),
            ("OAUTHBEARER", "n,a=joe,\1host=localhost\1port=25\1auth=Bearer %s\1\1"),
        ):
            accepted = yield deferToThread(logIn, mechanism, response % good)
            refused = yield deferToThread(logIn, mechanism, response % bad)
            self.assertEqual(["235", "535"], [accepted[:3], refused[:3]])
        yield peer.whenDelivered(2)
        self.assertEqual([("XOAUTH2", "joe"), ("OAUTHBEARER", "joe")], peer.saslLogins(), peer.log())
        yield eventually(lambda: peer.saslFailures() == ["XOAUTH2", "OAUTHBEARER"], "the log")

    @defer.inlineCallbacks
    def test_badConfiguration(self):
        """
        If Dovecot doesn't start, that is known, with the reason.
        """
        auth = DovecotAuth(settings=["no_such_setting = yes"])
        self.addCleanup(auth.stop)
        problem = yield self.assertFailure(auth.start(), RuntimeError)
        self.assertIn("no_such_setting", str(problem))


class PostfixServerClientTests(PeerTestCase):
    """
    What L{PostfixServer} is told about its clients, and CHUNKING.
    """

    @defer.inlineCallbacks
    def test_XCLIENT(self):
        """
        With XCLIENT, the log has what was said.
        """
        peer = yield self.start(PostfixServer(xclient=True))

        def deliver():
            for attributes in (
                f"NAME=there.example ADDR={CLIENT}",
                f"NAME=[UNAVAILABLE] ADDR=IPV6:{CLIENT6} LOGIN=joe",
            ):
                with Conversation(peer.destination) as client:
                    self.assertIn("XCLIENT NAME ADDR", client.ask("EHLO client.example")[0])
                    # The session starts again, with another greeting.
                    self.assertEqual([client.greeting], client.ask(f"XCLIENT {attributes}"))
                    client.deliver()

        yield deferToThread(deliver)
        yield peer.whenDelivered(2)
        self.assertEqual([f"there.example[{CLIENT}]", f"unknown[{CLIENT6}]"], peer.clients(), peer.log())
        self.assertEqual([("XCLIENT", "joe")], peer.saslLogins())

    @defer.inlineCallbacks
    def test_PROXY(self):
        """
        On another port there is a header of the PROXY protocol first, and then maybe TLS.
        """
        certificates = self.certificates()
        peer = yield self.start(PostfixServer(proxy=True, tls=certificates))
        context = self.context(certificates)

        def deliver():
            for header in (PROXY1, PROXY2):
                for destination, security in ((peer.proxyDestination, None), (peer.proxyImplicitDestination, context)):
                    with Conversation(destination, header, security) as client:
                        client.deliver()

        yield deferToThread(deliver)
        yield peer.whenDelivered(4)
        expected = [f"unknown[{CLIENT}]"] * 2 + [f"unknown[{CLIENT6}]"] * 2
        self.assertEqual(expected, peer.clients(), peer.log())
        self.assertEqual(2, len(peer.tlsConnections()))

    @defer.inlineCallbacks
    def test_BDAT(self):
        """
        Chunks are taken, in a group with other commands as well, and a last one ends the transaction even if it is
        refused.
        """
        settings = {"smtpd_recipient_restrictions": "check_recipient_access inline:{bad@example.org=REJECT}, permit"}
        peer = yield self.start(PostfixServer(settings=settings))

        def deliver():
            with Conversation(peer.destination) as client:
                client.ask("EHLO client.example")
                sender, recipient, last = MESSAGE
                refused = client.ask(sender, "RCPT TO:<bad@example.org>", last)
                accepted = client.ask(sender, recipient, b"BDAT 5\r\nA: b\n", b"BDAT 0 LAST\r\n")
                client.ask("QUIT")
                return refused + accepted

        replies = yield deferToThread(deliver)
        self.assertEqual(["250", "554", "554", "250", "250", "250", "250"], [reply[:3] for reply in replies], replies)
        yield peer.whenDelivered(1)
        self.assertEqual(["unknown[127.0.0.1]"], peer.clients())


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


class DovecotLMTPFeaturesTests(PeerTestCase):
    """
    L{DovecotLMTP} with TLS and with more than that.
    """

    @defer.inlineCallbacks
    def STARTTLS(self, family):
        """
        LMTP with STARTTLS.
        """
        certificates = self.certificates()
        peer = yield self.start(DovecotLMTP(family, tls=certificates))
        where = [peer.socket] if family == "unix" else address(peer.destination)

        def deliver():
            with smtplib.LMTP(*where, timeout=PATIENCE) as client:
                # Otherwise the path of the UNIX socket had to be in the certificate.
                client._host = "localhost"
                client.starttls(context=self.context(certificates))
                client.sendmail("a@example.org", ["b@example.org"], "Subject: x\n\nx\n")
                return client.sock.version(), client.sock.cipher()[0]

        protocol, cipher = yield deferToThread(deliver)
        self.assertEqual({"b@example.org": 1}, peer.mailboxes(), peer.log())
        (trace,) = peer.traces()
        self.assertIn(f"(using {protocol} with cipher {cipher} ", trace)
        self.assertIn("by peer.example with LMTPS id", trace)
        yield self.gone(peer)

    def test_STARTTLS(self):
        """
        STARTTLS over TCP.
        """
        return self.STARTTLS("inet")

    def test_IPv6STARTTLS(self):
        """
        STARTTLS over IPv6.
        """
        return self.STARTTLS("inet6")

    def test_UNIXSTARTTLS(self):
        """
        STARTTLS over a UNIX socket.
        """
        return self.STARTTLS("unix")

    @defer.inlineCallbacks
    def test_implicit(self):
        """
        TLS from the start, on another port; but never on a UNIX socket.
        """
        certificates = self.certificates()
        peer = yield self.start(DovecotLMTP(tls=certificates))

        def deliver():
            with Conversation(peer.implicitDestination, b"", self.context(certificates)) as client:
                client.deliver("LHLO")

        yield deferToThread(deliver)
        self.assertIn("with LMTPS id", peer.traces()[0])
        local = yield self.start(DovecotLMTP("unix", tls=certificates))
        with self.assertRaises(ValueError):
            _ = local.implicitDestination

    @defer.inlineCallbacks
    def test_announced(self):
        """
        What it announces by itself, and on request.
        """
        common = {"PIPELINING", "CHUNKING", "8BITMIME", "ENHANCEDSTATUSCODES"}
        plain = yield self.start(DovecotLMTP())
        more = yield self.start(DovecotLMTP(tls=self.certificates(), xclient=True))
        for peer, expected in ((plain, common), (more, common | {"STARTTLS", "XCLIENT", "XRCPTFORWARD"})):
            with (yield deferToThread(Conversation, peer.destination)) as client:
                (announced,) = yield deferToThread(client.ask, "LHLO client.example")
            self.assertEqual(expected, {line[4:].split()[0] for line in announced.split("\n")[1:]})

    @defer.inlineCallbacks
    def test_XCLIENT(self):
        """
        With XCLIENT, the Received header has what was said.
        """
        peer = yield self.start(DovecotLMTP(xclient=True))

        def deliver():
            for attributes in (f"ADDR={CLIENT}", f"ADDR=IPV6:{CLIENT6}"):
                with Conversation(peer.destination) as client:
                    client.ask("LHLO client.example")
                    self.assertEqual([client.greeting], client.ask(f"XCLIENT {attributes}"))
                    client.deliver("LHLO")

        yield deferToThread(deliver)
        found = [trace.partition(" by ")[0] for trace in peer.traces()]
        self.assertEqual([f"from client.example ([{CLIENT}])", f"from client.example ([{CLIENT6}])"], found)

    @defer.inlineCallbacks
    def test_PROXY(self):
        """
        On another port there is a header of the PROXY protocol first, and then maybe TLS.
        """
        certificates = self.certificates()
        peer = yield self.start(DovecotLMTP(proxy=True, tls=certificates))
        context = self.context(certificates)

        def deliver():
            for header in (PROXY1, PROXY2):
                for destination, security in ((peer.proxyDestination, None), (peer.proxyImplicitDestination, context)):
                    with Conversation(destination, header, security) as client:
                        client.deliver("LHLO")

        yield deferToThread(deliver)
        found = [(trace.split()[2], "LMTPS" in trace) for trace in peer.traces()]
        one, two = f"([{CLIENT}])", f"([{CLIENT6}])"
        self.assertEqual([(one, False), (one, True), (two, False), (two, True)], found, peer.log())

    @defer.inlineCallbacks
    def test_BDAT(self):
        """
        Chunks are taken as they are, in a group with other commands as well; but after one that was refused, be it the
        last one, RSET is needed.
        """
        peer = yield self.start(DovecotLMTP(users=["b@example.org"]))
        chunks = b"BDAT 8\r\nA: b\r\n\r\n", b"BDAT 8 LAST\r\n.\r\n..\r\n."

        def deliver():
            with Conversation(peer.destination) as client:
                client.ask("LHLO client.example")
                sender, recipient, last = MESSAGE
                bad = "RCPT TO:<bad@example.org>"
                return client.ask(sender, bad, last, sender, recipient, last, "RSET", sender, recipient, *chunks)

        replies = yield deferToThread(deliver)
        expected = ["250", "550", "503", "503", "250", "503", "250", "250", "250", "250", "250"]
        self.assertEqual(expected, [reply[:3] for reply in replies], replies)
        (content,) = peer.contents()
        self.assertTrue(content.endswith(b"\nA: b\n\n.\n..\n."), content)


class WaitingTests(TestCase):
    """
    L{eventually} and L{freePort}.
    """

    timeout = TEST_LIMIT

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

    def test_missingPeer(self):
        """
        A peer whose program isn't there skips the test that starts it, also one that wants the start to fail; but not
        where C{CI} is set.
        """
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        for kind in (PostfixSink, PostfixServer, DovecotLMTP, DovecotAuth):
            for more, expected in (({}, SkipTest), ({"CI": "true"}, RuntimeError)):
                peer = kind()
                self.addCleanup(peer.stop)
                with (
                    mock.patch("shutil.which", lambda name, path=None: None),
                    mock.patch.dict(os.environ, {**environment, **more}, clear=True),
                ):
                    self.assertIn("isn't installed", str(self.assertRaises(expected, peer.start)))

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
