"""
A run as metrics for Prometheus, over HTTP.

Nothing is counted twice: what the run's recorder has is read when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from operator import mul
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from smtpsource._version import __version__
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, LINEAR, lowestOf, middleOf
from smtpsource.measure.progress import PHASES, Running
from smtpsource.phases import NAMES

_log = Logger()

#: The upper bounds of a histogram's buckets, in microseconds. Each of them is where a bucket of ours ends (50 ms and 1 s
#: are not), so what is counted below it is exact.
BOUNDS = (100, 200, 500, 1000, 2500, 5000, *(10_000 << n for n in range(14)))


def indexOf(microseconds: int) -> int:
    """
    The bucket that begins with this latency, or in which it is; see L{smtpsource.measure.histogram}.
    """
    shift = max(0, microseconds.bit_length() - LINEAR.bit_length() + 1)
    return shift * (LINEAR // 2) + (microseconds >> shift)


_ENDS = [0, *map(indexOf, BOUNDS)]
_SECONDS = [f"{bound / 1e6:g}" for bound in BOUNDS]
_MIDDLES = [middleOf(index) / 1e6 for index in range(indexOf(HIGHEST_MICROSECONDS) + 1)]
assert [lowestOf(index) for index in _ENDS[1:]] == list(BOUNDS)


class ListenError(Exception):
    """
    Metrics can't be served where they should be; the text is one line for people.
    """


class Source(Running, Protocol):
    """
    A run that can be watched, and that says when it is over: a L{smtpsource.service.SourceService}.
    """

    def whenDone(self) -> Deferred[Any]:
        """
        @return: fires when it is over.
        """


class RunCollector:
    """
    Says how a run goes on, in the words of Prometheus: see docs/monitoring.rst.
    """

    def __init__(self, source: Running) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        """
        Nothing: what there is need not be looked at to know its names.
        """
        return []

    def collect(self) -> Iterator[Metric]:
        """
        All of the metrics, as they are now.
        """
        yield from self._progress()
        yield from self._counters()
        yield from self._replies()
        yield self._latencies()

    def _progress(self) -> Iterator[Metric]:
        progress = self._source.progress()
        build = GaugeMetricFamily("smtpsource_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        state = GaugeMetricFamily("smtpsource_state", "What the run does now.", labels=["state"])
        for phase in PHASES:
            state.add_metric([phase], int(phase == progress.phase))
        yield state
        yield GaugeMetricFamily("smtpsource_run_seconds", "Seconds since the run began.", value=progress.at)
        yield GaugeMetricFamily("smtpsource_sessions", "Sessions that are not over.", value=progress.sessions)
        if progress.asked is not None:
            yield CounterMetricFamily(
                "smtpsource_asked", "Messages that the schedule has asked for.", value=progress.asked
            )
        if progress.askedRate is not None:
            yield GaugeMetricFamily(
                "smtpsource_asked_rate", "Messages per second that it asks for.", value=progress.askedRate
            )

    def _counters(self) -> Iterator[Metric]:
        recorder = self._source.recorder
        for name, text, value in (
            ("messages_started", "Messages that were started.", recorder.started),
            ("late", "Messages that were started later than the schedule wanted.", recorder.late),
            ("dropped", "Messages that were not started because it was too late for them.", recorder.dropped),
            ("connections_opened", "Connections that were made.", recorder.opened),
            ("connect_failures", "Attempts to connect that failed.", recorder.connectFailures),
            ("connections_lost", "Connections that ended otherwise than after QUIT.", recorder.lost),
        ):
            yield CounterMetricFamily(f"smtpsource_{name}", text, value=value)
        yield GaugeMetricFamily("smtpsource_connections_open", "Connections that are open.", value=recorder.open)
        yield _labelled(
            "smtpsource_messages",
            "Messages that have an outcome.",
            ["outcome"],
            {
                ("accepted",): recorder.accepted,
                ("rejected",): recorder.rejected,
                ("failed",): recorder.failed,
            },
        )
        yield _labelled(
            "smtpsource_recipients",
            "Recipients that were accepted and rejected.",
            ["outcome"],
            {("accepted",): recorder.recipientsAccepted, ("rejected",): recorder.recipientsRejected},
        )
        yield _labelled(
            "smtpsource_bytes",
            "Bytes that were sent and received.",
            ["direction"],
            {("sent",): recorder.bytesSent, ("received",): recorder.bytesReceived},
        )

    def _replies(self) -> Iterator[Metric]:
        recorder = self._source.recorder
        yield _labelled(
            "smtpsource_replies",
            "Replies, by what they answer and their code.",
            ["phase", "code"],
            {
                (name, code.decode("ascii", "replace")): count
                for name, codes in zip(NAMES, recorder.replies, strict=True)
                for code, count in codes.items()
            },
        )
        yield _labelled(
            "smtpsource_errors",
            "What went wrong and is no reply.",
            ["kind"],
            {(kind,): count for kind, count in recorder.errors.items()},
        )

    def _latencies(self) -> Metric:
        metric = HistogramMetricFamily("smtpsource_phase_seconds", "How long each phase took.", labels=["phase"])
        for name, buckets in zip(NAMES, self._source.recorder.buckets, strict=True):
            if buckets:
                metric.add_metric([name], cumulated(buckets), total(buckets))
        return metric


def _labelled(name: str, text: str, labels: Sequence[str], values: dict[tuple[str, ...], int]) -> Metric:
    metric = CounterMetricFamily(name, text, labels=labels)
    for of, value in values.items():
        metric.add_metric(of, value)
    return metric


def cumulated(buckets: Sequence[int]) -> list[tuple[str, float]]:
    """
    For each bound in seconds, as text, how many latencies were below it; the last one is infinite.
    """
    found: list[tuple[str, float]] = []
    count = 0
    for (start, end), bound in zip(pairwise(_ENDS), _SECONDS, strict=True):
        count += sum(buckets[start:end])
        found.append((bound, count))
    return [*found, ("+Inf", count + sum(buckets[_ENDS[-1] :]))]


def total(buckets: Sequence[int]) -> float:
    """
    The sum of all latencies in seconds, right to 3 digits.
    """
    seconds = 0.0
    for start in range(0, len(buckets), _PIECE):
        piece = buckets[start : start + _PIECE]
        # Most of it is empty, and there is no time for thousands of buckets.
        if any(piece):
            seconds += sum(map(mul, piece, _MIDDLES[start : start + _PIECE]))
    return seconds


_PIECE = 512


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
            b"<!DOCTYPE html>\n<html lang=en><title>smtp-source</title>\n"
            b"<p>smtp-source: a run goes on here. Its <a href=/metrics>metrics</a> are for Prometheus.</html>\n"
        )


class _QuietSite(Site):
    """
    One that writes nothing into the log.
    """

    noisy = False

    def log(self, request: Request) -> None:
        """
        A request is no news.
        """


class MetricsService(Service):
    """
    Serves the metrics of one run at C{/metrics}, from C{startService} to C{stopService}, or until the run is over.
    """

    name = "metrics"

    def __init__(self, reactor: Any, source: Source, port: int, interface: str = "127.0.0.1") -> None:
        """
        @param reactor: provides C{IReactorTCP} and C{IReactorTime}.
        @param port: where; 0 is any that is free.
        @param interface: at which address.
        """
        self._reactor = reactor
        self._source = source
        self._where = port, interface
        self._port: Any = None

    @property
    def url(self) -> str:
        """
        Where the metrics are, while they are served.
        """
        assert self._port is not None, "not before startService"
        return f"http://{_joined(self._where[1], self._port.getHost().port)}/metrics"

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
        site = _QuietSite(root, reactor=self._reactor)
        site.displayTracebacks = False
        # It knows the connections, which may be kept open for the next request.
        self._factory = WrappingFactory(site)
        self._factory.noisy = False
        try:
            self._port = self._reactor.listenTCP(port, self._factory, interface=interface)
        except CannotListenError as e:
            cause = e.socketError
            raise ListenError(
                f"can't serve metrics at {_joined(interface, port)}: {getattr(cause, 'strerror', None) or cause}"
            ) from e
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
        for connection in list(self._factory.protocols):
            connection.transport.abortConnection()
        stopped: Deferred[Any] = maybeDeferred(port.stopListening)
        return stopped


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
