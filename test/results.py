"""
Results of runs that never were, and what shows them.
"""

from __future__ import annotations

from hypothesis import strategies as st

from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, PERCENTILES, LatencyRecorder
from smtpsource.measure.judgement import Judgement
from smtpsource.measure.marks import Mark
from smtpsource.measure.progress import Progress
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.search import Found, Step
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Messages, Summary, bucketsOf, errorsOf, latenciesOf, repliesOf
from smtpsource.measure.thresholds import Outcome
from smtpsource.phases import MAIL, MESSAGE
from smtpsource.report.document import documentOf


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


def latencies(*seconds):
    """
    @return: C{latency} and C{buckets} of a run whose messages took so long.
    """
    recorder = Recorder()
    for each in seconds:
        recorder.reply(MESSAGE, each, b"250", b"250 ok")
        recorder.transaction(each * 2, 1)
    return {"latency": latenciesOf(recorder), "buckets": bucketsOf(recorder)}


def second(time, **values):
    """
    @return: a second of a run in which 100 messages were accepted, but for what is said otherwise.
    """
    usual = {
        "time": float(time),
        "seconds": 1.0,
        "asked": None,
        "started": 100,
        "accepted": 100,
        "rejected": 0,
        "failed": 0,
        "late": 0,
        "dropped": 0,
        "open": 5,
        "p50": 0.001,
        "p95": 0.0015,
        "p99": 0.002,
        "max": 0.003,
        "bytesSent": 1000,
        "bytesReceived": 100,
        "cpu": 0.25,
        "lag": 0.0005,
    }
    return Sample(**{**usual, **values})


#: What a run with a schedule, thresholds and a warm-up has besides.
EVERYTHING = {
    **latencies(0.25, 0.5),
    "asked": 500.0,
    "askedRate": 250.0,
    "late": 12,
    "dropped": 3,
    "warmUp": {"seconds": 10.0, "accepted": 90, "rejected": 1, "failed": 2},
    "series": (
        second(1, asked=250.0, watched={"rss": 4096.0}),
        second(2.0000004, p50=None, p99=None, max=None, asked=250.0),
    ),
    "marks": (
        Mark(-0.5, "still warm"),
        Mark(1.25, 'systemctl reload "postfix", twice', "command", 1, 0.5, "Job for postfix.service failed"),
    ),
    "timeline": {
        "time": [1.0, 2.0],
        "phases": {
            "message": {
                "count": [2, 0],
                "p50": [0.25, None],
                "p95": [0.5, None],
                "p99": [0.5, None],
                "max": [0.500223, None],
                "heat": [[43, 1, 45, 1], []],
            }
        },
        "replies": {"message": {"250": [2, 0], "451": [0, 1]}},
        "errors": {"timeout": [0, 1]},
        "watched": {"rss": [4096.0, None]},
    },
    "environment": {"host": "load.example"},
    "thresholds": (
        Outcome("p99(message) < 250ms", True, "31 ms", 0.031),
        Outcome("rate >= 0.99 * asked", False, "431/s (0.99 * asked is 495/s)", 431.0),
    ),
    "limits": ("this process used 97% of a processor",),
    "run": "r1",
    "seed": 42,
    "exit": 3,
}


MICROSECONDS = st.one_of(
    st.integers(0, 5000),
    st.integers(0, HIGHEST_MICROSECONDS),
    st.integers(1, 31).flatmap(lambda bits: st.integers(2**bits - 2, 2**bits + 2)),
)


def recorded(values):
    """
    @return: a recorder of these microseconds.
    """
    recorder = LatencyRecorder()
    for value in values:
        # A hair more, so that the way to seconds and back does not round down.
        recorder.record((value + 0.25) / 1e6)
    return recorder


FOUND = Found("errors == 0", 200.0, (Step("climb", 200.0, 99.9, True, "0"), Step("bisect", 300.0, 0.0, False, "7")))


#: What a run has whose destination has several addresses.
ADDRESSES = {
    "inet:192.0.2.1:25": AddressCounts(10, 0, 90),
    "inet:[2001:db8::1]:25": AddressCounts(0, 5, 0, "mx1.example"),
}


#: What became of messages of which not all were delivered.
JUDGED = Judgement(
    verdict="fail",
    reasons=("1 lost",),
    drained=True,
    sent=20,
    delivered=18,
    lost=1,
    refused=1,
    duplicated=2,
    duplicatedBy={"none": 2},
    arrivals=21,
    ghosts=1,
    early=3,
    backlogPeak=12,
    drain=2.5,
    duration=10.0,
    anomalies=({"id": "0123456789abcdef-7-00000000", "class": "lost"},),
)


#: Reports of several kinds.
REPORTS = [
    documentOf(example()),
    documentOf(example(**EVERYTHING)),
    documentOf(example(**EVERYTHING, search=FOUND, judgement=JUDGED, sink={"messages": 3, "recipients": 3})),
    documentOf(example(addresses=ADDRESSES, hints=("no banner for 5 s: perhaps --tls implicit",))),
    documentOf(example(elapsed=0.0, latency={}, replies={}, errors={}, reason="it was refused", ended="aborted")),
]


def places(document, path=()):
    """
    @return: the paths of all values in a document.
    """
    found = [path] if path else []
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in pairs:
        found += places(value, (*path, name))
    return found


class Run:
    """
    A run that is as far as a test says.
    """

    percentiles = PERCENTILES

    def __init__(self, addresses=None, **progress):
        self.recorder = Recorder()
        self.addresses = addresses or {}
        self.now = {"at": 0.0, "state": "running", "sessions": 1} | progress

    def progress(self):
        return Progress(**self.now)

    def byAddress(self):
        return self.addresses

    def accept(self, number, seconds=0.001):
        """
        So many messages are started and accepted.
        """
        self.recorder.started += number
        for _ in range(number):
            self.recorder.transaction(seconds, 1)


class Screen:
    """
    A terminal in memory.
    """

    unicode = True

    def __init__(self, size=(80, 24)):
        self.shown = []
        self.drawn = False
        self.offered = size
        self.closed = 0

    def size(self):
        return self.offered

    def draw(self, lines):
        self.shown.append(lines)
        self.drawn = True

    def close(self):
        self.drawn = False
        self.closed += 1
