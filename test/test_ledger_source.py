"""
Tests for the ledger of the generator: what is in it, and that it is there in time.
"""

from __future__ import annotations

import os
import re
import signal
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace

from commandlines import CommandTestCase
from hypothesis import strategies as st
from ledger import FAULTS, LedgerServer
from peers import eventually
from properties import given
from sessions import Server
from subprocesses import python, smtpsource, twistd
from test_counts import (
    ALONG,
    CHUNKED,
    LOCKSTEP,
    NEW,
    PIECES,
    PIPELINED,
    WINDOW,
    WINDOW_OF_PIECES,
    planned,
)
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.ledger import digests, identity, records
from smtpsource.ledger.notes import Notes, addressIn
from smtpsource.load import noted
from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.messages.parts import FilePart
from smtpsource.plan import SourcePlan
from smtpsource.process.unexpected import Breakdown
from smtpsource.report.text import render
from smtpsource.smtp.parameters import Parameters
from smtpsource.testing import FakeReactor, FakeTransport, runInMemory

RUN = b"0123456789abcdef"
KINDS = (LOCKSTEP, NEW, PIPELINED, CHUNKED, PIECES, ALONG, WINDOW, WINDOW_OF_PIECES)
LARGE = {"length": 200_000}


def entriesIn(directory):
    """
    @param directory: a ledger, or where there is one.
    @return: its header, and its records, each as a dictionary, without texts.
    """
    path = Path(directory)
    if path.is_dir():
        (path,) = path.glob("*.ledger")
    octets = path.read_bytes()
    header, start = records.parseHeader(octets)
    rest = octets[start:]
    places = range(0, len(rest) - records.SIZE + 1, records.SIZE)
    found = [records.fields(rest[at : at + records.SIZE]) for at in places]
    return header, [one for one in found if one["kind"] != records.TEXT]


def intended(entries):
    """
    @return: the numbers of the messages that were about to leave.
    """
    return {one["number"] for one in entries if one["kind"] == records.INTENT}


def outcomes(entries):
    """
    @return: the last outcome of each message and recipient that there is.
    """
    named, whole, units = {}, {}, set()
    for one in entries:
        if one["kind"] == records.INTENT:
            units.add((one["number"], one["index"]))
        elif one["kind"] == records.OUTCOME and one["index"] == records.WHOLE:
            whole[one["number"]] = one["flag"]
        elif one["kind"] == records.OUTCOME:
            named[one["number"], one["index"]] = one["flag"]
    return {unit: named.get(unit, whole.get(unit[0])) for unit in units}


def idIn(octets):
    """
    @return: the number of a message whose first line is its id.
    """
    first = octets.partition(b"\r\n")[0]
    assert first.startswith(b"X-Smtpsource-Id: "), first
    return identity.parse(first).number


def joined(content):
    return b"".join(bytes(part) if isinstance(part, FilePart) else part for part in content)


class NotesCase(SynchronousTestCase):
    """
    Messages that are noted, without a run.
    """

    def setUp(self):
        self.clock = Clock()
        self.directory = self.mktemp()
        self.notes = Notes(RUN, self.clock.callLater)
        self.notes.open(self.directory, {}, sync=False)
        self.addCleanup(self.notes.close)

    def entries(self):
        self.notes.write()
        return [one for one in entriesIn(self.directory)[1] if one["kind"] != records.NAME]


class IdTests(NotesCase):
    """
    What a message of such a run looks like.
    """

    def check(self, *ends, count=2, **plan):
        """
        The same messages with a ledger and without, but for their ids.

        @param ends: what may end the head that the ledger adds; the empty line of a message without one.
        """
        plan = {"seed": 3, "myhostname": "me", **plan}
        with_ = newTraffic(SourcePlan(**plan), RUN, self.notes)
        without = newTraffic(SourcePlan(**plan), RUN)
        found = []
        for number in range(1, count + 1):
            message, other = with_.next(), without.next()
            own = identity.idOf(RUN, number)
            self.assertEqual(message.recipientCommands(), other.recipientCommands())
            for name in ("content", "bdatContent"):
                octets, plain = joined(getattr(message, name)()), joined(getattr(other, name)())
                plain = re.sub(b"(?<=Message-Id: <)[^@]*", own, plain)
                line = b"X-Smtpsource-Id: " + own + b"\r\n"
                self.assertIn(octets, [line + end + plain for end in ends or (b"",)])
            found.append(octets)
        entries = self.entries()
        self.assertEqual([one["number"] for one in entries], list(range(1, count + 1)))
        for octets, one in zip(found, entries, strict=True):
            head, _, body = octets.partition(b"\r\n\r\n")
            self.assertEqual((one["raw"], one["canonical"]), digests.ofBody(head, body))
            self.assertEqual(one["size"], len(body))
            self.assertEqual(one["run"], int(RUN, 16))
        return found

    def test_generated(self):
        """
        The id is the first header, and in the Message-Id.
        """
        self.check()
        self.notes.open(self.mktemp(), {}, sync=False)

    def test_large(self):
        """
        One that is streamed.
        """
        self.check(length=300_000)

    def test_withoutHeaders(self):
        """
        C{-o}: there is an empty line after it.
        """
        self.check(b"\r\n", oldMode=True)

    def test_withoutHeadersVaried(self):
        """
        The same where sizes are drawn.
        """
        self.check(b"\r\n", oldMode=True, sizeDistribution="uniform:1-200k", count=5)

    def test_file(self):
        """
        A file with headers goes on after it; encoded or not, large or not.
        """
        self.check(message=b"Subject: x\n\n.y\n")

    def test_fileEncoded(self):
        """
        What is compared is what it means.
        """
        text = b"Content-Transfer-Encoding: base64\n\nYWJj\n"
        self.check(message=text)
        self.assertEqual(self.entries()[0]["canonical"], digests.digest(b"abc"))

    def test_fileLarge(self):
        """
        One that is streamed.
        """
        self.check(message=b"Subject: x\n\n" + b".y\n" * 50_000)

    def test_fileWithoutHeaders(self):
        """
        One without gets an empty line; one that begins with one has it.
        """
        self.check(b"\r\n", message=b"hello\nworld: x\n\nmore\n")

    def test_fileWithEmptyHead(self):
        """
        It begins with the empty line.
        """
        self.check(message=b"\nhello\n")

    def test_added(self):
        """
        More headers come after it.
        """
        (one, _) = self.check(headers=("X-A: {n} {random:8}",))
        self.assertIn(b"\r\nX-A: 1 ", one)

    def test_addedToFile(self):
        """
        Those of a file, too, with headers or without.
        """
        self.check(headers=("X-A: {n}",), message=b"A: b\n\nc\n")

    def test_sizes(self):
        """
        Bodies of drawn sizes.
        """
        self.check(sizeDistribution="uniform:1-200k", count=8)

    def test_corpus(self):
        """
        Messages of a directory: with headers, without, large ones that stay in their files.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "a.eml").write_bytes(b"Subject: a\n\nx\n")
        (directory / "b.eml").write_bytes(b"Message-ID: <b>\r\n\r\n.x\r\n")
        (directory / "c.eml").write_bytes(b"no header\n\nx\n")
        (directory / "d.eml").write_bytes(b"A: b\r\n\r\n" + b"x" * 70 + b"\r\n" * 100_000)
        newer = SourcePlan(messages=str(directory), seed=1, myhostname="me")
        found = []
        stream = newTraffic(newer, RUN, self.notes)
        for number in range(1, 5):
            octets = joined(stream.next().bdatContent())
            self.assertEqual(idIn(octets), number)
            found.append(octets)
        self.assertRegex(found[0], rb"\AX-Smtpsource-Id: \S+\r\nMessage-Id: <\S+@me>\r\nSubject: a\r\n\r\nx\r\n\Z")
        self.assertTrue(found[1].endswith(b"@me>\r\nMessage-ID: <b>\r\n\r\n.x\r\n"), found[1])
        self.assertTrue(found[2].endswith(b"@me>\r\n\r\nno header\r\n\r\nx\r\n"), found[2])
        for octets, one in zip(found, self.entries(), strict=True):
            head, _, body = octets.partition(b"\r\n\r\n")
            self.assertEqual((one["raw"], one["canonical"]), digests.ofBody(head, body))

    def test_corpusAsItIs(self):
        """
        With C{-o} nothing but the id is added.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "a.eml").write_bytes(b"Subject: a\n\nx\n")
        (directory / "b.eml").write_bytes(b"x\n")
        self.check(b"", b"\r\n", messages=str(directory), oldMode=True)

    def test_size(self):
        """
        SIZE is not less than what comes.
        """
        for more in ({}, {"headers": ("A: b",)}, {"message": b"A: b\n\nc\n"}, {"message": b"x"}):
            plan = SourcePlan(parameters=Parameters(size=True), **more)
            message = newTraffic(plan, RUN, self.notes).next()
            said = int(re.search(rb" SIZE=([0-9]+)", message.mail)[1])
            self.assertGreaterEqual(said, len(joined(message.bdatContent())))

    def test_DSN(self):
        """
        With DSN the id is the envelope's, unless that has one; recipients are named as they were meant.
        """
        for more in ({}, {"headers": ("A: b",)}):
            plan = SourcePlan(recipient="a+b@x.test", parameters=Parameters(notify="FAILURE"), recipientCount=2, **more)
            message = newTraffic(plan, RUN, self.notes).next()
            self.assertTrue(message.mail.endswith(b" ENVID=" + identity.idOf(RUN, 1) + b"\r\n"), message.mail)
            self.assertEqual(
                message.recipientCommands(),
                (
                    b"RCPT TO:<2a+b@x.test> NOTIFY=FAILURE ORCPT=rfc822;2a+2Bb@x.test\r\n",
                    b"RCPT TO:<a+b@x.test> NOTIFY=FAILURE ORCPT=rfc822;a+2Bb@x.test\r\n",
                ),
            )
            plan = SourcePlan(parameters=Parameters(envid="mine"), **more)
            message = newTraffic(plan, RUN, self.notes).next()
            self.assertTrue(message.mail.endswith(b" ENVID=mine\r\n"), message.mail)
            self.assertNotIn(b"ENVID", newTraffic(SourcePlan(**more), RUN, self.notes).next().mail)

    def test_recipients(self):
        """
        Each recipient is noted by its number, and named once.
        """
        plan = SourcePlan(recipient="u@X.test", recipientCount=2, numberRecipients=True)
        stream = newTraffic(plan, RUN, self.notes)
        for _ in range(2):
            stream.next().content()
        found = self.entries()
        names = [b"1u@x.test", b"2u@x.test", b"3u@x.test", b"4u@x.test"]
        self.assertEqual([one["address"] for one in found], [digests.ofAddress(name) for name in names])
        self.assertEqual([one["index"] for one in found], [0, 1, 0, 1])
        (path,) = Path(self.directory).glob("*")
        octets = path.read_bytes()
        texts = list(records.textsOf(octets[records.parseHeader(octets)[1] :]))
        self.assertEqual([text.lower() for _, _, text in texts], names)

    def test_addressIn(self):
        """
        What a command names, whatever it is.
        """
        for address in (b"a@b", b"", b'"a>b"@c', b'"a\\">b"@c', b"a"):
            for parameters in (b"", b" ORCPT=rfc822;a>b"):
                self.assertEqual(addressIn(b"RCPT TO:<" + address + b">" + parameters + b"\r\n"), address)


class NotesTests(NotesCase):
    """
    When it is written.
    """

    def test_outcomesWait(self):
        """
        An outcome is there after ten milliseconds, or with the next message.
        """
        path = Path(self.notes.path)
        before = path.stat().st_size
        self.notes.outcome(1, records.ACKNOWLEDGED, records.WHOLE, 250, 0, 1)
        self.clock.advance(0.009)
        self.assertEqual(path.stat().st_size, before)
        self.clock.advance(0.002)
        self.assertEqual(path.stat().st_size, before + records.SIZE)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.notes.outcome(2, records.REFUSED, records.WHOLE, 550, 7, 1)
        newTraffic(SourcePlan(), RUN, self.notes).next().content()
        self.assertEqual([one["number"] for one in self.entries()], [1, 2, 1])
        self.assertEqual(self.entries()[1]["raw"], 7)

    def test_again(self):
        """
        One content that is asked for twice is one attempt; one that is sent again is another.
        """
        message = newTraffic(SourcePlan(), RUN, self.notes).next()
        message.bdatContent()
        message.bdatContent()
        self.assertEqual([one["flag"] for one in self.entries()], [1])
        message.attempt = -message.attempt
        message.bdatContent()
        self.assertEqual([one["flag"] for one in self.entries()], [1, 2])

    def test_pipe(self):
        """
        What is no file is no ledger, whatever its name says: nobody waits for whoever writes to it.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        os.mkfifo(directory / "source-x.ledger")
        notes = Notes(RUN, self.clock.callLater)
        notes.open(str(directory), {}, sync=False)
        notes.close()

    def test_sync(self):
        """
        With C{sync} it is on the disk before the message leaves.
        """
        notes = Notes(RUN, self.clock.callLater)
        directory = self.mktemp()
        notes.open(directory, {}, sync=True)
        self.addCleanup(notes.close)
        synced = []
        self.patch(os, "fdatasync", lambda descriptor: synced.append(len(intended(entriesIn(directory)[1]))))
        stream = newTraffic(SourcePlan(), RUN, notes)
        stream.next().content()
        self.assertEqual(synced, [1])
        stream.next().bdatContent()
        stream.next().bdatContent()
        notes.write()
        self.assertEqual(synced, [1, 3])

    def test_closed(self):
        """
        Whoever comes too late is refused, and nothing is left to be done.
        """
        message = newTraffic(SourcePlan(), RUN, self.notes).next()
        message.bdatContent()
        self.notes.close()
        self.assertEqual(len(intended(entriesIn(self.directory)[1])), 1)
        self.notes.outcome(1, records.ACKNOWLEDGED, records.WHOLE, 250, 0, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertRaises(Breakdown, self.notes.write)
        self.notes.close()

    def test_failure(self):
        """
        If something can't be written, nothing may leave from then on, and that is told once at the end.
        """
        message = newTraffic(SourcePlan(), RUN, self.notes).next()
        os.close(self.notes.book.fileno())
        e = self.assertRaises(Breakdown, message.content)
        self.assertEqual(str(e), f"{self.notes.path}: Bad file descriptor")
        self.assertRaises(Breakdown, newTraffic(SourcePlan(), RUN, self.notes).next().content)
        self.notes.book._descriptor = -1  # it is closed
        self.notes.close()


def refusals(server, seed):
    """
    A server that refuses recipients, contents and more, by chance.
    """
    random = Random(seed)

    def decide(connection, event, usual):
        if event in (b"RCPT", b"content", b"MAIL", b"DATA") and random.random() < 0.2:
            return random.choice((b"550 no", b"450 later", b"421 bye", "close"))
        return usual

    server.decide = decide
    return server


class RunTests(SynchronousTestCase):
    """
    Whole runs in memory.
    """

    def setUp(self):
        # Every message that is written was noted before.
        write = FakeTransport.write
        test = self
        self.directory = None
        self.left = 0

        def checked(transport, data):
            found = re.findall(rb"X-Smtpsource-Id: (\S+)", data)
            if found:
                known = [intended(entriesIn(path)[1]) for path in Path(test.directory).glob("*")]
                test.assertEqual({identity.parse(one).number for one in found} - set().union(*known), set())
                test.left += len(found)
            write(transport, data)

        self.patch(FakeTransport, "write", checked)

    def ran(self, kind, server, reactor=None, **more):
        """
        @return: the summary of a run, the header of its ledger and the entries; nothing of both if it has sent nothing.
        """
        self.directory = self.mktemp()
        plan = planned(kind, ledger=self.directory, **more)
        summary = runInMemory(plan, server, reactor=reactor)
        if "ledger" not in summary.environment:
            self.assertEqual(os.listdir(self.directory), [])
            return summary, {}, []
        header, entries = entriesIn(self.directory)
        return summary, header, entries

    def judge(self, summary, entries, *about, lmtp=False, exact=True):
        """
        Every message that was about to leave has an outcome, and there are as many of each as were counted.
        """
        counts, said = summary.messages, str((*about, summary.messages, summary.errors))
        if entries:
            self.assertEqual((entries[-1]["kind"], entries[-1]["flag"]), (records.END, 1), said)
        found = outcomes(entries)
        self.assertNotIn(None, found.values(), said)
        byMessage = {}
        for (number, _), flag in found.items():
            byMessage.setdefault(number, set()).add(flag)
        open_ = {records.UNKNOWN, records.UNSENT}
        failed = {number for number, flags in byMessage.items() if flags & open_}
        accepted = {number for number, flags in byMessage.items() if records.ACKNOWLEDGED in flags} - failed
        refused = byMessage.keys() - failed - accepted
        self.assertEqual(len(accepted), counts.accepted, said)
        self.assertLessEqual(len(failed), counts.failed, said)
        # All recipients may have been refused before the connection was lost.
        self.assertLessEqual(len(refused), counts.rejected + counts.failed - len(failed), said)
        if exact:
            acknowledged = list(found.values()).count(records.ACKNOWLEDGED)
            self.assertEqual(acknowledged, summary.recipientsAccepted, said)
        return accepted

    def test_usual(self):
        """
        All is accepted, in each kind of dialogue.
        """
        for kind in (*KINDS, *({**kind, **LARGE} for kind in (LOCKSTEP, PIPELINED, CHUNKED, WINDOW))):
            for lmtp in (False, True):
                self.left = 0
                reactor = FakeReactor()
                server = LedgerServer(reactor, 1, lmtp, often=0.0)
                summary, header, entries = self.ran(kind, server, reactor, lmtp=lmtp, recipientCount=2)
                self.assertEqual(summary.messages.accepted, 30)
                self.assertEqual(self.left, 30)
                self.judge(summary, entries, kind)
                self.assertEqual(header["run"], summary.run)
                self.assertEqual(len([one for one in entries if one["kind"] == records.INTENT]), 60)
                sessions = {one["session"] for one in entries if one["kind"] == records.OUTCOME}
                self.assertEqual(sessions, {1, 2, 3})

    @given(st.integers(0, 10**6), st.sampled_from(KINDS), st.booleans())
    def test_anything(self, seed, kind, lmtp):
        """
        Whatever the server does: each intent has its outcome, and what was accepted is what the server has accepted.
        """
        reactor = FakeReactor()
        server = LedgerServer(reactor, seed, lmtp, FAULTS, often=0.05)
        more = {"lmtp": lmtp, "recipientCount": 2}
        summary, _, entries = self.ran(kind, server, reactor, **more)
        accepted = self.judge(summary, entries, seed, kind, lmtp)
        if not lmtp:
            taken = {idIn(one.contents[place]) for one in server.connections for place in one.finals}
            self.assertEqual(accepted, taken, (seed, kind))

    @given(st.integers(0, 10**6), st.sampled_from((LOCKSTEP, PIPELINED)), st.booleans())
    def test_refusals(self, seed, kind, lmtp):
        """
        Refusals of all kinds, and of single recipients.
        """
        summary, _, entries = self.ran(kind, refusals(Server(lmtp=lmtp), seed), lmtp=lmtp, recipientCount=3)
        self.judge(summary, entries, seed, kind, lmtp)
        for one in entries:
            if one["kind"] == records.OUTCOME and one["flag"] == records.REFUSED:
                self.assertIn(one["code"], (550, 450, 421))

    def test_takenBack(self):
        """
        Where replies were out of step, those that were accepted are unknown again.
        """
        again = 0
        for seed in range(20):
            for kind in (ALONG, WINDOW, WINDOW_OF_PIECES):
                reactor = FakeReactor()
                server = LedgerServer(reactor, seed, faults=("twice", "refuse"), often=0.05)
                summary, _, entries = self.ran(kind, server, reactor)
                self.judge(summary, entries, seed, kind)
                said = [one for one in entries if one["kind"] == records.OUTCOME]
                first = {one["number"] for one in said if one["flag"] == records.ACKNOWLEDGED}
                again += len({one["number"] for one in said if one["flag"] == records.UNKNOWN} & first)
        self.assertGreater(again, 0)

    def refusing(self, *places, **more):
        """
        @param places: replies that are 550, by the event and how often it has come.
        @return: the entries of a run of one message for three recipients.
        """
        seen = {}

        def decide(connection, event, usual):
            seen[event] = seen.get(event, 0) + 1
            answer = dict(places).get((event, seen[event]))
            return usual if answer is None else answer

        server = Server(decide, lmtp=more.get("lmtp", False))
        plan = {"recipientCount": 3, "messageCount": 1, "sessionCount": 1, "length": 10, **more}
        return self.ran({}, server, **plan)[2]

    def told(self, entries):
        """
        @return: of each outcome, the index, the flag and the code.
        """
        return [(one["index"], one["flag"], one["code"]) for one in entries if one["kind"] == records.OUTCOME]

    def test_oneRecipient(self):
        """
        One that was refused is named before all others: in lock-step and in groups.
        """
        for more in ({}, {"pipelining": "force"}):
            found = self.told(self.refusing(((b"RCPT", 2), b"550 no"), **more))
            self.assertEqual(found, [(1, records.REFUSED, 550), (records.WHOLE, records.ACKNOWLEDGED, 250)])

    def test_manyRecipients(self):
        """
        Those whose index can't be written share one: no outcome is about all by mistake.
        """
        said = []
        session = SimpleNamespace(
            _single={records.WHOLE: 550, records.WHOLE + 2: 551},
            _dueInNanoseconds=lambda: 0,
            _number=1,
            _outcome=lambda number, flag, index, code, due, session: said.append((index, flag, code)),
        )
        message = SimpleNamespace(number=1, recipientCommands=lambda: [b"RCPT TO:<a@b>"] * (records.WHOLE + 5))
        noted._Noting._noteRecipients(session, message)
        last = records.WHOLE - 1
        self.assertEqual(said, [(last, records.REFUSED, 550), (last, records.REFUSED, 551)])

    def test_LMTP(self):
        """
        The replies to the content are about those that are left.
        """
        places = ((b"RCPT", 1), b"551 no"), ((b"content", 3), b"552 full")
        # The server here answers for all three: the one of the second that was accepted is its third.
        seen = {}

        def decide(connection, event, usual):
            seen[event] = seen.get(event, 0) + 1
            if event == b"RCPT" and seen[event] == 1:
                connection.recipients -= 1
            return dict(places).get((event, seen[event]), usual) if event != b"content" else self.ofContent(seen)

        self.ofContent = lambda seen: b"552 full" if seen[b"content"] == 2 else b"250 ok"
        server = Server(decide, lmtp=True)
        plan = {"recipientCount": 3, "messageCount": 1, "sessionCount": 1, "lmtp": True}
        found = self.told(self.ran({}, server, **plan)[2])
        self.assertEqual(
            found,
            [(0, records.REFUSED, 551), (2, records.REFUSED, 552), (records.WHOLE, records.ACKNOWLEDGED, 250)],
        )

    def test_LMTPLost(self):
        """
        Those that have had their replies are what these say; nobody knows of the others.
        """
        places = ((b"content", 2), b"552 full"), ((b"content", 3), "close")
        found = self.told(self.refusing(*places, lmtp=True))
        self.assertEqual(
            sorted(found),
            [(0, records.ACKNOWLEDGED, 250), (1, records.REFUSED, 552), (records.WHOLE, records.UNKNOWN, 0)],
        )

    def test_LMTPLeaves(self):
        """
        A reply that closes the channel is about the rest as well.
        """
        found = self.told(self.refusing(((b"content", 2), b"421 bye"), lmtp=True))
        self.assertEqual(
            found,
            [(1, records.REFUSED, 421), (2, records.REFUSED, 421), (records.WHOLE, records.ACKNOWLEDGED, 250)],
        )

    def test_lost(self):
        """
        Nobody knows of a message whose reply did not come; one whose content has not left is not in the ledger, and
        where there is no other there is no ledger.
        """
        entries = self.refusing(((b"content", 1), "close"))
        self.assertEqual(self.told(entries), [(records.WHOLE, records.UNKNOWN, 0)])
        for answer in ("close", b"554 no"):
            self.assertEqual(self.refusing(((b"DATA", 1), answer)), [])
            entries = self.refusing(((b"DATA", 2), answer), messageCount=2)
            self.assertEqual(
                (self.told(entries), intended(entries)), ([(records.WHOLE, records.ACKNOWLEDGED, 250)], {1})
            )

    def test_refused(self):
        """
        The code of a refusal is there.
        """
        entries = self.refusing(((b"content", 1), b"554 no"))
        self.assertEqual(self.told(entries), [(records.WHOLE, records.REFUSED, 554)])

    def test_due(self):
        """
        With a schedule, an outcome says when the message was due.
        """
        summary, _, entries = self.ran(LOCKSTEP, Server(), rate=10.0, messageCount=5)
        self.judge(summary, entries)
        due = [one["raw"] for one in entries if one["kind"] == records.OUTCOME]
        self.assertEqual([round((b - a) / 1e8) for a, b in pairwise(due)], [1, 1, 1, 1])

    def test_dueAgain(self):
        """
        Also that of messages which were sent again, after others that were due later.
        """
        again = 0
        for seed in range(10):
            reactor = FakeReactor()
            server = LedgerServer(reactor, seed, faults=("refuse",), often=0.1)
            _, _, entries = self.ran(WINDOW, server, reactor, rate=100_000.0)
            due = {one["number"]: one["raw"] for one in entries if one["kind"] == records.OUTCOME}
            self.assertEqual([due[number] for number in sorted(due)], sorted(due.values()), seed)
            again += len([one for one in entries if one["kind"] == records.INTENT and one["flag"] == 2])
        self.assertGreater(again, 0)

    def test_warmUp(self):
        """
        Messages of the warm-up are in it, too.
        """
        summary, _, entries = self.ran(LOCKSTEP, Server(), rate=10.0, warmUp=1.0, messageCount=5)
        self.assertEqual(summary.messages.accepted, 5)
        self.assertEqual(len(intended(entries)), 5 + summary.warmUp["accepted"])
        self.assertEqual(set(outcomes(entries).values()), {records.ACKNOWLEDGED})

    def test_summary(self):
        """
        The report says where the ledger is.
        """
        summary, header, _ = self.ran(LOCKSTEP, Server())
        (path,) = Path(self.directory).glob("*")
        self.assertEqual(summary.environment["ledger"], str(path.absolute()))
        command = f"smtpsource reconcile {path.absolute().parent}"
        sides = "a sink's ledger, --maildir, --mbox or --imap"
        said = f"ledger {path.absolute()} (judge it with {command} and what has arrived: {sides})"
        self.assertIn("".join(said.split()), "".join(render(summary).split()))
        self.assertEqual((header["role"], header["seed"]), ("source", summary.seed))
        self.assertEqual(header["plan"]["messageCount"], 30)
        self.assertIsNone(runInMemory(planned(LOCKSTEP), Server()).environment.get("ledger"))

    def test_sameRun(self):
        """
        With the same seed the ids would be the same: that is refused before anything is sent.
        """
        self.ran(LOCKSTEP, Server(), seed=5)
        server = Server()
        summary = runInMemory(planned(LOCKSTEP, ledger=self.directory, seed=5), server)
        (path,) = Path(self.directory).glob("*")
        self.assertEqual((summary.exit, summary.messages.started, server.connections), (1, 0, []))
        self.assertEqual(
            summary.reason,
            f"ledger-failed: {path.absolute()} is of a run with the same id: expected another directory or "
            "another seed",
        )
        self.assertEqual(runInMemory(planned(LOCKSTEP, ledger=self.directory, seed=6), server).exit, 0)

    def test_failure(self):
        """
        If nothing can be written any more the run ends, with one line, and what was not noted has not left.
        """
        write = os.write
        for kind in KINDS:
            times = []

            def full(descriptor, octets, times=times):
                times.append(1)
                if len(times) > 4:
                    raise OSError(28, "No space left on device")
                return write(descriptor, octets)

            with self.subTest(kind):
                reactor = FakeReactor()
                server = LedgerServer(reactor, 1, often=0.0)
                # Each record the way of the reference.
                sync = {"ledgerSync": True}
                self.patch(os, "write", full)
                summary, _, entries = self.ran(kind, server, reactor, **sync)
                self.assertEqual(summary.exit, 1)
                self.assertIn("No space left on device", summary.reason)
                self.assertTrue(summary.reason.startswith("ledger-failed: "), summary.reason)
                counts = summary.messages
                self.assertEqual(counts.accepted + counts.rejected + counts.failed, counts.started)
                self.assertLess(counts.accepted, 30)
                taken = {idIn(one) for connection in server.connections for one in connection.contents}
                self.assertEqual(taken - intended(entries), set())


class ProcessTests(CommandTestCase):
    """
    Real processes.
    """

    def listen(self):
        """
        @return: a server, and where it is.
        """
        from twisted.internet import reactor

        server = LedgerServer(reactor, 1, often=0.0)
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return server, f"127.0.0.1:{port.getHost().port}"

    def taken(self, server):
        return {idIn(one) for connection in server.connections for one in connection.contents}

    @defer.inlineCallbacks
    def test_killed(self):
        """
        A generator that is killed: no message has come that it has not noted.
        """
        kinds = ((), ("--pipelining=force", "--chunking=force", "--window=8"))
        for kind in kinds:
            server, where = self.listen()
            directory = os.path.abspath(self.mktemp())
            arguments = ("-d", "-s", "5", "-m", "1m", *kind, "--ledger", directory, where)
            command = smtpsource(self, *arguments)
            yield eventually(lambda server=server: len(self.taken(server)) > 200, "messages")
            command.signal(signal.SIGKILL)
            yield command.whenEnded()
            yield eventually(lambda server=server: all(one.over for one in server.connections), "the end")
            _, entries = entriesIn(directory)
            self.assertEqual(self.taken(server) - intended(entries), set())
            self.assertNotIn(records.END, {one["kind"] for one in entries})

    @defer.inlineCallbacks
    def test_fileTooLarge(self):
        """
        A limit of the file's size: the run ends with one line, and each message that has left is noted.
        """
        for kind in ((), ("--pipelining=force", "--chunking=force", "--window=8"), ("--reactor", "select")):
            server, where = self.listen()
            directory = os.path.abspath(self.mktemp())
            code = (
                "import resource, sys\n"
                "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
                "from smtpsource.__main__ import main\n"
                "main()\n"
            )
            arguments = ("-c", code, "--quiet", "-A", "-d", "-s", "3", "-m", "10k", *kind, "--ledger", directory, where)
            result = yield python(self, *arguments).whenEnded()
            self.assertEqual(result.status, 1, result.err)
            self.assertRegex(result.err, rb"\Asmtpsource: ledger-failed: \S+\.ledger: File too large\n\Z")
            _, entries = entriesIn(directory)
            self.assertEqual(self.taken(server) - intended(entries), set())
            self.assertGreater(len(entries), 100)

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        A daemon's relative directory is where it was started.
        """
        server, where = self.listen()
        arguments = ("-n", "smtp-source", "--quiet", "-m", "5", "--ledger", "in", "--ledger-sync", where)
        command = twistd(self, *arguments)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result.out)
        _, entries = entriesIn(command.directory / "in")
        self.assertEqual(set(outcomes(entries).values()), {records.ACKNOWLEDGED})
        self.assertEqual(self.taken(server), intended(entries))

    @defer.inlineCallbacks
    def test_noDirectory(self):
        """
        A directory that can't be: nothing is sent.
        """
        server, where = self.listen()
        result = yield smtpsource(self, "--ledger", "/proc/x", where).whenEnded()
        self.assertIn(result.status, (1, 2))
        self.assertOneLine(result.err, b"/proc/x")
        self.assertEqual(server.connections, [])
