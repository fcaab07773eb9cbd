"""
Tests for L{smtpsource.smtp.opening} and L{smtpsource.smtp.authentication}: what is said before the first message, and
what a server can do about it.
"""

from __future__ import annotations

import base64
import os

from conversations import Conversation, Letter, announcing
from hypothesis import strategies as st
from properties import given, settings
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.credentials import Credentials
from smtpsource.measure.summary import latenciesOf
from smtpsource.net.tls.client import TLSFailed
from smtpsource.phases import AUTH, BANNER, DATA, HELO, NAMES, NOOP, STARTTLS, TLS, TLS_RESUMED, XCLIENT
from smtpsource.phases import QUIT as QUIT_PHASE
from smtpsource.smtp import xclient
from smtpsource.smtp.trace import TracedProtocol
from smtpsource.testing import FakeTransport

MAIL = b"MAIL FROM:<a@x>\r\n"
EHLO = b"EHLO me\r\n"
QUIT = b"QUIT\r\n"


class FakeTLS:
    """
    A L{smtpsource.net.tls.client.TLSConnection} whose handshake the test completes.
    """

    description = "TLSv9 NULL"
    remembered = 0

    def __init__(self, resumed=False, fails=None, why=None):
        self.resumed = resumed
        self.fails = fails
        self.why = why

    def completed(self):
        if self.fails:
            raise TLSFailed(*self.fails)

    def remember(self):
        self.remembered += 1

    def explained(self, reason):
        return self.why


class SecuredTransport(FakeTransport):
    """
    A transport that takes note of TLS.
    """

    secured = None

    def startTLS(self, tls):
        self.secured = tls


#: A step of a dialogue at which the handshake is complete, if there is one.
HANDSHAKE = object()


class Secured(Conversation):
    """
    A conversation with TLS, whose handshake is complete when the test says so.
    """

    def __init__(self, *letters, fake=None, transport=SecuredTransport, **kind):
        self.transportClass = transport
        self.fake = fake or FakeTLS()
        super().__init__(*letters, tls=self.tlsWith, **kind)

    def tlsWith(self, name):
        """
        @return: the TLS with a server of this name.
        """
        self.fake.name = name
        return self.fake

    def handshake(self):
        """
        @return: what the client wrote when TLS was there.
        """
        self.client.handshakeCompleted()
        return self.transport.take()

    def times(self, *phases):
        """
        @return: how often each phase was timed.
        """
        latencies = latenciesOf(self.recorder)
        return [latencies[NAMES[phase]].count if NAMES[phase] in latencies else 0 for phase in phases]


class BrokenTests(SynchronousTestCase):
    """
    What is to come first can't be made here: that is the end of this connection, and its reason has a name.
    """

    def raises(self, *ignored):
        raise ValueError("what is wrong")

    def test_header(self):
        """
        The PROXY header.
        """
        talk = Conversation(Letter(), proxyHeader=self.raises)
        self.assertEqual(
            talk.settle(),
            [("fault", "connect-failed", "can't make a PROXY header: what is wrong"), ("disconnected", True)],
        )

    def test_TLS(self):
        """
        TLS, from the start and by STARTTLS.
        """
        fault = ("fault", "tls-failed", "can't begin TLS: what is wrong")
        talk = Conversation(Letter(), tls=self.raises, implicitTLS=True)
        self.assertEqual(talk.settle(), [fault, ("disconnected", True)])
        talk = Conversation(Letter(), tls=self.raises)
        talk.say(b"220 hi\r\n", announcing(b"STARTTLS"), b"220 go\r\n")
        self.assertEqual(talk.settle(), [fault, ("disconnected", True)])

    def test_transport(self):
        """
        A transport that can't.
        """

        class Transport(FakeTransport):
            startTLS = self.raises

        talk = Secured(Letter(), transport=Transport, implicitTLS=True)
        text = "can't begin TLS: what is wrong (waiting for the TLS handshake)"
        self.assertEqual(talk.settle(), [("fault", "tls-failed", text), ("disconnected", True)])


class TappedTransport(SecuredTransport):
    """
    A transport that keeps what is written before TLS is there, and lets no reply through as long as it is being made.
    """

    inTheClear = b""

    def shakesHands(self):
        """
        @return: has TLS begun, and is not there yet?
        """
        owed = self.protocol._owed
        return self.secured is not None and len(owed) > 0 and owed[0][0] == TLS

    def write(self, data):
        if self.secured is None or self.shakesHands():
            self.inTheClear += data
        super().write(data)

    def deliver(self, data):
        if data is HANDSHAKE:
            if self.shakesHands():
                self.protocol.handshakeCompleted()
        elif not self.shakesHands():
            super().deliver(data)
        elif data == b"\r\n":
            self.drop(ConnectionLost())


class TLSTests(SynchronousTestCase):
    """
    STARTTLS and implicit TLS.
    """

    def test_starttls(self):
        """
        EHLO, STARTTLS, the handshake, EHLO again; only what is announced then counts.
        """
        talk = Secured(Letter(), pipelining="auto")
        self.assertEqual(talk.say(b"220 hi\r\n"), EHLO)
        self.assertEqual(talk.say(announcing(b"STARTTLS", b"PIPELINING")), b"STARTTLS\r\n")
        self.assertEqual((talk.say(b"220 go\r\n"), talk.transport.secured), (b"", talk.fake))
        talk.reactor.advance(0.25)
        self.assertEqual(talk.handshake(), EHLO)
        self.assertEqual(talk.say(announcing(b"SIZE")), MAIL)
        self.assertEqual(talk.recorder.capabilities, {"SIZE": ""})
        self.assertEqual(talk.recorder.tls, {"TLSv9 NULL": 1})
        self.assertEqual(talk.fake.remembered, 1)
        self.assertEqual(talk.times(HELO, STARTTLS, TLS, TLS_RESUMED), [2, 1, 1, 0])

    def test_implicit(self):
        """
        The handshake comes before the banner; a resumed one is a phase of its own.
        """
        talk = Secured(Letter(), implicitTLS=True, fake=FakeTLS(resumed=True))
        self.assertEqual((talk.transport.secured, talk.handshake()), (talk.fake, b""))
        self.assertEqual(talk.say(b"220 hi\r\n"), b"HELO me\r\n")
        self.assertEqual(talk.times(TLS, TLS_RESUMED), [0, 1])
        self.assertIsNone(talk.fake.name)

    def test_name(self):
        """
        TLS is with the host that the connection was made to, where that has a name of its own.
        """
        talk = Secured(Letter(), pipelining="auto")
        talk.client.serverName = "mx1.example"
        self.assertEqual(talk.say(b"220 hi\r\n", announcing(b"STARTTLS")), b"STARTTLS\r\n")
        self.assertEqual((talk.say(b"220 go\r\n"), talk.transport.secured), (b"", talk.fake))
        self.assertEqual(talk.fake.name, "mx1.example")

    def test_notAnnounced(self):
        """
        No STARTTLS: no message goes out in the clear, with C{-A} neither.
        """
        talk = Secured(Letter(), tolerant=True)
        self.assertEqual(talk.say(b"220 hi\r\n", announcing(b"SIZE")), QUIT)
        (fault,) = talk.events()
        self.assertEqual(fault[:2], ("fault", "not-announced"))
        self.assertIn("STARTTLS", fault[2])

    def test_refused(self):
        """
        STARTTLS or EHLO refused: the same.
        """
        for replies in ([announcing(b"STARTTLS"), b"454 not now\r\n"], [b"502 what\r\n"]):
            talk = Secured(Letter(), tolerant=True)
            self.assertEqual(talk.say(b"220 hi\r\n", *replies), QUIT)
            self.assertEqual([event[0] for event in talk.events()], ["refused", "rejected"])

    def test_greetingRefused(self):
        """
        EHLO refused after the handshake: what is still wanted is named, and STARTTLS no more.
        """
        for kind, what in (({}, ()), ({"required": ("SIZE",)}, ("EHLO refused, and SIZE was asked for",))):
            talk = Secured(Letter(), **kind)
            talk.say(b"220 hi\r\n", announcing(b"STARTTLS"), b"220 go\r\n")
            talk.handshake()
            self.assertEqual(talk.say(b"502 what\r\n"), QUIT)
            self.assertEqual(talk.events(), [("refused", HELO, b"502 what\r\n", *what), ("rejected", 0)])

    def test_injected(self):
        """
        What was put after the reply to STARTTLS in the clear is never taken for something said in TLS: RFC 3207
        section 6.
        """
        for more in (b"250 evil\r\n", b"2"):
            talk = Secured(Letter(), tolerant=True)
            talk.say(b"220 hi\r\n", announcing(b"STARTTLS"))
            self.assertEqual(talk.say(b"220 go\r\n" + more), b"")
            self.assertEqual((talk.transport.secured, talk.transport.aborted), (None, True))
            self.assertEqual(talk.events()[0][:2], ("fault", "plain-text-after-starttls"))

    def test_certificate(self):
        """
        A certificate that is refused costs the message, with the reason; nothing is said to that server.
        """
        talk = Secured(Letter(), implicitTLS=True, fake=FakeTLS(fails=("certificate-refused", "for others")))
        self.assertEqual((talk.handshake(), talk.transport.aborted), (b"", True))
        events = talk.settle()
        self.assertEqual(events[0][:2], ("fault", "certificate-refused"))
        self.assertIn("for others", events[0][2])
        self.assertEqual(talk.recorder.tls, {})

    def test_failed(self):
        """
        A connection lost for a reason that TLS knows is told so.
        """
        talk = Secured(Letter(), implicitTLS=True, fake=FakeTLS(why=("tls-failed", "bad alert")))
        talk.client.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(
            talk.events(),
            [("fault", "tls-failed", "bad alert (waiting for the TLS handshake)"), ("disconnected", True)],
        )

    def test_stalls(self):
        """
        A handshake that does not go on is overdue like any reply.
        """
        talk = Secured(Letter(), implicitTLS=True)
        talk.reactor.advance(10)
        self.assertTrue(talk.client.overdue(talk.reactor.seconds(), 10))
        self.assertEqual(
            talk.events(), [("fault", "timeout", "no reply within 10 seconds (waiting for the TLS handshake)")]
        )


class XClientTests(SynchronousTestCase):
    """
    Postfix's XCLIENT.
    """

    KIND = {"xclient": xclient.parse("NAME=a.example ADDR=192.0.2.1")}

    def test_said(self):
        """
        After it the server begins anew.
        """
        talk = Conversation(Letter(), **self.KIND)
        talk.say(b"220 hi\r\n")
        self.assertEqual(talk.say(announcing(b"XCLIENT NAME ADDR")), b"XCLIENT NAME=a.example ADDR=192.0.2.1\r\n")
        self.assertEqual(talk.say(b"220 hi\r\n"), EHLO)
        self.assertEqual(talk.say(announcing(b"XCLIENT NAME ADDR")), MAIL)
        self.assertEqual(talk.recorder.replies[XCLIENT], {b"220": 1})

    def test_notAnnounced(self):
        """
        The command or one of its attributes is not known to the server.
        """
        for keyword, what in ((b"SIZE", "XCLIENT"), (b"XCLIENT NAME PORT", "XCLIENT ADDR")):
            talk = Conversation(Letter(), **self.KIND)
            self.assertEqual(talk.say(b"220 hi\r\n", announcing(keyword)), QUIT)
            self.assertIn(f"announce {what},", talk.events()[0][2])

    def test_refused(self):
        """
        Who is not trusted sends nothing.
        """
        talk = Conversation(Letter(), tolerant=True, **self.KIND)
        self.assertEqual(talk.say(b"220 hi\r\n", announcing(b"XCLIENT NAME ADDR"), b"550 no\r\n"), QUIT)
        self.assertEqual([event[:2] for event in talk.events()], [("refused", XCLIENT), ("rejected", 0)])


class ProxyTests(SynchronousTestCase):
    """
    The PROXY protocol's header.
    """

    def test_first(self):
        """
        It comes before all else, and knows where the connection goes.
        """
        peers = []

        def header(peer):
            peers.append(peer)
            return b"PROXY\r\n"

        talk = Conversation(Letter(), proxyHeader=header)
        self.assertEqual(talk.transport.take(), b"PROXY\r\n")
        self.assertIsInstance(peers[0], IPv4Address)
        self.assertEqual(talk.say(b"220 hi\r\n"), b"HELO me\r\n")

    def test_notExpected(self):
        """
        A server that does not expect it takes it for a command: whatever becomes of that, the header is named, until
        the server has shown that it has understood us.
        """
        doubt = "the server may not expect the PROXY header before it"
        talk = Conversation(Letter(), proxyHeader=lambda peer: b"PROXY\r\n")
        self.assertEqual(talk.say(b"220 hi\r\n", b"500 what\r\n"), QUIT)
        self.assertEqual(talk.events()[0], ("refused", HELO, b"500 what\r\n", f"helo refused, and {doubt}"))
        for replies, expected in (
            ((b"220 hi\r\n", b"500 what\r\n500 what\r\n"), "EHLO refused, and PIPELINING was asked for"),
            ((b"220 hi\r\n500 what\r\n",), "500 what"),
            ((b"what?\r\n",), "what? "),
        ):
            talk = Conversation(Letter(), proxyHeader=lambda peer: b"PROXY\r\n", pipelining="require")
            talk.say(*replies)
            *_, text = talk.events()[0]
            self.assertTrue(text.startswith(expected) and text.endswith(f", and {doubt}"), text)
        # The refusal that HELO would follow may be that of the header: then the next reply is EHLO's.
        talk = Conversation(Letter(), proxyHeader=lambda peer: b"PROXY\r\n", esmtp=True)
        self.assertEqual(talk.say(b"220 hi\r\n", b"500 what\r\n"), QUIT)
        self.assertIn(doubt, talk.events()[0][3])
        talk = Conversation(Letter(), proxyHeader=lambda peer: b"PROXY\r\n")
        talk.say(b"220 hi\r\n", b"250 hi\r\n", b"what?\r\n")
        self.assertNotIn("PROXY", talk.events()[0][2])

    def test_trace(self):
        """
        C{-v} shows it, the binary one in escapes.
        """
        for header, expected in (
            (b"PROXY TCP4 192.0.2.1 127.0.0.1 1024 25\r\n", "PROXY TCP4 192.0.2.1 127.0.0.1 1024 25"),
            (b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0cabc", r"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0cabc"),
        ):
            shown = []
            traced = type("Traced", (TracedProtocol,), {"show": shown.append})
            Conversation(Letter(), protocol=traced, proxyHeader=lambda peer, header=header: header)
            self.assertEqual(shown, [expected])


def login():
    """
    @return: who logs in.
    """
    return Credentials("joe", "secret")


class AuthTests(SynchronousTestCase):
    """
    AUTH.
    """

    def talk(self, *mechanisms, offered=b"AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", **kind):
        talk = Conversation(Letter(), mechanisms=mechanisms, login=login, **kind)
        talk.command = talk.say(b"220 hi\r\n", announcing(offered))
        return talk

    def test_plain(self):
        """
        The password goes along with the command.
        """
        talk = self.talk("PLAIN")
        self.assertEqual(talk.command, b"AUTH PLAIN " + base64.b64encode(b"\0joe\0secret") + b"\r\n")
        self.assertEqual(talk.say(b"235 hello\r\n"), MAIL)

    def test_login(self):
        """
        Challenges are answered.
        """
        talk = self.talk("LOGIN")
        written = [talk.command, talk.say(b"334 VXNlcm5hbWU6\r\n"), talk.say(b"334 UGFzc3dvcmQ6\r\n")]
        self.assertEqual(written, [b"AUTH LOGIN\r\n", b"am9l\r\n", b"c2VjcmV0\r\n"])
        self.assertEqual(talk.say(b"235 hello\r\n"), MAIL)
        self.assertEqual(talk.recorder.replies[AUTH], {b"334": 2, b"235": 1})

    def test_preference(self):
        """
        The first of ours that the server has, in whatever case it says it.
        """
        talk = self.talk("SCRAM-SHA-256", "CRAM-MD5", "PLAIN", offered=b"AUTH plain cram-md5")
        self.assertEqual(talk.command, b"AUTH CRAM-MD5\r\n")

    def test_notAnnounced(self):
        """
        None that both have: nothing is sent, and what was asked for is named.
        """
        for offered in (b"AUTH GSSAPI", b"SIZE"):
            talk = self.talk("PLAIN", "LOGIN", offered=offered, tolerant=True)
            self.assertEqual(talk.command, QUIT)
            self.assertIn("AUTH PLAIN LOGIN", talk.events()[0][2])

    def test_refused(self):
        """
        A login that is refused: the message is rejected, with C{-A} as well.
        """
        for code in (b"535", b"454"):
            talk = self.talk("PLAIN", tolerant=True)
            self.assertEqual(talk.say(code + b" no\r\n"), QUIT)
            self.assertEqual([event[:2] for event in talk.events()], [("refused", AUTH), ("rejected", 0)])

    def test_badChallenge(self):
        """
        A challenge that is not base64, or makes no sense, or one after the other for ever.
        """
        for mechanism, replies in (
            ("CRAM-MD5", [b"334 not base64\r\n"]),
            ("LOGIN", [b"334 VXNlcm5hbWU6\r\n"] * 3),
            ("SCRAM-SHA-256", [b"334 " + base64.b64encode(b"r=other,s=AAAA,i=1") + b"\r\n"]),
            ("SCRAM-SHA-256", [b"235 come in\r\n"]),
            ("PLAIN", [b"334 \r\n"] * 50),
            ("CRAM-MD5", [b"334 PDFAeD4=\r\n"] * 50),
        ):
            talk = self.talk(mechanism, tolerant=True)
            for reply in replies:
                if not talk.transport.aborted:
                    talk.say(reply)
            self.assertTrue(talk.transport.aborted)
            (fault,) = talk.events()
            self.assertEqual(fault[:2], ("fault", "bad-challenge"))

    def test_early(self):
        """
        A server that says yes before it was told who we are has checked nothing; nor has one whose yes is not RFC
        4954's, which is 235.
        """
        for mechanism, replies in (
            ("LOGIN", [b"235 come in\r\n"]),
            ("LOGIN", [b"334 VXNlcm5hbWU6\r\n", b"235 come in\r\n"]),
            ("LOGIN", [b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"250 ok\r\n"]),
            ("CRAM-MD5", [b"235 come in\r\n"]),
            ("CRAM-MD5", [b"250 ok\r\n"]),
            ("PLAIN", [b"250 ok\r\n"]),
            ("PLAIN", [b"220-now\r\n220 what\r\n"]),
        ):
            talk = self.talk(mechanism, tolerant=True)
            self.assertEqual([talk.say(reply) for reply in replies][-1], b"")
            (fault, _) = talk.settle()
            self.assertEqual(fault[:2], ("fault", "bad-challenge"))
            self.assertIn("235", fault[2])

    def test_earlyWithLongToken(self):
        """
        The same where the token is too long for the command, and goes out only when the server asks for it.
        """
        for replies, written in (([b"235 come in\r\n"], b""), ([b"334 \r\n", b"235 come in\r\n"], MAIL)):
            talk = Conversation(Letter(), mechanisms=("XOAUTH2",), login=lambda: Credentials("joe", "t" * 600))
            self.assertEqual(talk.say(b"220 hi\r\n", announcing(b"AUTH XOAUTH2")), b"AUTH XOAUTH2\r\n")
            self.assertEqual(talk.say(*replies), written)
            self.assertEqual([event[1] for event in talk.events()], [] if written else ["bad-challenge"])

    def test_trace(self):
        """
        C{-v} shows that there was a login, and of it only the mechanism.
        """
        for mechanism, replies in (
            ("PLAIN", [b"235 ok\r\n"]),
            ("LOGIN", [b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"]),
        ):
            shown = []
            talk = Conversation(Letter(), mechanisms=(mechanism,), login=login, protocol=TracedProtocol)
            talk.client.show = shown.append
            talk.say(b"220 hi\r\n", announcing(b"AUTH PLAIN LOGIN"), *replies)
            text = "\n".join(shown)
            self.assertIn(f"AUTH {mechanism}", text)
            self.assertIn("***", text)
            for secret in (b"secret", base64.b64encode(b"secret"), base64.b64encode(b"\0joe\0secret")):
                self.assertNotIn(secret.decode(), text)


class RequiredTests(SynchronousTestCase):
    """
    Extensions that messages need.
    """

    def test_named(self):
        """
        All that are lacking are named in one fault.
        """
        talk = Conversation(Letter(), required=("DSN", "SIZE", "SMTPUTF8"), tolerant=True)
        self.assertEqual(talk.say(b"220 hi\r\n", announcing(b"SIZE 10")), QUIT)
        (fault,) = talk.events()
        self.assertEqual(fault[:2], ("fault", "not-announced"))
        self.assertIn("announce DSN, SMTPUTF8,", fault[2])

    def test_greetingRefused(self):
        """
        EHLO or LHLO refused: the refusal names the command, and what only it could have told.
        """
        for kind, what in (
            ({"required": ("DSN", "SIZE")}, "EHLO refused, and DSN and SIZE were asked for"),
            ({"lmtp": True, "pipelining": "require"}, "LHLO refused, and PIPELINING was asked for"),
            ({"mechanisms": ("PLAIN",), "login": login}, "EHLO refused, and AUTH was asked for"),
            ({"xclient": (("NAME", "x"),)}, "EHLO refused, and XCLIENT was asked for"),
        ):
            for code in (b"500", b"450"):
                talk = Conversation(Letter(), tolerant=True, **kind)
                self.assertEqual(talk.say(b"220 hi\r\n", code + b" what\r\n"), QUIT)
                self.assertEqual(talk.events(), [("refused", HELO, code + b" what\r\n", what), ("rejected", 0)])

    def test_announced(self):
        """
        All are there.
        """
        talk = Conversation(Letter(), required=("DSN", "SIZE"))
        self.assertEqual(talk.say(b"220 hi\r\n", announcing(b"SIZE 10", b"dsn")), MAIL)

    def test_loginAfterThat(self):
        """
        No password is shown to a server that lacks something.
        """
        talk = Conversation(Letter(), required=("DSN",), mechanisms=("PLAIN",), login=login)
        self.assertEqual(talk.say(b"220 hi\r\n", announcing(b"AUTH PLAIN")), QUIT)


class ExerciseTests(SynchronousTestCase):
    """
    Load without mail.
    """

    def test_noop(self):
        """
        A NOOP stands for each message.
        """
        talk = Conversation(Letter(), Letter(), exercise="noop")
        self.assertEqual(talk.say(b"220 hi\r\n", b"250 hi\r\n"), b"NOOP\r\n")
        self.assertEqual(talk.say(b"250 ok\r\n"), b"NOOP\r\n")
        self.assertEqual(talk.say(b"250 ok\r\n"), QUIT)
        self.assertEqual(talk.events(), [("exercised",), ("exercised",)])

    def test_noopRefused(self):
        """
        One that is refused is a rejected message.
        """
        for tolerant, text in ((False, QUIT), (True, b"NOOP\r\n")):
            talk = Conversation(Letter(), Letter(), exercise="noop", tolerant=tolerant)
            self.assertEqual(talk.say(b"220 hi\r\n", b"250 hi\r\n", b"500 what\r\n"), text)
            self.assertEqual([event[:2] for event in talk.events()], [("refused", NOOP), ("rejected", 0)])

    def test_connect(self):
        """
        The connection is all there is.
        """
        talk = Conversation(Letter(), exercise="connect")
        self.assertEqual(talk.say(b"220 hi\r\n", b"250 hi\r\n"), QUIT)
        self.assertEqual(talk.events(), [("exercised",)])


#: Where other changes wait for these tests, they try the same each time.
FUZZ = settings(max_examples=400, deadline=None, derandomize="CI" in os.environ)


class FuzzTests(SynchronousTestCase):
    """
    Whatever a server says: no exception, and the connection ends or waits for a reply that it is owed.
    """

    EVERYTHING = announcing(
        b"STARTTLS", b"AUTH LOGIN PLAIN SCRAM-SHA-256 CRAM-MD5", b"XCLIENT NAME", b"PIPELINING", b"CHUNKING"
    )
    #: What a server says that is in order.
    FITTING = {
        **dict.fromkeys((BANNER, STARTTLS, XCLIENT), b"220 hi\r\n"),
        HELO: EVERYTHING,
        AUTH: b"334 VXNlcm5hbWU6\r\n",
        DATA: b"354 go\r\n",
        QUIT_PHASE: b"221 bye\r\n",
    }
    LINES = st.sampled_from(
        [
            b"220 hi\r\n",
            EVERYTHING,
            announcing(b"AUTH=", b"XCLIENT"),
            b"250 ok\r\n",
            b"235 ok\r\n",
            b"334 \r\n",
            b"334 VXNlcm5hbWU6\r\n",
            b"334 %%%\r\n",
            b"354 go\r\n",
            b"500 no\r\n",
            b"421 bye\r\n",
            b"250-\xff\xfe\r\n250 \x80\r\n",
            b"\r\n",
        ]
    )

    def dialogue(self, data):
        """
        @return: a dialogue with everything switched on or off.
        """
        modes = st.sampled_from(["off", "auto", "require", "force"])
        kind = {
            "tolerant": data.draw(st.booleans()),
            "lmtp": data.draw(st.booleans()),
            "pipelining": data.draw(modes),
            "chunking": data.draw(modes),
            "window": data.draw(st.integers(1, 3)),
            "chunkSize": data.draw(st.sampled_from([None, 7])),
            "exercise": data.draw(st.sampled_from(["mail", "mail", "noop", "connect"])),
        }
        if data.draw(st.booleans()):
            kind["xclient"] = (("NAME", "x"),)
        if data.draw(st.booleans()):
            kind["mechanisms"] = tuple(data.draw(st.permutations(["LOGIN", "PLAIN", "SCRAM-SHA-256", "CRAM-MD5"])))
            kind["login"] = login
        return kind

    def fitting(self, client):
        """
        @return: the replies that a client waits for.
        """
        phases = [phase for phase, _, _ in client._owed]
        if client._script is not None:
            rest = client._script.phases[client._step :]
            phases = [
                *(rest[:1] if client._commands else rest),
                *(phase for script, _ in client._following for phase in script.phases),
            ]
        if phases == [AUTH] and client._login.complete:
            return b"235 ok\r\n"
        return HANDSHAKE if phases == [TLS] else b"".join(self.FITTING.get(phase, b"250 ok\r\n") for phase in phases)

    def converse(self, data, talk):
        """
        Let a server say what is in order for a while, and then anything, and see how it ends.
        """
        fits = st.none()
        steps = fits | fits | self.LINES | st.binary(min_size=1, max_size=20)
        for step in [None] * data.draw(st.integers(0, 15)) + data.draw(st.lists(steps, max_size=25)):
            if talk.client.over:
                break
            talk.transport.deliver(self.fitting(talk.client) if step is None else step)
        outcomes = sum(event[0] in ("accepted", "rejected", "exercised") for event in talk.session.events)
        self.assertLessEqual(outcomes, 4)
        if not talk.client.over:
            self.assertTrue(talk.client._owed or talk.client._script or talk.client._replySoFar or talk.client._buffer)
            talk.reactor.advance(1000)
            self.assertTrue(talk.client.overdue(talk.reactor.seconds(), 300))
        kinds = [event[1] for event in talk.settle() if event[0] == "fault"]
        self.assertNotIn("internal-error", kinds)

    @given(st.data())
    @FUZZ
    def test_anything(self, data):
        """
        Lines that make sense somewhere, and bytes that make none.
        """
        talk = Conversation(*(Letter() for _ in range(4)), **self.dialogue(data))
        self.converse(data, talk)

    @given(st.data())
    @FUZZ
    def test_TLS(self, data):
        """
        The same with TLS: in it, before it, in place of it, and with a certificate that is refused. Nothing but the
        greeting and STARTTLS goes out in the clear.
        """
        fails = data.draw(st.sampled_from([None, None, None, ("certificate-refused", "for others")]))
        kind = self.dialogue(data) | {"implicitTLS": data.draw(st.booleans())}
        talk = Secured(*(Letter() for _ in range(4)), fake=FakeTLS(fails=fails), transport=TappedTransport, **kind)
        self.converse(data, talk)
        inTheClear = b"" if kind["implicitTLS"] else rb"([EL]HLO me\r\n(STARTTLS\r\n)?)?(QUIT\r\n)?"
        self.assertRegex(talk.transport.inTheClear, b"\\A" + inTheClear + b"\\Z")
