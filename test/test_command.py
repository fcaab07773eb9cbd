"""
Tests for the command C{smtpsource}, as its users meet it: as a process, from some other directory.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import sys
from pathlib import Path

from commandlines import CommandTestCase
from peers import eventually, freePort
from recording import CLOSE, RESET, SILENCE, Delay, Raw, RecordingServer
from subprocesses import Command, killIfAlive, loadAndReport, python, reported, smtpsink, smtpsource, whenGone
from twisted.internet import defer
from twisted.internet.error import CannotListenError

from smtpsource import __version__, speedups

VERBS = ("HELO", "MAIL", "RCPT", "DATA", ".")
PHASES = ("banner", "helo", "mail", "rcpt", "data", "message", "quit")


class ResultTests(CommandTestCase):
    """
    What is shown of a run, and the exit status.
    """

    @defer.inlineCallbacks
    def test_accepted(self):
        """
        When all was accepted the summary says so, nothing is complained about, and the status is 0.
        """
        server = self.serve()
        result = yield smtpsource(self, "-s", "3", "-m", "20", server.destination).whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertIn(b"messages     20 started, 20 accepted, 0 rejected, 0 failed\n", result.out)
        self.assertRegex(result.out, rb"(?m)^transaction +20 ")
        self.assertEqual(len(server.messages), 20)

    @defer.inlineCallbacks
    def test_rejected(self):
        """
        When something was refused the status is 1, with -A too.
        """
        server = self.serve({"RCPT": [None, "550 5.1.1 No such user"]})
        result = yield smtpsource(self, "-A", "-m", "4", server.destination).whenEnded()
        self.assertEqual((result.status, result.err), (1, b""))
        self.assertIn(b"messages     4 started, 3 accepted, 1 rejected, 0 failed\n", result.out)
        self.assertIn(b"recipients   3 accepted, 1 rejected\n", result.out)
        self.assertRegex(result.out, rb"(?m)^rcpt +550 +1  550 5.1.1 No such user$")

    @defer.inlineCallbacks
    def test_someRecipients(self):
        """
        A message that was accepted for some of its recipients only is no success.
        """
        server = self.serve({"RCPT": [None, "550 5.1.1 No such user"]})
        result, report = yield loadAndReport(self, "-A", "-r", "3", server.destination)
        self.assertEqual(result.status, 1)
        self.assertEqual(report["messages"]["accepted"], 1)
        self.assertEqual(report["recipients"], {"accepted": 2, "rejected": 1})

    @defer.inlineCallbacks
    def test_quiet(self):
        """
        C{--quiet}: nothing is shown of a run in which nothing went wrong.
        """
        server = self.serve()
        result = yield smtpsource(self, "--quiet", server.destination).whenEnded()
        self.assertEqual((result.status, result.out, result.err), (0, b"", b""))
        self.assertEqual(len(server.messages), 1)

    @defer.inlineCallbacks
    def test_help(self):
        """
        C{--help} shows every option on standard output.
        """
        result = yield smtpsource(self, "--help").whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        for letter in "46AcCdfFlLmMNorRsStTvw":
            self.assertRegex(result.out, rb"(?m)^  -%s, --[a-z]" % letter.encode())

    @defer.inlineCallbacks
    def test_commands(self):
        """
        What is a command as the first word: C{help}, C{version} and C{sink}; and one that is nearly another.
        """
        for words, start in (
            (["help"], b"Usage: smtpsource [options] "),
            (["help", "tls"], b"TLS:\n"),
            (["help", "help"], b"Usage: smtpsource [options] "),
            (["help", "version"], b"Usage: smtpsource [options] "),
            (["help", "compare"], b"Usage: smtpsource compare "),
            (["help", "sink", "limits"], b"Limits:\n"),
            (["version"], b"smtpsource "),
            (["sink", "-V"], b"smtpsink "),
            (["merge", "-h"], b"Usage: smtpsource merge "),
            (["reconcile", "-h"], b"Usage: smtpsource reconcile "),
        ):
            result = yield smtpsource(self, *words).whenEnded()
            self.assertEqual((result.status, result.err), (0, b""))
            self.assertTrue(result.out.startswith(start), result.out)
        result = yield smtpsource(self, "comapre", "a.json", "b.json").whenEnded()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertOneLine(
            result.err, b"smtpsource: did you mean the command compare? (a host of that name: comapre:25)"
        )
        for words, start, end in (
            (("--help", "compare"), b"'compare' is a command: ", b"expected smtpsource help compare (see"),
            (
                ("help", "comapre"),
                b"'comapre' is no heading of options: ",
                b"; did you mean smtpsource help compare? (see",
            ),
            (("help", "conections"), b"'conections' is no heading of options: ", b"; did you mean connections? (see"),
        ):
            result = yield smtpsource(self, *words).whenEnded()
            self.assertEqual((result.status, result.out), (2, b""))
            self.assertOneLine(result.err, b"smtpsource: --help: " + start, end)
        sink = smtpsource(self, "sink", "127.0.0.1:0")
        yield sink.whenPrinted(rb"^listening on inet:127.0.0.1:")
        sink.signal(signal.SIGTERM)
        result = yield sink.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        result = yield smtpsource(self, "sink").whenEnded()
        self.assertEqual(result.status, 2)
        self.assertOneLine(result.err, b"smtpsink: no address to listen on: expected ", b"(see smtpsink --help)")

    @defer.inlineCallbacks
    def test_version(self):
        """
        C{--version} is ours, not Twisted's.
        """
        result = yield smtpsource(self, "--version").whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual(result.out.decode(), f"smtpsource {__version__} ({speedups.NAME})\n")


class ReportTests(CommandTestCase):
    """
    C{--report}.
    """

    def assertLatency(self, latency, count):
        """
        It has all its fields, and they can be true.
        """
        self.assertEqual(list(latency), ["count", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"])
        self.assertEqual(latency["count"], count)
        ordered = [latency[field] for field in ("min", "p50", "p90", "p95", "p99", "p99.9", "max")]
        self.assertEqual(ordered, sorted(ordered))
        self.assertTrue(0 < latency["min"] <= latency["mean"] <= latency["max"] < 60, latency)

    @defer.inlineCallbacks
    def test_layout(self):
        """
        The report has every field, and its numbers are those of the server.
        """
        server = self.serve({".": [None, "554 5.6.0 Spam"]})
        command = smtpsource(self, "-A", "-s", "2", "-m", "10", "-r", "2", "--report", "r.json", server.destination)
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err), (1, b""))
        self.assertIn(b"10 started, 9 accepted, 1 rejected, 0 failed", result.out)
        report = reported((command.directory / "r.json").read_bytes())
        fields = "schema tool command run seed reactor started elapsed exit ended reason thresholds limits disturbances"
        fields += " incomplete hints warmup asked late dropped exhausted catchUp exercise messages recipients"
        fields += " connections addresses bytes askedRate rate cpu percentiles latency"
        fields += " capabilities tls replies errors environment marks timeline drift histograms series"
        self.assertEqual(list(report), fields.split())
        self.assertEqual(report["schema"], 1)
        self.assertEqual(report["tool"], {"name": "smtp-source", "version": __version__})
        self.assertEqual(report["command"][1:], ["-A", "-s", "2", "-m", "10", *report["command"][6:]])
        self.assertEqual(report["command"][-1], server.destination)
        self.assertRegex(report["started"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+[+-]\d\d:\d\d$")
        self.assertTrue(0 < report["elapsed"] < 60)
        self.assertEqual((report["exit"], report["ended"], report["reason"]), (1, "done", None))
        self.assertEqual(report["messages"], {"started": 10, "accepted": 9, "rejected": 1, "failed": 0})
        self.assertEqual(report["recipients"], {"accepted": 18, "rejected": 2})
        self.assertEqual(report["connections"], {"opened": 10, "failed": 0, "lost": 0})
        self.assertEqual(report["bytes"]["sent"], sum(len(each.received) for each in server.connections))
        self.assertTrue(report["bytes"]["received"] > 0)
        self.assertApproximates(report["rate"], 9 / report["elapsed"], 0.01)
        self.assertEqual(sorted(report["cpu"]), ["system", "user"])
        counts = dict.fromkeys(("connect", *PHASES), 10)
        counts.update(rcpt=20, transaction=9)
        self.assertEqual({phase: latency["count"] for phase, latency in report["latency"].items()}, counts)
        for phase, latency in report["latency"].items():
            self.assertLatency(latency, counts[phase])
        self.assertEqual(
            report["replies"]["message"],
            {"250": {"count": 9, "sample": "250 2.0.0 Ok"}, "554": {"count": 1, "sample": "554 5.6.0 Spam"}},
        )
        self.assertEqual(report["errors"], {})

    @defer.inlineCallbacks
    def test_renamed(self):
        """
        A report that was there before is replaced as a whole, by one that was written aside; nothing else is left.
        """
        server = self.serve()
        directory = Path(self.mktemp())
        directory.mkdir()
        path = directory / "report"
        path.write_text("the old one")
        with path.open() as old:
            result = yield smtpsource(self, "--report", path.resolve(), server.destination).whenEnded()
            self.assertEqual(old.read(), "the old one")
        self.assertEqual(result.status, 0)
        self.assertEqual(reported(path.read_bytes())["messages"]["accepted"], 1)
        self.assertEqual(os.listdir(directory), ["report"])

    @defer.inlineCallbacks
    def test_standardOutput(self):
        """
        With C{--report -} standard output is JSON and nothing else; what is for people goes to standard error.
        """
        server = self.serve()
        result = yield smtpsource(self, "-c", "-m", "2", "--report", "-", server.destination).whenEnded()
        self.assertEqual(result.status, 0)
        self.assertEqual(reported(result.out)["messages"]["accepted"], 2)
        self.assertRegex(result.err, rb"(?m)^2$")
        self.assertIn(b"messages     2 started, 2 accepted", result.err)

    @defer.inlineCallbacks
    def test_aborted(self):
        """
        A run that was ended by a refusal has its report too, with the reason.
        """
        server = self.serve({"MAIL": "450 4.3.0 Not now"})
        result, report = yield loadAndReport(self, "-m", "5", server.destination)
        self.assertEqual(result.status, 1)
        self.assertEqual((report["exit"], report["ended"]), (1, "aborted"))
        self.assertEqual(report["messages"], {"started": 1, "accepted": 0, "rejected": 1, "failed": 0})
        self.assertIn("450 4.3.0 Not now", report["reason"])

    @defer.inlineCallbacks
    def test_cantBeWritten(self):
        """
        A report that can't be written in the end: one line, and status 1.
        """
        server = self.serve({".": [(Delay(0.2), None)]})
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        command = smtpsource(self, "--quiet", "--report", directory / "report", server.destination)
        yield server.when(lambda: server.connections)
        directory.rmdir()
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.out), (1, b""))
        self.assertOneLine(result.err, b"smtpsource: ", str(directory).encode())


class OutputTests(CommandTestCase):
    """
    Outputs that nobody reads.
    """

    def shell(self, script, *arguments):
        """
        @return: a shell that runs a script, with our command and its arguments as C{$@}.
        """
        return Command(self, ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "smtpsource", *arguments])

    @defer.inlineCallbacks
    def test_brokenPipe(self):
        """
        C{| head -1}: no traceback, and what the server got is complete.
        """
        server = self.serve()
        result = yield self.shell('"$@" | head -1', "-m", "5", server.destination).whenEnded()
        self.assertRegex(result.out, rb"\Apassed       all 5 messages accepted\n\Z")
        self.assertEqual(result.err, b"")
        yield server.whenIdle()
        self.assertEqual(len(server.messages), 5)

    @defer.inlineCallbacks
    def test_nobodyReads(self):
        """
        A pipe that is closed already when there is something to show, the counter included: no traceback either, and
        the report is written all the same.
        """
        server = self.serve()
        script = '{ "$@"; echo "status $?" >&2; } | :'
        command = self.shell(script, "-c", "-d", "-w", "0.6", "-m", "3", "--report", "r.json", server.destination)
        result = yield command.whenEnded()
        self.assertRegex(result.err, rb"(?m)^status 1$")
        self.assertNoTraceback(result)
        yield server.whenIdle()
        self.assertEqual(len(server.messages), 3)
        self.assertEqual(reported((command.directory / "r.json").read_bytes())["messages"]["accepted"], 3)

    @defer.inlineCallbacks
    def test_brokenPipeReport(self):
        """
        The same with a report on standard output.
        """
        server = self.serve()
        result = yield self.shell('"$@" | :', "--quiet", "--report", "-", server.destination).whenEnded()
        self.assertNoTraceback(result)

    @defer.inlineCallbacks
    def test_closed(self):
        """
        Standard output, standard error or both may be closed from the start: nothing of what would go there gets into a
        connection or a file. A summary that nobody gets is no success, and the report says the same.
        """
        for script, status in (
            ('exec "$@" >&-', 1),
            ('exec "$@" 2>&-', 0),
            ('exec "$@" >&- 2>&-', 1),
            ('exec "$@" <&- >&- 2>&-', 1),
            ('exec "$@" --quiet <&- >&- 2>&-', 0),
        ):
            server = self.serve()
            options = ("-c", "-v", "-m", "2", "--report", "r.json")
            script = script.replace('"$@"', '"$@" ' + " ".join(options)) + f" {server.destination}"
            command = self.shell(script)
            result = yield command.whenEnded()
            self.assertEqual(result.status, status, (script, result))
            self.assertNoTraceback(result)
            self.assertEqual(len(server.messages), 2)
            report = reported((command.directory / "r.json").read_bytes())
            self.assertEqual((report["messages"]["accepted"], report["exit"]), (2, status))
            if status and "2>" not in script:
                line = b"smtpsource: the summary could not be written to standard output: it is closed"
                self.assertEqual(result.err.splitlines()[-1], line)

    @defer.inlineCallbacks
    def test_full(self):
        """
        A full disk: one line, and no success.
        """
        server = self.serve()
        result = yield self.shell('exec "$@" >/dev/full', server.destination).whenEnded()
        self.assertEqual(result.status, 1)
        self.assertOneLine(result.err, b"summary", b"No space left on device")


class UsageTests(CommandTestCase):
    """
    Command lines that can't be used.
    """

    @defer.inlineCallbacks
    def check(self, *lines):
        """
        Each of these command lines is refused with status 2 and one line that has all of the words.

        @param lines: arguments, without a destination, and words.
        """
        server = self.serve()

        @defer.inlineCallbacks
        def one(arguments, words):
            result = yield smtpsource(self, *arguments, server.destination).whenEnded()
            self.assertEqual((result.status, result.out), (2, b""), (arguments, result))
            self.assertOneLine(result.err, b"smtpsource: ", *(word.encode() for word in words))

        turns = defer.DeferredSemaphore(2)
        results = yield defer.DeferredList(
            [turns.run(one, *line) for line in lines], consumeErrors=True, fireOnOneErrback=True
        )
        self.assertEqual(len(results), len(lines))
        self.assertEqual(server.connections, [])

    def test_values(self):
        """
        A bad value: the line names the option and the value.
        """
        return self.check(
            (["-m", "0"], ["-m", "--message-count", "'0'"]),
            (["--session-count", "many"], ["-s", "--session-count", "'many'"]),
            (["-l", "-1"], ["-l", "--length", "'-1'"]),
            (["-R", "x"], ["-R", "--random-interval", "'x'"]),
            (["-M", "two words"], ["-M", "--myhostname", "'two words'"]),
            (["-F", "/nowhere/file"], ["-F", "--message-file", "'/nowhere/file'"]),
            (["-F", "/dev/null"], ["-F", "--message-file", "'/dev/null'", "empty"]),
            (["--timeout", "0"], ["--timeout", "'0'"]),
            (["--report", "/nowhere/report"], ["--report", "'/nowhere/report'"]),
            (["--recipient-numbering", "none"], ["--recipient-numbering", "'none'", "prefix", "suffix"]),
        )

    def test_combinations(self):
        """
        Options that exclude each other, are unknown, or stand in the wrong place.
        """
        return self.check(
            (["-l", "10", "-F", "/etc/passwd"], ["-l (--length) '10' and -F (--message-file) '/etc/passwd' exclude"]),
            (["-w", "1", "-R", "1"], ["-w (--fixed-interval) '1' and -R (--random-interval) '1' exclude"]),
            (["--no-such-option"], ["no-such-option"]),
            (["another.example"], ["one destination"]),
            (["localhost", "-m", "2"], ["-m", "options go before"]),
            (["-s", "1m", "-m", "1m"], ["-s", "--session-count"]),
        )

    @defer.inlineCallbacks
    def test_memory(self):
        """
        Messages that don't fit into memory: one line says so, and nothing is sent.
        """
        with open(self.mktemp(), "wb") as large:
            large.truncate(700_000_000)
        limited = ["/bin/sh", "-c", 'ulimit -v 700000; exec "$@"', "sh", sys.executable, "-m", "smtpsource"]
        for option, value, expected in (
            ("-l", "700m", b"not enough memory"),
            ("-r", "20m", b"not enough memory"),
            ("-F", os.path.abspath(large.name), b"expected a message that fits into memory"),
        ):
            result = yield Command(self, [*limited, option, value, "sink:"]).whenEnded()
            self.assertEqual((result.status, result.out), (2, b""), result)
            self.assertOneLine(result.err, b"smtpsource: ", option.encode(), expected)

    @defer.inlineCallbacks
    def test_destinations(self):
        """
        A bad destination, or none.
        """
        long = "unix:/" + "x" * 120
        for arguments in ([], [""], [":25"], ["host:port:25"], ["localhost:99999"], ["unix:"], [long], ["a b"]):
            result = yield smtpsource(self, *arguments).whenEnded()
            self.assertEqual((result.status, result.out), (2, b""), (arguments, result))
            self.assertOneLine(result.err, b"expected", *(repr(each).encode() for each in arguments))


class DestinationTests(CommandTestCase):
    """
    Destinations as other programs write them.
    """

    @defer.inlineCallbacks
    def test_taken(self):
        """
        A name with a dot at its end, and a URL, are where messages go.
        """
        server = self.serve()
        port = server.destination.rpartition(":")[2]
        for destination in (f"localhost.:{port}", f"smtp://127.0.0.1:{port}", f"smtp://localhost.:{port}/"):
            result = yield smtpsource(self, "-4", destination).whenEnded()
            self.assertEqual((result.status, result.err), (0, b""), result)
        self.assertEqual(len(server.messages), 3)

    @defer.inlineCallbacks
    def test_protocols(self):
        """
        C{lmtp:} and C{smtps:} are spoken, by source and sink.
        """
        for scheme in ("lmtp", "smtps"):
            sink = smtpsink(self, "-M", "2", f"{scheme}://127.0.0.1:0")
            listening = yield sink.whenPrinted(rb"listening on inet:(127\.0\.0\.1:[0-9]+)")
            result = yield smtpsource(self, "-m", "2", f"{scheme}://{listening[1].decode()}").whenEnded()
            self.assertEqual((result.status, result.err), (0, b""), result)
            self.assertEqual((yield sink.whenEnded()).status, 0)
        result = yield smtpsource(self, "lmtp:sink:").whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))


class CounterTests(CommandTestCase):
    """
    C{-c}.
    """

    @defer.inlineCallbacks
    def test_piped(self):
        """
        Where it isn't a terminal, the counter is a line a second, and one at the end.
        """
        server = self.serve()
        command = smtpsource(self, "-c", "--quiet", "-d", "-w", "2.5", "-m", "2", server.destination)
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertRegex(result.out, rb"\A(0\n)?1\n(1\n)+2\n\Z")

    @defer.inlineCallbacks
    def test_terminal(self):
        """
        On a terminal numbers follow each other in the same place.
        """
        server = self.serve()
        arguments = ["-c", "--quiet", "-d", "-w", "0.3", "-m", "4", server.destination]
        command = smtpsource(self, *arguments, terminal=True)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0)
        self.assertRegex(result.out, rb"\A(\d+\r)+\r\n\Z")
        numbers = list(map(int, result.out.split()))
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(numbers[-1], 4)
        self.assertTrue(len(numbers) >= 3, numbers)

    @defer.inlineCallbacks
    def test_acceptedOnly(self):
        """
        What the server has refused isn't counted.
        """
        server = self.serve({".": "554 5.6.0 Spam"})
        result = yield smtpsource(self, "-A", "-c", "--quiet", "-m", "3", server.destination).whenEnded()
        self.assertEqual((result.status, result.out.split()[-1]), (1, b"0"))


class TraceTests(CommandTestCase):
    """
    C{-v}.
    """

    @defer.inlineCallbacks
    def test_trace(self):
        """
        Commands and replies are shown on standard error, and of the content, the final dot.
        """
        server = self.serve()
        result = yield smtpsource(self, "-v", "--quiet", "-M", "me.example", server.destination).whenEnded()
        self.assertEqual((result.status, result.out), (0, b""))
        self.assertEqual(
            result.err.decode().splitlines(),
            [
                "<<< 220 recorder.example ready",
                "HELO me.example",
                "<<< 250 recorder.example",
                "MAIL FROM:<foo@me.example>",
                "<<< 250 2.1.0 Ok",
                "RCPT TO:<foo@me.example>",
                "<<< 250 2.1.5 Ok",
                "DATA",
                "<<< 354 End with a dot",
                ".",
                "<<< 250 2.0.0 Ok",
                "QUIT",
                "<<< 221 2.0.0 Bye",
            ],
        )

    @defer.inlineCallbacks
    def test_controlCharacters(self):
        """
        A server can't play tricks with the user's terminal.
        """
        server = self.serve({"BANNER": b"220 \x1b[2J\x07hello\r\n", "MAIL": b"550 \x1b]0;title\x07\r\n"})
        result = yield smtpsource(self, "-v", server.destination).whenEnded()
        self.assertEqual(result.status, 1)
        self.assertNotRegex(result.out + result.err, rb"[\x1b\x07]")


class SignalTests(CommandTestCase):
    """
    SIGTERM and SIGINT.
    """

    @defer.inlineCallbacks
    def inOrder(self, number):
        """
        The run ends in order.
        """
        server = self.serve({".": (Delay(0.7), None)})
        command = smtpsource(self, "-d", "-s", "2", "-m", "1000", "--report", "r.json", server.destination)
        yield server.when(lambda: server.count(".") == 2)
        command.signal(number)
        result = yield command.whenEnded()
        yield server.whenIdle()
        self.assertEqual((result.status, result.err), (1, b""))
        self.assertIn(b"2 started, 2 accepted, 0 rejected, 0 failed", result.out)
        dialogue = ["HELO", "MAIL", "RCPT", "DATA", ".", "QUIT"]
        self.assertEqual([connection.verbs for connection in server.connections], [dialogue, dialogue])
        report = reported((command.directory / "r.json").read_bytes())
        self.assertEqual((report["exit"], report["ended"], report["reason"]), (1, "signal", None))
        self.assertEqual(report["messages"]["accepted"], 2)
        self.assertEqual(report["connections"]["lost"], 0)

    def test_terminate(self):
        """
        SIGTERM: no new messages; those on their way end, then QUIT, the report, and status 1.
        """
        return self.inOrder(signal.SIGTERM)

    def test_interrupt(self):
        """
        The same for SIGINT.
        """
        return self.inOrder(signal.SIGINT)

    @defer.inlineCallbacks
    def test_pause(self):
        """
        A session that waits for its next message says QUIT at once.
        """
        server = self.serve()
        command = smtpsource(self, "-d", "-w", "1000", "-m", "2", server.destination)
        yield server.when(lambda: server.count(".") == 1)
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertIn(b"1 started, 1 accepted, 0 rejected, 0 failed", result.out)
        self.assertEqual(server.connections[0].verbs[-2:], [".", "QUIT"])

    @defer.inlineCallbacks
    def test_grace(self):
        """
        A server that doesn't answer is waited for until the grace period is over, and no longer.
        """
        waits = ("--grace", "0.5", "--timeout", "10000")
        for verb in ("BANNER", "DATA", "."):
            server = self.serve({verb: [SILENCE]})
            command = smtpsource(self, "-m", "5", *waits, "--report", "r.json", server.destination)
            yield server.when(lambda server=server, verb=verb: server.count(verb))
            command.signal(signal.SIGTERM)
            result = yield command.whenEnded()
            self.assertEqual(result.status, 1)
            self.assertNoTraceback(result)
            report = reported((command.directory / "r.json").read_bytes())
            self.assertEqual(report["ended"], "signal")
            self.assertEqual(report["messages"], {"started": 1, "accepted": 0, "rejected": 0, "failed": 1})

    @defer.inlineCallbacks
    def test_secondInterrupt(self):
        """
        A second SIGINT ends it at once, whatever the grace period.
        """
        server = self.serve({".": [SILENCE]})
        command = smtpsource(self, "-d", "-s", "2", "-m", "4", "-w", "1000", "--grace", "1000", server.destination)
        yield server.when(lambda: server.count(".") == 2)
        command.signal(signal.SIGINT)
        # The session that waits says QUIT: the first one has been noticed.
        yield server.when(lambda: server.count("QUIT"))
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertIsNotNone(result.status)
        self.assertNotEqual(result.status, 0)
        self.assertNoTraceback(result)

    @defer.inlineCallbacks
    def test_connecting(self):
        """
        Between attempts to connect it ends at once.
        """
        port = freePort()
        program = (
            "import sys\n"
            "from smtpsource.net import reconnecting\n"
            "reconnecting.retryDelay = lambda failures: print('again', file=sys.stderr, flush=True) or 1000\n"
            "from smtpsource.__main__ import main\n"
            "main()\n"
        )
        command = python(self, "-c", program, "-C", "9", "-m", "3", f"127.0.0.1:{port}")
        yield command.whenPrinted(rb"^again$", "err")
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertIn(b"1 started, 0 accepted, 0 rejected, 1 failed", result.out)


class RefusalTests(CommandTestCase):
    """
    Without C{-A} the first refusal ends the run.
    """

    @defer.inlineCallbacks
    def refuse(self, verb, phase, reply="554 5.7.0 Go away, please"):
        """
        The line on standard error has the phase and the reply, and all connections are closed in order.
        """
        server = self.serve({verb: [None] * 5 + [reply]})
        command = smtpsource(self, "-s", "4", "-m", "1000", "--quiet", "--report", "-", server.destination)
        result = yield command.whenEnded()
        yield server.whenIdle()
        self.assertEqual(result.status, 1)
        self.assertOneLine(result.err, b"smtpsource: ", phase.encode(), reply.encode())
        report = reported(result.out)
        self.assertEqual((report["ended"], report["exit"]), ("aborted", 1))
        self.assertEqual(report["messages"]["rejected"], 1, report)
        self.assertEqual(report["messages"]["failed"], 0, report)
        self.assertEqual(report["messages"]["accepted"], report["replies"]["message"]["250"]["count"])
        self.assertLess(report["messages"]["started"], 100)
        for connection in server.connections:
            self.assertEqual(connection.verbs[-1], "QUIT")

    def test_banner(self):
        """
        The banner.
        """
        return self.refuse("BANNER", "banner")

    def test_helo(self):
        """
        The reply to HELO.
        """
        return self.refuse("HELO", "helo")

    def test_mail(self):
        """
        The reply to MAIL.
        """
        return self.refuse("MAIL", "mail")

    def test_rcpt(self):
        """
        The reply to RCPT.
        """
        return self.refuse("RCPT", "rcpt", "450 4.2.1 Greylisted")

    def test_data(self):
        """
        The reply to DATA.
        """
        return self.refuse("DATA", "data")

    def test_message(self):
        """
        The reply to the content.
        """
        return self.refuse(".", "message")

    @defer.inlineCallbacks
    def test_fault(self):
        """
        A fault ends the run too: one line says which, and when.
        """
        for step, words in ((CLOSE, [b"closed"]), (RESET, []), (SILENCE, [b"0.5"]), ("blah", [b"blah"])):
            server = self.serve({"DATA": [None, step]})
            arguments = ["--quiet", "--report", "-", "--timeout", "0.5", "-d", "-m", "9"]
            result = yield smtpsource(self, *arguments, server.destination).whenEnded()
            self.assertEqual(result.status, 1)
            self.assertOneLine(result.err, b"smtpsource: ", b"DATA", *words)
            report = reported(result.out)
            self.assertEqual(report["messages"], {"started": 2, "accepted": 1, "rejected": 0, "failed": 1})
            self.assertEqual(report["ended"], "aborted")


class ToleranceTests(CommandTestCase):
    """
    With C{-A} each fault costs exactly one message.
    """

    @defer.inlineCallbacks
    def cost(self, step, outcome, errors, replies=None, sessions=1, verbs=("BANNER", *VERBS)):
        """
        A fault in each phase, of a run of 20 messages.

        @param step: what the server does.
        @param outcome: what a message counts as that it was done to.
        @param errors: the kinds of the errors in the report, with their numbers.
        @param replies: the code of the refusal.
        @param sessions: how many sessions there are.
        @param verbs: what it is done to.
        """
        number = len(verbs)
        server = self.serve({verb: [step] for verb in verbs})
        arguments = ["-A", "-d", "-s", sessions, "-m", "20", "--timeout", "0.5", server.destination]
        result, report = yield loadAndReport(self, *arguments)
        self.assertEqual((result.status, result.err), (1, b""))
        self.assertEqual(report["ended"], "done")
        expected = {"started": 20, "accepted": 20 - number, "rejected": 0, "failed": 0, outcome: number}
        self.assertEqual(report["messages"], expected)
        kinds = {kind: error["count"] for kind, error in report["errors"].items()}
        self.assertEqual(kinds, errors)
        self.assertEqual(report["recipients"]["accepted"], 20 - number)
        # The connection is replaced each time.
        self.assertEqual(report["connections"]["opened"], len(server.connections))
        self.assertEqual(report["connections"]["failed"], 0)
        if sessions == 1:
            self.assertEqual(report["connections"], {"opened": number + 1, "failed": 0, "lost": number})
        self.assertEqual(report["connections"]["lost"], number)
        self.assertEqual(server.count("QUIT"), len(server.connections) - number)
        if replies:
            refusals = {
                phase: codes[replies]["count"] for phase, codes in report["replies"].items() if replies in codes
            }
            self.assertEqual(refusals, dict.fromkeys(("banner", "helo", "mail", "rcpt", "data", "message"), 1))

    def test_421(self):
        """
        421, after which the server closes.
        """
        return self.cost(("421 4.3.2 Shutting down", CLOSE), "rejected", {}, "421")

    def test_421AndStays(self):
        """
        421, after which the server doesn't close.
        """
        return self.cost("421 4.3.2 Shutting down", "rejected", {}, "421")

    def test_eof(self):
        """
        The end of the connection.
        """
        return self.cost(CLOSE, "failed", {"connection-lost": 6})

    def test_eofSessions(self):
        """
        The same with several sessions.
        """
        return self.cost(CLOSE, "failed", {"connection-lost": 6}, sessions=4)

    def test_reset(self):
        """
        A reset. (One at once may come before we know that we are connected.)
        """
        return self.cost(RESET, "failed", {"connection-reset": 5}, verbs=VERBS)

    def test_silence(self):
        """
        A reply that doesn't come within C{--timeout}.
        """
        return self.cost(SILENCE, "failed", {"timeout": 6})

    def test_garbage(self):
        """
        A line that is no reply.
        """
        return self.cost("what?", "failed", {"garbage-reply": 6})

    def test_binary(self):
        """
        Bytes that are no reply, nor text.
        """
        return self.cost(Raw(bytes(range(256)) + b"\r\n"), "failed", {"garbage-reply": 6})

    def test_endless(self):
        """
        A line that doesn't end.
        """
        return self.cost(Raw(b"250 " + b"x" * 1_000_000), "failed", {"reply-too-long": 6})

    @defer.inlineCallbacks
    def test_refusals(self):
        """
        A refusal costs one message, and with MAIL, RCPT, DATA and the content not even the connection.
        """
        server = self.serve({verb: [None, "550 5.7.1 No"] for verb in ("MAIL", "RCPT", "DATA", ".")})
        result, report = yield loadAndReport(self, "-A", "-d", "-m", "20", server.destination)
        self.assertEqual(result.status, 1)
        self.assertEqual(report["messages"], {"started": 20, "accepted": 16, "rejected": 4, "failed": 0})
        self.assertEqual(report["connections"], {"opened": 1, "failed": 0, "lost": 0})
        self.assertEqual(server.count("RSET"), 3)

    @defer.inlineCallbacks
    def test_quit(self):
        """
        Whatever a server does to QUIT costs nothing.
        """
        server = self.serve({"QUIT": [CLOSE, RESET, SILENCE, "what?", "500 No", Raw(b"221 B")]})
        result, report = yield loadAndReport(self, "-A", "-m", "8", "--timeout", "0.5", server.destination)
        self.assertEqual(report["messages"], {"started": 8, "accepted": 8, "rejected": 0, "failed": 0})
        self.assertEqual(report["connections"]["opened"], 8)
        self.assertEqual(len(server.messages), 8)
        self.assertEqual(result.status, 0)

    @defer.inlineCallbacks
    def test_lmtp(self):
        """
        LMTP: each recipient has an outcome of its own.
        """
        server = self.serve(
            {".": [None, "550 5.2.2 Full", None, "452 4.2.2 Full", "452 4.2.2 Full", "452 Full"]}, lmtp=True
        )
        result, report = yield loadAndReport(self, "-A", "-L", "-d", "-r", "3", "-m", "4", server.destination)
        self.assertEqual(result.status, 1)
        self.assertEqual(report["messages"], {"started": 4, "accepted": 3, "rejected": 1, "failed": 0})
        self.assertEqual(report["recipients"], {"accepted": 8, "rejected": 4})
        codes = {code: tally["count"] for code, tally in report["replies"]["message"].items()}
        self.assertEqual(codes, {"250": 8, "550": 1, "452": 3})


#: smtpsource with a resolver that knows one name.
_RESOLVER = """
import socket
known = {addresses!r}
genuine = socket.getaddrinfo
def getaddrinfo(host, port, *args, **kwargs):
    if host != "several.example":
        return genuine(host, port, *args, **kwargs)
    found = []
    for address in known:
        try:
            found += genuine(address, port, *args, **kwargs)
        except socket.gaierror:
            pass  # of another family
    return found
socket.getaddrinfo = getaddrinfo
from smtpsource.__main__ import main
main()
"""


class ConnectTests(CommandTestCase):
    """
    Connecting.
    """

    @defer.inlineCallbacks
    def cantConnect(self, destination, *words, failed=1, arguments=()):
        """
        One line on standard error, and status 1.
        """
        result = yield smtpsource(self, "--quiet", "--report", "-", "-m", "9", *arguments, destination).whenEnded()
        self.assertEqual(result.status, 1)
        self.assertOneLine(result.err, b"smtpsource: ", *words)
        report = reported(result.out)
        self.assertEqual(report["ended"], "aborted")
        self.assertEqual(report["messages"]["accepted"], 0)
        self.assertEqual(report["connections"], {"opened": 0, "failed": failed, "lost": 0})
        return report

    def test_refused(self):
        """
        Nobody listens.
        """
        destination = f"127.0.0.1:{freePort()}"
        return self.cantConnect(destination, destination.encode(), b"refused")

    def test_attempts(self):
        """
        C{-C}: nobody listens, asked three times.
        """
        destination = f"127.0.0.1:{freePort()}"
        return self.cantConnect(destination, b"refused", failed=3, arguments=["-C", "3"])

    def test_noSocket(self):
        """
        No such UNIX socket.
        """
        return self.cantConnect("unix:/nowhere/socket", b"unix:/nowhere/socket", b"No such file")

    @defer.inlineCallbacks
    def test_misnamed(self):
        """
        A scheme that says TLS before a server that has none, or any before a socket that is not there: nothing can be
        sent because of what stands on the command line, and the status is that of one.
        """
        server = self.serve()
        port = server.destination.rpartition(":")[2]
        for destination, said in (
            (f"smtps://127.0.0.1:{port}", b"the server does not speak TLS here"),
            ("lmtp:unix:/nowhere/socket", b"No such file or directory"),
        ):
            command = smtpsource(self, "-m", "3", "--report", "r.json", destination)
            result = yield command.whenEnded()
            self.assertEqual((result.status, result.err.count(b"\n"), result.out), (2, 1, b""), result)
            self.assertIn(said, result.err)
            self.assertEqual(server.messages, [])
            result, report = yield loadAndReport(self, "-A", "-m", "3", destination)
            self.assertEqual((result.status, report["exit"], report["messages"]["failed"]), (1, 1, 3))

    @defer.inlineCallbacks
    def test_noSuchInterface(self):
        """
        No such interface, in a link-local address: on any reactor.
        """
        for reactor in ("smtpsource", "select", "asyncio"):
            report = yield self.cantConnect(
                "[fe80::1%nosuch0]:2525", b"no network interface 'nosuch0'", arguments=["--reactor", reactor]
            )
            self.assertEqual(list(report["errors"]), ["connect-failed"])

    def test_noSuchName(self):
        """
        No such name.
        """
        return self.cantConnect("nowhere.invalid:2525", b"nowhere.invalid", failed=0)

    @defer.inlineCallbacks
    def test_dontAbort(self):
        """
        With C{-A} nobody listening costs each message.
        """
        destination = f"127.0.0.1:{freePort()}"
        result, report = yield loadAndReport(self, "-A", "-s", "2", "-m", "5", destination)
        self.assertEqual((result.status, result.err), (1, b""))
        self.assertEqual(report["messages"], {"started": 5, "accepted": 0, "rejected": 0, "failed": 5})
        self.assertEqual(report["connections"], {"opened": 0, "failed": 5, "lost": 0})
        self.assertEqual(report["errors"]["connect-refused"]["count"], 5)

    @defer.inlineCallbacks
    def test_timeout(self):
        """
        C{--connect-timeout}: an address that doesn't answer.
        """
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            # The accept queue is full with these.
            waiting = []
            for _ in range(4):
                client = socket.socket()
                self.addCleanup(client.close)
                client.setblocking(False)
                client.connect_ex(deaf.getsockname())
                waiting.append(client)
            destination = f"127.0.0.1:{deaf.getsockname()[1]}"
            report = yield self.cantConnect(destination, b"no answer", arguments=["--connect-timeout", "0.5"])
        self.assertTrue(0.4 < report["elapsed"] < 20)
        self.assertEqual(list(report["errors"]), ["connect-timeout"])

    def servedAlone(self, family):
        """
        @return: a server on a port where nobody else listens on the address of the other family.
        """
        while True:
            server = self.serve(family=family)
            other = socket.socket(socket.AF_INET6 if family == "inet" else socket.AF_INET)
            self.addCleanup(other.close)
            try:
                other.bind(("::1" if family == "inet" else "127.0.0.1", server.port))
            except OSError:
                continue
            return server

    @defer.inlineCallbacks
    def several(self, family):
        """
        Of a name with two addresses one refuses, and the other takes all messages.
        """
        for addresses in (["::1", "127.0.0.1"], ["127.0.0.1", "::1"]):
            server = self.servedAlone(family)
            program = _RESOLVER.format(addresses=addresses)
            arguments = ["--quiet", "--report", "-", "-s", "3", "-m", "10", f"several.example:{server.port}"]
            result = yield python(self, "-c", program, *arguments).whenEnded()
            self.assertEqual((result.status, result.err), (0, b""))
            report = reported(result.out)
            self.assertEqual(report["messages"]["accepted"], 10)
            self.assertEqual(report["connections"]["opened"], 10)
            first = addresses[0] == server.address[0]
            # The sessions that start together ask the first address; all later ones know better.
            self.assertTrue(
                report["connections"]["failed"] == 0 if first else 1 <= report["connections"]["failed"] <= 3
            )
            self.assertEqual(len(server.messages), 10)

    @defer.inlineCallbacks
    def test_all(self):
        """
        With C{--addresses all} each address that answers has as much to do; the summary counts by address.
        """
        while True:
            servers = [self.serve(), RecordingServer()]
            self.addCleanup(servers[1].stop)
            try:
                servers[1].listenTCP("127.0.0.3", port=servers[0].port)
            except CannotListenError:  # somebody else has that port
                continue
            break
        program = _RESOLVER.format(addresses=["127.0.0.1", "127.0.0.2", "127.0.0.3"])
        where = f"several.example:{servers[0].port}"
        result = yield python(self, "-c", program, "--addresses", "all", "-m", "20", where).whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual([len(server.messages) for server in servers], [10, 10])
        rows = [line.split() for line in result.out.decode().splitlines() if line.startswith("inet:")]
        self.assertEqual([row[1:] for row in rows], [["10", "0", "10"], ["0", "10", "0"], ["10", "0", "10"]])

    def test_severalIPv4(self):
        """
        The IPv4 address answers.
        """
        return self.several("inet")

    def test_severalIPv6(self):
        """
        The IPv6 address answers.
        """
        return self.several("inet6")

    @defer.inlineCallbacks
    def test_family(self):
        """
        C{-4} and C{-6} leave a name one family.
        """
        server = self.serve(family="inet6")
        program = _RESOLVER.format(addresses=["127.0.0.1", "::1"])
        result = yield python(self, "-c", program, "-4", "--quiet", f"several.example:{server.port}").whenEnded()
        self.assertEqual((result.status, server.connections), (1, []))
        result = yield python(self, "-c", program, "-6", "--quiet", f"several.example:{server.port}").whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))

    @defer.inlineCallbacks
    def test_localhost(self):
        """
        C{localhost} is found whichever way it is known here.
        """
        server = self.serve()
        result = yield smtpsource(self, "--quiet", f"localhost:{server.port}").whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual(len(server.messages), 1)

    @defer.inlineCallbacks
    def test_reconnects(self):
        """
        C{-C}: a server that comes back in time is no fault.
        """
        port = freePort()
        program = (
            "import sys\n"
            "from smtpsource.net import reconnecting\n"
            "reconnecting.retryDelay = lambda failures: print('again', file=sys.stderr, flush=True) or 0.1\n"
            "from smtpsource.__main__ import main\n"
            "main()\n"
        )
        arguments = ["-C", "100", "-m", "3", "--quiet", "--report", "-", f"127.0.0.1:{port}"]
        command = python(self, "-c", program, *arguments)
        yield command.whenPrinted(rb"^again\nagain$", "err")
        server = RecordingServer()
        self.addCleanup(server.stop)
        server._port = server.reactor.listenTCP(port, server, interface="127.0.0.1")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0)
        report = reported(result.out)
        self.assertEqual(report["messages"]["accepted"], 3)
        self.assertGreaterEqual(report["connections"]["failed"], 2)


class SinkTests(CommandTestCase):
    """
    The destination C{sink:}.
    """

    @defer.inlineCallbacks
    def load(self, *arguments):
        """
        Load it, and compare both ends' counts.
        """
        result, report = yield loadAndReport(self, *arguments, "-d", "-s", "5", "-m", "100", "-r", "2", "sink:")
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual(report["messages"]["accepted"], 100)
        self.assertEqual(report["recipients"], {"accepted": 200, "rejected": 0})
        self.assertEqual((report["sink"]["messages"], report["sink"]["recipients"]), (100, 200))
        self.assertEqual(report["sink"]["sessions"]["total"], 5)
        self.assertEqual(len(report["replies"]["message"]), 1)

    def test_smtp(self):
        """
        It takes all messages, and counts as many.
        """
        return self.load()

    def test_lmtp(self):
        """
        It speaks LMTP.
        """
        return self.load("-L")

    @defer.inlineCallbacks
    def begun(self):
        """
        @return: a run that waits for its second message, and its sink's process id.
        """
        command = smtpsource(self, "-v", "-d", "-w", "1000", "-m", "2", "sink:")
        yield command.whenPrinted(rb"^\.$\n^<<< 250", "err")
        (child,) = yield eventually(command.children, "the sink")
        self.addCleanup(killIfAlive, child)
        return command, child

    @defer.inlineCallbacks
    def test_noChildLeft(self):
        """
        The sink's process ends with the run.
        """
        command, child = yield self.begun()
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertIn(b"1 started, 1 accepted", result.out)
        self.assertIn(b"sink         counted 1 message,", result.out)
        self.assertNoTraceback(result)
        yield whenGone(child, 0)

    @defer.inlineCallbacks
    def test_stoppedWhileStarting(self):
        """
        A run can be stopped while its sink is starting.
        """
        command = smtpsource(self, "-m", "1m", "sink:")
        (child,) = yield eventually(command.children, "the sink")
        self.addCleanup(killIfAlive, child)
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result)
        self.assertNoTraceback(result)
        self.assertIn(b"stopped before its end", result.out)
        yield whenGone(child)

    @defer.inlineCallbacks
    def test_parentKilled(self):
        """
        It ends too when the run is killed.
        """
        command, child = yield self.begun()
        command.signal(signal.SIGKILL)
        result = yield command.whenEnded()
        self.assertEqual(result.signal, signal.SIGKILL)
        yield whenGone(child)

    @defer.inlineCallbacks
    def test_sinkKilled(self):
        """
        A sink that dies is a fault like any other: one line, status 1.
        """
        command, child = yield self.begun()
        os.kill(child, signal.SIGKILL)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertNoTraceback(result)
        self.assertEqual(len(re.findall(rb"(?m)^smtpsource: ", result.err)), 1, result.err)
        self.assertRegex(result.err, rb"smtpsource: .*(closed the connection|the companion sink ended)")

    @defer.inlineCallbacks
    def test_shell(self):
        """
        The interrupt of a terminal, which goes to both, ends both in order.
        """
        shell = ["/bin/sh", "-c", "exec " + shlex.join([sys.executable, "-m", "smtpsource", "-d", "-w", "9"]) + ' "$@"']
        command = Command(self, [*shell, "sh", "-v", "-m", "9", "sink:"], terminal=True)
        yield command.whenPrinted(rb"^\.\r\n<<< 250")
        # Ctrl-C
        command.transport.write(b"\x03")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertNoTraceback(result)
        self.assertIn(b"sink         counted 1 message,", result.out)
