"""
Run a case: the contenders one after the other, pair by pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measure
from benchmarks.cases import Case
from benchmarks.contenders import CONTENDERS, Contender, Load, PostfixSource
from benchmarks.figures import MEASURES, Pair, Run, enough, rate
from benchmarks.servers import SERVERS, Server


@dataclass(frozen=True)
class Settings:
    """
    What the user wants.

    @ivar pairs: how many, after the warm-up.
    @ivar seconds: how long the fastest contender's large run should take; L{None} to keep the warm-up's messages.
    @ivar pin: keep server and clients on a processor of their own.
    @ivar server: a key of C{servers.SERVERS}.
    @ivar only: the names of the contenders wanted; empty for all.
    @ivar options: more options for our own client.
    """

    pairs: int = 5
    seconds: float | None = 1.5
    pin: bool = True
    server: str = "smtp-sink"
    only: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()


def _unable(amount: float) -> Run:
    raise measure.RunFailed("it can't be run")


@dataclass
class Entrant:
    """
    A contender in a case.

    @ivar once: run it, with so many messages or for so many seconds.
    @ivar check: the same, before it counts, with a look at how many messages came.
    @ivar many: messages of the large run, or seconds.
    @ivar few: the same of the small run.
    @ivar note: why it has no figures.
    """

    name: str
    does: str
    many: float
    few: float
    once: Callable[[float], Run] = _unable
    check: Callable[[float], Run] | None = None
    timed: bool = False
    note: str | None = None
    pairs: list[Pair] = field(default_factory=list)

    def pair(self, run: Callable[[float], Run], differential: bool) -> Pair:
        """
        A small run, if it is needed, and a large one.
        """
        small = run(self.few) if differential else None
        return Pair(run(self.many), small)


class Runner:
    """
    Runs cases.
    """

    def __init__(self, settings: Settings, directory: Path, say: Callable[[str], None]) -> None:
        """
        @param directory: for what servers and clients need and leave; a short path, as there will be sockets in it.
        @param say: tells the user how far we are.
        """
        self._settings = settings
        self._directory = directory
        self._say = say
        self._serverAt: int | None = None
        self._clientAt: int | None = None
        places = measure.processors() if settings.pin else None
        if places is not None:
            self._serverAt, self._clientAt = places

    def run(self, case: Case) -> list[Entrant]:
        """
        Run one case.
        """
        differential = MEASURES[case.measure].differential
        with ExitStack() as stack:
            if MEASURES[case.measure].ofServer:
                entrants = list(self._servers(case, stack))
            else:
                entrants = list(self._clients(case, stack))
            self._say(f"{case.name}: warm-up")
            warm = {entrant.name: self._warmUp(entrant, differential) for entrant in self._able(entrants)}
            if self._settings.seconds is not None and not case.fixed:
                compared = {entrant.name for entrant in entrants[:2]}
                common = enough((warm[name] for name in warm if name in compared), self._settings.seconds, case.few)
                for entrant in self._able(entrants):
                    if entrant.timed:
                        continue
                    alone = enough([warm[entrant.name]], self._settings.seconds, case.few)
                    entrant.many = common if entrant.name in compared else alone
            for number in range(self._settings.pairs):
                self._say(f"{case.name}: pair {number + 1} of {self._settings.pairs}")
                # A B, B A, A B ...: neither is always the first.
                for entrant in self._able(entrants)[:: -1 if number % 2 else 1]:
                    self._measure(entrant, differential)
        return entrants

    @staticmethod
    def _able(entrants: Iterable[Entrant]) -> list[Entrant]:
        return [entrant for entrant in entrants if entrant.note is None]

    @staticmethod
    def _warmUp(entrant: Entrant, differential: bool) -> float | None:
        try:
            pair = entrant.pair(entrant.check or entrant.once, differential)
        except measure.RunFailed as e:
            entrant.note = f"failed: {e}"
            return None
        return rate(pair) or pair.large.messages / pair.large.wall

    @staticmethod
    def _measure(entrant: Entrant, differential: bool) -> None:
        try:
            entrant.pairs.append(entrant.pair(entrant.once, differential))
        except measure.RunFailed as e:
            entrant.note = f"failed: {e}"

    def _wanted(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not self._settings.only or name in self._settings.only]

    # Cases about clients: all have one server.

    def _clients(self, case: Case, stack: ExitStack) -> Iterable[Entrant]:
        kind = SERVERS[case.server or self._settings.server]
        places = [self._directory / case.name / name for name in ("server", "counting")]
        for place in places:
            place.mkdir(parents=True)
        at, lmtp, unix = self._serverAt, case.load.lmtp, case.unix
        tls = case.load.tls
        server = stack.enter_context(kind(places[0], at, lmtp, unix, hold=case.hold, tls=tls))
        counting = stack.enter_context(kind(places[1], at, lmtp, unix, counting=True, tls=tls))
        for name in self._wanted(case.contenders):
            contender = CONTENDERS[name](self._directory, self._settings.options)
            entrant = Entrant(name, contender.does, case.warmUp, case.few, timed=contender.timed)
            entrant.note = contender.missing()
            if contender.timed:
                entrant.many = 2 * (self._settings.seconds or 0.3)
                entrant.few = entrant.many / 4
                entrant.once = self._timed(contender, case.load, counting)
            else:
                entrant.once = self._counted(contender, case.load, server, case.hold > 0)
                entrant.check = self._checked(contender, case.load, counting)
            yield entrant

    def _counted(self, contender: Contender, load: Load, server: Server, watch: bool = False) -> Callable[[float], Run]:
        def once(messages: float) -> Run:
            seen = [server.connections()]
            command = contender.command(load, int(messages), server)
            before = measure.processTime(server.pid)
            glance = (lambda: seen.append(server.connections())) if watch else (lambda: None)
            used = measure.run(command, self._directory / "client.log", self._clientAt, glance=glance)
            spent = measure.processTime(server.pid) - before
            known = [number for number in seen if number is not None]
            return Run(
                int(messages),
                used.user,
                used.system,
                used.wall,
                used.peak,
                spent,
                measure.peakMemory(server.pid),
                max(known) - known[0] if watch and known else None,
            )

        return once

    def _checked(self, contender: Contender, load: Load, server: Server) -> Callable[[float], Run]:
        once = self._counted(contender, load, server)

        def check(messages: float) -> Run:
            before = server.messages()
            done = once(messages)
            deadline = time.monotonic() + 2
            while (came := server.messages() - before) != messages and time.monotonic() < deadline:
                time.sleep(0.02)
            if came != messages:
                raise measure.RunFailed(f"{contender.name} was to send {messages:.0f} messages, but {came} came")
            return done

        return check

    def _timed(self, contender: Contender, load: Load, server: Server) -> Callable[[float], Run]:
        def once(seconds: float) -> Run:
            command = contender.command(load, 0, server)
            began, before = server.messages(), measure.processTime(server.pid)
            used = measure.run(command, self._directory / "client.log", self._clientAt, seconds)
            spent = measure.processTime(server.pid) - before
            time.sleep(0.1)
            return Run(server.messages() - began, used.user, used.system, used.wall, used.peak, spent)

        return once

    # Cases about servers: all have one client.

    def _servers(self, case: Case, stack: ExitStack) -> Iterable[Entrant]:
        client = PostfixSource(self._directory)
        for name in self._wanted(case.contenders):
            place = self._directory / case.name / name
            place.mkdir(parents=True)
            entrant = Entrant(name, "", case.warmUp, case.few)
            entrant.note = SERVERS[name].missing() or client.missing()
            if entrant.note is None:
                try:
                    server = stack.enter_context(SERVERS[name](place, self._serverAt))
                except measure.RunFailed as e:
                    entrant.note = f"failed: {e}"
                else:
                    entrant.once = self._counted(client, case.load, server)
            yield entrant
