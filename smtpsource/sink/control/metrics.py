"""
C{/metrics}: a sink in the words of Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from smtpsource._version import __version__
from smtpsource.sink.control.asked import Asked
from smtpsource.web.answers import Answer

if TYPE_CHECKING:
    from smtpsource.sink.steering import Steering


class Metrics:
    """
    All of them.
    """

    def __init__(self, steering: Steering) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(SinkCollector(steering))
        ProcessCollector(registry=self._registry)

    def get(self, asked: Asked) -> Answer:
        """
        As they are now, in the format that the client likes best.
        """
        encode, contentType = choose_encoder(asked.header("accept") or "")
        return Answer(encode(self._registry), contentType)


class SinkCollector:
    """
    Says what a sink has counted: see docs/control.rst. Nothing is counted twice for it.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def describe(self) -> Iterable[Metric]:
        """
        Nothing: what there is need not be looked at to know its names.
        """
        return []

    def collect(self) -> Iterator[Metric]:
        """
        All of the metrics, as they are now.
        """
        steering, counts = self._steering, self._steering.counts
        build = GaugeMetricFamily("smtpsink_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily("smtpsink_paused", "1 while the sink pauses.", value=int(steering.paused))
        yield GaugeMetricFamily("smtpsink_sessions_open", "Sessions that are open.", value=counts.open)
        for name, text, value in (
            ("sessions", "Sessions that were begun.", counts.sessions),
            ("quits", "Sessions that have said QUIT.", counts.quits),
            ("messages", "Messages that were received whole and accepted.", counts.messages),
            ("messages_kept", "Messages that were kept, wherever.", steering.number),
            ("recipients", "Recipients of these messages.", counts.recipients),
            ("chunks", "Chunks of BDAT that were received whole and accepted.", counts.chunks),
        ):
            yield CounterMetricFamily(f"smtpsink_{name}", text, value=value)
        directions = {"received": counts.bytesReceived, "sent": counts.bytesSent}
        yield _labelled("bytes", "Bytes that were received and sent.", "direction", directions)
        errors = {kind: number for kind, (number, _) in counts.errors.items()}
        yield _labelled("errors", "What went wrong.", "kind", errors)
        yield _labelled("rule_decisions", "What rules have done, by their name.", "rule", steering.rulesCounted())
        yield _labelled(
            "deliberate", "What rules have done to messages behind the client's back.", "fate", steering.deceits
        )


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    metric = CounterMetricFamily(f"smtpsink_{name}", text, labels=[label])
    for of, value in values.items():
        metric.add_metric([of], value)
    return metric
