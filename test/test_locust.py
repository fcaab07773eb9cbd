"""
Tests for the parts of runs by Locust, each alone. (The whole of it is in test_locust_runs.)
"""

from __future__ import annotations

import csv
import io
import os
import pickle
import time
from argparse import Namespace
from dataclasses import replace

# Locust would put gevent in the place of what Twisted is built upon.
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
try:
    from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments
    from locust.env import Environment
    from locust.stats import PERCENTILES_TO_REPORT, RequestStats, StatsCSV, StatsCSVFileWriter
finally:
    del os.environ["LOCUST_SKIP_MONKEY_PATCH"]

from gevent.event import Event
from hypothesis import strategies as st
from manuals import MANUAL, documented
from properties import given
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import __version__
from smtpsource.locust import course, options
from smtpsource.locust.clock import RemoteClock
from smtpsource.locust.figures import Statistics, keepExact
from smtpsource.locust.words import ASKED, SAID, THEIRS
from smtpsource.locust.worker import Part
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.histogram import LatencyRecorder
from smtpsource.phases import MAIL, NAMES, RCPT, RESPONSE, TRANSACTION
from smtpsource.plan import SourcePlan
from smtpsource.process.loopback import loopback
from smtpsource.workers import envelopes
from smtpsource.workers.band import Band
from smtpsource.workers.elsewhere import Switchboard, WorkerElsewhere
from smtpsource.workers.envelopes import MASTER, Framed, enclose, framed, opened
from smtpsource.workers.wire import LONGEST_SAID, Kind, pack, unpack


class OptionsTests(SynchronousTestCase):
    """
    What to do, as options of Locust.
    """

    def given(self, *arguments):
        parser = get_empty_argument_parser(default_config_files=[])
        parser.add_argument("--host")  # one of Locust's own
        options.declare(parser)
        return parser.parse_args(list(arguments))

    def test_commandLine(self):
        """
        Its fields, and whatever else smtpsource takes, are a command line of smtpsource.
        """
        given = self.given(
            *("--host", "lmtp://mx:24", "--sessions", "20", "--messages", "1k"),
            *("--smtpsource-options", "-d --subject 'two words'"),
        )
        self.assertEqual(
            ["-d", "--subject", "two words", "-s", "20", "-m", "1k", "lmtp://mx:24"], options.commandLine(given)
        )

    def test_runTime(self):
        """
        The end that Locust is to make is the duration, where there is no other end.
        """
        given = self.given("--host", "x", "--rate", "20")
        given.run_time = 90
        self.assertTrue(options.settle(given))
        self.assertIsNone(given.run_time)
        self.assertEqual(["--duration", "90s", "--rate", "20", "x"], options.commandLine(given))
        for others in (
            {"duration": "5"},
            {"messages": "5"},
            *({"smtpsource_options": text} for text in ("-d -m5", "--stages 10:1m", "--scenario=x")),
        ):
            other = Namespace(host="x", run_time="1m30s", **others)
            self.assertFalse(options.settle(other), others)
            self.assertEqual("1m30s", other.run_time)
        form = Namespace(host="x", run_time="1m30s", duration="")
        self.assertTrue(options.settle(form))
        self.assertEqual("90s", form.duration)
        self.assertFalse(options.settle(Namespace(run_time="nonsense")))
        self.assertFalse(options.settle(Namespace(run_time=None)))

    def test_form(self):
        """
        The web UI gives a text for each field, an empty one for what nobody has filled in.
        """
        form = {"host": " mx:25 ", "sessions": "", "messages": "", "duration": "30s", "rate": "5"}
        self.assertEqual(["--duration", "30s", "--rate", "5", "mx:25"], options.commandLine(Namespace(**form)))

    def test_unusable(self):
        """
        What is no command line is told in one line.
        """
        for arguments, problem in [
            ((), "no destination: expected --host"),
            (("--host", "x", "--smtpsource-options", "--subject 'x"), "--smtpsource-options: .* is not usable"),
        ]:
            error = self.assertRaises(ValueError, options.commandLine, self.given(*arguments))
            self.assertRegex(str(error), problem)
            self.assertNotIn("\n", str(error))

    def test_loopback(self):
        """
        Only this machine is let in, unless something else is said: on the command line, in the environment or a file.
        """
        file = self.mktemp()
        with open(file, "w") as f:
            f.write("master-bind-host = 10.0.0.1\n")

        def hosts(*arguments, files=(), **variables):
            parser = get_empty_argument_parser(default_config_files=files)
            setup_parser_arguments(parser)
            options.declare(parser)
            given = parser.parse_known_args(list(arguments), env_vars=variables)[0]
            return given.master_bind_host, given.web_host

        self.assertEqual(("127.0.0.1", "127.0.0.1"), hosts())
        self.assertEqual(("*", ""), hosts("--master-bind-host", "*", "--web-host="))
        self.assertEqual(("127.0.0.1", "10.0.0.2"), hosts(LOCUST_WEB_HOST="10.0.0.2"))
        self.assertEqual(("10.0.0.1", "127.0.0.1"), hosts(files=[file]))

    def test_shown(self):
        """
        All are in the form of the web UI.
        """
        parser = get_empty_argument_parser(default_config_files=[])
        options.declare(parser)
        names = {"sessions", "messages", "duration", "rate", "report", "smtpsource_options"}
        self.assertEqual(set(), names - set(parser.args_included_in_web_ui))


class ClockTests(SynchronousTestCase):
    """
    The clock of another machine.
    """

    def test_fastest(self):
        """
        The fastest answer says most, whichever comes last.
        """
        clock = RemoteClock()
        clock.answered(10.0, 1010.5, 11.0)
        self.assertEqual((0.5, 15.0), (clock.precision, clock.here(1015.0)))
        clock.answered(20.0, 1020.1, 20.2)
        clock.answered(30.0, 1032.0, 34.0)
        self.assertAlmostEqual(0.1, clock.precision)
        self.assertAlmostEqual(25.0, clock.here(1025.0))

    @given(
        st.floats(-1e6, 1e6),
        st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=10),
    )
    def test_right(self, ahead, questions):
        """
        However long questions and answers take, it is no further off than it says.
        """
        clock = RemoteClock()
        for asked, there, back in questions:
            clock.answered(asked, asked + there + ahead, asked + there + back)
        self.assertLessEqual(abs(clock.here(ahead)), clock.precision + 1e-6)


class PartTests(SynchronousTestCase):
    """
    The part of a worker of Locust in a run.
    """

    def setUp(self):
        self.sent, self.given, self.ended = [], [], []
        self.part = Part(self, "run")
        self.part._process = self

    def send_message(self, type, data):
        """
        What is said to the master, as its runner does.
        """
        self.assertEqual(("smtpsource", "run"), (type, data["run"]))
        self.sent.append(data)

    def send(self, message):
        """
        What is said to the process of ours.
        """
        self.given.append(unpack(message))

    def kill(self, reason):
        self.ended.append(reason)

    def test_time(self):
        """
        Times of the master's clock are told by that of this machine, all else as it is.
        """
        asked = time.perf_counter()
        self.part.told({ASKED: asked, THEIRS: asked + 1000})
        step = {"at": 1500.0, "rate": 5.0, "seconds": 1.0}
        for kind, body in ((Kind.GO, {"at": 1500.0, "addresses": ["x"]}), (Kind.STEP, step), (Kind.LEASE, {"at": 1})):
            self.part.told({SAID: pack(kind, body)})
        (_, go), (_, step), (_, lease) = self.given
        for body in (go, step):
            self.assertApproximates(500.0, body["at"], self.part._clock.precision + 1e-6)
        self.assertEqual((["x"], 5.0, {"at": 1}), (go["addresses"], step["rate"], lease))

    def test_ending(self):
        """
        It knows when it was told to end; what does not listen is ended by force.
        """
        self.assertFalse(self.part.ending.is_set())
        self.part.told({SAID: pack(Kind.DRAIN)})
        self.assertTrue(self.part.ending.is_set())
        self.part.told({SAID: pack(Kind.KILL)})
        self.assertEqual(([(Kind.DRAIN, {})], ["was given up"]), (self.given, self.ended))

    def test_code(self):
        """
        Orders are passed on; whatever else somebody may say in the master's name is not, a plan above all.
        """
        orders = {Kind.OPTIONS, Kind.GO, Kind.LEASE, Kind.ADDRESSES, Kind.STEP, Kind.EXPIRE, Kind.DRAIN, Kind.ABORT}
        for kind in Kind:
            self.given.clear()
            said = pack(kind, {"at": 1.0})
            if kind in orders:
                self.part.told({SAID: said})
            elif kind is not Kind.KILL:
                with self.assertLogs("smtpsource.locust.worker", "ERROR"):
                    self.part.told({SAID: said})
            self.assertEqual([kind] if kind in orders else [], [each for each, _ in self.given])
        for junk in ({}, {SAID: b""}, {SAID: 5}, {SAID: pack(Kind.GO)}, {SAID: b"G["}, {THEIRS: "x", ASKED: 1}):
            with self.assertLogs("smtpsource.locust.worker", "ERROR"):
                self.part.told(junk)
        self.assertEqual([], self.given)

    def test_said(self):
        """
        What the process says goes to the master as it is; how many sessions there are is known here as well. When it is
        ready, the master is told which machine it is on.
        """
        frame = frameOf(gauges={"sessions": 7}).encode()
        self.part._said(pack(Kind.FRAME, frame))
        self.part._said(pack(Kind.WANT, {"count": 5}))
        self.assertEqual([pack(Kind.FRAME, frame), pack(Kind.WANT, {"count": 5})], [data[SAID] for data in self.sent])
        self.assertEqual(7, self.part.sessions)
        self.part._knowsTime.set()
        self.part._said(pack(Kind.READY, {"pid": 5}))
        self.assertEqual((Kind.READY, {"pid": 5, "loopback": loopback()}), unpack(self.sent[-1][SAID]))

    def test_refused(self):
        """
        Why a worker can't be used is for the master to say: its process then ends with a status that is no news.
        """
        self.how = "ended with status 1"
        self.part._said(pack(Kind.UNUSABLE, {"text": "no such file"}))
        with self.assertNoLogs("smtpsource.locust.worker"):
            self.part._gone()
        self.assertEqual([Kind.UNUSABLE, Kind.GONE], [unpack(data[SAID])[0] for data in self.sent])

    def test_ended(self):
        """
        What ends otherwise is told of.
        """
        self.how = "ended with status 1"
        with self.assertLogs("smtpsource.locust.worker", "ERROR"):
            self.part._gone()

    def test_version(self):
        """
        Another version than the master's does nothing, and says so with both.
        """
        with self.assertLogs("smtpsource.locust.worker"):
            self.part.begin("0.0")
        kinds = [unpack(data[SAID]) for data in self.sent]
        self.assertEqual([Kind.UNUSABLE, Kind.GONE], [kind for kind, _ in kinds])
        for version in ("0.0", __version__):
            self.assertIn(version, kinds[0][1]["text"])
        self.assertTrue(self.part.over.is_set())


class CourseTests(SynchronousTestCase):
    """
    A run, as the master of Locust has it.
    """

    def setUp(self):
        self.sent, self.given = [], []
        self.patch(course, "Process", lambda *arguments: self)
        environment = Environment()
        environment.stats, environment.runner = RequestStats(), self
        self.ended, self.statuses, self.how = Event(), [], ""
        self.course = course.Course(environment, ["mx:25"], ["a", "b"], self.statuses.append)
        self.given.clear()

    def close(self):
        """
        The coordinator is no longer wanted.
        """
        self.given.append("closed")

    def test_refused(self):
        """
        Of a run that can't be no worker hears, and it has no end.
        """
        self.course._decided(enclose(MASTER, pack(Kind.UNUSABLE, {"text": "no such option"})))
        self.course._ended()
        self.assertEqual("no such option", self.course.problem())
        self.assertEqual(([], []), (self.sent, self.statuses))

    def test_brokenBefore(self):
        """
        A coordinator that ends without a word is a problem as well.
        """
        self.how = "was ended by SIGKILL"
        self.course._ended()
        self.assertEqual("the coordinator was ended by SIGKILL", self.course.problem())
        self.assertEqual(([], []), (self.sent, self.statuses))

    def test_begin(self):
        """
        All hear of a run that can be, once it begins; if the coordinator is gone by then, that is the end of it.
        """
        self.course._decided(enclose(MASTER, pack(Kind.READY)))
        self.assertEqual("", self.course.problem())
        self.assertEqual([], self.sent)
        self.course.begin()
        self.assertEqual(["a", "b"], [worker for worker, _ in self.sent])
        self.assertEqual([(MASTER, pack(Kind.GO))], self.given)
        self.course._ended()
        self.assertEqual([course.FAILED], self.statuses)
        self.assertEqual(4, len(self.sent))

    def send_message(self, type, data, worker):
        """
        What is said to a worker, as the master's runner does.
        """
        self.sent.append((worker, data))

    def send(self, message):
        """
        What is said to the coordinator.
        """
        self.given.append(opened(message))

    def test_noMessage(self):
        """
        What is no message of a worker is no more than the end of that worker.
        """
        for junk in (None, "text", b"", 5, bytes(LONGEST_SAID + 1)):
            self.course.said("b", junk)
        self.assertEqual({(1, b"?")}, set(self.given))
        self.assertRaises(ValueError, unpack, b"?")

    def test_givenUp(self):
        """
        Nobody listens to a worker any more that was given up.
        """
        self.course._decided(enclose(1, pack(Kind.KILL)))
        self.assertEqual(("b", pack(Kind.KILL)), (self.sent[-1][0], self.sent[-1][1][SAID]))
        self.assertEqual((True, False), (self.course.has("a"), self.course.has("b")))


def frameOf(**fields):
    """
    @return: a frame of a second in which nothing happened but this.
    """
    nothing = Frame(
        *(0, 0, 1.0, 1.0, Counters()),
        buckets=[{} for _ in NAMES],
        replies=[{} for _ in NAMES],
        errors={},
    )
    return replace(nothing, **fields)


def bucketsOf(**microseconds):
    """
    @return: what was measured, by phase.
    """
    found = []
    for name in NAMES:
        recorder = LatencyRecorder()
        for each in microseconds.get(name, ()):
            recorder.record(each / 1e6)
        found.append({index: count for index, count in enumerate(recorder.counts) if count})
    return found


class StatisticsTests(SynchronousTestCase):
    """
    Locust's statistics, filled with ours.
    """

    def setUp(self):
        self.stats = RequestStats()
        self.statistics = Statistics(self.stats)
        self.statistics.began(1000.0)

    def add(self, now=0.0, **fields):
        self.statistics.add(frameOf(**fields), now)

    def row(self, environment=None):
        """
        @return: the row of all in Locust's CSV file.
        """
        for owner, name in (
            (StatsCSV, "_percentile_fields"),
            (StatsCSVFileWriter, "stats_writer"),
            (StatsCSVFileWriter, "close_files"),
        ):
            self.patch(owner, name, getattr(owner, name))
        keepExact()
        environment = Environment()
        environment.stats = self.stats
        text = io.StringIO()
        StatsCSV(environment, PERCENTILES_TO_REPORT).requests_csv(csv.writer(text))
        return {row["Name"]: row for row in csv.DictReader(io.StringIO(text.getvalue()))}

    def test_short(self):
        """
        A tenth of a millisecond is one, wherever Locust shows it.
        """
        self.add(buckets=bucketsOf(transaction=[100, 100, 120]), counters=Counters(started=3, accepted=3))
        row = self.row()["Aggregated"]
        self.assertEqual(["3", "0"], [row["Request Count"], row["Failure Count"]])
        names = [*(f"{which} Response Time" for which in ("Median", "Min", "Max")), "50%", "99%"]
        self.assertEqual(["0.1", "0.1", "0.12", "0.1", "0.12"], [row[name] for name in names])
        shown = self.stats.total.to_dict()
        self.assertEqual((0.1, 0.12, 0.1), tuple(shown[f"{w}_response_time"] for w in ("min", "max", "median")))
        self.assertAlmostEqual(0.32 / 3, shown["avg_response_time"])

    def test_outcomes(self):
        """
        What was not accepted has failed; what has no reply has no time.
        """
        codes = {"550": (3, "550 5.1.1 nobody"), "250": (4, "250 ok")}
        self.add(
            counters=Counters(started=9, accepted=4, rejected=3, failed=1, bytesSent=800),
            buckets=bucketsOf(transaction=[1000] * 7),
            replies=[codes if phase == RCPT else {} for phase in range(len(NAMES))],
            errors={"connection-lost": (1, "connection lost")},
        )
        total = self.stats.total
        self.assertEqual((8, 1, 4), (total.num_requests, total.num_none_requests, total.num_failures))
        self.assertEqual(1.0, total.get_response_time_percentile(0.5))
        self.assertEqual(100.0, total.avg_content_length)
        errors = {(each.method, each.name, each.error): each.occurrences for each in self.stats.errors.values()}
        expected = {("phase", "rcpt", "550 5.1.1 nobody"): 3, ("error", "connection-lost", "connection lost"): 1}
        self.assertEqual(expected, errors)
        self.assertEqual(3, self.stats.entries["rcpt", "phase"].num_failures)

    def test_openLoop(self):
        """
        Where there is a schedule, a message took from when it was due.
        """
        buckets = bucketsOf(transaction=[1000], response=[5000])
        self.assertEqual((1, 1), (len(buckets[TRANSACTION]), len(buckets[RESPONSE])))
        self.add(counters=Counters(started=1, accepted=1), buckets=buckets)
        self.assertAlmostEqual(5.0, self.stats.total.max_response_time, 2)

    def test_rates(self):
        """
        Rates are over the time of the run.
        """
        for second in (1, 2, 3, 4):
            self.add(at=float(second), counters=Counters(started=50, accepted=50))
        self.assertEqual(50.0, self.stats.total.total_rps)
        self.assertEqual({1001: 50, 1002: 50, 1003: 50, 1004: 50}, dict(self.stats.total.num_reqs_per_sec))

    def test_warmUp(self):
        """
        What a warm-up brought does not count.
        """
        self.add(counters=Counters(started=50, accepted=50), buckets=bucketsOf(mail=[1000]))
        self.add(1012.0, epoch=1, at=2.0, counters=Counters(started=6, accepted=6), buckets=bucketsOf(mail=[500]))
        self.assertEqual((6, 3.0), (self.stats.total.num_requests, self.stats.total.total_rps))
        self.assertEqual(0.5, self.stats.entries[NAMES[MAIL], "phase"].max_response_time)

    def test_workers(self):
        """
        The statistics of Locust's own workers, which are empty, change nothing.
        """
        self.add(counters=Counters(started=5, accepted=5))
        empty = RequestStats().total
        empty.start_time = 1.0
        self.stats.total.extend(empty)
        self.assertEqual(1000.0, self.stats.total.start_time)


class EnvelopeTests(SynchronousTestCase):
    """
    Many workers over one pipe.
    """

    @given(st.lists(st.tuples(st.sampled_from([0, 1, 7, MASTER]), st.binary(min_size=1, max_size=50))), st.data())
    def test_pieces(self, messages, data):
        """
        However it comes in pieces, what was put in comes out.
        """
        stream = b"".join(framed(enclose(number, message)) for number, message in messages)
        words, found = Framed(), []
        while stream:
            size = data.draw(st.integers(1, len(stream)))
            found += map(opened, words.received(stream[:size]))
            stream = stream[size:]
        self.assertEqual(messages, found)

    def test_tooLong(self):
        """
        What would be longer than any message is none.
        """
        self.assertRaises(ValueError, list, Framed().received(b"\xff" * 4))
        self.assertRaises(ValueError, opened, b"\0\0\0\1")
        self.assertGreater(envelopes.LONGEST, 1 << 20)


class ElsewhereTests(SynchronousTestCase):
    """
    Workers that others have started.
    """

    def setUp(self):
        self.clock = Clock()
        self.told, self.alone, self.said, self.gone = [], [], [], []
        self.board = Switchboard(lambda kind, body: self.told.append((kind, body)), self.alone.append)
        self.board.makeConnection(StringTransport())
        self.workers = [
            WorkerElsewhere(self.clock, ["-m", "10", "mx:25"], lambda message, n=number: self.board.say(n, message))
            for number in range(2)
        ]
        self.board.workers = self.workers
        for number, worker in enumerate(self.workers):
            worker.whenSaid = lambda kind, body, n=number: self.said.append((n, kind, body))
            worker.whenGone = lambda how, n=number: self.gone.append((n, how))

    def receive(self, number, kind, body=None):
        self.board.dataReceived(framed(enclose(number, pack(kind, body))))

    def sent(self):
        """
        @return: what was said, to whom, since the last time.
        """
        data = self.board.transport.value()
        self.board.transport.clear()
        return [(number, *unpack(message)) for number, message in map(opened, Framed().received(data))]

    def start(self):
        for worker in self.workers:
            worker.start()
        self.clock.advance(0)

    def test_names(self):
        """
        It is called by its machine, whatever it calls itself.
        """
        for id, host in (
            ("load2_0123", "load2"),
            ("a_b_0123", "a_b"),
            ("", None),
            ("load\x1b[2_0", "load?[2"),
            ("x", None),
        ):
            worker = WorkerElsewhere(self.clock, [], lambda message: None, id)
            self.assertEqual(host, worker.host)
        named = [WorkerElsewhere(self.clock, [], lambda message: None, f"load{n}_0") for n in (1, 2)]
        band = Band(self.clock, named, 1.0, whenSaid=None, whenLost=None, whenOver=None)
        self.assertEqual(["worker 1 of 2 (load1)", "worker 2 of 2 (load2)"], [band.name(0), band.name(1)])

    def test_early(self):
        """
        What a worker says before it is listened to is heard then.
        """
        self.receive(1, Kind.UNUSABLE, {"text": "no"})
        self.assertEqual([], self.said)
        self.start()
        self.assertEqual([(1, Kind.UNUSABLE, {"text": "no"})], self.said)

    def test_plan(self):
        """
        A plan goes as a command line, and never as code.
        """
        plan = SourcePlan(destination="mx:25", seed=5)
        self.start()
        share = {"index": 1, "count": 2, "run": "0123456789abcdef", "seed": 5}
        self.workers[1].send(Kind.SHARE, share)
        self.workers[1].send(Kind.PLAN, pickle.dumps(plan))
        self.assertEqual([(1, Kind.OPTIONS, {"options": ["-m", "10", "mx:25"], **share})], self.sent())

    def test_goneInOrder(self):
        """
        How a worker has ended is told once, and nothing after it.
        """
        self.start()
        self.receive(0, Kind.END, {})
        self.receive(0, Kind.GONE, {"text": ""})
        self.receive(0, Kind.GONE, {"text": "twice"})
        self.receive(1, Kind.GONE, {"text": "was lost"})
        self.workers[1].send(Kind.DRAIN)
        self.assertEqual([(0, Kind.END, {})], self.said)
        self.assertEqual([(0, ""), (1, "was lost")], self.gone)
        self.assertEqual([], self.sent())

    def test_kill(self):
        """
        One that is given up is gone, whether it hears of that or not.
        """
        self.start()
        self.workers[0].kill("was silent")
        self.assertEqual([(0, Kind.KILL, {})], self.sent())
        self.clock.advance(0)
        self.receive(0, Kind.FRAME, b"late")
        self.assertEqual(([(0, "was silent")], []), (self.gone, self.said))

    def test_master(self):
        """
        What is from no worker is from whoever has started the process.
        """
        self.receive(MASTER, Kind.DRAIN)
        self.assertEqual([(Kind.DRAIN, {})], self.told)

    def test_nonsense(self):
        """
        A worker that there is not, or a word that there is not: nobody knows then what else is wrong.
        """
        for envelope in (enclose(5, pack(Kind.READY)), enclose(MASTER, b"?{}"), b"\0"):
            self.alone.clear()
            self.board.dataReceived(framed(envelope))
            self.assertEqual(1, len(self.alone), envelope)
            self.assertRegex(self.alone[0], "^it says what makes no sense")

    def test_nonsenseOfOne(self):
        """
        What one worker says that makes no sense is the end of that one: it is told so, and the others are heard.
        """
        for junk in (
            *(b"g{}", b"g[]", b"g5", b'r{"pid": []}', b"r[]", b"r", b"?", b"f", b"w" + b"[" * 100_000),
            b"h" + bytes(LONGEST_SAID),
        ):
            self.setUp()
            self.start()
            self.board.dataReceived(framed(enclose(0, junk)))
            if junk != b"f":  # an empty frame is for those who know frames
                self.assertEqual([(0, Kind.KILL, {})], self.sent(), junk[:40])
            self.clock.advance(0)
            self.receive(1, Kind.HINT, {"text": "still here"})
            self.assertEqual((1, Kind.HINT, {"text": "still here"}), self.said[-1])
            self.assertEqual([], self.alone)

    def test_alone(self):
        """
        The end of the pipe is told.
        """
        self.board.readConnectionLost()
        self.assertEqual(["it is gone"], self.alone)
        ends = []
        self.board.transport.loseWriteConnection = lambda: self.board.writeConnectionLost()
        self.board.finish(lambda: ends.append("written"))
        self.assertEqual((["it is gone"], ["written"]), (self.alone, ends))


class DocumentTests(SynchronousTestCase):
    """
    What the options of Locust stand for is something that smtpsource takes.
    """

    def test_fields(self):
        """
        Each is an option of smtpsource.
        """
        from smtpsource.cli.source import SourceOptions

        known = SourceOptions()
        for field in options.FIELDS:
            self.assertIsNotNone(known.optionOf(field.option), field)

    def test_manual(self):
        """
        The manual page has all that can be said.
        """
        ours = {options.DESTINATION, options.OTHERS, *(field.name for field in options.FIELDS)}
        self.assertEqual(ours, {name for _, name, _ in documented(MANUAL / "smtpsource-locust.rst")})
