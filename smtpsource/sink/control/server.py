"""
The control of a sink, as a server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError

from smtpsource.process.listening import ListenError, addressOf, removeStale
from smtpsource.sink.control.asked import LARGEST_BODY
from smtpsource.sink.control.events import Events
from smtpsource.sink.control.paths import Paths, paths
from smtpsource.sink.control.site import site
from smtpsource.sink.control.where import parseControl, tokenOf
from smtpsource.web.guard import Guard
from smtpsource.web.visitors import Visitors

if TYPE_CHECKING:
    from smtpsource.sink.steering import Steering

#: The most connections at once, of those who wait and those who have just come.
MOST = 64

#: So many more may wait outside.
BACKLOG = 512

#: The most octets of a request: a body that is too large is read to its end, so that the client can be told, unless it
#: is larger than this.
LARGEST = 16 * LARGEST_BODY


class ControlServer:
    """
    Serves the control of one sink.
    """

    def __init__(
        self,
        reactor: Any,
        steering: Steering,
        text: str,
        tokenFile: str | None = None,
        pathsOf: Callable[[Any, Steering, Events], Paths] = paths,
    ) -> None:
        """
        @param reactor: provides C{IReactorTCP}, C{IReactorUNIX} and C{IReactorTime}.
        @param steering: the sink. What it publishes goes to those who watch.
        @param text: where, see L{parseControl}.
        @param tokenFile: has what a client needs; without one the environment may have it.
        @param pathsOf: gives all that can be asked.
        @raise ValueError: it can't be there, or not without a token; the text is one line.
        """
        where = parseControl(text)
        token = tokenOf(where, tokenFile)
        self._reactor = reactor
        self._where = where
        self._port: Any = None
        events = Events()
        steering.publish = events.publish
        served = site(reactor, pathsOf(reactor, steering, events), Guard(where, token, "smtpsink"))
        self._visitors = Visitors(served, reactor, MOST, LARGEST)

    @property
    def address(self) -> str:
        """
        Where it is served, while it is, as L{parseControl} takes it.
        """
        assert self._port is not None, "not before listen"
        return str(self._where if self._where.path else replace(self._where, port=self._port.getHost().port))

    def listen(self) -> None:
        """
        Begin to serve.

        @raise ListenError: it is not possible there.
        """
        where = self._where
        try:
            if where.path:
                removeStale(where.path)
                self._port = self._reactor.listenUNIX(where.path, self._visitors, BACKLOG, mode=0o600)
            else:
                address = addressOf(where.host)
                self._port = self._reactor.listenTCP(where.port, self._visitors, BACKLOG, interface=address)
        except (CannotListenError, OSError) as e:
            raise ListenError(f"can't be controlled at {where}", e) from e
        self._visitors.serveAt(self._port)

    def close(self) -> Deferred[Any]:
        """
        Serve no longer; connections are closed.

        @return: fires when nobody listens any more.
        """
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        self._visitors.abort()
        return maybeDeferred(port.stopListening)
