"""
Tests for L{smtpsource.report.metrics}, L{smtpsource.report.prometheus}, and the options C{--metrics-port} and
C{--metrics-interface}.
"""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from hypothesis import strategies as st
from patience import TEST_LIMIT
from peers import freePort
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parseOpenMetrics
from prometheus_client.parser import text_string_to_metric_families as parseText
from properties import given
from recording import CLOSE, Delay, Held, RecordingServer, ServingMixin
from results import ADDRESSES, Run
from subprocesses import killIfAlive, python, smtpsource, twistd, whenGone
from twisted.internet import defer
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from visiting import VisitingMixin

from smtpsource import __version__
from smtpsource.load.service import SourceService
from smtpsource.measure.histogram import LatencyRecorder, highestOf, indexOf, lowestOf
from smtpsource.measure.progress import Working
from smtpsource.phases import LATE, MESSAGE, NAMES, RCPT
from smtpsource.plan import SourcePlan
from smtpsource.report.metrics import MOST, ListenError, MetricsService
from smtpsource.report.prometheus import BOUNDS, cumulated, total

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Served(Run):
    """
    A run whose metrics are served.
    """

    def __init__(self, **progress):
        super().__init__(**progress)
        self.done = defer.Deferred()

    def whenDone(self):
        return self.done


def connectedTo(url):
    """
    @return: a connection to who serves that.
    """
    _, _, where, _ = url.split("/", 3)
    host, _, port = where.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=60)


def get(url, accept="text/plain", method="GET", connection=None):
    """
    Ask for something, in this thread.

    @param connection: a connection to ask over; by default a new one.
    @return: status, headers and body as texts.
    """
    _, _, where, path = url.split("/", 3)
    request = f"{method} /{path} HTTP/1.1\r\nHost: {where}\r\nAccept: {accept}\r\n\r\n"
    answer = b""
    with connection or connectedTo(url) as connection:
        connection.sendall(request.encode())
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    first, _, headers = head.decode().partition("\r\n")
    return int(first.split()[1]), headers.lower(), body.decode()


def scraped(text, parse=parseText):
    """
    What Prometheus reads.

    @return: the values, by name and labels: C{values["smtpsource_replies_total", ("code", "250"), ("phase", "mail")]}.
    """
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


class HistogramTests(SynchronousTestCase):
    """
    Buckets of Prometheus, from ours.
    """

    def test_bounds(self):
        """
        Each bound is where one of our buckets begins, so that nothing below it is counted above it.
        """
        for bound in BOUNDS:
            self.assertEqual(lowestOf(indexOf(bound)), bound)
        self.assertEqual((BOUNDS[0], BOUNDS[-1]), (100, 81_920_000))

    @given(st.integers(0, 3600 * 10**6))
    def test_index(self, microseconds):
        """
        A latency is in the bucket that has it between its ends.
        """
        index = indexOf(microseconds)
        self.assertTrue(lowestOf(index) <= microseconds <= highestOf(index))

    @given(st.lists(st.floats(0, 3600), max_size=50))
    def test_counts(self, latencies):
        """
        For each bound, exactly those that were below it are counted, as their microseconds say; their sum is right to 3
        digits.
        """
        recorder = LatencyRecorder()
        for seconds in latencies:
            recorder.record(seconds)
        found = dict(cumulated(recorder.counts))
        self.assertEqual(found.pop("+Inf"), len(latencies))
        self.assertEqual([float(bound) for bound in found], [bound / 1e6 for bound in BOUNDS])
        for bound, count in found.items():
            limit = round(float(bound) * 1e6)
            self.assertEqual(count, sum(int(seconds * 1e6) < limit for seconds in latencies), bound)
        wanted = sum(latencies)
        self.assertApproximates(total(recorder.counts), wanted, wanted * 0.001 + 1e-6 * len(latencies))


class ServiceTests(TestCase):
    """
    L{MetricsService}, in a program of one's own.
    """

    timeout = TEST_LIMIT

    def serve(self, run, port=0, **settings):
        """
        @return: a service that serves metrics of this run until the test is over.
        """
        from twisted.internet import reactor

        service = MetricsService(reactor, run, port, **settings)
        service.startService()
        self.addCleanup(service.stopService)
        return service

    @defer.inlineCallbacks
    def test_values(self):
        """
        Every value is the run's, in both formats.
        """
        run = Served(asked=12.0, askedRate=2.5, overdue=14, at=3.5, sessions=4, addresses=ADDRESSES)
        recorder = run.recorder
        run.accept(3, 0.0002)
        recorder.started, recorder.rejected, recorder.failed = 10, 2, 1
        recorder.late, recorder.dropped, recorder.recipientsRejected = 5, 6, 7
        recorder.connectionsOpened, recorder.open, recorder.connectionsLost, recorder.connectionsFailed = 8, 9, 10, 11
        recorder.bytesSent, recorder.bytesReceived = 12, 13
        recorder.reply(RCPT, 0.01, b"550", b"550 no")
        recorder.reply(RCPT, 0.00999, b"450", b"450 no")
        recorder.error("timeout", "silence")
        recorder.duration(LATE, 100.0)
        expected = {
            ("smtpsource_build_info", ("version", __version__)): 1,
            ("smtpsource_state", ("state", "running")): 1,
            ("smtpsource_state", ("state", "draining")): 0,
            ("smtpsource_run_seconds",): 3.5,
            ("smtpsource_sessions",): 4,
            ("smtpsource_asked_total",): 12,
            ("smtpsource_asked_rate",): 2.5,
            ("smtpsource_overdue",): 14,
            ("smtpsource_state", ("state", "catching up")): 0,
            ("smtpsource_messages_started_total",): 10,
            ("smtpsource_messages_total", ("outcome", "accepted")): 3,
            ("smtpsource_messages_total", ("outcome", "rejected")): 2,
            ("smtpsource_messages_total", ("outcome", "failed")): 1,
            ("smtpsource_recipients_total", ("outcome", "accepted")): 3,
            ("smtpsource_recipients_total", ("outcome", "rejected")): 7,
            ("smtpsource_late_total",): 5,
            ("smtpsource_dropped_total",): 6,
            ("smtpsource_connections_opened_total",): 8,
            ("smtpsource_connections_open",): 9,
            ("smtpsource_connections_lost_total",): 10,
            ("smtpsource_connect_failures_total",): 11,
            ("smtpsource_address_connections_opened_total", ("address", "inet:192.0.2.1:25")): 10,
            ("smtpsource_address_connect_failures_total", ("address", "inet:192.0.2.1:25")): 0,
            ("smtpsource_address_connect_failures_total", ("address", "inet:[2001:db8::1]:25")): 5,
            ("smtpsource_address_messages_accepted_total", ("address", "inet:192.0.2.1:25")): 90,
            ("smtpsource_bytes_total", ("direction", "sent")): 12,
            ("smtpsource_bytes_total", ("direction", "received")): 13,
            ("smtpsource_replies_total", ("code", "550"), ("phase", "rcpt")): 1,
            ("smtpsource_replies_total", ("code", "450"), ("phase", "rcpt")): 1,
            ("smtpsource_errors_total", ("kind", "timeout")): 1,
            ("smtpsource_phase_seconds_count", ("phase", "transaction")): 3,
            ("smtpsource_phase_seconds_bucket", ("le", "0.0002"), ("phase", "transaction")): 0,
            ("smtpsource_phase_seconds_bucket", ("le", "0.0005"), ("phase", "transaction")): 3,
            ("smtpsource_phase_seconds_bucket", ("le", "0.01"), ("phase", "rcpt")): 1,
            ("smtpsource_phase_seconds_bucket", ("le", "0.02"), ("phase", "rcpt")): 2,
            ("smtpsource_phase_seconds_bucket", ("le", "81.92"), ("phase", "late")): 0,
            ("smtpsource_phase_seconds_bucket", ("le", "+Inf"), ("phase", "late")): 1,
        }
        service = self.serve(run)
        for accept, parse in (("text/plain", parseText), (OPENMETRICS, parseOpenMetrics)):
            status, headers, body = yield deferToThread(get, service.url, accept)
            self.assertEqual(status, 200)
            self.assertIn(f"content-type: {accept.partition(';')[0]};", headers)
            values = scraped(body, parse)
            self.assertEqual({name: values.get(name) for name in expected}, expected)
            self.assertApproximates(values["smtpsource_phase_seconds_sum", ("phase", "transaction")], 0.0006, 2e-6)
            self.assertGreater(values["process_cpu_seconds_total",], 0)
            self.assertGreater(values["process_open_fds",], 0)

    @defer.inlineCallbacks
    def test_workers(self):
        """
        Of several workers, how many there are, and the CPU seconds of each.
        """
        run = Served(workers=(Working("running", 1.5, 0.5), Working("lost", 1.0, 0.25), Working("running", 2.0, 1.0)))
        service = self.serve(run)
        for accept, parse in (("text/plain", parseText), (OPENMETRICS, parseOpenMetrics)):
            _, _, body = yield deferToThread(get, service.url, accept)
            values = scraped(body, parse)
            counts = [values["smtpsource_workers", ("state", state)] for state in ("running", "over", "lost")]
            self.assertEqual(counts, [2, 0, 1])
            self.assertEqual(values["smtpsource_worker_cpu_seconds_total", ("mode", "user"), ("worker", "3")], 2.0)
            self.assertEqual(values["smtpsource_worker_cpu_seconds_total", ("mode", "system"), ("worker", "2")], 0.25)
        _, _, body = yield deferToThread(get, self.serve(Served()).url)
        self.assertNotIn("worker", body)

    @defer.inlineCallbacks
    def test_closedLoop(self):
        """
        Nothing is asked for without a schedule, and phases that did not happen have no histogram.
        """
        _, _, body = yield deferToThread(get, self.serve(Served()).url)
        self.assertNotIn("smtpsource_asked", body)
        self.assertNotIn("_bucket", body)

    @defer.inlineCallbacks
    def test_everything(self):
        """
        What Prometheus can't read is lost as a whole: all phases, codes and kinds of errors at once, strange ones too.
        """
        run = Served()
        for phase in range(len(NAMES)):
            for code in (b"250", b"451", b"9\xff9"):
                run.recorder.reply(phase, 0.5, code, b"text")
        run.recorder.error('"\n\\', "text")
        service = self.serve(run)
        for accept, parse in (("text/plain", parseText), (OPENMETRICS, parseOpenMetrics)):
            _, _, body = yield deferToThread(get, service.url, accept)
            values = scraped(body, parse)
            for name in NAMES:
                self.assertEqual(values["smtpsource_phase_seconds_count", ("phase", name)], 3)
                self.assertEqual(values["smtpsource_replies_total", ("code", "451"), ("phase", name)], 1)
            self.assertEqual(values["smtpsource_errors_total", ("kind", '"\n\\')], 1)

    @defer.inlineCallbacks
    def test_pages(self):
        """
        The start page leads to the metrics, which can be asked for without their content; there is nothing else.
        """
        url = self.serve(Served()).url
        start = url.removesuffix("metrics")
        status, headers, body = yield deferToThread(get, start)
        self.assertEqual(status, 200)
        self.assertIn("content-type: text/html", headers)
        self.assertIn("href=/metrics", body)
        for path, method, expected in (("metrics", "HEAD", 200), ("metrics", "POST", 405), ("other", "GET", 404)):
            status, _, _ = yield deferToThread(get, start + path, method=method)
            self.assertEqual(status, expected, path)

    @defer.inlineCallbacks
    def test_end(self):
        """
        When the run is over nobody listens any more, and a connection that has not asked for anything yet is closed.
        """
        run = Served()
        url = self.serve(run).url
        # When this is answered, that one was taken as well.
        connection = yield deferToThread(connectedTo, url)
        yield deferToThread(get, url)
        run.done.callback(None)
        rest = yield deferToThread(self.rest, connection)
        self.assertEqual(rest, b"")
        yield self.assertFailure(deferToThread(get, url), ConnectionRefusedError)

    def rest(self, connection):
        """
        @return: what comes until it is closed.
        """
        with connection:
            try:
                return connection.recv(1)
            except ConnectionResetError:
                return b""

    @defer.inlineCallbacks
    def test_stopTwice(self):
        """
        It can be stopped before the run is over; the end of the run is then no news.
        """
        run = Served()
        service = self.serve(run)
        yield service.stopService()
        run.done.callback(None)
        yield service.stopService()

    def test_inUse(self):
        """
        Where it can't listen it says so, in one line.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            error = self.assertRaises(ListenError, self.serve, Served(), port)
        self.assertEqual(str(error), f"can't serve metrics at 127.0.0.1:{port}: Address already in use")

    def test_interface(self):
        """
        Only 127.0.0.1 is served by default; an address of IPv6 stands in brackets.
        """
        self.assertRegex(self.serve(Served()).url, r"\Ahttp://127\.0\.0\.1:\d+/metrics\Z")
        self.assertRegex(self.serve(Served(), interface="::1").url, r"\Ahttp://\[::1\]:\d+/metrics\Z")

    @defer.inlineCallbacks
    def test_crowd(self):
        """
        Who comes behind a crowd that waits is served, even if all are there in the same turn of the reactor.
        """
        url = self.serve(Served()).url
        for _ in range(40):
            self.addCleanup(connectedTo(url).close)
        last = connectedTo(url)
        status, _, _ = yield deferToThread(get, url, connection=last)
        self.assertEqual(status, 200)

    @defer.inlineCallbacks
    def test_embedded(self):
        """
        Along with a L{SourceService}: it serves while that runs, and the reactor is clean after it.
        """
        from twisted.internet import reactor

        server = RecordingServer({".": (Delay(0.05), None)})
        self.addCleanup(server.stop)
        server.listen()
        source = SourceService(
            reactor, SourcePlan(destination=server.destination, messageCount=6, keepConnections=True)
        )
        metrics = self.serve(source)
        source.startService()
        yield server.when(lambda: len(server.messages) >= 2)
        _, _, body = yield deferToThread(get, metrics.url)
        values = scraped(body)
        self.assertGreaterEqual(values["smtpsource_messages_started_total",], 2)
        self.assertEqual(values["smtpsource_connections_open",], 1)
        summary = yield source.whenDone()
        self.assertEqual(summary.messages.accepted, 6)


class VisitorTests(VisitingMixin, SynchronousTestCase):
    """
    Who connects to the metrics: whatever that is, it takes little from the run.
    """

    def setUp(self):
        self.reactor = MemoryReactorClock()
        self.run_ = Served()
        MetricsService(self.reactor, self.run_, 0, clock=lambda: 0.0).startService()
        self.open()

    def test_oneRequest(self):
        """
        A connection is for one request, and says so.
        """
        request = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"
        transport = self.visit(request * 3)
        answer = transport.take()
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 1)
        self.assertIn(b"\r\nconnection: close\r\n", answer.lower())
        self.reactor.advance(0)
        self.assertFalse(transport.connected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_silent(self):
        """
        Who says nothing, or a little now and then, is gone after ten seconds.
        """
        silent, slow = self.visit(), self.visit(b"GET /metrics HTTP/1.1\r\n")
        for number in range(99):
            self.reactor.advance(0.1)
            slow.deliver(b"x-%d: y\r\n" % number)
        self.assertTrue(silent.connected and slow.connected)
        self.reactor.advance(0.2)
        self.reactor.advance(0)
        self.assertFalse(silent.connected or slow.connected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_slowReader(self):
        """
        So is one who does not take the answer.
        """
        transport = self.visit()
        self.patch(transport, "loseConnection", lambda: None)  # there is more to be sent
        transport.deliver(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        self.reactor.advance(9.9)
        self.assertFalse(transport.aborted)
        self.reactor.advance(0.2)
        self.reactor.advance(0)
        self.assertTrue(transport.aborted)

    def test_large(self):
        """
        Nothing of a request that does not end is kept, neither in memory nor in a file.
        """
        for request in (
            b"GET /" + b"x" * 2**20,
            b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 10_000,
            b"POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 2**16,
            b"POST /metrics HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2**14,
        ):
            transport = self.visit()
            for start in range(0, len(request), 4096):
                transport.deliver(request[start : start + 4096])
            self.reactor.advance(0)
            self.assertFalse(transport.connected, request[:50])

    def test_many(self):
        """
        There are never more than 16 connections, however many come at once. Who has just come waits for a second at
        the most.
        """
        strangers = [self.visit() for _ in range(100)]
        for _ in range(200):
            self.pass_(0.2)
            self.assertLessEqual(len(self.factory.protocols), MOST)
        self.assertFalse(any(one.connected for one in strangers))
        strangers = [self.visit() for _ in range(MOST)]
        transport = self.visit(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        self.pass_(1.1)
        self.assertIn(b"200 OK", transport.take())
        self.assertEqual(sum(one.connected for one in strangers), MOST - 1)


class CommandTests(ServingMixin, TestCase):
    """
    C{--metrics-port}, as users meet it.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def whenSaid(self, command, stream="err"):
        """
        @return: a L{defer.Deferred} that fires with where the metrics are.
        """
        match = yield command.whenPrinted(rb"^smtpsource: metrics at (http://\S+)\n", stream)
        return match[1].decode()

    @defer.inlineCallbacks
    def test_scrape(self):
        """
        With port 0 it is said where; what Prometheus reads there is what the server has seen; when the run is over the
        process ends, and the summary is as ever.
        """
        # Ten messages go through; the others wait until the figures have been read.
        held = Held()
        dots = [(Delay(0.03), None)] * 10 + [(held, None)] * 28
        server = self.serve({"RCPT": ["450 4.2.1 Busy", None, None, CLOSE], ".": dots})
        command = smtpsource(self, "-A", "-s", "2", "-m", "40", "--metrics-port", "0", server.destination)
        begun = time.monotonic()
        url = yield self.whenSaid(command)
        self.assertRegex(url, r"\Ahttp://127\.0\.0\.1:\d+/metrics\Z")
        yield server.when(lambda: len(server.messages) == 12)
        for accept, parse in (("text/plain", parseText), (OPENMETRICS, parseOpenMetrics)):
            _, _, body = yield deferToThread(get, url, accept)
            values = scraped(body, parse)
            accepted = values["smtpsource_messages_total", ("outcome", "accepted")]
            self.assertEqual(accepted, 10)
            self.assertEqual(values["smtpsource_messages_total", ("outcome", "rejected")], 1)
            self.assertEqual(values["smtpsource_messages_total", ("outcome", "failed")], 1)
            self.assertEqual(values["smtpsource_replies_total", ("code", "450"), ("phase", "rcpt")], 1)
            self.assertEqual(values["smtpsource_errors_total", ("kind", "connection-lost")], 1)
            self.assertEqual(values["smtpsource_connections_lost_total",], 1)
            count = values["smtpsource_phase_seconds_count", ("phase", "message")]
            self.assertEqual(count, accepted)
            # The server waits for 30 ms.
            self.assertEqual(values["smtpsource_phase_seconds_bucket", ("le", "0.02"), ("phase", "message")], 0)
            self.assertEqual(values["smtpsource_phase_seconds_bucket", ("le", "+Inf"), ("phase", "message")], count)
            seconds = values["smtpsource_phase_seconds_sum", ("phase", "message")]
            self.assertTrue(0.03 * count <= seconds <= (time.monotonic() - begun) * count, seconds)
        held.release()
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertEqual(result.err, f"smtpsource: metrics at {url}\n".encode())
        self.assertIn(b"messages     40 started, 38 accepted, 1 rejected, 1 failed\n", result.out)
        yield self.assertFailure(deferToThread(get, url), ConnectionRefusedError)

    @defer.inlineCallbacks
    def test_strangers(self):
        """
        Two hundred connections that say nothing take no descriptor that a message needs, and Prometheus gets its
        answer.
        """
        visited = False
        # As long as the strangers are not there, one of 600 messages takes a while.
        server = self.serve({".": lambda *about: None if visited else (Delay(1.0), None)})
        program = (
            "import resource\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
            "from smtpsource.__main__ import main\n"
            "main()\n"
        )
        # 50 is the most with this limit, and each message has a connection of its own.
        arguments = ["-A", "-s", "50", "-m", "600", "--metrics-port", "0", server.destination]
        command = python(self, "-c", program, *arguments)
        url = yield self.whenSaid(command)
        _, _, port = url.removesuffix("/metrics").rpartition(":")
        strangers = []
        self.addCleanup(lambda: [one.close() for one in strangers])

        def visit():
            strangers.extend(socket.create_connection(("127.0.0.1", int(port)), timeout=60) for _ in range(200))

        yield server.when(lambda: len(server.messages) >= 50)
        yield deferToThread(visit)
        self.assertLess(len(server.messages), 600, "they came too late")
        status, _, body = yield deferToThread(get, url)
        self.assertLess(len(server.messages), 600, "it came too late")
        visited = True
        self.assertEqual(status, 200)
        self.assertLess(scraped(body)["process_open_fds",], 100)
        result = yield command.whenEnded()
        self.assertIn(b"messages     600 started, 600 accepted, 0 rejected, 0 failed\n", result.out)
        self.assertEqual(result.status, 0)

    @defer.inlineCallbacks
    def test_openLoop(self):
        """
        Of an open loop there is what the schedule asks for, and the latency from then on.
        """
        server = self.serve()
        command = smtpsource(self, "--rate", "50", "-s", "5", "-m", "10k", "--metrics-port", "0", server.destination)
        url = yield self.whenSaid(command)
        yield server.when(lambda: len(server.messages) >= 20)
        _, _, body = yield deferToThread(get, url)
        values = scraped(body)
        self.assertEqual(values["smtpsource_asked_rate",], 50)
        self.assertGreaterEqual(values["smtpsource_asked_total",], 20)
        self.assertGreaterEqual(values["smtpsource_phase_seconds_count", ("phase", "response")], 15)
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)

    @defer.inlineCallbacks
    def test_interrupt(self):
        """
        A client that is connected does not keep the process from ending.
        """
        server = self.serve()
        command = smtpsource(self, "-d", "-w", "10000", "-m", "2", "--metrics-port", "0", server.destination)
        url = yield self.whenSaid(command)
        connection = yield deferToThread(connectedTo, url)
        self.addCleanup(connection.close)
        # Its signals are its own when it runs.
        yield server.when(lambda: server.messages)
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertIn(b"stopped before its end", result.out)

    @defer.inlineCallbacks
    def test_inUse(self):
        """
        A port that is in use is one line and status 2, and nothing is sent.
        """
        server = self.serve()
        port = server.port
        result = yield smtpsource(self, "--metrics-port", port, server.destination).whenEnded()
        line = f"smtpsource: can't serve metrics at 127.0.0.1:{port}: Address already in use\n".encode()
        self.assertEqual((result.status, result.out, result.err), (2, b"", line))
        result = yield twistd(self, "-n", "smtp-source", "--metrics-port", port, server.destination).whenEnded()
        self.assertEqual((result.status, result.err), (2, line.replace(b"smtpsource", b"smtp-source")))
        self.assertNotIn(b"Traceback", result.out)
        self.assertEqual(server.connections, [])

    @defer.inlineCallbacks
    def test_noSuchAddress(self):
        """
        So is an address that this machine doesn't have.
        """
        server = self.serve()
        arguments = ["--metrics-port", "0", "--metrics-interface", "192.0.2.1", server.destination]
        result = yield smtpsource(self, *arguments).whenEnded()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertRegex(result.err, rb"\Asmtpsource: can't serve metrics at 192\.0\.2\.1:0: [^\n]+\n\Z")

    @defer.inlineCallbacks
    def test_daemon(self):
        """
        In a daemon of twistd: the log says where they are, and when the run is over the daemon is.
        """
        # Fifteen messages take a while; the others wait until the figures have been read.
        held = Held()
        server = self.serve({".": [(Delay(0.1), None)] * 15 + [(held, None)]})
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        pidfile, log = directory / "pid", directory / "log"
        port = freePort()
        arguments = ["--pidfile", pidfile, "--logfile", log, "smtp-source", "-d", "-m", "40"]
        arguments += ["--metrics-port", port, "--live", "on", server.destination]
        started = yield twistd(self, *arguments).whenEnded()
        self.assertEqual((started.status, started.err), (0, b""))
        pid = int(pidfile.read_text())
        self.addCleanup(killIfAlive, pid)
        yield server.when(lambda: len(server.messages) == 16)
        _, _, body = yield deferToThread(get, f"http://127.0.0.1:{port}/metrics")
        values = scraped(body)
        self.assertEqual(values["smtpsource_messages_total", ("outcome", "accepted")], 15)
        self.assertEqual(values["process_start_time_seconds",] > 0, True)
        held.release()
        yield whenGone(pid)
        text = log.read_text()
        self.assertIn(f"smtp-source: metrics at http://127.0.0.1:{port}/metrics\n", text)
        self.assertIn("messages     40 started, 40 accepted", text)
        # That is what --live is in a log.
        self.assertRegex(text, r"(?m)\] 0:\d\d running; .*/s accepted, ")
        self.assertNotIn("Traceback", text)
        self.assertNotIn("GET /metrics", text)

    @defer.inlineCallbacks
    def test_lazy(self):
        """
        Neither twisted.web nor prometheus_client nor rich is imported by a run that doesn't use them.
        """
        server = self.serve()
        program = (
            "import atexit, sys\n"
            "from smtpsource.__main__ import main\n"
            "wanted = ('twisted.web', 'prometheus_client', 'rich')\n"
            "atexit.register(lambda: print('imported', [name for name in wanted if name in sys.modules]))\n"
            "main()\n"
        )
        result = yield python(self, "-c", program, server.destination).whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertIn(b"imported []\n", result.out)


class NameTests(SynchronousTestCase):
    """
    docs/monitoring.rst.
    """

    def test_documented(self):
        """
        Every metric is in the manual.
        """
        from prometheus_client import CollectorRegistry

        from smtpsource.report.prometheus import RunCollector

        root = Path(__file__).resolve().parent.parent
        text = (root / "docs" / "monitoring.rst").read_text("utf-8")
        registry = CollectorRegistry(auto_describe=False)
        run = Served(asked=1.0, askedRate=1.0)
        run.recorder.duration(MESSAGE, 1.0)
        registry.register(RunCollector(run))
        names = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
        self.assertGreater(len(names), 15)
        self.assertEqual(sorted(name for name in names if f"``{name}``" not in text), [])
