"""
Tests for L{smtpsource.load.session}: one slot of concurrency, with the test for a server and a clock that waits.
"""

from __future__ import annotations

from conversations import ACCEPTING, GREETING
from sessions import SessionCase
from twisted.internet.error import ConnectionLost


class MessageTests(SessionCase):
    """
    From one message to the next.
    """

    def test_one(self):
        """
        A message is started before its connection is made, and the session is over when that is closed.
        """
        session = self.begin()
        self.assertEqual((self.counts(), session.message.number, session.protocol), ((1, 0, 0, 0), 1, None))
        self.assertEqual(self.accept(*GREETING, *ACCEPTING), b"QUIT\r\n")
        self.assertEqual((self.counts(), session.message, self.ended), ((1, 1, 0, 0), None, []))
        self.say(b"221 bye\r\n")
        self.assertEqual((session.protocol, self.ended, self.run_.open), (None, [1], set()))

    def test_kept(self):
        """
        With -d the next message begins in the very moment in which the last is answered.
        """
        session = self.begin(messageCount=2, keepConnections=True)
        self.assertEqual(self.accept(*GREETING, *ACCEPTING), b"MAIL FROM:<foo@me>\r\n")
        self.assertEqual((self.counts(), session.message.number), ((2, 1, 0, 0), 2))

    def test_new(self):
        """
        Without -d the next message is not started before the last connection is closed.
        """
        self.begin(messageCount=2)
        self.accept(*GREETING, *ACCEPTING)
        self.assertEqual((self.counts(), len(self.reactor.attempts)), ((1, 1, 0, 0), 0))
        self.say(b"221 bye\r\n")
        self.assertEqual((self.counts(), len(self.reactor.attempts)), ((2, 1, 0, 0), 1))
        self.assertEqual(len(self.reactor.connectors), 1)

    def test_pauseOnConnection(self):
        """
        During a pause of a kept connection nothing is written and no message is started.
        """
        self.begin(messageCount=2, keepConnections=True, fixedInterval=5.0)
        self.assertEqual(self.accept(*GREETING, *ACCEPTING), b"")
        self.reactor.advance(4.9)
        self.assertEqual((self.wire.take(), self.counts()), (b"", (1, 1, 0, 0)))
        self.reactor.advance(0.1)
        self.assertEqual(self.wire.take(), b"MAIL FROM:<foo@me>\r\n")

    def test_pauseBetweenConnections(self):
        """
        During one between connections there is none.
        """
        self.begin(messageCount=2, fixedInterval=5.0)
        self.accept(*GREETING, *ACCEPTING, b"221 bye\r\n")
        self.reactor.advance(4.9)
        self.assertEqual((len(self.reactor.attempts), self.counts()), (0, (1, 1, 0, 0)))
        self.reactor.advance(0.1)
        self.assertEqual((len(self.reactor.attempts), self.counts()), (1, (2, 1, 0, 0)))

    def test_closedInPause(self):
        """
        A kept connection that is closed in a pause is not replaced before the pause is over, and costs no message.
        """
        self.begin(messageCount=3, keepConnections=True, fixedInterval=5.0, tolerant=True)
        self.accept(*GREETING, *ACCEPTING)
        self.reactor.advance(2)
        self.wire.drop()
        self.reactor.advance(2.9)
        self.assertEqual((len(self.reactor.attempts), self.counts()), (0, (1, 1, 0, 0)))
        self.reactor.advance(0.1)
        self.assertEqual((len(self.reactor.attempts), self.counts()), (1, (2, 1, 0, 0)))
        self.reactor.advance(3)
        self.assertEqual((len(self.reactor.attempts), self.counts()), (1, (2, 1, 0, 0)))
        self.assertEqual(self.recorder.connectionsLost, 1)


class TroubleTests(SessionCase):
    """
    Refusals and faults.
    """

    def test_rejected(self):
        """
        A refused message is rejected, not failed, whatever happens to the connection after it.
        """
        self.begin(tolerant=True)
        self.accept(*GREETING, b"550 no\r\n")
        self.wire.drop(ConnectionLost())
        self.assertEqual(self.counts(), (1, 0, 1, 0))
        self.assertEqual((self.ended, self.recorder.connectionsLost), ([1], 1))

    def test_greetingRefused(self):
        """
        The reason for which a run ends names what was asked for in vain.
        """
        self.begin(chunking="require")
        self.accept(b"220 hi\r\n", b"500 what\r\n")
        self.assertEqual(self.run_.reason, "EHLO refused, and CHUNKING was asked for: 500 what")
        self.begin()
        self.accept(b"220 hi\r\n", b"500 what\r\n")
        self.assertEqual(self.run_.reason, "helo refused: 500 what")

    def test_lost(self):
        """
        A message whose connection is lost has failed; the next gets another connection.
        """
        self.begin(messageCount=2, tolerant=True, keepConnections=True)
        self.accept(*GREETING)
        self.wire.drop(ConnectionLost())
        self.assertEqual((self.counts(), len(self.reactor.attempts)), ((2, 0, 0, 1), 1))
        self.assertEqual(self.recorder.errors, {"connection-reset": 1})

    def test_ours(self):
        """
        A failure of our own ends the run even with -A: what it would measure is not the server.
        """
        self.begin(messageCount=5, tolerant=True)
        self.accept(*GREETING)
        self.wire.drop(ValueError("x"))
        self.reactor.advance(0)
        self.assertEqual((self.ended, self.counts()), ([1], (1, 0, 0, 1)))
        self.assertEqual(self.run_.reason, "internal-error: ValueError('x')")

    def test_idleLost(self):
        """
        A connection that is lost while it says QUIT costs nothing.
        """
        self.begin()
        self.accept(*GREETING, *ACCEPTING)
        self.wire.drop(ConnectionLost())
        self.assertEqual((self.counts(), self.recorder.connectionsLost, self.recorder.errors), ((1, 1, 0, 0), 0, {}))
        self.assertEqual((self.ended, self.run_.reason), ([1], None))

    def test_silentAtQUIT(self):
        """
        A server that never answers QUIT does not hang the run.
        """
        self.begin(timeout=10.0, tolerant=True)
        self.accept(*GREETING, *ACCEPTING)
        for _ in range(12):
            self.reactor.advance(1)
        self.assertEqual((self.ended, self.counts()), ([1], (1, 1, 0, 0)))

    def test_gaveUp(self):
        """
        A message whose connection can't be made has failed, after all attempts.
        """
        self.begin(messageCount=2, tolerant=True, connectAttempts=2)
        self.reactor.attempts[0].refuse()
        self.assertEqual(self.counts(), (1, 0, 0, 0))
        self.reactor.advance(2)
        self.reactor.attempts[0].refuse()
        self.assertEqual((self.counts(), len(self.reactor.attempts)), ((1, 0, 0, 1), 0))
        self.reactor.advance(0.1)
        self.assertEqual((self.counts(), len(self.reactor.attempts)), ((2, 0, 0, 1), 1))
        self.assertEqual((self.recorder.connectionsFailed, self.recorder.errors), (2, {"connect-refused": 1}))

    def test_recipients(self):
        """
        Recipients are counted for messages that were accepted and for those that were not.
        """
        self.begin(messageCount=2, tolerant=True, keepConnections=True, recipientCount=3)
        self.accept(*GREETING, b"250 mail\r\n", b"550 no\r\n", b"250 a\r\n", b"250 b\r\n", b"354 go\r\n", b"250 ok\r\n")
        self.assertEqual((self.recorder.recipientsAccepted, self.recorder.recipientsRejected), (2, 1))
        self.say(b"250 mail\r\n", b"550 no\r\n", b"550 a\r\n", b"550 b\r\n")
        self.assertEqual((self.recorder.recipientsAccepted, self.recorder.recipientsRejected), (2, 4))


class StopTests(SessionCase):
    """
    A session that is told to stop.
    """

    def stop(self, method="drain"):
        getattr(self.run_, method)()
        self.reactor.advance(0)

    def test_connecting(self):
        """
        A connection in the making is given up; its message has failed, and why is told.
        """
        for method in ("drain", "abort"):
            self.begin()
            self.stop(method)
            self.assertEqual((self.ended, self.counts(), self.recorder.errors), ([1], (1, 0, 0, 1), {"stopped": 1}))
            self.assertEqual(self.recorder.connectionsFailed, 0)

    def test_pausing(self):
        """
        A session that pauses is over at once, on a connection with a QUIT before.
        """
        self.begin(messageCount=2, fixedInterval=5.0)
        self.accept(*GREETING, *ACCEPTING, b"221 bye\r\n")
        self.stop()
        self.assertEqual((self.ended, self.counts()), ([1], (1, 1, 0, 0)))
        self.begin(messageCount=2, fixedInterval=5.0, keepConnections=True)
        self.accept(*GREETING, *ACCEPTING)
        self.stop()
        self.assertEqual((self.wire.take(), self.ended), (b"QUIT\r\n", []))
        self.say(b"221 bye\r\n")
        self.assertEqual((self.ended, self.reactor.getDelayedCalls()), ([1], []))

    def test_inTransaction(self):
        """
        A message on its way is finished, then comes QUIT.
        """
        self.begin(messageCount=5, keepConnections=True)
        self.accept(*GREETING)
        self.stop()
        self.assertEqual(self.say(*ACCEPTING), b"QUIT\r\n")
        self.assertEqual(self.counts(), (1, 1, 0, 0))

    def test_abort(self):
        """
        One that is told to end now closes its connection, and its message has failed.
        """
        self.begin(messageCount=5, keepConnections=True)
        self.accept(*GREETING)
        self.stop("abort")
        self.assertTrue(self.wire.aborted)
        self.assertEqual((self.ended, self.counts()), ([1], (1, 0, 0, 1)))
        self.assertEqual(self.recorder.errors, {"stopped": 1})

    def test_abortAfterOutcome(self):
        """
        The same when its message has its outcome already: that stays, and nothing is counted as an error.
        """
        self.begin()
        self.accept(*GREETING, *ACCEPTING)
        self.stop("abort")
        self.assertEqual((self.ended, self.counts(), self.recorder.errors), ([1], (1, 1, 0, 0), {}))
