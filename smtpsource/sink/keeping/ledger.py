"""
The ledger of a sink: what has arrived is written down before anybody is told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from errno import EBADF
from time import monotonic_ns
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred, execute
from twisted.logger import Logger

from smtpsource.ledger import digests, records
from smtpsource.ledger.book import Book
from smtpsource.sink.keeping.arrivals import Arrivals
from smtpsource.sink.keeping.digested import Digested
from smtpsource.speedups import compiled

log = Logger()

# What follows RCPT TO: the path, which may have a bracket between quotes, and parameters.
_path = re.compile(rb' ?<((?:[^">]|"(?:[^"\\]|\\.)*+")*+)>(.*)', re.DOTALL).fullmatch
_simplePath = re.compile(rb" ?<([^>]*)>(.*)", re.DOTALL).fullmatch
_original = re.compile(rb" ORCPT=(?:rfc822|utf-8);([^ ]+)", re.IGNORECASE).search
_encoded = re.compile(rb"\+([0-9A-Fa-f]{2})")


@compiled
class SinkLedger:
    """
    Writes what arrives, and has it on the disk if that is wanted.

    @ivar isSynced: nobody is told of an arrival before it is on the disk.
    @ivar path: the name of the file; empty before L{open}.
    @ivar inThread: does something in a thread.
    @ivar later: calls something in a later turn of the reactor.
    @ivar lastBody: the body that came last, C{lastRaw} and C{lastCanonical} its digests: most messages of a load have
        the same. C{lastCoding}: how the head says that it is encoded.
    @ivar isQuiet: nothing was written since L{beAlive}.
    """

    def __init__(self, directory: str, content: Mapping[str, Any], *, sync: bool = False) -> None:
        """
        @param content: for the header.
        @param sync: see C{isSynced}.
        """
        self._directory, self._content = directory, content
        self.isSynced = sync
        self.path = ""
        self._book: Book | None = None
        self.inThread: Callable[[Callable[[], Any]], Deferred[Any]] = execute
        self.later: Callable[[Callable[[], None]], object] = lambda call: call()
        self._waiting: list[Callable[[OSError | None], None]] = []
        self._isSyncing = False
        self.lastBody = b""
        self.lastCoding: bytes | None = None
        self.lastRaw, self.lastCanonical = digests.ofBody(b"", b"")
        self.isQuiet = False
        self._bytesHeard = 0
        self.descriptor = -1

    def open(self) -> None:
        """
        Begin the file, if that was not done.

        @raise OSError: there can't be one.
        """
        if self._book is None:
            self._book = Book(self._directory, "sink", self._content)
            self.path = self._book.path
            self.descriptor = self._book.fileno()

    def content(self) -> Digested:
        """
        For a content that begins to come.
        """
        return Digested()

    def contentOf(self, file: BinaryIO) -> Digested:
        """
        For one that is there.

        @param file: it can be read again.
        """
        return Digested.of(file)

    def arrivals(self, content: Digested, session: int, isReport: bool, mail: bytes) -> Arrivals:
        """
        For a content that has come: see L{Arrivals}.
        """
        return Arrivals(self, content, session, isReport, mail)

    def address(self, text: bytes) -> int:
        """
        The number of an address, which is named along with the next records if it has to be.
        """
        return self._book.address(text) if self._book is not None else 0

    def recipient(self, text: bytes) -> tuple[int, int]:
        """
        Whom a message is for.

        @param text: what follows C{RCPT TO:} in a line that is well written.
        @return: the number of the address in its path, and that of the one that it was sent to, if ORCPT says that it
            was another, or 0.
        """
        match = _path(text) or _simplePath(text)
        assert match is not None
        number = self.address(match[1])
        original = _original(match[2])
        if original is None:
            return number, 0
        other = self.address(_encoded.sub(lambda found: bytes([int(found[1], 16)]), original[1]))
        return number, 0 if other == number else other

    def named(self, session: int, client: str) -> None:
        """
        Say along with the next records where a session comes from.
        """
        if self._book is not None:
            self._book.add(records.named(records.FROM, session, client.encode(), monotonic_ns()))

    def digestsOf(self, head: bytes, body: bytes) -> tuple[int, int]:
        """
        The digests of a body, as it came and in canonical form.
        """
        coding = digests.encodingIn(head)
        if body != self.lastBody or coding != self.lastCoding:
            self.lastRaw, self.lastCanonical = digests.ofBody(head, body)
            self.lastBody, self.lastCoding = body, coding
        return self.lastRaw, self.lastCanonical

    def put(self, octets: bytes) -> None:
        """
        Write records.

        @raise OSError: they can't be written.
        """
        if self._book is None:
            raise OSError(EBADF, "The ledger is closed")
        self.isQuiet = False
        self._book.put(octets)

    def unseen(self, session: int, arrivals: int) -> None:
        """
        A session that had arrivals has ended, and nobody knows whether the replies to its latest ones were read.

        @param arrivals: how many; if it is 0, that is written along with the next records.
        @raise OSError: it can't be written.
        """
        kind = records.UNSEEN if arrivals else records.LEFT
        record = records.pack(kind, 0, 0, 0, 0, 0, monotonic_ns(), 0, 0, 0, arrivals, session)
        if arrivals:
            self.put(record)
        elif self._book is not None:
            self._book.add(record)

    def takeBack(self, octets: bytes, code: int) -> None:
        """
        What was written did not get to the disk, as far as is known.

        @param octets: it.
        @param code: of the reply.
        @raise OSError: this can't be written, either.
        """
        self.put(records.takenBack(octets, code))

    def beAlive(self, bytesReceived: int) -> None:
        """
        Say so, if nothing was written since this was called last, and whether a client has said anything.

        @param bytesReceived: all that clients have sent up to now.
        @raise OSError: it can't be written.
        """
        hasHeard, self._bytesHeard = bytesReceived != self._bytesHeard, bytesReceived
        if self.isQuiet:
            self.put(records.pack(records.ALIVE, hasHeard, 0, 0, 0, 0, monotonic_ns(), 0, 0, 0, 0, 0))
        self.isQuiet = True

    def whenSynced(self, call: Callable[[OSError | None], None]) -> None:
        """
        Call something when all that was written until now is on the disk. All who wait meanwhile share the next sync.

        @param call: is given what went wrong, or C{None}.
        """
        self._waiting.append(call)
        if not self._isSyncing:
            self._isSyncing = True
            # Much may come in one turn.
            self.later(self._sync)

    def _sync(self) -> None:
        calls, self._waiting = self._waiting, []
        descriptor = self.descriptor

        def synced(problem: OSError | None) -> None:
            # Of those who wait meanwhile, none is called by what these do.
            for call in calls:
                try:
                    call(problem)
                except Exception:
                    log.failure("a reply that has waited for the disk")
            self._isSyncing = bool(self._waiting)
            if self._isSyncing:
                self.later(self._sync)

        def attempt() -> OSError | None:
            try:
                os.fdatasync(descriptor)
            except OSError as e:
                return e
            return None

        self.inThread(attempt).addErrback(_asError).addCallback(synced)

    def close(self) -> None:
        """
        The sink has ended in order.

        @raise OSError: that can't be written.
        """
        book, self._book = self._book, None
        self.descriptor = -1
        if book is None:
            return
        try:
            if self.isSynced:
                book.flush()
                os.fdatasync(book.fileno())
        finally:
            book.close()


def _asError(failure: Any) -> OSError:
    """
    There can't be a thread.
    """
    return OSError(0, str(failure.value))
