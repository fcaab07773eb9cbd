"""
What a dashboard takes of the processor that the run beside it has: C{python -m benchmarks.dashboard}.

A run at a constant rate, against our sink in another process, has a dashboard in its own process, as with
C{--dashboard}. All that is done for that, from the second that it is told of to what is written to a tab, is measured:
how much CPU time it takes, and how much of that at once, while the run waits. A tab is a process that reads all that it
is told.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet import tcp
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import react

from benchmarks.measure import ROOT
from benchmarks.servers import OurSink
from smtpsource.load.service import SourceService
from smtpsource.measure.summary import Summary
from smtpsource.plan import SourcePlan
from smtpsource.report.dashboard.service import DashboardService
from smtpsource.values.serving import Where

#: The part of a processor's time that it may take.
LIMIT = 0.02


class Account:
    """
    The CPU time of some functions.

    @ivar spent: all of it, in seconds.
    @ivar longest: of one call.
    """

    def __init__(self) -> None:
        self.spent = self.longest = 0.0
        self._isWithin = False

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """
        @return: the same function, on this account; what one that is on it calls is counted once.
        """

        def call(*arguments: Any, **keywords: Any) -> Any:
            if self._isWithin:
                return function(*arguments, **keywords)
            self._isWithin, before = True, time.thread_time()
            try:
                return function(*arguments, **keywords)
            finally:
                taken = time.thread_time() - before
                self._isWithin = False
                self.spent += taken
                self.longest = max(self.longest, taken)

        return call


class _Reactor:
    """
    A reactor whose timed calls are on an account.
    """

    def __init__(self, reactor: Any, account: Account) -> None:
        self._reactor = reactor
        self._account = account

    def callLater(self, delay: float, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        return self._reactor.callLater(delay, self._account.counted(function), *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


class _CountedDashboard(DashboardService):
    """
    A dashboard that is on an account.
    """

    def __init__(self, reactor: Any, source: SourceService, account: Account) -> None:
        self._account = account
        super().__init__(_Reactor(reactor, account), source, Where("127.0.0.1", 0))

    def _cut(self, *arguments: Any) -> None:
        self._account.counted(super()._cut)(*arguments)


def ask(url: str) -> None:
    """
    Ask for the report without a pause, until nobody answers.
    """
    where = urlsplit(url)
    request = f"GET /report.json HTTP/1.0\r\nHost: {where.netloc}\r\n\r\n".encode()
    while True:
        try:
            with socket.create_connection((str(where.hostname), int(where.port or 0))) as connection:
                connection.sendall(request)
                while connection.recv(1 << 16):
                    pass
        except OSError:
            return


def look(url: str) -> None:
    """
    Be a tab, until there is nothing more.
    """
    where = urlsplit(url)
    with socket.create_connection((str(where.hostname), int(where.port or 0))) as connection:
        connection.sendall(f"GET /events HTTP/1.0\r\nHost: {where.netloc}\r\n\r\n".encode())
        while connection.recv(1 << 16):
            pass


@inlineCallbacks
def measured(
    reactor: Any, options: argparse.Namespace, destination: str, tabs: int
) -> Generator[Deferred[Any], Any, float]:
    """
    One run with so many tabs.

    @return: the part of a processor's time that the dashboard took.
    """
    account = Account()
    plan = SourcePlan(
        destination=destination, rate=options.rate, duration=options.seconds, sessionCount=options.sessions
    )
    source = SourceService(reactor, plan)
    dashboard = _CountedDashboard(reactor, source, account)
    usual = {name: getattr(kind, name) for kind, name in _IO}
    for kind, name in _IO:
        # There are no other connections that somebody else has made.
        setattr(kind, name, account.counted(getattr(kind, name)))
    dashboard.startService()
    looking = [
        subprocess.Popen([sys.executable, "-m", "benchmarks.dashboard", kind, dashboard.url], cwd=ROOT)
        for kind in ["--look"] * tabs + ["--ask"] * options.asking
    ]
    try:
        done, before = source.whenDone(), time.process_time()
        source.startService()
        summary: Summary = yield done
        used, spent = time.process_time() - before, account.spent
        yield dashboard.leave()
    finally:
        for kind, name in _IO:
            setattr(kind, name, usual[name])
        for process in looking:
            process.kill()
            process.wait()
    share, whole = spent / summary.elapsed, used / summary.elapsed
    print(
        f"{tabs} tabs, {options.asking} who ask, {summary.rate:,.0f} messages/s: {share * 1e3:.1f} ms of CPU a second, "
        f"of {whole * 1e3:.0f} ms of the whole process ({spent / used:.1%}); {account.longest * 1e3:.1f} ms at once"
    )
    return share


_IO: tuple[tuple[type[Any], str], ...] = (
    (tcp.Port, "doRead"),
    (tcp.Server, "doRead"),
    (tcp.Server, "doWrite"),
)


@inlineCallbacks
def _all(reactor: Any, options: argparse.Namespace) -> Generator[Deferred[Any], Any, None]:
    with tempfile.TemporaryDirectory() as directory, OurSink(Path(directory)) as server:
        shares = [0.0] * len(options.tabs)
        for place, tabs in enumerate(options.tabs):
            shares[place] = yield measured(reactor, options, server.destination, tabs)
    if max(shares) > LIMIT:
        raise SystemExit(f"expected at most {LIMIT:.0%} of a processor")


def main() -> None:
    """
    See C{--help}.

    @raise SystemExit: it took more than it may, or the options can't be used.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--rate", type=float, default=5000.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each run is")
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--tabs", type=int, nargs="+", default=[0, 1], help="how many look, of one run after the other")
    parser.add_argument("--asking", type=int, default=0, help="how many ask for the report without a pause")
    parser.add_argument("--look", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--ask", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look:
        look(options.look)
        return
    if options.ask:
        ask(options.ask)
        return
    react(_all, (options,))


if __name__ == "__main__":
    main()
