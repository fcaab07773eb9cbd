"""
Many workers over one pipe: each message has the number of the worker that it is to or from before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from smtpsource.process.children import exactly
from smtpsource.workers.wire import LONGEST

#: Who has started the coordinator, and is no worker.
MASTER = 0xFFFFFFFF

#: Bytes of a number, and of a length.
_WIDTH = 4


def enclose(number: int, message: bytes) -> bytes:
    """
    A message with its address before it.

    @param number: the worker's index, or L{MASTER}.
    """
    return number.to_bytes(_WIDTH) + message


def opened(envelope: bytes) -> tuple[int, bytes]:
    """
    The opposite of L{enclose}.

    @raise ValueError: it is too short.
    """
    if len(envelope) <= _WIDTH:
        raise ValueError(f"expected a number and a message, not {envelope!r}")
    return int.from_bytes(envelope[:_WIDTH]), envelope[_WIDTH:]


def framed(message: bytes) -> bytes:
    """
    A message as it goes over a pipe: with its length.
    """
    return len(message).to_bytes(_WIDTH) + message


def receive(descriptor: int) -> tuple[int, bytes]:
    """
    The next message, as soon as it is there, and whom it is from: for a process that has nothing else to do.

    @raise ValueError: it is none, or none comes any more.
    @raise OSError: it can't be read.
    """
    length = int.from_bytes(exactly(descriptor, _WIDTH))
    if length > LONGEST:
        raise ValueError(f"expected at most {LONGEST} bytes at once, not {length}")
    envelope = exactly(descriptor, length)
    if len(envelope) < length:
        raise ValueError("expected a whole message")
    return opened(envelope)


class Framed:
    """
    What comes over a pipe, as messages: for those who have no Twisted, as C{Int32StringReceiver} is for those who do.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def received(self, data: bytes) -> Iterator[bytes]:
        """
        The messages that are complete with this.

        @raise ValueError: one would be longer than any is.
        """
        self._rest += data
        while len(self._rest) >= _WIDTH:
            length = int.from_bytes(self._rest[:_WIDTH])
            if length > LONGEST:
                raise ValueError(f"expected at most {LONGEST} bytes at once, not {length}")
            if len(self._rest) < _WIDTH + length:
                return
            message = bytes(self._rest[_WIDTH : _WIDTH + length])
            del self._rest[: _WIDTH + length]
            yield message
