"""
Tests for L{smtpsource.ledger.reports}: what came back about messages.
"""

from __future__ import annotations

from email.message import EmailMessage
from email.mime.message import MIMEMessage

from hypothesis import strategies as st
from properties import given
from sinkledgers import NUMBER, RUN
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.ledger.identity import Identity, idOf
from smtpsource.ledger.reports import MOST, Report, mayBeReport, reportsIn

ID = idOf(RUN, 7).decode()
KNOWN = Identity(NUMBER, 7)

HEAD = 'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\nMIME-Version: 1.0\n\n'
GROUP = "Final-Recipient: rfc822;new@x\nOriginal-Recipient: rfc822;old@x\nAction: failed\nStatus: 5.1.1\n"

#: What servers have sent back.
POSTFIX = """From: MAILER-DAEMON@relay.test (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4C2B1.1764295200/relay.test"

This is a MIME-encapsulated message.

--4C2B1.1764295200/relay.test
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host relay.test.

--4C2B1.1764295200/relay.test
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.test
X-Postfix-Queue-ID: 4C2B1
X-Postfix-Sender: rfc822; a@example.com
Arrival-Date: Sat, 28 Nov 2026 01:00:00 +0000 (UTC)

Final-Recipient: rfc822; b@example.com
Original-Recipient: rfc822;b@example.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; sink.test
Diagnostic-Code: smtp; 550 5.1.1 no such user

Final-Recipient: rfc822; c@example.com
Action: delayed
Status: 4.4.1

--4C2B1.1764295200/relay.test
Content-Description: Undelivered Message
Content-Type: message/rfc822

Received: from x by y
X-Smtpsource-Id: %s
Subject: x

One line.

--4C2B1.1764295200/relay.test--
"""
EXIM = """Content-Type: multipart/report; report-type=delivery-status; boundary=1764295200-eximdsn-1
MIME-Version: 1.0

--1764295200-eximdsn-1
Content-type: text/plain; charset=us-ascii

This message was created automatically by mail delivery software.

--1764295200-eximdsn-1
Content-type: message/delivery-status

Reporting-MTA: dns; relay.test

Action: failed
Final-Recipient: rfc822;b@example.com
Status: 5.0.0
Remote-MTA: dns; 127.0.0.1
Diagnostic-Code: smtp; 550 no

--1764295200-eximdsn-1
Content-type: text/rfc822-headers

Return-path: <a@example.com>
Message-Id: <%s@example.com>
Subject: x

--1764295200-eximdsn-1--
"""

#: What may be in something that only looks like one.
PIECES = [
    *(HEAD, GROUP, ID, "--x\n", "--x--\n", "\n", "\0", "=?utf-8?q?\udcff?=", "Original-Envelope-Id: ", "Message-Id: "),
    *("Content-Type: message/delivery-status\n\n", "Content-Type: message/global-delivery-status\n\n"),
    *("Content-Type: message/rfc822\n\n", "Content-Type: text/rfc822-headers\n", "Content-Type: ;;=\n"),
    *("Content-Transfer-Encoding: base64\n", 'Content-Type: text/plain; charset="\xff"\n'),
]


def report(text):
    """
    @return: what a text of lines that end with LF reports.
    """
    return reportsIn(text.replace("\n", "\r\n").encode())


def withStatus(text, kind="message/delivery-status", more=""):
    """
    @return: a report with that status.
    """
    return f"{HEAD}--x\nContent-Type: {kind}\n\n{text}\n{more}--x--\n"


class ReportTests(SynchronousTestCase):
    """
    Reports, and what else there may be.
    """

    def test_servers(self):
        """
        Those of servers: by the header of the message that came back, also where only its head did.
        """
        self.assertEqual(
            [Report(KNOWN, b"b@example.com", "failed", 511), Report(KNOWN, b"c@example.com", "delayed", 441)],
            report(POSTFIX % ID),
        )
        self.assertEqual([Report(KNOWN, b"b@example.com", "failed", 500)], report(EXIM % ID))
        # As it is on a disk.
        self.assertEqual(2, len(reportsIn((POSTFIX % ID).encode())))

    def test_envelope(self):
        """
        The envelope's id is believed before what was returned, if it is one; a damaged one is not.
        """
        other = idOf(RUN, 8).decode()
        returned = f"--x\nContent-Type: message/rfc822\n\nX-Smtpsource-Id: {other}\n\nText.\n"
        for said, number in ((ID, 7), (f"<{ID}@x>", 7), (ID[:-1], 8), ("", 8), ("me", 8)):
            found = report(withStatus(f"Reporting-MTA: dns; x\nOriginal-Envelope-Id: {said}\n\n{GROUP}", more=returned))
            self.assertEqual([Report(Identity(NUMBER, number), b"old@x", "failed", 511)], found, said)

    def test_fields(self):
        """
        As far as they are there.
        """
        for group, expected in (
            (GROUP, (b"old@x", "failed", 511)),
            ("Final-Recipient: RFC822; <a@b>\nAction: Relayed\n", (b"a@b", "relayed", 0)),
            ("Final-Recipient: x400; a\nStatus: 2.7.23 (fine)\n", (None, "", 2723)),
            ("Original-Recipient: nothing\nFinal-Recipient: rfc822;\n a@b\nStatus: five\n", (b"a@b", "", 0)),
        ):
            self.assertEqual([Report(None, *expected)], report(withStatus("Reporting-MTA: dns; x\n\n" + group)), group)

    def test_international(self):
        """
        In the form of RFC 6533.
        """
        text = withStatus(
            f"Reporting-MTA: dns; x\nOriginal-Envelope-Id: {ID}\n\n{GROUP}\n{GROUP}", "message/global-delivery-status"
        )
        self.assertEqual([Report(KNOWN, b"old@x", "failed", 511)] * 2, report(text))

    def test_none(self):
        """
        Other messages report nothing.
        """
        plain = EmailMessage()
        plain.set_content(GROUP)
        for text in (
            "",
            plain.as_string(),
            HEAD,
            HEAD + "--x--\n",
            withStatus(""),
            withStatus("\n\n\n"),
            withStatus(GROUP, "text/plain"),
            withStatus(GROUP).replace("multipart/report", "multipart/mixed"),
            MIMEMessage(plain).as_string(),
        ):
            self.assertEqual([], report(text), text)

    def test_mayBe(self):
        """
        Which heads are looked at.
        """
        self.assertTrue(mayBeReport(b"X: y\r\ncontent-type:\r\n Multipart/Report;\r\n\tboundary=x\r\n"))
        self.assertFalse(mayBeReport(b"X: Content-Type: multipart/report\r\nContent-Type: multipart/reports\r\n"))

    def test_long(self):
        """
        Nobody makes us read more than a megabyte.
        """
        self.assertEqual([], report("X: y\n" * (MOST // 5) + withStatus(GROUP)))

    @given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=25))
    def test_hostile(self, pieces):
        """
        Whatever comes, there is an answer.
        """
        text = (HEAD + "".join(pieces)).encode("utf-8", "surrogatepass")
        for one in reportsIn(text):
            self.assertIsInstance(one, Report)
            self.assertTrue(0 <= one.status < 10**7)

    def test_deep(self):
        """
        Parts within parts within parts.
        """
        text = "".join(f'Content-Type: multipart/report; boundary="{n}"\n\n--{n}\n' for n in range(5000))
        self.assertEqual([], report(text))
