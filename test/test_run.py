"""
Tests for L{smtpsource.load.run}: many sessions, one pool of messages, and servers of every kind, on a fake clock.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st
from properties import given, settings
from sessions import Going, Server
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.net.destination import TCPAddress
from smtpsource.plan import SourcePlan
from smtpsource.testing import runInMemory


def verbs(connection):
    """
    @return: what a connection was told, in one line.
    """
    return b" ".join(connection.commands).decode()


class SharingTests(SynchronousTestCase):
    """
    How messages and connections are shared out.
    """

    def test_all(self):
        """
        Every message is sent once, whatever the number of sessions, and there are no more connections than needed.
        """
        for sessions in (1, 2, 3, 7, 50):
            server = Server()
            going = Going(server, messageCount=7, sessionCount=sessions, keepConnections=True)
            self.assertEqual(going.finish(), 0.0)
            self.assertEqual(going.counts(), (7, 7, 0, 0))
            self.assertEqual(len(server.contents), 7)
            self.assertEqual(len(set(server.contents)), 7)
            self.assertEqual(len(server.connections), min(sessions, 7))
            self.assertEqual(going.reactor.getDelayedCalls(), [])

    def test_newConnections(self):
        """
        Without -d each message gets a connection of its own, that ends with QUIT.
        """
        server = Server()
        going = Going(server, messageCount=4)
        going.finish()
        self.assertEqual([verbs(c) for c in server.connections], ["banner HELO MAIL RCPT DATA content QUIT"] * 4)
        self.assertEqual((going.recorder.connectionsOpened, going.recorder.connectionsLost), (4, 0))

    def test_keptConnection(self):
        """
        With -d one session has one connection, one HELO and one QUIT.
        """
        server = Server()
        going = Going(server, messageCount=3, keepConnections=True)
        going.finish()
        once = "MAIL RCPT DATA content"
        self.assertEqual([verbs(c) for c in server.connections], [f"banner HELO {once} {once} {once} QUIT"])

    def test_fastAndSlow(self):
        """
        A fast session takes more of the messages than one whose server is slow.
        """
        going = Going(messageCount=10, sessionCount=2, keepConnections=True)
        (fast, fastWire), (_, slowWire) = going.reactor.attempts[0].accept(), going.reactor.attempts[0].accept()
        del fast
        fastWire.deliver(b"220 hi\r\n")
        for _ in range(9):
            for reply in (b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", b"354 d\r\n"):
                fastWire.deliver(reply)
        self.assertEqual(going.recorder.accepted, 8)
        self.assertEqual((going.recorder.started, slowWire.take()), (10, b""))

    def test_manySessions(self):
        """
        Hundreds of sessions begin a few in a turn, all of them in the end.
        """
        going = Going(messageCount=350, sessionCount=350, connectParallelism=1000)
        self.assertEqual(len(going.reactor.attempts), 100)
        going.reactor.advance(0)
        self.assertEqual(len(going.reactor.attempts), 350)

    def test_parallelism(self):
        """
        No more connections are in the making at once than was asked for; the next begins when one is made.
        """
        going = Going(messageCount=10, sessionCount=10, connectParallelism=3)
        self.assertEqual(len(going.reactor.attempts), 3)
        going.reactor.attempts[1].accept()
        self.assertEqual(len(going.reactor.attempts), 3)
        self.assertEqual(going.recorder.connectionsOpened, 1)

    def test_trace(self):
        """
        With -v each command and reply is shown; without it nothing is.
        """
        for trace, expected in ((1, "<<< 220 hi"), (0, None)):
            going = Going(Server(), trace=trace)
            going.finish()
            self.assertEqual(going.shown[0] if going.shown else None, expected)

    def test_connectLatency(self):
        """
        How long connecting took is measured from the attempt.
        """
        going = Going(Server())
        going.finish()
        going = Going()
        going.reactor.advance(3)
        going.reactor.attempts[0].accept()
        self.assertApproximates(going.recorder.latencies[0].summarize().maximum, 3, 0.01)


class ReservedTests(SynchronousTestCase):
    """
    As many sessions as were asked for.
    """

    def test_oneEach(self):
        """
        As many messages as sessions: each session has its own, though the first ones are done before the last begin.
        """
        server = Server()
        going = Going(server, messageCount=350, sessionCount=350, keepConnections=True)
        going.finish()
        self.assertEqual((going.counts(), len(server.connections)), ((350, 350, 0, 0), 350))


class PauseTests(SynchronousTestCase):
    """
    Pauses between a session's messages.
    """

    def test_between(self):
        """
        -w waits between messages, not before the first nor after the last, with and without -d.
        """
        for keep in (True, False):
            server = Server()
            going = Going(server, messageCount=4, fixedInterval=10.0, keepConnections=keep)
            self.assertEqual(going.finish(), 30.0)
            self.assertEqual(server.mails, [0.0, 10.0, 20.0, 30.0])

    def test_sessions(self):
        """
        Sessions pause side by side.
        """
        server = Server()
        going = Going(server, messageCount=6, sessionCount=3, fixedInterval=10.0)
        self.assertEqual(going.finish(), 10.0)
        self.assertEqual(server.mails, [0.0] * 3 + [10.0] * 3)

    def test_random(self):
        """
        -R waits for a time within its bounds.
        """
        server = Server()
        going = Going(server, messageCount=20, randomInterval=5.0)
        going.finish()
        pauses = [b - a for a, b in pairwise(server.mails)]
        self.assertTrue(all(0 <= pause <= 5 for pause in pauses), pauses)
        self.assertGreater(len(set(pauses)), 10)

    def test_endsOnDeadConnection(self):
        """
        A pause that ends while the connection is being closed: nothing is sent into it, it counts as lost, and the next
        message gets another.
        """
        server = Server()
        going = Going(server, messageCount=2, fixedInterval=10.0, keepConnections=True, tolerant=True)
        going.reactor.advance(0)
        self.assertEqual(going.counts(), (1, 1, 0, 0))
        session = next(iter(going.run.open))
        sent = going.recorder.bytesSent
        session.protocol.dataReceived(b"421 out of the blue\r\n")
        session.endPause()
        self.assertEqual(going.recorder.bytesSent, sent)
        going.finish()
        self.assertEqual(going.counts(), (2, 2, 0, 0))
        self.assertEqual((going.recorder.connectionsOpened, going.recorder.connectionsLost), (2, 1))

    def test_noneLeft(self):
        """
        The run is over when the last message is, though another session is still pausing.
        """
        # The second session's first message takes 9 seconds longer.
        slow = {}

        def decide(connection, event, usual):
            if connection is server.connections[-1] and len(server.connections) == 2 and event == b"content":
                connection.transport._reactor.callLater(9, connection.transport.write, usual + b"\r\n")
                return None
            return slow.get(event, usual)

        server = Server(decide)
        going = Going(server, messageCount=3, sessionCount=2, fixedInterval=10.0, keepConnections=True)
        self.assertEqual(going.finish(), 10.0)

    def test_goneWhilePausing(self):
        """
        A kept connection that the server closes during a pause is replaced for the next message; it costs none.
        """
        server = Server()
        going = Going(server, messageCount=2, fixedInterval=10.0, keepConnections=True, tolerant=True)
        going.reactor.advance(0)
        going.reactor.advance(5)
        server.connections[0].transport.loseConnection()
        self.assertEqual(going.finish(), 5.0)
        self.assertEqual(going.counts(), (2, 2, 0, 0))
        self.assertEqual((len(server.connections), going.recorder.connectionsLost), (2, 1))


class ToleranceTests(SynchronousTestCase):
    """
    With and without -A.
    """

    @staticmethod
    def once(event, said, number=0):
        """
        @return: decides to answer one connection's event with this, and is nice otherwise.
        """
        done = []

        def decide(connection, this, usual):
            if this == event and not done and connection.factory.connections.index(connection) == number:
                done.append(1)
                return said
            return usual

        return decide

    def test_goesOn(self):
        """
        With -A, whatever happens to one message costs that message only.
        """
        cases = [
            (b"banner", b"421 later", (5, 4, 1, 0)),
            (b"MAIL", b"450 no", (5, 4, 1, 0)),
            (b"MAIL", b"421 no", (5, 4, 1, 0)),
            (b"RCPT", b"550 no", (5, 4, 1, 0)),
            (b"DATA", b"554 no", (5, 4, 1, 0)),
            (b"content", b"554 no", (5, 4, 1, 0)),
            (b"content", b"421 no", (5, 4, 1, 0)),
            (b"HELO", b"502 no", (5, 5, 0, 0)),
            (b"banner", b"554 no", (5, 5, 0, 0)),
        ]
        for event in (b"banner", b"HELO", b"MAIL", b"RCPT", b"DATA", b"content"):
            cases += [(event, said, (5, 4, 0, 1)) for said in ("close", "reset", b"garbage", None)]
        for event, said, counts in cases:
            for keep in (True, False):
                # 554 to DATA: this simple server would take the content all the same.
                decide = self.once(event, said)
                if event == b"DATA" and said == b"554 no":
                    decide = self.noContent(decide)
                server = Server(decide)
                going = Going(server, messageCount=5, sessionCount=2, tolerant=True, keepConnections=keep)
                going.finish()
                self.assertEqual(going.counts(), counts, (event, said, keep))
                self.assertIs(going.run.reason, None)
                self.assertEqual(going.reactor.getDelayedCalls(), [])

    @staticmethod
    def noContent(decide):
        def andNoContent(connection, event, usual):
            said = decide(connection, event, usual)
            if said == b"554 no":
                connection.inContent = False
            return said

        return andNoContent

    def test_stops(self):
        """
        Without -A the first trouble ends the run, with its phase and text told.
        """
        cases = [
            (b"banner", b"554 no", "banner refused: 554 no"),
            (b"HELO", b"502 no", "helo refused: 502 no"),
            (b"MAIL", b"450-not\r\n450 now", "mail refused: 450-not | 450 now"),
            (b"RCPT", b"550 no", "rcpt refused: 550 no"),
            (b"content", b"554 no", "message refused: 554 no"),
            (b"MAIL", "close", "connection-lost: the server closed the connection (waiting for the reply to MAIL)"),
            (b"HELO", b"what?", "garbage-reply: what? (waiting for the reply to HELO, EHLO or LHLO)"),
            (b"DATA", None, "timeout: no reply within 300 seconds (waiting for the reply to DATA)"),
        ]
        for event, said, reason in cases:
            server = Server(self.once(event, said))
            going = Going(server, messageCount=50, keepConnections=True)
            going.finish()
            self.assertEqual(going.run.reason, reason)
            self.assertEqual(going.recorder.started, 1)
            self.assertEqual(going.recorder.accepted, 0)

    def test_othersEndInOrder(self):
        """
        When one session is in trouble, the others finish their message, say QUIT and begin no other.
        """
        server = Server(self.once(b"MAIL", b"550 no", number=1))
        going = Going(server, messageCount=100, sessionCount=4, keepConnections=True)
        going.finish()
        started, accepted, rejected, failed = going.counts()
        self.assertEqual((rejected, failed), (1, 0))
        self.assertEqual(started, accepted + 1)
        self.assertLess(started, 12)
        self.assertEqual({c.commands[-1] for c in server.connections}, {b"QUIT"})
        self.assertEqual(going.run.reason, "mail refused: 550 no")

    def test_firstReason(self):
        """
        It is the first trouble that is named.
        """
        server = Server(
            lambda connection, event, usual: b"550 %d" % len(server.contents) if event == b"MAIL" else usual
        )
        going = Going(server, messageCount=3, sessionCount=3)
        server.contents.append(b"")
        going.finish()
        self.assertEqual(going.run.reason, "mail refused: 550 1")

    def test_pausingSessionsEnd(self):
        """
        A session that pauses when another is in trouble does not hold up the end.
        """
        going = Going(messageCount=10, sessionCount=2, fixedInterval=1000.0, keepConnections=True)
        _, first = going.reactor.attempts[0].accept()
        _, second = going.reactor.attempts[0].accept()
        for reply in (b"220 hi", b"250 a", b"250 b", b"250 c", b"354 d", b"250 e"):
            first.deliver(reply + b"\r\n")
        first.take()
        second.deliver(b"421 no\r\n")
        going.reactor.advance(0)
        self.assertEqual(first.take(), b"QUIT\r\n")
        first.deliver(b"221 bye\r\n")
        going.reactor.advance(0)
        self.assertEqual(going.ended, [1])

    def test_cannotConnect(self):
        """
        Without -A a refused connection ends the run; with it, each costs one message.
        """
        for tolerant, counts in ((False, (1, 0, 0, 1)), (True, (3, 0, 0, 3))):
            going = Going(messageCount=3, tolerant=tolerant)
            while not going.ended:
                going.reactor.attempts[0].refuse()
                going.reactor.advance(2)
            self.assertEqual(going.counts(), counts)
            self.assertEqual(going.recorder.connectionsFailed, counts[0])
            self.assertEqual(going.recorder.errors, {"connect-refused": counts[0]})


class EndTests(SynchronousTestCase):
    """
    A run that is told to stop.
    """

    def test_drain(self):
        """
        Messages on their way are finished, then QUIT; no other begins.
        """
        going = Going(messageCount=100, sessionCount=2, keepConnections=True)
        wires = [going.reactor.attempts[0].accept()[1] for _ in range(2)]
        for wire in wires:
            for reply in (b"220 hi", b"250 a", b"250 b"):
                wire.deliver(reply + b"\r\n")
        going.run.drain()
        going.reactor.advance(0)
        for wire in wires:
            wire.take()
            for reply in (b"250 c", b"354 d", b"250 e"):
                wire.deliver(reply + b"\r\n")
            self.assertTrue(wire.take().endswith(b"\r\n.\r\nQUIT\r\n"))
            wire.deliver(b"221 bye\r\n")
        going.reactor.advance(0)
        self.assertEqual((going.ended, going.counts()), ([1], (2, 2, 0, 0)))
        self.assertEqual(going.reactor.getDelayedCalls(), [])

    def test_grace(self):
        """
        What has not ended within the grace period is closed, and has failed.
        """
        going = Going(messageCount=100, sessionCount=2, grace=7.0)
        wires = [going.reactor.attempts[0].accept()[1] for _ in range(2)]
        wires[0].deliver(b"220 hi\r\n")
        going.run.drain()
        going.reactor.advance(6.9)
        self.assertFalse(wires[0].aborted)
        going.reactor.advance(0.1)
        going.reactor.advance(0)
        self.assertTrue(wires[0].aborted and wires[1].aborted)
        self.assertEqual((going.ended, going.counts()), ([1], (2, 0, 0, 2)))
        self.assertEqual(going.recorder.errors, {"stopped": 2})
        self.assertEqual(going.reactor.getDelayedCalls(), [])

    def test_graceIsOne(self):
        """
        A second call does not prolong the grace period.
        """
        going = Going(grace=7.0)
        going.reactor.attempts[0].accept()
        going.run.drain()
        going.reactor.advance(6)
        going.run.drain()
        going.reactor.advance(1)
        self.assertEqual((going.ended, going.reactor.getDelayedCalls()), ([1], []))

    def test_connecting(self):
        """
        Connections in the making, waiting for their turn, or waiting for another attempt are given up at once.
        """
        going = Going(messageCount=10, sessionCount=3, connectParallelism=2, connectAttempts=5)
        going.reactor.attempts[0].refuse()
        self.assertEqual(len(going.reactor.attempts), 2)
        going.run.drain()
        going.reactor.advance(0)
        self.assertEqual((going.ended, len(going.reactor.attempts)), ([1], 0))
        self.assertEqual(going.counts(), (3, 0, 0, 3))
        self.assertEqual(going.reactor.getDelayedCalls(), [])

    def test_abort(self):
        """
        An end at once leaves nothing.
        """
        going = Going(messageCount=10, sessionCount=3, connectParallelism=2)
        going.reactor.attempts[0].accept()
        going.run.abort()
        going.reactor.advance(0)
        self.assertEqual((going.ended, going.counts()), ([1], (3, 0, 0, 3)))
        self.assertEqual(going.reactor.getDelayedCalls(), [])

    def test_beforeAllHaveBegun(self):
        """
        Sessions that have not begun yet never do.
        """
        going = Going(messageCount=350, sessionCount=350)
        going.run.drain()
        going.reactor.advance(0)
        self.assertEqual((going.ended, going.recorder.started), ([1], 100))

    def test_endsAtOnceAfterTrouble(self):
        """
        When the end is told nothing is left to happen on the reactor.
        """
        going = Going()
        left = []
        going.run._whenEnded = lambda: (going.ended.append(1), left.extend(going.reactor.getDelayedCalls()))
        going.reactor.attempts[0].refuse()
        going.finish()
        self.assertEqual(left, [])

    def test_silent(self):
        """
        A server that stops talking costs its message the timeout and no more, and the others nothing.
        """
        server = Server(lambda connection, event, usual: None if connection is server.connections[0] else usual)
        going = Going(server, messageCount=5, sessionCount=2, tolerant=True, timeout=30.0)
        self.assertApproximates(going.finish(), 30.0, 1.0)
        self.assertEqual(going.counts(), (5, 4, 0, 1))
        self.assertEqual(going.recorder.errors, {"timeout": 1})

    def test_shortTimeout(self):
        """
        A short timeout is kept as closely.
        """
        going = Going(Server(lambda connection, event, usual: None), timeout=0.5)
        self.assertApproximates(going.finish(), 0.5, 0.1)


REPLIES = st.sampled_from(
    [
        b"220 a",
        b"250 b",
        b"250-c\r\n250 d",
        b"354 e",
        b"450 f",
        b"550 g",
        b"421 h",
        b"521 i",
        b"xyz",
        b"",
        b"250 a\r\n250 b",
    ]
    + ["close", "reset", None]
)


class NothingLostTests(SynchronousTestCase):
    """
    Whatever servers do, every message has one outcome and the run ends.
    """

    @given(
        script=st.lists(st.one_of(st.none(), st.tuples(REPLIES)), max_size=40),
        messages=st.integers(1, 12),
        sessions=st.integers(1, 5),
        keep=st.booleans(),
        tolerant=st.booleans(),
        lmtp=st.booleans(),
        recipients=st.integers(1, 3),
        length=st.sampled_from([None, 100, 200_000]),
        interval=st.sampled_from([None, 1.0]),
        drain=st.sampled_from([None, 0.0, 0.5, 30.0]),
        pipelining=st.sampled_from(["off", "auto", "force"]),
    )
    @settings(max_examples=300, deadline=None)
    def test_outcomes(
        self, script, messages, sessions, keep, tolerant, lmtp, recipients, length, interval, drain, pipelining
    ):
        """
        started is accepted + rejected + failed; with -A all are started; and nothing is left when it is over.
        """
        steps = iter(script)

        def decide(connection, event, usual):
            step = next(steps, None)
            return usual if step is None else step[0]

        server = Server(decide, lmtp)
        going = Going(
            server,
            messageCount=messages,
            sessionCount=sessions,
            keepConnections=keep,
            tolerant=tolerant,
            lmtp=lmtp,
            recipientCount=recipients,
            length=length,
            fixedInterval=interval,
            timeout=20.0,
            pipelining=pipelining,
        )
        if drain is not None:
            going.reactor.callLater(drain, going.run.drain)
        going.finish(limit=20 * 60)
        started, accepted, rejected, failed = going.counts()
        self.assertEqual(started, accepted + rejected + failed)
        if tolerant and drain is None:
            self.assertEqual(started, messages)
        self.assertLessEqual(accepted, len(server.contents))
        self.assertTrue(all(c.lost is not None for c in server.connections))
        recorder = going.recorder
        self.assertEqual(len(server.connections), recorder.connectionsOpened)
        self.assertLessEqual(recorder.recipientsAccepted + recorder.recipientsRejected, started * recipients)
        if drain is not None:
            going.reactor.advance(31)
        self.assertEqual(going.reactor.getDelayedCalls(), [])

    @given(st.lists(st.sampled_from(["accept", "refuse", "lose", "wait"]), max_size=30), st.integers(1, 3))
    @settings(max_examples=100, deadline=None)
    def test_connecting(self, decisions, attempts):
        """
        The same holds for connections that are refused, lost at once or never answered.
        """
        going = Going(
            where=(TCPAddress("127.0.0.1", 25), TCPAddress("::1", 25)),
            messageCount=6,
            sessionCount=3,
            tolerant=True,
            connectAttempts=attempts,
            connectParallelism=2,
            connectTimeout=3.0,
            timeout=9.0,
        )
        for decision in decisions:
            if decision == "wait" or not going.reactor.attempts:
                going.reactor.advance(1)
            elif decision == "refuse":
                going.reactor.attempts[0].refuse()
            else:
                _, wire = going.reactor.attempts[-1].accept()
                if decision == "lose":
                    wire.drop(ConnectionLost())
        going.finish()
        started, accepted, rejected, failed = going.counts()
        self.assertEqual((started, accepted, rejected, failed), (6, 0, 0, 6))
        self.assertEqual(going.reactor.getDelayedCalls(), [])


class SummaryTests(SynchronousTestCase):
    """
    The same through L{runInMemory}, as a stranger would.
    """

    def test_summary(self):
        """
        A run against a server that refuses some gives figures that agree with the server's.
        """

        def decide(connection, event, usual):
            return b"550 no" if event == b"RCPT" and len(server.mails) % 3 == 0 else usual

        server = Server(decide)
        plan = SourcePlan(messageCount=9, sessionCount=2, keepConnections=True, tolerant=True, fixedInterval=1.0)
        summary = runInMemory(plan, server)
        self.assertEqual((summary.messages.accepted, summary.messages.rejected), (6, 3))
        self.assertEqual((summary.exit, summary.ended), (1, "done"))
        self.assertEqual(len(server.contents), 6)
        self.assertEqual(summary.replies["rcpt"]["550"].count, 3)
        self.assertEqual(summary.latency["transaction"].count, 6)
        self.assertEqual(summary.elapsed, 4.0)

    def test_tooManyReplies(self):
        """
        After a reply that answers nothing nobody knows what the others have answered: no success, with C{-A} neither.
        """

        def decide(connection, event, usual):
            return b"250 content\r\n550 no" if event == b"content" else usual

        summary = runInMemory(SourcePlan(tolerant=True, messageCount=2), Server(decide))
        self.assertEqual((summary.messages.accepted, summary.exit, summary.ended), (2, 1, "done"))
        self.assertEqual(summary.errors["unexpected-reply"].count, 2)

    def test_closedWhileHeld(self):
        """
        A load of idle connections that the server drops is no success; that it drops one between two messages costs
        nothing.
        """
        for word in (None, b"421 idle\r\n"):

            def decide(connection, event, usual, word=word):
                def end():
                    if word is not None:
                        connection.transport.write(word)
                    connection.transport.loseConnection()

                if event == b"content":
                    connection.transport._reactor.callLater(1.0, end)
                return usual

            for plan, status in (
                ({"hold": 5.0}, 1),
                ({"hold": 0.5}, 0),
                ({"fixedInterval": 5.0, "keepConnections": True}, 0),
            ):
                summary = runInMemory(SourcePlan(messageCount=3, tolerant=True, **plan), Server(decide))
                self.assertEqual((summary.messages.accepted, summary.exit), (3, status), plan)
                self.assertEqual(list(summary.errors), ["closed-while-idle"] if plan.get("hold") != 0.5 else [])
