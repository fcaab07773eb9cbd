"""
A Maildir: each message is a file.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from itertools import chain, count

from zope.interface import implementer

from smtpsource.sink.keeping import envelope, files, texts
from smtpsource.sink.keeping.message import IKeeper, KeptMessage


@implementer(IKeeper)
class Maildir:
    """
    Writes each message to C{tmp}, and moves it to C{new} when it is complete: a reader never sees half of one. Lines
    end with LF. Python's C{mailbox} would hold the whole message in memory, and leaves a part of it on a full disk.
    """

    def __init__(self, path: str, hostname: str | None = None) -> None:
        """
        @param path: the directory.
        @param hostname: the name of this host; C{None} is the system's.
        """
        self._path, self._hostname = path, hostname or socket.gethostname()
        self._count = count(1)

    def make(self) -> None:
        """
        Make the directories that are missing.

        @raise OSError: that is not possible.
        """
        for name in ("tmp", "new", "cur"):
            os.makedirs(os.path.join(self._path, name), mode=0o700, exist_ok=True)

    def keep(self, message: KeptMessage) -> Callable[[], None]:
        """
        Write a message.

        @see: L{IKeeper.keep}
        """
        try:
            return self._deliver(message)
        except FileNotFoundError:
            self.make()
            return self._deliver(message)

    def close(self) -> None:
        """
        There is nothing to be done.
        """

    def _deliver(self, message: KeptMessage) -> Callable[[], None]:
        name = self._name()
        aside = os.path.join(self._path, "tmp", name)
        head = envelope.header(message, self._hostname)
        size = files.create(aside, chain([head], texts.withLF(message.content)), 0o600)
        place = os.path.join(self._path, "new", f"{name},S={size}")
        try:
            os.rename(aside, place)
        except OSError:
            files.remove(aside)
            raise
        return lambda: files.remove(place)

    def _name(self) -> str:
        """
        A name that no other message has, whoever delivers it.
        """
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        host = self._hostname.replace("/", "\\057").replace(":", "\\072")
        return f"{seconds}.M{nanoseconds // 1000}P{os.getpid()}Q{next(self._count)}.{host}"
