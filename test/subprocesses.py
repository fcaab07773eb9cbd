"""
Our commands as processes of their own: started, watched, signalled and waited for, with a deadline on everything.

A L{Command} belongs to a test: what is left of it when the test is over is killed::

    command = smtpsource(self, "-m", "10", server.destination)
    yield command.whenPrinted(rb"accepted")         # or: yield server.when(...)
    command.signal(signal.SIGTERM)
    result = yield command.whenEnded()              # a differential.Finished
    result.status, result.out, result.err
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

from differential import Finished, Killable
from patience import PATIENCE
from peers import eventually
from twisted.internet import defer

#: Where the source tree is.
ROOT = Path(__file__).resolve().parent.parent

TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
_TWIST = "import sys; sys.argv[0] = 'twist'; from twisted.application.twist._twist import Twist; Twist.main()"


class Command(Killable):
    """
    A command that runs.

    @ivar pid: the process's id.
    @ivar directory: its current directory, a C{Path}.
    @ivar out: what it wrote to standard output so far; on a terminal, all that it wrote.
    @ivar err: what it wrote to standard error so far.
    """

    def __init__(self, test, command, env=None, cwd=None, deadline=PATIENCE, terminal=False):
        """
        Start it.

        @param test: the test case; its end is the command's end.
        @param command: the program's path and its arguments.
        @param env: more environment variables, on top of our own and C{PYTHONPATH}; C{None} takes one away.
        @param cwd: the directory to run in; a new and empty one if left out.
        @param deadline: after so many seconds it is killed.
        @param terminal: whether its standard streams are a terminal.
        """
        from twisted.internet import reactor

        if cwd is None:
            cwd = test.mktemp()
            os.makedirs(cwd)
        self.directory = Path(cwd).resolve()
        self.out = bytearray()
        self.err = bytearray()
        self._result = None
        self._ended = []
        self._patterns = []
        self._started = time.monotonic()
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | (env or {})
        environment = {name: value for name, value in environment.items() if value is not None}
        self._timer = reactor.callLater(deadline, self._isOverdue)
        process = reactor.spawnProcess(
            self,
            os.fspath(command[0]),
            list(map(os.fsencode, command)),
            env=environment,
            path=os.fspath(self.directory),
            usePTY=terminal,
        )
        self.pid = process.pid
        test.addCleanup(self._cleanUp)

    # What a test does

    def whenEnded(self):
        """
        @return: a L{defer.Deferred} that fires with its L{Finished}. It fails with C{TimeoutError} if the command had
            to be killed because it ran for too long.
        """
        if self._result is not None:
            return self._give(defer.Deferred())
        waiting = defer.Deferred()
        self._ended.append(waiting)
        return waiting

    def whenPrinted(self, pattern, stream="out"):
        """
        @param pattern: a regular expression, as bytes.
        @param stream: C{"out"} or C{"err"}.

        @return: a L{defer.Deferred} that fires with the match, or fails with C{EOFError} if the command ends without
            printing such a thing.
        """
        waiting = defer.Deferred()
        self._patterns.append((re.compile(pattern, re.M), stream, waiting))
        self._look()
        return waiting

    def signal(self, number):
        """
        Send it a signal.

        @param number: such as C{signal.SIGTERM}.
        """
        self.transport.signalProcess(number)

    def children(self):
        """
        @return: the ids of the processes that it has started, and that run.
        """
        return [pid for pid, (parent, state) in processes().items() if parent == self.pid and state not in "ZX"]

    # What happens to it

    def outReceived(self, data):
        self.out += data
        self._look()

    def errReceived(self, data):
        self.err += data
        self._look()

    def processEnded(self, reason):
        if self._timer.active():
            self._timer.cancel()
        seconds = time.monotonic() - self._started
        status, number = reason.value.exitCode, reason.value.signal
        self._result = Finished(status, number, bytes(self.out), bytes(self.err), seconds, self._overdue)
        self._look()
        waiting, self._ended = self._ended, []
        for one in waiting:
            self._give(one)

    def _give(self, waiting):
        if self._overdue:
            waiting.errback(TimeoutError(f"it ran for too long: {self._result}"))
        else:
            waiting.callback(self._result)
        return waiting

    def _look(self):
        patterns, self._patterns = self._patterns, []
        for pattern, stream, waiting in patterns:
            match = pattern.search(bytes(getattr(self, stream)))
            if match is not None:
                waiting.callback(match)
            elif self._result is not None:
                waiting.errback(EOFError(f"{pattern.pattern!r} never came: {self._result}"))
            else:
                self._patterns.append((pattern, stream, waiting))

    def _cleanUp(self):
        if self._result is not None:
            return None
        self._kill()
        ended = self.whenEnded()
        ended.addErrback(lambda reason: reason.trap(TimeoutError))
        return ended


# Our commands


def python(test, *arguments, **settings):
    """
    Run this Python.

    @param test: the test case.
    @param arguments: its arguments, texts.
    @param settings: see L{Command}.

    @return: a L{Command}.
    """
    return Command(test, [sys.executable, *map(str, arguments)], **settings)


def smtpsource(test, *arguments, **settings):
    """
    Run C{smtpsource}, by C{python -m}, from the source tree; see L{python}.
    """
    return python(test, "-m", "smtpsource", *arguments, **settings)


def smtpsink(test, *arguments, **settings):
    """
    Run C{smtpsink}; see L{python}.
    """
    return python(test, "-m", "smtpsource.sink", *arguments, **settings)


def twistd(test, *arguments, **settings):
    """
    Run C{twistd}, with our plugins; see L{python}.
    """
    return python(test, "-c", TWISTD, *arguments, **settings)


def twist(test, *arguments, **settings):
    """
    Run C{twist}, with our plugins; see L{python}.
    """
    return python(test, "-c", _TWIST, *arguments, **settings)


def loadAndReport(test, *arguments, **settings):
    """
    Run C{smtpsource} to its end.

    @return: a L{defer.Deferred} that fires with a L{Finished} and the report it gave.
    """
    ended = smtpsource(test, "--quiet", "--report", "-", *arguments, **settings).whenEnded()
    return ended.addCallback(lambda result: (result, reported(result.out, result)))


def reported(text, context=""):
    """
    Read a report, and check what holds for each.

    @param text: the JSON, as bytes.
    @param context: what to show if it is none.

    @return: the report.
    """
    try:
        document = json.loads(text)
    except ValueError:
        raise AssertionError(f"no report: {context}") from None
    messages = document["messages"]
    outcomes = messages["accepted"] + messages["rejected"] + messages["failed"]
    if messages["started"] != outcomes:
        raise AssertionError(f"{messages} don't add up")
    return document


# Other processes


def processes():
    """
    @return: all processes: a mapping of their ids to their parents' id and their state, a letter (see proc(5)).
    """
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                # The name in parentheses may hold anything.
                state, parent = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            found[int(entry)] = int(parent), state
    return found


def alive(pid):
    """
    @return: whether there is a process with this id that hasn't ended.
    """
    return processes().get(pid, (0, "X"))[1] not in "ZX"


def whenGone(pid, deadline=PATIENCE):
    """
    @return: a L{defer.Deferred} that fires when there is no process with this id any more.
    """
    return eventually(lambda: not alive(pid), f"the end of process {pid}", deadline)


def killIfAlive(pid):
    """
    For the cleanup of a test: kill a process that it started and that isn't our child.
    """
    if alive(pid):
        os.kill(pid, signal.SIGKILL)
