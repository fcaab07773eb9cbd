"""
A sink as a child process of a test: the child's end of L{smtpsource.testing.spawned}.

It reads one line of JSON from its standard input: the options, who may log in, the token for its control. It listens,
and writes one line of JSON that says where; or what the problem is. It ends when it is told anything more, when its
standard input is closed, or its parent is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.defer import Deferred, succeed
from twisted.python import usage

from smtpsource.process.listening import ListenError
from smtpsource.sink.companion import Input
from smtpsource.sink.options import SinkOptions
from smtpsource.testing.userfiles import userFile

if TYPE_CHECKING:
    from smtpsource.sink.plan import SinkPlan

#: Messages that are kept, and sessions whose dialogues are, where nothing else is said.
KEPT = 10_000

#: Options of the command that are nothing for a sink that somebody else steers and ends.
_NOT_HERE = (
    *("control", "control-token-file", "auth-users", "counter", "quiet", "report", "user", "chroot"),
    *("help", "version"),
)

#: Seconds between two looks at whether the parent is still there: somebody else may hold the other end of our input.
_INTERVAL = 0.5


def wordsOf(options: Mapping[str, Any]) -> list[str]:
    """
    The command line that says what the keywords of a program say.

    @param options: by long names with underscores for dashes. C{True} and C{False} may also be said of what an option
        begins with C{no-} for.
    @raise usage.UsageError: there is no such option.
    """
    known = {name.removesuffix("=") for name in SinkOptions().longOpt}
    words = []
    for key, value in options.items():
        name = key.replace("_", "-")
        if name in _NOT_HERE or not {name, f"no-{name}"} & known:
            raise usage.UsageError(f"{key}: expected an option of smtpsink{_instead(name)}")
        if value is None:
            continue
        if isinstance(value, bool):
            negative = f"no-{name}"
            words += [f"--{one}" for one, wanted in ((name, value), (negative, not value)) if wanted and one in known]
        else:
            words += [f"--{name}={each}" for each in (value if isinstance(value, list) else [value])]
    return words


def _instead(name: str) -> str:
    if name == "auth-users":
        return ", or users={...}"
    return " that makes sense for a test" if name in _NOT_HERE else ""


def _planned(options: Mapping[str, Any]) -> SinkPlan:
    """
    @raise usage.UsageError: it can't be.
    """
    others = {"keep": KEPT} | {name: value for name, value in options.items() if value is not None}
    address = others.pop("address", "127.0.0.1:0")
    parsed = SinkOptions()
    parsed.parseOptions([*wordsOf(others), str(address)])
    # Nobody waits for a client that has not finished when the tests have.
    return parsed.plan.evolve(grace=0.0)


class _Input(Input):
    """
    The child's standard input: whatever comes, or its end, is the end.
    """

    def dataReceived(self, data: bytes) -> None:
        self.readConnectionLost()


def _run(reactor: Any, plan: SinkPlan, users: Mapping[str, str] | None, token: str, parent: int) -> Deferred[None]:
    from twisted.internet.stdio import StandardIO
    from twisted.internet.task import LoopingCall

    from smtpsource.process.failurelog import FailureObserver, beginLogging
    from smtpsource.sink.control.server import ControlServer
    from smtpsource.sink.control.where import TOKEN_VARIABLE
    from smtpsource.sink.service import SinkService

    try:
        with userFile(users) as path:
            sink = SinkService(reactor, plan.evolve(authUsers=path))
        beginLogging(FailureObserver(reactor, sink.breakDown, lambda line: print(line, file=sys.stderr)))
        sink.startService()
        steering = sink.factory.steering
        assert steering is not None
        os.environ[TOKEN_VARIABLE] = token
        # Not the sink's own, which ends with that.
        control = ControlServer(reactor, steering, "127.0.0.1:0")
        control.listen()
    except (ListenError, ValueError) as e:
        _write({"problem": str(e), "isUsage": isinstance(e, ValueError)})
        return succeed(None)
    ended: Deferred[None] = Deferred()
    ended.addCallback(lambda result: control.close())
    # What it has kept can be asked for until then, also after a limit of its own has ended it.
    ended.addCallback(lambda result: sink.finish())
    ended.addCallback(lambda summary: None)
    reactor.addSystemEventTrigger("before", "shutdown", sink.stopService)
    orders = _Input(ended)
    StandardIO(orders, reactor=reactor)
    watch = LoopingCall(lambda: None if os.getppid() == parent else orders.readConnectionLost())
    watch.clock = reactor
    watch.start(_INTERVAL)
    # The reactor has taken this one for itself.
    reactor.callWhenRunning(signal.signal, signal.SIGTERM, signal.SIG_IGN)
    address, nameServer = sink.address(), sink.doors.nameServer
    hasTLS = (plan.startTLS or plan.tls) and sink.factory.tls.prepare()
    said = {
        "host": getattr(address, "host", ""),
        "port": getattr(address, "port", 0),
        "path": plan.path or "",
        "lmtp": plan.lmtp,
        "tls": plan.tls,
        "dns": None if nameServer is None else [nameServer.address.host, nameServer.address.port],
        "keep": plan.keep,
        "keepBytes": plan.keepBytes,
        "rules": steering.rules.asDict(),
        "control": control.address,
        "certificates": plan.tlsCert or "",
        "certificate": sink.factory.tls.certificate if hasTLS else "",
    }
    reactor.callWhenRunning(_write, said)
    return ended


def _write(said: Mapping[str, Any]) -> None:
    """
    Less than a pipe takes at once.
    """
    try:
        os.write(1, json.dumps(said).encode("ascii") + b"\n")
    except OSError:
        # Nobody is there to read it.
        pass


def main() -> NoReturn:
    """
    The child.

    @raise SystemExit: always.
    """
    from twisted.internet.task import react

    from smtpsource.process.garbage import relax

    asked = json.loads(_firstLine())
    try:
        plan = _planned(asked["options"])
    except usage.UsageError as e:
        _write({"problem": str(e), "isUsage": True})
        raise SystemExit(2) from None
    relax()
    react(_run, (plan, asked["users"], asked["token"], asked["parent"]))


def _firstLine() -> bytes:
    """
    The first line of standard input, and no more: what follows is for the reactor.
    """
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 1)
        if not data:
            # The parent is gone already.
            raise SystemExit(1)
        line += data
    return line
