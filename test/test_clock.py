"""
Tests with a time of day that is set while our commands run: an hour forward, and an hour back.

A library that is loaded first (see ld.so(8), LD_PRELOAD) tells the command another time of day as soon as a file is
there. Nothing else steps: neither the machine's clock nor the tests'.
"""

from __future__ import annotations

import atexit
import email
import email.utils
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

from differential import program
from recording import SILENCE, RecordingServer
from subprocesses import loadAndReport, reported, smtpsink, twistd
from twisted.internet import defer, protocol
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.net.reactor import LeanReactor
from smtpsource.net.steady import keepSteady

HOUR = 3600

_LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long step(void) {
    static const char *file, *seconds;
    if (!file) {
        file = getenv("CLOCK_STEP_FILE");
        seconds = getenv("CLOCK_STEP_SECONDS");
    }
    return file && seconds && access(file, F_OK) == 0 ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, found);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        found->tv_sec += step();
    return result;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found)
        *found = now.tv_sec;
    return now.tv_sec;
}
"""


@cache
def _library():
    """
    @return: the path of what is loaded first.
    """
    compiler = program("gcc")
    directory = tempfile.mkdtemp(prefix="clock-")
    atexit.register(shutil.rmtree, directory)
    path = Path(directory, "step.so")
    command = [compiler, "-shared", "-fPIC", "-o", path, "-x", "c", "-", "-ldl"]
    subprocess.run(command, input=_LIBRARY.encode(), check=True, capture_output=True, timeout=120)
    return path


class Step:
    """
    A step of the time of day, for one command.

    @ivar environment: what the command is to be started with.
    """

    def __init__(self, test, seconds):
        directory = Path(test.mktemp()).resolve()
        directory.mkdir(parents=True)
        self._file = directory / "step"
        self.seconds = seconds
        self.environment = {
            "LD_PRELOAD": str(_library()),
            "CLOCK_STEP_FILE": str(self._file),
            "CLOCK_STEP_SECONDS": str(seconds),
        }

    def make(self, _=None):
        """
        From now on the command is told another time of day.
        """
        self._file.touch()


def bothWays(test, *arguments):
    """
    With a clock that is set forward and, at the same time, with one that is set back.

    @param test: called with the seconds of the step, and the other arguments.
    """
    return defer.gatherResults([test(seconds, *arguments) for seconds in (HOUR, -HOUR)], consumeErrors=True)


class StepTestCase(TestCase):
    """
    What all of these have in common.
    """

    timeout = 180

    def serve(self, replies=None):
        """
        @return: a recording server that ends with the test.
        """
        server = RecordingServer(replies)
        self.addCleanup(server.stop)
        return server.listen("inet")


class SourceTests(StepTestCase):
    """
    smtp-source.
    """

    @defer.inlineCallbacks
    def lasts(self, seconds, *arguments):
        step = Step(self, seconds)
        server = self.serve()
        begun = time.time()
        arguments = [*arguments, "-s", "4", "--duration", "1s", server.destination]
        run = loadAndReport(self, *arguments, env=step.environment)
        yield server.when(lambda: len(server.messages) > 5)
        step.make()
        result, report = yield run
        self.assertEqual((result.status, report["ended"]), (0, "done"), (result.err, report["reason"]))
        self.assertTrue(0.95 < report["elapsed"] < 60, report["elapsed"])
        dated = email.message_from_bytes(server.messages[-1])["Date"]
        sent = email.utils.parsedate_to_datetime(dated).timestamp()
        self.assertTrue(-2 < sent - begun - seconds < 60, dated)

    def durationIsKept(self, *arguments):
        """
        A run of a second in which the clock steps, either way, takes a second; what is in a message's header is the
        time of day.
        """
        return bothWays(self.lasts, *arguments)

    def test_ours(self):
        """
        On our reactor, with a connection for each message.
        """
        return self.durationIsKept()

    def test_epoll(self):
        """
        On Twisted's epoll reactor: its transports end by delayed calls of its own.
        """
        return self.durationIsKept("--reactor", "epoll")

    def test_select(self):
        """
        On the select reactor, with pauses.
        """
        return self.durationIsKept("--reactor", "select", "-d", "-w", "0.01")

    def test_asyncio(self):
        """
        On asyncio's event loop, in an open loop.
        """
        return self.durationIsKept("--reactor", "asyncio", "--rate", "30")

    @defer.inlineCallbacks
    def ends(self, seconds, *arguments):
        step = Step(self, seconds)
        server = self.serve({"MAIL": SILENCE})
        run = loadAndReport(self, *arguments, "--timeout", "1.5", server.destination, env=step.environment)
        yield server.when(lambda: server.count("MAIL"))
        step.make()
        _, report = yield run
        self.assertTrue(1.45 < time.monotonic() - server.connections[0].opened < 60)
        self.assertEqual(list(report["errors"]), ["timeout"])

    def test_timeout(self):
        """
        C{--timeout}: a silent server is given up after the time that was asked for.
        """
        return defer.gatherResults(
            [bothWays(self.ends, *arguments) for arguments in ((), ("--reactor", "select"))], consumeErrors=True
        )

    @defer.inlineCallbacks
    def stops(self, seconds):
        step = Step(self, seconds)
        server = self.serve({"MAIL": [None, SILENCE]})
        arguments = ["-d", "-s", "2", "-m", "9", "-w", "60", "--grace", "1.5", "--report", "report", server.destination]
        command = twistd(self, "--reactor=epoll", "-n", "--pidfile=", "smtp-source", *arguments, env=step.environment)
        yield server.when(lambda: server.count("MAIL") == 2 and server.messages)
        begun = time.monotonic()
        command.signal(signal.SIGTERM)
        # The session that waits for its next message is told at once: then the grace period has begun.
        yield server.when(lambda: server.count("QUIT"))
        step.make()
        yield command.whenEnded()
        self.assertTrue(1.45 < time.monotonic() - begun < 60)
        report = reported((command.directory / "report").read_bytes())
        self.assertEqual((report["ended"], list(report["errors"])), ("signal", ["stopped"]))

    def test_grace(self):
        """
        C{--grace}, under twistd: SIGTERM ends a run in time.
        """
        return bothWays(self.stops)


class _Client(protocol.Protocol):
    """
    One that says NOOP and then nothing.
    """

    def __init__(self):
        self.greeted = defer.Deferred()
        self.dismissed = defer.Deferred()

    def dataReceived(self, data):
        if data.startswith(b"220"):
            self.transport.write(b"NOOP\r\n")
        elif data.startswith(b"250"):
            self.greeted.callback(None)
        else:
            self.dismissed.callback(data)
            self.transport.abortConnection()


class SinkTests(StepTestCase):
    """
    smtp-sink.
    """

    @defer.inlineCallbacks
    def idles(self, seconds, *arguments):
        """
        A client is told 421 after it was idle for the time that was asked for, not earlier and not an hour later.
        """
        from twisted.internet import reactor

        step = Step(self, seconds)
        command = smtpsink(self, *arguments, "-t", "2", "--report", "report", "127.0.0.1:0", env=step.environment)
        match = yield command.whenPrinted(rb"127\.0\.0\.1:([0-9]+)\n")
        begun = time.monotonic()
        client = yield connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", int(match[1])), _Client())
        yield client.greeted
        step.make()
        said = yield client.dismissed
        self.assertEqual(said[:3], b"421")
        self.assertTrue(1.95 < time.monotonic() - begun < 60, (seconds, arguments))
        command.signal(signal.SIGTERM)
        yield command.whenEnded()
        report = (command.directory / "report").read_text()
        self.assertIn('"timeout"', report)

    def test_ours(self):
        """
        On our reactor.
        """
        return bothWays(self.idles)

    def test_select(self):
        """
        On another.
        """
        return bothWays(self.idles, "--reactor", "select")


class ClockTests(SynchronousTestCase):
    """
    The clocks of reactors.
    """

    def test_ours(self):
        """
        Ours is steady, and shows what the clock of a run does.
        """
        before, now, after = time.perf_counter(), LeanReactor.seconds(), time.perf_counter()
        self.assertTrue(before <= now <= after)
        self.assertIs(LeanReactor.seconds, time.monotonic)

    def test_others(self):
        """
        Another goes on from what it showed; calls that are under way come when they would have.
        """
        for make in (PollReactor, SelectReactor, AsyncioSelectorReactor):
            reactor = make()
            called = []
            reactor.callLater(0.05, called.append, "before")
            shown = reactor.seconds()
            keepSteady(reactor)
            self.assertTrue(0 <= reactor.seconds() - shown < 10)
            reactor.callLater(0.1, lambda called=called, reactor=reactor: (called.append("after"), reactor.crash()))
            begun = time.monotonic()
            while len(called) < 2 and time.monotonic() - begun < 60:
                reactor.runUntilCurrent()
            self.assertEqual(called, ["before", "after"])
            keepSteady(reactor)  # a second time changes nothing
            self.assertTrue(0 <= reactor.seconds() - shown < 60)
            for descriptor in reactor.removeAll():
                descriptor.connectionLost(None)
