"""
What our transports ask of their reactor, which is L{smtpsource.net.reactor.LeanReactor}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall


class TransportReactor(Protocol):
    """
    The reactor of a transport: what it does beyond Twisted's, and what it has in common with them.

    @ivar retrying: transports that will call connect(2) again, and that nothing else knows of.
    """

    retrying: set[Any]

    @property
    def turn(self) -> int:
        """
        How often events were waited for.
        """

    def watchReading(self, fd: int, descriptor: Any) -> None:
        """
        Call C{descriptor.doRead} from now on, and C{doWrite} no more.
        """

    def watchConnecting(self, fd: int, descriptor: Any) -> None:
        """
        Call C{descriptor.doWrite} when C{fd}, which is new, is connected.
        """

    def forget(self, fd: int) -> None:
        """
        Call nothing for C{fd} any more; do nothing if it is not known.
        """

    def finishSoon(self, descriptor: Any) -> None:
        """
        Call C{descriptor.doSoon} after all events of this turn, or of the next if there is none under way. An
        exception, or what it returns other than C{None}, disconnects it.
        """

    def addReader(self, reader: Any, /) -> None:
        """
        @see: L{twisted.internet.interfaces.IReactorFDSet.addReader}
        """

    def addWriter(self, writer: Any, /) -> None:
        """
        @see: L{twisted.internet.interfaces.IReactorFDSet.addWriter}
        """

    def callLater(self, delay: float, call: Callable[..., object], /, *args: object) -> IDelayedCall:
        """
        @see: L{twisted.internet.interfaces.IReactorTime.callLater}
        """
