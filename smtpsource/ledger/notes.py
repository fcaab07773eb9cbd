"""
What the generator writes down of each message while a run goes on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from smtpsource.ledger import records
from smtpsource.ledger.book import Book
from smtpsource.ledger.entries import Entries
from smtpsource.process.regular import openRegular
from smtpsource.process.unexpected import LEDGER_FAILED, Breakdown

#: Seconds that an outcome may wait for a message to be written along with.
_PATIENCE = 0.01

#: The address in a command: a path, whose local part may be a quoted string (RFC 5321 section 4.1.2).
_address = re.compile(rb'RCPT TO:<((?:[^"<>]*"(?:[^"\\]|\\.)*")?[^>]*)>', re.DOTALL).match


class Notes:
    """
    The ledger of a run: an intent for each recipient is in the file before the message's end leaves. Outcomes wait for
    the next intent, for C{_PATIENCE} at most: who kills this process leaves some messages without theirs, and nobody
    knows about them, as if their connections had been lost.

    @ivar idOf: see L{Entries.idOf}.
    @ivar intend: see L{Entries.intend}.
    @ivar outcome: see L{Entries.outcome}.
    @ivar write: see L{Entries.write}; what it raises is a L{Breakdown}. What was not written then is lost, and nothing
        may leave.
    @ivar book: the file, while it is open.
    @ivar path: its name; C{None} before L{open}, and after L{close} if nothing was noted.
    @ivar sessions: how many there were up to now.
    """

    def __init__(self, run: bytes, later: Callable[[float, Callable[[], None]], Any]) -> None:
        """
        @param run: the run's id.
        @param later: makes a call after so many seconds; what it returns has a C{cancel} and an C{active}.
        """
        self.book: Book | None = None
        self.path: str | None = None
        self.sessions = 0
        self._run = run
        self._later = later
        self._timer: Any = None
        self._failure: str | None = None
        self._header = 0
        self._entries = entries = Entries(run, self._find, self._writeSurely, self._setTimer)
        # Each of them is for every message.
        self.idOf, self.intend, self.outcome, self.write = (
            entries.idOf,
            entries.intend,
            entries.outcome,
            entries.write,
        )

    def open(self, directory: str, content: Mapping[str, Any], *, sync: bool, alone: bool = True) -> None:
        """
        Begin the file.

        @param content: more for its header.
        @param sync: as for L{Book}.
        @param alone: see that there is no other of this run. Workers have one each: for all of them there is
            L{seeAlone}, before the first begins.
        @raise Breakdown: there can't be one, or there is one of this run already.
        """
        run = self._run.decode("ascii")
        if alone:
            seeAlone(directory, run)
        try:
            self.book = Book(directory, "source", {"run": run, **content}, sync=sync)
            self.path = self.book.path
            self._header = os.fstat(self.book.fileno()).st_size
            if not sync:
                self._entries.descriptor = self.book.fileno()
        except OSError as e:
            raise Breakdown(LEDGER_FAILED, f"{directory}: {e.strerror}") from None

    def close(self) -> None:
        """
        Write what waits, and the end. If something could not be written before, that was told. Of a run that has sent
        nothing no file is left.

        @raise Breakdown: this can't be written.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        book, self.book = self.book, None
        self._entries.descriptor = -1
        if book is None:
            return
        try:
            if self._failure is None:
                book.add(self._entries.taken())
                if not book.waits and os.fstat(book.fileno()).st_size == self._header:
                    os.unlink(book.path)
                    self.path = None
            book.close(self._failure is None)
        except OSError as e:
            if self._failure is None:
                self._fail(book, e)

    def _writeSurely(self) -> None:
        if self._failure is not None:
            raise Breakdown(LEDGER_FAILED, self._failure)
        waiting, book = self._entries.taken(), self.book
        if not waiting:
            return
        if book is None:
            raise Breakdown(LEDGER_FAILED, f"{self.path}: it is closed, as the run is over")
        try:
            book.put(waiting)
        except OSError as e:
            self._fail(book, e)

    def _fail(self, book: Book, reason: OSError) -> None:
        """
        Nothing can be written, from now on.
        """
        self._entries.descriptor = -1
        self._failure = f"{book.path}: {reason.strerror}"
        raise Breakdown(LEDGER_FAILED, self._failure) from None

    def _setTimer(self) -> None:
        if self.book is not None:
            self._timer = self._later(_PATIENCE, self._timeOut)

    def _timeOut(self) -> None:
        self._entries.timed = False
        if self._failure is None:
            self.write()

    def _find(self, recipients: tuple[bytes, ...]) -> tuple[int, ...]:
        """
        The numbers of their addresses, which are named before the next record.
        """
        book = self.book
        assert book is not None
        found = tuple([book.address(addressIn(command)) for command in recipients])
        self._entries.add(book.taken())
        return found


def addressIn(command: bytes) -> bytes:
    """
    Whom a RCPT command names.
    """
    match = _address(command)
    return b"" if match is None else match[1]


def seeAlone(directory: str, run: str) -> None:
    """
    See that there is no generator's ledger of this run in a directory yet.

    @param run: the run's id.
    @raise Breakdown: there is one, or nobody can say.
    """
    try:
        other = _ofRun(directory, run)
    except OSError as e:
        raise Breakdown(LEDGER_FAILED, f"{directory}: {e.strerror}") from None
    if other is not None:
        text = f"{other} is of a run with the same id: expected another directory or another seed"
        raise Breakdown(LEDGER_FAILED, text)


def _ofRun(directory: str, run: str) -> str | None:
    """
    The path of a generator's ledger that is of this run already, if there is one.

    @raise OSError: the directory can't be read.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return None
    for name in sorted(names):
        if not (name.startswith("source-") and name.endswith(".ledger")):
            continue
        path = os.path.join(directory, name)
        try:
            with open(openRegular(path), "rb") as file:
                header, _ = records.parseHeader(file.readline(records.LONGEST_HEADER))
        except (OSError, ValueError):
            continue  # whatever it is, it is nothing of this run
        if header.get("run") == run:
            return path
    return None
