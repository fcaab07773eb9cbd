"""
Tests for L{smtpsource.testing.SinkFixture}, and for what it shares with the fixtures of pytest.
"""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
import ssl
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path
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
from smtpsource.testing.waiting import sizeText

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
    "size": 20,
    "truncated": False,
    "fate": "",
}


def send(port, recipient="b@example.com", client=smtplib.SMTP, text="Text.\n"):
    """
    Send a message, and wait for that.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", recipient, "Hello"
    message.set_content(text)
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
        with self.assertRaises(TypeError):
            SinkFixture(reactor, users={"a": "b"}).users["c"] = "d"

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
    def test_noWaiting(self):
        """
        Nobody waits for what can't be; a wait that is canceled says so; what nobody looks at any more at the end of a
        test, or at a reset, is no error.
        """
        sink = yield self.started(keep=2, keepBytes=65536)
        for arguments, said in (
            ((0,), "count: 0 is not usable: expected a whole number of at least 1"),
            (("2",), "count: '2' is not usable: expected a whole number of at least 1"),
            ((1, "1s"), "timeout: '1s' is not usable: expected a number of seconds of at least 0"),
            ((1, -1), "timeout: -1 is not usable: expected a number of seconds of at least 0"),
            ((1, float("nan")), "timeout: nan is not usable: expected a number of seconds of at least 0"),
            ((3,), "count 3 is not usable: expected at most 2, no more messages are kept"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, sink.waitFor, *arguments)), said)
        waiting = sink.waitFor()
        waiting.cancel()
        self.failureResultOf(waiting, defer.CancelledError)
        awaited = sink.waitFor(timeout=TEST_LIMIT).addErrback(lambda failure: failure.type)
        forgotten = sink.waitFor(timeout=TEST_LIMIT)
        sink.reset()
        self.assertEqual(self.successResultOf(awaited), defer.CancelledError)
        self.successResultOf(forgotten)
        sink.waitFor(timeout=TEST_LIMIT).addCallback(len)
        for _ in range(3):
            yield deferToThread(send, sink.port)
        e = yield self.assertFailure(sink.waitFor(2, timeout=0, recipient="c@*"), AssertionError)
        self.assertEqual(
            str(e).splitlines()[3:], ["  1 more had come before and had to give way (keep=2, keepBytes=65536)"]
        )
        sink.waitFor(2, timeout=TEST_LIMIT, recipient="c@*")

    @defer.inlineCallbacks
    def test_large(self):
        """
        Of a message that is larger than all that may be kept there is the beginning, and that is said.
        """
        sink = yield self.started(keepBytes=1000)
        yield deferToThread(send, sink.port, text="Text.\n" * 1000)
        [message] = sink.messages
        self.assertEqual((message.truncated, len(message.raw)), (True, 1000))
        self.assertGreater(message.size, 6000)

    @defer.inlineCallbacks
    def test_order(self):
        """
        The rule that was added last decides first, also where another one is for everybody.
        """
        sink = yield self.started(ruleTexts=('on = "mail", do = { reply = "451 4.7.1 all" }',))
        for code in (452, 550):
            sink.rule(on="mail", do={"reply": f"{code} as told"})
            e = yield self.assertFailure(deferToThread(send, sink.port), smtplib.SMTPSenderRefused)
            self.assertEqual(e.smtp_code, code)

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
        text = '[[rule]]\non = "quit"\ndo = { reply = "221 2.0.0 ciao" }\n'
        path = Path(self.mktemp())
        path.write_text(text)
        self.assertEqual(sink.rules(text), sink.rules(path))
        path.write_text("[[rule]]")
        self.assertIn(f"{path}, line 1", str(self.assertRaises(ValueError, sink.rules, path)))
        self.assertEqual(rule.count, 1)
        sink.reset()
        self.assertEqual(rule.count, 1)
        e = self.assertRaises(ValueError, sink.rule, on="rcpt", do={"reply": b"550 no"})
        self.assertEqual(str(e), "do.reply: b'550 no' is not usable: expected a text, a number, a list or a table")
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
        self.assertRegex(str(e), r"session 3 of 127\.0\.0\.1 \(.+\): AUTH PLAIN without TLS, as jane$")

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
    def test_oneLife(self):
        """
        It can be started once, and not after it was stopped.
        """
        sink = yield self.started()
        e = yield self.assertFailure(sink.start(), RuntimeError)
        self.assertEqual(str(e), "this sink has been started already: expected a new one")
        yield sink.stop()
        for stopped in (sink, SinkFixture(reactor)):
            yield stopped.stop()
            e = yield self.assertFailure(stopped.start(), RuntimeError)
            self.assertEqual(str(e), "this sink has been stopped: expected a new one")
        self.assertEqual(
            str(self.assertRaises(RuntimeError, lambda: SinkFixture(reactor).port)), "the sink has not been started"
        )

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
        e = self.assertRaises(ValueError, SinkFixture, reactor, users={})
        self.assertIn("users: {} is not usable: expected", str(e))
        self.assertEqual(SinkFixture(reactor, startTLS=False).certificate, "")

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

    def test_held(self):
        """
        It ends when it is stopped, also where another process has this end of its pipe.
        """
        sink = SpawnedSink({})
        self.addCleanup(sink.stop)
        pipe = sink._process.stdin.fileno()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[pipe]) as holder:
            sink.stop(PATIENCE)
            self.assertEqual(sink._process.returncode, 0)
            holder.stdin.write(b"\n")

    def test_forked(self):
        """
        A process that is forked from the parent does not hold it, and can't end it.
        """
        sink = SpawnedSink({})
        self.addCleanup(sink.stop)
        pid = os.fork()
        if not pid:
            sink.stop()
            os._exit(sink._process.stdin.closed)
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 1)
        self.assertTrue(sink.isRunning())

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

    def test_noHeader(self):
        """
        What has no header is all body.
        """
        for raw, body in ((b"\r\nbody\r\n\r\nmore\r\n", "body\n\nmore\n"), (b"body\r\n\r\nmore\r\n", "body\n\nmore\n")):
            message = received(KNOWN, raw)
            self.assertEqual((message.items(), message.get_content()), ([], body))
        self.assertEqual(received(KNOWN, b"\r\n\xc3\xa4").get_payload(decode=True), b"\xc3\xa4")

    def test_truncated(self):
        """
        Of a message that was too large it is said that this is its beginning.
        """
        message = received({**KNOWN, "size": 2000, "truncated": True}, b"Subject: x\r\n\r\n")
        self.assertEqual((message.truncated, message.size), (True, 2000))
        self.assertTrue(described(message).endswith("'x', the first 14 of 2000 octets"))
        self.assertEqual(
            [sizeText(size) for size in (0, 1000, 2048, 64 * 2**20, 2**30)], ["0", "1000", "2k", "64m", "1g"]
        )

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
    @example("Grüße\r\n\r\n".encode())
    @example(b"\r\n\xc3\xa4")
    def test_anything(self, raw):
        """
        Any octets are a message, and can be described in a line.
        """
        message = received(KNOWN, raw)
        self.assertEqual(message.raw, raw)
        self.assertNotIn("\n", described(message))
        for part in message.walk():
            part.get_payload(decode=True)


def session(*logins, helo="client.test"):
    """
    @param logins: mechanism, TLS and user of each.
    @return: the transcript of a session.
    """
    said = [{"mechanism": mechanism, "tls": tls, "helo": helo, "user": user} for mechanism, tls, user in logins]
    return {"session": 7, "client": "192.0.2.1", "logins": said}


class PlaintextTests(SynchronousTestCase):
    """
    Passwords in plain text.
    """

    def test_found(self):
        """
        Each login without TLS is found, also where nobody has logged in in the end.
        """
        found = plaintextLogins(
            [
                session(("PLAIN", False, "jane"), ("XOAUTH2", True, "jane"), helo=""),
                session(("LOGIN", False, ""), ("PLAIN", False, "joe")),
            ]
        )
        self.assertEqual(
            found,
            [
                "session 7 of 192.0.2.1 (no HELO): AUTH PLAIN without TLS, as jane",
                "session 7 of 192.0.2.1 (client.test): AUTH LOGIN without TLS",
                "session 7 of 192.0.2.1 (client.test): AUTH PLAIN without TLS, as joe",
            ],
        )

    def test_none(self):
        """
        In TLS there is none, nor where no password is sent.
        """
        self.assertEqual(plaintextLogins([session(("PLAIN", True, "jane"), ("CRAM-MD5", False, "jane"))]), [])
