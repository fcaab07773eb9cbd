"""
Tests for what commands write when nobody reads it, when it can't be written, or when it would destroy something; and
for the signals that come meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from itertools import product
from pathlib import Path

from certificates import makeCertificates
from commandlines import CommandTestCase
from peers import eventually
from results import example, latencies
from subprocesses import ROOT, TWISTD, Command, python, reported, smtpsource
from twisted.internet import defer
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.report.document import documentOf
from smtpsource.sink.options import SinkOptions
from smtpsource.tools.merge import MergeOptions

#: A command of ours that waits no longer than so for those who read it.
_COMMAND = """
import sys
from smtpsource.process import streams
streams.PATIENCE = streams.PATIENCE_AFTER_SIGNAL = {patience}
{more}
from {module}.__main__ import main
main()
"""

#: Runs a command with some of its streams in a pipe that is full, and that nobody reads.
_UNREAD = """
import os, sys
reader, writer = os.pipe()
os.set_blocking(writer, False)
try:
    while os.write(writer, b"x" * 4096): pass
except BlockingIOError: pass
os.set_blocking(writer, True)
os.set_inheritable(reader, True)
for descriptor in map(int, sys.argv[1].split(",")): os.dup2(writer, descriptor)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""

#: Signals arrive as soon as a file has its name, and at the very end of the process.
_SIGNALS = """
import atexit, os, signal
def tell(): [os.kill(os.getpid(), number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGINT)]
genuine = os.rename
def rename(*names, **where):
    genuine(*names, **where)
    tell()
os.rename = rename
atexit.register(tell)
"""

#: It is told when readers begin to be waited for.
_WAITING = """
genuine = streams.Outlet.finish
def finish(outlet, patience):
    print("waiting", file=sys.stderr, flush=True)
    return genuine(outlet, patience)
streams.Outlet.finish = finish
"""

#: Imports that take for ever, once the first of Twisted is imported.
_LOADING = """
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "twisted.internet":
            print("loading", flush=True)
            __import__("time").sleep(60)
sys.meta_path.insert(0, Slow())
"""


class OutputTestCase(CommandTestCase):
    """
    What these tests have in common.
    """

    #: Some start a dozen processes; a machine may be loaded.
    timeout = 300

    def command(self, *arguments, module="smtpsource", patience=0.5, more="", unread=None, **settings):
        """
        @param patience: how long it waits for its readers.
        @param more: what else it runs first.
        @param unread: the numbers of descriptors that nobody reads, such as C{"1,2"}.
        @return: a command.
        """
        settings.setdefault("deadline", 200)
        program = _COMMAND.format(module=module, patience=patience, more=more)
        before = [] if unread is None else ["-c", _UNREAD, unread]
        return python(self, *before, "-c", program, *arguments, **settings)

    def shell(self, script, *arguments, module="smtpsource", **settings):
        """
        @return: a shell that runs a script, with a command of ours and its arguments as C{$@}.
        """
        settings.setdefault("deadline", 200)
        command = ["/bin/sh", "-c", script, "sh", sys.executable, "-m", module, *map(str, arguments)]
        return Command(self, command, **settings)

    def directory(self):
        """
        @return: a new one, absolute.
        """
        path = Path(self.mktemp()).resolve()
        path.mkdir()
        return path

    def fifo(self, name="fifo"):
        """
        @return: the path of a FIFO.
        """
        path = self.directory() / name
        os.mkfifo(path)
        return path

    def report(self):
        """
        @return: the path of a run's report.
        """
        path = self.directory() / "a.json"
        path.write_text(json.dumps(documentOf(example(exit=0, **latencies(0.1)))))
        return path

    @defer.inlineCallbacks
    def each(self, run, cases):
        """
        Run all cases, two at a time.

        @param run: takes what is in a case.
        """
        turns = defer.DeferredSemaphore(2)
        yield defer.gatherResults([turns.run(run, *case) for case in cases], consumeErrors=True)


class UnreadTests(OutputTestCase):
    """
    Streams that nobody reads.
    """

    @defer.inlineCallbacks
    def test_trace(self):
        """
        C{-v} keeps no run from going on or ending, and a signal ends it in order.
        """
        server = self.serve()
        options = ("-v", "-d", "-m", "1m", "--grace", "60", "--report", "r.json", server.destination)
        command = self.command(*options, unread="2")
        yield server.when(lambda: server.count(".") > 300)
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertIn(b"stopped before its end", result.out)
        report = reported((command.directory / "r.json").read_bytes())
        self.assertEqual((report["ended"], report["exit"]), ("signal", 1))
        self.assertGreater(report["messages"]["accepted"], 300)
        self.assertEqual(report["messages"]["failed"], 0)

    @defer.inlineCallbacks
    def test_summary(self):
        """
        A summary that nobody reads is waited for, but not for ever; it is no success, and the report says the same. The
        counter and the live view keep nothing waiting either.
        """

        @defer.inlineCallbacks
        def check(unread, *options):
            command = self.command("-d", "-m", "20", *options, "--report", "r.json", "sink:", unread=unread)
            result = yield command.whenEnded()
            self.assertEqual(result.status, 1, result)
            self.assertNoTraceback(result)
            if "2" not in unread:
                line = b"smtpsource: the summary could not be written to standard output: nobody reads it"
                self.assertEqual(result.err.splitlines()[-1], line)
            report = reported((command.directory / "r.json").read_bytes())
            self.assertEqual((report["messages"]["accepted"], report["exit"]), (20, 1))

        yield self.each(check, [("1",), ("1", "-c"), ("1,2", "-v"), ("1", "--live", "on", "-w", "0.1")])

    @defer.inlineCallbacks
    def test_signal(self):
        """
        A signal ends the waiting for readers.
        """
        for unread, options in (("1", ()), (None, ("--report", self.fifo()))):
            # This one is written before.
            arguments = ("--junit", "done", *options, "sink:")
            command = self.command(*arguments, patience=1000, unread=unread, more=_WAITING)
            if options:
                yield eventually((command.directory / "done").exists, "the first file")
            else:
                yield command.whenPrinted(rb"^waiting$", "err")
            command.signal(signal.SIGTERM)
            result = yield command.whenEnded()
            self.assertEqual(result.status, 1)
            self.assertIn(b"nobody reads it\n", result.err)
            self.assertNoTraceback(result)

    @defer.inlineCallbacks
    def test_others(self):
        """
        The other commands end, too.
        """
        report = self.report()
        lost = b"the summary could not be written to standard output: nobody reads it\n"

        @defer.inlineCallbacks
        def check(line, *arguments, **settings):
            result = yield self.command(*arguments, unread="1", **settings).whenEnded()
            self.assertEqual((result.status, result.err), (1, line), arguments)

        yield self.each(
            lambda line, arguments, module: check(line, *arguments, module=module),
            [
                (b"smtpsource merge: " + lost, ["merge", report], "smtpsource"),
                (b"smtpsource compare: " + lost, ["compare", report, report], "smtpsource"),
                (b"smtpsink: can't write to standard output: nobody reads it\n", ["--help"], "smtpsource.sink"),
            ],
        )

    @defer.inlineCallbacks
    def test_sink(self):
        """
        A sink serves on, whatever it has to show and to log, and ends.
        """
        path = self.directory() / "s"
        options = ("-v", "-c", "-n", "1", "--report", "r.json", f"unix:{path}")
        command = self.command(*options, module="smtpsource.sink", unread="1,2")
        yield eventually(path.exists, "the sink")
        client = yield smtpsource(self, "-d", "-m", "300", "--quiet", f"unix:{path}").whenEnded()
        self.assertEqual((client.status, client.err), (0, b""))
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        report = json.loads((command.directory / "r.json").read_bytes())
        self.assertEqual((report["messages"], report["exit"]), (300, 1))


class FIFOTests(OutputTestCase):
    """
    Files that are FIFOs.
    """

    @defer.inlineCallbacks
    def test_nobody(self):
        """
        If nobody reads them: one line for each, and status 1.
        """
        report = self.report()

        @defer.inlineCallbacks
        def check(tool, arguments, files, module):
            paths = {option: self.fifo() for option in files}
            options = [word for option, path in paths.items() for word in (option, path)]
            result = yield self.command(*arguments[:-1], "--quiet", *options, arguments[-1], module=module).whenEnded()
            self.assertEqual(result.status, 1, result)
            self.assertNotIn(b"messages ", result.out)
            lines = result.err.decode().splitlines()
            self.assertEqual(len(lines), len(paths), result)
            for path in paths.values():
                line = f"{path} could not be written: nobody reads it"
                self.assertEqual(len([text for text in lines if text.startswith(tool) and text.endswith(line)]), 1)

        listening = self.directory() / "s"
        checked = self.each(
            check,
            [
                ("smtpsource: ", ["sink:"], ["--report", "--csv", "--hlog", "--html", "--junit"], "smtpsource"),
                ("smtpsource merge: ", ["merge", report], ["--report", "--csv"], "smtpsource"),
                ("smtpsink: ", ["-n", "1", f"unix:{listening}"], ["--report"], "smtpsource.sink"),
            ],
        )
        yield eventually(listening.exists, "the sink")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.fspath(listening))
        yield checked

    @defer.inlineCallbacks
    def test_late(self):
        """
        A reader who comes late gets all of it.
        """
        fifo = self.fifo()
        command = self.command("--quiet", "--junit", "done", "--report", fifo, "sink:", patience=60)
        yield eventually((command.directory / "done").exists, "the first file")
        reader = python(self, "-c", "import sys; print(open(sys.argv[1]).read())", fifo)
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        read = yield reader.whenEnded()
        self.assertEqual(reported(read.out)["exit"], 0)


class NowhereTests(OutputTestCase):
    """
    A current directory that is gone.
    """

    @defer.inlineCallbacks
    def test_absolute(self):
        """
        Nobody needs it where nothing is relative: not for a scenario and what it names relative to itself either.
        """
        directory = self.directory()
        (directory / "message").write_text("Subject: x\n\ntext\n")
        scenario = directory / "scenario.toml"
        scenario.write_text('message-file = "message"\nreport = "report.json"\ndestination = "sink:"\n')
        report = self.report()

        @defer.inlineCallbacks
        def check(*arguments):
            result = yield self.nowhere(*arguments).whenEnded()
            self.assertEqual((result.status, result.err), (0, b""), arguments)

        yield self.each(
            check,
            [
                ("--scenario", scenario),
                ("merge", "--report", directory / "merged", report),
                ("compare", report, report),
                ("-P", "-c", TWISTD, "-n", "--pidfile=", "smtp-source", "--report", directory / "twistd", "sink:"),
            ],
        )
        for name in ("report.json", "merged", "twistd"):
            self.assertEqual(json.loads((directory / name).read_text())["exit"], 0)

    def nowhere(self, *arguments, module="smtpsource"):
        """
        @return: a command in a directory that is gone.
        """
        program = arguments if arguments[0] == "-P" else ("-m", module, *arguments)
        script = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
        return Command(self, ["/bin/sh", "-c", script, "sh", sys.executable, *map(str, program)])

    @defer.inlineCallbacks
    def test_relative(self):
        """
        Where something is, one line says so.
        """

        @defer.inlineCallbacks
        def check(module, *arguments):
            result = yield self.nowhere(*arguments, module=module).whenEnded()
            self.assertEqual((result.status, result.out), (2, b""), result)
            self.assertOneLine(result.err, b"the current directory is gone", b"expected")

        yield self.each(
            check,
            [
                ("smtpsource", "--report", "r.json", "sink:"),
                ("smtpsource", "--scenario", "s.toml"),
                ("smtpsource", "unix:socket"),
                ("smtpsource", "merge", "a.json"),
                ("smtpsource", "calibrate", "--report", "r.json"),
                ("smtpsource.sink", "unix:socket"),
                ("smtpsource.sink", "--report", "r.json", ":0"),
            ],
        )


class ClosedTests(OutputTestCase):
    """
    Streams that are closed or full.
    """

    @defer.inlineCallbacks
    def test_all(self):
        """
        Whatever is asked for, there is no traceback, and no success if it was not shown. Who reads only the beginning
        of a help has had what they wanted.
        """
        report = self.report()
        cases = [("smtpsource", "--help"), ("smtpsource.sink", "--version")]
        results = [("smtpsource", "merge", report), ("smtpsource", "compare", report, report)]
        script = (
            '{ "$@"; echo $? >&3; } 3>gone | :; "$@" >/dev/full 2>full.err; echo $? >full; "$@" >&- 2>closed.err; '
            'echo $? >closed; "$@" >/dev/null 2>&-; echo $? >quiet; "$@" >/dev/full 2>/dev/full; echo $? >both; '
            "cat full.err closed.err >&2"
        )

        @defer.inlineCallbacks
        def check(module, *arguments):
            command = self.shell(script, *arguments, module=module)
            result = yield command.whenEnded()
            found = [(command.directory / name).read_text() for name in ("gone", "full", "closed", "quiet", "both")]
            gone = "1\n" if (module, *arguments) in results else "0\n"
            self.assertEqual(found, [gone, "1\n", "1\n", "0\n", "1\n"], (arguments, result))
            self.assertNoTraceback(result)
            own = result.err.decode().splitlines()[-2:]
            self.assertTrue(own[0].endswith("to standard output: No space left on device"), result)
            self.assertTrue(own[1].endswith("to standard output: it is closed"), result)

        yield self.each(check, [*cases, *results])

    @defer.inlineCallbacks
    def test_usage(self):
        """
        A command line that can't be used has its status, though nobody is told why.
        """
        for module in ("smtpsource", "smtpsource.sink"):
            for script in ('exec "$@" 2>&-', 'exec "$@" 2>/dev/full', 'exec "$@" >&- 2>&- <&-'):
                result = yield self.shell(script, "--no-such-option", module=module).whenEnded()
                self.assertEqual((result.status, result.out, result.err), (2, b"", b""), script)

    @defer.inlineCallbacks
    def test_otherOutputs(self):
        """
        A report that is to go to a stream that is closed is not lost in silence, nor does it get into something else.
        """
        for option in ("--report", "--csv"):
            for path in ("-", "/dev/stdout"):
                server = self.serve()
                command = self.shell('exec "$@" >&-', "--quiet", option, path, server.destination)
                result = yield command.whenEnded()
                self.assertIn(result.status, (1, 2))
                self.assertOneLine(result.err, b"smtpsource: ")
                if result.status == 1:
                    yield server.whenIdle()
                    self.assertEqual(server.connections[0].verbs, ["HELO", "MAIL", "RCPT", "DATA", ".", "QUIT"])

    @defer.inlineCallbacks
    def test_redirected(self):
        """
        C{/dev/stdout} is what the shell has opened, and so are the descriptors of C{>(command)}: they are written to as
        they are. Where standard output is for a report, the summary goes elsewhere.
        """
        script = 'echo before >all; "$@" >>all 2>err 4>table; echo after >>all'
        command = self.shell(script, "--report", "/dev/stdout", "--csv", "/dev/fd/4", "sink:")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0)
        lines = (command.directory / "all").read_text().splitlines()
        self.assertEqual((lines[0], lines[-1]), ("before", "after"))
        self.assertEqual(reported("\n".join(lines[1:-1]))["exit"], 0)
        self.assertTrue((command.directory / "err").read_text().startswith("passed "))
        self.assertTrue((command.directory / "table").read_text().startswith("time,"))
        self.assertEqual(sorted(os.listdir(command.directory)), ["all", "err", "table"])


#: Options of a run that name files to write.
OUTPUTS = ("report", "csv", "hlog", "html", "junit", "log-messages")


class ConflictTests(SynchronousTestCase):
    """
    Outputs that would destroy what is read, or each other.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()

    def path(self, name, text="a@example.com\n"):
        """
        @return: the path of a file with this text.
        """
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def refused(self, options, *arguments):
        """
        @return: why a command line is refused.
        """
        parsing = options()
        return str(self.assertRaises(usage.UsageError, parsing.parseOptions, list(map(str, arguments))))

    def check(self, path, *arguments, options=SourceOptions, outputs=OUTPUTS, end=("sink:",)):
        """
        None of the outputs may go to this file, by whatever name, and nothing has happened to it.
        """
        before = path.read_bytes()
        link, hard = self.directory / "link", self.directory / "hard"
        link.symlink_to(path)
        os.link(path, hard)
        for output, name in product(outputs, (path, link, hard)):
            text = self.refused(options, *arguments, f"--{output}", name, *end)
            self.assertTrue(text.startswith(f"--{output}: {str(name)!r} is not usable: it belongs to "), text)
            self.assertTrue(text.endswith("expected another file"), text)
        link.unlink()
        hard.unlink()
        self.assertEqual(path.read_bytes(), before)

    def test_inputs(self):
        """
        What a run reads.
        """
        self.check(path := self.path("m", "Subject: x\n\nx\n"), "-F", path)
        for option in ("--senders", "--recipients"):
            self.check(path := self.path("addresses"), option, path)
        self.check(path := self.path("sizes", "100 1\n"), "--size-distribution", f"empirical:{path}")
        mbox = "From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\nx\n"
        self.check(path := self.path("mbox", mbox), "--messages", path)
        self.check(path := self.path("password"), "--auth", "PLAIN", "--auth-user", "u", "--auth-password-file", path)
        self.check(path := self.path("users", "u:p\n"), "--auth", "PLAIN", "--auth-users", path)
        made = makeCertificates(self.directory / "certificates")
        verified = ("--tls", "starttls", "--tls-verify", "--tls-server-name", "x.example", "--tls-ca", made.authority)
        certified = ("--tls-cert", made.clientCertificate, "--tls-key", made.clientKey)
        for path in (made.authority, made.clientCertificate, made.clientKey):
            self.check(path, *verified, *certified)
        self.check(path := self.path("s.toml", "message-count = 1\n"), "--scenario", path)

    def test_inScenario(self):
        """
        What a scenario names, relative to itself.
        """
        path = self.path("message", "Subject: x\n\nx\n")
        scenario = self.path("s.toml", 'message-file = "message"\ndestination = "sink:"\n')
        self.check(path, "--scenario", scenario, end=())

    def test_directory(self):
        """
        A message, or the weights, in a directory of messages; but other files may well be there.
        """
        path = self.path("messages/a.eml", "Subject: x\n\nx\n")
        self.check(path, "--messages", path.parent)
        weights = self.path("messages/weights", "a.eml 2\n")
        self.check(weights, "--messages", path.parent, "--pick", "weighted")
        SourceOptions().parseOptions(["--messages", str(path.parent), "--report", str(path.parent / "report"), "sink:"])
        for folder in ("new", "cur"):
            (self.directory / "maildir" / folder).mkdir(parents=True)
        message = self.path("maildir/new/1", "Subject: x\n\nx\n")
        self.check(message, "--messages", self.directory / "maildir")

    def test_eachOther(self):
        """
        Two for one file, whether it is there or not.
        """
        path = self.directory / "out"
        (self.directory / "link").symlink_to("out")
        for _ in range(2):
            text = self.refused(SourceOptions, "--report", path, "--csv", self.directory / "link", "sink:")
            self.assertIn("--report and --csv exclude each other", text)
            path.write_text("x")
        text = self.refused(SourceOptions, "--report", "-", "--junit", "/dev/stdout", "sink:")
        self.assertEqual(text, "--report and --junit exclude each other: both are to be in standard output")

    def test_others(self):
        """
        The sink and merge.
        """
        users = self.path("users", "u:p\n")
        self.check(users, "--auth-users", users, options=SinkOptions, outputs=("report",), end=(":0",))
        path = self.directory / "socket"
        self.assertIn("belongs to the socket", self.refused(SinkOptions, "--report", path, f"unix:{path}"))
        report = self.path("a.json", json.dumps(documentOf(example())))
        self.check(report, options=MergeOptions, outputs=("report", "csv"), end=(report,))


class RedirectedTests(OutputTestCase):
    """
    The same with a file that a shell has opened.
    """

    @defer.inlineCallbacks
    def test_streams(self):
        """
        A report that replaces the file that standard output or standard error goes to would have it lost.
        """
        for script, stream in (('exec "$@" >out', b"standard output"), ('exec "$@" 2>out; ', b"standard error")):
            command = self.shell(script, "--report", "out", "sink:")
            result = yield command.whenEnded()
            self.assertEqual(result.status, 2)
            said = result.err or (command.directory / "out").read_bytes()
            self.assertOneLine(said, b"--report: ", stream + b" goes there")

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        So it is with a log of twistd's.
        """
        options = ("-n", "--pidfile=", "--logfile=log", "smtp-source", "--report", "log", "sink:")
        command = python(self, "-c", TWISTD, *options)
        result = yield command.whenEnded()
        self.assertIn(result.status, (0, 1))  # twistd's own: 0 up to Twisted 22.10
        self.assertIn(b"it belongs to twistd's --logfile; expected another file", result.out + result.err)


class SignalTests(OutputTestCase):
    """
    Signals at all times.
    """

    @defer.inlineCallbacks
    def test_loading(self):
        """
        SIGINT while modules are loaded: the process is ended by it, without a word.
        """
        for module in ("smtpsource", "smtpsource.sink"):
            command = self.command("sink:", module=module, more=_LOADING)
            # What comes first is imported here.
            yield command.whenPrinted(rb"^loading$")
            command.signal(signal.SIGINT)
            result = yield command.whenEnded()
            self.assertEqual((result.signal, result.err), (signal.SIGINT, b""))

    @defer.inlineCallbacks
    def test_beforeLoading(self):
        """
        What is imported before a command can see to its signals takes next to no time: nothing but L{signal} and ours.
        """
        program = (
            "import sys; sys.path.insert(0, sys.argv[1]); before = {*sys.modules}; __import__(sys.argv[2]); "
            "print(*sorted(name for name in {*sys.modules} - before if not name.startswith('smtpsource')))"
        )
        # What site imports, which is left out here, and what signal does.
        light = "__future__ _collections_abc _stat genericpath os os.path posixpath stat "
        light += "_collections _functools _operator _signal collections enum functools itertools keyword operator "
        light = {*light.split(), "reprlib", "signal", "types"}
        for module in ("smtpsource.__main__", "smtpsource.sink.__main__"):
            result = yield python(self, "-S", "-E", "-c", program, ROOT, module).whenEnded()
            self.assertEqual({*result.out.decode().split()} - light, set(), result)

    @defer.inlineCallbacks
    def test_hangUp(self):
        """
        SIGHUP, as when ssh is cut: the run ends in order, and its sink along with it, which gets one, too.
        """
        command = self.command("--quiet", "-d", "-m", "10m", "--csv", "t", "--report", "r.json", "-c", "sink:")
        yield command.whenPrinted(rb"^[1-9]")
        for child in command.children():
            os.kill(child, signal.SIGHUP)
        command.signal(signal.SIGHUP)
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err), (1, b""))
        report = reported((command.directory / "r.json").read_bytes())
        self.assertEqual((report["ended"], report["exit"], report["errors"]), ("signal", 1, {}))
        self.assertEqual(report["sink"]["messages"], report["messages"]["accepted"])

    @defer.inlineCallbacks
    def test_terminalGone(self):
        """
        A terminal that is closed, with the live view on it: the same.
        """
        server = self.serve()
        options = ("-w", "0.1", "-d", "-m", "1m", "--report", "r.json", server.destination)
        command = smtpsource(self, *options, terminal=True, env={"TERM": "xterm"})
        yield command.whenPrinted(rb" so far")
        command.transport.loseConnection()
        yield command.whenEnded()
        report = reported((command.directory / "r.json").read_bytes())
        self.assertEqual((report["ended"], report["exit"]), ("signal", 1))

    @defer.inlineCallbacks
    def test_nohup(self):
        """
        Where SIGHUP is ignored, it stays so.
        """
        server = self.serve()
        command = self.shell('trap "" HUP; exec "$@"', "-d", "-w", "0.05", "-m", "10", "--quiet", server.destination)
        yield server.when(lambda: server.count("."))
        command.signal(signal.SIGHUP)
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual(len(server.messages), 10)

    @defer.inlineCallbacks
    def test_sinkHangUp(self):
        """
        A sink ends in order, too.
        """
        command = self.command("--report", "r.json", "127.0.0.1:0", module="smtpsource.sink")
        yield command.whenPrinted(rb"^listening on ")
        command.signal(signal.SIGHUP)
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual(json.loads((command.directory / "r.json").read_text())["ended"], "signal")

    @defer.inlineCallbacks
    def test_afterwards(self):
        """
        A signal that comes when the report is written changes nothing: the status is what the report says.
        """
        report = self.report()

        @defer.inlineCallbacks
        def check(*arguments, module="smtpsource"):
            command = self.command(*arguments, module=module, more=_SIGNALS)
            if module == "smtpsource.sink":
                yield command.whenPrinted(rb"^listening on ")
                command.signal(signal.SIGTERM)
            result = yield command.whenEnded()
            self.assertEqual((result.status, result.signal, result.err), (0, None, b""), arguments)
            self.assertEqual(json.loads((command.directory / "r.json").read_text())["exit"], 0)

        yield check("--report", "r.json", "sink:")
        yield check("merge", "--report", "r.json", report)
        yield check("--report", "r.json", "127.0.0.1:0", module="smtpsource.sink")

    @defer.inlineCallbacks
    def test_afterwardsUnderTwistd(self):
        """
        The same for a process of twistd's.
        """
        arguments = ("-n", "--pidfile=", "smtp-source", "--report", "r.json", "sink:")
        command = python(self, "-c", _SIGNALS + TWISTD, *arguments, env={"PYTHONPATH": str(ROOT)})
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.signal, result.err), (0, None, b""), result)
        self.assertEqual(reported((command.directory / "r.json").read_bytes())["exit"], 0)
