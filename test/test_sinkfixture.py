"""
Tests for L{smtpsource.testing.SinkFixture}, and for what it shares with the fixtures of pytest.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from email.message import EmailMessage
from unittest import skipIf

from hypothesis import example
from hypothesis import strategies as st
from patience import PATIENCE, TEST_LIMIT
from properties import given
from twisted.internet import defer, reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource import ListenError
from smtpsource.sink.tls import available
from smtpsource.testing import SinkFixture
from smtpsource.testing.plaintext import plaintextLogins
from smtpsource.testing.received import described, received
from smtpsource.testing.spawned import SpawnedSink

#: What is known of a message beside its content, when a test doesn't care.
KNOWN = {
    "number": 3,
    "session": 2,
    "from": "a@example.com",
    "to": ["b@example.com"],
    "received": "2026-01-02T03:04:05.678+00:00",
    "client": "127.0.0.1",
    "protocol": "ESMTP",
    "helo": "client.test",
    "tls": False,
    "user": "",
    "mailParameters": {},
    "recipientParameters": [{}],
    "fate": "",
}


def send(port, recipient="b@example.com", client=smtplib.SMTP):
    """
    Send a message, and wait for that.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", recipient, "Hello"
    message.set_content("Text.\n")
    with client("127.0.0.1", port) as connection:
        connection.send_message(message)


class FixtureTests(TestCase):
    """
    A sink in the process of its test.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def started(self, **plan):
        """
        @return: a L{defer.Deferred} that fires with a fixture that ends with the test.
        """
        sink = SinkFixture(reactor, **plan)
        self.addCleanup(sink.stop)
        self.assertIs((yield sink.start()), sink)
        return sink

    @defer.inlineCallbacks
    def test_messages(self):
        """
        Messages are there, with envelope and session, and so is what was said.
        """
        sink = yield self.started(hostname="mx.test")
        self.assertEqual((sink.messages, sink.transcripts, sink.transcript), ([], [], ""))
        yield deferToThread(send, sink.port)
        [message] = sink.messages
        self.assertEqual((message["Subject"], message.get_content()), ("Hello", "Text.\n"))
        self.assertEqual((message.envelope.rcpt_tos, message.session.client), (["b@example.com"], "127.0.0.1"))
        self.assertIn("S: 220 mx.test", sink.transcript)
        self.assertEqual((sink.host, sink.users), ("127.0.0.1", None))

    @defer.inlineCallbacks
    def test_waitFor(self):
        """
        What is waited for comes, or has come; if it does not come, that fails and says what has.
        """
        sink = yield self.started()
        waiting = sink.waitFor(2, timeout=TEST_LIMIT, recipient="*@example.com")
        yield deferToThread(send, sink.port, "b@example.com")
        self.assertNoResult(waiting)
        yield deferToThread(send, sink.port, "c@example.com")
        self.assertEqual([message["To"] for message in (yield waiting)], ["b@example.com", "c@example.com"])
        found = self.successResultOf(sink.waitFor(sender="a@*", subject="hello", recipient="c@*"))
        self.assertEqual(len(found), 1)
        e = yield self.assertFailure(sink.waitFor(3, timeout=0.01), AssertionError)
        self.assertEqual(
            str(e).splitlines(),
            [
                "expected 3 messages within 0.01 s; these have come:",
                "  message 1 from 'a@example.com' to b@example.com: 'Hello'",
                "  message 2 from 'a@example.com' to c@example.com: 'Hello'",
            ],
        )

    @defer.inlineCallbacks
    def test_rules(self):
        """
        Rules are added, counted, removed and replaced; what is wrong with one is told in a line.
        """
        sink = yield self.started(ruleTexts=('on = "quit", do = { reply = "221 2.0.0 ciao" }',))
        with sink.rule(on="mail", when={"sender": "a@*"}, do={"reply": "451 4.7.1 later"}) as rule:
            yield self.assertFailure(deferToThread(send, sink.port), smtplib.SMTPSenderRefused)
            self.assertEqual(rule.count, 1)
        yield deferToThread(send, sink.port)
        self.assertIn("221 2.0.0 ciao", sink.transcript)
        document = sink.rules()
        self.assertEqual(sink.rules({"rule": []}), {"rule": []})
        yield deferToThread(send, sink.port)
        self.assertIn("221 2.0.0 Bye", sink.transcript)
        sink.rules(document)
        e = self.assertRaises(ValueError, sink.rule, on="rcp", do={"close": True})
        self.assertIn("did you mean rcpt?", str(e))
        self.assertNotIn("\n", str(e))

    @defer.inlineCallbacks
    def test_reset(self):
        """
        After a reset it is as it was in the beginning: also what its rules have seen is forgotten, and a pause over.
        """
        sink = yield self.started(ruleTexts=('on = "mail", times = 1, do = { reply = "451 4.7.1 once" }',))
        for _ in range(2):
            yield self.assertFailure(deferToThread(send, sink.port), smtplib.SMTPSenderRefused)
            yield deferToThread(send, sink.port)
            sink.rule(on="rcpt", do={"reply": "550 5.1.1 nobody"})
            yield self.assertFailure(deferToThread(send, sink.port), smtplib.SMTPRecipientsRefused)
            self.assertEqual((len(sink.messages), len(sink.transcripts)), (1, 3))
            sink.pause()
            sink.reset()
            self.assertEqual((sink.messages, sink.transcripts, len(sink.rules()["rule"])), ([], [], 1))

    @defer.inlineCallbacks
    def test_pause(self):
        """
        Nobody is answered until it goes on.
        """
        sink = yield self.started()
        sink.pause()
        sending = deferToThread(send, sink.port)
        yield self.assertFailure(sink.waitFor(timeout=0.05), AssertionError)
        self.assertFalse(sending.called)
        sink.resume()
        yield sending
        self.assertEqual(len(sink.messages), 1)

    @skipIf(not available(), "there is no TLS here")
    @defer.inlineCallbacks
    def test_passwords(self):
        """
        Who may log in, and who has sent a password in plain text.
        """
        sink = yield self.started(users={"jane": "secret"})

        def login(password, tls):
            with smtplib.SMTP("localhost", sink.port) as client:
                if tls:
                    client.starttls(context=ssl.create_default_context(cadata=sink.certificate))
                client.ehlo()
                client.user, client.password = "jane", password
                client.auth("PLAIN", client.auth_plain)

        yield deferToThread(login, "secret", True)
        yield self.assertFailure(deferToThread(login, "wrong", True), smtplib.SMTPAuthenticationError)
        sink.assertNoPlaintextAuth()
        yield deferToThread(login, "secret", False)
        e = self.assertRaises(AssertionError, sink.assertNoPlaintextAuth)
        self.assertRegex(str(e), r"session 3 of 127\.0\.0\.1 \(ehlo .*\): AUTH PLAIN without TLS, as jane$")

    @defer.inlineCallbacks
    def test_stop(self):
        """
        It ends at once with whoever is connected, any number of times, and also if it never listened.
        """
        sink = yield self.started()
        with socket.create_connection((sink.host, sink.port)) as client:
            port = sink.port
            yield sink.stop()
            yield sink.stop()
            client.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(1000):
                    pass
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port))
        yield SinkFixture(reactor).stop()

    @defer.inlineCallbacks
    def test_wrong(self):
        """
        What can't be is told at once, or when it is to listen.
        """
        sink = yield self.started()
        other = SinkFixture(reactor, port=sink.port)
        yield self.assertFailure(other.start(), ListenError)
        yield other.stop()
        self.assertRaises(ValueError, SinkFixture, reactor, maxRecipients=-1)
        self.assertRaises(TypeError, SinkFixture, reactor, maxRecipient=1)
        e = self.assertRaises(ValueError, SinkFixture, reactor, users={"a:b": "c"})
        self.assertIn("users: ", str(e))

    @defer.inlineCallbacks
    def test_lmtp(self):
        """
        It speaks LMTP if its plan says so.
        """
        sink = yield self.started(lmtp=True)
        yield deferToThread(send, sink.port, client=smtplib.LMTP)
        self.assertEqual(sink.messages[0].session.protocol, "LMTP")


class SpawnedTests(SynchronousTestCase):
    """
    A sink in a process of its own.
    """

    def test_stop(self):
        """
        It runs until it is stopped, which may be done twice.
        """
        sink = SpawnedSink({})
        self.addCleanup(sink.stop)
        self.assertTrue(sink.isRunning())
        sink.stop()
        self.assertFalse(sink.isRunning())
        sink.stop()

    def test_late(self):
        """
        One that does not listen in time is no more.
        """
        e = self.assertRaises(RuntimeError, SpawnedSink, {}, timeout=0.0)
        self.assertEqual(str(e), "the sink did not listen within 0 seconds")


class ReceivedTests(SynchronousTestCase):
    """
    Messages as tests look at them.
    """

    def test_utf8(self):
        """
        Headers may be in UTF-8; a body in another encoding is what its header says.
        """
        head = "Subject: Grüße\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n"
        message = received(KNOWN, head.encode("utf-8") + b"\r\n\xe4\r\n")
        self.assertEqual((message["Subject"], message.get_content()), ("Grüße", "ä\n"))
        self.assertEqual(message.received.isoformat(), "2026-01-02T03:04:05.678000+00:00")

    def test_parts(self):
        """
        Parts of a message can be had, and shown.
        """
        made = EmailMessage()
        made.set_content("Text.\n")
        made.add_attachment(b"\0\r\n\xff", "application", "octet-stream", filename="a")
        message = received(KNOWN, made.as_bytes().replace(b"\n", b"\r\n"))
        [attachment] = message.iter_attachments()
        self.assertEqual(attachment.get_content(), b"\0\r\n\xff")
        self.assertEqual(message.get_body().get_content(), "Text.\n")
        self.assertNotIn("127.0.0.1", repr(attachment))

    @given(st.binary())
    @example(b"Subject: =?utf-8?b?=ff?=\r\n\r\n")
    @example(b"Subject\r\n\r\n\xff")
    def test_anything(self, raw):
        """
        Any octets are a message, and can be described in a line.
        """
        message = received(KNOWN, raw)
        self.assertEqual(message.raw, raw)
        self.assertNotIn("\n", described(message))


def transcript(*lines):
    """
    @param lines: each begins with C{C}, C{S} or C{-}.
    @return: the transcript of a session.
    """
    who = {"C": "client", "S": "server", "-": "note"}
    said = [{"time": 0.0, "who": who[line[0]], "text": line[2:]} for line in lines]
    return {"session": 7, "client": "192.0.2.1", "started": 0.0, "dropped": 0, "lines": said}


class PlaintextTests(SynchronousTestCase):
    """
    Passwords in plain text.
    """

    PLAIN = ("C AUTH PLAIN (hidden)", "- [logged in: jane]", "S 235 2.7.0 ok")

    def test_found(self):
        """
        Each login without TLS is found, also where TLS was refused, or nobody has logged in in the end.
        """
        for lines, said in (
            (self.PLAIN, ["session 7 of 192.0.2.1 (no HELO): AUTH PLAIN without TLS, as jane"]),
            (
                ("C EHLO x", "C STARTTLS", "S 454 4.7.0 no", *self.PLAIN),
                ["session 7 of 192.0.2.1 (EHLO x): AUTH PLAIN without TLS, as jane"],
            ),
            (
                ("C EHLO x", "C auth login", "S 334", "C (hidden)", "S 535 no", *self.PLAIN),
                [
                    "session 7 of 192.0.2.1 (EHLO x): AUTH LOGIN without TLS",
                    "session 7 of 192.0.2.1 (EHLO x): AUTH PLAIN without TLS, as jane",
                ],
            ),
        ):
            self.assertEqual(plaintextLogins([transcript(*lines)], False), said)

    def test_none(self):
        """
        In TLS there is none, nor where no password is sent.
        """
        self.assertEqual(plaintextLogins([transcript(*self.PLAIN)], True), [])
        for lines in (
            ("C STARTTLS", "S 220 go", "C EHLO x", *self.PLAIN),
            ("C AUTH CRAM-MD5", "S 334 x", "C (hidden)", "- [logged in: jane]"),
            ("C AUTH", "C", "S AUTH PLAIN x", "C MAIL FROM:<AUTH PLAIN>"),
        ):
            self.assertEqual(plaintextLogins([transcript(*lines)], False), [], lines)
