"""
The extensions of SMTP against real servers: Postfix and Dovecot. The proof is in their logs, and in what they stored.
"""

from __future__ import annotations

import os
import re

import nameservers
from nameservers import MXTestCase
from peercase import PeerTestCase
from peers import DovecotAuth, DovecotLMTP, PostfixServer, PostfixSink, eventually, missing
from subprocesses import loadAndReport
from twisted.internet import defer
from twisted.names import dns

try:
    from certificates import makeCertificates
except ModuleNotFoundError:
    # Without cryptography.
    makeCertificates = None

TO = ("-t", "user@example.org")


def refusing(address):
    """
    @return: settings for Postfix, which refuses this recipient.
    """
    return {"smtpd_recipient_restrictions": f"check_recipient_access inline:{{{address}=reject}}"}


class Case(PeerTestCase):
    """
    What all of these have in common.
    """

    def file(self, content):
        """
        @return: the path of a file that has this in it.
        """
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(content)
        return os.path.abspath(path)

    def certificates(self, **kind):
        """
        @return: new ones.
        """
        self.canDoTLS()
        return makeCertificates(self.mktemp(), **kind)

    def canDoTLS(self):
        """
        Skip the test where there is no TLS, also in our program.
        """
        if makeCertificates is None:
            missing("cryptography isn't installed")

    @defer.inlineCallbacks
    def fails(self, kind, text, *arguments, **settings):
        """
        A run fails, and says why in one line, apart from hints.

        @return: the report.
        """
        if "--tls" in arguments:
            self.canDoTLS()
        result, report = yield loadAndReport(self, *arguments, **settings)
        self.assertEqual(result.status, 1)
        self.assertIn(kind, report["errors"])
        self.assertRegex(report["errors"][kind]["sample"], text)
        self.assertEqual(result.err.count(b"\n"), 1 + len(report["hints"]), result.err)
        self.assertRegex(result.err.decode(), text)
        self.assertEqual(report["messages"]["accepted"], 0)
        return report


class ChunkingTests(Case):
    """
    BDAT, one message at a time, in groups, and with a window.
    """

    @defer.inlineCallbacks
    def test_postfix(self):
        """
        Postfix stores what was sent, whatever way it was.
        """
        peer = yield self.peer(PostfixServer())
        expected = 0
        for options, size in (
            ([], 5000),
            (["--chunk-size", "1000"], 5000),
            (["--pipelining", "require"], 5000),
            (["--pipelining", "require", "--window", "4"], 5000),
            (["--pipelining", "require", "--window", "4", "--chunk-size", "2000"], 5000),
            (["--pipelining", "require", "--window", "4"], 300_000),
            (["--chunk-size", "100k"], 300_000),
        ):
            before = len(self.sizes(peer))
            arguments = ["-d", "-s", "3", "-m", "24", "-l", size, *TO, "--chunking", "require", *options]
            report = yield self.load(*arguments, peer.destination)
            self.assertNotIn("data", report["replies"])
            expected += 24
            yield peer.whenDelivered(expected)
            self.assertEqual((peer.received(), peer.delivered()), (expected, expected))
            # Postfix counts LF for CRLF, the header, and the Received header that it adds.
            for stored in self.sizes(peer)[before:]:
                self.assertTrue(size * 0.98 < stored < size + 1000, (options, stored))
        self.assertNotIn("improper command pipelining", peer.log())

    def sizes(self, peer):
        return list(map(int, re.findall(r"qmgr\[\d+\]: .*, size=(\d+),", peer.log())))

    @defer.inlineCallbacks
    def test_partial(self):
        """
        Some recipients of each message are refused: the counts are those of the log.
        """
        peer = yield self.peer(PostfixServer(settings=refusing("2u@x.org")))
        for number, window in ((1, "1"), (2, "5")):
            arguments = ["-A", "-d", "-s", "3", "-m", "60", "-r", "3", "-t", "u@x.org", "--window", window]
            result, report = yield loadAndReport(
                self, *arguments, "--pipelining", "require", "--chunking", "require", peer.destination
            )
            self.assertEqual(result.status, 1)
            self.assertEqual(report["messages"], {"started": 60, "accepted": 60, "rejected": 0, "failed": 0})
            self.assertEqual(report["recipients"], {"accepted": 120, "rejected": 60})
            yield peer.whenDelivered(120 * number)
            self.assertEqual((peer.received(), peer.delivered()), (60 * number, 120 * number))
            self.assertEqual(peer.rejected(), 60 * number)

    @defer.inlineCallbacks
    def test_refused(self):
        """
        Some messages have all of their recipients refused, in the middle of a window: no other is touched by that.
        """
        refused = [f"{n}u@x.org" for n in (2, 3, 7, 11, 12, 13, 20)]
        peer = PostfixServer(
            settings={"smtpd_recipient_restrictions": "check_recipient_access texthash:%(directory)s/access, permit"}
        )
        peer.addMap("access", dict.fromkeys(refused, "REJECT"))
        yield self.peer(peer)
        arguments = ["-A", "-d", "-N", "-m", "24", "-t", "u@x.org", "--window", "6", "--pipelining", "require"]
        result, report = yield loadAndReport(self, *arguments, "--chunking", "require", peer.destination)
        self.assertEqual(result.status, 1)
        self.assertEqual(report["messages"], {"started": 24, "accepted": 17, "rejected": 7, "failed": 0})
        self.assertEqual(report["recipients"], {"accepted": 17, "rejected": 7})
        yield peer.whenDelivered(17)
        self.assertEqual((peer.received(), peer.delivered(), peer.rejected()), (17, 17, 7))

    @defer.inlineCallbacks
    def test_dovecot(self):
        """
        LMTP over TCP and UNIX, several recipients, pipelined with a window: each has each message.
        """
        for family in ("inet", "unix"):
            peer = yield self.peer(DovecotLMTP(family, users=["1u@x.org", "3u@x.org", "u@x.org"]))
            arguments = ["-A", "-L", "-d", "-s", "2", "-m", "20", "-r", "3", "-t", "u@x.org", "--window", "3"]
            result, report = yield loadAndReport(
                self, *arguments, "--pipelining", "require", "--chunking", "require", peer.destination
            )
            self.assertEqual(result.status, 1)
            self.assertEqual(report["messages"], {"started": 20, "accepted": 20, "rejected": 0, "failed": 0})
            self.assertEqual(report["recipients"], {"accepted": 40, "rejected": 20})
            self.assertEqual(report["replies"]["rcpt"]["550"]["count"], 20)
            yield peer.whenDelivered(40)
            self.assertEqual(peer.mailboxes(), {"3u@x.org": 20, "u@x.org": 20})

    @defer.inlineCallbacks
    def test_dots(self):
        """
        Lines that begin with dots arrive as they are, by BDAT as by DATA.
        """
        text = "Subject: dots\n\n.one\n..two\n.\nend\n"
        peer = yield self.peer(DovecotLMTP())
        for number, mode in enumerate(("off", "require"), 1):
            path = self.file(text.encode())
            yield self.load("-L", *TO, "-F", path, "--chunking", mode, peer.destination)
            yield peer.whenDelivered(number)
        first, second = (content.partition(b"\n\n")[2] for content in peer.contents())
        self.assertTrue(first.startswith(b".one\n..two\n.\nend\n"), first)
        self.assertEqual(first, second)


class TLSTests(Case):
    """
    STARTTLS and implicit TLS.
    """

    @defer.inlineCallbacks
    def test_postfix(self):
        """
        Both ways, with the certificate verified; its log has the handshakes, with the version that was asked for.
        """
        made = self.certificates()
        peer = yield self.peer(PostfixServer(tls=made))
        verify = ["--tls-verify", "--tls-ca", str(made.authority)]
        for mode, destination in (("starttls", peer.destination), ("implicit", peer.implicitDestination)):
            for version in ("1.2", "1.3"):
                before = len(peer.tlsConnections())
                arguments = ["-s", "3", "-m", "12", *TO, "--tls", mode, *verify]
                report = yield self.load(*arguments, "--tls-min", version, "--tls-max", version, destination)
                self.assertEqual(sum(report["tls"].values()), 12)
                self.assertEqual(report["latency"]["tls"]["count"], 12)
                yield eventually(lambda least=before + 12: len(peer.tlsConnections()) >= least, "handshakes in its log")
                found = peer.tlsConnections()[before:]
                self.assertEqual({(one.trust, one.protocol) for one in found}, {("Anonymous", f"TLSv{version}")})
                self.assertEqual(
                    {f"{one.protocol} {one.cipher}" for one in found}, set(report["tls"]), "what we said was agreed on"
                )
        yield peer.whenDelivered(48)
        self.assertEqual((peer.received(), peer.delivered()), (48, 48))

    @defer.inlineCallbacks
    def test_resumed(self):
        """
        With C{--tls-resume} all handshakes but the first of each session are resumed ones, and the log says so.
        """
        peer = yield self.peer(PostfixServer(tls=self.certificates()))
        for number, version in enumerate(("1.2", "1.3"), 1):
            report = yield self.load(
                *("-m", "10", *TO, "--tls", "starttls", "--tls-resume", "--tls-max", version, peer.destination)
            )
            counts = {phase: report["latency"][phase]["count"] for phase in ("tls", "tls-resumed")}
            self.assertEqual(counts, {"tls": 1, "tls-resumed": 9})
            yield eventually(lambda least=9 * number: peer.tlsResumptions() >= least, "resumptions in its log")
            self.assertEqual(peer.tlsResumptions(), 9 * number)

    @defer.inlineCallbacks
    def test_client(self):
        """
        A certificate of ours, which the server trusts.
        """
        made = self.certificates()
        peer = yield self.peer(PostfixServer(tls=made))
        ours = ["--tls-cert", str(made.clientCertificate), "--tls-key", str(made.clientKey)]
        ciphers = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_AES_128_GCM_SHA256"]
        for number, cipher in enumerate(ciphers, 1):
            version = ["--tls-max", "1.3" if cipher.startswith("TLS_") else "1.2"]
            arguments = ["--tls", "starttls", *ours, "--tls-ciphers", cipher, *version]
            yield self.load(*TO, *arguments, peer.destination)
            yield eventually(lambda least=number: len(peer.tlsConnections()) >= least, "a handshake in its log")
        found = peer.tlsConnections()
        self.assertEqual([(one.trust, one.cipher) for one in found], [("Trusted", cipher) for cipher in ciphers])

    @defer.inlineCallbacks
    def test_refused(self):
        """
        A certificate that is none to trust, and the reason.
        """
        good = self.certificates()
        for made, authority, text in (
            (self.certificates(expired=True), None, "expired"),
            (self.certificates(names=["wrong.example"]), None, "wrong.example"),
            (self.certificates(selfSigned=True), None, "self-signed"),
            (self.certificates(), good.authority, "issuer|authority"),
        ):
            peer = yield self.peer(PostfixServer(tls=made))
            verify = ["--tls-verify", "--tls-ca", str(authority or made.authority)]
            for mode, destination in (("starttls", peer.destination), ("implicit", peer.implicitDestination)):
                yield self.fails("certificate-refused", text, "-m", "3", *TO, "--tls", mode, *verify, destination)
            self.assertEqual(peer.received(), 0)

    @defer.inlineCallbacks
    def test_name(self):
        """
        The name to be verified can be given.
        """
        made = self.certificates(names=["mail.example"])
        peer = yield self.peer(PostfixServer(tls=made))
        verify = ["--tls-verify", "--tls-ca", str(made.authority), "--tls-server-name", "mail.example"]
        yield self.load(*TO, "--tls", "starttls", *verify, peer.destination)

    @defer.inlineCallbacks
    def test_dovecot(self):
        """
        LMTP with STARTTLS, over TCP and UNIX, in groups.
        """
        for family in ("inet", "unix"):
            peer = yield self.peer(DovecotLMTP(family, tls=self.certificates()))
            arguments = ["-L", "-d", "-s", "2", "-m", "10", "-r", "2", *TO, "--tls", "starttls"]
            report = yield self.load(*arguments, "--pipelining", "require", peer.destination)
            self.assertEqual(sum(report["tls"].values()), 2)
            yield peer.whenDelivered(20)
            self.assertEqual(len([trace for trace in peer.traces() if "TLS" in trace]), 20)

    @defer.inlineCallbacks
    def test_dovecotImplicit(self):
        """
        LMTP with TLS from the first byte, verified, with BDAT.
        """
        made = self.certificates()
        peer = yield self.peer(DovecotLMTP(tls=made))
        arguments = ["-L", "-m", "4", *TO, "--tls", "implicit", "--tls-verify", "--tls-ca", str(made.authority)]
        for number, chunking in enumerate(("off", "require"), 1):
            report = yield self.load(*arguments, "--chunking", chunking, peer.implicitDestination)
            yield peer.whenDelivered(4 * number)
            (description,) = report["tls"]
            version, cipher = description.split()
            self.assertEqual(report["tls"], {description: 4})
            expected = f"(using {version} with cipher {cipher} "
            self.assertTrue(all(expected in trace for trace in peer.traces()), (description, peer.traces()))

    @defer.inlineCallbacks
    def test_notAnnounced(self):
        """
        A server without TLS: nothing is sent in the clear.
        """
        peer = yield self.peer(PostfixServer())
        yield self.fails("not-announced", "STARTTLS", *TO, "--tls", "starttls", peer.destination)
        self.assertEqual(peer.received(), 0)

    @defer.inlineCallbacks
    def test_noTLS(self):
        """
        A server that speaks SMTP where TLS is expected.
        """
        peer = yield self.peer(PostfixServer())
        yield self.fails("tls-failed", "TLS", *TO, "--tls", "implicit", peer.destination)

    @defer.inlineCallbacks
    def test_large(self):
        """
        Large messages, streamed, through TLS.
        """
        peer = yield self.peer(PostfixServer(tls=self.certificates()))
        for chunking in ("off", "require"):
            yield self.load(
                *("-d", "-s", "2", "-m", "6", "-l", "1m", *TO, "--tls", "starttls", "--chunking", chunking),
                peer.destination,
            )
        yield peer.whenDelivered(12)
        sizes = list(map(int, re.findall(r"qmgr\[\d+\]: .*, size=(\d+),", peer.log())))
        self.assertTrue(len(sizes) == 12 and all(1040000 < size < 1052000 for size in sizes), sizes)


class AuthTests(Case):
    """
    AUTH, with Postfix, which asks Dovecot.
    """

    @defer.inlineCallbacks
    def start(self, **settings):
        """
        @return: the authentication server and the mail server.
        """
        auth = yield self.peer(DovecotAuth(**settings))
        peer = yield self.peer(PostfixServer(auth=auth))
        return auth, peer

    @defer.inlineCallbacks
    def test_mechanisms(self):
        """
        Each mechanism; the log has it with the user's name.
        """
        auth, peer = yield self.start(users={"joe": "s3cret phrase"})
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"):
            password = auth.token("joe") if mechanism == "XOAUTH2" else "s3cret phrase"
            before = len(peer.saslLogins())
            arguments = ["-s", "2", "-m", "4", *TO, "--auth", mechanism, "--auth-user", "joe"]
            path = self.file(password.encode() + b"\n")
            report = yield self.load(*arguments, "--auth-password-file", path, peer.destination)
            self.assertEqual(report["replies"]["auth"]["235"]["count"], 4)
            self.assertNotIn(password, str(report))
            yield eventually(lambda least=before + 4: len(peer.saslLogins()) >= least, "logins in its log")
            self.assertEqual(peer.saslLogins()[before:], [(mechanism, "joe")] * 4)

    @defer.inlineCallbacks
    def test_users(self):
        """
        Users of a file log in in turn.
        """
        users = {f"user{n}": f"secret:{n}" for n in range(3)}
        _, peer = yield self.start(users=users)
        lines = "".join(f"{name}:{password}\n" for name, password in users.items())
        path = self.file(lines.encode())
        yield self.load("-m", "9", *TO, "--auth", "SCRAM-SHA-256,PLAIN", "--auth-users", path, peer.destination)
        yield eventually(lambda: len(peer.saslLogins()) >= 9, "logins in its log")
        self.assertEqual(peer.saslLogins(), [("SCRAM-SHA-256", name) for name in users] * 3)

    @defer.inlineCallbacks
    def test_refused(self):
        """
        A wrong password, from the environment; with C{-A} all messages are rejected, and none is sent.
        """
        _, peer = yield self.start()
        arguments = ["-A", "-m", "3", *TO, "--auth", "PLAIN", "--auth-user", "user", peer.destination]
        result, report = yield loadAndReport(self, *arguments, env={"SMTPSOURCE_PASSWORD": "wrong-one"})
        self.assertEqual(result.status, 1)
        self.assertEqual(report["messages"], {"started": 3, "accepted": 0, "rejected": 3, "failed": 0})
        self.assertEqual(report["replies"]["auth"]["535"]["count"], 3)
        self.assertEqual((peer.received(), peer.saslFailures()), (0, ["PLAIN"] * 3))
        self.assertNotIn(b"wrong-one", result.out + result.err)

    @defer.inlineCallbacks
    def test_lmtp(self):
        """
        LMTP, and SMTP as well, where a sink of ours checks the users, which are those of the run.
        """
        users = {f"j\u00f6e{n}": f"se\u00adcret:{n}" for n in range(3)}
        path = self.file("".join(f"{name}:{password}\n" for name, password in users.items()).encode())
        for lmtp in ([], ["-L"]):
            for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"):
                arguments = ["-m", "6", *TO, "--auth", mechanism, "--auth-users", path, "--pipelining", "require"]
                report = yield self.load(*lmtp, *arguments, "sink:")
                self.assertEqual(report["sink"]["extensions"], {"auth": {"accepted": 6}})

    @defer.inlineCallbacks
    def test_notAnnounced(self):
        """
        A server without AUTH.
        """
        peer = yield self.peer(PostfixServer())
        arguments = [*TO, "--auth", "PLAIN,LOGIN", "--auth-user", "joe", peer.destination]
        yield self.fails("not-announced", "AUTH PLAIN LOGIN", *arguments, env={"SMTPSOURCE_PASSWORD": "x"})


class ClientTests(Case):
    """
    Who the client is: XCLIENT, the PROXY protocol, C{--bind}, C{--helo}.
    """

    @defer.inlineCallbacks
    def test_xclient(self):
        """
        Postfix and Dovecot take our word for it.
        """
        attributes = "NAME=spike.example,ADDR=192.0.2.7"
        peer = yield self.peer(PostfixServer(xclient=True))
        yield self.load("-m", "3", *TO, "--xclient", attributes, peer.destination)
        yield peer.whenDelivered(3)
        self.assertEqual(peer.clients(), ["spike.example[192.0.2.7]"] * 3)
        peer = yield self.peer(DovecotLMTP(xclient=True))
        yield self.load("-L", "-d", "-m", "3", *TO, "--xclient", "ADDR=192.0.2.7", peer.destination)
        yield peer.whenDelivered(3)
        self.assertTrue(all("192.0.2.7" in trace for trace in peer.traces()), peer.traces())

    @defer.inlineCallbacks
    def test_notTrusted(self):
        """
        A server that does not announce XCLIENT.
        """
        peer = yield self.peer(PostfixServer())
        yield self.fails("not-announced", "XCLIENT", *TO, "--xclient", "NAME=x.example", peer.destination)

    @defer.inlineCallbacks
    def test_proxy(self):
        """
        Both versions, with TLS after the header as well, given addresses and generated ones.
        """
        settings = {"mynetworks": "127.0.0.0/8 192.0.2.0/24 198.18.0.0/15"}
        peer = yield self.peer(PostfixServer(proxy=True, tls=self.certificates(), settings=settings))
        given = ["--proxy-source", "192.0.2.1,192.0.2.2"]
        expected = []
        for version in ("v1", "v2"):
            for tls, destination in (
                ([], peer.proxyDestination),
                (["--tls", "implicit"], peer.proxyImplicitDestination),
            ):
                yield self.load("-m", "4", *TO, "--proxy-protocol", version, *given, *tls, destination)
                expected += ["unknown[192.0.2.1]", "unknown[192.0.2.2]"] * 2
                yield peer.whenDelivered(len(expected))
                self.assertEqual(peer.clients(), expected)
        yield self.load("-m", "5", *TO, "--proxy-protocol", "v2", peer.proxyDestination)
        yield peer.whenDelivered(len(expected) + 5)
        self.assertEqual(peer.clients()[len(expected) :], [f"unknown[198.18.0.{n}]" for n in range(1, 6)])

    @defer.inlineCallbacks
    def test_bind(self):
        """
        Connections come from the addresses that were given, in turn, whatever the reactor.
        """
        peer = yield self.peer(PostfixServer(settings={"mynetworks": "127.0.0.0/8"}))
        for number, reactor in enumerate(("smtpsource", "epoll", "select"), 1):
            sources = "127.0.0.2/31" if reactor == "epoll" else "127.0.0.2,127.0.0.3"
            arguments = ["--reactor", reactor, "-m", "4", *TO, "--bind", sources]
            yield self.load(*arguments, peer.destination)
            yield peer.whenDelivered(4 * number)
            self.assertEqual(peer.clients()[-4:], ["unknown[127.0.0.2]", "unknown[127.0.0.3]"] * 2)

    @defer.inlineCallbacks
    def test_proxyLMTP(self):
        """
        The same with Dovecot: its Received header names the client that the header did, with TLS after that too.
        """
        peer = yield self.peer(DovecotLMTP(proxy=True, tls=self.certificates()))
        expected = 0
        for version, source in (("v1", "192.0.2.1"), ("v2", "2001:db8::1")):
            for tls, destination in (
                ([], peer.proxyDestination),
                (["--tls", "implicit"], peer.proxyImplicitDestination),
            ):
                arguments = ["-L", "-m", "2", *TO, "--proxy-protocol", version, "--proxy-source", source, *tls]
                yield self.load(*arguments, destination)
                expected += 2
                yield peer.whenDelivered(expected)
                last = peer.traces()[-2:]
                self.assertTrue(all(f"([{source}])" in trace for trace in last), last)
                self.assertEqual(["TLS" in trace for trace in last], [bool(tls)] * 2)

    @defer.inlineCallbacks
    def test_notProxied(self):
        """
        A server that does not expect the header: the one line that is said has the reason.
        """
        peer = yield self.peer(PostfixServer())
        for version in ("v1", "v2"):
            arguments = ["-m", "2", *TO, "--proxy-protocol", version, peer.destination]
            result, report = yield loadAndReport(self, *arguments)
            self.assertEqual((result.status, report["messages"]["accepted"], peer.received()), (1, 0, 0))
            self.assertEqual(result.err.count(b"\n"), 1, result.err)
            self.assertIn(b"the server may not expect the PROXY header", result.err)

    @defer.inlineCallbacks
    def test_bindIPv6(self):
        """
        So do those over IPv6; addresses of the other family are left for destinations of that.
        """
        peer = yield self.peer(PostfixServer("inet6"))
        for number, reactor in enumerate(("smtpsource", "epoll"), 1):
            arguments = ["--reactor", reactor, "-m", "4", *TO, "--bind", "127.0.0.2,::1"]
            yield self.load(*arguments, peer.destination)
            yield peer.whenDelivered(4 * number)
        self.assertEqual(peer.clients(), ["unknown[::1]"] * 8)
        yield self.fails("no-destination", "family", *TO, "--bind", "127.0.0.2", peer.destination)
        text = rf"\[::1\]:{peer.port} from 2001:db8::7: Cannot assign requested address"
        yield self.fails("connect-failed", text, *TO, "--bind", "2001:db8::7", peer.destination)
        self.assertEqual(peer.received(), 8)

    @defer.inlineCallbacks
    def test_helo(self):
        """
        What we say is what it takes us for.
        """
        peer = yield self.peer(DovecotLMTP())
        yield self.load("-L", *TO, "--helo", "somebody.example", "-M", "other.example", peer.destination)
        yield peer.whenDelivered(1)
        self.assertIn("from somebody.example", peer.traces()[0])


class MXTests(Case, MXTestCase):
    """
    C{--mx}, with a name server of ours.
    """

    def setUp(self):
        records = {
            "mail.test": [dns.Record_MX(10, "first.mail.test"), dns.Record_MX(20, "second.mail.test")],
            "first.mail.test": [dns.Record_A("127.0.0.9")],
            "second.mail.test": [dns.Record_A("127.0.0.1")],
            "xn--mller-kva.test": [dns.Record_MX(10, "second.mail.test")],
        }
        self.patch(nameservers, "RECORDS", records)
        super().setUp()

    @defer.inlineCallbacks
    def test_preference(self):
        """
        The most preferred one is tried first, and when it does not answer the next one.
        """
        peer = yield self.peer(PostfixServer())
        options = ["--mx", "--dns-server", "{}:{}".format(*self.server)]
        result, report = yield loadAndReport(self, "-m", "3", *TO, *options, f"mail.test:{peer.port}")
        self.assertEqual((result.status, report["messages"]["accepted"]), (0, 3), result)
        # From then on the one that has answered is tried first.
        self.assertEqual(report["connections"], {"opened": 3, "failed": 1, "lost": 0})
        yield peer.whenDelivered(3)

    @defer.inlineCallbacks
    def test_certificate(self):
        """
        What is asked for and verified is the exchanger's name, and not the domain's, unless another one is given.
        """
        options = ["-m", "2", *TO, "--mx", "--dns-server", "{}:{}".format(*self.server), "--tls", "starttls"]
        options += ["--tls-verify", "--tls-ca"]
        exchanger = self.certificates(names=["second.mail.test"])
        peer = yield self.peer(PostfixServer(tls=exchanger))
        yield self.loadTwo(*options, str(exchanger.authority), f"mail.test:{peer.port}")
        yield peer.whenDelivered(2)
        name = ["--tls-server-name", "mail.test"]
        text = "wrong name: wanted mail.test, the certificate is for second.mail.test"
        yield self.fails(
            "certificate-refused", text, *options, str(exchanger.authority), *name, f"mail.test:{peer.port}"
        )
        domain = self.certificates(names=["mail.test"])
        peer = yield self.peer(PostfixServer(tls=domain))
        text = "wrong name: wanted second.mail.test, the certificate is for mail.test"
        yield self.fails("certificate-refused", text, *options, str(domain.authority), f"mail.test:{peer.port}")
        self.assertEqual(peer.received(), 0)
        yield self.loadTwo(*options, str(domain.authority), *name, f"mail.test:{peer.port}")
        yield peer.whenDelivered(2)

    @defer.inlineCallbacks
    def test_international(self):
        """
        A domain that is not in ASCII is asked for by its A-labels, and so is a name in TLS.
        """
        certificates = self.certificates(names=["xn--mller-kva.test"])
        peer = yield self.peer(PostfixServer(tls=certificates))
        options = ["-m", "2", *TO, "--mx", "--dns-server", "{}:{}".format(*self.server), "--tls", "starttls"]
        options += ["--tls-verify", "--tls-ca", str(certificates.authority), "--tls-server-name", "M\u00fcller.test"]
        result, report = yield loadAndReport(self, *options, f"m\u00fcller.test:{peer.port}")
        self.assertEqual((result.status, report["messages"]["accepted"]), (0, 2), result)
        yield peer.whenDelivered(2)

    @defer.inlineCallbacks
    def loadTwo(self, *arguments):
        """
        Send two messages: the first exchanger does not answer, and the second one takes them.
        """
        result, report = yield loadAndReport(self, *arguments)
        self.assertEqual((result.status, report["messages"]["accepted"]), (0, 2), result)
        self.assertEqual(sum(report["tls"].values()), 2)

    @defer.inlineCallbacks
    def test_noSuchDomain(self):
        """
        A domain that is not there: nothing is sent, and one line says why.
        """
        options = ["--mx", "--dns-server", "{}:{}".format(*self.server)]
        yield self.fails("no-destination", r"missing\.test", *TO, *options, "missing.test:2525")


class ParameterTests(Case):
    """
    Parameters of MAIL and RCPT.
    """

    @defer.inlineCallbacks
    def test_accepted(self):
        """
        Postfix takes those that it announces, and does what they say: it notifies the sender of its success.
        """
        peer = yield self.peer(PostfixServer(watched=True))
        arguments = ["--8bitmime", "--smtputf8", "--size", "--dsn-ret", "hdrs", "--dsn-envid", "run+1=a", "-l", "5000"]
        yield self.load("-m", "2", "-t", "jos\u00e9@example.org", "-f", "me@example.net", *arguments, peer.destination)
        yield peer.whenDelivered(2)
        self.assertIn("to=<jos\u00e9@example.org>", peer.log())
        mails = [command for command in peer.commands() if command.startswith("MAIL")]
        expected = r"MAIL FROM:<me@example\.net> BODY=8BITMIME SMTPUTF8 SIZE=(5\d\d\d) RET=HDRS ENVID=run\+2B1\+3Da"
        sizes = [int(re.fullmatch(expected, mail)[1]) for mail in mails]
        self.assertEqual(len(sizes), 2, mails)
        # With LF for CRLF, and its own Received header.
        stored = list(map(int, re.findall(r"qmgr\[\d+\]: .*, size=(\d+),", peer.log())))
        self.assertTrue(all(abs(one - other) < 500 for one, other in zip(sizes, stored, strict=True)), (sizes, stored))
        yield self.load("-m", "2", *TO, "-f", "me@example.net", "--dsn-notify", "success", peer.destination)
        rcpts = [command for command in peer.commands() if command.startswith("RCPT")]
        self.assertEqual(rcpts[2:], ["RCPT TO:<user@example.org> NOTIFY=SUCCESS"] * 2)
        notified = r"sender delivery status notification"
        yield eventually(lambda: len(re.findall(notified, peer.log())) >= 2, "notifications")

    @defer.inlineCallbacks
    def test_size(self):
        """
        A server with a limit refuses at MAIL.
        """
        peer = yield self.peer(PostfixServer(settings={"message_size_limit": "100000"}))
        arguments = ["-A", "-l", "200000", "-m", "2", *TO, "--size", peer.destination]
        _, report = yield loadAndReport(self, *arguments)
        self.assertEqual(report["messages"]["rejected"], 2)
        self.assertEqual(report["replies"]["mail"]["552"]["count"], 2)

    @defer.inlineCallbacks
    def test_sink(self):
        """
        Those that neither Postfix nor Dovecot has, and all of them together, by SMTP and by LMTP: our sink, which
        takes none that is badly written, has them in its report.
        """
        self.canDoTLS()
        one = {
            ("--requiretls", "--tls=starttls"): {"REQUIRETLS": 3},
            ("--mt-priority", "-9"): {"MT-PRIORITY": 3},
            ("--deliverby", "120;RT"): {"BY": 3},
        }
        every = ("--8bitmime", "--smtputf8", "--size", "--dsn-notify=never", "--dsn-ret=full", "--dsn-envid=a b+c=d")
        counts = {"BODY": 3, "SMTPUTF8": 3, "SIZE": 3, "NOTIFY": 6, "RET": 3, "ENVID": 3}
        one[every] = counts
        together = tuple(option for options in one for option in options)
        one[together] = {name: number for found in list(one.values()) for name, number in found.items()}
        for options, expected in one.items():
            for dialogue in ([], ["-L"], ["-d", "--pipelining", "require"]):
                report = yield self.load("-m", "3", "-r", "2", *TO, *dialogue, *options, "sink:")
                found = report["sink"]["extensions"]
                self.assertEqual(found["parameters"], expected)
                self.assertEqual("tls" in found, "--tls=starttls" in options)
                self.assertEqual((report["sink"]["messages"], report["sink"]["recipients"]), (3, 6))

    @defer.inlineCallbacks
    def test_lmtp(self):
        """
        Dovecot's LMTP takes the one that it announces.
        """
        peer = yield self.peer(DovecotLMTP())
        yield self.load("-L", "-m", "2", *TO, "--8bitmime", peer.destination)
        yield peer.whenDelivered(2)
        yield self.fails("not-announced", "SIZE", "-L", *TO, "--size", peer.destination)
        self.assertEqual(peer.delivered(), 2)

    @defer.inlineCallbacks
    def test_notAnnounced(self):
        """
        What Postfix does not know is named.
        """
        peer = yield self.peer(PostfixServer())
        for option, name in (
            (["--mt-priority", "3"], "MT-PRIORITY"),
            (["--deliverby", "120;R"], "DELIVERBY"),
            (["--requiretls"], "REQUIRETLS"),
        ):
            yield self.fails("not-announced", name, *TO, *option, peer.destination)


class ModeTests(Case):
    """
    How extensions are used: the modes, and EHLO for its own sake.
    """

    @defer.inlineCallbacks
    def test_esmtp(self):
        """
        EHLO, if it is asked for, and what is announced; HELO where it is not, or where EHLO is refused.
        """
        peer = yield self.peer(PostfixServer(watched=True))
        for options, expected in ([], "HELO me.example"), (["--esmtp"], "EHLO me.example"):
            report = yield self.load("-M", "me.example", *TO, *options, peer.destination)
            self.assertEqual(peer.groups()[-5:][0], [expected])
            self.assertEqual("8BITMIME" in report["capabilities"], bool(options))
        peer = yield self.peer(PostfixSink(args=["-e"]))
        report = yield self.load("-m", "3", *TO, "--esmtp", peer.destination)
        self.assertEqual(list(report["replies"]["helo"]), ["250", "500"])
        self.assertEqual(report["capabilities"], {})
        yield peer.whenMessages(3)

    @defer.inlineCallbacks
    def test_pipelining(self):
        """
        C{auto} sends groups where they are announced, C{force} everywhere, as Postfix reads them.
        """
        group = ["MAIL FROM:<a@x.org>", "RCPT TO:<2b@x.org>", "RCPT TO:<b@x.org>", "DATA"]
        arguments = ["-d", "-m", "3", "-r", "2", "-f", "a@x.org", "-t", "b@x.org"]
        for discarded, modes in ((None, ("off", "auto", "require", "force")), ("pipelining", ("auto", "force"))):
            for mode in modes:
                settings = {} if discarded is None else {"smtpd_discard_ehlo_keywords": discarded}
                peer = yield self.peer(PostfixServer(watched=True, settings=settings))
                yield self.load(*arguments, "--pipelining", mode, peer.destination)
                yield peer.whenDelivered(6)
                isGrouped = mode in ("require", "force") or (mode == "auto" and discarded is None)
                expected = [group] * 3 if isGrouped else [[command] for command in group] * 3
                self.assertEqual(peer.groups()[1:-1], expected, (discarded, mode))
                yield peer.stop()

    @defer.inlineCallbacks
    def test_chunking(self):
        """
        C{auto} sends BDAT where it is announced, C{force} everywhere.
        """
        arguments = ["-m", "2", "-l", "1000", *TO]
        peer = yield self.peer(PostfixServer(watched=True))
        for mode in ("auto", "force"):
            yield self.load(*arguments, "--chunking", mode, peer.destination)
            self.assertRegex(peer.commands()[-2], r"^BDAT 1\d\d\d LAST$")
        yield peer.whenDelivered(4)
        peer = yield self.peer(PostfixServer(watched=True, settings={"smtpd_discard_ehlo_keywords": "chunking"}))
        yield self.load(*arguments, "--chunking", "auto", peer.destination)
        yield peer.whenDelivered(2)
        self.assertEqual(peer.commands()[-2:], ["DATA", "QUIT"])
        _, report = yield loadAndReport(self, "-A", *arguments, "--chunking", "force", peer.destination)
        self.assertEqual(report["messages"]["rejected"], 2)
        self.assertRegex(peer.commands()[-1], r"^BDAT 1\d\d\d LAST$")
        self.assertEqual(peer.delivered(), 2)


class ConnectionTests(Case):
    """
    Load that is no mail.
    """

    @defer.inlineCallbacks
    def test_noop(self):
        """
        NOOPs, on one connection.
        """
        peer = yield self.peer(PostfixServer())
        report = yield self.load("-d", "-m", "20", "--noop", peer.destination)
        self.assertEqual(report["replies"]["noop"]["250"]["count"], 20)
        yield eventually(lambda: "noop=20" in peer.log(), "its log")

    @defer.inlineCallbacks
    def test_connectOnly(self):
        """
        Connections with TLS and nothing more.
        """
        peer = yield self.peer(PostfixServer(tls=self.certificates()))
        report = yield self.load("-s", "2", "-m", "10", "--connect-only", "--tls", "starttls", peer.destination)
        self.assertEqual((report["connections"]["opened"], report["messages"]["accepted"]), (10, 10))
        self.assertNotIn("mail", report["replies"])
        yield eventually(lambda: len(peer.tlsConnections()) == 10, "handshakes in its log")

    @defer.inlineCallbacks
    def test_hold(self):
        """
        Connections that are kept open: by the server's clock, and all at once.
        """
        peer = yield self.peer(PostfixServer())
        # The first one is the test's, to see that it is there.
        yield eventually(peer.times, "an end in its log")
        for options in (["--connect-only"], [*TO]):
            began = len(peer.times())
            yield self.load("-s", "3", "-m", "3", "--hold", "3", *options, peer.destination)
            yield eventually(lambda least=began + 3: len(peer.times()) >= least, "three ends in its log")
            self.assertTrue(all(2 <= seconds <= 5 for seconds in peer.times()[began:]), peer.times())
        lines = re.findall(r"smtpd\[\d+\]: (connect|disconnect) from", peer.log())
        self.assertEqual(lines[2:], (["connect"] * 3 + ["disconnect"] * 3) * 2)
        self.assertEqual(peer.log().count(" helo=1 quit=1 "), 3)
        self.assertEqual(peer.log().count(" helo=1 mail=1 rcpt=1 data=1 quit=1 "), 3)

    @defer.inlineCallbacks
    def test_messagesPerConnection(self):
        """
        A connection for every so many messages.
        """
        peer = yield self.peer(PostfixServer())
        for options in ([], ["--pipelining", "require"], ["--pipelining=require", "--chunking=require", "--window=5"]):
            report = yield self.load("-m", "10", *TO, "--messages-per-connection", "3", *options, peer.destination)
            self.assertEqual(report["connections"]["opened"], 4)
        ends = r"disconnect from .* mail=(\d) "
        yield eventually(lambda: len(re.findall(ends, peer.log())) >= 12, "the ends in its log")
        self.assertEqual(re.findall(ends, peer.log()), ["3", "3", "3", "1"] * 3)
