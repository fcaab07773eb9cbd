"""
Tests for our plugins under C{twistd} and C{twist}, as processes: in the foreground and as daemons.
"""

from __future__ import annotations

import json
import os
import re
import signal
import textwrap
from pathlib import Path

from patience import TEST_LIMIT
from peers import eventually, missing
from recording import SILENCE, Delay, RecordingServer, ServingMixin
from subprocesses import (
    ROOT,
    TWISTD,
    alive,
    killIfAlive,
    python,
    reported,
    smtpsink,
    smtpsource,
    twist,
    twistd,
    whenGone,
)
from twisted.internet import defer
from twisted.trial.unittest import TestCase

from smtpsource import __version__, speedups


class TwistdTestCase(ServingMixin, TestCase):
    """
    What all of these have in common.
    """

    timeout = TEST_LIMIT

    def assertNoTraceback(self, text):
        """
        Nobody but us should see one.
        """
        self.assertNotIn(b"Traceback", text)
        self.assertNotIn(b"Unhandled", text)

    @defer.inlineCallbacks
    def assertUsageError(self, result, pattern):
        """
        The last line says what can't be used, and the status is that of twistd's usage errors, which is 0 in old
        versions of Twisted.
        """
        own = yield twistd(self, "--no-such-option").whenEnded()
        self.assertEqual(result.status, own.status)
        text = result.out + result.err
        self.assertRegex(text.splitlines()[-1], pattern)
        self.assertNoTraceback(text)


class ForegroundTests(TwistdTestCase):
    """
    C{twistd -n smtp-source}.
    """

    @defer.inlineCallbacks
    def test_accepted(self):
        """
        The run's end is twistd's; the summary is on standard output as it is, the pidfile is gone, the status is 0.
        """
        server = self.serve()
        command = twistd(self, "-n", "smtp-source", "-s", "2", "-m", "20", server.destination)
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertRegex(result.out, rb"(?m)^messages     20 started, 20 accepted, 0 rejected, 0 failed$")
        self.assertRegex(result.out, rb"(?m)Server Shut Down")
        self.assertNoTraceback(result.out)
        self.assertEqual(len(server.messages), 20)
        self.assertEqual(list(command.directory.iterdir()), [])

    @defer.inlineCallbacks
    def test_refused(self):
        """
        A refusal ends it with status 1, and standard error has one line, with phase and reply.
        """
        server = self.serve({"RCPT": "550 5.1.1 No such user"})
        result = yield twistd(self, "-n", "smtp-source", "-m", "5", server.destination).whenEnded()
        self.assertEqual(result.status, 1)
        self.assertEqual(result.err, b"smtp-source: rcpt refused: 550 5.1.1 No such user\n")
        self.assertRegex(result.out, rb"(?m)^messages     1 started, 0 accepted, 1 rejected, 0 failed$")
        self.assertNoTraceback(result.out)

    @defer.inlineCallbacks
    def test_sameDirectory(self):
        """
        With C{--pidfile=} two runs can share a directory; without it the second doesn't start, and sends nothing.
        """
        server = self.serve({".": [SILENCE]})
        first = twistd(self, "-n", "smtp-source", "--grace", "0", server.destination)
        yield server.when(lambda: server.count("."))
        second = yield twistd(self, "-n", "smtp-source", server.destination, cwd=first.directory).whenEnded()
        self.assertNotEqual(second.status, 0)
        self.assertEqual(len(server.connections), 1)
        arguments = ["-n", "--pidfile=", "smtp-source", server.destination]
        third = yield twistd(self, *arguments, cwd=first.directory).whenEnded()
        self.assertEqual(third.status, 0)
        first.signal(signal.SIGTERM)
        yield first.whenEnded()

    @defer.inlineCallbacks
    def test_signals(self):
        """
        SIGTERM and SIGINT end the run in order: what is on its way ends, then QUIT, the summary, and status 1.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.serve({".": (Delay(0.5), None)})
            command = twistd(self, "-n", "smtp-source", "-d", "-m", "100", "--report", "report", server.destination)
            yield server.when(lambda server=server: server.count("."))
            command.signal(number)
            result = yield command.whenEnded()
            self.assertEqual((result.status, result.err), (1, b""))
            self.assertRegex(result.out, rb"(?m)^messages     1 started, 1 accepted, 0 rejected, 0 failed$")
            self.assertNoTraceback(result.out)
            self.assertEqual(server.connections[0].verbs[-2:], [".", "QUIT"])
            self.assertEqual(reported((command.directory / "report").read_bytes())["ended"], "signal")

    @defer.inlineCallbacks
    def test_silentServer(self):
        """
        The grace period bounds the end.
        """
        server = self.serve({"MAIL": SILENCE})
        command = twistd(self, "-n", "smtp-source", "--grace", "0.5", server.destination)
        yield server.when(lambda: server.count("MAIL"))
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertRegex(result.out, rb"(?m)^messages     1 started, 0 accepted, 0 rejected, 1 failed$")
        self.assertNoTraceback(result.out + result.err)

    @defer.inlineCallbacks
    def test_usage(self):
        """
        A command line that can't be used: the last line names option and value, and nothing is sent.
        """
        server = self.serve()
        result = yield twistd(self, "-n", "smtp-source", "-m", "0", server.destination).whenEnded()
        yield self.assertUsageError(result, rb"-m \(--message-count\): '0' is not usable: expected")
        self.assertEqual(server.connections, [])

    @defer.inlineCallbacks
    def test_reportOnStandardOutput(self):
        """
        C{--report -} is for a foreground run, whose log goes elsewhere; else it is a usage error.
        """
        server = self.serve()
        for options in (["-n"], ["-n", "--logfile=-"]):
            result = yield twistd(self, *options, "smtp-source", "--report", "-", server.destination).whenEnded()
            yield self.assertUsageError(
                result, rb"--report: '-' is not usable, .* or --logfile=FILE before smtp-source"
            )
        self.assertEqual(server.connections, [])
        arguments = ["-n", "--logfile=log", "smtp-source", "--quiet", "--report", "-", server.destination]
        result = yield twistd(self, *arguments).whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        report = reported(result.out)
        self.assertEqual(report["messages"]["accepted"], 1)
        self.assertEqual(report["command"], ["smtp-source", "--quiet", "--report", "-", server.destination])

    @defer.inlineCallbacks
    def test_sink(self):
        """
        The destination C{sink:} works there too.
        """
        result = yield twistd(self, "-n", "smtp-source", "-d", "-s", "2", "-m", "50", "sink:").whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertRegex(result.out, rb"(?m)^with -v      recipients, bytes, (reactor, )?sink; ")

    @defer.inlineCallbacks
    def test_listed(self):
        """
        C{twistd --help} lists both plugins.
        """
        for run in (twistd, twist):
            result = yield run(self, "--help").whenEnded()
            self.assertEqual(result.status, 0)
            for name in (b"smtp-source", b"smtp-sink"):
                self.assertRegex(result.out, rb"(?m)^    %s +An SMTP and LMTP " % name)

    @defer.inlineCallbacks
    def test_help(self):
        """
        C{twistd smtp-source --help} and C{--version} are ours.
        """
        result = yield twistd(self, "smtp-source", "--help").whenEnded()
        self.assertEqual(result.status, 0)
        self.assertRegex(result.out, rb"(?m)^  -m, --message-count N ")
        result = yield twistd(self, "smtp-source", "--version").whenEnded()
        self.assertEqual((result.status, result.out.decode()), (0, f"smtp-source {__version__} ({speedups.NAME})\n"))


class DaemonTests(TwistdTestCase):
    """
    C{twistd smtp-source}, in the background.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.pidfile = self.directory / "pid"
        self.addCleanup(self.killDaemon)

    def killDaemon(self):
        """
        Leave nothing behind.
        """
        if self.pidfile.exists():
            killIfAlive(int(self.pidfile.read_text()))

    @defer.inlineCallbacks
    def start(self, *arguments, options=(), **settings):
        """
        Start the daemon; the process that does it ends with status 0.
        """
        options = ["--pidfile", self.pidfile, "--logfile", self.directory / "log", *options]
        command = twistd(self, *options, "smtp-source", *arguments, **settings)
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        return command

    def log(self):
        """
        @return: the log.
        """
        return (self.directory / "log").read_bytes()

    @defer.inlineCallbacks
    def test_accepted(self):
        """
        The run's end is the daemon's: the log has the summary, the report is there, the pidfile is gone.
        """
        server = self.serve({".": [(Delay(0.5), None)]})
        yield self.start("-m", "10", "--report", self.directory / "report", server.destination)
        pid = int(self.pidfile.read_text())
        self.assertTrue(alive(pid))
        yield whenGone(pid)
        self.assertEqual(len(server.messages), 10)
        self.assertFalse(self.pidfile.exists())
        report = reported((self.directory / "report").read_bytes())
        self.assertEqual((report["exit"], report["ended"], report["messages"]["accepted"]), (0, "done", 10))
        log = self.log()
        self.assertRegex(log, rb"(?m)^\S+ \[[^]]*\] messages     10 started, 10 accepted, 0 rejected, 0 failed$")
        self.assertRegex(log, rb"(?m)^\S+ \[[^]]*\] transaction +10 ")
        self.assertIn(b"Server Shut Down", log)
        self.assertNoTraceback(log)

    @defer.inlineCallbacks
    def test_refused(self):
        """
        The log says what ended the run.
        """
        server = self.serve({"DATA": [(Delay(0.5), "451 4.3.0 Disk full")]})
        yield self.start("-c", "--report", self.directory / "report", server.destination)
        yield whenGone(int(self.pidfile.read_text()))
        report = reported((self.directory / "report").read_bytes())
        self.assertEqual((report["exit"], report["ended"]), (1, "aborted"))
        self.assertRegex(self.log(), rb"(?m)\] smtp-source: data refused: 451 4.3.0 Disk full$")
        self.assertNoTraceback(self.log())

    @defer.inlineCallbacks
    def test_terminate(self):
        """
        SIGTERM ends the run in order, with QUIT and a report.
        """
        server = self.serve()
        yield self.start("-d", "-w", "1000", "-m", "2", "--report", self.directory / "report", server.destination)
        yield server.when(lambda: server.messages)
        pid = int(self.pidfile.read_text())
        self.addCleanup(killIfAlive, pid)
        os.kill(pid, signal.SIGTERM)
        yield whenGone(pid)
        report = reported((self.directory / "report").read_bytes())
        self.assertEqual((report["exit"], report["ended"], report["messages"]["accepted"]), (1, "signal", 1))
        self.assertEqual(server.connections[0].verbs[-1], "QUIT")
        self.assertNoTraceback(self.log())

    @defer.inlineCallbacks
    def test_relativePaths(self):
        """
        Relative paths are those of the directory it was started in, though twistd goes to another one.
        """
        server = self.serve()
        elsewhere = self.directory / "elsewhere"
        elsewhere.mkdir()
        here = self.directory / "here"
        here.mkdir()
        (here / "message").write_bytes(b"Subject: Hello\n\nHello\n")
        arguments = ["-F", "message", "--report", "report", server.destination]
        yield self.start(*arguments, options=["--rundir", elsewhere], cwd=here)
        yield eventually((here / "report").exists, "the report")
        self.assertEqual(reported((here / "report").read_bytes())["messages"]["accepted"], 1)
        self.assertEqual(server.messages, [b"Subject: Hello\r\n\r\nHello\r\n\r\n.\r\n"])
        yield eventually(lambda: not self.pidfile.exists(), "the end")

    @defer.inlineCallbacks
    def test_relativeSocket(self):
        """
        So is the path of a UNIX socket.
        """
        server = RecordingServer()
        self.addCleanup(server.stop)
        server.listen("unix")
        directory, name = server.address.rsplit("/", 1)
        yield self.start(
            "--report", self.directory / "report", f"unix:{name}", options=["--rundir", "/"], cwd=directory
        )
        yield eventually((self.directory / "report").exists, "the report")
        self.assertEqual(len(server.messages), 1)
        yield eventually(lambda: not self.pidfile.exists(), "the end")

    @defer.inlineCallbacks
    def test_sink(self):
        """
        The destination C{sink:} works in a daemon.
        """
        yield self.start("-d", "-m", "50", "--report", self.directory / "report", "sink:")
        yield eventually((self.directory / "report").exists, "the report")
        report = reported((self.directory / "report").read_bytes())
        self.assertEqual((report["messages"]["accepted"], report["sink"]["messages"]), (50, 50))
        yield eventually(lambda: not self.pidfile.exists(), "the end")
        self.assertNoTraceback(self.log())

    @defer.inlineCallbacks
    def test_reportOnStandardOutput(self):
        """
        A daemon has no standard output: C{--report -} is a usage error.
        """
        server = self.serve()
        options = ["--pidfile", self.pidfile, "--logfile", self.directory / "log"]
        result = yield twistd(self, *options, "smtp-source", "--report", "-", server.destination).whenEnded()
        yield self.assertUsageError(result, rb"--report: '-' is not usable")
        self.assertFalse(self.pidfile.exists())
        self.assertEqual(server.connections, [])


class TwistTests(TwistdTestCase):
    """
    C{twist smtp-source}.
    """

    @defer.inlineCallbacks
    def test_accepted(self):
        """
        The run's end is the process's: summary, status 0.
        """
        server = self.serve()
        result = yield twist(self, "smtp-source", "-m", "10", server.destination).whenEnded()
        self.assertEqual(result.status, 0, result)
        self.assertRegex(result.out, rb"(?m)^messages     10 started, 10 accepted, 0 rejected, 0 failed$")
        self.assertNoTraceback(result.out + result.err)

    @defer.inlineCallbacks
    def test_refused(self):
        """
        A refusal: status 1.
        """
        server = self.serve({"MAIL": "550 5.7.1 No"})
        result = yield twist(self, "smtp-source", server.destination).whenEnded()
        self.assertEqual(result.status, 1, result)
        self.assertIn(b"smtp-source: mail refused: 550 5.7.1 No\n", result.err)
        self.assertNoTraceback(result.out + result.err)

    @defer.inlineCallbacks
    def test_terminate(self):
        """
        SIGTERM ends the run in order.
        """
        server = self.serve()
        command = twist(self, "smtp-source", "-d", "-w", "1000", "-m", "2", "--report", "report", server.destination)
        yield server.when(lambda: server.messages)
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result)
        self.assertEqual(server.connections[0].verbs[-1], "QUIT")
        self.assertEqual(reported((command.directory / "report").read_bytes())["ended"], "signal")
        self.assertNoTraceback(result.out + result.err)

    @defer.inlineCallbacks
    def test_usage(self):
        """
        A command line that can't be used: one line names option and value, the status isn't 0.
        """
        server = self.serve()
        result = yield twist(self, "smtp-source", "-s", "x", server.destination).whenEnded()
        self.assertNotIn(result.status, (0, None))
        lines = [line for line in (result.out + result.err).splitlines() if b"'x' is not usable" in line]
        self.assertEqual(len(lines), 1)
        self.assertNoTraceback(result.out + result.err)
        self.assertEqual(server.connections, [])

    @defer.inlineCallbacks
    def test_reportOnStandardOutput(self):
        """
        twist doesn't daemonise: C{--report -} is fine, its log being elsewhere; else it is a usage error.
        """
        server = self.serve()
        result = yield twist(self, "smtp-source", "--report", "-", server.destination).whenEnded()
        self.assertIn(b"--report: '-' is not usable", result.out + result.err)
        self.assertEqual(server.connections, [])
        arguments = ["--log-file=log", "smtp-source", "--quiet", "--report", "-", server.destination]
        result = yield twist(self, *arguments).whenEnded()
        self.assertEqual(result.status, 0, result)
        self.assertEqual(reported(result.out)["messages"]["accepted"], 1)


class DefectTests(TwistdTestCase):
    """
    The end of a run meets what nobody expected: it is the end all the same.
    """

    #: What a process does before anything else: something that its end needs raises an exception.
    BROKEN = """
    import importlib
    def defect(*arguments, **more):
        raise ValueError("a defect")
    module = importlib.import_module({module!r})
    *owners, name = {name!r}.split(".")
    for owner in owners:
        module = getattr(module, owner)
    setattr(module, name, defect)
    """

    def broken(self, module, name):
        """
        @return: environment variables for a process in which this function raises an exception.
        """
        path = Path(self.mktemp()).resolve()
        path.mkdir()
        (path / "sitecustomize.py").write_text(textwrap.dedent(self.BROKEN).format(module=module, name=name))
        return {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}"}

    @defer.inlineCallbacks
    def test_summary(self):
        """
        A part of the summary can't be made: one line says so, the report has what is known, the status is 1.
        """
        server = self.serve()
        env = self.broken("smtpsource.load.measuring", "environment")
        arguments = ["-m", "3", "--report", "report", server.destination]
        expected = rb"smtp-?source: internal-error: ValueError\('a defect'\) in defect \([^\n]*\n"
        for start, before in ((twistd, ["-n", "smtp-source"]), (twist, ["smtp-source"]), (smtpsource, [])):
            command = start(self, *before, *arguments, env=env)
            result = yield command.whenEnded()
            self.assertEqual(result.status, 1, result)
            self.assertEqual(len(re.findall(expected, result.out + result.err)), 1, result)
            self.assertIn(b"3 started, 3 accepted, 0 rejected, 0 failed", result.out + result.err)
            self.assertNoTraceback(result.out + result.err)
            report = reported((command.directory / "report").read_bytes())
            self.assertEqual((report["exit"], report["ended"], report["environment"]), (1, "aborted", {}))
            self.assertTrue(report["reason"].startswith("internal-error: ValueError('a defect')"))

    @defer.inlineCallbacks
    def test_daemon(self):
        """
        A daemon says it in its log.
        """
        server = self.serve()
        env = self.broken("smtpsource.load.measuring", "environment")
        arguments = ["--logfile=log", "smtp-source", "-m", "3", "--report", "report", server.destination]
        command = twistd(self, *arguments, env=env)
        yield command.whenEnded()
        log = command.directory / "log"
        yield eventually(lambda: log.exists() and b"Server Shut Down" in log.read_bytes(), "the end")
        yield eventually(lambda: not (command.directory / "twistd.pid").exists(), "the end")
        self.assertIn(b"] smtp-source: internal-error: ValueError('a defect')", log.read_bytes())
        self.assertNoTraceback(log.read_bytes())
        self.assertEqual(reported((command.directory / "report").read_bytes())["exit"], 1)

    @defer.inlineCallbacks
    def test_shown(self):
        """
        What is to be shown can't be: one line, and status 1.
        """
        server = self.serve()
        for module, name in (
            ("smtpsource.report.text", "render"),
            ("smtpsource.report.document", "documentOf"),
            ("smtpsource.report.presentation", "Presentation.show"),
        ):
            env = self.broken(module, name)
            for start, before in ((twistd, ["-n", "smtp-source"]), (smtpsource, [])):
                result = yield start(self, *before, "--report", "report", server.destination, env=env).whenEnded()
                self.assertEqual(result.status, 1, (name, result))
                lines = [line for line in result.err.splitlines() if b"'a defect'" in line]
                # It may be met once more where less is to be shown.
                self.assertEqual(len({line.partition(b" in ")[0] for line in lines}), 1, (name, result))
                name = b"smtpsource" if start is smtpsource else b"smtp-source"
                self.assertTrue(lines[0].startswith(name + b": internal-error: "), lines)
                self.assertNoTraceback(result.out + result.err)

    @defer.inlineCallbacks
    def test_sink(self):
        """
        A sink's end is as sure.
        """
        for module, name in (
            ("smtpsource.sink.summary", "SinkCounts.extensions"),
            ("smtpsource.sink.summary", "SinkSummary.asText"),
            ("smtpsource.sink.summary", "SinkSummary.asDict"),
        ):
            env = self.broken(module, name)
            for start, before in ((twistd, ["-n", "--pidfile=", "smtp-sink"]), (smtpsink, [])):
                command = start(self, *before, "--report", "report", "127.0.0.1:0", env=env)
                yield command.whenPrinted(rb"^listening on ")
                command.signal(signal.SIGTERM)
                result = yield command.whenEnded()
                self.assertEqual(result.status, 1, (name, result))
                self.assertRegex(result.err, rb"\A(smtp-?sink: internal-error: ValueError\('a defect'\)[^\n]*\n)+\Z")
                self.assertNoTraceback(result.out)

    @defer.inlineCallbacks
    def test_companion(self):
        """
        The sink of C{sink:} gives no report.
        """
        env = self.broken("smtpsource.sink.summary", "SinkSummary.asDict")
        result = yield smtpsource(self, "--quiet", "sink:", env=env).whenEnded()
        self.assertEqual(result.status, 1)
        self.assertRegex(result.err, rb"\Asmtpsource: the companion sink ended without a report [^\n]*\n\Z")

    @defer.inlineCallbacks
    def test_otherUser(self):
        """
        After C{--uid}, which can't do all that could be done when the options were checked: it can't write the report.
        """
        if os.geteuid() != 0:
            missing("only root becomes another user")
        server = self.serve()
        private = Path(self.mktemp()).resolve()
        private.mkdir(mode=0o700)
        arguments = ["smtp-source", "-m", "3", "--report", private / "report", server.destination]
        result = yield twistd(self, "-n", "--pidfile=", "--uid", "nobody", *arguments).whenEnded()
        self.assertEqual(result.status, 1, result)
        self.assertRegex(result.err, rb"\Asmtp-source: the report \S+ could not be written: Permission denied\n\Z")
        self.assertIn(b"3 started, 3 accepted, 0 rejected, 0 failed", result.out)
        self.assertNoTraceback(result.out)

    @defer.inlineCallbacks
    def test_memory(self):
        """
        Messages that don't fit into memory: one line, and nothing is started.
        """
        limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9)); {TWISTD}"
        for daemon in (["-n"], []):
            result = yield python(
                self, "-c", limited, *daemon, "--logfile=log", "smtp-source", "-l", "1500m", "127.0.0.1:1"
            ).whenEnded()
            self.assertEqual(result.status, 1, result)
            self.assertRegex(result.err, rb"\Asmtp-source: out-of-memory: [^\n]*\n\Z")


class SinkTests(TwistdTestCase):
    """
    C{twistd smtp-sink}, and our own generator.
    """

    @defer.inlineCallbacks
    def test_limit(self):
        """
        C{-M}: it ends by itself when it has so many messages, and both ends agree.
        """
        sink = twistd(self, "-n", "--pidfile=", "smtp-sink", "-M", "30", "--report", "report", "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"^listening on inet:(\S+)$")
        arguments = ["--quiet", "-d", "-s", "3", "-m", "30", match[1].decode()]
        source = yield smtpsource(self, *arguments).whenEnded()
        self.assertEqual((source.status, source.err), (0, b""))
        result = yield sink.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertRegex(result.out, rb"(?m)^messages +30$")
        self.assertNoTraceback(result.out)
        report = json.loads((sink.directory / "report").read_bytes())
        self.assertEqual((report["messages"], report["recipients"]), (30, 30))

    @defer.inlineCallbacks
    def test_daemon(self):
        """
        As a daemon it serves until it is told to end, and its report and log have the counts.
        """
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        pidfile, log, report = directory / "pid", directory / "log", directory / "report"
        self.addCleanup(lambda: pidfile.exists() and killIfAlive(int(pidfile.read_text())))
        arguments = ["--pidfile", pidfile, "--logfile", log, "smtp-sink", "--report", report, "127.0.0.1:0"]
        started = yield twistd(self, *arguments).whenEnded()
        self.assertEqual((started.status, started.err), (0, b""))
        pattern = r"listening on inet:(\S+)"
        match = yield eventually(lambda: log.exists() and re.search(pattern, log.read_text()), "the sink")
        source = yield smtpsource(self, "--quiet", "-m", "20", match[1]).whenEnded()
        self.assertEqual((source.status, source.err), (0, b""))
        pid = int(pidfile.read_text())
        self.addCleanup(killIfAlive, pid)
        os.kill(pid, signal.SIGTERM)
        yield whenGone(pid)
        self.assertEqual(json.loads(report.read_bytes())["messages"], 20)
        self.assertRegex(log.read_bytes(), rb"(?m)\] messages +20$")
        self.assertNoTraceback(log.read_bytes())
