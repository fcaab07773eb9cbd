"""
A run in the words of Prometheus.

Nothing is counted twice: what the run's recorder has is read when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from operator import mul

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from smtpsource._version import __version__
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, indexOf, lowestOf, middleOf, pieces
from smtpsource.measure.progress import STATES, Running
from smtpsource.phases import NAMES

#: The upper bounds of a histogram's buckets, in microseconds. Each of them is where a bucket of ours ends, as 50 ms and
#: 1 s are not, so what is counted below it is exact.
BOUNDS = (100, 200, 500, 1000, 2500, 5000, *(10_000 << n for n in range(14)))


_ENDS = [0, *map(indexOf, BOUNDS)]
_SECONDS = [f"{bound / 1e6:g}" for bound in BOUNDS]
_MIDDLES = [middleOf(index) / 1e6 for index in range(indexOf(HIGHEST_MICROSECONDS) + 1)]
assert [lowestOf(index) for index in _ENDS[1:]] == list(BOUNDS)


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
        yield from self._workers()
        yield from self._counters()
        yield from self._delivered()
        yield from self._replies()
        yield self._latencies()

    def _progress(self) -> Iterator[Metric]:
        progress = self._source.progress()
        build = GaugeMetricFamily("smtpsource_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        state = GaugeMetricFamily("smtpsource_state", "What the run does now.", labels=["state"])
        for name in STATES:
            state.add_metric([name], int(name == progress.state))
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
        if progress.overdue is not None:
            yield GaugeMetricFamily(
                "smtpsource_overdue", "Messages that it has asked for and that are not started.", value=progress.overdue
            )

    def _workers(self) -> Iterator[Metric]:
        workers = self._source.progress().workers
        if not workers:
            return
        states = GaugeMetricFamily("smtpsource_workers", "Processes that carry the load.", labels=["state"])
        for state in ("running", "over", "lost"):
            states.add_metric([state], sum(worker.state == state for worker in workers))
        yield states
        cpu = CounterMetricFamily(
            "smtpsource_worker_cpu_seconds", "CPU seconds that each of them has used.", labels=["worker", "mode"]
        )
        for number, worker in enumerate(workers, 1):
            cpu.add_metric([str(number), "user"], worker.user)
            cpu.add_metric([str(number), "system"], worker.system)
        yield cpu

    def _delivered(self) -> Iterator[Metric]:
        delivered = self._source.progress().delivered
        if delivered is not None:
            # It falls if it turns out that some were not accepted.
            yield GaugeMetricFamily(
                "smtpsource_arrived",
                "Acknowledged messages that have arrived where the server delivers to, for a recipient each.",
                value=delivered.here,
            )
            yield GaugeMetricFamily(
                "smtpsource_backlog",
                "Acknowledged messages that have not arrived there, for a recipient each.",
                value=delivered.backlog,
            )

    def _counters(self) -> Iterator[Metric]:
        recorder = self._source.recorder
        for name, text, value in (
            ("messages_started", "Messages that were started.", recorder.started),
            ("late", "Messages that were started later than the schedule wanted.", recorder.late),
            ("dropped", "Messages that were not started because it was too late for them.", recorder.dropped),
            ("connections_opened", "Connections that were made.", recorder.connectionsOpened),
            ("connect_failures", "Attempts to connect that failed.", recorder.connectionsFailed),
            ("connections_lost", "Connections that ended otherwise than after QUIT.", recorder.connectionsLost),
        ):
            yield CounterMetricFamily(f"smtpsource_{name}", text, value=value)
        addresses = self._source.byAddress()
        yield _labelled(
            "smtpsource_address_connections_opened",
            "Connections that were made, by the address.",
            ["address"],
            {(address,): counts.opened for address, counts in addresses.items()},
        )
        yield _labelled(
            "smtpsource_address_connect_failures",
            "Attempts to connect that failed, by the address.",
            ["address"],
            {(address,): counts.failed for address, counts in addresses.items()},
        )
        yield _labelled(
            "smtpsource_address_messages_accepted",
            "Messages that were accepted on connections that have ended, by the address.",
            ["address"],
            {(address,): counts.accepted for address, counts in addresses.items()},
        )
        yield GaugeMetricFamily("smtpsource_connections_open", "Connections that are open.", value=recorder.open)
        yield _labelled(
            "smtpsource_messages",
            "Messages that have an outcome.",
            ["outcome"],
            {
                # A counter never goes down.
                ("accepted",): recorder.accepted + recorder.takenBack,
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
    for start, piece in pieces(buckets):
        seconds += sum(map(mul, piece, _MIDDLES[start : start + len(piece)]))
    return seconds
