"""
The records of the generator, as they are made for each message: what costs something there was worked out before.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol
from zlib import crc32

from smtpsource.ledger.records import INTENT, LARGEST_SIZE, OUTCOME, WHOLE, pack
from smtpsource.speedups import compiled


class Noted(Protocol):
    """
    A message, as far as it matters here.

    @ivar number: in the run, from 1.
    @ivar attempt: which attempt is noted, from 1. It is 0 before the first; that of one that is to be sent once more
        has a minus before it.
    """

    number: int
    attempt: int


@compiled
class Entries:
    """
    Ids and records of one run.

    @ivar timed: does somebody see to it that what waits is written in time?
    @ivar descriptor: for the compiled twin: of the file that may be written to without further ado; -1 for none.
    """

    def __init__(
        self,
        run: bytes,
        find: Callable[[tuple[bytes, ...]], tuple[int, ...]],
        writeSurely: Callable[[], None],
        setTimer: Callable[[], None],
    ) -> None:
        """
        @param run: the run's id, 16 hexadecimal digits.
        @param find: gives the numbers of the addresses in RCPT commands.
        @param writeSurely: writes what waits, or raises why it can't.
        @param setTimer: sees to it that what waits is written in time.
        """
        self._waiting = bytearray()
        self.timed = False
        self.descriptor = -1
        self._find = find
        self._writeSurely = writeSurely
        self._setTimer = setTimer
        # The commands that were looked at last, and what was found.
        self._commands: tuple[bytes, ...] = ()
        self._addresses: tuple[int, ...] = ()
        self._run = int(run, 16)
        self._prefix = run + b"-"
        self._check = crc32(self._prefix)

    def idOf(self, number: int) -> bytes:
        """
        As L{smtpsource.ledger.identity.idOf}, for this run.
        """
        digits = b"%d" % number
        return b"%b%b-%08x" % (self._prefix, digits, crc32(digits, self._check))

    def intend(self, message: Noted, commands: tuple[bytes, ...], digests: tuple[int, int, int]) -> None:
        """
        A message is about to leave: L{write} comes before that. If its content was asked for before, that was noted.

        @param commands: those that name its recipients. From the 65,535th on they share an index.
        @param digests: of its body, as it is and in canonical form, and its size.
        """
        attempt = message.attempt
        if attempt > 0:
            return
        if commands is not self._commands:
            self._addresses = self._find(commands)
            self._commands = commands
        message.attempt = attempt = 1 - attempt
        run, number, now = self._run, message.number, monotonic_ns()
        raw, canonical, size = digests
        attempt, size = min(attempt, 255), min(size, LARGEST_SIZE)
        for place, address in enumerate(self._addresses):
            index = min(place, WHOLE - 1)
            self.add(pack(INTENT, attempt, index, 0, run, number, now, address, raw, canonical, size, 0))

    def outcome(self, number: int, flag: int, index: int, code: int, due: int, session: int) -> None:
        """
        There is an outcome.

        @param number: the message's.
        @param flag: such as L{smtpsource.ledger.records.ACKNOWLEDGED}.
        @param index: of the recipient, or L{smtpsource.ledger.records.WHOLE}.
        @param due: when the message was due, or 0.
        @param session: the number of the session that has sent it.
        """
        self.add(pack(OUTCOME, flag, index, code, self._run, number, monotonic_ns(), 0, due, 0, 0, session))
        if not self.timed:
            self.timed = True
            self._setTimer()

    def add(self, octets: bytes) -> None:
        """
        Let records wait.
        """
        self._waiting += octets

    def taken(self) -> bytes:
        """
        What waits, for those who write it.
        """
        waiting = bytes(self._waiting)
        self._waiting.clear()
        return waiting

    def write(self) -> None:
        """
        Write what waits.

        @raise Exception: that can't be done.
        """
        self._writeSurely()
