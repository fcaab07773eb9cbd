"""
Tests for L{smtpsource.smtp.chunking} and L{smtpsource.smtp.protocol}: content by BDAT (RFC 3030) in chunks, in groups,
and with several transactions under way.
"""

from __future__ import annotations

from conversations import CONTENT, Conversation, Letter
from hypothesis import strategies as st
from properties import given, settings
from sessions import Going, Server
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.phases import BDAT, MESSAGE, RCPT, RSET
from smtpsource.smtp.chunking import chunks
from smtpsource.smtp.trace import TracedProtocol

OCTETS = CONTENT.removesuffix(b".\r\n")
LAST = b"BDAT %d LAST\r\n" % len(OCTETS) + OCTETS
MAIL = b"MAIL FROM:<a@x>\r\n"
ENVELOPE = MAIL + b"RCPT TO:<1@x>\r\n"
ENVELOPE2 = ENVELOPE + b"RCPT TO:<2@x>\r\n"
OK = b"250 ok\r\n"


def lockStep(*letters, **kind):
    """
    @return: a conversation that has got to the reply to the last RCPT of its first message.
    """
    talk = Conversation(*letters, **{"chunking": "force", **kind})
    talk.say(b"220 hi\r\n", OK, OK)
    return talk


def grouped(*letters, **kind):
    """
    @return: a conversation whose first group is out, as C{first}.
    """
    talk = Conversation(*letters, **{"pipelining": "force", "chunking": "force", "tolerant": True, **kind})
    talk.say(b"220 hi\r\n")
    talk.first = talk.say(OK)
    talk.events()
    return talk


def kinds(events):
    """
    @return: what the session was told, without the texts.
    """
    return [event[:2] if event[0] == "refused" else event for event in events]


class ChunkTests(SynchronousTestCase):
    """
    How a content is cut.
    """

    @given(st.binary(max_size=50), st.binary(max_size=50), st.none() | st.integers(1, 60))
    def test_whole(self, own, shared, size):
        """
        All of it goes out, in order; each chunk has the size that its command says, only the last one LAST.
        """
        found = list(chunks(own, memoryview(shared), size))
        self.assertEqual(b"".join(b + bytes(c) for _, b, c, _ in found), own + shared)
        self.assertEqual([last for *_, last in found], [False] * (len(found) - 1) + [True])
        for command, first, second, last in found:
            length = len(first) + len(second)
            self.assertEqual(command, b"BDAT %d%b\r\n" % (length, b" LAST" if last else b""))
            self.assertTrue(length == size or last)


class LockStepTests(SynchronousTestCase):
    """
    One command at a time.
    """

    def test_one(self):
        """
        In place of DATA comes one BDAT with all of the content, not dot-stuffed; then the next message.
        """
        talk = lockStep(Letter(), Letter())
        self.assertEqual(talk.say(OK), LAST)
        self.assertEqual(talk.say(OK), MAIL)
        self.assertEqual(talk.events(), [("accepted", 1, 0)])

    def test_several(self):
        """
        With a chunk size each chunk waits for the reply to the one before it, and is a phase of its own.
        """
        talk = lockStep(Letter(), chunkSize=10)
        pieces = [talk.say(OK)]
        while pieces[-1].startswith(b"BDAT"):
            pieces.append(talk.say(OK))
        self.assertEqual(pieces.pop(), b"QUIT\r\n")
        self.assertEqual(b"".join(piece.partition(b"\r\n")[2] for piece in pieces), OCTETS)
        self.assertIn(b" LAST\r\n", pieces[-1])
        replies = talk.recorder.replies
        self.assertEqual((replies[BDAT], replies[MESSAGE]), ({b"250": len(pieces) - 1}, {b"250": 1}))

    def test_refused(self):
        """
        A refused chunk is the end of its message; RSET, because nobody knows what the server makes of it.
        """
        for kind, text in (({}, b"QUIT\r\n"), ({"tolerant": True}, b"RSET\r\n")):
            for replies, phase in (([b"552 no\r\n"], BDAT), ([OK, OK, b"552 no\r\n"], MESSAGE)):
                talk = lockStep(Letter(own=b"x" * 28 + b".\r\n"), chunkSize=10, **kind)
                talk.say(OK)
                self.assertEqual(talk.say(*replies), text)
                self.assertEqual(
                    [event[:2] for event in talk.events()], [("refused", phase), ("rejected", int(phase == MESSAGE))]
                )

    def test_LMTP(self):
        """
        The last chunk is answered for each recipient.
        """
        talk = lockStep(Letter(2), lmtp=True)
        talk.say(OK)
        self.assertEqual(talk.say(OK), LAST)
        self.assertEqual(talk.say(OK), b"")
        self.assertEqual(talk.say(b"550 full\r\n"), b"QUIT\r\n")
        self.assertEqual(kinds(talk.events()), [("refused", MESSAGE), ("accepted", 1, 1)])

    def test_large(self):
        """
        A large content streams, whole or in large chunks.
        """
        body = b"y" * 200_000 + b"\r\n.\r\n"
        for size in (None, 90_000):
            talk = lockStep(Letter(own=b"H: x\r\n\r\n", shared=body), chunkSize=size)
            written = talk.say(OK)
            while b"QUIT" not in written:
                while talk.transport.producer is not None:
                    written += talk.transport.take()
                written += talk.say(OK)
            content = b"H: x\r\n\r\n" + body[:-3]
            step = size or len(content)
            expected = b"".join(
                b"BDAT %d%b\r\n" % (len(content[a : a + step]), b" LAST" if a + step >= len(content) else b"")
                + content[a : a + step]
                for a in range(0, len(content), step)
            )
            self.assertEqual(written, expected + b"QUIT\r\n")
            self.assertEqual(talk.events(), [("accepted", 1, 0)])

    def test_modes(self):
        """
        BDAT where it is announced, or required; else DATA, or a fault that names it.
        """
        for mode, reply, expected in (
            ("auto", b"250-hi\r\n250 CHUNKING\r\n", LAST),
            ("auto", b"250 hi\r\n", b"DATA\r\n"),
            ("require", b"250-hi\r\n250 CHUNKING\r\n", LAST),
        ):
            talk = Conversation(Letter(), chunking=mode)
            talk.say(b"220 hi\r\n", reply, OK)
            self.assertEqual(talk.say(OK), expected)
        talk = Conversation(Letter(), chunking="require")
        self.assertEqual(talk.say(b"220 hi\r\n", b"250 hi\r\n"), b"QUIT\r\n")
        self.assertIn("CHUNKING", talk.events()[0][2])


class GroupTests(SynchronousTestCase):
    """
    With pipelining: the envelope and the content in one write.
    """

    def test_one(self):
        """
        A window of 1: a whole message goes out at once, and the next one when it is answered.
        """
        talk = grouped(Letter(), Letter(2))
        self.assertEqual(talk.first, ENVELOPE + LAST)
        self.assertEqual(talk.say(OK * 3), ENVELOPE2 + LAST)
        self.assertEqual(talk.say(OK * 4), b"QUIT\r\n")
        self.assertEqual(talk.events(), [("accepted", 1, 0), ("accepted", 2, 0)])

    def test_chunkSize(self):
        """
        All chunks of a message go out at once, too.
        """
        talk = grouped(Letter(own=b"abcdef.\r\n"), chunkSize=4)
        self.assertEqual(talk.first, ENVELOPE + b"BDAT 4\r\nabcdBDAT 2 LAST\r\nef")
        self.assertEqual(talk.say(OK * 4), b"QUIT\r\n")

    def test_window(self):
        """
        As many messages are out as the window has room for; when half of them are answered it is filled again.
        """
        talk = grouped(*(Letter() for _ in range(8)), window=4)
        message = ENVELOPE + LAST
        self.assertEqual(talk.first, message * 4)
        self.assertEqual(
            [talk.say(OK * 3) for _ in range(8)], [b"", message * 2, b"", message * 2, b"", b"", b"", b"QUIT\r\n"]
        )
        self.assertEqual(talk.events(), [("accepted", 1, 0)] * 8)

    def test_partial(self):
        """
        A refused recipient does not keep the message from the others: it is out already.
        """
        for tolerant in (True, False):
            talk = grouped(Letter(2), Letter(), window=2, tolerant=tolerant)
            talk.say(OK + b"550 no\r\n" + OK * 2 + OK * 3)
            self.assertEqual(kinds(talk.events()), [("refused", RCPT), ("accepted", 1, 1), ("accepted", 1, 0)])

    def test_allRefused(self):
        """
        All recipients refused: so is the content. Messages that are out go on; after the last one comes RSET.
        """
        talk = grouped(Letter(), Letter(), window=2)
        talk.say(OK + b"550 no\r\n503 none\r\n")
        self.assertEqual(kinds(talk.events()), [("refused", RCPT), ("rejected", 1)])
        self.assertEqual(talk.say(OK + b"550 no\r\n503 none\r\n"), b"RSET\r\n")
        self.assertEqual(talk.say(OK), b"QUIT\r\n")

    def test_sticky(self):
        """
        A server that stays in the transaction whose content it has refused, as Dovecot does: messages that were out
        already are sent again when that is over, and from then on each group begins with RSET.
        """
        talk = grouped(*(Letter() for _ in range(5)), window=3)
        message = ENVELOPE + LAST
        self.assertEqual(talk.first, message * 3)
        spoiled = OK + b"550 no\r\n503 none\r\n" + b"503 nested\r\n250 r\r\n503 RSET first\r\n" * 2
        self.assertEqual(talk.say(spoiled), b"RSET\r\n")
        self.assertEqual(kinds(talk.events()), [("refused", RCPT), ("rejected", 1)])
        self.assertEqual(talk.say(OK), (b"RSET\r\n" + message) * 3)
        talk.say(OK * 12)
        self.assertEqual(talk.say(OK * 4), b"QUIT\r\n")
        self.assertEqual(talk.events(), [("accepted", 1, 0)] * 4)

    def test_stickyForGood(self):
        """
        A server that stays in that transaction even after RSET is left; what was to be sent again has failed, and why
        is told.
        """
        talk = grouped(*(Letter() for _ in range(5)), window=3)
        talk.say(OK + b"550 no\r\n503 none\r\n" + b"503 nested\r\n250 r\r\n503 RSET first\r\n" * 2)
        talk.events()
        self.assertEqual(talk.say(b"502 no RSET\r\n"), b"QUIT\r\n")
        self.assertEqual(
            talk.events(),
            [
                ("refused", RSET, b"502 no RSET\r\n"),
                ("fault", "connection-lost", "after a 502 reply, with 2 more messages out"),
            ],
        )

    def test_nested(self):
        """
        A server that goes on with the transaction before refuses MAIL and takes the message all the same: what it says
        to the content counts.
        """
        talk = grouped(Letter(), Letter(), window=2)
        talk.say(OK + b"550 no\r\n503 none\r\n")
        talk.events()
        talk.say(b"503 nested\r\n" + OK * 2)
        self.assertEqual([event[0] for event in talk.events()], ["accepted"])

    def test_chunkRefused(self):
        """
        One refused chunk of several: all replies are awaited, the first refusal is told.
        """
        talk = grouped(Letter(own=b"abcdefghi.\r\n"), Letter(), chunkSize=4)
        self.assertEqual(talk.say(OK * 2 + b"552 no\r\n503 a\r\n503 b\r\n"), b"RSET\r\n")
        self.assertEqual(kinds(talk.events()), [("refused", BDAT), ("rejected", 1)])

    def test_lastAcceptedAfterAll(self):
        """
        A refused chunk, and the last one accepted: what the server took is not the message, which is rejected, as in
        lock-step.
        """
        for lmtp in (False, True):
            for window in (1, 2):
                talk = grouped(Letter(own=b"abcdefghi.\r\n"), Letter(), chunkSize=4, lmtp=lmtp, window=window)
                talk.say(OK * 2 + b"452 full\r\n" + OK * 2)
                self.assertEqual(kinds(talk.events()), [("refused", BDAT), ("rejected", 1)])

    def test_tooMany(self):
        """
        A server that answers a RCPT twice and refuses the content: the refusal is not the reply to nothing that it
        seems to be, and the message is not accepted.
        """
        for window, letters in ((1, 1), (1, 2), (3, 1)):
            talk = grouped(*(Letter() for _ in range(letters)), window=window)
            self.assertEqual(talk.say(OK + OK + OK + b"550 no\r\n"), b"")
            events = talk.settle()
            self.assertEqual([e[:2] for e in events], [("fault", "unexpected-reply"), ("disconnected", True)])

    def test_takesLeave(self):
        """
        With a window, too: what was accepted before a 421 is.
        """
        for window, letters in ((1, 1), (3, 2)):
            talk = grouped(*(Letter() for _ in range(letters)), window=window)
            self.assertEqual(talk.say(OK * 3 * letters + b"421 bye\r\n"), b"")
            events = [e[:2] for e in talk.settle()]
            self.assertEqual(
                events, [("accepted", 1)] * letters + [("fault", "closed-while-idle"), ("disconnected", True)]
            )

    def test_doubt(self):
        """
        A server that answers twice and refuses a content: that refusal was taken for what came next. Found out at the
        end, the message that has two faces is in doubt, and so is the last.
        """
        doubted = []
        talk = grouped(*(Letter() for _ in range(4)), window=4)
        talk.session.fault = lambda kind, text, quitting, doubtful: doubted.append((kind, doubtful))
        talk.say(OK + OK * 2 + b"550 no\r\n" + OK * 2 + OK + OK * 3 + OK * 2, OK, OK)
        self.assertEqual(len(talk.events()), 5)
        self.assertEqual(doubted, [("unexpected-reply", 2)])

    def test_bounded(self):
        """
        However large the window, what is out without an answer on one connection is not: more is written when half of
        that is answered.
        """
        letters = [Letter(own=b"x" * 60_000 + b".\r\n") for _ in range(200)]
        talk = grouped(*letters, window=1_000_000)
        out = len(talk.first)
        most = 0
        for _ in range(200):
            most = max(most, out)
            out += len(talk.say(OK * 3)) - 60_000
        self.assertGreater(most, 200_000)
        self.assertLess(most, 1_000_000)
        self.assertEqual(talk.events(), [("accepted", 1, 0)] * 200)

    def test_boundedRecipients(self):
        """
        The same for messages of many recipients, which are large as well.
        """
        talk = grouped(*(Letter(2000) for _ in range(50)), window=50)
        self.assertLess(talk.first.count(b"MAIL"), 5)

    def test_LMTP(self):
        """
        A reply for each recipient that was accepted, then those to the next message.
        """
        talk = grouped(Letter(3), Letter(), lmtp=True, window=2)
        talk.say(OK + OK + b"550 no\r\n" + OK + OK + b"452 full\r\n" + OK * 3)
        self.assertEqual(
            kinds(talk.events()), [("refused", RCPT), ("refused", MESSAGE), ("accepted", 1, 2), ("accepted", 1, 0)]
        )
        talk = grouped(Letter(2), Letter(), lmtp=True, window=2)
        talk.say(OK + b"550 a\r\n550 b\r\n503 none\r\n" + OK * 3)
        self.assertEqual([event[0] for event in talk.events()], ["refused", "refused", "rejected", "accepted"])

    def test_LMTPManyRefused(self):
        """
        Those that were refused have no reply to the content, in whatever order they come; and ten thousand of them
        take no longer than as many that are accepted.
        """
        number = 10_000
        for accepted in (0, 1, number // 2, number - 1):
            talk = grouped(Letter(number, own=b"abcdef.\r\n"), lmtp=True, chunkSize=4)
            refused = b"550 no\r\n" * (number - accepted - 1)
            talk.say(OK + b"550 no\r\n" + OK * accepted + refused + OK + (OK * accepted or b"503 none\r\n"))
            expected = ("accepted", accepted, number - accepted) if accepted else ("rejected", number)
            self.assertEqual([event for event in talk.events() if event[0] != "refused"], [expected])

    def test_large(self):
        """
        A large content comes after the replies to its envelope, and nothing is sent after it before its own.
        """
        large = Letter(own=b"", shared=b"z" * 70_000 + b".\r\n")
        talk = grouped(Letter(), large, Letter(), window=4)
        self.assertEqual(talk.first, ENVELOPE + LAST + ENVELOPE)
        self.assertEqual(talk.say(OK * 3), b"")
        written = talk.say(OK * 2)
        while talk.transport.producer is not None:
            written += talk.transport.take()
        self.assertEqual(written, b"BDAT 70000 LAST\r\n" + b"z" * 70_000)
        self.assertEqual(talk.say(OK), ENVELOPE + LAST)
        self.assertEqual(talk.events(), [("accepted", 1, 0)] * 2)

    def test_largeRefused(self):
        """
        If its recipients are refused, a large content is not sent at all.
        """
        for tolerant, text in ((True, b"RSET\r\n"), (False, b"QUIT\r\n")):
            talk = grouped(Letter(own=b"", shared=b"z" * 70_000 + b".\r\n"), Letter(), tolerant=tolerant)
            self.assertEqual(talk.say(OK + b"550 no\r\n"), text)
            self.assertEqual(kinds(talk.events()), [("refused", RCPT), ("rejected", 1)])

    def test_closing(self):
        """
        After 421 nothing more is sent: all that is out has failed, but for the message it is about.
        """
        for replies in (b"421 m\r\n", OK + b"421 r\r\n", OK * 2 + b"421 c\r\n"):
            talk = grouped(Letter(), Letter(), Letter(), window=3)
            self.assertEqual(talk.say(replies), b"")
            self.assertTrue(talk.transport.aborted)
            events = talk.settle()
            self.assertEqual([event[0] for event in events], ["refused", "rejected", "fault", "disconnected"])
            self.assertEqual(events[2][1:], ("connection-lost", "after a 421 reply, with 2 more messages out"))

    def test_lost(self):
        """
        A connection lost with a full window: all of its messages have failed, and no other has.
        """
        server = Server(lambda connection, event, usual: "close" if event.startswith(b"RCPT") else usual)
        going = Going(
            server,
            messageCount=4,
            keepConnections=True,
            tolerant=True,
            pipelining="force",
            chunking="force",
            window=3,
        )
        going.finish()
        self.assertEqual((going.counts(), going.recorder.connectionsOpened), ((4, 0, 0, 4), 2))

    def test_trace(self):
        """
        C{-v} shows the commands, and nothing of the content.
        """
        shown = []
        talk = Conversation(
            Letter(own=b"MAIL secret.\r\n"), pipelining="force", chunking="force", protocol=TracedProtocol
        )
        talk.client.show = shown.append
        talk.say(b"220 hi\r\n", OK)
        self.assertEqual(shown[3:], ["MAIL FROM:<a@x>", "RCPT TO:<1@x>", "BDAT 11 LAST"])

    @given(st.data())
    @settings(max_examples=150, deadline=None)
    def test_counts(self, data):
        """
        Whatever codes come and however they are cut: no message has two outcomes, none comes after the end, and no
        reply is taken for another's as long as there are as many as were asked for.
        """
        codes = st.sampled_from([b"250", b"250", b"250", b"550", b"451", b"421"])
        lmtp, tolerant = data.draw(st.booleans()), data.draw(st.booleans())
        letters = [Letter(data.draw(st.integers(1, 3))) for _ in range(5)]
        talk = grouped(*letters, lmtp=lmtp, tolerant=tolerant, window=data.draw(st.integers(1, 4)))
        replies = b"".join(code + b" x\r\n" for code in data.draw(st.lists(codes, max_size=40)))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(replies)), max_size=8)))
        for a, b in zip([0, *cuts], [*cuts, len(replies)], strict=True):
            if b > a and not talk.transport.aborted:
                talk.transport.deliver(replies[a:b])
        events = talk.settle()
        outcomes = [event for event in events if event[0] in ("accepted", "rejected")]
        self.assertLessEqual(len(outcomes), 5)
        self.assertLessEqual([event[0] for event in events].count("disconnected"), 1)
        for event in outcomes:
            self.assertLessEqual(sum(event[1:]), 3)
