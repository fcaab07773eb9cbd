"""
Tests for C{--dashboard}, C{--linger} and C{smtpsource watch} with real runs, and clients over real connections.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from contextlib import closing

from dashboards import eventsIn
from patience import PATIENCE, TEST_LIMIT
from peers import freePort
from recording import ServingMixin
from subprocesses import smtpsource, twistd
from test_metrics import connectedTo
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smtpsource.report.dashboard.history import COLUMNS

SHOWN = rb"smtpsource: dashboard at (http://127\.0\.0\.1:\d+/)\n"
STAYS = rb"the run is over; its dashboard stays at (http://127\.0\.0\.1:\d+/) until Ctrl-C\n"


class Watcher:
    """
    A client of C{/events}, for threads: its methods block.

    @ivar events: those that were read so far.
    """

    def __init__(self, url, path="events", after=None):
        self._connection = connectedTo(url)
        self._connection.settimeout(PATIENCE)
        known = "" if after is None else f"Last-Event-ID: {after}\r\n"
        host = url.split("/")[2]
        self._connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: {host}\r\n{known}\r\n".encode())
        self._data = b""
        self.events = []

    def until(self, condition):
        """
        Read until there is such an event, or the stream is over.

        @return: it, or C{None}.
        """
        seen = len(self.events)
        while True:
            for event in self.events[seen:]:
                seen += 1
                if condition(event):
                    return event
            piece = self._connection.recv(65536)
            if not piece:
                return None
            self._data += piece
            if b"\r\n\r\n" in self._data:
                whole, _, _ = self._data.partition(b"\r\n\r\n")[2].rpartition(b"\n\n")
                self.events = eventsIn(whole.decode())

    def close(self):
        """
        Watch no more.
        """
        self._connection.close()


def isOf(kind):
    return lambda event: event[1] == kind


def ask(url, path="", method="GET", body="", **headers):
    """
    @return: the status and the body of an answer.
    """
    host = url.split("/")[2]
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    length = f"Content-Length: {len(body.encode())}\r\n" if body else ""
    with closing(connectedTo(url)) as connection:
        connection.sendall(f"{method} /{path} HTTP/1.0\r\nHost: {host}\r\n{length}{lines}\r\n{body}".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, found = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), found


class RunTests(ServingMixin, TestCase):
    """
    Runs that are watched.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.server = self.serve()

    @inlineCallbacks
    def shown(self, *arguments, **settings):
        """
        @return: a command that runs until it is stopped, and where its dashboard is.
        """
        options = ("-d", "-A", "-s", "2", "-w", "20ms", "-m", "1m", "--dashboard", "0", "--report", "report.json")
        command = smtpsource(self, *options, *arguments, self.server.destination, **settings)
        match = yield command.whenPrinted(SHOWN, "err")
        return command, match[1].decode()

    def watch(self, url, path="events", after=None):
        watcher = Watcher(url, path, after)
        self.addCleanup(watcher.close)
        return watcher

    @inlineCallbacks
    def test_numbers(self):
        """
        What is told adds up to what the run tells in the end, marks included.
        """
        command, url = yield self.shown()
        watcher = yield deferToThread(self.watch, url)
        yield deferToThread(watcher.until, isOf("frame"))
        status, answer = yield deferToThread(
            ask, url, "mark", "POST", "text=restarted", Content_Type="application/x-www-form-urlencoded"
        )
        self.assertEqual((status, json.loads(answer)["text"]), (201, "restarted"))
        yield deferToThread(watcher.until, lambda event: event[0] == "0.2")
        status, answer = yield deferToThread(ask, url, "report.json")
        soFar = json.loads(answer)
        self.assertEqual((soFar["ended"], soFar["marks"][0]["text"]), ("running", "restarted"))
        command.signal(signal.SIGINT)
        _, _, over = yield deferToThread(watcher.until, isOf("over"))
        result = yield command.whenEnded()
        self.assertEqual((over["exit"], over["ended"]), (result.status, "signal"))
        report = json.loads((command.directory / "report.json").read_text())
        steps = [data["step"] for _, kind, data in watcher.events if kind == "frame"]
        steps += [step for _, kind, data in watcher.events if kind == "history" for step in data["steps"]]
        counted = sum(step["phases"].get("message", {}).get("count", 0) for step in steps)
        self.assertEqual(counted, report["messages"]["accepted"])
        self.assertEqual([mark["text"] for mark in report["marks"]], ["restarted"])
        marks = [data for _, kind, data in watcher.events if kind == "marks"]
        self.assertEqual([mark["text"] for mark in marks[-1]["marks"]], ["restarted"])

    @inlineCallbacks
    def test_back(self):
        """
        Who comes back misses nothing, and is told nothing twice.
        """
        command, url = yield self.shown()
        first = yield deferToThread(self.watch, url)
        known, _, _ = yield deferToThread(first.until, isOf("frame"))
        first.close()
        again = yield deferToThread(self.watch, url, "events", known)
        yield deferToThread(again.until, isOf("frame"))
        command.signal(signal.SIGINT)
        yield deferToThread(again.until, isOf("over"))
        result = yield command.whenEnded()
        report = json.loads((command.directory / "report.json").read_text())
        begin = int(known.split(".")[1]) + 1
        rows = [row for _, kind, data in again.events if kind == "history" for row in data["rows"]]
        rows += [data["row"] for _, kind, data in again.events if kind == "frame"]
        times = [sample["time"] for sample in report["series"][begin:]]
        self.assertEqual([round(row[COLUMNS.index("time")], 2) for row in rows], [round(time, 2) for time in times])
        self.assertEqual(result.status, 1)
        self.assertNotIn("reset", [kind for _, kind, _ in again.events])

    @inlineCallbacks
    def test_warmUp(self):
        """
        What was before the end of a warm-up is told, and then forgotten.
        """
        command, url = yield self.shown("--warmup", "1500ms")
        watcher = yield deferToThread(self.watch, url)
        yield deferToThread(watcher.until, lambda event: event[0] == "0.0")
        yield deferToThread(watcher.until, lambda event: (event[0] or "").startswith("1."))
        kinds = [kind for _, kind, _ in watcher.events]
        self.assertEqual(kinds.count("reset"), 2)
        command.signal(signal.SIGINT)
        yield command.whenEnded()

    @inlineCallbacks
    def test_neverReads(self):
        """
        Those who never read hold up neither the run nor its end.
        """
        command, url = yield self.shown()
        for _ in range(4):
            silent = socket.socket()
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            self.addCleanup(silent.close)
            host, _, port = url.split("/")[2].rpartition(":")
            yield deferToThread(silent.connect, (host, int(port)))
            silent.sendall(f"GET /events HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        yield self.server.when(lambda: len(self.server.messages) > 50)
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        report = json.loads((command.directory / "report.json").read_text())
        self.assertEqual(report["messages"]["accepted"], len(self.server.messages))
        self.assertEqual((result.status, report["messages"]["failed"]), (1, 0))

    @inlineCallbacks
    def test_workers(self):
        """
        A run of several workers is shown as any other.
        """
        command, url = yield self.shown("--workers", "2")
        watcher = yield deferToThread(self.watch, url)
        yield deferToThread(watcher.until, lambda event: event[0] == "0.2")
        command.signal(signal.SIGINT)
        yield deferToThread(watcher.until, isOf("over"))
        yield command.whenEnded()
        report = json.loads((command.directory / "report.json").read_text())
        rows = [data["row"] for _, kind, data in watcher.events if kind == "frame"]
        rows += [row for _, kind, data in watcher.events if kind == "history" for row in data["rows"]]
        self.assertEqual(len(rows), len(report["series"]))
        self.assertEqual(max(row[COLUMNS.index("open")] or 0 for row in rows), 2)

    @inlineCallbacks
    def test_linger(self):
        """
        With C{--linger} the page is there when all else is told and written, until somebody ends it; the status is the
        run's.
        """
        options = ("-d", "-m", "5", "--dashboard", "0", "--linger", "--report", "report.json")
        command = smtpsource(self, *options, self.server.destination)
        match = yield command.whenPrinted(STAYS, "err")
        url = match[1].decode()
        self.assertIn(b"all 5 messages accepted", command.out)
        self.assertEqual(json.loads((command.directory / "report.json").read_text())["exit"], 0)
        watcher = yield deferToThread(self.watch, url)
        self.assertTrue((yield deferToThread(watcher.until, isOf("over"))))
        status, page = yield deferToThread(ask, url)
        self.assertEqual(status, 200)
        self.assertIn("all 5 messages accepted", page)
        status, answer = yield deferToThread(ask, url, "mark", "POST", "text=x")
        self.assertEqual((status, json.loads(answer)["detail"]), (409, "the run is over"))
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0)

    @inlineCallbacks
    def test_lingerStopped(self):
        """
        Ctrl-C ends the run, and another one the page. SIGTERM, which supervisors send once, ends both.
        """
        command, _ = yield self.shown("--linger")
        yield self.server.when(lambda: len(self.server.messages) > 5)
        command.signal(signal.SIGINT)
        yield command.whenPrinted(STAYS, "err")
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        other, _ = yield self.shown("--linger")
        yield self.server.when(lambda: len(self.server.messages) > 10)
        other.signal(signal.SIGTERM)
        result = yield other.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertIsNone(re.search(STAYS, result.err))

    @inlineCallbacks
    def test_twistd(self):
        """
        So it is under twistd.
        """
        command = twistd(
            self, "-n", "smtp-source", "-d", "-m", "5", "--dashboard", "0", "--linger", self.server.destination
        )
        match = yield command.whenPrinted(STAYS, "err")
        status, page = yield deferToThread(ask, match[1].decode())
        self.assertIn("all 5 messages accepted", page)
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertEqual((status, result.status), (200, 0))

    @inlineCallbacks
    def test_taken(self):
        """
        Where somebody else listens, one line says so, and nothing is sent.
        """
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            result = yield smtpsource(self, "--dashboard", port, self.server.destination).whenEnded()
        self.assertEqual((result.status, result.out, self.server.messages), (2, b"", []))
        problem = f"smtpsource: can't show a dashboard at 127.0.0.1:{port}: {os.strerror(98)}\n"
        self.assertEqual(result.err.decode(), problem)


class WatchTests(ServingMixin, TestCase):
    """
    C{smtpsource watch}.
    """

    timeout = TEST_LIMIT

    @inlineCallbacks
    def test_toTheEnd(self):
        """
        It shows the run while it goes on and its summary in the end, and has its status.
        """
        server = self.serve()
        run = smtpsource(
            self,
            "-d",
            "-A",
            "-w",
            "20ms",
            "-m",
            "1m",
            "--dashboard",
            "0",
            "--threshold",
            "rate > 1000000/s",
            "--percentiles",
            "p12.5,p75",
            server.destination,
        )
        match = yield run.whenPrinted(SHOWN, "err")
        watch = smtpsource(self, "watch", match[1].decode())
        yield watch.whenPrinted(rb"\d:\d\d running; .* accepted.* p12\.5 .*p75 ", "err")
        run.signal(signal.SIGINT)
        ended = yield run.whenEnded()
        watched = yield watch.whenEnded()
        self.assertEqual((ended.status, watched.status), (3, 3))
        self.assertEqual(watched.out, ended.out)

    @inlineCallbacks
    def test_interrupted(self):
        """
        Ctrl-C ends the watching, and nothing else.
        """
        server = self.serve()
        run = smtpsource(self, "-d", "-w", "20ms", "-m", "1m", "--dashboard", "0", server.destination)
        match = yield run.whenPrinted(SHOWN, "err")
        watch = smtpsource(self, "watch", match[1].decode())
        yield watch.whenPrinted(rb"\d:\d\d running", "err")
        watch.signal(signal.SIGINT)
        result = yield watch.whenEnded()
        self.assertEqual((result.status, result.out), (1, b""))
        self.assertIn(b"the run goes on", result.err)
        seen = len(server.messages)
        yield server.when(lambda: len(server.messages) > seen + 5)
        run.signal(signal.SIGKILL)
        yield run.whenEnded()

    @inlineCallbacks
    def test_killed(self):
        """
        A run that is gone without a word has no status that is known.
        """
        server = self.serve()
        run = smtpsource(self, "-d", "-w", "20ms", "-m", "1m", "--dashboard", "0", server.destination)
        match = yield run.whenPrinted(SHOWN, "err")
        watch = smtpsource(self, "watch", match[1].decode())
        yield watch.whenPrinted(rb"\d:\d\d running", "err")
        run.signal(signal.SIGKILL)
        yield run.whenEnded()
        result = yield watch.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertIn(b"the end of the run is not known\n", result.err)

    @inlineCallbacks
    def test_nobody(self):
        """
        Where there is no run, or no dashboard, one line says so.
        """
        server = self.serve()
        _, port = server.destination.rsplit(":", 1)
        for url, said in (
            (f"http://127.0.0.1:{freePort()}/", "nobody answers: Connection refused"),
            (f"http://127.0.0.1:{port}/", "it is no dashboard: expected HTTP"),
        ):
            result = yield smtpsource(self, "watch", "--live", "off", url).whenEnded()
            self.assertEqual((result.status, result.err.decode()), (1, f"smtpsource watch: {url}: {said}\n"))
        for wrong in (
            "https://x:1/",
            "http://x/",
            "127.0.0.1:80",
            "http://x:1/y",
            "http://x:1/?a=b",
            "http://x:99999/",
        ):
            result = yield smtpsource(self, "watch", wrong).whenEnded()
            self.assertEqual((result.status, result.err.count(b"\n")), (2, 1))
            self.assertIn(b"expected the address of a dashboard", result.err)

    @inlineCallbacks
    def test_checkpoint(self):
        """
        A run that has no dashboard is followed by its checkpoint, and gets one by that; its summary is the same.
        """
        server = self.serve()
        options = ("-d", "-A", "-w", "20ms", "-m", "1m", "--percentiles", "p12.5,p75", "--checkpoint", "kept")
        run = smtpsource(self, *options, server.destination)
        yield server.when(lambda: len(server.messages) > 60)
        watch = smtpsource(self, "watch", "--dashboard", "0", "kept", cwd=run.directory)
        match = yield watch.whenPrinted(SHOWN.replace(b"smtpsource", b"smtpsource watch"), "err")
        yield watch.whenPrinted(rb"\d:\d\d running; .* accepted.* p12\.5 .*p75 ", "err")
        watcher = yield deferToThread(Watcher, match[1].decode())
        self.addCleanup(watcher.close)
        yield deferToThread(watcher.until, isOf("section"))
        status, _ = yield deferToThread(ask, match[1].decode(), "mark", "POST", "text=x")
        self.assertEqual(status, 404)
        status, answer = yield deferToThread(ask, match[1].decode(), "report.json")
        soFar = json.loads(answer)
        self.assertEqual((status, soFar["ended"], soFar["incomplete"]), (200, "running", []))
        self.assertEqual((soFar["messages"]["failed"], soFar["messages"]["accepted"] > 0), (0, True))
        run.signal(signal.SIGINT)
        ended = yield run.whenEnded()
        _, _, over = yield deferToThread(watcher.until, isOf("over"))
        watched = yield watch.whenEnded()
        self.assertEqual((ended.status, watched.status, over["exit"]), (1, 1, 1))
        self.assertEqual(watched.out, ended.out)

    @inlineCallbacks
    def test_cutOff(self):
        """
        Of a run that was killed there is what is known.
        """
        server = self.serve()
        run = smtpsource(self, "-d", "-w", "20ms", "-m", "1m", "--checkpoint", "kept", server.destination)
        yield server.when(lambda: len(server.messages) > 60)
        watch = smtpsource(self, "watch", "kept", cwd=run.directory)
        yield watch.whenPrinted(rb"\d:\d\d running; .* accepted", "err")
        run.signal(signal.SIGKILL)
        yield run.whenEnded()
        watched = yield watch.whenEnded()
        self.assertEqual(watched.status, 1)
        self.assertIn(b"INCOMPLETE", watched.out)

    @inlineCallbacks
    def test_noCheckpoint(self):
        """
        A directory that is none is refused in one line.
        """
        os.makedirs(directory := self.mktemp())
        result = yield smtpsource(self, "watch", os.path.abspath(directory)).whenEnded()
        self.assertEqual((result.status, result.out, result.err.count(b"\n")), (1, b"", 1))
        self.assertIn(b"expected a checkpoint", result.err)
