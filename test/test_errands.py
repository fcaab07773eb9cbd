"""
Tests for L{smtpsource.beside.commands}: commands at moments of a run, and what is left of them.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from commandlines import CommandTestCase
from patience import TEST_LIMIT
from peers import eventually
from subprocesses import alive, killIfAlive, loadAndReport, smtpsource, twistd, whenGone
from twisted.internet import defer
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.beside.commands import MOST_OUTPUTS, Commands
from smtpsource.beside.guard import ENDED, KEPT
from smtpsource.beside.shell import Shell
from smtpsource.beside.values import Errand, once, repeatedly
from smtpsource.measure.marks import Mark


class Run:
    """
    A run as commands have it.

    @ivar begins: when it begins, on the clock.
    """

    runId = "abc"

    def __init__(self, clock, begins=0.0):
        self.clock = clock
        self.begins = begins
        self.marks = []
        self.end = None

    def now(self):
        """
        Nothing before it begins.
        """
        return max(0.0, self.clock.seconds() - self.begins)

    def mark(self, text, kind="note"):
        """
        Mark this moment.
        """
        self.marks.append(Mark(self.now(), text, kind))
        return self.marks[-1]

    def remark(self, mark, **more):
        """
        More is known.
        """
        [place] = [place for place, each in enumerate(self.marks) if each is mark]
        fields = {name: getattr(mark, name) for name in ("at", "text", "kind")}
        self.marks[place] = Mark(**{**fields, **more})
        return self.marks[place]

    def onEnd(self, end):
        """
        Remember it.
        """
        self.end = end


class Processes(Clock):
    """
    A reactor that starts no process, but remembers what was to be started.
    """

    def __init__(self):
        super().__init__()
        self.children = []

    def spawnProcess(self, protocol, executable, arguments, environment, childFDs):
        """
        Begin.
        """
        child = Child(protocol, os.fsdecode(arguments[-1]), environment)
        self.children.append(child)
        protocol.makeConnection(child)
        return child


class Child:
    """
    What a shell has for a process.
    """

    def __init__(self, protocol, command, environment):
        self.protocol = protocol
        self.command = command
        self.environment = environment
        self.pid = 0
        self.pipes = {2: None, 3: None, 4: None}
        self.isKilled = self.isClosed = False

    def closeChildFD(self, number):
        """
        The end of its patience.
        """
        del self.pipes[number]
        self.isKilled = True

    def signalProcess(self, name):
        """
        It is a process that nobody can kill.
        """

    def loseConnection(self):
        """
        Nothing more is read.
        """
        self.isClosed = True

    def ends(self, status, written=b""):
        """
        The command ends.
        """
        self.protocol.childDataReceived(ENDED, b"%d\n" % status)
        self.protocol.childDataReceived(ENDED, written)
        self.protocol.childConnectionLost(ENDED)

    def exits(self):
        """
        The process ends.
        """
        self.protocol.childConnectionLost(ENDED)
        self.protocol.processExited(Failure(ProcessDone(0)))


class TimesTests(SynchronousTestCase):
    """
    When commands are started, with a clock of the test's.
    """

    def setUp(self):
        self.reactor = Processes()
        self.told = []

    def begin(self, *errands, begins=0.5):
        """
        Have commands beside a run.
        """
        self.run_ = Run(self.reactor, begins)
        self.commands = Commands(self.reactor, self.run_, errands, self.told.append)
        self.commands.begin()
        return self.run_

    def started(self):
        """
        @return: the commands that were started so far.
        """
        return [child.command for child in self.reactor.children]

    def advance(self, seconds):
        """
        Some time goes by.
        """
        for _ in range(round(seconds * 10)):
            self.reactor.advance(0.1)

    def test_once(self):
        """
        A command is started once, at its time on the run's clock, which begins later than ours.
        """
        run = self.begin(Errand(10.0, "x"), begins=7.0)
        self.advance(16.9)
        self.assertEqual(self.started(), [])
        self.advance(0.3)
        self.assertEqual(self.started(), ["x"])
        self.assertAlmostEqual(run.marks[0].at, 10.0, places=0)
        self.assertEqual((run.marks[0].text, run.marks[0].kind, run.marks[0].status), ("x", "command", None))
        self.advance(30)
        self.assertEqual(self.started(), ["x"])

    def test_zero(self):
        """
        At 0 is when it begins, and not before.
        """
        self.begin(Errand(0.0, "x"), begins=3.0)
        self.advance(2.9)
        self.assertEqual(self.started(), [])
        self.advance(0.5)
        self.assertEqual(self.started(), ["x"])

    def test_zeroOfShort(self):
        """
        That is so of a run as well that is over sooner than anybody looks; what comes later is not started.
        """
        run = self.begin(Errand(0.0, "x"), Errand(1.0, "y"), begins=0.55)
        self.advance(0.5)
        self.assertEqual(self.started(), [])
        self.reactor.rightNow += 0.07
        run.end(5.0)
        self.assertEqual(self.started(), ["x"])
        self.assertEqual(self.told, ["--at 1s: not started, as the run was over before: y"])

    def test_repeated(self):
        """
        One that is repeated is started each time, first after one time.
        """
        self.begin(Errand(5.0, "x", True))
        for number in range(4):
            self.assertEqual(len(self.started()), number)
            self.advance(5.7 if number == 0 else 5)
            if number < 3:
                self.reactor.children[-1].ends(0)

    def test_skipped(self):
        """
        Where one still runs when its turn comes there is no second one, and a single mark says so.
        """
        run = self.begin(Errand(1.0, "x", True), Errand(1.0, "y", True))
        self.advance(1.8)
        for child in self.reactor.children:
            if child.command == "y":
                child.ends(0)
        self.advance(1)
        self.assertEqual(sorted(self.started()), ["x", "y", "y"])
        events = [mark.text for mark in run.marks if mark.kind == "event"]
        self.assertEqual(events, ["its turn is left out, as it still runs: x"])
        self.advance(2)
        events = [mark.text for mark in run.marks if mark.kind == "event"]
        self.assertIn("3 turns are left out, as it still runs: x", events)
        self.assertEqual(len(events), 2)  # and y's
        self.reactor.children[0].ends(0)
        self.advance(1)
        self.assertEqual(self.started().count("x"), 2)

    def test_never(self):
        """
        What was not started in all the run is told at its end, once for each; of what was started nothing is.
        """
        run = self.begin(Errand(10.0, "x"), Errand(600.0, "y\x1b"), Errand(90.0, "z", True), Errand(5.0, "z", True))
        self.advance(30)
        self.assertEqual(self.told, [])
        run.end(0.0)
        expected = [
            "--at 600s: not started, as the run was over before: y?",
            "--every 90s: not started, as the run was over before: z",
        ]
        self.assertEqual(self.told, expected)

    def test_missed(self):
        """
        Turns in which this process stood still are not made up for.
        """
        self.begin(Errand(1.0, "x", True), begins=0.05)
        self.reactor.advance(0.1)
        self.reactor.advance(5.5)
        self.reactor.advance(0.0)
        self.assertEqual(self.started(), ["x"])
        self.reactor.children[0].ends(0)
        self.advance(0.5)
        self.assertEqual(self.started(), ["x", "x"])

    def test_result(self):
        """
        How a command has ended stands in its mark; one that fails is told, with the last line that it has written.
        """
        run = self.begin(Errand(1.0, "x"), Errand(1.0, "y"))
        self.advance(2)
        first, second = self.reactor.children
        self.assertEqual(first.environment["SMTPSOURCE_RUN"], "abc")
        first.ends(0, b"fine\n")
        second.ends(3, b"so\nthat is \x1b[31mwrong\xff\n")
        found = [(mark.status, mark.output) for mark in run.marks]
        self.assertEqual(found, [(0, "fine"), (3, "so\nthat is ?[31mwrong\ufffd")])
        [line] = self.told
        self.assertIn("y: ended with status 3: that is", line)

    def test_lastOutput(self):
        """
        Of what it writes the last is kept; and of very many commands nothing any more.
        """
        run = self.begin(Errand(1.0, "x", True))
        self.advance(1.8)
        self.reactor.children[0].ends(0, b"a" * 5000 + b"b")
        self.assertEqual(run.marks[0].output, "a" * (KEPT - 1) + "b")
        for number in range(1, MOST_OUTPUTS + 2):
            self.commands.start("y")
            self.reactor.children[-1].ends(0, b"c")
            self.assertEqual(run.marks[-1].output, "c" if number < MOST_OUTPUTS else "")

    def test_end(self):
        """
        When the run is over nothing more is started; what runs has some time to end, and is killed then.
        """
        run = self.begin(Errand(1.0, "x"), Errand(1.0, "y"), Errand(5.0, "z"))
        self.advance(2)
        first, second = self.reactor.children
        over = run.end(4.0)
        self.advance(3)
        first.ends(0)
        first.exits()
        self.assertNoResult(over)
        self.assertFalse(second.isKilled)
        self.advance(2)
        self.assertTrue(second.isKilled)
        self.assertNoResult(over)
        second.exits()
        self.successResultOf(over)
        self.assertEqual([mark.status for mark in run.marks], [0, -signal.SIGKILL])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.started(), ["x", "y"])

    def test_endAtOnce(self):
        """
        If nothing runs there is nothing to wait for.
        """
        run = self.begin(Errand(10.0, "x"))
        self.successResultOf(run.end(4.0))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_immortal(self):
        """
        A process that nobody can kill is not waited for for ever, and it is told what is left.
        """
        run = self.begin(Errand(1.0, "x"), Errand(1.0, "y"))
        self.advance(2)
        self.reactor.children[1].ends(0)
        over = run.end(1.0)
        self.advance(10)
        self.successResultOf(over)
        expected = [f"{command}: it or what it has started can't be killed, and is left" for command in "xy"]
        self.assertEqual(self.told, expected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_left(self):
        """
        What a command has left behind is killed at the end of the run, and not waited for.
        """
        run = self.begin(Errand(1.0, "x"))
        self.advance(2)
        [child] = self.reactor.children
        child.ends(0)
        over = run.end(4.0)
        self.assertTrue(child.isKilled)
        self.assertNoResult(over)
        child.exits()
        self.successResultOf(over)

    def test_noProcess(self):
        """
        Where no process can be started that is a failure of the command, and none of the run.
        """

        def spawn(*arguments, **more):
            raise OSError(11, "Resource temporarily unavailable")

        self.reactor.spawnProcess = spawn
        run = self.begin(Errand(1.0, "x"))
        self.advance(2)
        self.assertEqual(run.marks[0].status, 127)
        self.assertEqual(run.marks[0].output, "can't start a process: Resource temporarily unavailable")
        self.successResultOf(run.end(5.0))


class ValuesTests(SynchronousTestCase):
    """
    What stands on a command line.
    """

    def test_values(self):
        """
        A time and a command.
        """
        self.assertEqual(once("10m systemctl restart postfix"), Errand(600.0, "systemctl restart postfix"))
        self.assertEqual(once("0 true"), Errand(0.0, "true"))
        self.assertEqual(repeatedly("1h30m  a  b"), Errand(5400.0, " a  b", True))

    def test_unusable(self):
        """
        What is wrong with others.
        """
        for parse, text, problem in (
            (once, "10m", "expected a time and a command"),
            (once, "10m  ", "expected a time and a command"),
            (once, "x true", "expected a time such as"),
            (repeatedly, "0 true", "expected a time of more than 0"),
            (repeatedly, "0.5 true", "expected a time of at least 1s"),
            (once, "1 " + "x" * 70_000, "expected a command of at most 65536 bytes"),
        ):
            self.assertIn(problem, str(self.assertRaises(ValueError, parse, text)))


class ShellTests(TestCase):
    """
    Real processes.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir(parents=True)

    def start(self, command):
        """
        Start a command.

        @return: it, with C{ended} and C{gone}.
        """
        from twisted.internet import reactor

        ended, gone = defer.Deferred(), defer.Deferred()
        shell = Shell(reactor, ended.callback, gone.callback)
        shell.whenEnded, shell.whenGone = ended, gone
        self.addCleanup(lambda: gone)
        self.addCleanup(shell.kill)
        shell.start(command, {**os.environ, "SMTPSOURCE_RUN": "abc", "DIRECTORY": str(self.directory)})
        return shell

    def written(self, name):
        """
        @return: fires with the process id in a file, once it is there.
        """
        path = self.directory / name

        def isThere():
            return path.exists() and path.read_text().endswith("\n")

        return eventually(isThere, name).addCallback(lambda _: int(path.read_text()))

    @defer.inlineCallbacks
    def check(self, command, status, output=b""):
        """
        A command ends like this.
        """
        shell = self.start(command)
        yield shell.whenEnded
        yield shell.whenGone
        self.assertEqual((shell.status, shell.output), (status, output))

    @defer.inlineCallbacks
    def test_statuses(self):
        """
        How commands end, and what they write, in its order.
        """
        yield self.check("true", 0)
        yield self.check("exit 3", 3)
        yield self.check("echo a; echo b >&2; echo c", 0, b"a\nb\nc\n")
        yield self.check("kill -9 $$", -9)
        yield self.check("echo $SMTPSOURCE_RUN; cat", 0, b"abc\n")
        yield self.check("head -c 1000000 /dev/zero; echo end", 0, b"\0" * (KEPT - 4) + b"end\n")
        shell = self.start("no-such-command-there-is")
        yield shell.whenEnded
        self.assertEqual(shell.status, 127)
        self.assertIn(b"not found", shell.output)

    @defer.inlineCallbacks
    def test_descriptors(self):
        """
        It has standard input, output and error, and nothing else of ours; and no signal of a terminal reaches it.
        """
        shell = self.start("ls /proc/self/fd | wc -l; ps -o sid= -p $$")
        yield shell.whenEnded
        files, session = map(int, shell.output.split())
        self.assertEqual(files, 4)  # and the directory itself
        self.assertNotEqual(session, os.getsid(0))

    @defer.inlineCallbacks
    def test_kill(self):
        """
        To kill it is to kill all that it has started, whatever that has to say to it.
        """
        shell = self.start("trap '' TERM INT HUP; sleep 10000 & echo $! > $DIRECTORY/pid; wait")
        pid = yield self.written("pid")
        self.addCleanup(killIfAlive, pid)
        shell.kill()
        yield shell.whenGone
        self.assertEqual(shell.status, -signal.SIGKILL)
        yield whenGone(pid)

    @defer.inlineCallbacks
    def test_background(self):
        """
        A command that has something go on in the background has ended; that goes on until it is killed.
        """
        shell = self.start("sleep 10000 & echo $! > $DIRECTORY/pid; echo here")
        yield shell.whenEnded
        self.assertEqual((shell.status, shell.output), (0, b"here\n"))
        pid = yield self.written("pid")
        self.addCleanup(killIfAlive, pid)
        self.assertTrue(alive(pid))
        self.assertNoResult(shell.whenGone)
        shell.kill()
        yield shell.whenGone
        yield whenGone(pid)

    def assertNoResult(self, deferred):
        """
        It has not fired.
        """
        self.assertFalse(deferred.called)

    @defer.inlineCallbacks
    def test_daemon(self):
        """
        A daemon is no part of its command any more, even if it could still write.
        """
        shell = self.start("setsid sh -c 'echo $$ > $DIRECTORY/pid; exec sleep 10000' &\n echo here")
        yield shell.whenEnded
        self.assertEqual((shell.status, shell.output), (0, b"here\n"))
        pid = yield self.written("pid")
        self.addCleanup(killIfAlive, pid)
        yield shell.whenGone
        self.assertTrue(alive(pid))

    @defer.inlineCallbacks
    def test_groups(self):
        """
        What has a process group of its own, as all that a shell's job control starts and timeout(1), is no daemon.
        """
        inner = "timeout 20000 sh -c 'echo $$ > $DIRECTORY/pid; exec sleep 10000'"
        for command, isOver in ((inner, False), (f"{inner} &", True)):
            shell = self.start(command)
            pid = yield self.written("pid")
            self.addCleanup(killIfAlive, pid)
            if isOver:
                yield shell.whenEnded
            self.assertNoResult(shell.whenGone)
            self.assertTrue(alive(pid))
            shell.kill()
            yield shell.whenGone
            self.assertFalse(alive(pid))
            self.assertEqual(shell.status, 0 if isOver else -signal.SIGKILL)
            (self.directory / "pid").unlink()

    @defer.inlineCallbacks
    def test_guardKilled(self):
        """
        If the process between the command and us is killed, that is how it has ended; and nothing is left of it.
        """
        shell = self.start("""
            timeout 20000 sh -c 'echo $$ > $DIRECTORY/pid; exec sleep 10000' &
            while ! test -s $DIRECTORY/pid; do sleep 0.05; done
            kill -9 $PPID
            wait
        """)
        yield shell.whenGone
        pid = yield self.written("pid")
        self.addCleanup(killIfAlive, pid)
        self.assertEqual(shell.status, -signal.SIGKILL)
        self.assertFalse(alive(pid))

    @defer.inlineCallbacks
    def test_guardStopped(self):
        """
        If that process stands still both are killed all the same.
        """
        shell = self.start("kill -STOP $PPID; echo $$ > $DIRECTORY/pid; exec sleep 10000")
        pid = yield self.written("pid")
        self.addCleanup(killIfAlive, pid)
        shell.kill()
        yield shell.whenGone
        self.assertEqual(shell.status, -signal.SIGKILL)
        self.assertFalse(alive(pid))

    @defer.inlineCallbacks
    def test_guardSignaled(self):
        """
        Other signals that end processes don't end that one.
        """
        yield self.check("kill -TERM $PPID; kill -INT $PPID; kill -HUP $PPID; kill -PIPE $PPID; echo x", 0, b"x\n")

    @defer.inlineCallbacks
    def test_killedEarly(self):
        """
        What was written is there however early it is killed: as long as it runs, and just when its shell has ended.
        """
        shell = self.start("echo here; echo $$ > $DIRECTORY/pid; exec sleep 10000")
        yield self.written("pid")
        shell.kill()
        yield shell.whenGone
        self.assertEqual((shell.status, shell.output), (-signal.SIGKILL, b"here\n"))
        shell = self.start("sleep 10000 & echo here; exit 3")
        childDataReceived = shell.childDataReceived
        shell.childDataReceived = lambda number, data: (childDataReceived(number, data), shell.kill())
        yield shell.whenGone
        self.assertEqual((shell.status, shell.output), (3, b"here\n"))

    @defer.inlineCallbacks
    def test_chatty(self):
        """
        However much a command writes, this process has to read the last of it only.
        """
        shell = self.start("head -c 30000000 /dev/zero; echo end")
        received = []
        childDataReceived = shell.childDataReceived
        shell.childDataReceived = lambda number, data: (received.append(data), childDataReceived(number, data))
        yield shell.whenEnded
        self.assertEqual((shell.status, shell.output), (0, b"\0" * (KEPT - 4) + b"end\n"))
        self.assertLess(sum(map(len, received)), 2 * KEPT)

    @defer.inlineCallbacks
    def test_late(self):
        """
        What goes on in the background writes into no pipe that is full.
        """
        shell = self.start("(head -c 3000000 /dev/zero; echo $$ > $DIRECTORY/pid; sleep 10000) &")
        yield shell.whenEnded
        yield self.written("pid")
        shell.kill()
        yield shell.whenGone


class RunTests(CommandTestCase):
    """
    Whole runs.
    """

    @defer.inlineCallbacks
    def test_marks(self):
        """
        Commands are marks of the report; one that fails is told, and the run passes all the same.
        """
        result, report = yield loadAndReport(
            self,
            *("-d", "-s", "2", "--rate", "50", "--duration", "2", "--at", "0.5", "echo $SMTPSOURCE_RUN; exit 3"),
            *("--at=1", "echo '<b>'", "--every", "1s", "true", "sink:"),
        )
        self.assertEqual(result.status, 0, result)
        self.assertOneLine(result.err, b"smtpsource: echo $SMTPSOURCE_RUN; exit 3: ended with status 3: ")
        marks = {(mark["text"], mark["status"], mark["output"]) for mark in report["marks"]}
        expected = {("echo $SMTPSOURCE_RUN; exit 3", 3, report["run"]), ("echo '<b>'", 0, "<b>"), ("true", 0, "")}
        self.assertEqual(marks, expected)
        times = [mark["at"] for mark in report["marks"]]
        self.assertEqual(times, sorted(times))
        self.assertGreaterEqual(times[0], 0.5)
        self.assertTrue(all(mark["kind"] == "command" and mark["seconds"] >= 0 for mark in report["marks"]))

    @defer.inlineCallbacks
    def test_never(self):
        """
        A command whose time does not come is one line, and no failure.
        """
        result, report = yield loadAndReport(
            self, "-d", "--rate", "50", "--duration", "1", "--at", "10m", "true", "sink:"
        )
        self.assertEqual((result.status, report["marks"]), (0, []))
        self.assertOneLine(result.err, b"smtpsource: --at 600s: not started, as the run was over before: true")

    @defer.inlineCallbacks
    def test_workers(self):
        """
        The same with workers; and the effects of a mark are there.
        """
        _, report = yield loadAndReport(
            *(self, "-d", "-s", "2", "--workers", "2", "--rate", "50", "--duration", "5", "--at", "4s", "true", "sink:")
        )
        [mark] = report["marks"]
        self.assertEqual((mark["text"], mark["status"]), ("true", 0))
        self.assertGreater(mark["effect"]["rateBefore"], 0)

    @defer.inlineCallbacks
    def test_grace(self):
        """
        A command that does not end is killed when the run is over, and its mark says so.
        """
        command = "trap '' TERM; while :; do sleep 0.1; done"
        result, report = yield loadAndReport(
            *(self, "-d", "--rate", "20", "--duration", "1", "--grace", "0.3", "--at", "0", command, "sink:")
        )
        self.assertEqual(result.status, 0)
        self.assertEqual([mark["status"] for mark in report["marks"]], [-9])

    @defer.inlineCallbacks
    def test_stopped(self):
        """
        A run that is stopped, or killed by whatever means, leaves nothing of its commands behind.
        """
        server = self.serve()
        command = """timeout 20000 sh -c "trap '' TERM; echo \\$\\$ >> pid; sleep 10000" """
        for number in (signal.SIGTERM, signal.SIGKILL):
            run = smtpsource(
                *(self, "-d", "--rate", "5", "--duration", "1h", "--grace", "0.1"),
                *("--at", "0.2", command, server.destination),
            )
            path = run.directory / "pid"
            yield eventually(lambda path=path: path.exists() and path.read_text().endswith("\n"), "the command")
            pid = int(path.read_text())
            self.addCleanup(killIfAlive, pid)
            run.signal(number)
            yield run.whenEnded()
            yield whenGone(pid)

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        Commands are there under twistd as well.
        """
        result = yield twistd(
            *(self, "-n", "smtp-source", "--rate", "20", "--duration", "1", "--report", "r.json"),
            *("--at", "0.2", "echo here > where; exit 4", "sink:"),
        ).whenEnded()
        self.assertEqual(result.status, 0, result)
        self.assertIn(b"ended with status 4", result.out + result.err)

    @defer.inlineCallbacks
    def test_refused(self):
        """
        What can't be used is one line.
        """
        for words, problem in (
            (("--at", "10m"), b"--at: its value is missing"),
            (("--at", "10m", "sink:"), b"no destination: 'sink:' was taken for a part of the value of --at"),
            (("--at", "soon", "true", "sink:"), b"--at: 'soon true' is not usable: expected a time"),
            (("--every", "0.1", "true", "sink:"), b"expected a time of at least 1s"),
            (("--at", "1", "--every", "2", "true", "sink:"), b"--at: its value is missing: --every is an option"),
        ):
            result = yield smtpsource(self, *words).whenEnded()
            self.assertEqual(result.status, 2)
            self.assertOneLine(result.err, problem)
