"""
The metrics of a run over HTTP, for Prometheus.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.web.http import Request
from twisted.web.resource import Resource

from smtpsource.measure.progress import Running
from smtpsource.process.listening import ListenError, joined
from smtpsource.report.prometheus import RunCollector
from smtpsource.web.door import SHARE
from smtpsource.web.visitors import QuietSite, Visitors

__all__ = ["MOST", "ListenError", "MetricsService", "Source"]

_log = Logger()

#: The most connections at once: a run has few descriptors to spare for them (see L{smtpsource.process.openfiles}).
MOST = 16

#: So many more may wait outside.
_BACKLOG = 512

#: The most bytes that a request may have.
_LARGEST = 32_768


class Source(Running, Protocol):
    """
    A run that can be watched, and that says when it is over: a L{smtpsource.load.service.SourceService}.
    """

    def whenDone(self) -> Deferred[Any]:
        """
        @return: fires when it is over.
        """


class _Metrics(Resource):
    """
    What Prometheus asks for.
    """

    isLeaf = True

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._registry = registry

    def render_GET(self, request: Request) -> bytes:
        """
        All metrics, in the format that the client likes best.
        """
        # Here and not in a thread: nobody changes the recorder meanwhile, and a thread would stop the reactor as well.
        encode, contentType = choose_encoder(request.getHeader("accept") or "")
        request.setHeader("content-type", contentType)
        return encode(self._registry)


class _Start(Resource):
    """
    What people see who come without a path.
    """

    def getChild(self, path: bytes, request: Request) -> Resource:
        """
        This page is there at C{/} only.
        """
        return self if path == b"" else super().getChild(path, request)

    def render_GET(self, request: Request) -> bytes:
        """
        The way to the metrics.
        """
        request.setHeader("content-type", "text/html; charset=utf-8")
        return (
            b"<!DOCTYPE html>\n<html lang=en><title>smtpsource</title>\n"
            b"<p>smtpsource: a run goes on here. Its <a href=/metrics>metrics</a> are for Prometheus.</html>\n"
        )


class MetricsService(Service):
    """
    Serves the metrics of one run at C{/metrics}, from C{startService} to C{stopService}, or until the run is over.
    """

    name = "metrics"

    def __init__(
        self,
        reactor: Any,
        source: Source,
        port: int,
        interface: str = "127.0.0.1",
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """
        @param reactor: provides C{IReactorTCP} and C{IReactorTime}.
        @param port: where; 0 is any that is free.
        @param interface: at which address.
        @param clock: for the seconds that it takes.
        """
        self._reactor = reactor
        self._source = source
        self._where = port, interface
        self._clock = clock
        self._port: Any = None

    @property
    def url(self) -> str:
        """
        Where the metrics are, while they are served.
        """
        assert self._port is not None, "not before startService"
        return f"http://{joined(self._where[1], self._port.getHost().port)}/metrics"

    def startService(self) -> None:
        """
        Begin to serve.

        @raise ListenError: it is not possible there.
        """
        port, interface = self._where
        registry = CollectorRegistry(auto_describe=False)
        registry.register(RunCollector(self._source))
        ProcessCollector(registry=registry)
        root = _Start()
        root.putChild(b"metrics", _Metrics(registry))
        site = QuietSite(root, timeout=None, reactor=self._reactor)
        site.displayTracebacks = False
        self._factory = Visitors(site, self._reactor, MOST, _LARGEST, SHARE, self._clock)
        try:
            self._port = self._reactor.listenTCP(port, self._factory, _BACKLOG, interface)
        except CannotListenError as e:
            raise ListenError(f"can't serve metrics at {joined(interface, port)}", e) from e
        self._factory.serveAt(self._port)
        super().startService()
        _log.info("metrics at {url}", url=self.url)
        self._source.whenDone().addCallback(lambda _: self.stopService())

    def stopService(self) -> Deferred[Any]:
        """
        Serve no longer; connections are closed.
        """
        super().stopService()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        self._factory.abort()
        stopped: Deferred[Any] = maybeDeferred(port.stopListening)
        return stopped
