"""
Tests for the sink as a process: C{python -m smtpsource.sink}, twistd, and the companion of the generator.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from unittest import SkipTest

from differential import program
from patience import PATIENCE, TEST_LIMIT
from sinks import Process
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource._version import __version__
from smtpsource.sink import companion
from smtpsource.sink.companion import CompanionFailed, CompanionSink

TRANSACTION = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"


def talk(port, data, replies, keep=False):
    """
    A client.

    @param replies: the number of lines to wait for.
    @return: the socket if it is to be kept.
    """
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    client.sendall(data)
    received = b""
    while received.count(b"\n") < replies:
        more = client.recv(4096)
        if not more:
            raise AssertionError(f"the sink closed after {received!r}")
        received += more
    if keep:
        return client
    client.close()
    return None


class CommandTests(SynchronousTestCase):
    """
    C{python -m smtpsource.sink}, from some other directory.
    """

    def test_limit(self):
        """
        Postfix's smtp-source gets all its replies; the sink ends by itself, with status 0, and reports.
        """
        source = program("smtp-source")
        report = os.path.abspath(self.mktemp())
        sink = Process(self, "-M", "200", "--report", report, "127.0.0.1:0", "100")
        client = [source, "-s", "5", "-m", "200", "-r", "2", f"inet:127.0.0.1:{sink.port()}"]
        self.assertEqual(subprocess.run(client, timeout=PATIENCE).returncode, 0)
        status, out, err = sink.outcome()
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"(?m)^messages +200$")
        with open(report) as file:
            document = json.load(file)
        self.assertEqual(document["tool"], {"name": "smtp-sink", "version": __version__})
        self.assertEqual((document["messages"], document["recipients"], document["ended"]), (200, 400, "done"))
        self.assertEqual((document["sessions"]["total"], document["sessions"]["quit"]), (200, 200))
        self.assertEqual(document["errors"], {})

    def test_lmtp(self):
        """
        The same in LMTP, over a UNIX socket, with connections that are kept.
        """
        source = program("smtp-source")
        os.makedirs(directory := self.mktemp())
        path = os.path.join(os.path.abspath(directory), "lmtp")
        # The report goes to standard output, and all else to standard error.
        sink = Process(self, "-L", "-n", "3", "--report", "-", f"unix:{path}", people="stderr")
        sink.line(f"^listening on unix:{path}$")
        client = [source, "-L", "-d", "-s", "3", "-m", "60", "-r", "3", f"unix:{path}"]
        self.assertEqual(subprocess.run(client, timeout=PATIENCE).returncode, 0)
        status, out, err = sink.outcome()
        self.assertEqual(status, 0)
        document = json.loads(out)
        self.assertEqual((document["messages"], document["recipients"]), (60, 180))
        self.assertEqual(document["sessions"]["total"], 3)
        self.assertRegex(err, r"(?m)^messages +60$")

    def test_signals(self):
        """
        SIGINT and SIGTERM end a sink in order: status 0, and the report.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            sink = Process(self, "127.0.0.1:0")
            client = talk(sink.port(), b"NOOP\r\n", 2, keep=True)
            sink.signal(number)
            self.assertEqual(client.recv(4096)[:3], b"421")
            client.close()
            status, out, err = sink.outcome()
            self.assertEqual((status, err), (0, ""))
            self.assertRegex(out, r"(?m)^ended +stopped$")

    def test_secondInterrupt(self):
        """
        A second SIGINT ends it at once, a client in a transaction or not.
        """
        sink = Process(self, "127.0.0.1:0")
        port = sink.port()
        clients = [talk(port, TRANSACTION, 4, keep=True), talk(port, b"NOOP\r\n", 2, keep=True)]
        sink.signal(signal.SIGINT)
        # The idle client's reply tells that the end has begun.
        self.assertEqual(clients[1].recv(4096)[:3], b"421")
        sink.signal(signal.SIGINT)
        status, _, err = sink.outcome()
        self.assertNotEqual(status, 0)
        self.assertNotIn("Traceback", err)
        for client in clients:
            client.close()

    def test_counter(self):
        """
        -c shows counts, where it isn't a terminal as lines.
        """
        sink = Process(self, "-c", "--quiet", "127.0.0.1:0")
        talk(sink.port(), TRANSACTION + b".\r\nQUIT\r\n", 6)
        sink.line(r"^sess=1 quit=1 mesg=1$")
        sink.signal(signal.SIGTERM)
        status, out, _ = sink.outcome()
        self.assertEqual(status, 0)
        self.assertNotIn("messages", out)

    def test_verbose(self):
        """
        -v logs commands to standard error.
        """
        sink = Process(self, "-v", "-n", "1", "127.0.0.1:0")
        talk(sink.port(), b"HELO \x07x\r\nQUIT\r\n", 3)
        status, _, err = sink.outcome()
        self.assertEqual(status, 0)
        self.assertIn("'HELO \\x07x' -> 250", err)

    def test_secrets(self):
        """
        Passwords are neither in its log nor in its result.
        """
        sink = Process(self, "-v", "-n", "1", "--report", "-", "127.0.0.1:0", people="stderr")
        stream = b"AUTH PLAIN AHgAc2VjcmV0\r\nAUTH LOGIN\r\nc2VjcmV0\r\nRSET\r\nQUIT\r\n"
        talk(sink.port(), stream, 6)
        status, out, err = sink.outcome()
        self.assertEqual(status, 0)
        self.assertIn("'AUTH PLAIN (hidden)' -> 235", err)
        self.assertEqual(json.loads(out)["extensions"], {"auth": {"accepted": 1}})
        self.assertNotRegex(out + err, "c2Vj|secret")

    def test_cantListen(self):
        """
        A port that is taken: one line, and status 1.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            status, out, err = Process(self, f"127.0.0.1:{port}").outcome()
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(err, f"smtpsink: can't listen on inet:127.0.0.1:{port}: Address already in use\n")

    def test_usage(self):
        """
        A command line that can't be used: one line, and status 2.
        """
        status, out, err = Process(self, "-m", "x", ":0").outcome()
        self.assertEqual((status, out), (2, ""))
        self.assertRegex(err, r"^smtpsink: -m \(--max-sessions\): 'x' is not usable: .* \(see smtpsink --help\)\n$")

    def test_reportLost(self):
        """
        A report that can't be written in the end: one line, and status 1.
        """
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        sink = Process(self, "-n", "1", "--report", os.path.join(directory, "report"), "127.0.0.1:0")
        port = sink.port()
        os.rmdir(directory)
        talk(port, b"QUIT\r\n", 2)
        status, _, err = sink.outcome()
        self.assertEqual(status, 1)
        self.assertRegex(err, r"^smtpsink: .*report.*\n$")

    def test_nobodyReads(self):
        """
        A sink whose output nobody reads any more still serves, and ends; but that is no success.
        """
        sink = Process(self, "-c", "-n", "1", "127.0.0.1:0")
        port = sink.port()
        sink.closeOutput()
        talk(port, b"QUIT\r\n", 2)
        status, _, err = sink.outcome()
        line = "smtpsink: the summary could not be written to standard output: Broken pipe\n"
        self.assertEqual((status, err), (1, line))

    def test_user(self):
        """
        -u gives up the privileges of root once the sink listens.
        """
        if os.geteuid() != 0:
            raise SkipTest("only root can become another user")
        sink = Process(self, "-u", "nobody", "-n", "1", "127.0.0.1:0")
        port = sink.port()
        with open(f"/proc/{sink.pid}/status") as file:
            self.assertNotIn("Uid:\t0", file.read())
        talk(port, b"QUIT\r\n", 2)
        self.assertEqual(sink.outcome()[0], 0)


class TwistdTests(SynchronousTestCase):
    """
    C{twistd -n smtp-sink}.
    """

    def twistd(self, *arguments):
        """
        @return: a sink under twistd.
        """
        start = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
        return Process(self, "-n", "--pidfile=", "smtp-sink", *arguments, program=("-c", start))

    def test_limit(self):
        """
        A sink that has reached its limit stops the reactor; people's output isn't in the log's lines.
        """
        sink = self.twistd("-M", "1", "127.0.0.1:0")
        talk(sink.port(), TRANSACTION + b".\r\nQUIT\r\n", 6)
        status, out, _ = sink.outcome()
        self.assertEqual(status, 0)
        self.assertRegex(out, r"(?m)^messages +1$")
        self.assertIn("Server Shut Down", out)

    def test_signal(self):
        """
        SIGTERM ends it in order.
        """
        sink = self.twistd("127.0.0.1:0")
        client = talk(sink.port(), b"NOOP\r\n", 2, keep=True)
        sink.signal(signal.SIGTERM)
        self.assertEqual(client.recv(4096)[:3], b"421")
        client.close()
        status, out, _ = sink.outcome()
        self.assertEqual(status, 0)
        self.assertRegex(out, r"(?m)^ended +stopped$")
        self.assertNotIn("Traceback", out)

    def test_cantListen(self):
        """
        If it can't listen, twistd ends with status 1 and without a traceback.
        """
        status, out, err = self.twistd("192.0.2.1:1").outcome()
        self.assertEqual(status, 1)
        self.assertIn("smtp-sink: can't listen on inet:192.0.2.1:1: ", err)
        self.assertNotIn("Traceback", out + err)


class CompanionTests(TestCase):
    """
    L{CompanionSink} and its child.
    """

    timeout = TEST_LIMIT

    def companion(self, **options):
        """
        @return: a companion that ends with the test.
        """
        sink = CompanionSink(reactor, **options)
        self.addCleanup(lambda: sink.stop().addErrback(lambda failure: None))
        return sink

    @inlineCallbacks
    def test_startAndStop(self):
        """
        A child is started, serves, and reports when it is stopped, as often as it is asked to.
        """
        sink = self.companion()
        port = yield sink.start()
        talk(port, TRANSACTION + b".\r\nQUIT\r\n", 6)
        report = yield sink.stop()
        self.assertEqual((report["messages"], report["sessions"]["total"], report["ended"]), (1, 1, "done"))
        again = yield sink.stop()
        self.assertEqual(again, report)
        self.assertRaises(RuntimeError, sink.start)

    @inlineCallbacks
    def test_lmtp(self):
        """
        The child speaks LMTP if it is asked to.
        """
        sink = self.companion(lmtp=True)
        port = yield sink.start()
        talk(port, b"LHLO x\r\n" + TRANSACTION.replace(b"DATA", b"RCPT TO:<c>\r\nDATA") + b".\r\nQUIT\r\n", 14)
        report = yield sink.stop()
        self.assertEqual((report["messages"], report["recipients"]), (1, 2))

    @inlineCallbacks
    def test_elsewhere(self):
        """
        It starts from any directory, and takes no modules from there.
        """
        os.makedirs(os.path.join(directory := self.mktemp(), "smtpsource"))
        for name in ("json.py", "signal.py", "smtpsource/__init__.py"):
            with open(os.path.join(directory, name), "w") as file:
                file.write("raise RuntimeError('the wrong one')\n")
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(directory)
        sink = self.companion()
        yield sink.start()
        report = yield sink.stop()
        self.assertEqual(report["messages"], 0)

    @inlineCallbacks
    def test_stopWhileStarting(self):
        """
        It can be stopped before it has started.
        """
        sink = self.companion()
        started = sink.start()
        report = yield sink.stop()
        yield started
        self.assertEqual(report["sessions"]["total"], 0)

    @inlineCallbacks
    def test_elsewhereToo(self):
        """
        It listens where it is told to, and says where its ledger is.
        """
        directory = os.path.abspath(self.mktemp())
        sink = self.companion(host="127.0.0.2", ledger=directory)
        port = yield sink.start()
        self.assertEqual(os.listdir(directory), [os.path.basename(sink.ledger)])
        with socket.create_connection(("127.0.0.2", port), PATIENCE):
            pass
        # Where somebody listens it can't.
        error = yield self.assertFailure(self.companion(host="127.0.0.2", port=port).start(), CompanionFailed)
        self.assertEqual(str(error), f"can't listen on inet:127.0.0.2:{port}: Address already in use")

    @inlineCallbacks
    def test_lost(self):
        """
        If it ends by itself when it has listened, that is told.
        """
        lost = Deferred()
        self.patch(companion.sys, "executable", self.script("echo 25; echo no luck >&2; exit 3"))
        sink = self.companion(whenLost=lost.callback)
        yield sink.start()
        problem = yield lost
        self.assertRegex(problem, "^the companion sink ended without a report .*3.*: no luck$")
        yield self.assertFailure(sink.stop(), CompanionFailed)

    @inlineCallbacks
    def test_notStarted(self):
        """
        Without a child there is no report.
        """
        yield self.assertFailure(self.companion().stop(), CompanionFailed)

    @inlineCallbacks
    def test_dies(self):
        """
        A child that dies before it listens is an error that has its last words.
        """
        self.patch(companion.sys, "executable", self.script("echo first >&2; echo no luck >&2; exit 3"))
        error = yield self.assertFailure(self.companion().start(), CompanionFailed)
        self.assertRegex(str(error), "^the companion sink ended without a report .*3.*: no luck$")

    @inlineCallbacks
    def test_noProgram(self):
        """
        So is a child that can't be started.
        """
        self.patch(companion.sys, "executable", "/nowhere/python")
        yield self.assertFailure(self.companion().start(), CompanionFailed)

    @inlineCallbacks
    def test_silent(self):
        """
        A child that says nothing is killed at the deadline.
        """
        self.patch(companion.sys, "executable", self.script("exec cat >/dev/null"))
        error = yield self.assertFailure(self.companion().start(0.1), CompanionFailed)
        self.assertEqual(str(error), "the companion sink did not listen within 0.1 seconds")

    @inlineCallbacks
    def test_garbage(self):
        """
        So is one that says something else.
        """
        self.patch(companion.sys, "executable", self.script("echo hello; exec cat >/dev/null"))
        error = yield self.assertFailure(self.companion().start(), CompanionFailed)
        self.assertEqual(str(error), "the companion sink said b'hello' for a port")

    @inlineCallbacks
    def test_stubborn(self):
        """
        A child that does not end is killed at the deadline.
        """
        self.patch(companion.sys, "executable", self.script("echo 25; cat >/dev/null; exec sleep 1000"))
        sink = self.companion()
        self.assertEqual((yield sink.start()), 25)
        error = yield self.assertFailure(sink.stop(0.1), CompanionFailed)
        self.assertEqual(str(error), "the companion sink did not end within 0.1 seconds")
        yield self.assertFailure(sink.stop(), CompanionFailed)

    def script(self, text):
        """
        @return: a program that runs this shell script.
        """
        path = os.path.abspath(self.mktemp())
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)
        return path


class ChildTests(SynchronousTestCase):
    """
    The child by itself.
    """

    program = ("-P", "-c", companion._PROGRAM)

    def child(self):
        """
        @return: the child, and its port.
        """
        child = Process(self, program=self.program, stdin=subprocess.PIPE)
        return child, int(child.line(r"^([0-9]+)$").group(1))

    def test_parentGone(self):
        """
        It ends in order when its input is closed.
        """
        child, port = self.child()
        talk(port, TRANSACTION + b".\r\nQUIT\r\n", 6)
        status, out, err = child.outcome()
        self.assertEqual((status, err), (0, ""))
        report = json.loads(out.splitlines()[1])
        self.assertEqual((report["messages"], report["ended"]), (1, "done"))

    def test_interrupt(self):
        """
        SIGINT, which a terminal sends to the whole process group, is not for it.
        """
        child, port = self.child()
        child.signal(signal.SIGINT)
        talk(port, b"QUIT\r\n", 2)
        status, _, err = child.outcome()
        self.assertEqual((status, err), (0, ""))

    def test_terminate(self):
        """
        Nor is SIGTERM, which whoever ends a service sends to all its processes: its parent ends it.
        """
        child, port = self.child()
        child.signal(signal.SIGTERM)
        talk(port, b"QUIT\r\n", 2)
        status, _, err = child.outcome()
        self.assertEqual((status, err), (0, ""))
