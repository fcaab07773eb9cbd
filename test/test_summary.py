"""
Tests for L{smtpsource.measure.summary}.
"""

from __future__ import annotations

import dataclasses
import json

from twisted.trial.unittest import SynchronousTestCase

from smtpsource._version import __version__
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.summary import Messages, Summary, Tally, errorsOf, latenciesOf, repliesOf
from smtpsource.phases import MAIL, MESSAGE


def example(**values):
    """
    @return: the summary of a run that went well enough.
    """
    recorder = Recorder()
    recorder.reply(MAIL, 0.0005, b"250", b"250 ok\r\n")
    recorder.reply(MESSAGE, 0.5, b"451", b"451-not\r\n451 now \x1b[0m\r\n")
    recorder.reply(MESSAGE, 1.5, b"250", b"250 queued\r\n")
    recorder.transaction(2.0, 1)
    recorder.error("timeout", "no reply")
    usual = {
        "command": ("smtp-source", "x"),
        "reactor": "twisted.internet.selectreactor.SelectReactor",
        "started": "2026-01-02T03:04:05.678+00:00",
        "elapsed": 2.0,
        "exit": 1,
        "ended": "done",
        "reason": None,
        "messages": Messages(3, 1, 1, 1),
        "recipientsAccepted": 4,
        "recipientsRejected": 5,
        "connectionsOpened": 6,
        "connectionsFailed": 7,
        "connectionsLost": 8,
        "bytesSent": 3_000_000,
        "bytesReceived": 900,
        "rate": 0.5,
        "user": 0.25,
        "system": 0.5,
        "latency": latenciesOf(recorder),
        "capabilities": {"SIZE": "100", "PIPELINING": ""},
        "tls": {"TLSv1.3 TLS_AES_256_GCM_SHA384": 6},
        "replies": repliesOf(recorder),
        "errors": errorsOf(recorder),
    }
    return Summary(**{**usual, **values})


class SummaryTests(SynchronousTestCase):
    """
    The result of a run.
    """

    def test_immutable(self):
        """
        A result does not change.
        """
        self.assertRaises(dataclasses.FrozenInstanceError, setattr, example(), "exit", 0)

    def test_dict(self):
        """
        The whole of the report as JSON.
        """
        document = json.loads(json.dumps(example().asDict()))
        latency = document.pop("latency")
        self.assertEqual(
            document,
            {
                "schema": 1,
                "tool": {"name": "smtp-source", "version": __version__},
                "command": ["smtp-source", "x"],
                "reactor": "twisted.internet.selectreactor.SelectReactor",
                "started": "2026-01-02T03:04:05.678+00:00",
                "elapsed": 2.0,
                "exit": 1,
                "ended": "done",
                "reason": None,
                "messages": {"started": 3, "accepted": 1, "rejected": 1, "failed": 1},
                "recipients": {"accepted": 4, "rejected": 5},
                "connections": {"opened": 6, "failed": 7, "lost": 8},
                "bytes": {"sent": 3_000_000, "received": 900},
                "rate": 0.5,
                "cpu": {"user": 0.25, "system": 0.5},
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
            },
        )
        self.assertEqual(list(latency), ["mail", "message", "transaction"])
        message = latency["message"]
        self.assertEqual(list(message), ["count", "min", "mean", "p50", "p90", "p99", "p99.9", "max"])
        self.assertEqual(message["count"], 2)
        for name, seconds in (("min", 0.5), ("mean", 1.0), ("p50", 0.5), ("p90", 1.5), ("p99.9", 1.5), ("max", 1.5)):
            self.assertApproximates(message[name], seconds, seconds * 0.001)

    def test_sink(self):
        """
        The other end's own count is there if there is one.
        """
        self.assertEqual(example(sink={"messages": 3}).asDict()["sink"], {"messages": 3})
        self.assertNotIn("sink", example().asDict())

    def test_errors(self):
        """
        Errors stand in the order of their kinds.
        """
        recorder = Recorder()
        for kind in ("b", "a", "b"):
            recorder.error(kind, kind * 3)
        self.assertEqual(list(errorsOf(recorder).items()), [("a", Tally(1, "aaa")), ("b", Tally(2, "bbb"))])
