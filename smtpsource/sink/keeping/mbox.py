"""
An mbox file: all messages, one after the other.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from itertools import chain

from zope.interface import implementer

from smtpsource.sink.keeping import envelope, files, texts
from smtpsource.sink.keeping.message import IKeeper, KeptMessage

#: What an address has between quotes only, and would be taken for its end.
_BLANKS = re.compile(rb"\s")


@implementer(IKeeper)
class Mbox:
    """
    Adds each message to a file, of the kind called mboxrd: see L{texts.quoted}. Lines end with LF. Python's C{mailbox}
    would read the whole file first, and leaves a part of the message on a full disk.
    """

    def __init__(self, path: str, hostname: str | None = None) -> None:
        """
        @param path: the file.
        @param hostname: the name of this host; C{None} is the system's.
        """
        self._path, self._hostname = path, hostname or socket.gethostname()

    def keep(self, message: KeptMessage) -> Callable[[], None]:
        """
        Write a message.

        @see: L{IKeeper.keep}
        """
        sender = _BLANKS.sub(b"-", envelope.addressOf(message.sender)) or b"MAILER-DAEMON"
        when = time.asctime(time.gmtime(message.received)).encode()
        head = b"From %b %b\n" % (sender, when) + envelope.header(message, self._hostname)
        return files.append(self._path, chain([head], texts.quoted(texts.withLF(message.content)), [b"\n"]), 0o600)

    def close(self) -> None:
        """
        There is nothing to be done.
        """
