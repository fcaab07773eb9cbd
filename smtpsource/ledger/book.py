"""
The ledger that a process writes.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from smtpsource._version import __version__
from smtpsource.ledger import digests, records

#: How many addresses are known to have been named; when there are more, they are named again.
_NAMED = 65536

#: No more octets wait for a disk that is full.
_MOST_WAITING = 1 << 20


class Book:
    """
    One process's ledger: a new file in a directory of its own, added to until it is closed.

    @ivar path: its name.
    @ivar directory: where it is.
    """

    def __init__(self, directory: str, role: str, content: Mapping[str, Any], *, sync: bool = False) -> None:
        """
        @param directory: it is made if there is none.
        @param role: C{"source"} or C{"sink"}.
        @param content: what the header has beside the clocks: C{run} (the run's id), C{command}, C{plan} ...
        @param sync: what is written is to be on the disk before L{put} returns: fdatasync(2).
        @raise OSError: there can't be one.
        """
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self.directory = directory
        wall, monotonic = time.time_ns(), time.monotonic_ns()
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(wall // 10**9))
        self._descriptor = -1
        attempt = 0
        while self._descriptor < 0:
            suffix = f".{attempt}" if attempt else ""
            self.path = os.path.join(directory, f"{role}-{moment}-{os.getpid()}{suffix}.ledger")
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                self._descriptor = os.open(self.path, flags, 0o600)
            except FileExistsError:
                attempt += 1
        self._sync = sync
        self._waiting = bytearray()
        self._named: set[int] = set()
        header = {
            "role": role,
            "version": __version__,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "boot": _boot(),
            "wall": wall,
            "monotonic": monotonic,
            "offset": wall - monotonic,
            **content,
        }
        self._write(records.headerOf(header))

    def put(self, record: bytes) -> None:
        """
        Write records, behind those that wait, and return when it is done.

        @raise OSError: they can't be written: nothing of them is there, and those that waited go on waiting. If it is
            only not known whether they are on the disk, as was wanted, all of them are in the file.
        """
        if self._waiting:
            try:
                self._write(bytes(self._waiting) + record)
            except OSError:
                if len(self._waiting) > _MOST_WAITING:
                    self._waiting.clear()
                    self._named.clear()
                raise
            self._waiting.clear()
        else:
            self._write(record)
        if self._sync:
            os.fdatasync(self._descriptor)

    def add(self, record: bytes) -> None:
        """
        Have records written along with the next ones, or when L{flush} is called.
        """
        self._waiting += record

    def flush(self) -> None:
        """
        Write what waits.

        @raise OSError: it can't be written.
        """
        if self._waiting:
            self.put(b"")

    def taken(self) -> bytes:
        """
        What waits, for those who write it themselves.
        """
        waiting = bytes(self._waiting)
        self._waiting.clear()
        return waiting

    @property
    def waits(self) -> bool:
        """
        Is there anything that waits?
        """
        return bool(self._waiting)

    def fileno(self) -> int:
        """
        The open file, for those who have it on the disk in their own time.
        """
        return self._descriptor

    def address(self, text: bytes) -> int:
        """
        The number of a mailbox. It is named along with the next records, if it was not lately.

        @param text: as in a path, without brackets.
        """
        number = digests.ofAddress(text)
        if number not in self._named:
            if len(self._named) >= _NAMED:
                self._named.clear()
            self._named.add(number)
            self._waiting += records.named(records.ADDRESS, number, text, time.monotonic_ns())
        return number

    def close(self, inOrder: bool = True) -> None:
        """
        The end; nothing can be written any more. Whatever goes wrong with that, it is closed.

        @raise OSError: what waited can't be written.
        """
        if self._descriptor < 0:
            return
        try:
            self.put(records.pack(records.END, inOrder, 0, 0, 0, 0, time.monotonic_ns(), 0, 0, 0, 0, 0))
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, octets: bytes) -> None:
        written = 0
        try:
            while written < len(octets):
                written += os.write(self._descriptor, octets[written:] if written else octets)
        except OSError:
            if written:
                # Records have their places by their size.
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise


def _boot() -> str:
    """
    Which boot of which machine this is: monotonic clocks of the same can be compared.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
