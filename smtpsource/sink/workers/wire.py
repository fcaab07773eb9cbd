"""
What the parent of a sink's workers and they say to each other.

A message is its length (four bytes, as in Twisted's C{Int32StringReceiver}) and a pickle of its kind and what there is
to say: both ends are the same program, of the same user, and nobody else has the descriptors.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from smtpsource.process.children import exactly

#: The descriptors of a worker: what its parent says, what it says, the connections that it is given, the memory that
#: all share, and the first of the sockets that it listens on itself.
READ, WRITE, CONNECTIONS, SHARED, LISTENING = 3, 4, 5, 6, 7

#: No message is longer: an answer has the content of a message in it, as large as a sink keeps one.
LONGEST = (1 << 31) - 1

_LENGTH = struct.Struct("!I")


class Kind(Enum):
    """
    The kinds of messages.
    """

    # From the parent.
    #: A L{Task<smtpsource.sink.workers.task.Task>}: what to be.
    TASK = auto()
    #: C{(user, root)}: become that user, see only that directory, if they are not C{None}; and begin.
    BEGIN = auto()
    #: A limit is reached, of all workers together: see L{SinkFactory.limitReached}.
    LIMIT = auto()
    #: There may be room for another session.
    ROOM = auto()
    #: For what reason: end within the grace period.
    FINISH = auto()
    #: C{(number, Question)}: something about its control.
    ASK = auto()
    #: Whether somebody watches what happens.
    WATCH = auto()

    # From a worker.
    #: The path of its ledger, or C{None}: it listens.
    READY = auto()
    #: Why it can't begin, as one line.
    UNUSABLE = auto()
    #: A L{Counted<smtpsource.sink.workers.counted.Counted>}: what it has counted so far.
    COUNTS = auto()
    #: C{(kind, text)}: see L{SinkService.breakDown}.
    BROKEN = auto()
    #: One line for people.
    COMPLAINT = auto()
    #: A line of the log.
    LOG = auto()
    #: C{(skipped, events)}: what has happened, the latest; and how much more.
    EVENTS = auto()
    #: C{(number, Answer)}: what it has to say to what was asked.
    ANSWER = auto()
    #: A L{Result<smtpsource.sink.workers.counted.Result>}: it is over.
    END = auto()


def packed(kind: Kind, body: Any = None) -> bytes:
    """
    A message, without its length.
    """
    return pickle.dumps((kind, body), pickle.HIGHEST_PROTOCOL)


def unpacked(message: bytes) -> tuple[Kind, Any]:
    """
    The opposite of L{packed}.
    """
    kind, body = pickle.loads(message)
    return kind, body


def framed(message: bytes) -> bytes:
    """
    A message with its length.
    """
    return _LENGTH.pack(len(message)) + message


def readFirst(descriptor: int) -> tuple[Kind, Any] | None:
    """
    Wait for a message, without a reactor.

    @return: C{None} if there is nobody to say one.
    @raise OSError: it can't be read.
    """
    prefix = exactly(descriptor, _LENGTH.size)
    if len(prefix) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(prefix)
    message = exactly(descriptor, length)
    return unpacked(message) if len(message) == length else None


class Received:
    """
    Messages that come in pieces.
    """

    def __init__(self) -> None:
        self._waiting = bytearray()

    def add(self, data: bytes) -> Iterator[tuple[Kind, Any]]:
        """
        Some more has come.

        @return: what is complete now.
        """
        waiting = self._waiting
        waiting += data
        while len(waiting) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(waiting)[0]
            if len(waiting) < end:
                return
            message = bytes(waiting[_LENGTH.size : end])
            del waiting[:end]
            yield unpacked(message)
