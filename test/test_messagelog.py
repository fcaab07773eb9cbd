"""
Tests for C{--log-messages}: a line for each message, and none that the run would have to wait for.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import threading
from collections import Counter
from pathlib import Path

from commandlines import CommandTestCase
from patience import TEST_LIMIT
from peercase import PeerTestCase
from peers import DovecotLMTP, PostfixServer, eventually
from recording import CLOSE, SILENCE, multiline
from relays import EximRelay, OpenSMTPDRelay
from subprocesses import loadAndReport, smtpsource
from test_ledger_source import entriesIn, outcomes
from twisted.internet import defer
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource import SourcePlan
from smtpsource.ledger import records
from smtpsource.load import messagelog
from smtpsource.load.service import SourceService
from smtpsource.measure.logsample import parse
from smtpsource.phases import MESSAGE, RCPT
from smtpsource.process import spool, targets
from smtpsource.process.spool import Spool
from smtpsource.process.streams import Patience
from smtpsource.process.targets import targetAt
from smtpsource.report.schema import problems
from smtpsource.smtp.queueids import queueId

#: What all lines have.
FIELDS = [
    *("number", "id", "session", "at", "time", "outcome", "seconds", "phase", "code", "reply", "queueId", "error"),
    *("recipients", "size", "phases"),
]


class QueueIdTests(SynchronousTestCase):
    """
    What servers say.
    """

    def test_known(self):
        """
        The id is what the server's log has.
        """
        for reply, wanted in (
            (b"250 2.0.0 Ok: queued as 4bXYZ1A2Bz9q\r\n", "4bXYZ1A2Bz9q"),
            (b"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 0E2C31F\r\n", "0E2C31F"),
            (b"250 OK id=1uXa2B-0000000AbCd-1xyz\r\n", "1uXa2B-0000000AbCd-1xyz"),
            (b"250 2.0.0 1a2b3c4d Message accepted for delivery\r\n", "1a2b3c4d"),
            (b"250 2.0.0 58SDk1XA012345 Message accepted for delivery\r\n", "58SDk1XA012345"),
            (b"250 2.0.0 <foo@example.com> WJCxK2R2aGgUDgAAhZ1mAA Saved\r\n", "WJCxK2R2aGgUDgAAhZ1mAA"),
            (b"250 2.6.0 <a@b> [InternalId=123456789, Hostname=X.example] Queued mail for delivery\r\n", "123456789"),
            (b"250 2.0.0 OK  1718000000 d2e1a72fcca58-7041b 6si3.9 - gsmtp\r\n", None),
            (
                b"250 2.0.0 OK  1718000000 d9443c01a7336-1f6bd7cf4dbsi123.4 - gsmtp\r\n",
                "d9443c01a7336-1f6bd7cf4dbsi123.4",
            ),
            (b"250 ok 1718000000 qp 12345\r\n", "12345"),
            (b"250 Message Queued (6F9D8A.1)\r\n", "6F9D8A.1"),
            (b"250 2.0.0 Message queued with id 7f3a\r\n", "7f3a"),
        ):
            self.assertEqual(queueId(reply), wanted, reply)

    def test_unknown(self):
        """
        Other replies have none.
        """
        for reply in (b"250 2.0.0 Ok\r\n", b"250\r\n", b"250-a\r\n250 b\r\n", b"250 \xff\xfe\r\n"):
            self.assertIsNone(queueId(reply))


class SampleTests(SynchronousTestCase):
    """
    Which messages C{--log-sample} wants.
    """

    def test_good(self):
        """
        Any of its terms is enough.
        """
        found = parse("1%, failed,slow>100ms ,rcpt>1s,rcpt>2s,slow>2s")
        self.assertEqual((found.part, found.failed, found.slow, found.phases), (0.01, True, 0.1, {RCPT: 1.0}))
        for failed, seconds, times, wanted in (
            (False, 0.1, {}, False),
            (True, 0.0, {}, True),
            (False, 0.2, {}, True),
            (False, 0.0, {RCPT: [0.1, 1.5]}, True),
            (False, 0.0, {MESSAGE: [1.5], RCPT: [1.0]}, False),
        ):
            self.assertEqual(found.has(failed, seconds, times), wanted)
        self.assertEqual(parse("100%").part, 1.0)
        self.assertTrue(parse("0.5%").isDrawn)
        self.assertFalse(parse("0.5%,data>1s").isDrawn)

    def test_bad(self):
        """
        What was expected is one line.
        """
        for text, words in (
            ("", "expected a part of all messages, failed, slow>TIME"),
            ("1", "expected a part"),
            ("0%", "more than 0%"),
            ("101%", "at most 100%"),
            ("1%,", "expected a part"),
            ("fast", "expected a part"),
            ("slow", "expected a part"),
            ("slow>", "expected a time"),
            ("slow>1x", "expected a time"),
            ("slow>>1s", "expected a time"),
            ("transaction>1s", "expected slow or a phase, one of connect, "),
            (">1s", "expected slow or a phase"),
            ("slow<1s", "expected a part"),
            ("failed>1s", "expected slow or a phase"),
        ):
            e = self.assertRaises(ValueError, parse, text)
            self.assertIn(words, str(e), text)
            self.assertNotIn("\n", str(e))

    def test_plan(self):
        """
        A plan takes a text; and has a use for one only where there is a log.
        """
        plan = SourcePlan(logMessages="-", logSample="failed")
        self.assertTrue(plan.logSample.failed)
        self.assertEqual(plan.evolve(sessionCount=2).logSample, plan.logSample)
        for given, words in (
            ({"logSample": "failed"}, "logMessages"),
            ({"logMessages": "-", "logSample": 7}, "expected a text"),
            ({"logMessages": "/"}, "expected the name of a file"),
        ):
            self.assertIn(words, str(self.assertRaises(ValueError, SourcePlan, **given)))


class LinesCase(CommandTestCase):
    """
    Runs, and the lines that they write.
    """

    @defer.inlineCallbacks
    def lines(self, *arguments, status=0):
        """
        Run a load to its end.

        @return: its report, and its lines.
        """
        path = Path(self.mktemp()).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("what was there before\n")
        result, report = yield loadAndReport(self, "--log-messages", path, *arguments)
        self.assertNoTraceback(result)
        self.assertEqual(result.status, status, result)
        lines = [json.loads(line) for line in path.read_text("ascii").splitlines()]
        for line in lines:
            self.assertEqual(list(line), FIELDS)
        self.assertEqual(list(problems(report)), [])
        log = report["environment"]["messageLog"]
        self.assertEqual(
            (log["file"], log["lines"], log["dropped"], log["problem"]), (os.fspath(path), len(lines), 0, None)
        )
        return report, lines

    def same(self, report, lines):
        """
        The lines say what the report says.
        """
        counts = Counter(line["outcome"] for line in lines)
        messages = report["messages"]
        self.assertEqual(
            {name: counts[name] for name in ("accepted", "rejected", "failed")},
            {name: messages[name] for name in ("accepted", "rejected", "failed")},
        )
        self.assertEqual(len({line["number"] for line in lines}), len(lines))
        for name in ("accepted", "rejected"):
            self.assertEqual(sum(line["recipients"][name] for line in lines), report["recipients"][name])
        for line in lines:
            for phase, times in line["phases"].items():
                self.assertTrue(all(seconds >= 0 for seconds in times), line)
                if phase not in ("late", "response", "transaction"):
                    self.assertLessEqual(max(times), line["seconds"] + 1e-3, line)
            self.assertEqual(line["error"] is None, line["outcome"] != "failed", line)
            self.assertEqual(line["code"] is None, line["outcome"] == "failed", line)

    def replies(self, report, lines, *phases):
        """
        Each reply to a message is in its line, and took as long as the report has it.
        """
        for phase in phases:
            found = sorted(seconds for line in lines for seconds in line["phases"].get(phase, ()))
            latency = report["latency"][phase]
            self.assertEqual(len(found), latency["count"], phase)
            if phase == "connect":
                continue  # two looks at the clock
            # The report's buckets are right to 3 digits, and lines are to a microsecond.
            self.assertApproximates(found[-1], latency["max"], latency["max"] / 500 + 3e-6, phase)
            self.assertApproximates(sum(found) / len(found), latency["mean"], latency["mean"] / 500 + 3e-6, phase)
            middle = found[(len(found) + 1) // 2 - 1]
            self.assertApproximates(middle, latency["p50"], latency["p50"] / 500 + 3e-6, phase)


class DialogueTests(LinesCase):
    """
    Each kind of dialogue: a line for each message, and each reply in its line.
    """

    #: Those of a transaction by DATA.
    DATA = ("mail", "rcpt", "data", "message", "transaction")

    #: The same by BDAT.
    BDAT = ("mail", "rcpt", "message", "transaction")

    #: What comes before.
    OPENING = ("connect", "banner", "helo")

    @defer.inlineCallbacks
    def check(self, *arguments, phases, number=300):
        report, lines = yield self.lines("-m", number, *arguments, "sink:")
        self.same(report, lines)
        self.assertEqual(sorted(line["number"] for line in lines), list(range(1, number + 1)))
        self.replies(report, lines, *phases)
        return report, lines

    @defer.inlineCallbacks
    def test_oneByOne(self):
        """
        One command after the other; a connection belongs to the message that has opened it.
        """
        report, lines = yield self.check("-s", "4", "-r", "3", phases=self.DATA + self.OPENING)
        for line in lines:
            self.assertEqual(list(line["phases"]), [*self.OPENING, *self.DATA])
            self.assertEqual([len(times) for times in line["phases"].values()], [1, 1, 1, 1, 3, 1, 1, 1])
            self.assertEqual((line["phase"], line["code"], line["reply"]), ("message", 250, "250 2.0.0 Ok"))
            self.assertEqual(line["recipients"], {"asked": 3, "accepted": 3, "rejected": 0})
            self.assertEqual(line["id"], f"{report['run']}.{line['number']:x}")
            # What is before the measured phases is in it, too.
            self.assertLess(sum(map(sum, line["phases"].values())) / 2, line["seconds"])
        self.assertEqual({line["session"] for line in lines}, {1, 2, 3, 4})

    @defer.inlineCallbacks
    def test_kept(self):
        """
        Connections that are kept.
        """
        _, lines = yield self.check("-d", "-s", "4", phases=self.DATA + self.OPENING)
        self.assertEqual(sum("connect" in line["phases"] for line in lines), 4)

    @defer.inlineCallbacks
    def test_groups(self):
        """
        In groups of commands, where the next envelope goes along with a content.
        """
        yield self.check("-d", "-s", "3", "-r", "2", "--pipelining", "require", phases=self.DATA)

    @defer.inlineCallbacks
    def test_chunks(self):
        """
        In chunks, one after the other.
        """
        chunks = ("--chunking", "require", "--chunk-size", "100")
        yield self.check("-d", "-s", "3", *chunks, phases=(*self.BDAT, "bdat"))

    @defer.inlineCallbacks
    def test_window(self):
        """
        Several transactions are under way at once on each connection.
        """
        window = ("--chunking", "require", "--pipelining", "require", "--window", "20")
        yield self.check("-d", "-s", "3", "-r", "2", *window, phases=self.BDAT, number=2000)

    @defer.inlineCallbacks
    def test_lmtp(self):
        """
        In LMTP there is a reply for each recipient.
        """
        _, lines = yield self.check("-L", "-d", "-s", "2", "-r", "3", phases=self.DATA)
        self.assertEqual({len(line["phases"]["message"]) for line in lines}, {3})

    @defer.inlineCallbacks
    def test_large(self):
        """
        A content that is streamed.
        """
        _, lines = yield self.check("-d", "-l", "200000", phases=self.DATA, number=5)
        self.assertTrue(all(200000 < line["size"] < 206000 for line in lines), [line["size"] for line in lines])

    @defer.inlineCallbacks
    def test_exercises(self):
        """
        What stands for a message has a line as well.
        """
        _, lines = yield self.check("--noop", "-d", "-s", "2", phases=("noop",))
        self.assertEqual({(line["phase"], line["id"], line["size"]) for line in lines}, {("noop", None, None)})
        _, lines = yield self.check("--connect-only", "-s", "2", phases=self.OPENING)
        self.assertEqual({(line["phase"], line["code"]) for line in lines}, {("helo", 250)})

    @defer.inlineCallbacks
    def test_schedule(self):
        """
        With a schedule there is the response time; and what was wanted in the warm-up has no line.
        """
        schedule = ("--rate", "200/s", "--duration", "2s", "--warmup", "1s")
        report, lines = yield self.lines("-d", "-s", "5", *schedule, "sink:")
        self.same(report, lines)
        self.assertEqual(len(lines), 400)
        self.replies(report, lines, "transaction")
        for line in lines:
            self.assertGreaterEqual(line["phases"]["response"][0], line["phases"]["transaction"][0])
            self.assertApproximates(line["phases"]["response"][0], line["seconds"], 1e-5)

    @defer.inlineCallbacks
    def test_warmUp(self):
        """
        Nor has one that had its outcome in the warm-up of a closed loop.
        """
        report, lines = yield self.lines("-d", "-s", "4", "-m", "500", "--warmup", "0.5s", "sink:")
        self.same(report, lines)
        self.assertGreater(report["warmup"]["accepted"], 0)
        self.assertEqual(len(lines), 500)
        self.assertLessEqual(sum(line["at"] < 0 for line in lines), 4)

    @defer.inlineCallbacks
    def test_ledger(self):
        """
        With a ledger the id is its own; and the dialogue can be shown as well.
        """
        directory = os.path.abspath(self.mktemp())
        report, lines = yield self.check("-v", "--ledger", directory, "-d", phases=self.DATA, number=20)
        self.assertTrue(all(line["id"].startswith(f"{report['run']}-") for line in lines), lines[0])

    @defer.inlineCallbacks
    def test_workers(self):
        """
        All workers write into one file, whole lines; no two of their sessions have the same number.
        """
        report, lines = yield self.check("--workers", "3", "-d", "-s", "6", phases=self.DATA, number=3000)
        self.assertEqual({line["session"] for line in lines}, set(range(1, 7)))
        self.assertEqual(len(report["environment"]["workers"]), 3)


class RefusalTests(LinesCase):
    """
    Servers that refuse, fall silent and go.
    """

    #: What a server is like that can do more.
    PIPELINING = multiline(250, "peer.example", "PIPELINING")

    @defer.inlineCallbacks
    def check(self, replies, *arguments, number=60, **server):
        """
        @return: the lines, by their numbers.
        """
        peer = self.serve(replies, **server)
        report, lines = yield self.lines("-A", "-m", number, *arguments, peer.destination, status=1)
        self.same(report, lines)
        self.assertEqual(len(lines), number)
        return {line["number"]: line for line in lines}

    @defer.inlineCallbacks
    def test_refusals(self):
        """
        The reply that has decided is there, and what it answers.
        """
        replies = {
            "MAIL": [None, "450 4.3.0 later", None, None, None],
            "RCPT": [None, None, "550 5.1.1 unknown", None, None],
            "DATA": [None, None, "451 4.3.0 busy", None],
            ".": [None, None, "552 5.2.2 full"],
        }
        found = yield self.check(replies, "-d", number=8)
        decided = {number: (line["outcome"], line["phase"], line["reply"]) for number, line in found.items()}
        accepted = ("accepted", "message", found[1]["reply"])
        self.assertEqual(
            decided,
            {
                1: accepted,
                2: ("rejected", "mail", "450 4.3.0 later"),
                3: accepted,
                4: ("rejected", "rcpt", "550 5.1.1 unknown"),
                5: ("rejected", "data", "451 4.3.0 busy"),
                6: ("rejected", "message", "552 5.2.2 full"),
                7: accepted,
                8: accepted,
            },
        )
        self.assertEqual(found[4]["recipients"], {"asked": 1, "accepted": 0, "rejected": 1})
        self.assertIsNone(found[5]["size"])

    @defer.inlineCallbacks
    def test_groups(self):
        """
        So it is in groups, where replies to others come in between.
        """
        replies = {
            "EHLO": self.PIPELINING,
            "MAIL": [None, "450 later", None, None] * 10,
            "RCPT": [None, None, None, "550 no", None] * 10,
            ".": [None, None, "552 full"] * 10,
        }
        found = yield self.check(replies, "-d", "-s", "3", "-r", "2", "--pipelining", "require")
        self.assertGreater(sum(line["outcome"] == "rejected" for line in found.values()), 10)

    @defer.inlineCallbacks
    def test_lmtp(self):
        """
        In LMTP some recipients may be refused, and the message is accepted for the others.
        """
        replies = {".": [None, "550 no", None, None, "550 no", "550 no"]}
        found = yield self.check(replies, "-L", "-d", "-r", "3", number=4, lmtp=True)
        self.assertEqual(
            [(found[number]["outcome"], found[number]["recipients"]) for number in range(1, 5)],
            [
                ("accepted", {"asked": 3, "accepted": 2, "rejected": 1}),
                ("accepted", {"asked": 3, "accepted": 1, "rejected": 2}),
                ("accepted", {"asked": 3, "accepted": 3, "rejected": 0}),
                ("accepted", {"asked": 3, "accepted": 3, "rejected": 0}),
            ],
        )
        self.assertEqual({line["code"] for line in found.values()}, {250})

    @defer.inlineCallbacks
    def test_faults(self):
        """
        What ended a message that failed is told by its kind.
        """
        replies = {
            "MAIL": [CLOSE, None, ("421 bye", CLOSE)],
            "RCPT": ["nonsense", None],
            ".": [SILENCE],
        }
        found = yield self.check(replies, "--timeout", "1s", number=7)
        kinds = {number: line["error"] or line["phase"] for number, line in found.items()}
        self.assertEqual(
            kinds,
            {
                1: "connection-lost",
                2: "garbage-reply",
                3: "mail",
                4: "timeout",
                5: "message",
                6: "message",
                7: "message",
            },
        )

    @defer.inlineCallbacks
    def test_ledger(self):
        """
        With a ledger as well: recipients that were refused, and connections that are lost.
        """
        replies = {"EHLO": self.PIPELINING, "RCPT": [None, "550 no", None] * 3, ".": [None, CLOSE, None]}
        for pipelining in ("off", "require"):
            directory = os.path.abspath(self.mktemp())
            options = ("-d", "-s", "1", "-r", "2", "--pipelining", pipelining, "--ledger", directory)
            found = yield self.check(dict(replies), *options, number=10)
            entries = outcomes(entriesIn(directory)[1])
            failed = {number for number, line in found.items() if line["outcome"] == "failed"}
            unknown = {number for (number, _), flag in entries.items() if flag == records.UNKNOWN}
            self.assertTrue(unknown)
            # The ledger has those only whose contents were about to leave.
            self.assertEqual(unknown, failed & {number for number, _ in entries})
            self.assertIn(records.REFUSED, entries.values())

    @defer.inlineCallbacks
    def test_killed(self):
        """
        The end of a run: messages on their way were stopped, and the lines are all there.
        """
        peer = self.serve({".": [None] * 20 + [SILENCE] * 3})
        path = Path(self.mktemp()).resolve()
        options = ("--log-messages", path, "--report", "-", "--grace", "0", "-d", "-s", "3", "-m", "1000")
        command = smtpsource(self, *options, peer.destination)
        yield peer.when(lambda: sum(len(each.messages) for each in peer.connections) >= 23)
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        report = json.loads(result.out)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.same(report, lines)
        self.assertEqual([line["error"] for line in lines if line["outcome"] == "failed"], ["stopped"] * 3)

    @defer.inlineCallbacks
    def test_noServer(self):
        """
        No connection, no code.
        """
        report, lines = yield self.lines("-A", "-m", "3", "unix:/no/such/socket", status=1)
        self.same(report, lines)
        self.assertEqual({line["error"] for line in lines}, {"connect-failed"})


class Talkative(LineReceiver):
    """
    A server that has a reply of its own for some commands, and says one thing too many after one content.
    """

    def connectionMade(self):
        self.count = Counter()
        self.sendLine(b"220 hi")

    def lineReceived(self, line):
        verb, *words = line.split()
        self.count[verb] += 1
        if verb in (b"EHLO", b"LHLO"):
            self.sendLine(b"250-peer.example\r\n250-PIPELINING\r\n250 CHUNKING")
        elif verb == b"MAIL":
            self.recipients = 0
            self.sendLine(b"250 ok")
        elif verb == b"RCPT":
            isRefused = self.count[b"RCPT"] in self.factory.refused
            self.recipients += not isRefused
            self.sendLine(b"550 no" if isRefused else b"250 ok")
        elif verb == b"BDAT":
            self.left = int(words[0])
            self.setRawMode()
        else:
            self.sendLine(b"221 bye" if verb == b"QUIT" else b"250 ok")

    def rawDataReceived(self, data):
        self.left -= len(data)
        if self.left > 0:
            return
        isRefused = self.count[b"BDAT"] == self.factory.refusedContent
        replies = [b"550 no" if isRefused else b"250 ok"] * (self.recipients if self.factory.isLMTP else 1)
        if self.count[b"BDAT"] == self.factory.twice:
            replies.append(b"250 and more")
        self.sendLine(b"\r\n".join(replies))
        self.setLineMode(data[len(data) + self.left :])


class DoubtTests(LinesCase):
    """
    Messages that may not have been accepted after all.
    """

    #: With the content in the group.
    ALONG = ("-A", "-d", "-s", "1", "--pipelining", "force", "--chunking", "force")

    def talkative(self, twice, refused=(), refusedContent=0, isLMTP=False):
        """
        @param twice: the content after which there is a reply too many, from 1, on each connection.
        @param refused: the recipients that are refused, likewise.
        @param refusedContent: the content that is, likewise.
        @return: the destination of such a server.
        """
        from twisted.internet import reactor

        factory = Factory.forProtocol(Talkative)
        factory.noisy = False
        factory.twice, factory.isLMTP = twice, isLMTP
        factory.refused, factory.refusedContent = refused, refusedContent
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"127.0.0.1:{port.getHost().port}"

    @defer.inlineCallbacks
    def test_takenBack(self):
        """
        They have another line, and the last one counts.
        """
        for sample in ((), ("--log-sample", "failed")):
            destination = self.talkative(4)
            report, lines = yield self.lines(*self.ALONG, "-m", "10", *sample, destination, status=1)
            self.assertGreater(report["messages"]["failed"], 0)
            last = {line["number"]: line for line in lines}
            outcomes = Counter(line["outcome"] for line in last.values())
            self.assertEqual(outcomes["failed"], report["messages"]["failed"])
            self.assertEqual(outcomes["accepted"], 0 if sample else report["messages"]["accepted"])
            self.assertEqual({line["error"] for line in last.values()} - {None}, {"unexpected-reply"})
            self.assertGreater(len(lines), len(last) - bool(sample))

    @defer.inlineCallbacks
    def test_which(self):
        """
        It is the last one, and the one before each that was refused in part: for it a refusal of its content may have
        been taken. The line says again how many recipients it has, and its size.
        """
        destination = self.talkative(10, refused=(6,))
        directory = os.path.abspath(self.mktemp())
        options = (*self.ALONG, "-m", "14", "-r", "2", "--ledger", directory)
        report, lines = yield self.lines(*options, destination, status=1)
        first, again = self.told(lines)
        self.assertEqual(first[3]["recipients"], {"asked": 2, "accepted": 1, "rejected": 1})
        self.assertEqual([line["number"] for line in again], [2, self.lastAccepted(first)])
        last = {line["number"]: line["outcome"] for line in lines}
        self.assertEqual(Counter(last.values())["failed"], report["messages"]["failed"])
        for line in again:
            self.assertEqual(line["recipients"], {"asked": 2, "accepted": 0, "rejected": 0})
            for name in ("size", "at", "time", "id", "session"):
                self.assertEqual(line[name], first[line["number"]][name], name)
        # The ledger says the same.
        found = outcomes(entriesIn(directory)[1])
        self.assertEqual(
            {number for (number, _), flag in found.items() if flag == records.UNKNOWN},
            {number for number, outcome in last.items() if outcome == "failed"},
        )

    @defer.inlineCallbacks
    def test_refused(self):
        """
        A content that was refused after a reply too many is among them, though its message was told to be accepted.
        """
        destination = self.talkative(4, refusedContent=6)
        _, lines = yield self.lines(*self.ALONG, "--window", "20", "-m", "14", "-r", "2", destination, status=1)
        first, again = self.told(lines)
        self.assertEqual({first[number]["outcome"] for number in range(1, 8)}, {"accepted"})
        self.assertEqual([line["number"] for line in again], [6, self.lastAccepted(first)])

    @defer.inlineCallbacks
    def test_LMTP(self):
        """
        In LMTP all are in doubt that the connection has accepted.
        """
        destination = self.talkative(10, isLMTP=True)
        _, lines = yield self.lines(*self.ALONG, "-L", "-m", "14", "-r", "2", destination, status=1)
        first, again = self.told(lines)
        self.assertEqual([line["number"] for line in again], list(range(1, self.lastAccepted(first) + 1)))
        self.assertGreater(len(again), 8)

    @defer.inlineCallbacks
    def test_many(self):
        """
        Where that is more than are remembered, lines for the latest are there; the others are counted.
        """
        from twisted.internet import reactor

        self.patch(messagelog, "_ROOM", 2)
        path = Path(self.mktemp()).resolve()
        plan = SourcePlan(
            destination=self.talkative(10, isLMTP=True),
            logMessages=os.fspath(path),
            lmtp=True,
            tolerant=True,
            keepConnections=True,
            messageCount=14,
            pipelining="force",
            chunking="force",
        )
        service = SourceService(reactor, plan)
        service.startService()
        summary = yield service.whenDone()
        first, again = self.told([json.loads(line) for line in path.read_text().splitlines()])
        found, last = [line["number"] for line in again], self.lastAccepted(first)
        self.assertIn(found, ([last - 1, last], [last - 2, last - 1, last], list(range(last - 3, last + 1))))
        self.assertEqual(
            summary.environment["messageLog"],
            {
                "file": os.fspath(path),
                "lines": 14 + len(found),
                "dropped": last - len(found),
                "unknown": 0,
                "problem": "too many messages were in doubt",
            },
        )

    def told(self, lines):
        """
        @return: the first line of each message, by its number, and the others.
        """
        first, again = {}, []
        for line in lines:
            if line["number"] in first:
                again.append(line)
            else:
                first[line["number"]] = line
        self.assertEqual({(line["outcome"], line["error"]) for line in again}, {("failed", "unexpected-reply")})
        return first, again

    def lastAccepted(self, first):
        """
        @return: the last message on the first connection that was told to be accepted.
        """
        number = 1
        while first[number + 1]["outcome"] == "accepted":
            number += 1
        return number


class SelectedTests(LinesCase):
    """
    Only some of them.
    """

    @defer.inlineCallbacks
    def test_workers(self):
        """
        Those that are drawn are the same for the same seed, whatever carries the load; about as many as were asked for.
        """
        found = []
        for dialogue in (
            ("-d", "--workers", "1"),
            ("-d", "--workers", "2"),
            ("--workers", "3"),
            ("-d", "--pipelining", "require"),
            ("-d", "--pipelining", "require", "--chunking", "require", "--window", "10"),
        ):
            options = ("--log-sample", "10%", "--seed", "7", "-s", "6", "-m", "2000")
            report, lines = yield self.lines(*options, *dialogue, "sink:")
            self.assertEqual(report["messages"]["accepted"], 2000)
            self.assertEqual({line["outcome"] for line in lines}, {"accepted"})
            self.assertTrue(all({"mail", "rcpt", "message", "transaction"} <= line["phases"].keys() for line in lines))
            found.append(sorted(line["number"] for line in lines))
        self.assertEqual([each for each in found if each != found[0]], [])
        self.assertTrue(120 < len(found[0]) < 280, len(found[0]))

    @defer.inlineCallbacks
    def test_failed(self):
        """
        Those that were not accepted, and those with a slow reply.
        """
        peer = self.serve({"RCPT": [None, None, "550 no"] * 5})
        report, lines = yield self.lines(
            *("-A", "-d", "-m", "30", "--log-sample", "failed", peer.destination), status=1
        )
        self.assertEqual(report["messages"]["rejected"], 5)
        self.assertEqual([line["outcome"] for line in lines], ["rejected"] * 5)
        _, lines = yield self.lines("-d", "-m", "30", "--log-sample", "slow>10m,rcpt>10m", "sink:")
        self.assertEqual(lines, [])
        _, lines = yield self.lines("-d", "-m", "30", "--log-sample", "rcpt>0", "sink:")
        self.assertEqual(len(lines), 30)


class OutputTests(CommandTestCase):
    """
    Where the lines go.
    """

    @defer.inlineCallbacks
    def check(self, *options):
        """
        Standard output has the lines, and standard error the summary.
        """
        result = yield smtpsource(self, "--log-messages", "-", "-m", "20", "-s", "4", *options, "sink:").whenEnded()
        self.assertEqual(result.status, 0, result)
        numbers = sorted(json.loads(line)["number"] for line in result.out.splitlines())
        self.assertEqual(numbers, list(range(1, 21)))
        self.assertIn(b"message log  20 lines, 0 dropped\n", result.err)

    @defer.inlineCallbacks
    def test_standard(self):
        """
        C{-} is standard output; also for workers.
        """
        yield self.check()
        yield self.check("--workers", "2")

    @defer.inlineCallbacks
    def test_fifo(self):
        """
        A FIFO whose reader comes late has all of them.
        """
        path = os.path.abspath(self.mktemp())
        os.mkfifo(path)
        command = smtpsource(self, "--log-messages", path, "-m", "20", "sink:")
        read = []
        reader = threading.Thread(target=lambda: read.append(Path(path).read_bytes()), daemon=True)
        reader.start()
        result = yield command.whenEnded()
        reader.join(TEST_LIMIT)
        self.assertEqual(len(read[0].splitlines()), 20)
        self.assertIn(b"message log  20 lines, 0 dropped\n", result.out)

    @defer.inlineCallbacks
    def test_full(self):
        """
        What the disk does not take is dropped, and the run is none the worse.
        """
        result, report = yield loadAndReport(self, "--log-messages", "/dev/full", "-m", "20", "sink:")
        self.assertEqual(result.status, 0, result)
        log = report["environment"]["messageLog"]
        self.assertEqual((log["lines"], log["dropped"]), (0, 20))
        self.assertEqual(log["problem"], os.strerror(errno.ENOSPC))
        result = yield smtpsource(self, "--log-messages", "/dev/full", "-m", "20", "sink:").whenEnded()
        self.assertIn(b"message log  0 lines, 20 dropped: No space left on device\n", result.out)

    @defer.inlineCallbacks
    def test_removed(self):
        """
        Lines of a file that somebody has removed while the run went on are dropped, and so are those that would follow.
        That is told at once, in one line.
        """
        for workers in (), ("--workers", "2"):
            path, command = self.begin(*workers)
            yield eventually(lambda path=path: path.exists() and path.stat().st_size > 0, "some lines")
            path.unlink()
            wanted = f"lines of the message log are dropped: somebody has removed {path}\n".encode()
            yield command.whenPrinted(re.escape(wanted), "err")
            result, report = yield self.end(command)
            self.assertEqual(result.err.count(b"somebody has removed"), 1, result)
            log = report["environment"]["messageLog"]
            self.assertEqual((log["lines"], log["problem"]), (0, f"somebody has removed {path}"))
            self.assertEqual(log["dropped"], sum(self.outcomes(report)))
            self.assertFalse(path.exists())

    @defer.inlineCallbacks
    def test_lost(self):
        """
        Lines of a worker that is lost count as far as its last second knew; of the rest it is said that it is not
        known.
        """
        path, command = self.begin("--workers", "2", "--csv", "seconds.csv")
        table = command.directory / "seconds.csv"
        yield eventually(lambda: table.exists() and len(table.read_text().splitlines()) > 2, "some seconds")
        os.kill(command.children()[0], signal.SIGKILL)
        yield command.whenPrinted(rb"goes on with the others", "err")
        result, report = yield self.end(command)
        log = report["environment"]["messageLog"]
        # Of a worker that is killed half a line may be there.
        lines = Counter(int(session) % 2 for session in re.findall(r'"session":(\d+),', path.read_text()))
        [lost] = [number for number, one in enumerate(report["environment"]["workers"], 1) if one["lost"] is not None]
        self.assertGreater(log["lines"], lines[(lost + 1) % 2])
        self.assertLessEqual(log["lines"], lines.total())
        self.assertLessEqual(lines.total(), log["lines"] + log["unknown"])
        self.assertEqual(log["lines"] + log["unknown"], sum(self.outcomes(report)))
        self.assertEqual((log["dropped"], log["problem"]), (0, "a worker was lost"))
        self.assertEqual(list(problems(report)), [])
        wanted = f"message log  {log['lines']} lines, 0 dropped, up to {log['unknown']} not known: a worker was lost\n"
        self.assertIn(wanted.encode(), result.out)

    def begin(self, *options):
        """
        @return: the file, and a run that goes on until it is told to end.
        """
        path = Path(self.mktemp()).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        load = ("-d", "-s", "4", "--rate", "200/s", "--duration", "1h", "--report", "report.json")
        command = smtpsource(self, "--log-messages", path, *load, *options, self.serve().destination)
        return path, command

    @defer.inlineCallbacks
    def end(self, command):
        """
        @return: what a run has said, and its report.
        """
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertNoTraceback(result)
        return result, json.loads((command.directory / "report.json").read_text())

    def outcomes(self, report):
        """
        @return: how many messages had one, of each kind.
        """
        return [report["messages"][name] for name in ("accepted", "rejected", "failed")]


class ServersTests(PeerTestCase):
    """
    Real servers: what they call a message is in the line, and in their log.
    """

    @defer.inlineCallbacks
    def check(self, peer, *options):
        from twisted.internet import reactor

        yield self.peer(peer)
        path = os.path.abspath(self.mktemp())
        options = ("--log-messages", path, "-d", "-s", "2", "-m", "20", *options)
        result = yield smtpsource(self, *options, peer.destination).whenEnded()
        self.assertEqual(result.status, 0, result)
        lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
        ids = {line["queueId"] for line in lines}
        self.assertEqual((len(lines), len(ids)), (20, 20), lines)
        yield eventually(lambda: all(each in peer.log() for each in ids), f"{ids} in the log", reactor=reactor)

    def test_postfix(self):
        """
        Postfix, also where contents go along with envelopes.
        """
        return self.check(PostfixServer(), "--pipelining", "require", "--chunking", "require", "--window", "5")

    def test_dovecot(self):
        """
        Dovecot's LMTP server.
        """
        return self.check(DovecotLMTP(), "-L")

    def test_exim(self):
        """
        Exim.
        """
        return self.check(EximRelay(1))

    def test_openSMTPD(self):
        """
        OpenSMTPD.
        """
        return self.check(OpenSMTPDRelay(1))


class Slow:
    """
    A disk that takes nothing until it is told to.
    """

    problem = None

    def isKept(self):
        return True

    def __init__(self):
        self.stopping = threading.Event()
        self.begun, self.released = threading.Event(), threading.Event()
        self.closed = False
        self.written = []

    def write(self, data):
        self.begun.set()
        self.released.wait(TEST_LIMIT)
        self.written.append(data)
        return data.count(b"\n")

    def close(self):
        self.closed = True


class SpoolTests(TestCase):
    """
    Lines, and a disk.
    """

    timeout = TEST_LIMIT

    def spool(self, open):
        from twisted.internet import reactor

        return Spool(reactor, open)

    @defer.inlineCallbacks
    def test_slow(self):
        """
        Nobody waits for a disk: what there is no room for is dropped, and all else written in order.
        """
        self.patch(spool, "ROOM", 100_000)
        slow = Slow()
        self.addCleanup(slow.released.set)
        target = self.spool(lambda: slow)
        for number in range(20_000):
            target.add(b"%09d\n" % number)
        self.assertEqual((target.dropped, slow.written), (10_000, []))
        slow.released.set()
        yield target.finish(Patience(TEST_LIMIT), TEST_LIMIT)
        self.assertEqual(b"".join(slow.written), b"".join(b"%09d\n" % number for number in range(10_000)))
        self.assertEqual((target.lines, target.dropped), (10_000, 10_000))
        self.assertEqual(target.problem, "there was no room for them in time")
        self.assertTrue(slow.closed)

    @defer.inlineCallbacks
    def test_stuck(self):
        """
        One that never takes anything is not waited for; what is counted then stays so.
        """
        slow = Slow()
        target = self.spool(lambda: slow)
        for _ in range(10):
            target.add(b"line\n")
        target._flush()
        self.assertTrue(slow.begun.wait(TEST_LIMIT))
        yield target.finish(Patience(0.0), TEST_LIMIT)
        self.assertEqual((target.lines, target.dropped), (0, 10))
        slow.released.set()
        yield target._ended
        self.assertEqual((target.lines, target.dropped), (0, 10))
        target.add(b"late\n")
        self.assertEqual(len(slow.written), 1)

    @defer.inlineCallbacks
    def test_unread(self):
        """
        A FIFO that nobody reads holds up nobody.
        """
        path = os.path.abspath(self.mktemp())
        os.mkfifo(path)
        target = self.spool(lambda: targetAt(path, True))
        for _ in range(10):
            target.add(b"line\n")
        yield target.finish(Patience(0.0), TEST_LIMIT)
        self.assertEqual((target.lines, target.dropped), (0, 10))
        self.assertEqual(target.problem, "they were not taken in time")

    @defer.inlineCallbacks
    def test_full(self):
        """
        On a full disk there is no half line; and when there is room again, lines go on.
        """
        path = os.path.abspath(self.mktemp())
        room = [25, 0, 10**6]
        write = os.write

        def full(descriptor, data):
            left = room.pop(0)
            if not left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, data[:left])

        file = targetAt(path, True)
        self.patch(targets.os, "write", full)
        self.assertEqual(file.write(b"".join(b"line %04d\n" % number for number in range(10))), 2)
        self.assertEqual(file.problem, os.strerror(errno.ENOSPC))
        self.assertEqual(file.write(b"line more\n"), 1)
        file.close()
        self.assertEqual(Path(path).read_bytes(), b"line 0000\nline 0001\nline more\n")
        yield

    @defer.inlineCallbacks
    def test_removed(self):
        """
        Lines that are in no file are dropped, whenever it was removed; one that was renamed is a file as before.
        """
        for gone, wanted in ((os.unlink, (0, 11)), (lambda path: os.rename(path, f"{path}.1"), (11, 0))):
            path = os.path.abspath(self.mktemp())
            target = self.spool(lambda path=path: targetAt(path, True))
            for _ in range(10):
                target.add(b"line\n")
            yield eventually(lambda target=target: target.lines == 10, "10 lines")
            gone(path)
            target.add(b"line\n")
            yield target.finish(Patience(TEST_LIMIT), TEST_LIMIT)
            self.assertEqual((target.lines, target.dropped, target.waiting), (*wanted, 0))
            self.assertEqual(target.problem, f"somebody has removed {path}" if wanted[1] else None)
        path = os.path.abspath(self.mktemp())
        target = self.spool(lambda: targetAt(path, True))
        target.add(b"line\n")
        yield eventually(lambda: target.lines, "a line")
        os.unlink(path)
        yield target.finish(Patience(TEST_LIMIT), TEST_LIMIT)
        self.assertEqual((target.lines, target.dropped), (0, 1))

    @defer.inlineCallbacks
    def test_nowhere(self):
        """
        Where nothing can be opened all is dropped, and it is known why.
        """
        target = self.spool(lambda: targetAt("/no/such/directory/file", True))
        target.add(b"line\n")
        yield target.finish(Patience(TEST_LIMIT), TEST_LIMIT)
        self.assertEqual((target.lines, target.dropped), (0, 1))
        self.assertEqual(target.problem, os.strerror(errno.ENOENT))
