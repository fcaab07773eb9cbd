"""
The turns of a reactor's event loop: events are waited for and handled, then what had to wait for that.

See L{smtpsource.net.reactor} for what differs from Twisted's, and for the private names of Twisted that are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.epollreactor import EPOLLIN, EPOLLOUT
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from smtpsource.speedups import compiled

_INOUT = EPOLLIN | EPOLLOUT

#: How many events are asked for where there is no memory for more: Python keeps room for such small things.
_FEW = 16

_GONE = error.ConnectionFdescWentAway("File descriptor lost")


@compiled
class Turns:
    """
    One reactor's turns. It has no subclass of the reactor's for that, so that one can stand for another: Twisted's own
    tests of reactors change the class of the one that is there.

    @ivar turn: How often events were waited for.
    @ivar handlingEvents: Whether what runs now was called for an event, not by a timed call.
    @ivar current: The descriptor whose event is being handled, or C{None}.
    @ivar stale: Descriptors taken out of the epoll set since the last poll. An event for one of them is about a socket
        that may be closed by now, whose number may already belong to another. No set: where there is no memory to make
        one larger, Python fills it up all the same, and then looks for ever for what is not in it.
    @ivar soon: Those whose C{doSoon} is to be called after the events of this turn.
    @ivar once: Somebody has asked for one turn, and no more.
    @ivar isChanged: The reactor may not want to wait any more for what it has waited for.
    """

    turn = 0
    handlingEvents = False
    current: Any = None
    isChanged = False
    once = False

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.stale: dict[int, None] = {}
        self.soon: list[Any] = []

    def poll(self, timeout: float | None) -> None:
        """
        Wait for events and handle them.

        @param timeout: How long to wait at most, in seconds; C{None} is for ever.
        """
        timeout, overdue = self.waitingTime(timeout)
        self.stale.clear()
        try:
            events = self.reactor._poller.poll(timeout, len(self.reactor._selectables))
        except InterruptedError:
            return
        except MemoryError:
            # What could not be had is room for the events: a few are enough to go on.
            events = self.reactor._poller.poll(timeout, _FEW)
        self.turn += 1
        self.handlingEvents = True
        try:
            self.handle(events)
            if self.soon:
                self.doSoon()
        finally:
            self.handlingEvents = False
            self.current = None
        if overdue is not None:
            self.reactor.connectTimeouts.expire(overdue)

    def waitingTime(self, timeout: float | None) -> tuple[float, float | None]:
        """
        @param timeout: How long the reactor may wait for events at most, in seconds; C{None} is for ever.
        @return: The same, no longer than those who connect want; -1 is for ever. And the time, if some of them
            have waited long enough: who has been answered by now is found first.
        """
        if self.soon:
            timeout = 0
        elif timeout is None:
            timeout = -1
        due = self.reactor.connectTimeouts.due
        if due is None:
            return timeout, None
        now = self.reactor.seconds()
        if due <= now:
            return 0, now
        return (due - now if timeout < 0 or timeout > due - now else timeout), None

    def handle(self, events: list[tuple[int, int]]) -> bool:
        """
        Handle events of one turn.

        @return: Whether the others of this turn have to wait.
        """
        selectables = self.reactor._selectables
        stale = self.stale
        for fd, event in events:
            if fd in stale:
                continue
            selectable = selectables.get(fd)
            if selectable is None:
                continue
            self.current = selectable
            ready = event & _INOUT
            if ready != EPOLLIN and event != EPOLLOUT:
                # Errors, and both at once: the rare cases.
                self._logged(self._doReadOrWrite, selectable, fd, event)
                continue
            try:
                if selectable.fileno() == -1:
                    why: Any = _GONE
                elif ready == EPOLLIN:
                    why = selectable.doRead()
                else:
                    why = selectable.doWrite()
            except BaseException as e:
                why = e
                self.raised(selectable, e)
            if why and self.over(selectable, why, ready == EPOLLIN):
                return True
        return False

    def over(self, selectable: Any, why: Any, isRead: bool) -> bool:
        """
        Disconnect what has come to its end, for a reason or by an exception.

        @return: Whether others have to wait.
        """
        self._logged(self.reactor._disconnectSelectable, selectable, why, isRead)
        # Without memory they would meet the same: timed calls first, which may end what needs so much.
        return isinstance(why, MemoryError)

    def _logged(self, call: Callable[..., Any], *arguments: Any) -> None:
        """
        Make a call, and log what it raises.
        """
        try:
            call(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as e:
            self.reactor.logFailure(e)

    def raised(self, selectable: Any, exception: BaseException) -> None:
        """
        Log what was raised by C{doRead} and its like; unless its protocol is one that tells itself what it is told by
        C{connectionLost}: see C{explainsFailures} of L{smtpsource.smtp.owed.OwedReplies}.
        """
        if isinstance(exception, MemoryError):
            self.reactor.spare.release()  # before anything else, which would take some
        protocol = getattr(selectable, "protocol", None)
        protocol = getattr(protocol, "wrappedProtocol", protocol)  # of TLS
        if not getattr(protocol, "explainsFailures", False):
            self.reactor.logFailure(exception)

    def _doReadOrWrite(self, selectable: Any, fd: int, event: int) -> None:
        """
        Handle an event that is not just one for reading or one for writing.
        """
        why: Any
        if event & self.reactor._POLL_DISCONNECTED and not event & EPOLLIN:
            # Whoever reads has been told before that there is nothing more to come.
            isRead = fd in self.reactor._reads
            why = CONNECTION_DONE if isRead else CONNECTION_LOST
        else:
            why, isRead = None, False
            try:
                if selectable.fileno() == -1:
                    why = _GONE
                else:
                    if event & EPOLLIN:
                        why, isRead = selectable.doRead(), True
                    if not why and event & EPOLLOUT:
                        why, isRead = selectable.doWrite(), False
            except BaseException as e:
                why = e
                self.raised(selectable, e)
        if why:
            self.reactor._disconnectSelectable(selectable, why, isRead)

    def doSoon(self) -> None:
        """
        Call C{doSoon} of all that asked for it so far.
        """
        soon, self.soon = self.soon, []
        for descriptor in soon:
            self.current = descriptor
            try:
                why = descriptor.doSoon()
            except BaseException as e:
                why = e
                self.raised(descriptor, e)
            if why:
                self._logged(self.reactor._disconnectSelectable, descriptor, why, False)
