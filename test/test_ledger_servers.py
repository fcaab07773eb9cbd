"""
What real servers make of mail besides relaying it: Dovecot's mailboxes, Postfix's bounces, its queue, and what
it does for a server without 8BITMIME.
"""

from __future__ import annotations

import signal
from pathlib import Path

from judging import reconciled
from peercase import PeerTestCase
from peers import DovecotLMTP, eventually, freePort
from relays import PostfixRelay
from subprocesses import smtpsink
from twisted.internet import defer

#: Every tenth recipient is unknown; a bounce is for nobody of these.
BOUNCES = """
[[rule]]
name = "unknown"
on = "rcpt"
when = { recipient = "*0user@*" }
do = { reply = "550 5.1.1 No such user" }
"""

#: A body with letters that are not ASCII.
LETTER = """\
From: me@example.com
To: user@example.com
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Viele Grüße aus Köln, und ein paar Gleichheitszeichen: a=b, c==d.
.Ein Punkt am Anfang.
Leerzeichen am Ende:\x20\x20
"""

#: The same as a part, and in a message that is attached.
PARTS = f"""\
From: me@example.com
To: user@example.com
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

For old readers.
--b
Content-Type: text/plain; charset=utf-8;
 format=flowed
Content-Transfer-Encoding: 8bit

Grüße
--b
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

{LETTER}
--b--
"""

NUMBERED = ("-N", "-t", "user@example.com", "-f", "me@example.com")


class ServerTests(PeerTestCase):
    """
    Each with a directory of its own.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.sent, self.arrived = self.directory / "sent", self.directory / "arrived"

    @defer.inlineCallbacks
    def open(self, *arguments, rules=""):
        """
        Open the sink.
        """
        (self.directory / "rules.toml").write_text(rules)
        rules = ("--rules", self.directory / "rules.toml")
        self.sink = smtpsink(self, "--ledger", self.arrived, *rules, *arguments, f"127.0.0.1:{self.port}")
        yield self.sink.whenPrinted(rb"listening on ")

    @defer.inlineCallbacks
    def close(self):
        """
        Close it, and wait for that.
        """
        self.sink.signal(signal.SIGTERM)
        yield self.sink.whenEnded()

    @defer.inlineCallbacks
    def relay(self, *arguments, rules=""):
        """
        @return: a L{defer.Deferred} that fires with a Postfix that relays to the sink.
        """
        self.port = freePort()
        yield self.open(*arguments, rules=rules)
        peer = yield self.peer(PostfixRelay(self.port))
        return peer

    def judged(self, *arguments):
        """
        @return: a L{defer.Deferred} that fires with the C{"ledger"} of the report, and all anomalies.
        """
        found = reconciled(self, self.sent, *arguments, "--drain-quiet", "0")
        return found.addCallback(lambda result: result[1:])

    def assertCounts(self, ledger, verdict, **counts):
        """
        It is this verdict, and these are all the counts that are not 0.
        """
        names = ("delivered", "lost", "misdelivered", "bounced", "queued", "recovered", "refused", "unknown")
        more = ("duplicated", "corrupted", "transformed", "contradicted", "ghost", "foreign", "damaged")
        found = {name: ledger[name] for name in (*names, *more) if ledger[name]}
        self.assertEqual((ledger["verdict"], found), (verdict, counts), ledger)

    @defer.inlineCallbacks
    def test_maildir(self):
        """
        What is in Dovecot's Maildirs is what was delivered; what is taken out of them is lost, and what was put into
        them once more is duplicated.
        """
        peer = yield self.peer(DovecotLMTP())
        yield self.load("-L", "-d", "-s", 2, "-m", 30, *NUMBERED, "--ledger", self.sent, peer.destination)
        boxes = [part for path in sorted((peer.directory / "mail").iterdir()) for part in ("--maildir", path)]
        ledger, anomalies = yield self.judged(*boxes)
        self.assertCounts(ledger, "pass", delivered=30)
        self.assertEqual(anomalies, [])
        one, other = (next((peer.directory / "mail" / f"{number}user@example.com/new").iterdir()) for number in (7, 9))
        one.unlink()
        other.with_name(f"{other.name}-again").write_bytes(other.read_bytes())
        ledger, anomalies = yield self.judged(*boxes)
        self.assertCounts(ledger, "fail", delivered=29, lost=1, duplicated=1)
        found = {(one["recipient"], one["class"]) for one in anomalies}
        self.assertEqual(found, {("7user@example.com", "lost"), ("9user@example.com", "duplicated")})

    @defer.inlineCallbacks
    def test_several(self):
        """
        Dovecot does not say for whom a message has come that came for several: each mailbox belongs to one of them, and
        has it once.
        """
        peer = yield self.peer(DovecotLMTP())
        arguments = ("-L", "-d", "-s", 2, "-r", 3, "-t", "user@example.com", "-m", 20, "--ledger", self.sent)
        yield self.load(*arguments, peer.destination)
        boxes = [part for path in sorted((peer.directory / "mail").iterdir()) for part in ("--maildir", path)]
        ledger, _ = yield self.judged(*boxes)
        self.assertCounts(ledger, "pass", delivered=60)
        ledger, _ = yield self.judged(*boxes[:-2])
        self.assertCounts(ledger, "fail", delivered=40, lost=20)
        one = next(Path(boxes[1], "new").iterdir())
        one.with_name(f"{one.name}-again").write_bytes(one.read_bytes())
        ledger, _ = yield self.judged(*boxes[:-2])
        self.assertCounts(ledger, "fail", delivered=40, lost=20, duplicated=1)

    @defer.inlineCallbacks
    def test_severalNumbered(self):
        """
        The same where each message has other recipients: each mailbox has what came for one of them.
        """
        peer = yield self.peer(DovecotLMTP())
        yield self.load("-L", "-d", "-s", 2, "-r", 3, "-m", 20, *NUMBERED, "--ledger", self.sent, peer.destination)
        boxes = [part for path in sorted((peer.directory / "mail").iterdir()) for part in ("--maildir", path)]
        ledger, anomalies = yield self.judged(*boxes)
        self.assertCounts(ledger, "pass", delivered=60)
        self.assertEqual(anomalies, [])

    @defer.inlineCallbacks
    def test_imap(self):
        """
        The same by IMAP: the mailbox of one of the recipients.
        """
        peer = yield self.peer(DovecotLMTP(imap=True))
        yield self.load("-L", "-d", "-t", "user@example.com", "-m", 50, "--ledger", self.sent, peer.destination)
        (self.directory / "password").write_text("any\n")
        url = f"imap://user%40example.com@{peer.imapDestination}/INBOX"
        ledger, _ = yield self.judged("--imap", url, "--imap-password-file", self.directory / "password")
        self.assertCounts(ledger, "pass", delivered=50)

    @defer.inlineCallbacks
    def bounced(self, *arguments):
        """
        Have some bounced by Postfix, which sends its reports to the sink as well.
        """
        peer = yield self.relay(rules=BOUNCES)
        yield self.load("-d", "-s", 2, "-m", 50, *NUMBERED, "--ledger", self.sent, *arguments, peer.destination)
        yield peer.whenEmpty()
        yield self.close()
        self.assertEqual(peer.log().count("status=bounced"), 5)
        ledger, anomalies = yield self.judged(self.arrived)
        self.assertCounts(ledger, "pass", delivered=45, bounced=5)
        recipients = {one["recipient"] for one in anomalies}
        self.assertEqual(recipients, {f"{number}0user@example.com" for number in range(1, 6)}, anomalies)

    def test_bounced(self):
        """
        Each one is found by its report, which has the head of the message in it.
        """
        return self.bounced()

    def test_bouncedByEnvelope(self):
        """
        By ENVID and ORCPT, which we have sent, and the report has.
        """
        return self.bounced("--dsn-notify", "FAILURE", "--dsn-ret", "HDRS")

    @defer.inlineCallbacks
    def test_queue(self):
        """
        What Postfix still has in its queue is neither lost nor delivered; when it is flushed, all is well.
        """
        peer = yield self.relay()
        yield self.close()
        yield self.load("-d", "-s", 2, "-m", 30, *NUMBERED, "--ledger", self.sent, peer.destination)
        yield eventually(lambda: peer.log().count("status=deferred") >= 30, "deferred mail")
        queue = ("--postfix-queue", peer.directory / "queue")
        ledger, _ = yield self.judged(self.arrived, *queue)
        self.assertCounts(ledger, "inconclusive", queued=30)
        # A message that was about to come in when Postfix was killed is none that it has: the file is left for hours.
        unfinished = peer.directory / "queue/incoming/unfinished"
        unfinished.write_bytes(peer.queued()[0].read_bytes())
        unfinished.chmod(0o600)
        yield self.open()
        yield peer.whenEmpty()
        yield self.close()
        ledger, _ = yield self.judged(self.arrived, *queue)
        self.assertCounts(ledger, "pass", delivered=30)

    @defer.inlineCallbacks
    def test_quotedPrintable(self):
        """
        A server without 8BITMIME gets 8-bit text as quoted-printable: transformed, and not corrupted.
        """
        peer = yield self.relay("--no-8bitmime")
        letters = self.directory / "letters"
        letters.mkdir()
        (letters / "1.eml").write_text(LETTER)
        (letters / "2.eml").write_text(PARTS)
        arguments = ("-d", "-m", 20, *NUMBERED, "--8bitmime", "--messages", letters, "--ledger", self.sent)
        yield self.load(*arguments, peer.destination)
        yield peer.whenEmpty()
        yield self.close()
        ledger, _ = yield self.judged(self.arrived)
        self.assertCounts(ledger, "pass", delivered=20, transformed=20)
