"""
Tests for the options of traffic as their users meet them: the command, against a server.
"""

from __future__ import annotations

import email
import json
import os
import re
from collections import Counter
from pathlib import Path

from patience import TEST_LIMIT
from recording import Delay, RecordingServer
from subprocesses import smtpsource
from twisted.internet import defer
from twisted.trial.unittest import TestCase


class TrafficTests(TestCase):
    """
    Runs of the command.
    """

    timeout = TEST_LIMIT

    def directory(self, **files):
        """
        @return: the path of a directory with files of these names, C{_} for a dot.
        """
        path = Path(self.mktemp()).absolute()
        path.mkdir(parents=True)
        for name, content in files.items():
            (path / name.replace("_", ".")).write_bytes(content)
        return path

    @defer.inlineCallbacks
    def run_(self, *arguments, status=0, **server):
        """
        Run the command against a server of its own.

        @return: the messages that it got, and all that it was sent with dates left out.
        """
        recorder = RecordingServer(**server)
        self.addCleanup(recorder.stop)
        recorder.listen()
        result = yield smtpsource(self, "--quiet", "-M", "h", *arguments, recorder.destination).whenEnded()
        self.assertEqual((result.status, result.out, result.err), (status, b"", b""))
        received = b"".join(connection.received for connection in recorder.connections)
        return recorder.messages, re.sub(rb"Date: .*\r\n", b"", received)

    @defer.inlineCallbacks
    def test_corpora(self):
        """
        C{--messages}: a directory, a Maildir and an mbox, with relative names, each message in turn, small and large.
        """
        texts = [
            b"Subject: 1\n\n.\nx\n",
            b"Subject: 2\r\n\r\n" + b"y" * 70 * 3000 + b"\r\n",
            b"Subject: 3\n\n" + b".z\n" * 50_000,
        ]
        path = self.directory(a_eml=texts[0], b_eml=texts[1], c_eml=texts[2])
        maildir = path / "maildir"
        for name in ("cur", "new"):
            (maildir / name).mkdir(parents=True)
        for n, text in enumerate(texts):
            (maildir / ("cur" if n else "new") / f"{9 - n}:2,").write_bytes(text)
        (path / "mbox").write_bytes(b"".join(b"From x@y\n" + text + b"\n" for text in texts))
        for name, order in ((".", (0, 1, 2)), ("maildir", (2, 1, 0)), ("mbox", (0, 1, 2))):
            server = RecordingServer()
            self.addCleanup(server.stop)
            server.listen()
            command = smtpsource(self, "-m", "6", "-d", "--messages", name, server.destination, cwd=path)
            result = yield command.whenEnded()
            self.assertEqual((result.status, result.err), (0, b""))
            self.assertEqual(len(server.messages), 6)
            for content, n in zip(server.messages, order * 2, strict=True):
                text = texts[n].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")
                head, _, rest = content.partition(b"\r\n")
                self.assertRegex(head, rb"^Message-Id: <[0-9a-f]{16}\.[1-6]@.*>$")
                self.assertEqual(rest, text + b".\r\n", n)

    @defer.inlineCallbacks
    def test_vanishing(self):
        """
        Files that go away, become others or shorter while a run goes on don't end it, and nobody sees a traceback. A
        message whose end is gone when its beginning is sent has failed.
        """
        large = (b"x" * 78 + b"\r\n") * 20_000
        path = self.directory(
            a_eml=b"A: a\n\na\n", b_eml=b"A: b\n\nb\n", c_eml=b"A: c\r\n\r\n" + large, d_eml=b"A: d\n\n"
        )
        server = RecordingServer(replies={"DATA": (Delay(0.1), None)})
        self.addCleanup(server.stop)
        server.listen()
        command = smtpsource(self, "-A", "-m", "12", "-d", "--messages", str(path), server.destination)
        yield server.when(lambda: server.count("DATA") == 3)
        (path / "b.eml").unlink()
        (path / "c.eml").write_bytes(b"")
        (path / "d.eml").write_bytes(b"A: e\n\n")
        result = yield command.whenEnded()
        self.assertNotIn(b"Traceback", result.out + result.err)
        self.assertIn(b"12 started, 11 accepted, 0 rejected, 1 failed", result.out)
        # What was kept is sent again, b.eml, too; c.eml can't be.
        said = rb"unreadable-message2'/.*c.eml':thefileisshorterthanitwas"
        self.assertRegex(b"".join(result.out.split()), said)
        self.assertEqual(len(server.messages), 11)
        ends = [content.partition(b"\r\n")[2] for content in server.messages]
        self.assertEqual(ends[2], b"A: e\r\n\r\n.\r\n")
        self.assertFalse([end for end in ends if b"A: c" in end])

    @defer.inlineCallbacks
    def test_shortened(self):
        """
        An mbox that is cut off, or written anew, while a message of it is sent: that one has failed, by DATA, in chunks
        and pipelined; without -A it is the end of the run.
        """
        text = b"A: b\r\n\r\n" + (b"x" * 78 + b"\r\n") * 50_000
        line = b"From a@b Mon Jan  1 10:00:00 2024\r\n"
        for change, options in (
            (lambda path: os.truncate(path, 10), ("-A",)),
            (lambda path: os.truncate(path, 10), ("-A", "--chunking", "force", "--chunk-size", "100k")),
            (lambda path: path.write_bytes(line + text * 2), ("-A", "--chunking", "force", "--pipelining", "force")),
            (lambda path: os.truncate(path, 10), ()),
        ):
            path = self.directory() / "mbox"
            path.write_bytes(line + text)
            server = RecordingServer(replies={"RCPT": (Delay(0.2), None)})
            self.addCleanup(server.stop)
            server.listen()
            report = path.parent / "report.json"
            command = smtpsource(
                self, *options, "-m", "2", "--messages", path, "--report", report, "--quiet", server.destination
            )
            yield server.when(lambda server=server: server.count("RCPT") == 1)
            change(path)
            result = yield command.whenEnded()
            self.assertNotIn(b"Traceback", result.out + result.err)
            self.assertEqual((result.status, result.signal), (1, None), result)
            found = json.loads(report.read_text())
            number = 2 if options else 1
            self.assertEqual(found["messages"], {"started": number, "accepted": 0, "rejected": 0, "failed": number})
            self.assertIn(b"unreadable-message: message 1 of '/", result.err) if not options else None
            self.assertGreaterEqual(found["errors"]["unreadable-message"]["count"], number)
            self.assertEqual(server.messages, [])

    @defer.inlineCallbacks
    def test_seed(self):
        """
        C{--seed}: what one session sends comes again, byte for byte but for the date.
        """
        path = self.directory(
            senders=b"a@x 1\nb@x 2\n<> 1\n",
            recipients=b"".join(b"user%d %d\n" % (n, n) for n in range(1, 99)),
            **{f"{n}_eml": b"Subject: %d\n\nx\n" % n for n in range(20)},
        )
        envelope = ("--senders", path / "senders", "--recipients", path / "recipients", "--domains", "a.test:3,b.test")
        header = ("--header", "X-A: {run} {n} {random:12}", "--recipients-distribution", "uniform:1-4", "-m", "30")
        for content in (
            ("--messages", path, "--pick", "random"),
            ("--size-distribution", "lognormal:median=2k,sigma=1", "-S", "{random:3} {size}"),
        ):
            one, two, other = yield defer.gatherResults(
                [self.run_("--seed", seed, *envelope, *header, *content) for seed in ("1", "1", "2")]
            )
            self.assertEqual(one[1], two[1])
            self.assertNotEqual(one[1], other[1])
            self.assertEqual(len(one[0]), 30)

    @defer.inlineCallbacks
    def test_sizes(self):
        """
        C{--size-distribution} from a file: bodies of these sizes, as often as it says, and of no others.
        """
        path = self.directory(sizes=b"100 9\n70k\n")
        contents, _ = yield self.run_(
            "-m", "300", "-d", "--size-distribution", f"empirical:{path / 'sizes'}", "--seed", "1"
        )
        found = Counter(len(content.partition(b"\r\n\r\n")[2]) - 5 for content in contents)
        self.assertEqual(set(found), {100, 71_680})
        self.assertTrue(10 < found[71_680] < 60, found)

    @defer.inlineCallbacks
    def test_headers(self):
        """
        C{--header} and C{-S}: headers are there, with what was to be filled in.
        """
        contents, _ = yield self.run_(
            *(
                "-m",
                "3",
                "-S",
                "{n} of {x}",
                "--header",
                "X-Run: {run}.{n}",
                "--header",
                "X-Text: 100% {{n}}",
                "--size-distribution",
            ),
            "fixed:10",
        )
        for number, content in enumerate(contents, 1):
            found = email.message_from_bytes(content)
            self.assertEqual((found["Subject"], found["X-Text"]), (f"{number} of {{x}}", "100% {n}"))
            self.assertEqual(found["Message-Id"], f"<{found['X-Run']}@h>")

    @defer.inlineCallbacks
    def test_lmtp(self):
        """
        By LMTP, too, with several recipients from a file and numbers of their own.
        """
        path = self.directory(recipients=b"a@x\nb@y\n")
        _, received = yield self.run_(
            *("-L", "-m", "2", "-N", "-r", "3", "--recipient-numbering", "suffix", "--number-start", "9"),
            *("--number-width", "2", "--recipients", path / "recipients"),
            lmtp=True,
        )
        rcpts = re.findall(rb"RCPT TO:<(.*)>", received)
        self.assertEqual(rcpts, [b"a09@x", b"b10@y", b"a11@x", b"b12@y", b"a13@x", b"b14@y"])

    @defer.inlineCallbacks
    def test_errors(self):
        """
        What is wrong is told in one line, before anything is sent.
        """
        path = self.directory(senders=b"a@x\n\nb@x often\n", weights=b"no.eml 3\n", a_eml=b"A: b\n")
        for arguments, *expected in (
            (["--senders", path / "senders"], "--senders: '/", "expected a weight of 0 or more", "in line 3"),
            (
                ["--messages", path, "--pick", "weighted"],
                "--pick: 'weighted' is not usable: ",
                "in line 1: '/",
                "weights'",
            ),
            (["--messages", path / "senders"], "--messages: '/", 'does not begin with "From "'),
            (["--header", "X-A: {x}"], "--header: 'X-A: {x}' is not usable: expected {run}, {n},"),
        ):
            result = yield smtpsource(self, *arguments, "127.0.0.1:1").whenEnded()
            self.assertEqual((result.status, result.out), (2, b""))
            self.assertRegex(result.err, rb"\A[^\n]+\n\Z")
            for words in expected:
                self.assertIn(words, result.err.decode())
