"""
Tests for the sink's ledger: what it writes down, and when.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from unittest import SkipTest

from hypothesis import strategies as st
from keptmessages import smallFiles
from patience import PATIENCE, TEST_LIMIT
from peers import eventually
from properties import given
from sinkledgers import BODY, KINDS, NUMBER, RUN, Read, arrival, group, message, stuffed
from sinks import Pair, Process
from subprocesses import killIfAlive, twistd, whenGone
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.ledger import records
from smtpsource.ledger.digests import digest, ofAddress, ofBody
from smtpsource.ledger.identity import idOf
from smtpsource.messages.bodies import digestsOf
from smtpsource.sink.keeping.ledger import SinkLedger
from smtpsource.sink.service import ListenError, SinkPlan, SinkService

ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"

#: A report as Postfix sends it.
DSN = b"""From: MAILER-DAEMON@example.com
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="x"
MIME-Version: 1.0

--x
Content-Type: text/plain

This is the mail system.

--x
Content-Type: message/delivery-status

Reporting-MTA: dns; example.com
Original-Envelope-Id: %b

Final-Recipient: rfc822; other@example.com
Original-Recipient: rfc822;b@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 no

--x--
""".replace(b"\n", b"\r\n")


class LedgerTestCase(SynchronousTestCase):
    """
    What tests of both kinds of sinks have in common.
    """

    def kinds(self, **plan):
        """
        @return: each kind's name, a sink of it with an open ledger, and the directory.
        """
        for name, more in KINDS.items():
            yield name, *self.sink(**{**more, **plan})

    def sink(self, **plan):
        """
        @return: a sink with an open ledger, and the directory.
        """
        directory = os.path.abspath(self.mktemp())
        pair = Pair(ledger=directory, **plan)
        pair.factory.ledger.open()
        self.addCleanup(pair.factory.ledger.close)
        return pair, directory


class ArrivalTests(LedgerTestCase):
    """
    What is written about a message.
    """

    def test_fields(self):
        """
        Whose it is, whom it is for, its digests and its size; and what is behind the numbers. All of it is there when
        the reply is.
        """
        for name, pair, directory in self.kinds():
            before = time.monotonic_ns()
            self.assertEqual([250, 250, 250], pair.codes(group(message(7))), name)
            read = Read(directory)
            (found,) = read.of(records.ARRIVAL)
            self.assertTrue(before <= found.pop("time") <= time.monotonic_ns())
            self.assertEqual(arrival(7, 1), found, name)
            self.assertEqual(b"b@example.com", read.texts[records.ADDRESS, ofAddress(b"b@example.com")])
            self.assertEqual(b"192.168.1.1", read.texts[records.FROM, 1])
            self.assertEqual(("sink", os.getpid(), {"hostname": "smtp-sink", "lmtp": False, "sync": False}),
                             (read.header["role"], read.header["pid"], read.header["plan"]))  # fmt: skip

    def test_recipients(self):
        """
        One arrival for each, by SMTP and by LMTP; a client is named once.
        """
        for lmtp in (False, True):
            for name, pair, directory in self.kinds(lmtp=lmtp):
                pair.say(group(message(1), b"x@one.test", b"y@Two.TEST") + group(message(2), b"x@one.test"))
                read = Read(directory)
                expected = [(1, b"x@one.test", "", 250), (1, b"y@Two.TEST", "", 250), (2, b"x@one.test", "", 250)]
                self.assertEqual(expected, read.arrivals, name)
                self.assertEqual(3, len(read.texts), name)

    def test_from(self):
        """
        Where a session comes from: what a proxy says of it, if there is one.
        """
        for name, pair, directory in self.kinds(proxyProtocol=True):
            pair.say(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\n")
            pair.say(group(message(1)))
            self.assertEqual(b"192.0.2.7", Read(directory).texts[records.FROM, 1], name)

    def test_original(self):
        """
        Whom it was sent to, where that was another: what ORCPT says comes before.
        """
        for name, pair, directory in self.kinds():
            pair.say(
                b"MAIL FROM:<a>\r\nRCPT TO:<new@x> ORCPT=rfc822;old+2Bone@x\r\nRCPT TO:<same@X> ORCPT=rfc822;same@x\r\n"
            )
            pair.say(b'RCPT TO:<"a>b"@x>\r\nDATA\r\n' + stuffed(message(1)))
            read = Read(directory)
            self.assertEqual(
                [(records.ORIGINAL, b"old+one@x"), (records.ARRIVAL, b"new@x"), (records.ARRIVAL, b"same@X"),
                 (records.ARRIVAL, b'"a>b"@x')],
                [(one["kind"], read.address(one)) for one in read.records], name,
            )  # fmt: skip

    def test_ids(self):
        """
        An id comes from the head alone; one that was damaged is told from none.
        """
        for name, pair, directory in self.kinds():
            good = idOf(RUN, 5)
            for content in (
                b"Subject: x\r\n\r\nX-Smtpsource-Id: " + good + b"\r\n",
                b"x-smtpsource-id:\r\n " + good + b"\r\n\r\n",
                b"X-Smtpsource-Id: " + good[:-1] + b"x\r\n\r\n",
                b"X-Smtpsource-Id: " + good.replace(b"5", b"6", 1) + b"\r\n\r\n",
                b"",
                b"no head at all",
            ):
                pair.say(group(content) if content else ENVELOPE + b"BDAT 0 LAST\r\n")
            read = Read(directory)
            self.assertEqual([0, 5, 0, 0, 0, 0], [one["number"] for one in read.of(records.ARRIVAL)], name)
            self.assertEqual(2, len(read.of(records.DAMAGED)), name)

    def test_idsElsewhere(self):
        """
        Where a server has removed the header, the Message-Id has the id, or the one above that of a stored message, or
        the envelope. So it is with one that was damaged.
        """
        good, other, end = idOf(RUN, 5), idOf(RUN, 6), b"\r\n\r\nhello\r\n"
        damaged = b"X-Smtpsource-Id: " + good[:-1] + b"x\r\n"
        ids = b"message-id:\r\n <" + good + b"@x>"
        for name, pair, directory in self.kinds():
            for content in (
                ids + end,
                b"X-Smtpsource-Id: " + good + b"\r\nMessage-Id: <" + other + b"@x>" + end,
                b"Resent-Message-Id: <" + good + b"@x>\r\nMessage-Id: <a@b>" + end,
                damaged + ids + end,
                b"Subject: x\r\nIn-Reply-To: <" + good + b"@x>" + end,
                b"Message-Id: <a@b>\r\n\r\nMessage-Id: <" + good + b"@x>\r\n",
            ):
                pair.say(group(content))
            mail = b"MAIL FROM:<a@example.com> RET=HDRS ENVID=" + good + b"\r\n"
            rest = b"RCPT TO:<b@example.com>\r\nDATA\r\nSubject: x" + end + b".\r\n"
            pair.say(mail + rest)
            pair.say(mail)
            pair.say(rest)
            pair.say(mail.replace(b"a@example.com", b"") + rest.replace(b"Subject: x" + end, DSN % b"x"))
            pair.say(b"MAIL FROM:<a@example.com>\r\n" + rest)
            read = Read(directory)
            self.assertEqual([5, 5, 5, 5, 0, 0, 5, 5, 0, 0], [one["number"] for one in read.of(records.ARRIVAL)], name)
            self.assertEqual(1, len(read.of(records.DAMAGED)), name)

    def test_digests(self):
        """
        Those of each body, whether or not it is the one before, and whatever says how it is encoded.
        """
        coded = b"Content-Transfer-Encoding: quoted-printable\r\n"
        bodies = [
            (BODY, b""),
            (BODY, b""),
            (b"=41\r\n", b""),
            (b"=41\r\n", coded),
            (b"A\r\n", b""),
            (b"", b""),
            (b"\r\n", b""),
        ]
        for name, pair, directory in self.kinds():
            for body, head in bodies:
                pair.say(group(message(1, body, head)))
            found = [(one["raw"], one["canonical"]) for one in Read(directory).of(records.ARRIVAL)]
            self.assertEqual([ofBody(head, body) for body, head in bodies], found, name)
            self.assertEqual(found[3][1], found[4][1])

    @given(
        st.lists(
            st.tuples(st.sampled_from([BODY, b".\r\n", b"a\r\n..b\r\n", b"x" * 70_000 + b"\r\n"]), st.booleans()),
            min_size=1,
            max_size=6,
        ),
        st.lists(st.integers(1, 400), max_size=12),
    )
    def test_anyCut(self, bodies, lengths):
        """
        However it comes: stuffed or in chunks, cut anywhere, and however long.
        """
        said = b""
        for number, (body, isChunk) in enumerate(bodies, 1):
            content = message(number, body)
            half = len(content) // 2
            said += ENVELOPE + (
                b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (half, content[:half], len(content) - half, content[half:])
                if isChunk
                else b"DATA\r\n" + stuffed(content)
            )
        for name, pair, directory in self.kinds():
            rest = said
            for length in lengths:
                pair.protocol.dataReceived(rest[:length])
                rest = rest[length:]
            pair.protocol.dataReceived(rest)
            found = Read(directory).of(records.ARRIVAL)
            for one in found:
                del one["time"]
            self.assertEqual([arrival(number, 1, body=body) for number, (body, _) in enumerate(bodies, 1)], found, name)

    @given(
        st.sampled_from([65_000, 65_536, 70_000, 300_000, 1_500_000]),
        st.booleans(),
        st.sampled_from([b"", b"\r\n", BODY]),
        st.lists(st.integers(1, 140_000), max_size=4),
    )
    def test_longHead(self, size, isOneLine, body, lengths):
        """
        The id is found however long the head is, and both ends agree on where the body begins, however it comes.
        """
        lines = b"X: " + b"y" * size + b"\r\n" if isOneLine else b"X: yyyyyyyyyyyyyyy\r\n" * (size // 20)
        content = message(1, body, lines)
        expected = digestsOf(content, b"", True)
        endless = message(2, b"", lines)[:-4]
        for name, pair, directory in self.kinds():
            rest = group(content) + group(endless)
            for length in lengths:
                pair.protocol.dataReceived(rest[:length])
                rest = rest[length:]
            pair.protocol.dataReceived(rest)
            found, other = Read(directory).of(records.ARRIVAL)
            self.assertEqual((1, ofBody(b"", body)), (found["number"], (found["raw"], found["canonical"])), name)
            self.assertEqual((found["raw"], found["canonical"], len(body)), expected)
            self.assertEqual((2, ofBody(b"", b"")), (other["number"], (other["raw"], other["canonical"])), name)

    def test_refused(self):
        """
        What is not accepted is not there: a transaction that was given up, a size, a rule, a chunk without recipients.
        """
        for name, pair, directory in self.kinds():
            pair.say(ENVELOPE + b"BDAT 3\r\nabcRSET\r\n" + group(message(1)))
            pair.say(b"MAIL FROM:<a>\r\nBDAT 3 LAST\r\nabc" + group(message(2)))
            pair.say(ENVELOPE + b"EHLO x\r\n" + group(message(3)))
            self.assertEqual([1, 2, 3], [one[0] for one in Read(directory).arrivals], name)
            self.assertEqual(3, pair.counts.recipients)
        pair, directory = self.sink(ruleTexts=['on = "message", do = { reply = "550 no" }'], maxMessageSize=1000)
        pair.say(group(message(1)) + group(message(2, 1000 * b"x")))
        self.assertEqual([], Read(directory).records)

    def test_report(self):
        """
        A message without a sender that is a report is read as well: by its envelope's id, and as an arrival without
        an id of its own. One with a sender is not.
        """
        for name, pair, directory in self.kinds():
            content = DSN % idOf(RUN, 9)
            pair.say(group(content, sender=b""))
            pair.say(group(content))
            pair.say(b"MAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n" + stuffed(content + 100_000 * b"x" + b"\r\n"))
            read = Read(directory)
            self.assertEqual([0, 0, 0], [one["number"] for one in read.of(records.ARRIVAL)], name)
            self.assertEqual(
                [(NUMBER, 9, 511, b"b@example.com", records.ACTIONS.index("failed"))] * 2,
                [(one["run"], one["number"], one["code"], read.address(one), one["flag"])
                 for one in read.of(records.REPORT)], name,
            )  # fmt: skip


class DeedTests(LedgerTestCase):
    """
    What rules do to messages.
    """

    def done(self, deed, more="", **plan):
        """
        @return: what is written of a message to which that is done, and its digests.
        """
        rule = f'name = "bad", on = "message", do = {{ {deed} = true{more} }}'
        pair, directory = self.sink(ruleTexts=[rule], **plan)
        pair.say(group(message(1), b"x@x", b"y@x"))
        read = Read(directory)
        self.assertEqual(b"bad", read.texts[records.RULE, digest(b"bad")])
        self.assertFalse(os.path.exists("kept") and os.listdir("kept/new"))
        bodies = {(one["raw"], one["canonical"]) for one in read.of(records.ARRIVAL)}
        return read.arrivals, bodies == {ofBody(b"", BODY)}

    def test_lost(self):
        """
        What is lost on purpose has come, and says so; no other keeper sees it.
        """
        maildir = self.mktemp()
        found = self.done("accept-but-lose", maildir=os.path.abspath(maildir))
        self.assertEqual(([(1, r, "accept-but-lose", 250) for r in (b"x@x", b"y@x")], True), found)
        self.assertFalse(os.path.exists(maildir) and os.listdir(os.path.join(maildir, "new")))

    def test_duplicated(self):
        """
        Twice, for each recipient.
        """
        found, _ = self.done("duplicate")
        self.assertEqual(sorted([(1, r, "duplicate", 250) for r in (b"x@x", b"y@x")] * 2), sorted(found))

    def test_corrupted(self):
        """
        As it is after the damage; the content that comes next is whole again.
        """
        found, isSame = self.done("corrupt")
        self.assertEqual(([(1, r, "corrupt", 250) for r in (b"x@x", b"y@x")], False), (found, isSame))

    def test_rejected(self):
        """
        Kept, although it was refused: with the code.
        """
        found, _ = self.done("reject-but-keep", ', reply = "551 no"')
        self.assertEqual([(1, r, "reject-but-keep", 551) for r in (b"x@x", b"y@x")], found)

    def test_eachRecipient(self):
        """
        In LMTP, by recipient: each its own.
        """
        pair, directory = self.sink(
            lmtp=True,
            ruleTexts=[
                f'name = "{deed}", on = "message", when = {{ recipient = "{deed}@x" }}, do = {{ {deed} = true }}'
                for deed in ("accept-but-lose", "corrupt", "duplicate")
            ]
            + ['on = "message", when = { recipient = "no@x" }, do = { reply = "450 no" }'],
        )
        recipients = (b"corrupt@x", b"no@x", b"fine@x", b"accept-but-lose@x", b"duplicate@x")
        pair.say(b"LHLO x\r\n" + group(message(1), *recipients))
        read = Read(directory)
        deeds = [(address.decode(), deed) for _, address, deed, _ in read.arrivals]
        expected = [("fine@x", ""), *((f"{deed}@x", deed) for deed in ("accept-but-lose", "duplicate", "duplicate"))]
        self.assertEqual([*expected, ("corrupt@x", "corrupt")], deeds)
        digests = {one["flag"]: one["raw"] == ofBody(b"", BODY)[0] for one in read.of(records.ARRIVAL)}
        self.assertEqual({0: True, 1: True, 2: True, 3: False}, digests)


class FullTests(LedgerTestCase):
    """
    A disk without room.
    """

    def test_full(self):
        """
        What can't be written is refused for now, and nothing of it is there, nor with anybody else; later it goes on.
        """
        for lmtp in (False, True):
            for name, pair, directory in self.kinds(lmtp=lmtp):
                pair.say(group(message(1)))
                with smallFiles(len(open(pair.factory.ledger.path, "rb").read()) + 100):
                    codes = pair.codes(group(message(2), b"x@x", b"y@x"))
                    self.assertEqual([250] * 3 + [452] * (2 if lmtp else 1), codes, name)
                self.assertEqual([1], [one[0] for one in Read(directory).arrivals], name)
                self.assertEqual([250] * 4, pair.codes(group(message(3), b"x@x", b"z@x"))[:4], name)
                self.assertEqual([b"x@x", b"z@x"], [one[1] for one in Read(directory).arrivals[1:]], name)
                self.assertEqual((2, 3), (pair.counts.messages, pair.counts.recipients))
                self.assertEqual(1, pair.counts.errors["storage"][0])

    def test_windowFull(self):
        """
        Of what comes in one chunk, each message is refused that is not there; one that was begun before, too.
        """
        for lmtp in (False, True):
            for name, pair, directory in self.kinds(lmtp=lmtp):
                pair.say(group(message(1)) + ENVELOPE + b"DATA\r\n")
                with smallFiles(os.path.getsize(pair.factory.ledger.path) + 70):
                    said = stuffed(message(2)) + group(message(3)) + group(message(4)) + b"NOOP\r\n"
                    codes = pair.codes(said)
                found = [one[0] for one in Read(directory).arrivals]
                finals = [codes[0], codes[3], codes[6]]
                self.assertEqual(
                    found[1:], [number for number, code in zip((2, 3, 4), finals, strict=True) if code == 250]
                )
                self.assertIn(finals, ([452] * 3, [250, 452, 452]), name)
                self.assertEqual([250, 250, 250, 250, 250], [codes[at] for at in (1, 2, 4, 5, 7)])
                self.assertEqual(len(found), pair.counts.messages)
                self.assertEqual(4 - len(found), pair.counts.errors["storage"][0])
                self.assertEqual([250] * 3, pair.codes(group(message(5))))

    def test_closed(self):
        """
        Nothing is accepted that can't be written down any more.
        """
        for name, pair, directory in self.kinds():
            pair.say(group(message(1)))
            pair.factory.ledger.close()
            self.assertEqual([250, 250, 452], pair.codes(group(message(2))), name)
            self.assertEqual([1], [one[0] for one in Read(directory).arrivals])
        for name, pair, _ in self.kinds():
            pair.factory.ledger.close()
            self.assertEqual([250, 250, 452], pair.codes(group(message(1))), name)
        for name, more in KINDS.items():
            pair = Pair(ledger=self.mktemp(), **more)
            self.assertEqual([250, 250, 452], pair.codes(group(message(1))), name)

    def test_others(self):
        """
        Others that keep messages don't have it then.
        """
        pair, _ = self.sink(keep=10)
        with smallFiles(len(open(pair.factory.ledger.path, "rb").read()) + 10):
            self.assertEqual([250, 250, 452], pair.codes(group(message(1))))
        self.assertEqual(0, len(pair.factory.steering.memory.find()))
        self.assertEqual(0, pair.factory.steering.number)


class UnseenTests(LedgerTestCase):
    """
    Replies that a client may not have read.
    """

    def lost(self, pair, reason=None):
        pair.protocol.connectionLost(Failure(reason or ConnectionLost()))

    def test_lost(self):
        """
        A connection that is lost after a reply to a content, and nothing more was said: so many arrivals.
        """
        for name, pair, directory in self.kinds():
            pair.say(group(message(1)))
            pair.say(group(message(2), b"x@x", b"y@x") + group(message(3)))
            self.lost(pair)
            (unseen,) = Read(directory).of(records.UNSEEN)
            self.assertEqual((3, 1), (unseen["size"], unseen["session"]), name)

    def test_seen(self):
        """
        Whoever says more has read it. What was there before has not, be it QUIT.
        """
        for said, expected in ((b"NOOP\r\n", 0), (b"QUIT\r\n", 0), (b"", 1)):
            for name, pair, directory in self.kinds():
                pair.say(group(message(1)))
                pair.say(said)
                self.lost(pair, ConnectionDone())
                self.assertEqual(expected, len(Read(directory).of(records.UNSEEN)), (name, said))
        for name, pair, directory in self.kinds():
            pair.say(group(message(1)) + b"QUIT\r\n")
            self.lost(pair, ConnectionDone())
            self.assertEqual(1, len(Read(directory).of(records.UNSEEN)), name)

    def test_unsaid(self):
        """
        A reply that waits was not read either, whatever comes meanwhile.
        """
        pair, directory = self.sink(ruleTexts=['on = "message", do = { delay = "10s" }'])
        pair.say(group(message(1)))
        pair.protocol.dataReceived(b"NOOP\r\n")
        self.lost(pair)
        self.assertEqual(1, Read(directory).of(records.UNSEEN)[0]["size"])

    def test_left(self):
        """
        A session that had arrivals, and whose client has seen all replies, has left.
        """
        for name, pair, directory in self.kinds():
            pair.say(group(message(1)))
            pair.say(b"QUIT\r\n")
            self.lost(pair, ConnectionDone())
            pair.connect()
            pair.say(b"QUIT\r\n")
            self.lost(pair, ConnectionDone())
            pair.factory.ledger.close()
            self.assertEqual([1], [one["session"] for one in Read(directory).of(records.LEFT)], name)


class SyncTests(LedgerTestCase):
    """
    Arrivals that are on the disk first.
    """

    def setUp(self):
        self.threads = []
        self.pair, self.directory = self.sink(ledgerSync=True)
        self.ledger = self.pair.factory.ledger
        self.ledger.inThread = self.inThread

    def inThread(self, call):
        """
        A thread that does nothing until it is told to.
        """
        result = Deferred()
        self.threads.append((call, result))
        return result

    def turn(self, problem=None):
        """
        The first thread does its work.
        """
        call, result = self.threads.pop(0)
        found = call()
        result.callback(problem or found)

    def connect(self):
        """
        @return: a client of its own, and its transport.
        """
        self.pair.connect()
        return self.pair.protocol, self.pair.transport

    def test_waits(self):
        """
        The reply comes when it is there, and what the client has said meanwhile is answered after it.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(group(message(1)) + b"NOOP\r\n" + group(message(2)) + b"QUIT\r\n")
        self.assertEqual(3, transport.value().count(b"\r\n"))
        self.assertEqual(2, len(Read(self.directory).of(records.ARRIVAL)))
        self.assertFalse(transport.disconnecting)
        self.turn()
        replies = [b"2.1.0", b"2.1.5", b"2.0.0", b"2.0.0", b"2.1.0", b"2.1.5"]
        self.assertEqual(replies, [line.split()[1] for line in transport.value().splitlines()[1:]])
        self.turn()
        self.assertTrue(transport.value().endswith(b"250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"), transport.value())
        self.assertTrue(transport.disconnecting)

    def test_turn(self):
        """
        What has come in one turn of the reactor, such as a window, shares one.
        """
        self.ledger.later = lambda call: self.pair.clock.callLater(0, call)
        protocol, transport = self.connect()
        protocol.dataReceived(b"".join(group(message(number)) for number in range(8)))
        self.assertEqual([], self.threads)
        self.pair.clock.advance(0)
        self.turn()
        self.pair.clock.advance(0)
        self.assertEqual(([], 25), (self.threads, transport.value().count(b"\r\n")))

    def test_someFail(self):
        """
        Each reply is what became of its own message.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(group(message(1)) + group(message(2)))
        protocol.dataReceived(group(message(3)))
        self.turn()
        self.turn(OSError(5, "Input/output error"))
        codes = [int(line[:3]) for line in transport.value().splitlines()[1:]]
        self.assertEqual([250, 250, 250, 250, 250, 452, 250, 250, 452], codes)
        self.assertEqual(1, self.pair.counts.messages)

    def test_refusedBefore(self):
        """
        A client that has been refused something is answered as well, one message after the other.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(b"NONSENSE\r\n" + group(message(1)) + group(message(2)))
        self.assertEqual(1, len(Read(self.directory).of(records.ARRIVAL)))
        self.turn()
        self.turn()
        codes = [int(line[:3]) for line in transport.value().splitlines()[1:]]
        self.assertEqual([500] + [250] * 6, codes)

    def test_paused(self):
        """
        Nobody is answered while the sink is paused.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(group(message(1)))
        self.pair.factory.steering.pause()
        self.turn()
        self.assertNotIn(b"2.0.0 Ok", transport.value())
        self.pair.factory.steering.resume()
        self.pair.clock.advance(1)
        self.assertIn(b"2.0.0 Ok", transport.value())

    def test_stopped(self):
        """
        A sink that is stopped gives the reply first.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(group(message(1)))
        self.pair.factory.endSoon()
        self.assertFalse(transport.disconnecting)
        self.turn()
        self.assertRegex(transport.value(), rb"250 2\.0\.0 Ok\r\n421 [^\n]*\n\Z")
        self.assertTrue(transport.disconnecting)

    def test_shared(self):
        """
        All that come while the disk is at work share what comes next, which has begun after them.
        """
        clients = [self.connect() for _ in range(4)]
        for number, (protocol, _) in enumerate(clients, 1):
            protocol.dataReceived(group(message(number)))
        self.assertEqual(1, len(self.threads))
        self.turn()
        self.assertEqual([True, False, False, False], [b"2.0.0 Ok" in transport.value() for _, transport in clients])
        self.assertEqual(1, len(self.threads))
        self.turn()
        self.assertEqual([True] * 4, [b"2.0.0 Ok" in transport.value() for _, transport in clients])
        self.assertEqual([], self.threads)

    def test_fails(self):
        """
        A disk that fails: the client may try again, the sink goes on, and the report says so.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(group(message(1)))
        self.turn(OSError(5, "Input/output error"))
        self.assertTrue(transport.value().endswith(b"452 4.3.1 No room to keep the message\r\n"))
        self.assertEqual((0, 0), (self.pair.counts.messages, self.pair.counts.recipients))
        self.assertIn("Input/output error", self.pair.counts.errors["storage"][1])
        protocol.dataReceived(group(message(2)))
        self.turn()
        self.assertTrue(transport.value().endswith(b"250 2.0.0 Ok\r\n"))

    def test_takenBack(self):
        """
        What was refused then has not arrived, and the ledger says so.
        """
        protocol, _ = self.connect()
        protocol.dataReceived(group(message(1), b"x@x", b"y@x") + group(message(2)))
        self.turn(OSError(5, "Input/output error"))
        self.turn()
        protocol.dataReceived(b"NONSENSE\r\n")
        protocol.dataReceived(group(message(3)))
        self.turn(OSError(5, "Input/output error"))
        found = Read(self.directory)
        back = found.of(records.TAKEN_BACK)
        expected = [
            {**one, "kind": records.TAKEN_BACK, "code": 452}
            for one in found.of(records.ARRIVAL)
            if one["number"] in (1, 3)
        ]
        self.assertEqual((3, expected), (len(back), back))

    def test_lost(self):
        """
        A client that is gone meanwhile is not answered.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(group(message(1)))
        protocol.connectionLost(Failure(ConnectionLost()))
        self.turn()
        self.assertNotIn(b"2.0.0 Ok", transport.value())
        self.assertEqual(1, Read(self.directory).of(records.UNSEEN)[0]["size"])


class EndTests(LedgerTestCase):
    """
    The file, and its end.
    """

    def test_alive(self):
        """
        A second without anything else is written down, and whether somebody was heard in it; and the end.
        """
        for name, pair, directory in self.kinds():
            ledger, counts = pair.factory.ledger, pair.factory.counts
            ledger.beAlive(counts.bytesReceived)
            pair.say(group(message(1)))
            for _ in range(2):
                ledger.beAlive(counts.bytesReceived)
            pair.say(b"NOOP\r\n")
            for _ in range(2):
                ledger.beAlive(counts.bytesReceived)
            ledger.close()
            ledger.close()
            found = [(one["kind"], one["flag"]) for one in Read(directory).records[1:]]
            expected = [(records.ALIVE, heard) for heard in (0, 1, 0)]
            self.assertEqual([*expected, (records.END, 1)], found, name)


class Client:
    """
    A client that says one window after the other, whenever the one before is answered.

    @ivar seen: how many contents were accepted, by what it has read.
    """

    WINDOW = 8

    def __init__(self, port, number):
        self.base = number * 1_000_000
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = self.seen = 0
        self.rest = b""

    def say(self):
        """
        Say the next window.
        """
        numbers = range(self.base + self.sent, self.base + self.sent + self.WINDOW)
        self.socket.sendall(b"".join(group(message(number)) for number in numbers))
        self.sent += self.WINDOW

    def read(self):
        """
        @return: C{False} at the end.
        """
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.seen += sum(line.startswith(b"250 2.0.0") for line in lines)
        if data and self.seen == self.sent:
            self.say()
        return bool(data)


class ProcessTests(SynchronousTestCase):
    """
    The sink as a process.
    """

    def sink(self, *options):
        """
        @return: a sink that writes a ledger, and where.
        """
        directory = os.path.abspath(self.mktemp())
        return Process(self, *options, "--ledger", directory, "127.0.0.1:0"), directory

    def talk(self, port, said, replies):
        """
        Say something, and read so many lines.
        """
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(said)
            received = b""
            while received.count(b"\n") < replies:
                data = client.recv(4096)
                self.assertTrue(data, received)
                received += data

    def test_killed(self):
        """
        By SIGKILL, while many talk to it: whatever a client has read a 250 for is there, and nothing is cut.
        """
        for options in ((), ("--max-recipients", "1000"), ("--ledger-sync",)):
            sink, directory = self.sink(*options)
            port = sink.port()
            clients = [Client(port, number) for number in range(20)]
            with selectors.DefaultSelector() as selector:
                for client in clients:
                    selector.register(client.socket, selectors.EVENT_READ, client)
                    client.say()
                isKilled = False
                while selector.get_map():
                    for key, _ in selector.select(PATIENCE):
                        if not isKilled and sum(client.seen for client in clients) > 500:
                            isKilled = True
                            sink.signal(signal.SIGKILL)
                        if not key.data.read():
                            selector.unregister(key.fileobj)
                            key.fileobj.close()
            read = Read(directory)
            found = {number for number, _, _, _ in read.arrivals}
            acknowledged = {client.base + number for client in clients for number in range(client.seen)}
            self.assertTrue(len(acknowledged) > 500)
            self.assertEqual(set(), acknowledged - found)
            self.assertEqual(([], len(found)), (read.of(records.END), len(read.arrivals)))

    def test_ends(self):
        """
        By a signal or a limit, with all replies sent: the ledger has its end, and the report says where it is.
        """
        for options, number in (((), signal.SIGTERM), (("-n", "1"), None), (("--max-messages", "1"), None)):
            sink, directory = self.sink("--report", "-", *options)
            sink._people = sink._process.stderr
            self.talk(sink.port(), group(message(1)) + b"QUIT\r\n", 5)
            if number is not None:
                sink.signal(number)
            status, out, _ = sink.outcome()
            read = Read(directory)
            self.assertEqual((0, [(1, b"b@example.com", "", 250)]), (status, read.arrivals))
            self.assertEqual([1], [one["flag"] for one in read.of(records.END)])
            self.assertEqual(records.END, read.records[-1]["kind"])
            self.assertEqual(os.path.join(directory, os.listdir(directory)[0]), json.loads(out)["ledger"])

    def test_user(self):
        """
        It is begun before the privileges of root are given up.
        """
        if os.geteuid() != 0:
            raise SkipTest("only root can become another user")
        for options in ((), ("-R", "/var/empty" if os.path.isdir("/var/empty") else "/mnt")):
            sink, directory = self.sink("-u", "nobody", "-n", "1", *options)
            self.talk(sink.port(), group(message(1)) + b"QUIT\r\n", 5)
            self.assertEqual(0, sink.outcome()[0])
            self.assertEqual([1], [one["flag"] for one in Read(directory).of(records.END)])

    def test_portInUse(self):
        """
        A sink that can't listen leaves no ledger.
        """
        directory = os.path.abspath(self.mktemp())
        with socket.create_server(("127.0.0.1", 0)) as other:
            sink = Process(self, "--ledger", directory, f"127.0.0.1:{other.getsockname()[1]}")
            self.assertEqual(1, sink.outcome()[0])
        self.assertFalse(os.path.exists(directory))

    def test_cantWrite(self):
        """
        Where there can't be one, there is no sink: one line says so.
        """
        sink = Process(self, "--ledger", "/proc/x", "127.0.0.1:0")
        status, _, err = sink.outcome()
        self.assertNotEqual(0, status)
        self.assertRegex(err, r"\A[^\n]*/proc/x[^\n]*\n\Z")


class ServiceTests(TestCase):
    """
    While time passes; and under twistd.
    """

    timeout = TEST_LIMIT

    def test_cantBegin(self):
        """
        A directory that is none any more: nobody listens then.
        """
        with open(path := os.path.abspath(self.mktemp()), "w"):
            pass
        service = SinkService(reactor, SinkPlan())
        service.factory.ledger = SinkLedger(path, {})
        with self.assertRaisesRegex(ListenError, "can't write a ledger in "):
            service.startService()
        self.assertRaises(RuntimeError, service.address)

    @inlineCallbacks
    def test_alive(self):
        """
        A sink that nobody talks to says each second that it is there; one that a client talks to without any message
        says that too.
        """
        for name, more in KINDS.items():
            directory = os.path.abspath(self.mktemp())
            service = SinkService(reactor, SinkPlan(ledger=directory, **more))
            service.startService()
            self.addCleanup(service.stopService)

            def signs(directory=directory):
                return [one["flag"] for one in Read(directory).of(records.ALIVE)]

            yield eventually(lambda: len(signs()) > 1, "two signs of life")
            self.assertEqual({0}, set(signs()), name)
            with socket.create_connection(("127.0.0.1", service.address().port)) as client:
                client.sendall(b"NOOP\r\n")
                yield eventually(lambda: 1 in signs(), "that it has heard somebody")
            yield service.stopService()
            self.assertEqual({records.ALIVE, records.END}, {one["kind"] for one in Read(directory).records}, name)

    @inlineCallbacks
    def test_daemon(self):
        """
        A daemon begins it when it is one: the process that the ledger names is the one that writes, to the end.
        """
        os.makedirs(base := os.path.abspath(self.mktemp()))
        directory, path, pidfile = (os.path.join(base, name) for name in ("ledger", "sink", "pid"))
        options = ("smtp-sink", "-n", "1", "--ledger", directory, f"unix:{path}")
        result = yield twistd(self, f"--pidfile={pidfile}", f"--logfile={base}/log", *options).whenEnded()
        self.assertEqual(0, result.status, result.err)
        with open(pidfile) as file:
            pid = int(file.read())
        self.addCleanup(killIfAlive, pid)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(group(message(1)) + b"QUIT\r\n")
            while client.recv(4096):
                pass
        yield whenGone(pid)
        read = Read(directory)
        self.assertEqual(([1], pid), ([one["flag"] for one in read.of(records.END)], read.header["pid"]))
        self.assertEqual([(1, b"b@example.com", "", 250)], read.arrivals)
