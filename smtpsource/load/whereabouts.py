"""
Where the destination of a run is: looked for before it begins, and again while it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from smtpsource.net.destination import (
    Address,
    HostDestination,
    ResolutionFailed,
    SinkDestination,
    TCPAddress,
    resolve,
)

if TYPE_CHECKING:
    from smtpsource.interfaces import IReactor
    from smtpsource.load.run import Run
    from smtpsource.load.workersrun import WorkersRun
    from smtpsource.plan import SourcePlan


class Whereabouts:
    """
    The addresses of the destination, as its name has them.
    """

    def __init__(
        self,
        reactor: IReactor,
        plan: SourcePlan,
        run: Run | WorkersRun,
        *,
        event: Callable[[str], object],
        tell: Callable[[str], None],
    ) -> None:
        """
        @param run: is told of other addresses.
        @param event: called with one line when there are others.
        @param tell: called with one line that the user should know of.
        """
        self._reactor = reactor
        self._plan = plan
        self._run = run
        self._event = event
        self._tell = tell
        self._addresses: Sequence[Address] = ()
        self._due: IDelayedCall | None = None
        self._told = self._isOver = False

    def find(self) -> Deferred[list[Address]]:
        """
        @return: all of them; or fails with L{ResolutionFailed}.
        """
        destination = self._plan.destination
        assert not isinstance(destination, str | SinkDestination)
        if not self._plan.mx:
            return resolve(self._reactor, destination)
        from smtpsource.net.mx import lookUp  # twisted.names takes a while

        assert isinstance(destination, HostDestination) and not isinstance(self._plan.dnsServer, str)
        found = lookUp(self._reactor, destination.host, self._plan.dnsServer, destination.family)
        port = destination.port
        return found.addCallback(
            lambda hosts: [TCPAddress(host.address, port, host.name, host.preference) for host in hosts]
        )

    def withinReach(self, addresses: list[Address]) -> list[Address]:
        """
        Those of them that can be reached from the addresses that connections are to come from.

        @raise ResolutionFailed: there are none.
        """
        sources = self._run.sources
        if sources is not None:
            addresses = [address for address in addresses if sources.reach(address)]
            if not addresses:
                raise ResolutionFailed("no address of the destination is of the same family as one to bind to")
        return addresses

    def follow(self, addresses: Sequence[Address]) -> None:
        """
        The run begins with these: look again from time to time, if the plan wants that.
        """
        self._addresses = addresses
        self._lookLater()

    def stop(self) -> None:
        """
        The run is over.
        """
        self._isOver = True
        if self._due is not None and self._due.active():
            self._due.cancel()

    def _lookLater(self) -> None:
        seconds = self._plan.resolveAgain
        if seconds is not None and not self._isOver:
            self._due = self._reactor.callLater(seconds, self._run.guarded, self._look)

    def _look(self) -> None:
        """
        Look for the addresses again, while the run goes on with those that are known.
        """
        found: Deferred[list[Address]] = maybeDeferred(self.find)
        found.addCallback(self.withinReach).addCallbacks(self._found, self._notFound)
        found.addErrback(lambda reason: self._run.broken(reason.value))

    def _found(self, addresses: list[Address]) -> None:
        if self._isOver:
            return
        if set(addresses) != set(self._addresses):
            self._addresses = addresses
            self._event(f"the destination has other addresses: {', '.join(map(str, addresses))}")
        self._run.reroute(addresses)
        self._lookLater()

    def _notFound(self, reason: Failure) -> None:
        """
        The name server may have its troubles: that is none of the mail server.
        """
        reason.trap(ResolutionFailed)
        if self._isOver:
            return
        text = reason.getErrorMessage()
        self._run.recorder.error("no-new-addresses", text)
        if not self._told:
            self._told = True
            self._tell(f"{text}; the run goes on with the addresses that it has")
        self._lookLater()
