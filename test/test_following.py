"""
Tests for L{smtpsource.report.following} and L{smtpsource.report.dashboard.eventreader}: a run elsewhere, as it is told.
"""

from __future__ import annotations

import json

from dashboards import DashboardMixin, Shown, second
from hypothesis import strategies as st
from properties import given
from results import example
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.frame import Frame
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.progress import STATES, Awaited, Progress
from smtpsource.measure.recorder import Recorder
from smtpsource.phases import MAIL, TRANSACTION
from smtpsource.report.dashboard.eventreader import SILENCE, EventReaderFactory, Place, packed, percentilesIn, unpacked
from smtpsource.report.following import Followed, heard, told
from smtpsource.report.reading import summaryIn

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

#: Anything that JSON may have.
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


class ProgressTests(SynchronousTestCase):
    """
    How far a run has come, over the wire.
    """

    def test_same(self):
        """
        What is told is what is heard.
        """
        for progress in (
            Progress(at=1.5, state="running", sessions=3),
            Progress(
                at=1.5,
                state="delivering",
                sessions=3,
                asked=7.5,
                askedRate=2.0,
                overdue=4,
                ofWarmUp=1,
                givesUpAt=9.0,
                total=100,
                duration=60.0,
                exercise="noop",
                hints=("a hint",),
                delivered=Delivered(10, 7, 6, 5),
                awaited=Awaited(3, 1.5, 30.0, 100.0),
                startsIn=None,
            ),
        ):
            self.assertEqual(heard(json.loads(json.dumps(told(progress)))), progress)

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                name: VALUES | st.sampled_from(STATES) | st.integers(0, 5)
                for name in (*told(Progress(at=0.0, state="running", sessions=0)), "other")
            },
        )
        | VALUES
    )
    def test_anything(self, document):
        """
        Anything else is refused in one line, or is a progress that can be shown.
        """
        try:
            progress = heard(document)
        except ValueError as e:
            self.assertNotIn("\n", str(e))
        else:
            self.assertIn(progress.state, STATES)
            self.assertTrue(all(hint.isprintable() for hint in progress.hints))


class FollowedTests(SynchronousTestCase):
    """
    L{Followed}.
    """

    def test_counts(self):
        """
        It has all that the frames have, and of those after a warm-up nothing that was before.
        """
        run, expected = Followed(), Recorder()
        run.take(second(0, accepted=99))
        frames = [second(number, epoch=1) for number in range(3)]
        for frame in frames:
            run.take(frame)
            frame.addTo(expected)
        self.assertEqual((run.recorder.accepted, run.recorder.started), (30, 30))
        self.assertEqual(list(run.recorder.buckets[TRANSACTION]), list(expected.buckets[TRANSACTION]))
        self.assertEqual(run.recorder.replies[MAIL], {b"250": 30})
        self.assertEqual(run.recorder.open, 3)

    def test_soFar(self):
        """
        All of it at once is the same as each frame.
        """
        run, other = Followed(), Followed()
        self.assertIsNone(run.soFar())
        for number in range(5):
            run.take(second(number, microseconds=(100, 1000 + number)))
        other.take(Frame.decode(run.soFar().encode()))
        self.assertEqual(other.soFar(), run.soFar())
        self.assertEqual(other.recorder.accepted, 50)

    def test_guessed(self):
        """
        Where nobody says how far it is, the frames do.
        """
        run = Followed()
        gauges = {"sessions": 4, "overdue": 2, "askedRate": 12.5}
        run.take(second(0, asked=10.0, gauges=gauges))
        run.take(second(1, asked=15.0, gauges=gauges))
        progress = run.progress()
        self.assertEqual((progress.at, progress.sessions, progress.overdue), (2.0, 4, 2))
        self.assertEqual((progress.asked, progress.askedRate, progress.state), (25.0, 12.5, "running"))
        said = Progress(at=7.0, state="draining", sessions=1)
        run.take(second(2), said)
        self.assertEqual(run.progress(), said)


class PlaceTests(SynchronousTestCase):
    """
    Where a dashboard is.
    """

    def test_request(self):
        """
        The host is asked for by its name, and the token goes along.
        """
        place = Place("http://[::1]:8089/?token=abc-_9")
        self.assertEqual((place.host, place.port, str(place)), ("::1", 8089, "http://[::1]:8089/"))
        self.assertIn(b"\r\nHost: [::1]:8089\r\n", place.request)
        self.assertIn(b"\r\nAuthorization: Bearer abc-_9\r\n", place.request)
        self.assertNotIn(b"Authorization", Place("http://x:80").request)

    @given(st.text(max_size=30).map(lambda text: f"http://x:1/?token={text}") | st.text(max_size=30))
    def test_anything(self, url):
        """
        Whatever is written for one, nothing else comes to be said.
        """
        try:
            place = Place(url)
        except ValueError as e:
            self.assertNotIn("\n", str(e))
        else:
            self.assertEqual(place.request.count(b"\r\n\r\n"), 1)
            self.assertLessEqual(place.request.count(b"\r\n"), 5)


class ReaderTests(SynchronousTestCase):
    """
    One who reads events.
    """

    def connect(self, take=None):
        """
        @return: the connection's protocol, with C{events} and C{problems}.
        """
        self.events, self.problems = [], []
        self.reactor = MemoryReactorClock()
        factory = EventReaderFactory(
            self.reactor,
            Place("http://127.0.0.1:8089/"),
            take or (lambda kind, data: self.events.append((kind, data))),
            self.problems.append,
        )
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        return protocol

    @given(st.lists(st.integers(1, 200), max_size=20))
    def test_pieces(self, cuts):
        """
        Events are the same however they come.
        """
        data = HEAD + b": hello\n\nid: 0.1\nevent: frame\ndata: {}\n\n:\n\nevent: over\ndata: 1\n\n"
        reader = self.connect()
        for cut in cuts:
            reader.dataReceived(data[:cut])
            data = data[cut:]
        reader.dataReceived(data)
        self.assertEqual((self.events, self.problems), ([("frame", b"{}"), ("over", b"1")], []))

    def test_silence(self):
        """
        One who says nothing for long is given up; signs of life are something.
        """
        reader = self.connect()
        reader.dataReceived(HEAD)
        for _ in range(3):
            self.reactor.advance(SILENCE * 0.9)
            reader.dataReceived(b":\n\n")
        self.reactor.advance(SILENCE * 1.1)
        self.assertEqual(self.problems, ["it says nothing any more"])
        self.assertTrue(reader.transport.disconnected)

    def test_problems(self):
        """
        What is no dashboard, or is none any more, is told once, in one line.
        """

        def refuse(kind, data):
            raise ValueError("bad")

        for said, expected in (
            (b"220 mail.example ESMTP\r\n", "expected HTTP"),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "no dashboard"),
            (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "a token is needed"),
            (b"HTTP/1.1 503 \x1b[31m\r\n\r\n", "no dashboard"),
            (b"HTTP/1.1\r\n\r\n", "no dashboard"),
            (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, "fewer headers"),
            (HEAD + b"event: frame\ndata: x\n\n", "it can't be understood: bad"),
        ):
            reader = self.connect(refuse)
            reader.dataReceived(said)
            reader.connectionLost()
            self.assertEqual(len(self.problems), 1, said)
            self.assertIn(expected, self.problems[0])
            self.assertTrue(self.problems[0].isprintable())

    @given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
    def test_noFrame(self, data):
        """
        What is no frame is refused.
        """
        try:
            progress, frame = unpacked(data)
            Frame.decode(frame)
            heard(progress)
        except ValueError:
            pass
        else:
            self.fail(data)

    @given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps({"percentiles": value}).encode()))
    def test_noPercentiles(self, data):
        """
        What are no percentiles is refused.
        """
        try:
            found = percentilesIn(data)
        except ValueError as e:
            self.assertNotIn("\n", str(e))
        else:
            self.assertTrue(all(0 < each <= 100 for each in found))

    def test_packed(self):
        """
        A frame comes as it was.
        """
        progress, frame = unpacked(packed({"at": 1}, second(3).encode()))
        self.assertEqual((progress, Frame.decode(frame)), ({"at": 1}, Frame.decode(second(3).encode())))


class FramesTests(DashboardMixin, SynchronousTestCase):
    """
    C{/frames}, from its server to one who follows.
    """

    def test_all(self):
        """
        One who comes late knows all that was counted, and then each second, and the end with the report.
        """
        shown = Shown(example())
        shown.percentiles = (50, 75.5)
        self.serve(shown)
        self.bring(*map(second, range(300)))
        transport = self.visit(Place("http://127.0.0.1:8089/").request)
        run, over = Followed(), []

        def take(kind, data):
            if kind == "frame":
                progress, frame = unpacked(data)
                run.take(Frame.decode(frame), heard(progress))
            elif kind == "run":
                run.percentiles = percentilesIn(data)
            else:
                over.append(summaryIn(data))

        factory = EventReaderFactory(self.reactor, Place("http://127.0.0.1:8089/"), take, self.fail)
        reader = factory.buildProtocol(None)
        reader.makeConnection(StringTransport())
        reader.dataReceived(self.said(transport))
        self.assertEqual((run.recorder.accepted, run.progress().sessions), (3000, 4))
        self.assertEqual(run.percentiles, (50, 75.5))
        self.bring(second(300))
        reader.dataReceived(self.said(transport))
        self.assertEqual(run.recorder.accepted, 3010)
        self.run_.done.callback(self.run_.summary)
        reader.dataReceived(self.said(transport))
        self.assertEqual(over, [summaryIn(self.answer("/report.json")[2])])
        reader.finish()
