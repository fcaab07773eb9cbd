"""
Ledgers, and what a server has delivered, read and judged.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.book import Book
from smtpsource.ledger.judge import Judge
from smtpsource.ledger.reading import RECORD, LedgerError, LedgerFile, ledgersIn
from smtpsource.measure.judgement import Judgement

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from smtpsource.ledger.found import Found

#: Seconds after which nothing more is expected once all that was acknowledged has arrived.
_SETTLED = 1.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """
    What is judged by.

    @ivar directories: where the ledgers are.
    @ivar run: the run's id; C{None} is the only one that there is.
    @ivar quiet: seconds that must have been listened for more.
    @ivar maildirs: Maildirs that were delivered to, C{mboxes} mbox files, C{boxes} mailboxes of IMAP servers.
    @ivar password: for these.
    @ivar queue: the directory of Postfix's queue, or C{None}.
    """

    directories: Sequence[str]
    run: str | None = None
    quiet: float = 30.0
    maildirs: Sequence[str] = ()
    mboxes: Sequence[str] = ()
    boxes: Sequence[SplitResult] = ()
    password: str = ""
    queue: str | None = None

    @property
    def isALook(self) -> bool:
        """
        Is it looked at what there is now?
        """
        return bool(self.maildirs or self.mboxes or self.boxes or self.queue)

    @property
    def _several(self) -> bool:
        return len(self.maildirs) + len(self.mboxes) + len(self.boxes) > 1

    @property
    def _mailboxes(self) -> Iterator[tuple[str, Iterable[Found]]]:
        if not (self.maildirs or self.mboxes or self.boxes):
            return
        from smtpsource.ledger import mailboxes  # the library for mail takes its memory

        for path in self.maildirs:
            yield path, mailboxes.inMaildir(path)
        for path in self.mboxes:
            yield path, mailboxes.inMbox(path)
        for place in self.boxes:
            yield place.geturl(), mailboxes.onServer(place, self.password)

    @contextmanager
    def judged(self) -> Iterator[tuple[Judge, Judgement]]:
        """
        Read all of it.

        @return: the judge, whose anomalies can be asked for in the context, and what it says.
        @raise LedgerError: something of it can't be read, or does not suffice.
        """
        files = [file for directory in self.directories for file in ledgersIn(directory)]
        try:
            run = self._runOf(files)
            judge, damages = Judge(run), list[str]()
            for file in files:
                if file.role == "sink" or file.run == run:
                    damages += read(judge, file)
            with tempfile.TemporaryDirectory(prefix="smtpsource-") as directory:
                places: dict[int, list[str]] | None = {} if self._several else None
                for name, messages in self._mailboxes:
                    files.append(file := _entered(directory, name, messages, judge, places))
                    read(judge, file)
                if not judge.known.sinks:
                    where = "--maildir, --mbox or --imap"
                    raise LedgerError(
                        f"{self.directories[0]}: nothing says what has arrived: expected a sink's ledger, or {where}"
                    )
                doubts = list(self._doubts(judge))
                yield judge, judge.judge(not doubts, [*doubts, *damages])
        finally:
            for file in files:
                file.close()

    def _runOf(self, files: Sequence[LedgerFile]) -> int:
        known = sorted({file.run for file in files if file.role == "source"})
        if not known:
            where = ", ".join(self.directories)
            raise LedgerError(f"{where}: expected a generator's ledger as well, of smtpsource --ledger")
        names = ", ".join(f"{run:016x}" for run in known)
        if self.run is None:
            if len(known) > 1:
                raise LedgerError(f"there are ledgers of {len(known)} runs: expected --run with one of {names}")
            return known[0]
        if int(self.run, 16) not in known:
            raise LedgerError(f"there is no ledger of run {self.run}: expected {'one of ' * (len(known) > 1)}{names}")
        return int(self.run, 16)

    def _doubts(self, judge: Judge) -> Iterator[str]:
        """
        Why more may come.
        """
        missing = judge.backlog
        if self.queue is not None:
            from smtpsource.ledger.mailboxes import inQueue

            waiting = inQueue(self.queue, judge.known.run)
            if waiting:
                yield f"messages of this run in the queue {self.queue}: {len(waiting)}"
            return
        if self.isALook:
            judge.known.heard = time.time_ns()
        wanted = self.quiet if missing else min(self.quiet, _SETTLED)
        if judge.quiet < wanted:
            listened = max(0.0, judge.quiet)
            yield (
                f"{missing} acknowledged had not arrived, and the sink has listened for no more than {listened:.1f} s "
                f"after the last sign of the queue: expected {wanted:g} s (--drain-quiet)"
            )


def reconcile(
    *directories: str | PathLike[str],
    run: str | None = None,
    drainQuiet: float = 30.0,
    maildirs: Sequence[str | PathLike[str]] = (),
    mboxes: Sequence[str | PathLike[str]] = (),
) -> Judgement:
    """
    Judge what has arrived by ledgers, as the command does. It blocks; for a million messages about a second.

    @param directories: where the ledgers are, of both ends.
    @param run: the run's id; C{None} is the only one that there is.
    @param drainQuiet: seconds that must have been listened for more, if something is missing; up to a second of them
        also if nothing is.
    @param maildirs: Maildirs that were delivered to, C{mboxes} mbox files.
    @raise ValueError: something can't be read, or does not suffice; the text is one line.
    """
    if not directories:
        raise ValueError("expected a directory with ledgers")
    if run is not None and re.fullmatch("[0-9a-f]{16}", run) is None:
        raise ValueError(f"run: {run!r} is not usable: expected 16 hexadecimal digits in small letters")
    paths, *boxes = ([fspath(path) for path in some] for some in (directories, maildirs, mboxes))
    evidence = Evidence(directories=paths, run=run, quiet=drainQuiet, maildirs=boxes[0], mboxes=boxes[1])
    try:
        with evidence.judged() as (_, judgement):
            return judgement
    except LedgerError as e:
        raise ValueError(str(e)) from e


def read(judge: Judge, file: LedgerFile) -> list[str]:
    """
    Have a judge read a ledger.

    @return: what is wrong with it, a line for each.
    """
    feed = judge.sent if file.role == "source" else judge.arrived
    feed(np.zeros(0, RECORD), file)
    damages: list[str] = []
    before = 0
    for found in file.rest():
        isKnown = (found["kind"] >= records.INTENT) & (found["kind"] <= records.DAMAGED)
        if not isKnown.all() and not damages:
            at = before + int(np.argmin(isKnown)) + 1
            damages.append(f"{file.path}: record {at} is of no known kind: the ledger is damaged")
        before += len(found)
        feed(found if isKnown.all() else found[isKnown], file)
        judge.latencies()
    return damages


def _entered(
    directory: str, name: str, messages: Iterable[Found], judge: Judge, places: dict[int, list[str]] | None
) -> LedgerFile:
    """
    A ledger of a mailbox.

    @param places: see L{smtpsource.ledger.found.Entered}.
    """
    from smtpsource.ledger.found import Entered

    try:
        book = Book(directory, "sink", {"of": name})
        try:
            entered = Entered(book, judge.known, name, places)
            for message in messages:
                entered.enter(message)
        finally:
            book.close()
        return LedgerFile(book.path)
    except OSError as e:
        raise LedgerError(f"{directory}: {e.strerror}")
