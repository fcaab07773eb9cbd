"""
What several workers make of a machine: C{python -m benchmarks.workers}.

Ours with 1, 2 and more workers, beside as many of ours, and of Postfix's smtp-source, started by hand; against as many
of Postfix's smtp-sink, each with an address of its own, and against our sink. What a message costs is made by
difference, pair by pair, as in all else here; the processors are shared by all, clients and servers.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import machine, measure
from benchmarks.contenders import Contender, Load, PostfixSource, TLSFloor
from benchmarks.figures import Pair, Run, clientCPU, enough, rate, ratios, spread
from benchmarks.servers import OurSink, PostfixSink, Server, freePort

_DOMAIN = "workers.test"

#: Ours with workers; as many of ours that know nothing of each other; and of C.
OURS, APART, THEIRS = WAYS = ("smtpsource", "smtpsource by hand", "C by hand")


class _Sink(OurSink):
    """
    Our sink, with as many workers.
    """

    workers = 1

    def command(self) -> list[str]:
        program, *words = super().command()
        own = ["--workers", str(self.workers)] if self.workers > 1 else []
        return [program, *words[:2], *own, *words[2:]]


class _World(OurSink):
    """
    The name server that knows where several others are: our sink is its, too, but nobody goes there.
    """

    def __init__(self, directory: Path, hosts: int) -> None:
        super().__init__(directory)
        self.dns = f"127.0.0.1:{freePort()}"
        exchangers = ", ".join(f'"10 mx{number}.{_DOMAIN}"' for number in range(hosts))
        (directory / "world.toml").write_text(f'[[domain]]\nname = "{_DOMAIN}"\nmx = [{exchangers}]\n')

    def command(self) -> list[str]:
        program, *words = super().command()
        return [program, *words[:2], "--dns", self.dns, "--world", "world.toml", *words[2:]]


@dataclass(frozen=True)
class Servers:
    """
    Who is loaded.

    @ivar words: how ours is told where they are.
    @ivar each: where each of them is.
    @ivar pids: their processes.
    """

    words: Sequence[str]
    each: Sequence[Server]

    def cpu(self) -> float:
        """
        The CPU seconds that they have used so far.
        """
        return sum(measure.processTime(server.pid) for server in self.each)


@contextmanager
def _postfixs(directory: Path, count: int) -> Iterator[Servers]:
    """
    So many of Postfix's, on one port, each with an address of its own: that is how a worker comes to all of them.
    """
    with ExitStack() as stack:
        world = _World(directory, count)
        stack.enter_context(world)
        port = freePort("127.0.1.1")
        each = []
        for number in range(count):
            place = directory / f"server{number}"
            place.mkdir()
            server = PostfixSink(place)
            server.host, server.port = f"127.0.1.{number + 1}", port
            server.destination = f"{server.host}:{port}"
            each.append(stack.enter_context(server))
        words = ["--mx", "--dns-server", world.dns, "--addresses", "all", f"{_DOMAIN}:{port}"]
        yield Servers(words, each)


@contextmanager
def _ourSink(directory: Path, count: int, tls: bool) -> Iterator[Servers]:
    server = _Sink(directory, tls=tls)
    server.workers = count
    with server:
        yield Servers([server.destination], [server])


@dataclass
class Way:
    """
    A way to send messages.

    @ivar name: what it is called.
    @ivar count: how many processes do.
    @ivar note: why there are no figures, or no more of them.
    """

    name: str
    count: int
    pairs: list[Pair] = field(default_factory=list)
    note: str | None = None

    def contender(self, load: Load, directory: Path) -> Contender:
        """
        Whom to start by hand.
        """
        return TLSFloor(directory) if load.tls else PostfixSource(directory)

    def commands(self, load: Load, messages: int, servers: Servers, directory: Path) -> list[list[str]]:
        """
        What is started, all at once.
        """
        if self.name == OURS:
            more = ["--workers", str(self.count)] if self.count > 1 else []
            return [_ours(load, load.sessions * self.count, messages, more, servers.words)]
        each = [servers.each[number % len(servers.each)] for number in range(self.count)]
        if self.name == APART:
            return [_ours(load, load.sessions, messages // self.count, [], [server.destination]) for server in each]
        contender = self.contender(load, directory)
        return [contender.command(load, messages // self.count, server) for server in each]


def _ours(load: Load, sessions: int, messages: int, more: Sequence[str], destination: Sequence[str]) -> list[str]:
    words = [sys.executable, "-m", "smtpsource", "-s", str(sessions), "-m", str(messages), *more]
    return [*words, *(["-d"] if load.keep else []), *(["--tls", "implicit"] if load.tls else []), *destination]


def once(way: Way, load: Load, messages: int, servers: Servers, directory: Path) -> Run:
    """
    Send so many messages.

    @raise measure.RunFailed: it did not work.
    """
    commands = way.commands(load, messages, servers, directory)
    before = servers.cpu()
    with ThreadPoolExecutor(len(commands)) as pool:
        logs = [directory / f"client{number}.log" for number in range(len(commands))]
        used = list(pool.map(measure.run, commands, logs))
    user, system = sum(one.user for one in used), sum(one.system for one in used)
    return Run(messages, user, system, max(one.wall for one in used), None, servers.cpu() - before)


def compare(
    load: Load, few: int, ways: Sequence[Way], servers: Servers, directory: Path, pairs: int, seconds: float
) -> None:
    """
    Have all of them send, pair by pair, in turn.

    @param few: messages of each small run.
    """

    def pair(way: Way, many: int) -> Pair | None:
        if way.note is not None:
            return None
        try:
            small = once(way, load, few, servers, directory)
            return Pair(once(way, load, many, servers, directory), small)
        except measure.RunFailed as e:
            way.note = f"failed: {e}"
            return None

    for way in ways:
        if way.name == THEIRS:
            way.note = way.contender(load, directory).missing()
    warm = [pair(way, 4 * few) for way in ways]
    many = enough([rate(one) for one in warm if one is not None], seconds, few)
    for number in range(pairs):
        for way in ways[:: -1 if number % 2 else 1]:
            found = pair(way, many)
            if found is not None:
                way.pairs.append(found)


def lines(ways: Sequence[Way]) -> Iterator[str]:
    """
    What came of it, as a table.
    """
    yield f"{'':24}{'us CPU/message':>16}{'messages/s':>12}   ratio to one of its kind (min-max)"
    for way in ways:
        title = f"{way.name}, {way.count}"
        costs = [clientCPU(pair) for pair in way.pairs]
        cost, speed = spread(costs), spread(rate(pair) for pair in way.pairs)
        if way.note is not None or cost is None or speed is None:
            yield f"{title:24}{way.note or 'not known'}"
            continue
        alone = next(one for one in ways if one.name == way.name and one.count == 1)
        ratio = spread(ratios(costs, [clientCPU(pair) for pair in alone.pairs])) if alone is not way else None
        shown = f"{ratio.median:.2f} ({ratio.min:.2f}-{ratio.max:.2f})" if ratio is not None else ""
        yield f"{title:24}{cost.median:16.1f}{speed.median:12,.0f}   {shown}"


#: The cases: what they are, what is sent, messages of the small run, and against whom.
CASES = {
    "keep": ("connections kept, Postfix's smtp-sink", Load(keep=True), 2000, "smtp-sink"),
    "new": ("a new connection for each message, Postfix's smtp-sink", Load(), 1000, "smtp-sink"),
    "sink-keep": ("connections kept, our sink", Load(keep=True), 2000, "smtpsink"),
    "new-tls": ("a new connection and a full TLS handshake for each, our sink", Load(tls=True), 400, "smtpsink"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command line.

    @return: 1 if something failed, otherwise 0.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description="Measure runs of workers.")
    usable = len(os.sched_getaffinity(0))
    counts = sorted({1, 2, usable})
    parser.add_argument("--cases", metavar="A,B", default=",".join(CASES), help="only these (default: %(default)s)")
    parser.add_argument(
        "--workers", metavar="A,B", default=",".join(map(str, counts)), help="how many (default: %(default)s)"
    )
    parser.add_argument("--sinks", metavar="N", type=int, default=usable, help="servers (default: %(default)s)")
    parser.add_argument("--ways", metavar="A,B", default=",".join(WAYS), help="only these (default: %(default)s)")
    parser.add_argument("--sessions", metavar="N", type=int, default=40, help="of each worker (default: 40)")
    parser.add_argument("--pairs", metavar="N", type=int, default=5, help="pairs of runs (default: 5)")
    parser.add_argument("--seconds", metavar="T", type=float, default=3.0, help="for each large run (default: 3)")
    asked = parser.parse_args(arguments)
    measure.raiseFileLimit()
    print(machine.line(machine.describe()), flush=True)
    failed = False
    for name in asked.cases.split(","):
        title, load, few, kind = CASES[name]
        load = replace(load, sessions=asked.sessions)
        ways = [Way(who, int(count)) for who in asked.ways.split(",") for count in asked.workers.split(",")]
        with tempfile.TemporaryDirectory(prefix="workers-") as text:
            directory = Path(text)
            directory.chmod(0o755)
            count = asked.sinks
            servers = _postfixs(directory, count) if kind == "smtp-sink" else _ourSink(directory, count, load.tls)
            with servers as there:
                compare(load, few, ways, there, directory, asked.pairs, asked.seconds)
        print(f"\n{name}: {title}, {count} of it, {load.sessions} sessions each", *lines(ways), sep="\n", flush=True)
        failed = failed or any((way.note or "").startswith("failed") for way in ways)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
