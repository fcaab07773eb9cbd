"""
A sink as a child process: what the destination C{sink:} of the generator loads, or what a server delivers to meanwhile.

The child (C{python -m smtpsource.sink.companion}) listens, writes the port's number, the path of its ledger if it keeps
one, and a newline. It serves until its standard input is closed, and writes its report as one line of JSON. So it ends
with its parent, whatever becomes of that. What it is to do comes as JSON too. Users, if there are any, come through a
pipe of their own: nobody else sees them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.credentials import Credentials, writtenUsers
from smtpsource.net.patience import Deadline
from smtpsource.process.children import environment, program, seeRoom

#: Seconds a child may take to listen.
START_TIMEOUT = 120.0
#: Seconds a child may take to end: more than the grace period of a sink.
STOP_TIMEOUT = 60.0

_ERROR_TEXT = 4096

#: What a child says that can't listen, before the reason.
_REFUSAL = b"problem: "

#: The file descriptor that the child reads its users from, and what it is opened by.
_USERS = 3
_USERS_PATH = f"/dev/fd/{_USERS}"


class CompanionFailed(Exception):
    """
    The child did not do what it is for; the text is one line for people.
    """


#: The child.
_PROGRAM = program("smtpsource.sink.companion")


class CompanionSink:
    """
    The parent's end: one child, started once and stopped once.
    """

    def __init__(
        self,
        reactor: Any,
        users: Iterable[Credentials] = (),
        whenLost: Callable[[str], object] = lambda problem: None,
        **settings: Any,
    ) -> None:
        """
        @param reactor: provides C{IReactorProcess} and C{IReactorTime}.
        @param users: who may log in; without any, or if one of them could not be in a file of users, everybody may.
        @param whenLost: called with one line if the child ends before it is told to, once it has listened.
        @param settings: of its plan, as JSON takes them; without any it listens on a free port of 127.0.0.1.
        """
        self._reactor = reactor
        try:
            self._users = writtenUsers(users)
        except ValueError:
            self._users = b""
        self._settings = {**settings, "authUsers": _USERS_PATH if self._users else None}
        self._whenLost = whenLost
        self._child: _Child | None = None

    @property
    def ledger(self) -> str | None:
        """
        The path of its ledger, if it keeps one, once it listens.
        """
        return None if self._child is None else self._child.ledger

    def start(self, timeout: float = START_TIMEOUT) -> Deferred[int]:
        """
        Start the child.

        @param timeout: seconds it may take.
        @return: the port it listens on; or fails with L{CompanionFailed}, and then no child is left.
        @raise RuntimeError: it was started before.
        """
        if self._child is not None:
            raise RuntimeError("a companion sink is started once")
        self._child = child = _Child(self._reactor, timeout, self._users, self._whenLost)
        # -P: the child's directory is whatever it is; nothing may be imported from there.
        command = [sys.executable, "-P", "-c", _PROGRAM, json.dumps(self._settings)]
        try:
            pipes = {0: "w", 1: "r", 2: "r", **({_USERS: "w"} if self._users else {})}
            seeRoom()
            self._reactor.spawnProcess(child, sys.executable, command, environment(), childFDs=pipes)
        except OSError as e:
            child.end(f"can't start a process: {e.strerror}")
        return child.started

    def stop(self, timeout: float = STOP_TIMEOUT) -> Deferred[dict[str, Any]]:
        """
        End the child; it is killed if it does not end by itself. May be called any number of times.

        @param timeout: seconds it may take.
        @return: its report (see C{SinkSummary.asDict}); or fails with L{CompanionFailed}
            if there was no report.
        """
        result: Deferred[dict[str, Any]] = Deferred()
        if self._child is None:
            result.errback(CompanionFailed("the companion sink has not been started"))
        else:
            self._child.stop(timeout, result)
        return result


class _Child(ProcessProtocol):
    """
    The child process as its parent sees it.
    """

    transport: Any
    ledger: str | None = None

    def __init__(self, reactor: Any, timeout: float, users: bytes, whenLost: Callable[[str], object]) -> None:
        self._reactor = reactor
        self._whenLost = whenLost
        self._users = users
        self._output = b""
        self._errors = b""
        self._ended = False
        self._problem = self._refusal = ""
        self._report: dict[str, Any] | None = None
        self._port: int | None = None
        self._waiting: list[Deferred[dict[str, Any]]] = []
        self._startTimer = Deadline(reactor, timeout, self._kill, f"did not listen within {timeout:g} seconds")
        self._stopTimer: Any = None
        self.started: Deferred[int] = Deferred()

    def connectionMade(self) -> None:
        if self._users:
            self.transport.writeToChild(_USERS, self._users)
            self.transport.closeChildFD(_USERS)

    def outReceived(self, data: bytes) -> None:
        *lines, self._output = (self._output + data).split(b"\n")
        for line in lines:
            if self._port is None:
                self._listens(line)
            else:
                try:
                    self._report = json.loads(line)
                except ValueError:
                    self._kill(f"said {line[:80]!r} for a report")

    def _listens(self, line: bytes) -> None:
        port, _, ledger = line.partition(b" ")
        if line.startswith(_REFUSAL):
            self._refusal = line.removeprefix(_REFUSAL).decode("utf-8", "backslashreplace")
        elif not port.isdigit():
            self._kill(f"said {line[:80]!r} for a port")
        else:
            if self._startTimer.active():
                self._startTimer.cancel()
            self._port = int(port)
            if ledger:
                self.ledger = json.loads(ledger)
            self.started.callback(self._port)

    def errReceived(self, data: bytes) -> None:
        self._errors = (self._errors + data)[-_ERROR_TEXT:]

    def stop(self, timeout: float, result: Deferred[dict[str, Any]]) -> None:
        self._waiting.append(result)
        if self._ended:
            self._answer()
        elif len(self._waiting) == 1:
            self.transport.closeStdin()
            problem = f"did not end within {timeout:g} seconds"
            self._stopTimer = Deadline(self._reactor, timeout, self._kill, problem)

    def _kill(self, problem: str) -> None:
        self._problem = self._problem or problem
        try:
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            pass

    def processEnded(self, reason: Failure) -> None:
        how = "" if reason.check(ProcessDone) else f" ({reason.getErrorMessage()})"
        self.end(self._problem or f"ended without a report{how}")

    def end(self, problem: str) -> None:
        """
        There is no child now.

        @param problem: why there is no report either.
        """
        self._ended = True
        self._problem = problem
        for timer in (self._startTimer, self._stopTimer):
            if timer is not None and timer.active():
                timer.cancel()
        if self._port is None:
            self.started.errback(self._error())
        elif self._stopTimer is None:
            self._whenLost(str(self._error()))
        self._answer()

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for result in waiting:
            if self._report is not None:
                result.callback(self._report)
            else:
                result.errback(self._error())

    def _error(self) -> CompanionFailed:
        if self._refusal:
            return CompanionFailed(self._refusal)
        said = self._errors.decode("utf-8", "backslashreplace").strip().splitlines()
        return CompanionFailed(f"the companion sink {self._problem}" + (f": {said[-1]}" if said else ""))


@implementer(IHalfCloseableProtocol)
class Input(Protocol):
    """
    The child's standard input, which only ends.
    """

    def __init__(self, ended: Deferred[None]) -> None:
        self._deferred: Deferred[None] | None = ended

    def readConnectionLost(self) -> None:
        if self._deferred is not None:
            ended, self._deferred = self._deferred, None
            ended.callback(None)

    def writeConnectionLost(self) -> None:
        # Nobody reads the report: the parent is gone.
        self.readConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.readConnectionLost()


def _run(reactor: Any, settings: str) -> Deferred[None]:
    from twisted.internet.stdio import StandardIO

    from smtpsource.process.failurelog import FailureObserver, beginLogging
    from smtpsource.sink.service import ListenError, SinkPlan, SinkService

    try:
        # The parent decides how long it is silent.
        sink = SinkService(reactor, SinkPlan(**json.loads(settings), idleTimeout=None, command=("smtpsink",)))
        beginLogging(FailureObserver(reactor, sink.breakDown, lambda line: print(line, file=sys.stderr)))
        sink.startService()
    except (ListenError, ValueError) as e:
        _write(f"{_REFUSAL.decode()}{e}\n")
        raise SystemExit(1)
    ended: Deferred[None] = Deferred()
    ended.addCallback(lambda result: sink.finish())
    reactor.addSystemEventTrigger("before", "shutdown", sink.stopService)
    StandardIO(Input(ended), reactor=reactor)
    # The reactor has taken this one for itself.
    reactor.callWhenRunning(signal.signal, signal.SIGTERM, signal.SIG_IGN)
    ledger = sink.factory.ledger
    path = "" if ledger is None else f" {json.dumps(ledger.path)}"
    reactor.callWhenRunning(_write, f"{sink.address().port}{path}\n")
    return sink.whenDone().addCallback(lambda summary: _write(json.dumps(summary.asDict()) + "\n"))


def _write(line: str) -> None:
    """
    Less than a pipe takes at once.
    """
    try:
        os.write(1, line.encode())
    except OSError:
        # Nobody is there to read it.
        pass


def main() -> NoReturn:
    """
    The child.

    @raise SystemExit: always; the status is 0, or 1 if it could not listen.
    """
    from twisted.internet.task import react

    from smtpsource.net.reactorchoice import chooseReactor
    from smtpsource.process.garbage import relax

    chooseReactor(None)
    relax()
    react(_run, tuple(sys.argv[1:]) or ("{}",))


if __name__ == "__main__":
    main()
