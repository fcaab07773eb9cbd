"""
Ledgers, and what a server has delivered, read and judged.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import TYPE_CHECKING

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.book import Book
from smtpsource.ledger.judge import Judge
from smtpsource.ledger.listening import doubtsOf
from smtpsource.ledger.reading import RECORD, LedgerError, LedgerFile, ledgersIn
from smtpsource.measure.judgement import Judgement
from smtpsource.tools.ledgerruns import checkOne, runsIn

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from smtpsource.ledger.found import Found

#: The run that was begun last, instead of its id.
LATEST = "latest"

#: So many runs are named in one line.
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """
    What is judged by.

    @ivar directories: where the ledgers are.
    @ivar run: the run's id, or L{LATEST}; C{None} is the only one that has sent anything.
    @ivar quiet: seconds that must have been listened for more; C{None}: see L{Judge.enough}.
    @ivar maildirs: Maildirs that were delivered to, C{mboxes} mbox files, C{boxes} mailboxes of IMAP servers.
    @ivar password: for these.
    @ivar queue: the directory of Postfix's queue, or C{None}.
    """

    directories: Sequence[str]
    run: str | None = None
    quiet: float | None = None
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
        return bool(self.maildirs or self.mboxes or self.boxes)

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
        # Of all directories: what arrives before it was sent has to wait.
        files.sort(key=lambda file: file.role != "source")
        try:
            run = self._runOf(files)
            checkOne([file for file in files if file.role == "source" and file.run == run])
            judge = Judge(run)
            for file in files:
                if file.role == "source" and file.run == run:
                    judge.damages += read(judge, file)
            # In this order: what leaves the queue meanwhile has arrived by then.
            doubts = list(self._queued(judge))
            for file in files:
                if file.role == "sink":
                    judge.damages += read(judge, file)
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
                silence = [] if self.queue is not None else list(self._silence(judge)) or list(self._deafness(judge))
                judgement = judge.judge(not silence, [*doubts, *silence])
                if judgement.verdict == "fail" and not judge.backlog:
                    # That something might come besides changes nothing any more.
                    reasons = [reason for reason in judgement.reasons if reason not in silence]
                    judgement = replace(judgement, reasons=reasons)
                yield judge, judgement
        finally:
            for file in files:
                file.close()

    def _runOf(self, files: Sequence[LedgerFile]) -> int:
        known = {file.run for file in files if file.role == "source"}
        if not known:
            where = ", ".join(self.directories)
            raise LedgerError(f"{where}: expected a generator's ledger as well, of smtpsource --ledger")
        asked = None if self.run in (None, LATEST) else int(str(self.run), 16)
        if asked in known:
            return asked
        if asked is None and len(known) == 1:
            return known.pop()
        runs = runsIn(files)
        if asked is None and (self.run == LATEST or len(runs) == 1):
            return next(reversed(runs))
        problem = f"there are ledgers of {len(runs)} runs" if asked is None else f"there is no ledger of run {self.run}"
        names = ", ".join(f"{run:016x} ({words})" for run, words in list(runs.items())[-_NAMED:])
        which = f"the last {_NAMED} of them: " * (len(runs) > _NAMED)
        raise LedgerError(f"{problem}: expected --run {LATEST}, or the id of one, {which}{names}")

    def _queued(self, judge: Judge) -> Iterator[str]:
        """
        Tell the judge what is in the queue, if there is one to look at.
        """
        if self.queue is None:
            return
        from smtpsource.ledger.mailboxes import inQueue

        waiting = inQueue(self.queue, judge.known.run)
        judge.waiting(waiting)
        if waiting:
            yield f"messages of this run in the queue {self.queue}: {len(waiting)}"

    def _silence(self, judge: Judge) -> Iterator[str]:
        """
        Why more may come: it was not silent for long enough.
        """
        missing = judge.backlog
        if self.isALook:
            if not (missing or judge.unknown):
                return  # what is there now is there
            judge.known.heard = time.time_ns()
        wanted = judge.enough(self.quiet, missing + judge.unknown)
        if judge.quiet >= wanted:
            return
        passed = f"{max(0.0, judge.quiet):.1f} s"
        if not (missing or judge.unknown):
            yield (
                f"all acknowledged have arrived, but the sink has listened for only {passed} after the last sign of "
                f"the queue, and something may come twice: expected {wanted:g} s"
            )
            return
        what = " and ".join(_missing(missing, judge.unknown))
        since = "after the last acknowledgement" if self.isALook else "after the last sign of the queue"
        listened = "only" if self.isALook else "and the sink has listened for only"
        yield f"{what}, {listened} {passed} {since}: expected {wanted:g} s (--drain-quiet)"

    def _deafness(self, judge: Judge) -> Iterator[str]:
        """
        Why what is missing may have come where nobody listened.
        """
        if judge.backlog and not self.isALook:
            yield from doubtsOf(judge.known, judge.enough(self.quiet, judge.backlog))


def _missing(acknowledged: int, unknown: int) -> Iterator[str]:
    """
    What may still arrive.
    """
    if acknowledged:
        yield f"{acknowledged} acknowledged had not arrived"
    if unknown:
        yield f"nobody knows what has become of {unknown}"


def reconcile(
    *directories: str | PathLike[str],
    run: str | None = None,
    drainQuiet: float | None = None,
    maildirs: Sequence[str | PathLike[str]] = (),
    mboxes: Sequence[str | PathLike[str]] = (),
) -> Judgement:
    """
    Judge what has arrived by ledgers, as the command does. It blocks; for a million messages about a second.

    @param directories: where the ledgers are, of both ends.
    @param run: the run's id, or C{"latest"}; C{None} is the only one that there is.
    @param drainQuiet: seconds that must have been listened for more; C{None}: 30 if something is missing, else 1.
    @param maildirs: Maildirs that were delivered to, C{mboxes} mbox files.
    @raise ValueError: something can't be read, or does not suffice; the text is one line.
    """
    if not directories:
        raise ValueError("expected a directory with ledgers")
    if run not in (None, LATEST) and re.fullmatch("[0-9a-f]{16}", str(run)) is None:
        raise ValueError(f"run: {run!r} is not usable: expected 16 hexadecimal digits in small letters, or {LATEST}")
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
        isKnown = (found["kind"] >= records.KINDS[0]) & (found["kind"] <= records.KINDS[-1])
        if not isKnown.all() and not damages:
            at = before + int(np.argmin(isKnown)) + 1
            damages.append(f"{file.path}: record {at} is of no known kind: the ledger is damaged")
        before += len(found)
        feed(found if isKnown.all() else found[isKnown], file)
        judge.latencies()
    if file.fault is not None:
        damages.append(file.fault)
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
