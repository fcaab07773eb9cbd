"""
Tests for what a connection is made of, L{smtpsource.smtp.connection}, L{smtpsource.smtp.lines} and
L{smtpsource.smtp.owed}, and for L{smtpsource.smtp.transactions}, L{smtpsource.smtp.streaming} and
L{smtpsource.smtp.trace}: one connection, and the test is the server.
"""

from __future__ import annotations

from itertools import pairwise

from conversations import CONTENT, Conversation, Letter
from hypothesis import strategies as st
from properties import given, settings
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.recorder import Recorder
from smtpsource.phases import BANNER, DATA, HELO, MAIL, MESSAGE, NAMES, QUIT, RCPT, RSET
from smtpsource.printable import printable
from smtpsource.smtp.commands import dialogue
from smtpsource.smtp.protocol import SMTPSourceProtocol
from smtpsource.smtp.replies import LONGEST
from smtpsource.smtp.streaming import PIECE
from smtpsource.smtp.trace import TracedProtocol
from smtpsource.testing import FakeReactor, FakeTransport, RecordingSession
from smtpsource.testing.memory import BUFFER_SIZE

#: The place in a dialogue of each reply that can be refused, for L{Conversation.upTo}.
PLACES = {BANNER: 0, HELO: 1, MAIL: 2, RCPT: 3, DATA: 4, MESSAGE: 5}


class DialogueTests(SynchronousTestCase):
    """
    What goes over the wire when the server says yes to everything.
    """

    def test_waitsForBanner(self):
        """
        Nothing is said before the server has greeted.
        """
        self.assertEqual(Conversation(Letter()).transport.take(), b"")

    def test_SMTP(self):
        """
        Each command waits for the reply to the one before it.
        """
        talk = Conversation(Letter())
        written = [
            talk.say(reply)
            for reply in (b"220 hi\r\n", b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", b"354 d\r\n", b"250 e\r\n")
        ]
        self.assertEqual(
            written, [b"HELO me\r\n", Letter.mail, b"RCPT TO:<1@x>\r\n", b"DATA\r\n", CONTENT, b"QUIT\r\n"]
        )
        self.assertEqual(talk.events(), [("accepted", 1, 0)])
        self.assertFalse(talk.transport.aborted)
        self.assertEqual(talk.say(b"221 bye\r\n"), b"")
        self.assertTrue(talk.transport.aborted)
        self.assertEqual(talk.settle(), [("disconnected", False)])

    def test_LMTP(self):
        """
        LMTP says LHLO, and waits for as many replies as there are recipients.
        """
        talk = Conversation(Letter(recipients=3), lmtp=True)
        self.assertEqual(talk.say(b"220 hi\r\n"), b"LHLO me\r\n")
        talk.say(*[b"250 x\r\n"] * 5)
        self.assertEqual(talk.say(b"354 go\r\n"), CONTENT)
        self.assertEqual(talk.say(b"250 1\r\n", b"250 2\r\n"), b"")
        self.assertEqual(talk.events(), [])
        self.assertEqual(talk.say(b"250 3\r\n"), b"QUIT\r\n")
        self.assertEqual(talk.events(), [("accepted", 3, 0)])

    def test_oldMode(self):
        """
        In old mode MAIL comes straight after the banner.
        """
        for lmtp in (False, True):
            self.assertEqual(Conversation(Letter(), oldMode=True, lmtp=lmtp).say(b"220 hi\r\n"), Letter.mail)

    def test_recipients(self):
        """
        Recipients are named one by one.
        """
        talk = Conversation(Letter(recipients=3)).upTo(2)
        written = [talk.say(b"250 ok\r\n") for _ in range(4)]
        self.assertEqual(written, [b"RCPT TO:<1@x>\r\n", b"RCPT TO:<2@x>\r\n", b"RCPT TO:<3@x>\r\n", b"DATA\r\n"])

    def test_nextMessage(self):
        """
        A second message on the same connection says no second HELO.
        """
        talk = Conversation(Letter(), Letter()).upTo(5)
        self.assertEqual(talk.say(b"250 ok\r\n"), Letter.mail)
        self.assertEqual(talk.say(b"250 a\r\n", b"250 b\r\n", b"354 c\r\n", b"250 d\r\n"), b"QUIT\r\n")
        self.assertEqual(talk.events(), [("accepted", 1, 0)] * 2)

    def test_sameAfterSome(self):
        """
        Any reply that begins with 2 says yes, and a reply may have no text at all.
        """
        talk = Conversation(Letter())
        self.assertEqual(
            talk.say(b"220\r\n", b"251 \r\n", b"252\r\n", b"299 x\r\n", b"354\r\n", b"200\r\n"), b"QUIT\r\n"
        )
        self.assertEqual(talk.events(), [("accepted", 1, 0)])

    def test_idle(self):
        """
        A connection without work stays open and writes nothing.
        """
        talk = Conversation(quits=False)
        self.assertEqual(talk.say(b"220 hi\r\n", b"250 ok\r\n"), b"")
        self.assertFalse(talk.client.overdue(1e6, 1.0))
        talk.client.send(Letter())
        self.assertEqual(talk.transport.take(), Letter.mail)

    def test_counts(self):
        """
        Bytes, codes and durations are what an observer of the wire would have counted.
        """
        talk = Conversation(Letter())
        written = b""
        replies = (b"220 hi\r\n", b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", b"354 d\r\n", b"250 e\r\n", b"221 f\r\n")
        for seconds, reply in enumerate(replies):
            talk.reactor.advance(seconds)
            written += talk.say(reply)
        self.assertEqual(talk.recorder.bytesSent, len(written))
        self.assertEqual(talk.recorder.bytesReceived, len(b"".join(replies)))
        for seconds, phase in enumerate((BANNER, HELO, MAIL, RCPT, DATA, MESSAGE, QUIT)):
            self.assertEqual(talk.recorder.replies[phase], {replies[seconds][:3]: 1})
            self.assertEqual(talk.recorder.replySamples[phase], {replies[seconds][:3]: replies[seconds]})
            latency = talk.recorder.latencies[phase].summarize()
            self.assertApproximates(latency.maximum, seconds, 0.01, NAMES[phase])
        # From MAIL written to the last reply.
        self.assertEqual(talk.session.seconds, [2 + 3 + 4 + 5])


class MultilineTests(SynchronousTestCase):
    """
    Replies that look unusual.
    """

    def test_lines(self):
        """
        A reply of many lines is one reply, kept whole; its last line's code counts.
        """
        talk = Conversation(Letter())
        self.assertEqual(talk.say(b"220-hi\r\n", b"220-there\r\n"), b"")
        self.assertEqual(talk.say(b"220 friend\r\n"), b"HELO me\r\n")
        self.assertEqual(talk.recorder.replySamples[BANNER], {b"220": b"220-hi\r\n220-there\r\n220 friend\r\n"})
        self.assertEqual(talk.say(b"250-a\r\n250 b\r\n"), Letter.mail)

    def test_oneCode(self):
        """
        A server that changes its mind within a reply has said nothing that could be relied on: RFC 5321 section 4.2.1.
        """
        for pieces in (
            [b"550-no\r\n250 but yes\r\n"],
            [b"550-no\r\n", b"250 but yes\r\n"],
            [b"250-yes\r\n250-yes\r\n2", b"51 yes\r\n"],
            [b"250-yes\r\n251-yes\r\n"],
        ):
            talk = Conversation(Letter(), tolerant=True).upTo(2)
            self.assertEqual(talk.say(*pieces), b"")
            events = talk.settle()
            self.assertEqual([e[:2] for e in events], [("fault", "garbage-reply"), ("disconnected", True)])
            self.assertIn("different codes", events[0][2])
            self.assertEqual(talk.recorder.replies[MAIL], {})

    def test_goesOnThenOneLine(self):
        """
        The last line of a reply, in a chunk of its own, is not taken for a whole reply.
        """
        talk = Conversation(Letter()).upTo(2)
        self.assertEqual(talk.say(b"250-yes\r\n", b"250 indeed\r\n"), b"RCPT TO:<1@x>\r\n")
        self.assertEqual(talk.recorder.replySamples[MAIL], {b"250": b"250-yes\r\n250 indeed\r\n"})

    def test_bareLF(self):
        """
        A server that ends lines with LF only is understood, in one piece or in two.
        """
        talk = Conversation(Letter())
        self.assertEqual(talk.say(b"220 hi\n"), b"HELO me\r\n")
        self.assertEqual(talk.say(b"250-ok\n", b"250 ok", b"\n"), Letter.mail)

    def test_pieces(self):
        """
        A reply that comes byte by byte is one reply.
        """
        talk = Conversation(Letter())
        self.assertEqual(talk.say(*[bytes([byte]) for byte in b"220-hi\r\n220 there\r\n"]), b"HELO me\r\n")
        self.assertEqual(talk.events(), [])

    def test_pieceLikeAReply(self):
        """
        The rest of a line is the rest of a line, though it looks like a reply of its own.
        """
        talk = Conversation(Letter()).upTo(2)
        self.assertEqual(talk.say(b"250 not ", b"550 no\r\n"), b"RCPT TO:<1@x>\r\n")
        self.assertEqual(talk.recorder.replySamples[MAIL], {b"250": b"250 not 550 no\r\n"})

    def test_empty(self):
        """
        No bytes are no reply.
        """
        self.assertEqual(Conversation(Letter()).say(b""), b"")


class RefusalTests(SynchronousTestCase):
    """
    A server that says no.
    """

    def refuse(self, phase, reply, **kind):
        """
        @return: the conversation in which a reply was refused, and what the client said to that.
        """
        talk = Conversation(Letter(), Letter(), **kind).upTo(PLACES[phase])
        return talk, talk.say(reply)

    def test_strict(self):
        """
        Without -A any refusal ends in QUIT, with the reply and its phase told and the message rejected, once.
        """
        for phase in PLACES:
            talk, said = self.refuse(phase, b"550 no\r\n")
            if phase == MESSAGE:
                # What to do next is the session's business: a run would have none left.
                self.assertEqual(said, Letter.mail)
            else:
                self.assertEqual(said, b"QUIT\r\n", NAMES[phase])
            rejected = 1 if phase in (RCPT, MESSAGE) else 0
            self.assertEqual(talk.events(), [("refused", phase, b"550 no\r\n"), ("rejected", rejected)], NAMES[phase])

    def test_tolerant(self):
        """
        With -A a refused transaction is abandoned with RSET, and the next one begins on the same connection.
        """
        for phase in (MAIL, RCPT, DATA):
            talk, said = self.refuse(phase, b"450 not now\r\n", tolerant=True)
            self.assertEqual(said, b"RSET\r\n", NAMES[phase])
            self.assertEqual(talk.outcomes(), 1)
            self.assertEqual(talk.say(b"250 ok\r\n"), Letter.mail, NAMES[phase])
            expected = [("refused", phase, b"450 not now\r\n"), ("rejected", 1 if phase == RCPT else 0)]
            self.assertEqual(talk.events(), expected)

    def test_tolerantGreeting(self):
        """
        With -A a refused greeting is told, and the dialogue goes on: the message may be taken all the same.
        """
        talk, said = self.refuse(BANNER, b"554 no\r\n", tolerant=True)
        self.assertEqual((said, talk.events()), (b"HELO me\r\n", [("refused", BANNER, b"554 no\r\n")]))
        self.assertEqual(talk.say(b"502 what\r\n"), Letter.mail)
        self.assertEqual(talk.events(), [("refused", HELO, b"502 what\r\n")])

    def test_tolerantContent(self):
        """
        After a refused content there is nothing to abandon: no RSET.
        """
        talk, said = self.refuse(MESSAGE, b"554 spam\r\n", tolerant=True)
        self.assertEqual((said, talk.events()), (Letter.mail, [("refused", MESSAGE, b"554 spam\r\n"), ("rejected", 1)]))

    def test_closing(self):
        """
        After 421 and 521 the server hangs up: no further command, neither RSET nor QUIT, but an end at once.
        """
        for phase in PLACES:
            for tolerant in (False, True):
                for reply in (b"421 later\r\n", b"521 never\r\n"):
                    talk, said = self.refuse(phase, reply, tolerant=tolerant)
                    self.assertEqual(said, b"", (NAMES[phase], tolerant))
                    self.assertTrue(talk.transport.aborted, NAMES[phase])
                    events = talk.settle()
                    self.assertEqual(events[0], ("refused", phase, reply))
                    self.assertEqual([e[0] for e in events[1:]], ["rejected", "disconnected"], NAMES[phase])
                    self.assertEqual(events[-1], ("disconnected", True))

    def test_dataWithout354(self):
        """
        DATA that is answered by anything but 354 is refused: content sent then would be taken for commands.
        """
        for reply in (b"250 ok\r\n", b"350 ok\r\n", b"550 no\r\n"):
            talk, said = self.refuse(DATA, reply, tolerant=True)
            self.assertEqual((said, talk.events()), (b"RSET\r\n", [("refused", DATA, reply), ("rejected", 0)]))

    def test_intermediate(self):
        """
        A 3yz reply says yes to nothing but DATA.
        """
        talk, said = self.refuse(MAIL, b"354 go\r\n")
        self.assertEqual((said, talk.events()[0][:2]), (b"QUIT\r\n", ("refused", MAIL)))

    def test_someRecipients(self):
        """
        With -A the refused recipients are counted and the others get the message.
        """
        talk = Conversation(Letter(recipients=3), tolerant=True).upTo(3)
        self.assertEqual(talk.say(b"550 no\r\n"), b"RCPT TO:<2@x>\r\n")
        self.assertEqual(talk.say(b"250 ok\r\n"), b"RCPT TO:<3@x>\r\n")
        self.assertEqual(talk.say(b"452 no\r\n"), b"DATA\r\n")
        talk.say(b"354 go\r\n", b"250 ok\r\n")
        expected = [("refused", RCPT, b"550 no\r\n"), ("refused", RCPT, b"452 no\r\n"), ("accepted", 1, 2)]
        self.assertEqual(talk.events(), expected)

    def test_allRecipients(self):
        """
        With every recipient refused there is no DATA.
        """
        talk = Conversation(Letter(recipients=2), tolerant=True).upTo(3)
        self.assertEqual(talk.say(b"550 no\r\n", b"551 no\r\n"), b"RSET\r\n")
        self.assertEqual(talk.events()[-1], ("rejected", 2))

    def test_oneRecipientStrict(self):
        """
        Without -A the second recipient's refusal ends the message, and only that recipient counts as refused.
        """
        talk = Conversation(Letter(recipients=3)).upTo(3)
        self.assertEqual(talk.say(b"250 ok\r\n", b"550 no\r\n"), b"QUIT\r\n")
        self.assertEqual(talk.events(), [("refused", RCPT, b"550 no\r\n"), ("rejected", 1)])

    def test_contentOfSeveral(self):
        """
        A refused content is refused for all of its recipients.
        """
        talk = Conversation(Letter(recipients=3), tolerant=True).upTo(3)
        talk.say(b"550 no\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"554 no\r\n")
        self.assertEqual(talk.events()[-1], ("rejected", 3))

    def test_resetRefused(self):
        """
        A server that refuses RSET is told of. Where MAIL was refused there is nothing to reset, and the next message
        tries its luck; else it would be refused for the transaction before it, and the connection ends in order.
        """
        for phase, text in ((MAIL, Letter.mail), (RCPT, b"QUIT\r\n"), (DATA, b"QUIT\r\n")):
            talk, _ = self.refuse(phase, b"450 no\r\n", tolerant=True)
            talk.events()
            self.assertEqual(talk.say(b"502 no RSET\r\n"), text)
            self.assertEqual(talk.events(), [("refused", RSET, b"502 no RSET\r\n")])

    def test_resetIntermediate(self):
        """
        RSET that is answered by 354: replies are out of step, and nothing more is said to a server that may wait for
        content.
        """
        for phase in (MAIL, RCPT, DATA):
            talk, _ = self.refuse(phase, b"450 no\r\n", tolerant=True)
            talk.events()
            self.assertEqual(talk.say(b"354 go\r\n"), b"")
            events = talk.settle()
            self.assertEqual([e[:2] for e in events], [("fault", "unexpected-reply"), ("disconnected", True)])
            self.assertIn("to RSET: 354 go", events[0][2])

    def test_resetClosing(self):
        """
        A server that says 421 to RSET is left; the message has its outcome already.
        """
        talk, _ = self.refuse(MAIL, b"450 no\r\n", tolerant=True)
        self.assertEqual(talk.say(b"421 bye\r\n"), b"")
        self.assertEqual([e[0] for e in talk.settle()], ["refused", "rejected", "refused", "disconnected"])

    def test_quitRefused(self):
        """
        Whatever a server says to QUIT, it is the end.
        """
        for reply in (
            b"500 what\r\n",
            b"421 bye\r\n",
            b"nonsense\r\n",
            b"221 bye\r\n250 more\r\n",
            b"221-a\r\n221 b\r\n",
            b"221-a\r\n500 b\r\n",
        ):
            talk = Conversation(Letter()).upTo(5)
            self.assertEqual(talk.say(b"250 ok\r\n"), b"QUIT\r\n")
            talk.say(reply)
            self.assertEqual(talk.settle(), [("accepted", 1, 0), ("disconnected", False)], reply)


class LMTPTests(SynchronousTestCase):
    """
    Each recipient's own reply to the content.
    """

    def content(self, *replies, recipients=3, refuseFirst=False, **kind):
        """
        @return: the conversation, after these replies to the content.
        """
        talk = Conversation(Letter(recipients), Letter(), lmtp=True, **kind).upTo(3)
        talk.say(b"550 no\r\n" if refuseFirst else b"250 ok\r\n")
        talk.say(*[b"250 ok\r\n"] * (recipients - 1), b"354 go\r\n")
        self.said = talk.say(*replies)
        return talk

    def test_some(self):
        """
        A message that some recipients got is accepted, for so many.
        """
        talk = self.content(b"250 a\r\n", b"450 b\r\n", b"550 c\r\n")
        self.assertEqual(talk.events()[-1], ("accepted", 1, 2))

    def test_none(self):
        """
        A message that nobody got is rejected, once all have answered.
        """
        talk = self.content(b"550 a\r\n", b"550 b\r\n")
        self.assertEqual(talk.outcomes(), 0)
        talk.say(b"550 c\r\n")
        self.assertEqual(talk.events()[-1], ("rejected", 3))

    def test_onlyAcceptedAnswer(self):
        """
        A recipient that was refused gets no reply: no waiting for it.
        """
        talk = self.content(b"250 a\r\n", b"250 b\r\n", refuseFirst=True, tolerant=True)
        self.assertEqual(talk.events()[-1], ("accepted", 2, 1))
        self.assertEqual(self.said, Letter.mail)

    def test_oneChunk(self):
        """
        Replies that come together are counted one by one.
        """
        talk = self.content(b"250 a\r\n550-b\r\n550 b\r\n250 c\r\n")
        self.assertEqual(talk.events()[-1], ("accepted", 2, 1))
        self.assertEqual(self.said, Letter.mail)

    def test_oneTooMany(self):
        """
        One reply more than there are recipients is a fault, after the message's outcome.
        """
        talk = self.content(b"250 a\r\n250 b\r\n250 c\r\n250 d\r\n")
        events = talk.settle()
        self.assertEqual([e[0] for e in events], ["accepted", "fault", "disconnected"])
        self.assertEqual(events[1][1], "unexpected-reply")

    def test_closing(self):
        """
        A 421 in the middle is the last reply of all: what was accepted before it stays accepted.
        """
        talk = self.content(b"250 a\r\n", b"421 bye\r\n")
        self.assertEqual([e[0] for e in talk.settle()], ["refused", "accepted", "disconnected"])
        talk = self.content(b"421 bye\r\n")
        self.assertEqual([e[0] for e in talk.settle()], ["refused", "rejected", "disconnected"])

    def test_lostInTheMiddle(self):
        """
        A connection lost before every recipient was answered leaves the message without an outcome: it has failed. The
        recipients that were answered count.
        """
        talk = self.content(b"250 a\r\n", b"550 b\r\n")
        talk.transport.drop()
        events = talk.events()
        self.assertEqual([e[0] for e in events], ["refused", "fault", "unanswered", "disconnected"])
        self.assertEqual(events[2], ("unanswered", 1, 1))


class FaultTests(SynchronousTestCase):
    """
    A server that does what no server should.
    """

    WORDS = (
        "the greeting",
        *(f"the reply to {c}" for c in ("HELO, EHLO or LHLO", "MAIL", "RCPT", "DATA", "the content")),
    )

    def test_EOF(self):
        """
        A server that hangs up: told once, with what we waited for, then the end.
        """
        for place, words in enumerate(self.WORDS):
            talk = Conversation(Letter()).upTo(place)
            talk.transport.drop()
            self.assertEqual(
                talk.events(),
                [
                    ("fault", "connection-lost", f"the server closed the connection (waiting for {words})"),
                    ("disconnected", True),
                ],
            )

    def test_reset(self):
        """
        A reset is told apart from an end in order.
        """
        for place, words in enumerate(self.WORDS):
            talk = Conversation(Letter()).upTo(place)
            talk.transport.drop(ConnectionLost())
            (fault, kind, text), end = talk.events()
            self.assertEqual((fault, kind, end), ("fault", "connection-reset", ("disconnected", True)))
            self.assertTrue(text.endswith(f"(waiting for {words})"), text)

    def test_ours(self):
        """
        An exception in this process, for which the reactor closes the connection, is not called the server's doing.
        """
        talk = Conversation(Letter()).upTo(2)
        talk.transport.drop(ValueError("x"))
        self.assertEqual(talk.events(), [("fault", "internal-error", "ValueError('x')"), ("disconnected", True)])
        talk = Conversation(Letter()).upTo(2)
        talk.transport.drop(BrokenPipeError(32, "Broken pipe"))
        self.assertEqual(talk.events()[0][:2], ("fault", "internal-error"))

    def test_closedWhileIdle(self):
        """
        A server that hangs up on a connection without work, with or without a word, is a fault of its own kind.
        """
        for reason, text in ((None, "the server closed the connection"), (ConnectionLost(), "connection reset")):
            talk = Conversation(quits=False)
            talk.say(b"220 hi\r\n", b"250 ok\r\n")
            talk.transport.drop(reason)
            self.assertEqual(talk.events(), [("fault", "closed-while-idle", text), ("disconnected", True)])
        for reply in (b"421 idle for too long\r\n", b"421-idle\r\n421 for too long\r\n", b"521 go away\r\n"):
            for grouped in ("off", "force"):
                talk = Conversation(quits=False, pipelining=grouped)
                talk.say(b"220 hi\r\n", b"250 ok\r\n", reply)
                events = talk.settle()
                self.assertEqual([e[:2] for e in events], [("fault", "closed-while-idle"), ("disconnected", True)])
                self.assertIn(printable(reply), events[0][2])

    def test_EOFForQUIT(self):
        """
        A server that hangs up instead of answering QUIT has ended in order, as smtp-source(1) sees it.
        """
        for reason in (None, ConnectionLost()):
            talk = Conversation().upTo(2)
            talk.transport.drop(reason)
            self.assertEqual(talk.events(), [("disconnected", False)])

    def test_partOfAReply(self):
        """
        What came of a reply before the connection was lost counts for nothing.
        """
        talk = Conversation(Letter()).upTo(5)
        talk.say(b"250 o")
        talk.transport.drop()
        self.assertEqual([e[0] for e in talk.events()], ["fault", "disconnected"])

    def test_timeout(self):
        """
        A silent server is given up when the time is over, not before, and told of with what we waited for.
        """
        for place, words in enumerate((*self.WORDS, "the reply to QUIT")):
            talk = Conversation(Letter()).upTo(min(place, 5))
            if place == 6:
                talk.say(b"250 ok\r\n")
                talk.events()
            talk.reactor.advance(9.9)
            self.assertFalse(talk.client.overdue(talk.reactor.seconds(), 10.0))
            self.assertFalse(talk.transport.aborted)
            talk.reactor.advance(0.1)
            self.assertTrue(talk.client.overdue(talk.reactor.seconds(), 10.0))
            text = f"no reply within 10 seconds (waiting for {words})"
            self.assertEqual(talk.settle(), [("fault", "timeout", text), ("disconnected", place != 6)])

    def test_timeoutOnce(self):
        """
        A connection that is given up is not given up again.
        """
        talk = Conversation(Letter())
        self.assertTrue(talk.client.overdue(10.0, 10.0))
        self.assertFalse(talk.client.overdue(20.0, 10.0))

    def test_timeoutForEach(self):
        """
        Every reply has the whole time.
        """
        talk = Conversation(Letter())
        for reply in (b"220 hi\r\n", b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", b"354 d\r\n", b"250 e\r\n"):
            talk.reactor.advance(9.0)
            self.assertFalse(talk.client.overdue(talk.reactor.seconds(), 10.0))
            talk.say(reply)

    def test_dribble(self):
        """
        A server that sends a line of a reply now and then, and never the last, is silent.
        """
        talk = Conversation(Letter())
        for _ in range(10):
            talk.reactor.advance(1.0)
            talk.say(b"220-wait\r\n")
        self.assertTrue(talk.client.overdue(talk.reactor.seconds(), 10.0))

    def test_garbage(self):
        """
        What is no reply ends the connection, and is shown.
        """
        for place in range(6):
            for line in (b"HTTP/1.0 400", b"25 0", b"", b"150 x", b"650 x", b"250x", b"\xff\xfe", b"2500 x", b" 250 x"):
                talk = Conversation(Letter()).upTo(place)
                self.assertEqual(talk.say(line + b"\r\n"), b"")
                self.assertTrue(talk.transport.aborted)
                events = talk.settle()
                self.assertEqual([e[:2] for e in events], [("fault", "garbage-reply"), ("disconnected", True)])
                self.assertTrue(events[0][2].startswith(printable(line) or "an empty line"), events[0][2])

    def test_garbageInReply(self):
        """
        A line of a reply that is no reply line spoils the whole.
        """
        talk = Conversation(Letter())
        talk.say(b"220-hi\r\nthere\r\n220 x\r\n")
        self.assertEqual([e[:2] for e in talk.settle()], [("fault", "garbage-reply"), ("disconnected", True)])

    def test_longLine(self):
        """
        A line that never ends ends the connection; what is shown of it is short.
        """
        talk = Conversation(Letter())
        for _ in range(LONGEST // 1000 + 1):
            talk.say(b"2" * 1000)
        events = talk.settle()
        self.assertEqual([e[:2] for e in events], [("fault", "reply-too-long"), ("disconnected", True)])
        self.assertLess(len(events[0][2]), 300)

    def test_longReply(self):
        """
        So does a reply of lines without end.
        """
        talk = Conversation(Letter())
        line = b"220-" + b"x" * 994 + b"\r\n"
        for _ in range(LONGEST // len(line)):
            talk.say(line)
        self.assertEqual(talk.events(), [])
        talk.say(line)
        self.assertEqual([e[:2] for e in talk.settle()], [("fault", "reply-too-long"), ("disconnected", True)])

    def test_manyLines(self):
        """
        A reply of ten thousand lines is one reply, however it is cut; and what comes after it is looked at.
        """
        reply = b"250-\r\n" * 10_000 + b"250 x\r\n"
        for size in (1000, len(reply)):
            talk = Conversation(Letter()).upTo(1)
            for start in range(0, len(reply), size):
                written = talk.say(reply[start : start + size])
            self.assertEqual(written, b"MAIL FROM:<a@x>\r\n")
            self.assertEqual(talk.recorder.replies[HELO], {b"250": 1})
            talk.say(b"250-\r\n" * 9000 + b"nonsense\r\n")
            self.assertEqual([e[:2] for e in talk.settle()], [("fault", "garbage-reply"), ("disconnected", True)])

    def test_brokenOff(self):
        """
        A server that breaks off a reply to say 421 or 521, as postscreen(8) does after the first line of its banner: it
        refuses, with that code and text. Any other code in the middle of a reply is garbage.
        """
        for leave in (b"521 5.7.1 blocked\r\n", b"421-4.3.2 all\r\n421 4.3.2 busy\r\n"):
            for pieces in ((b"220-mx\r\n", leave), (b"220-mx\r\n" + leave,)):
                talk = Conversation(Letter(), tolerant=True)
                self.assertEqual(talk.say(*pieces), b"")
                expected = [("refused", BANNER, leave), ("rejected", 0), ("disconnected", True)]
                self.assertEqual(talk.settle(), expected)
        talk = Conversation(Letter(), tolerant=True)
        talk.say(b"220-mx\r\n450 4.3.2 later\r\n")
        self.assertEqual([e[:2] for e in talk.settle()], [("fault", "garbage-reply"), ("disconnected", True)])

    def test_lateSecondReply(self):
        """
        A second reply to the content that comes when QUIT was sent is not the answer to that.
        """
        for reply in (b"250 2.0.0 queued as well\r\n", b"554 5.6.0 no, after all\r\n"):
            talk = Conversation(Letter()).upTo(5)
            self.assertEqual(talk.say(b"250 ok\r\n"), b"QUIT\r\n")
            talk.say(reply)
            events = [e[:2] for e in talk.settle()]
            self.assertEqual(events, [("accepted", 1), ("fault", "unexpected-reply"), ("disconnected", False)])

    def test_unexpected(self):
        """
        A reply that answers nothing, when there is nothing to answer, ends the connection.
        """
        for reply in (b"250 what\r\n", b"550 no\r\n", b"4210 what\r\n250 x\r\n"):
            talk = Conversation(quits=False)
            talk.say(b"220 hi\r\n", b"250 ok\r\n", reply)
            events = talk.settle()
            kind = "garbage-reply" if reply.startswith(b"4210") else "unexpected-reply"
            self.assertEqual([e[:2] for e in events], [("fault", kind), ("disconnected", True)])
            self.assertIn(reply.decode().split("\r")[0], events[0][2])

    def test_unsolicited(self):
        """
        A second reply in the chunk of the first answers nothing: the first counts, and the connection ends without
        another message.
        """
        for extra in (b"250 extra\r\n", b"250 ext", b"\r\n", b"250-extra\r\n"):
            talk = Conversation(Letter(), Letter()).upTo(5)
            self.assertEqual(talk.say(b"250 ok\r\n" + extra), b"")
            events = talk.settle()
            expected = [("accepted", 1, 0), ("fault", "unexpected-reply"), ("disconnected", True)]
            self.assertEqual([events[0], events[1][:2], *events[2:]], expected)
            self.assertEqual(len(talk.session.messages), 1)

    def test_takesLeave(self):
        """
        A 421 in the chunk of another reply answers nothing either, but a server may say so at any time.
        """
        talk = Conversation(Letter(), Letter()).upTo(5)
        self.assertEqual(talk.say(b"250 ok\r\n421 enough\r\n"), b"")
        events = talk.settle()
        expected = [("accepted", 1, 0), ("fault", "closed-while-idle"), ("disconnected", True)]
        self.assertEqual([events[0], events[1][:2], *events[2:]], expected)
        talk = Conversation(Letter(), Letter()).upTo(2)
        talk.say(b"250 ok\r\n421 enough\r\n")
        events = talk.settle()
        self.assertEqual([e[:2] for e in events], [("fault", "connection-lost"), ("disconnected", True)])
        self.assertIn("421 enough", events[0][2])

    def test_unsolicitedInDialogue(self):
        """
        A reply sent ahead is not taken for the answer to the command that comes next.
        """
        talk = Conversation(Letter())
        talk.say(b"220 hi\r\n250 ahead\r\n")
        self.assertEqual([e[:2] for e in talk.settle()], [("fault", "unexpected-reply"), ("disconnected", True)])
        self.assertEqual(talk.recorder.replies[HELO], {})

    def test_silentAfterTheEnd(self):
        """
        What still comes after the client has given up is not looked at.
        """
        talk = Conversation(Letter())
        talk.say(b"garbage\r\n")
        talk.events()
        talk.client.dataReceived(b"220 hi\r\n")
        talk.client.dataReceived(b"more garbage\r\n220 hi\r\n" + b"x" * 2 * LONGEST)
        self.assertEqual((talk.transport.take(), talk.events()), (b"", []))
        self.assertEqual(talk.recorder.replies[BANNER], {})

    def test_abort(self):
        """
        An end at once: nothing is said, no fault is told, the connection is lost.
        """
        talk = Conversation(Letter()).upTo(3)
        talk.client.abort()
        talk.client.abort()
        self.assertEqual((talk.settle(), talk.transport.value()), ([("disconnected", True)], b""))


class StreamingTests(SynchronousTestCase):
    """
    A content that is too large to be written at once.
    """

    BODY = bytes(range(256)) * 1024 + b"\r\n.\r\n"

    def begin(self, *letters, **kind):
        """
        @return: a conversation after 354.
        """
        talk = Conversation(Letter(1, b"Head: er\r\n\r\n", self.BODY), *letters, **kind).upTo(4)
        talk.transport.deliver(b"354 go\r\n")
        return talk

    def test_chunks(self):
        """
        It goes out whole and in order, and no more than a chunk waits beyond what the transport buffers.
        """
        talk = self.begin()
        taken = []
        while talk.transport.producer is not None:
            taken.append(talk.transport.take())
            self.assertLessEqual(len(taken[-1]), BUFFER_SIZE + PIECE)
        taken.append(talk.transport.take())
        self.assertGreater(len([t for t in taken if t]), 2)
        self.assertEqual(b"".join(taken), b"Head: er\r\n\r\n" + self.BODY)
        sent = b"HELO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<1@x>\r\nDATA\r\nHead: er\r\n\r\n" + self.BODY
        self.assertEqual(talk.recorder.bytesSent, len(sent))
        self.assertEqual(talk.say(b"250 ok\r\n"), b"QUIT\r\n")
        self.assertEqual(talk.events(), [("accepted", 1, 0)])

    def test_pauses(self):
        """
        As long as the transport takes nothing, nothing more is given to it.
        """
        talk = self.begin()
        before = len(talk.transport.value())
        self.assertLess(before, len(self.BODY))
        self.assertTrue(talk.transport.streaming)
        talk.reactor.advance(5)
        self.assertEqual(len(talk.transport.value()), before)

    def test_slowIsNotSilent(self):
        """
        A server that takes content slowly is not silent; one that takes none is.
        """
        talk = self.begin()
        talk.reactor.advance(9)
        talk.transport.take()
        talk.reactor.advance(9)
        self.assertFalse(talk.client.overdue(talk.reactor.seconds(), 10.0))
        talk.reactor.advance(1)
        self.assertTrue(talk.client.overdue(talk.reactor.seconds(), 10.0))
        self.assertEqual([e[:2] for e in talk.settle()], [("fault", "timeout"), ("disconnected", True)])

    def test_noBodyLeft(self):
        """
        A content in two parts, of which the first is empty, is only the second.
        """
        talk = Conversation(Letter(1, b"", b"x\r\n.\r\n")).upTo(4)
        self.assertEqual(talk.say(b"354 go\r\n"), b"x\r\n.\r\n")
        self.assertIs(talk.transport.producer, None)

    def test_refusedEarly(self):
        """
        A refusal while the content still flows counts as the message's, and the connection is closed: there is no other
        way to stop.
        """
        for kind in ({}, {"tolerant": True}, {"lmtp": True}, {"lmtp": True, "tolerant": True}):
            talk = self.begin(Letter(), **kind)
            talk.transport.deliver(b"552 too big\r\n")
            self.assertTrue(talk.transport.aborted)
            expected = [("refused", MESSAGE, b"552 too big\r\n"), ("rejected", 1), ("disconnected", True)]
            self.assertEqual(talk.settle(), expected)

    def test_acceptedEarly(self):
        """
        A server can't have accepted what it has not seen: a fault, and the message has failed.
        """
        talk = self.begin(Letter())
        talk.transport.deliver(b"250 ok\r\n")
        self.assertEqual([e[:2] for e in talk.settle()], [("fault", "unexpected-reply"), ("disconnected", True)])

    def test_lost(self):
        """
        A connection lost in the middle stops the flow.
        """
        talk = self.begin()
        talk.transport.drop(ConnectionLost())
        self.assertEqual([e[:2] for e in talk.events()], [("fault", "connection-reset"), ("disconnected", True)])
        self.assertIs(talk.transport.producer, None)

    def test_nextAfterStreamed(self):
        """
        The next message on the same connection is streamed as well, from its beginning.
        """
        talk = self.begin(Letter(1, b"H\r\n", self.BODY))
        while talk.transport.producer is not None:
            talk.transport.take()
        talk.transport.take()
        talk.say(b"250 ok\r\n", b"250 a\r\n", b"250 b\r\n")
        talk.transport.deliver(b"354 go\r\n")
        taken = b""
        while talk.transport.producer is not None:
            taken += talk.transport.take()
        self.assertEqual(taken + talk.transport.take(), b"H\r\n" + self.BODY)


class TraceTests(SynchronousTestCase):
    """
    What -v shows.
    """

    def test_trace(self):
        """
        Commands as they are, each line of a reply after C{<<<}, and a dot for the content.
        """
        shown = []

        class Traced(TracedProtocol):
            show = staticmethod(shown.append)

        talk = Conversation(Letter(), protocol=Traced)
        talk.say(
            b"220-hi\r\n220 there\r\n", b"250 \x1b[31m\r\n", b"250 b\r\n", b"250 c\r\n", b"354 d\r\n", b"250 e\r\n"
        )
        expected = [
            "<<< 220-hi",
            "<<< 220 there",
            "HELO me",
            "<<< 250 ?[31m",
            "MAIL FROM:<a@x>",
            "<<< 250 b",
            "RCPT TO:<1@x>",
            "<<< 250 c",
            "DATA",
            "<<< 354 d",
            ".",
            "<<< 250 e",
            "QUIT",
        ]
        self.assertEqual(shown, expected)


class Lines(LineReceiver):
    """
    What Twisted itself makes of a stream of lines.
    """

    delimiter = b"\n"

    def __init__(self):
        self.lines = []

    def lineReceived(self, line):
        self.lines.append(line.rstrip(b"\r"))


class Noting(SMTPSourceProtocol):
    """
    Notes each whole reply.
    """

    def replyReceived(self, reply, code):
        self.replies = [*getattr(self, "replies", []), (printable(reply), code)]
        super().replyReceived(reply, code)


# Without "|": it is what separates the lines of a reply where they are shown as one.
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=123), max_size=20).map(str.encode)
CODES = st.integers(200, 599).map(lambda n: b"%d" % n)


@st.composite
def wholeReplies(draw, codes=CODES):
    """
    One reply of 1 to 4 lines.
    """
    code = draw(codes)
    texts = draw(st.lists(TEXTS, min_size=1, max_size=4))
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    return b"".join(code + b"-" + text + end for text in texts[:-1]) + code + b" " + texts[-1] + end


def pieces(data, cuts):
    """
    @return: the data, cut at these places.
    """
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


class SplitTests(SynchronousTestCase):
    """
    The network cuts a stream of replies wherever it likes.
    """

    def converse(self, chunks, tolerant, lmtp):
        talk = Conversation(*[Letter(3) for _ in range(3)], protocol=Noting, tolerant=tolerant, lmtp=lmtp)
        written = []
        for reply in chunks:
            for piece in reply:
                talk.transport.deliver(piece)
            written.append(talk.transport.take())
        events = [(*e[:2], printable(e[2])) if e[0] == "refused" else e for e in talk.settle()]
        return getattr(talk.client, "replies", []), written, events

    @given(
        st.lists(
            st.tuples(wholeReplies(st.sampled_from([b"220", b"250", b"354", b"354", b"250", b"450", b"421"])), CUTS)
        ),
        st.booleans(),
        st.booleans(),
    )
    @settings(max_examples=200, deadline=None)
    def test_split(self, replies, tolerant, lmtp):
        """
        However each reply is cut, what is understood, said and told is the same.
        """
        whole = self.converse([[reply] for reply, _ in replies], tolerant, lmtp)
        cut = self.converse([pieces(reply, cuts) for reply, cuts in replies], tolerant, lmtp)
        self.assertEqual(cut, whole)
        # And what is understood is what Twisted's own line parser sees.
        lines = Lines()
        lines.dataReceived(b"".join(reply for reply, _ in replies))
        seen = [line for text, _ in whole[0] for line in text.split(" | ")]
        self.assertEqual(seen, [printable(line) for line in lines.lines][: len(seen)])

    @given(st.lists(wholeReplies(st.sampled_from([b"250", b"550"])), min_size=5, max_size=5), CUTS)
    @settings(max_examples=100, deadline=None)
    def test_owedTogether(self, replies, cuts):
        """
        LMTP's replies to a content come as one stream: cut anywhere, each counts for its recipient.
        """
        talk = Conversation(Letter(5), lmtp=True).upTo(3)
        talk.say(*[b"250 ok\r\n"] * 5, b"354 go\r\n")
        for piece in pieces(b"".join(replies), cuts):
            talk.transport.deliver(piece)
        rejected = sum(reply.startswith(b"550") for reply in replies)
        last = ("rejected", 5) if rejected == 5 else ("accepted", 5 - rejected, rejected)
        self.assertEqual(talk.events()[-1], last)
        self.assertEqual(talk.transport.take(), b"QUIT\r\n")


class ArbitraryTests(SynchronousTestCase):
    """
    Servers that say anything.
    """

    @given(
        st.lists(st.one_of(st.binary(max_size=30), wholeReplies(), wholeReplies(st.sampled_from([b"250", b"354"])))),
        st.integers(0, 5),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, "lost", "closed"]),
    )
    @settings(max_examples=300, deadline=None)
    def test_neverRaises(self, chunks, place, tolerant, lmtp, end):
        """
        Nothing that a server can send raises an exception or leaves the client waiting for ever: every message that
        was begun has one outcome or, at the end of the connection, none and one fault; and the end comes exactly once.
        """
        letters = [Letter(2, b"x\r\n", b"y" * 150_000 + b"\r\n.\r\n"), Letter(2), Letter(1)]
        talk = Conversation(*letters, tolerant=tolerant, lmtp=lmtp).upTo(place)
        for chunk in chunks:
            talk.transport.deliver(chunk)
            talk.transport.take()
        if end is not None:
            talk.transport.drop(ConnectionLost() if end == "lost" else None)
        talk.reactor.advance(300)
        talk.client.overdue(talk.reactor.seconds(), 300.0)
        talk.reactor.advance(0)
        events = talk.session.events
        self.assertEqual([e[0] for e in events].count("disconnected"), 1)
        self.assertEqual(events[-1][0], "disconnected")
        self.assertLessEqual([e[0] for e in events].count("fault"), 1)
        begun = len(letters) - len(talk.session.messages)
        # A greeting may be refused for a message that the session has not handed out yet.
        greeted = any(e[0] == "refused" and e[1] in (BANNER, HELO) for e in events)
        self.assertIn(begun - talk.outcomes(), (0, 1, -1) if greeted else (0, 1))
        if begun - talk.outcomes() == 1 and not greeted:
            self.assertIn("fault", [e[0] for e in events[-3:-1]])


class ClockTests(SynchronousTestCase):
    """
    The client's sense of time.
    """

    def test_clock(self):
        """
        Latencies are measured on the clock that was given, not on the wall's.
        """
        clock = Clock()
        recorder = Recorder()
        client = SMTPSourceProtocol(RecordingSession(), dialogue(b"me"), recorder, clock.seconds)
        client.makeConnection(FakeTransport(FakeReactor()))
        clock.advance(1000)
        client.dataReceived(b"220 hi\r\n")
        self.assertApproximates(recorder.latencies[BANNER].summarize().mean, 1000, 1)
