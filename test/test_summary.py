"""
Tests for L{smtpsource.measure.summary}.
"""

from __future__ import annotations

import dataclasses
import json

from results import EVERYTHING, example
from twisted.trial.unittest import SynchronousTestCase

from smtpsource._version import __version__
from smtpsource.measure.encoding import decode
from smtpsource.measure.figures import metricOf
from smtpsource.measure.histogram import summarize
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Tally, errorsOf
from smtpsource.phases import TRANSACTION
from smtpsource.report.document import documentOf


class SummaryTests(SynchronousTestCase):
    """
    The result of a run.
    """

    def test_immutable(self):
        """
        A result does not change.
        """
        self.assertRaises(dataclasses.FrozenInstanceError, setattr, example(), "exit", 0)

    def test_percentile(self):
        """
        Any percentile of any phase, from its buckets; those of a report as it has them.
        """
        recorder = Recorder()
        for n in range(1, 1001):
            recorder.duration(TRANSACTION, n / 1000)
        buckets = {"transaction": tuple(recorder.buckets[TRANSACTION])}
        latency = {"transaction": summarize(buckets["transaction"])}
        summary = example(latency=latency, buckets=buckets)
        for percentile, milliseconds in {0: 1, 25: 250, 50: 500, 99: 990, 99.9: 999, 99.99: 1000, 100: 1000}.items():
            found = summary.percentile("transaction", percentile)
            self.assertApproximates(found, milliseconds / 1000, found / 1000)
        self.assertEqual(summary.percentile("transaction", 99.9), latency["transaction"].p999)
        self.assertIs(summary.percentile("tls", 50), None)
        without = example(latency=latency)
        self.assertEqual(without.percentile("transaction", 50), latency["transaction"].p50)
        self.assertIs(without.percentile("transaction", 99.99), None)
        for phase, percentile in (("transacton", 50), ("transaction", 101), ("transaction", -1)):
            self.assertRaises(ValueError, summary.percentile, phase, percentile)

    def test_dict(self):
        """
        The whole of the report as JSON.
        """
        document = json.loads(json.dumps(documentOf(example())))
        latency = document.pop("latency")
        self.assertEqual(
            document,
            {
                "schema": 1,
                "tool": {"name": "smtp-source", "version": __version__},
                "command": ["smtp-source", "x"],
                "run": "",
                "seed": None,
                "reactor": "twisted.internet.selectreactor.SelectReactor",
                "started": "2026-01-02T03:04:05.678+00:00",
                "elapsed": 2.0,
                "exit": 1,
                "ended": "done",
                "reason": None,
                "thresholds": [],
                "limits": [],
                "disturbances": [],
                "incomplete": [],
                "hints": [],
                "warmup": None,
                "asked": None,
                "late": 0,
                "dropped": 0,
                "exhausted": None,
                "catchUp": None,
                "exercise": "mail",
                "messages": {"started": 3, "accepted": 1, "rejected": 1, "failed": 1},
                "recipients": {"accepted": 4, "rejected": 5},
                "connections": {"opened": 6, "failed": 7, "lost": 8},
                "addresses": {},
                "bytes": {"sent": 3_000_000, "received": 900},
                "askedRate": None,
                "rate": 0.5,
                "cpu": {"user": 0.25, "system": 0.5},
                "percentiles": [50.0, 90.0, 95.0, 99.0, 99.9],
                "capabilities": {"SIZE": "100", "PIPELINING": ""},
                "tls": {"TLSv1.3 TLS_AES_256_GCM_SHA384": 6},
                "replies": {
                    "mail": {"250": {"count": 1, "sample": "250 ok"}},
                    "message": {
                        "250": {"count": 1, "sample": "250 queued"},
                        "451": {"count": 1, "sample": "451-not | 451 now ?[0m"},
                    },
                },
                "errors": {"timeout": {"count": 1, "sample": "no reply"}},
                "environment": {},
                "marks": [],
                "drift": {},
                "histograms": {},
                "series": [],
            },
        )
        self.assertEqual(list(latency), ["mail", "message", "transaction"])
        message = latency["message"]
        self.assertEqual(list(message), ["count", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"])
        self.assertEqual(message["count"], 2)
        for name, seconds in (("min", 0.5), ("mean", 1.0), ("p50", 0.5), ("p90", 1.5), ("p99.9", 1.5), ("max", 1.5)):
            self.assertApproximates(message[name], seconds, seconds * 0.001)

    def test_everything(self):
        """
        What only some runs have is there, too.
        """
        document = json.loads(json.dumps(documentOf(example(**EVERYTHING))))
        self.assertEqual(
            {name: document[name] for name in ("asked", "askedRate", "late", "dropped", "run", "seed", "exit")},
            {"asked": 500.0, "askedRate": 250.0, "late": 12, "dropped": 3, "run": "r1", "seed": 42, "exit": 3},
        )
        self.assertEqual(document["warmup"], {"seconds": 10.0, "accepted": 90, "rejected": 1, "failed": 2})
        self.assertEqual(document["limits"], ["this process used 97% of a processor"])
        self.assertEqual(
            document["thresholds"],
            [
                {"text": "p99(message) < 250ms", "passed": True, "actual": "31 ms", "value": 0.031},
                {
                    "text": "rate >= 0.99 * asked",
                    "passed": False,
                    "actual": "431/s (0.99 * asked is 495/s)",
                    "value": 431.0,
                },
            ],
        )
        self.assertEqual([one["time"] for one in document["series"]], [1.0, 2.0])
        self.assertEqual([one["p99"] for one in document["series"]], [0.002, None])
        self.assertEqual(list(document["series"][0]), list(Sample.__slots__))
        self.assertEqual(list(document["histograms"]), ["message", "transaction"])
        for phase, latency in document["latency"].items():
            self.assertEqual(sum(decode(document["histograms"][phase])), latency["count"])

    def test_measuredFrom(self):
        """
        Measuring begins when the warm-up is over.
        """
        warmUp = {"seconds": 10.0, "accepted": 0, "rejected": 0, "failed": 0}
        self.assertEqual(example(started="1970-01-01T00:01:00.500+00:00").measuredFrom(), 60.5)
        self.assertEqual(example(started="1970-01-01T01:01:00+01:00", warmUp=warmUp).measuredFrom(), 70.0)

    def test_figures(self):
        """
        All figures can be asked for by their names.
        """
        figures = example(**EVERYTHING, rate=99.0).figures()
        for name, wanted in (
            ("rate", 0.5),
            ("asked", 250.0),
            ("started", 3),
            ("errors", 2),
            ("late", 12),
            ("dropped", 3),
            ("connectionsLost", 8),
            ("connectFailures", 7),
            ("count(message)", 2),
        ):
            self.assertEqual(metricOf(name).read(figures), wanted, name)
        self.assertApproximates(metricOf("max(transaction)").read(figures), 1.0, 0.001)

    def test_sink(self):
        """
        The other end's own count is there if there is one.
        """
        self.assertEqual(documentOf(example(sink={"messages": 3}))["sink"], {"messages": 3})
        self.assertNotIn("sink", documentOf(example()))

    def test_errors(self):
        """
        Errors stand in the order of their kinds.
        """
        recorder = Recorder()
        for kind in ("b", "a", "b"):
            recorder.error(kind, kind * 3)
        self.assertEqual(list(errorsOf(recorder).items()), [("a", Tally(1, "aaa")), ("b", Tally(2, "bbb"))])
