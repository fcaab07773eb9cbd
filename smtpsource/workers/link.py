"""
A link: one worker, as its parent has it. The words are the same for a child of this process and for one far away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.protocols.basic import Int32StringReceiver

from smtpsource.workers import wire
from smtpsource.workers.wire import Kind


class WorkerFailed(Exception):
    """
    There can be no run with this worker; the text is one line for people.
    """


class Link:
    """
    What L{Band<smtpsource.workers.band.Band>} asks of a worker. Whoever makes one calls L{heard} with what the worker
    says, and L{gone} once, when there is no worker any more and all that it has said was heard.

    @ivar whenSaid: called with the kind of a message, and its body.
    @ivar whenGone: called with how it ended: empty if it did so in order, else one line.
    @ivar pid: the process of the worker, if it is one of this machine; C{None} before it runs.
    @ivar host: the machine of the worker, where that may be another one; else C{None}.
    @ivar id: what it is called by whoever has started it; C{None} if that is us.
    @ivar core: the processor that it keeps to; C{None} if any will do.
    """

    whenSaid: Callable[[Kind, Any], object]
    whenGone: Callable[[str], object]
    pid: int | None = None
    core: int | None = None
    host: str | None = None
    id: str | None = None

    def start(self) -> None:
        """
        Begin. What comes of it is heard later, the end as well.
        """
        raise NotImplementedError

    def send(self, kind: Kind, body: bytes | dict[str, Any] | None = None) -> None:
        """
        Say something to the worker. If there is none any more, nobody hears it.
        """
        raise NotImplementedError

    def kill(self, reason: str) -> None:
        """
        Give the worker up: it is gone soon.

        @param reason: why, as one line, which is how it ended.
        """
        raise NotImplementedError

    def heard(self, message: bytes) -> None:
        """
        The worker has said something. If that makes no sense, there is no use for this worker.
        """
        try:
            kind, body = wire.unpack(message)
        except ValueError:
            self.kill(f"said {message[:40]!r}, which is no word of a worker")
            return
        self.whenSaid(kind, body)

    def gone(self, how: str) -> None:
        """
        There is no worker any more.
        """
        self.whenGone(how)


class Words(Int32StringReceiver):
    """
    What comes over a pipe, as messages.
    """

    MAX_LENGTH = wire.LONGEST

    def __init__(self, said: Callable[[bytes], object], whenTooLong: Callable[[int], object]) -> None:
        """
        @param said: called with each message.
        @param whenTooLong: called with the length of one that is longer than any.
        """
        self._said = said
        self._whenTooLong = whenTooLong

    def stringReceived(self, string: bytes) -> None:
        self._said(string)

    def lengthLimitExceeded(self, length: int) -> None:
        self._whenTooLong(length)
