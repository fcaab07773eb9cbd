"""
Tests for L{smtpsource.load.leased}: shares of a closed loop, whose messages are lent to them.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given, settings
from sessions import ADDRESSES, Server
from together import Together, ids
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.part import Part
from smtpsource.measure.frame import Frame
from smtpsource.net.destination import spelled
from smtpsource.pacing.share import Share
from smtpsource.plan import SourcePlan
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.plan import SinkPlan
from smtpsource.testing import FakeReactor
from smtpsource.workers.leases import Leases
from smtpsource.workers.wire import Kind


def expected(count):
    """
    The ids of so many messages, the first ones of a run.
    """
    together = Together(1, server := Server(), messageCount=count, seed=1)
    together.finish()
    return ids(server)


def slow():
    """
    A server that takes its time for each message.
    """

    def decide(connection, event, usual):
        if event != b"content":
            return usual
        connection.transport._reactor.callLater(0.3, connection.transport.write, usual + b"\r\n")
        return None

    return Server(decide)


class FirstTests(SynchronousTestCase):
    """
    What a worker gets for its sessions.
    """

    @given(st.integers(2, 6), st.integers(0, 100), st.integers(0, 100), st.data())
    def test_first(self, workers, sessions, more, data):
        """
        Whoever asks first, and for however many: each worker's first lease is enough for its sessions, and then all are
        lent, each once.
        """
        sessions += workers
        first = [Share(index, workers).of(sessions) for index in range(workers)]
        leases = Leases(sessions + more, workers, first=first)
        lent = [[] for _ in range(workers)]
        asking = list(range(workers))
        while asking:
            worker = data.draw(st.sampled_from(asking))
            granted = leases.grant(worker, data.draw(st.integers(1, 30)))
            if granted is None:
                # Some have not asked yet.
                self.assertFalse(all(lent))
                worker = next(index for index in asking if not lent[index])
                granted = leases.grant(worker, 1)
            lent[worker].append(granted)
            if not granted[1]:
                asking.remove(worker)
        self.assertEqual([one[0][1] >= least for one, least in zip(lent, first, strict=True)], [True] * workers)
        numbers = [number for one in lent for begin, count in one for number in range(begin, begin + count)]
        self.assertEqual(sorted(numbers), list(range(1, sessions + more + 1)))

    def test_gone(self):
        """
        What is kept for a worker that is gone is for the others.
        """
        leases = Leases(10, 2, first=[5, 5])
        self.assertEqual(leases.grant(0, 9), (1, 5))
        self.assertIsNone(leases.grant(0, 9))
        leases.leave(1)
        self.assertEqual(leases.grant(0, 9), (6, 2))


class CountTests(SynchronousTestCase):
    """
    What all shares together send.
    """

    @settings(max_examples=60)
    @given(
        st.integers(2, 5),
        st.integers(0, 60),
        st.integers(0, 12),
        st.sampled_from([{}, {"keepConnections": True}, {"messagesPerConnection": 3}]),
        st.sampled_from([{}, {"fixedInterval": 0.05}, {"rampUp": 1.0}]),
        st.integers(1, 40),
        st.data(),
    )
    def test_all(self, count, more, sessions, connections, pauses, size, data):
        """
        Each message is sent once, however many are lent at a time and however long that takes; every session has one;
        and nothing is left behind.
        """
        sessions += count
        server = Server()
        together = Together(
            count,
            server,
            size=lambda wanted, rest: data.draw(st.integers(1, size)),
            delay=lambda: data.draw(st.sampled_from([0.0, 0.001, 0.3])),
            messageCount=sessions + more,
            sessionCount=sessions,
            seed=1,
            **connections,
            **pauses,
        )
        together.finish()
        self.assertEqual(ids(server), expected(sessions + more))
        self.assertEqual((together.total("accepted"), together.total("failed")), (sessions + more, 0))
        self.assertGreaterEqual(len(server.connections), sessions)
        if "keepConnections" in connections:
            self.assertEqual(len(server.connections), sessions)
        self.assertEqual(together.reactor.getDelayedCalls(), [])

    def test_windows(self):
        """
        With windows of messages, these get narrower where few are lent, and all are sent.
        """
        for size in (1, 5, 1000):
            factory = SinkFactory(SinkPlan(chunking=True), lambda: 0.0)
            together = Together(
                2,
                factory,
                size=lambda wanted, rest: size,  # noqa: B023
                delay=0.01,
                messageCount=500,
                sessionCount=4,
                keepConnections=True,
                pipelining="require",
                chunking="require",
                window=8,
            )
            together.finish()
            self.assertEqual((together.total("accepted"), together.total("connectionsOpened")), (500, 4))
            self.assertEqual(factory.counts.messages, 500)

    def test_sessions(self):
        """
        Each session has its first message, however fast others are: as many connections are held as there are sessions.
        """
        server = Server()
        together = Together(3, server, messageCount=50, sessionCount=50, keepConnections=True, hold=5.0)
        together.finish()
        self.assertEqual([connection.commands.count(b"MAIL") for connection in server.connections], [1] * 50)

    def test_noMore(self):
        """
        Sessions that are yet to begin when there are no more messages never do.
        """
        together = Together(2, messageCount=30, sessionCount=30, rampUp=60.0)
        run, other = together.runs
        for each in together.runs:
            each.lease(1, 0)
        together.finish()
        self.assertEqual(together.total("started"), 0)
        self.assertEqual((run.state, other.state), ("over", "over"))


class CourseTests(SynchronousTestCase):
    """
    How such a run goes on.
    """

    def test_joining(self):
        """
        Sessions join when they would in a single process.
        """
        found = []
        for count in (1, 2, 5):
            server = Server()
            together = Together(count, server, messageCount=20, sessionCount=20, rampUp=4.0)
            together.finish()
            found.append([round(at - together.begun, 3) for at in server.mails])
        self.assertEqual(found, [[round(number * 0.2, 3) for number in range(20)]] * 3)

    def test_stages(self):
        """
        At any time there are as many sessions as in a single process, some more or less at each one's word.
        """
        stages = ((0.0, 0.0), (2.0, 20.0), (2.0, 20.0), (2.0, 4.0), (1.0, 4.0))
        found = []
        for count in (1, 2, 3):
            together = Together(count, stages=stages, stagesOf="sessions", keepConnections=True, fixedInterval=0.02)
            sessions = []
            for second in (1.0, 3.0, 5.0, 6.5):
                together.until(lambda at=second, each=together: each.reactor.seconds() >= each.begun + at + 0.03)
                sessions.append(together.total("open"))
            together.finish()
            found.append(sessions)
            self.assertEqual(together.total("started"), together.total("accepted"))
        self.assertEqual(found, [[10, 20, 12, 4]] * 3)

    def test_neverWaits(self):
        """
        However fast messages are used, more are asked for before sessions have to wait; and never more than one time.
        """
        together = Together(
            2, messageCount=20_000, sessionCount=20, keepConnections=True, fixedInterval=0.01, delay=0.2, size=min
        )
        together.until(lambda: together.reactor.seconds() > together.begun + 1)
        waited = []
        for run in together.runs:
            run.idle = waited.append
        together.until(lambda: together.total("started") >= 15_000)
        self.assertEqual(waited, [])
        for lent in together.pool.lent:
            self.assertGreater(min(count for _, count in lent[3:]), 700)
            self.assertLess(max(count for _, count in lent), 1500)

    def test_ending(self):
        """
        When leases get small all shares end at about the same time.
        """
        ends = []
        together = Together(4, messageCount=8000, sessionCount=40, keepConnections=True, fixedInterval=0.01)
        together.until(lambda: ends.append(together.reactor.seconds()) or len(together.ended) == 4)
        del together.ended[1:]
        self.assertLess(ends[-1] - together.begun, 8000 / 40 * 0.01 + 0.1)

    def test_waiting(self):
        """
        Sessions that wait for messages are there when some come, and when none will.
        """
        server = Server()
        together = Together(
            2, server, messageCount=10, sessionCount=4, keepConnections=True, delay=30.0, size=lambda w, r: 1
        )
        together.until(lambda: together.total("accepted") == 4)
        self.assertEqual([run.state for run in together.runs], ["running"] * 2)
        together.finish()
        self.assertEqual(len(server.connections), 4)

    def test_ends(self):
        """
        A run whose sessions wait for messages ends when it is to: in order, and at once.
        """
        for end in ("drain", "expire", "abort"):
            together = Together(2, messageCount=10, sessionCount=4, keepConnections=True, delay=30.0)
            together.until(lambda: together.total("accepted") == 4)  # noqa: B023
            self.assertEqual(together.total("open"), 4)
            for run in together.runs:
                getattr(run, end)()
            together.finish()
            self.assertEqual((together.total("started"), together.total("open")), (4, 0))
            self.assertLess(together.reactor.seconds(), together.begun + 31)
            for run in together.runs:
                run.lease(100, 10)  # too late

    def test_timeout(self):
        """
        A server is not silent because nobody speaks to it; and it may end a connection that waits for long.
        """
        server, soon = Server(), [0.0, 0.0]
        together = Together(
            2,
            server,
            messageCount=10,
            sessionCount=4,
            keepConnections=True,
            timeout=5.0,
            size=lambda wanted, rest: 1 if rest > 6 else 3,
            delay=lambda: soon.pop() if soon else 3000.0,
        )
        together.until(lambda: together.reactor.seconds() > together.begun + 2900)
        self.assertEqual((together.total("open"), together.total("accepted"), together.troubles), (4, 4, []))
        for connection in server.connections:
            connection.transport.loseConnection()
        together.finish()
        self.assertEqual((together.total("accepted"), len(server.connections), together.troubles), (10, 8, []))
        self.assertEqual(sum(run.recorder.errors["closed-while-idle"] for run in together.runs), 4)

    def test_duration(self):
        """
        The time that a run may take is over for all at the same moment.
        """
        together = Together(2, duration=2.0, sessionCount=4, keepConnections=True, fixedInterval=0.1)
        together.finish()
        self.assertApproximates(together.reactor.seconds(), together.begun + 2.0, 0.01)
        self.assertEqual(together.total("accepted"), 4 * 20)


class WarmUpTests(SynchronousTestCase):
    """
    A warm-up, and a limit of what is measured.
    """

    @settings(max_examples=40)
    @given(st.integers(2, 4), st.integers(8, 100), st.sampled_from([0.0, 0.05, 0.3, 1.2]), st.integers(1, 50))
    def test_limit(self, count, messages, delay, size):
        """
        So many are measured, those on their way at its end included, whatever was lent before.
        """
        together = Together(
            count,
            slow(),
            messageCount=messages,
            sessionCount=8,
            keepConnections=True,
            fixedInterval=0.05,
            warmUp=1.0,
            delay=delay,
            size=lambda wanted, rest: min(wanted, size),
        )
        together.finish()
        self.assertEqual((together.total("started"), together.total("accepted")), (messages, messages))
        self.assertEqual(together.total("failed"), 0)

    def test_fewer(self):
        """
        Fewer than are on their way: these are measured, and no other is started.
        """
        together = Together(2, slow(), messageCount=8, sessionCount=8, keepConnections=True, warmUp=1.05)
        together.finish()
        self.assertEqual((together.total("started"), together.total("accepted")), (8, 8))

    def test_noLimit(self):
        """
        Without a limit what was lent goes on to be used.
        """
        together = Together(2, duration=1.0, warmUp=1.0, sessionCount=4, keepConnections=True, fixedInterval=0.1)
        together.finish()
        self.assertEqual((together.total("accepted"), together.early), (40, 40))
        self.assertEqual([run.epoch for run in together.runs], [0, 0])

    def test_order(self):
        """
        What is on its way at the end of the warm-up is told before more is wanted, also to a parent that is behind.
        """
        said = []
        reactor = FakeReactor(slow())
        plan = SourcePlan(
            destination="127.0.0.1", messageCount=100, sessionCount=8, keepConnections=True, warmUp=1.1, myhostname="me"
        )
        part = Part(
            *(reactor, plan, Share(0, 2), b"0123456789abcdef", lambda kind, body: said.append((kind, body))),
            *(lambda: None, reactor.seconds),
        )
        part.isBehind = lambda: True
        part.open()
        part.obey(Kind.GO, {"at": reactor.seconds() + 0.02, "addresses": [spelled(one) for one in ADDRESSES]})
        part.obey(Kind.LEASE, {"first": 1, "count": 50, "epoch": 0})
        for _ in range(120):
            reactor.advance(0.01)
        wanted = [place for place, (kind, body) in enumerate(said) if kind is Kind.WANT and body["epoch"] == 1]
        frames = [Frame.decode(body) for kind, body in said[: wanted[0]] if kind is Kind.FRAME]
        self.assertEqual([frame.epoch for frame in frames], [0])
        counters = frames[0].counters
        self.assertEqual((counters.started - counters.accepted, counters.started > 4), (4, True))
        part.obey(Kind.ABORT, {})
        reactor.advance(0)
