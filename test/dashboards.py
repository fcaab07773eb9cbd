"""
Dashboards as tests look at them: requests and answers in memory, and events.
"""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from visiting import VisitingMixin

from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.marks import Mark
from smtpsource.measure.progress import Progress
from smtpsource.measure.series import Series
from smtpsource.measure.step import stepOf
from smtpsource.phases import MAIL, NAMES, TRANSACTION
from smtpsource.report.dashboard.service import DashboardService
from smtpsource.values.serving import Where


def second(number, *, epoch=0, accepted=10, microseconds=(100, 200), **others):
    """
    @return: the frame of a second of a run, the first of which is 0.
    """
    buckets = [{} for _ in NAMES]
    buckets[TRANSACTION] = dict.fromkeys(microseconds, 1)
    replies = [{} for _ in NAMES]
    replies[MAIL] = {"250": (accepted, "250 ok")}
    return Frame(
        number=number,
        epoch=epoch,
        at=number + 1.0,
        seconds=1.0,
        counters=Counters(started=accepted, accepted=accepted, open=3),
        buckets=buckets,
        replies=replies,
        errors={},
        **others,
    )


class Shown:
    """
    A run that never was, for a dashboard.

    @ivar listeners: who is told of each second.
    @ivar state: what it does.
    @ivar startsIn: how many seconds there are until it begins.
    @ivar asked: how often it was asked for its summary.
    """

    asked = 0
    state, startsIn = "running", None

    def __init__(self, summary):
        self.summary = summary
        self.marks = []
        self.percentiles = (50, 99)
        self.latest = self.latestStep = None
        self._series = Series()
        self.listeners = []
        self.done = Deferred()

    def mark(self, text):
        """
        Mark the moment.
        """
        self.marks.append(Mark(1.5, text))
        return self.marks[-1]

    def onFrame(self, listener):
        """
        Tell somebody.
        """
        self.listeners.append(listener)

    def progress(self):
        """
        Some progress.
        """
        return Progress(at=1.0, state=self.state, sessions=4, startsIn=self.startsIn)

    def summaryNow(self):
        """
        What there is of it.
        """
        self.asked += 1
        return self.summary

    def whenDone(self):
        """
        Told by C{done}.
        """
        return self.done

    def bring(self, *frames):
        """
        Seconds have passed.
        """
        for frame in frames:
            self.latest, self.latestStep = self._series.add(frame), stepOf(frame)
            for listener in self.listeners:
                listener(frame)


class DashboardMixin(VisitingMixin):
    """
    For a test case with a dashboard in memory.
    """

    def serve(self, run, host="127.0.0.1"):
        """
        @return: the service that shows it.
        """
        self.reactor = MemoryReactorClock()
        self.run_ = run
        self.cpu = 0.0
        service = DashboardService(self.reactor, run, Where(host, 8089), clock=lambda: self.cpu)
        service.startService()
        self.open()
        return service

    def bring(self, *frames):
        """
        Seconds have passed, and all that is to be done then was.
        """
        self.run_.bring(*frames)
        self.settle()

    def ask(self, path, method="GET", body="", **headers):
        """
        @return: the transport of a request.
        """
        given = {"Host": "127.0.0.1:8089", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body:
            given["Content-Length"] = len(body.encode())
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value is not None)
        return self.visit(f"{method} {path} HTTP/1.0\r\n{lines}\r\n{body}".encode())

    def answer(self, *arguments, **headers):
        """
        @return: the status, the head and the body of an answer.
        """
        return answered(self.said(self.ask(*arguments, **headers)))

    def said(self, transport):
        """
        @return: all that is said by now, to one who reads all of it.
        """
        said = b""
        self.settle()
        while more := transport.take():
            said += more
            self.settle()
        return said

    def settle(self):
        """
        Let everything be done that is to be done now.
        """
        for _ in range(200):
            self.reactor.advance(0)


def answered(data):
    """
    @return: the status, the head in small letters and the body of an answer.
    """
    head, _, body = data.decode().partition("\r\n\r\n")
    return int(head.split()[1]), head.lower(), body


def eventsIn(text):
    """
    @return: the events in what a stream says: the id, if there is one, the kind, and the data.
    """
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if fields:
            found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found
