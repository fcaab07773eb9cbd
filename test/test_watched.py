"""
Tests for what is watched beside a run: L{smtpsource.beside.things} and those that look at them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock

from commandlines import CommandTestCase, parsed
from hypothesis import strategies as st
from patience import PATIENCE
from peers import eventually, freePort
from properties import given
from subprocesses import Command, loadAndReport, smtpsource, whenGone
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.beside import queues, scrapes
from smtpsource.beside.cgroups import UnitLook, directoriesOf
from smtpsource.beside.looks import Gone, Rate
from smtpsource.beside.processes import ProcessLook, stateOf
from smtpsource.beside.queues import QueueLook
from smtpsource.beside.scrapes import Page, ScrapeLook, valueIn
from smtpsource.beside.things import Thing, figuresOf, thing
from smtpsource.beside.watcher import OLDEST, Looking, looksFor, told
from smtpsource.beside.watching import MOST_MARKS, Watching
from smtpsource.measure.watched import unitOf

METRICS = """\
# HELP queue_length Messages.
# TYPE queue_length gauge
queue_length{queue="active",host="a"} 3
queue_length{queue="active",host="b"} 4
queue_length{queue="deferred",host="a \\"x\\""} 1.5e3
queue_length_total 99
up 1
nothing NaN
huge 1.8e19
sum{n="1"} 1e308
sum{n="2"} 1e308
"""


class Case(SynchronousTestCase):
    """
    Tests with a directory.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir(parents=True)

    def put(self, **files):
        """
        Write files, with a slash for each two underscores in their names.
        """
        for name, text in files.items():
            path = self.directory / name.replace("__", "/").replace("DOT", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


class ThingTests(Case):
    """
    What a command line says.
    """

    def refused(self, text):
        """
        @return: why that can't be watched.
        """
        return str(self.assertRaises(ValueError, thing, text))

    def test_process(self):
        """
        A process that runs, with a name or without.
        """
        number = os.getpid()
        where = {"number": number, "began": stateOf(number).began}
        self.assertEqual(thing(f"pid:{number}"), Thing(f"pid:{number}", "pid", where))
        self.assertEqual(thing(f"me.1=pid:{number}"), Thing("me.1", "pid", where))

    def test_queue(self):
        """
        A queue of Postfix, wherever it is.
        """
        (self.directory / "active").mkdir()
        found = thing(f"postfix-queue:{os.path.relpath(self.directory)}")
        self.assertEqual(found, Thing("queue", "postfix-queue", {"directory": str(self.directory)}))

    def test_metric(self):
        """
        A metric, with labels or without.
        """
        for text, metric, labels in (
            ("up", "up", {}),
            ("up{}", "up", {}),
            ('a:b_c{x="1", y="a,}\\"#\\\\\\n"}', "a:b_c", {"x": "1", "y": 'a,}"#\\\n'}),
        ):
            found = thing(f"prometheus:http://[::1]:9100/metrics?a=b#{text}")
            where = {"url": "http://[::1]:9100/metrics?a=b", "metric": metric, "labels": labels}
            self.assertEqual(found, Thing(text, "prometheus", where))

    def test_unusable(self):
        """
        What is not there, or nothing at all.
        """
        gone = self.gone()
        for text, problem in (
            ("", "expected pid:N, unit:NAME"),
            ("pid", "expected pid:N, unit:NAME"),
            ("pid:", "expected pid:N, unit:NAME"),
            ("a b=pid:1", "expected pid:N, unit:NAME"),
            ("pidfile:/x", "expected pid:N, unit:NAME"),
            ("pid:x", "expected the number of a process"),
            ("pid:-1", "expected the number of a process"),
            (f"pid:{gone}", "expected a process that runs: there is no such process"),
            ("unit:../x", "expected the name of a unit"),
            ("unit:-x", "expected the name of a unit"),
            ("postfix-queue:/no/such", "expected the directory of a queue that may be read: No such file"),
            (f"postfix-queue:{self.directory}", "expected a queue of Postfix"),
            ("prometheus:http://a/metrics", "expected http://HOST"),
            ("prometheus:https://a/metrics#x", "expected http://HOST"),
            ("prometheus:http:///metrics#x", "expected http://HOST"),
            ("prometheus:http://a:b/metrics#x", "expected http://HOST"),
            ("prometheus:http://u:p@a/metrics#x", "expected http://HOST"),
            ("prometheus:http://a/m\r\nX: y#x", "expected http://HOST"),
            ("prometheus:http://a/metrics#x{a}", "expected http://HOST"),
            ("prometheus:http://a/metrics#1x", "expected http://HOST"),
            ("prometheus:http://a/metrics#" + "x" * 300, "expected a metric of at most 200 characters"),
        ):
            self.assertIn(problem, self.refused(text), text)

    def gone(self):
        """
        @return: the number of a process that has ended.
        """
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(pid, 0)
        return pid

    @given(st.text())
    def test_anything(self, text):
        """
        Whatever somebody says, there is an answer of one line.
        """
        for kind in ("prometheus:", "prometheus:http://a#", "pid:", ""):
            try:
                thing(kind + text)
            except ValueError as e:
                self.assertNotIn("\n", str(e))

    def test_sameName(self):
        """
        No two have the same name.
        """
        pid = f"pid:{os.getpid()}"
        error = self.assertRaises(usage.UsageError, parsed, "--watch", pid, "--watch", pid, "sink:")
        self.assertIn(f"--watch: two are called '{pid}'", str(error))
        names = [one.name for one in parsed("--watch", pid, "--watch", f"b={pid}", "sink:").presentation.watched]
        self.assertEqual(names, [pid, "b"])

    def test_drifts(self):
        """
        A threshold can ask for the drift of what is watched, and of nothing else.
        """
        pid = f"pid:{os.getpid()}"
        threshold = f"drift(watched({pid} rss)) < 10M/h"
        parsed("--threshold", threshold, "--watch", pid, "sink:")
        for others, expected in (
            ((), "--watch along with it"),
            (("--watch", f"b={pid}"), "one of b rss, b threads, b cpu, b descriptors"),
        ):
            error = self.assertRaises(usage.UsageError, parsed, "--threshold", threshold, *others, "sink:")
            self.assertEqual(
                str(error),
                f"--threshold: {threshold!r} is not usable: '{pid} rss' is not watched: expected {expected}",
            )

    def test_driftsOfNothing(self):
        """
        It asks for a figure that there may be: one that is misspelt, or is none, is refused before the run, with those
        that there are.
        """
        directory = Path(self.mktemp())
        (directory / "active").mkdir(parents=True)
        metric = "m=prometheus:http://127.0.0.1:1/#queue_length"
        for what, right, wrong, expected in (
            (f"b=pid:{os.getpid()}", "b cpu", ("b", "b rsss"), "b rss, b threads, b cpu, b descriptors"),
            (
                f"q=postfix-queue:{directory}",
                "q hold",
                ("q", "q bounce"),
                "q maildrop, q incoming, q active, q deferred, q hold",
            ),
            (metric, "m", ("m x", "queue_length"), "m"),
        ):
            parsed("--watch", what, "--threshold", f"drift(watched({right})) < 1/h", "sink:")
            for name in wrong:
                threshold = f"drift(watched({name})) < 1/h"
                error = self.assertRaises(usage.UsageError, parsed, "--watch", what, "--threshold", threshold, "sink:")
                self.assertTrue(str(error).endswith(f" is not watched: expected one of {expected}"), error)

    def test_units(self):
        """
        The unit of a figure is told by its name.
        """
        for name, unit in (
            ("pid:1 rss", "B"),
            ("x memory", "B"),
            ("x cpu", "cores"),
            ("x descriptors", ""),
            ("cpu", ""),
            ("go_heap_bytes", "B"),
            ('a_bytes_total{x="1"}', "B"),
            ("process_cpu_seconds_total", "s"),
            ("queue active", ""),
        ):
            self.assertEqual(unitOf(name), unit, name)


class ProcessTests(Case):
    """
    Processes.
    """

    def test_self(self):
        """
        What is told of this one is so.
        """
        look = ProcessLook("me", {"number": os.getpid(), "began": stateOf(os.getpid()).began})
        found = look.look()
        self.assertEqual(found.keys(), {"me rss", "me threads", "me descriptors"})
        self.assertEqual(found["me threads"], len(os.listdir("/proc/self/task")))
        self.assertTrue(2**20 < found["me rss"] < 2**36)
        with open(os.devnull), open(os.devnull):
            self.assertEqual(look.look()["me descriptors"], found["me descriptors"] + 2)

    def stat(self, *, name="a) R (b", state="S", user=0, began=77):
        """
        Write what the kernel says of process 5.
        """
        fields = [state, *["0"] * 10, str(user), "50", "0", "0", "0", "0", "3", "0", str(began), "0", "25"]
        self.put(**{"5__stat": f"5 ({name}) {' '.join(fields)} 0 0\n"})

    def test_cpu(self):
        """
        How many processors it keeps busy, once there are two looks.
        """
        ticks = os.sysconf("SC_CLK_TCK")
        look = ProcessLook("x", {"number": 5, "began": 77}, str(self.directory))
        with mock.patch("time.monotonic", side_effect=[100.0, 102.0]):
            self.stat(user=0)
            self.assertEqual(look.look(), {"x rss": 25 * os.sysconf("SC_PAGE_SIZE"), "x threads": 3})
            self.stat(user=3 * ticks)
            self.assertEqual(look.look()["x cpu"], 1.5)

    def test_gone(self):
        """
        One that has ended is gone, also if another has its number.
        """
        look = ProcessLook("x", {"number": 5, "began": 77}, str(self.directory))
        for changes in ({"state": "Z"}, {"began": 78}):
            self.stat(**changes)
            self.assertEqual(str(self.assertRaises(Gone, look.look)), "the process has ended")
        os.unlink(self.directory / "5" / "stat")
        self.assertEqual(str(self.assertRaises(Gone, look.look)), "there is no such process")
        self.assertEqual(str(self.assertRaises(Gone, stateOf, 5, "/no/proc")), "this system has no /no/proc")

    def test_rate(self):
        """
        Where a number begins anew nobody knows how much it has grown.
        """
        rate = Rate()
        self.assertEqual([rate.of(*one) for one in ((1, 5), (2, 7), (3, 1), (3, 2), (5, 6))], [None, 2, None, None, 2])


class UnitTests(Case):
    """
    Units of systemd.
    """

    def systemctl(self, *lines):
        """
        Have one that says this.
        """
        path = self.directory / "bin" / "systemctl"
        path.parent.mkdir()
        path.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        path.chmod(0o755)
        self.patch(os, "environ", {**os.environ, "PATH": f"{path.parent}:{os.environ['PATH']}"})

    def test_v2(self):
        """
        Version 2 of control groups has one directory for all.
        """
        self.systemctl("LoadState=loaded", "ControlGroup=/system.slice/system-x.slice/x@1.service")
        self.put(cgroupDOTcontrollers="cpu memory\n")
        group = "system.slice/system-x.slice/x@1.service"
        for name, text in (
            ("memory.current", "1000\n"),
            ("memory.stat", "anon 700\nfile 300\nanon_thp 5\n"),
            ("cpu.stat", "usage_usec 5000000\nuser_usec 1\n"),
            ("pids.current", "7\n"),
        ):
            self.put(**{f"{group}/{name}": text})
        directories = directoriesOf("x@1", str(self.directory))
        self.assertEqual(directories, {"": f"{self.directory}/{group}"})
        look = UnitLook("x", {"directories": directories})
        with mock.patch("time.monotonic", side_effect=[10.0, 12.0]):
            self.assertEqual(look.look(), {"x memory": 1000.0, "x rss": 700.0, "x processes": 7.0})
            self.put(**{f"{group}/cpu.stat": "usage_usec 6000000\n"})
            self.assertEqual(look.look()["x cpu"], 0.5)

    def test_v1(self):
        """
        Version 1 has one for each controller, and some may be missing.
        """
        self.systemctl()
        for name, text in (
            ("memory/system.slice/x.service/memory.usage_in_bytes", "1000\n"),
            ("memory/system.slice/x.service/memory.stat", "rss 1\ntotal_rss 700\n"),
            ("cpuacct/system.slice/x.service/cpuacct.usage", "0\n"),
        ):
            self.put(**{name: text})
        look = UnitLook("x", {"directories": directoriesOf("x.service", str(self.directory))})
        with mock.patch("time.monotonic", side_effect=[10.0, 12.0]):
            self.assertEqual(look.look(), {"x memory": 1000.0, "x rss": 700.0})
            self.put(**{"cpuacct/system.slice/x.service/cpuacct.usage": "3000000000\n"})
            self.assertEqual(look.look()["x cpu"], 1.5)

    def test_again(self):
        """
        A unit that is started again is gone for a moment, and then there as before; its processor time begins anew.
        """
        self.put(**{"g/cpu.stat": "usage_usec 5000000\n"})
        look = UnitLook("x", {"directories": {"": f"{self.directory}/g"}})
        look.look()
        os.rename(self.directory / "g", self.directory / "h")
        self.assertRaises(FileNotFoundError, look.look)
        self.put(**{"g/cpu.stat": "usage_usec 1000\n", "g/memory.current": "5\n"})
        self.assertEqual(look.look(), {"x memory": 5.0})

    def test_unusable(self):
        """
        What systemd says of others.
        """
        for lines, problem in (
            (("LoadState=not-found", "ControlGroup="), "expected a unit of systemd: it knows none of that name"),
            (("LoadState=loaded", "ControlGroup="), "expected a unit that runs: it has no process"),
            ((), f"expected a unit that runs: there is no control group system.slice/x.service in {self.directory}"),
        ):
            self.systemctl(*lines)
            error = self.assertRaises(ValueError, directoriesOf, "x", str(self.directory))
            self.assertEqual(str(error), problem)
            os.unlink(self.directory / "bin" / "systemctl")
            os.rmdir(self.directory / "bin")


class QueueTests(Case):
    """
    Queues of Postfix.
    """

    def test_count(self):
        """
        All files of all queues, in hashed directories as well.
        """
        for name in ("maildrop", "incoming", "active", "deferred/A", "deferred/B/0"):
            (self.directory / name).mkdir(parents=True)
        self.put(**{"active/1": "", "active/2": "", "deferred/A/A1": "", "deferred/B/0/B0": "", "deferred/x": ""})
        look = QueueLook("q", {"directory": str(self.directory)})
        expected = {"q maildrop": 0, "q incoming": 0, "q active": 2, "q deferred": 3}
        self.assertEqual(look.look(), expected)
        self.patch(queues, "MOST", 2)
        self.assertEqual(look.look()["q deferred"], 2)

    def test_gone(self):
        """
        If nothing of it is there any more there is no figure.
        """
        self.assertRaises(OSError, QueueLook("q", {"directory": "/no/such"}).look)


class MetricTests(SynchronousTestCase):
    """
    Metrics of others.
    """

    def test_values(self):
        """
        The sum of the samples that have these labels.
        """
        for metric, labels, value in (
            ("up", {}, 1),
            ("queue_length", {}, 1507),
            ("queue_length", {"queue": "active"}, 7),
            ("queue_length", {"queue": "active", "host": "b"}, 4),
            ("queue_length", {"host": 'a "x"'}, 1500),
            ("queue_length", {"queue": "hold"}, None),
            ("queue", {}, None),
            ("nothing", {}, None),
        ):
            self.assertEqual(valueIn(METRICS, metric, labels), value, metric)

    def serve(self, answer):
        """
        Have a server that answers like this.

        @return: its address.
        """

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                answer(self)

            def log_message(self, *arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}/metrics?x=1"

    def test_fetched(self):
        """
        It is fetched as Prometheus would do it, once for all who want it at a time.
        """
        paths = []

        def answer(request):
            paths.append((request.path, request.headers["accept"]))
            request.send_response(200)
            request.end_headers()
            request.wfile.write(METRICS.encode())

        url = self.serve(answer)
        page = Page(url)
        looks = [ScrapeLook(name, {"url": url, "metric": name, "labels": {}}, page) for name in ("up", "queue_length")]
        self.assertEqual([look.look() for look in looks], [{"up": 1}, {"queue_length": 1507}])
        self.assertEqual(paths, [("/metrics?x=1", "text/plain;version=0.0.4")])
        for metric in ("huge", "sum"):
            look = ScrapeLook("x", {"url": url, "metric": metric, "labels": {}}, page)
            self.assertIn("is too large a number", str(self.assertRaises(ValueError, look.look)))
        error = self.assertRaises(ValueError, ScrapeLook("x", {"url": url, "metric": "x", "labels": {}}, page).look)
        self.assertEqual(str(error), f"there is no such metric at {url}")

    def test_refused(self):
        """
        What is no answer, or too much of one.
        """

        def answer(request):
            request.send_response(int(request.path[-3:]))
            request.end_headers()
            with contextlib.suppress(OSError):
                request.wfile.write(b"a 1\n" * 1000)

        url = self.serve(answer).partition("?")[0]
        self.patch(scrapes, "MOST", 1000)
        for path, problem in (
            ("404", "it answers 404"),
            ("301", "it answers 301"),
            ("200", "its answer is longer than"),
        ):
            error = self.assertRaises(ValueError, scrapes.fetched, f"{url}{path}")
            self.assertIn(problem, str(error))
        self.assertRaises(OSError, scrapes.fetched, f"http://127.0.0.1:{freePort()}/")

    def test_slow(self):
        """
        An answer that comes in little pieces, for ever, is given up.
        """

        def answer(request):
            request.send_response(200)
            request.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    request.wfile.write(b"a 1\n")

        self.patch(scrapes, "PATIENCE", 0.2)
        self.patch(scrapes, "MOST", 2**60)
        self.assertRaises(TimeoutError, scrapes.fetched, self.serve(answer))


class WatcherTests(SynchronousTestCase):
    """
    The process that looks.
    """

    class Look:
        """
        What looks, as a test wants it.
        """

        name = "x"
        found: object = {"x rss": 1.0}

        def look(self):
            """
            Say it.
            """
            if isinstance(self.found, Exception):
                raise self.found
            return self.found

    def test_ages(self):
        """
        What was seen is told for some seconds; then why it is not seen any more.
        """
        look = self.Look()
        looking = Looking(look)
        with mock.patch("time.monotonic", return_value=looking._seen[0] + 1):
            self.assertEqual(json.loads(told([looking], looking._seen[0])), {"figures": {}, "missing": {}})
            looking.once()
        now = looking._seen[0]
        self.assertEqual(json.loads(told([looking], now + OLDEST)), {"figures": {"x rss": 1.0}, "missing": {}})
        for problem, text in (
            (OSError(5, "Input/output error"), "Input/output error"),
            (ValueError("a" * 500), "a" * 200),
        ):
            look.found = problem
            looking.once()
            self.assertEqual(json.loads(told([looking], now + 1))["figures"], {"x rss": 1.0})
            self.assertEqual(json.loads(told([looking], now + 4)), {"figures": {}, "missing": {"x": text}})

    def test_gone(self):
        """
        What is gone is gone at once; and may be there again.
        """
        look = self.Look()
        looking = Looking(look)
        looking.once()
        look.found = Gone("it is gone")
        looking.once()
        now = looking._seen[0]
        self.assertEqual(json.loads(told([looking], now)), {"figures": {}, "missing": {"x": "it is gone"}})
        look.found = {"x rss": 2.0}
        looking.once()
        self.assertEqual(json.loads(told([looking], now))["figures"], {"x rss": 2.0})

    def test_figures(self):
        """
        It is known beforehand what there may be to see of each kind.
        """
        found = figuresOf(
            Thing(name, kind, {})
            for name, kind in (("a", "pid"), ("b", "unit"), ("c", "postfix-queue"), ("d", "prometheus"))
        )
        self.assertEqual(
            [
                *("a rss", "a threads", "a cpu", "a descriptors", "b memory", "b rss", "b cpu", "b processes"),
                *("c maildrop", "c incoming", "c active", "c deferred", "c hold", "d"),
            ],
            found,
        )

    def test_kinds(self):
        """
        There is something that looks at each kind, and one page for each address.
        """
        metric = {"url": "http://a/", "metric": "x", "labels": {}}
        found = list(
            looksFor(
                [
                    ("a", "pid", {"number": 1, "began": 0}),
                    ("b", "unit", {"directories": {}}),
                    ("c", "postfix-queue", {"directory": "/"}),
                    ("d", "prometheus", metric),
                    ("e", "prometheus", metric),
                    ("f", "prometheus", {**metric, "url": "http://b/"}),
                ]
            )
        )
        kinds = [ProcessLook, UnitLook, QueueLook, ScrapeLook, ScrapeLook, ScrapeLook]
        self.assertEqual([(type(one), one.name) for one in found], list(zip(kinds, "abcdef", strict=True)))
        self.assertIs(found[3]._page, found[4]._page)
        self.assertIsNot(found[3]._page, found[5]._page)


class WatchingTests(SynchronousTestCase):
    """
    What the run has of it.
    """

    def setUp(self):
        self.clock = Clock()
        self.clock.spawnProcess = lambda protocol, *arguments, **more: protocol.makeConnection(self)
        self.time, self.marks, self.told, self.written, self.signals = 1.0, [], [], [], []
        self.done = defer.Deferred()
        self.write, self.signalProcess = self.written.append, self.signals.append
        self.watching = Watching(self.clock, self, [Thing("x", "pid", {"number": 5})], self.told.append)
        self.watching.begin()

    def now(self):
        """
        When it is.
        """
        return self.time

    def mark(self, text, kind):
        """
        Mark it.
        """
        self.marks.append((kind, text))

    def whenDone(self):
        """
        When it is over.
        """
        return self.done

    def says(self, figures, missing):
        """
        The process says something.
        """
        self.watching.childDataReceived(1, json.dumps({"figures": figures, "missing": missing}).encode() + b"\n")

    def test_latest(self):
        """
        It has the latest figures; none, if they are too old.
        """
        self.assertEqual(json.loads(self.written[0]), [["x", "pid", {"number": 5}]])
        self.assertEqual(self.watched(), {})
        self.says({"x rss": 1.0}, {})
        self.says({"x rss": 2.0}, {})
        self.clock.advance(3)
        self.assertEqual(self.watched(), {"x rss": 2.0})
        self.clock.advance(0.1)
        self.assertEqual(self.watched(), {})
        self.says({"x rss": 3.0}, {})
        self.assertEqual(self.watched(), {"x rss": 3.0})

    def test_pieces(self):
        """
        Lines come in pieces.
        """
        for byte in b'{"figures": {"a": 1}, "missing": {}}\n':
            self.watching.childDataReceived(1, bytes([byte]))
        self.assertEqual(self.watched(), {"a": 1})

    def test_marks(self):
        """
        What is gone, and there again, is a mark, once; it is told when it is gone for the first time.
        """
        self.says({}, {})
        self.says({}, {"x": "the process has ended"})
        self.says({}, {"x": "there is no such process"})
        self.says({}, {})
        self.says({}, {"x": "the process has ended"})
        gone = ("event", "x: the process has ended")
        self.assertEqual(self.marks, [gone, ("event", "x: it is there again"), gone])
        self.assertEqual(self.told, ["--watch x: the process has ended"])
        for _ in range(100):
            self.says({}, {})
            self.says({}, {"x": "the process has ended"})
        self.assertEqual(len(self.marks), MOST_MARKS)

    def test_never(self):
        """
        What is not there yet is looked for again, which is told; if it never comes that is told at the end, and else
        nothing is.
        """
        self.watching = Watching(
            self.clock,
            self,
            [Thing("m", "prometheus", {}), Thing("q", "postfix-queue", {}), Thing("n", "prometheus", {})],
            self.told.append,
        )
        self.watching.begin()
        self.says({"q active": 1}, {"m": "Connection refused"})
        self.says({}, {"q": "Permission denied", "m": "Connection refused", "n": "it answers 404"})
        self.assertEqual(
            sorted(self.told),
            [
                "--watch m: Connection refused; looked for again each second",
                "--watch n: it answers 404; looked for again each second",
                "--watch q: Permission denied; looked for again each second",
            ],
        )
        self.says({"n": 1}, {"m": "Connection refused"})
        self.told.clear()
        self.done.callback(None)
        self.assertEqual(self.told, ["--watch m: nothing was seen of it in all the run"])

    def test_early(self):
        """
        Before the run there is nothing to mark.
        """
        self.time = 0.0
        self.says({}, {"x": "gone"})
        self.assertEqual((self.marks, self.told), ([], ["--watch x: gone"]))

    def test_over(self):
        """
        When the run is over so is the process, and nobody is told.
        """
        self.done.callback(None)
        self.assertEqual(self.signals, ["KILL"])
        self.watching.processEnded(mock.Mock(value=mock.Mock(signal=9)))
        self.assertEqual((self.told, self.marks), ([], []))

    def test_lost(self):
        """
        If the process is lost that is told, and a mark.
        """
        self.says({"x rss": 1.0}, {})
        self.watching.childDataReceived(2, b"Traceback\nMemoryError\n")
        self.watching.processEnded(mock.Mock(value=mock.Mock(signal=None, exitCode=1)))
        text = "nothing is watched any more: the process that looks ended with status 1: MemoryError"
        self.assertEqual((self.told, self.marks), ([text], [("event", text)]))
        self.assertEqual(self.watched(), {})

    def test_nonsense(self):
        """
        What is no line of ours is the end of it.
        """
        for data in (b"x\n", b"[]\n", b"x" * 2_000_000):
            self.watching.childDataReceived(1, data)
        self.assertEqual(self.signals, ["KILL"] * 3)


class RunTests(CommandTestCase):
    """
    Whole runs.
    """

    LOAD = ("-d", "-s", "2", "--rate", "50")

    @defer.inlineCallbacks
    def test_figures(self):
        """
        A process, a queue and the run's own metrics are in the series, the timeline and the summary.
        """
        port = freePort()
        directory = Path(self.mktemp()).resolve()
        for name in ("active", "deferred"):
            (directory / name).mkdir(parents=True)
        (directory / "active" / "1").touch()
        command = smtpsource(
            *(self, *self.LOAD, "--duration", "4", "--metrics-port", port, "--report", "r.json", "--csv", "r.csv"),
            *("--watch", f"us=pid:{os.getpid()}", "--watch", f"postfix-queue:{directory}"),
            *("--watch", f"fds=prometheus:http://127.0.0.1:{port}/metrics#process_open_fds", "sink:"),
        )
        table = command.directory / "r.csv"
        yield eventually(lambda: table.exists() and table.read_text().count("\n") > 1, "a row of the table")
        growing = table.read_text().splitlines()[0]
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result)
        report = json.loads((command.directory / "r.json").read_text())
        found = [sample["watched"] for sample in report["series"] if "watched" in sample]
        names = {"us rss", "us cpu", "us threads", "us descriptors", "queue active", "queue deferred", "fds"}
        self.assertEqual({name for one in found for name in one}, names)
        self.assertEqual((found[-1]["queue active"], found[-1]["queue deferred"]), (1, 0))
        self.assertGreater(found[-1]["fds"], 3)
        self.assertGreater(found[-1]["us rss"], 2**20)
        self.assertEqual(report["timeline"]["watched"].keys(), names)
        # Of the table's columns none comes later; those of parts that this queue has not are gone.
        self.assertLessEqual(names, set(growing.split(",")))
        self.assertLessEqual(set(table.read_text().splitlines()[0].split(",")), set(growing.split(",")))
        self.assertEqual(report["marks"], [])
        for row in (rb"^watched +first +last +highest$", rb"^us rss +[\d.]+ [kMG]B", rb"^queue active +1 +1 +1$"):
            self.assertRegex(result.out, b"(?m)" + row)

    @defer.inlineCallbacks
    def test_gone(self):
        """
        A process that ends is told and marked, and has no figures any more; the run goes on. The same with workers.
        """
        for workers in ("1", "2"):
            other = Command(self, ["/bin/sleep", "10000"])
            result, report = yield loadAndReport(
                *(self, *self.LOAD, "--workers", workers, "--duration", "5", "--watch", f"other=pid:{other.pid}"),
                *("--at", "2", f"kill {other.pid}", "sink:"),
            )
            self.assertEqual(result.status, 0, result)
            self.assertOneLine(result.err, b"smtpsource: --watch other: the")
            [event] = [mark for mark in report["marks"] if mark["kind"] == "event"]
            self.assertTrue(event["text"].startswith("other: the"), event)
            self.assertIn("other rss", report["series"][1]["watched"])
            self.assertNotIn("watched", report["series"][-1])

    @defer.inlineCallbacks
    def test_hung(self):
        """
        A process that looks and gets nowhere holds up nothing; its figures are left out.
        """
        command = smtpsource(
            *(self, *self.LOAD, "--duration", "8", "--report", "r.json", "--watch", f"us=pid:{os.getpid()}"),
            *("--at", "1", "kill -STOP $(cat pid)", "sink:"),
        )

        def watchers():
            return [pid for pid in command.children() if b"beside.watcher" in Path(f"/proc/{pid}/cmdline").read_bytes()]

        yield eventually(watchers, "the process that looks")
        (command.directory / "pid").write_text(str(watchers()[0]))
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result)
        report = json.loads((command.directory / "r.json").read_text())
        self.assertIn("watched", report["series"][1])
        self.assertNotIn("watched", report["series"][-1])
        self.assertLess(max(sample["time"] for sample in report["series"]), PATIENCE)

    @defer.inlineCallbacks
    def test_killed(self):
        """
        When the run is killed the process that looks ends as well.
        """
        server = self.serve()
        command = smtpsource(self, *self.LOAD, "--duration", "1h", "--watch", f"pid:{os.getpid()}", server.destination)
        yield eventually(command.children, "the process that looks")
        [watcher] = command.children()
        command.signal(signal.SIGKILL)
        yield command.whenEnded()
        yield whenGone(watcher)

    @defer.inlineCallbacks
    def test_unusable(self):
        """
        What is not there at the start is one line.
        """
        result = yield smtpsource(self, "--watch", "postfix-queue:/no/such", "sink:").whenEnded()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertOneLine(
            result.err, b"--watch: 'postfix-queue:/no/such' is not usable: expected the directory of a queue"
        )
