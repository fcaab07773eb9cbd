"""
Tests for L{smtpsource.smtp.groups}, commands in groups (RFC 2920), and for EHLO and what it announces.
"""

from __future__ import annotations

from conversations import CONTENT, Conversation, Letter
from hypothesis import strategies as st
from properties import given, settings
from sessions import Going, Server
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.phases import DATA, MAIL, MESSAGE, RCPT
from smtpsource.smtp.replies import capabilities
from smtpsource.smtp.trace import TracedProtocol

GROUP = b"MAIL FROM:<a@x>\r\nRCPT TO:<1@x>\r\nDATA\r\n"
GROUP2 = b"MAIL FROM:<a@x>\r\nRCPT TO:<1@x>\r\nRCPT TO:<2@x>\r\nDATA\r\n"
ANNOUNCED = b"250-server\r\n250-PIPELINING\r\n250-size 100\r\n250 8BITMIME\r\n"


def grouped(*letters, **kind):
    """
    @return: a conversation whose first group is out.
    """
    talk = Conversation(*letters, pipelining="force", **{"tolerant": True, **kind})
    talk.say(b"220 hi\r\n")
    talk.first = talk.say(b"250 helo\r\n")
    talk.events()
    return talk


class GroupTests(SynchronousTestCase):
    """
    What goes out in one write, and what is made of the replies.
    """

    def test_kept(self):
        """
        MAIL, RCPT and DATA go out together; the next message's along with the content; and QUIT after the last reply.
        """
        talk = grouped(Letter(), Letter(2))
        self.assertEqual(talk.first, GROUP)
        self.assertEqual(talk.say(b"250 m\r\n250 r\r\n354 d\r\n"), CONTENT + GROUP2)
        self.assertEqual(talk.say(b"250 ok\r\n250 m\r\n250 r\r\n250 r\r\n354 d\r\n"), CONTENT)
        self.assertEqual(talk.say(b"250 ok\r\n"), b"QUIT\r\n")
        self.assertEqual([e[:3] for e in talk.events()], [("accepted", 1, 0), ("accepted", 2, 0)])
        counts = [sum(talk.recorder.replies[phase].values()) for phase in (MAIL, RCPT, DATA, MESSAGE)]
        self.assertEqual(counts, [2, 3, 2, 2])

    def test_LMTP(self):
        """
        In LMTP each recipient's reply is waited for, and the next message's replies come after them.
        """
        talk = grouped(Letter(2), Letter(), lmtp=True)
        self.assertEqual(talk.say(b"250 m\r\n250 r\r\n250 r\r\n354 d\r\n"), CONTENT + GROUP)
        self.assertEqual(talk.say(b"250 one\r\n550 two\r\n250 m\r\n250 r\r\n354 d\r\n"), CONTENT)
        self.assertEqual(talk.say(b"250 ok\r\n"), b"QUIT\r\n")
        events = [e[:3] for e in talk.events()]
        self.assertEqual(events, [("refused", MESSAGE, b"550 two\r\n"), ("accepted", 1, 1), ("accepted", 1, 0)])

    def test_mailRefused(self):
        """
        MAIL refused: what follows it is refused for that, which is not told again; there is nothing to reset.
        """
        talk = grouped(Letter(2), Letter())
        self.assertEqual(talk.say(b"550 no\r\n503 r\r\n503 r\r\n503 d\r\n"), GROUP)
        self.assertEqual(talk.events(), [("refused", MAIL, b"550 no\r\n"), ("rejected", 0)])

    def test_allRefused(self):
        """
        All recipients refused and DATA, too: the transaction is abandoned with RSET.
        """
        talk = grouped(Letter(2), Letter())
        self.assertEqual(talk.say(b"250 m\r\n550 r\r\n450 r\r\n554 d\r\n"), b"RSET\r\n")
        self.assertEqual([e[0] for e in talk.events()], ["refused", "refused", "rejected"])
        self.assertEqual(talk.say(b"250 rset\r\n"), GROUP)

    def test_loneDot(self):
        """
        All recipients refused but DATA accepted: nothing is sent but the dot, and what is said to it counts for nobody.
        """
        for reply in (b"554 no valid recipients\r\n", b"250 well\r\n"):
            talk = grouped(Letter(2), Letter())
            self.assertEqual(talk.say(b"250 m\r\n550 r\r\n550 r\r\n354 d\r\n"), b".\r\n")
            self.assertEqual(talk.events()[-1], ("rejected", 2))
            self.assertEqual(talk.say(reply), GROUP)
            self.assertEqual(talk.events(), [])

    def test_partial(self):
        """
        Some recipients refused: the message goes to the others.
        """
        talk = grouped(Letter(2))
        self.assertEqual(talk.say(b"250 m\r\n550 r\r\n250 r\r\n354 d\r\n"), CONTENT)
        talk.say(b"250 ok\r\n")
        self.assertEqual([e[:3] for e in talk.events()], [("refused", RCPT, b"550 r\r\n"), ("accepted", 1, 1)])

    def test_partialIsFatal(self):
        """
        Without -A a refused recipient is the end; those that were accepted must not get an empty message for it.
        """
        talk = grouped(Letter(2), Letter(), tolerant=False)
        self.assertEqual(talk.say(b"250 m\r\n550 r\r\n250 r\r\n354 d\r\n"), b"")
        self.assertTrue(talk.transport.aborted)
        self.assertEqual([e[0] for e in talk.settle()], ["refused", "rejected", "disconnected"])

    def test_refusedIsFatal(self):
        """
        Without -A any other refusal ends in QUIT.
        """
        for replies in (b"550 m\r\n503 r\r\n503 d\r\n", b"250 m\r\n550 r\r\n554 d\r\n", b"250 m\r\n250 r\r\n451 d\r\n"):
            talk = grouped(Letter(), Letter(), tolerant=False)
            self.assertEqual(talk.say(replies), b"QUIT\r\n")
            self.assertEqual([e[0] for e in talk.events()], ["refused", "rejected"])

    def test_dataRefused(self):
        """
        DATA refused where recipients were accepted: RSET.
        """
        talk = grouped(Letter(), Letter())
        self.assertEqual(talk.say(b"250 m\r\n250 r\r\n451 d\r\n"), b"RSET\r\n")
        self.assertEqual([e[0] for e in talk.events()], ["refused", "rejected"])

    def test_contentRefused(self):
        """
        A content refused while the next message is under way: that goes on.
        """
        talk = grouped(Letter(), Letter())
        talk.say(b"250 m\r\n250 r\r\n354 d\r\n")
        self.assertEqual(talk.say(b"554 spam\r\n250 m\r\n250 r\r\n354 d\r\n"), CONTENT)
        talk.say(b"250 ok\r\n")
        self.assertEqual([e[0] for e in talk.events()], ["refused", "rejected", "accepted"])

    def test_closing(self):
        """
        A 421 in a group costs this message, and nothing more is sent.
        """
        for replies in (b"421 m\r\n", b"250 m\r\n421 r\r\n", b"250 m\r\n250 r\r\n421 d\r\n"):
            talk = grouped(Letter(), Letter())
            self.assertEqual(talk.say(replies), b"")
            self.assertEqual([e[0] for e in talk.settle()], ["refused", "rejected", "disconnected"])

    def test_closingWithTwo(self):
        """
        A 421 to a content while the next message is under way: that one has failed, and why is told.
        """
        for lmtp in (False, True):
            talk = grouped(Letter(), Letter(), lmtp=lmtp)
            talk.say(b"250 m\r\n250 r\r\n354 d\r\n")
            self.assertEqual(talk.say(b"421 bye\r\n"), b"")
            events = talk.settle()
            self.assertEqual([e[0] for e in events], ["refused", "rejected", "fault", "disconnected"])
            self.assertEqual(events[2][1], "connection-lost")
            self.assertIn("421", events[2][2])

    def test_takesLeave(self):
        """
        A 421 right behind the last reply that is owed: a server may say so at any time, and the content was accepted.
        However much of it has come.
        """
        leave = b"421 4.3.2 bye\r\n"
        for cut in range(len(leave) + 1):
            talk = grouped(Letter())
            talk.session.quits = False
            talk.say(b"250 m\r\n250 r\r\n354 d\r\n", b"250 ok\r\n" + leave[:cut])
            if cut < len(leave):
                talk.say(leave[cut:])
            events = [e[:2] for e in talk.settle()]
            self.assertEqual(events, [("accepted", 1), ("fault", "closed-while-idle"), ("disconnected", True)], cut)

    def test_takesLeaveInTwoLines(self):
        """
        The same for LMTP and a 521 of several lines.
        """
        talk = grouped(Letter(2), lmtp=True)
        talk.say(b"250 m\r\n250 r\r\n250 r\r\n354 d\r\n")
        talk.say(b"250 one\r\n250 two\r\n521-bye\r\n521 bye\r\n")
        events = [e[:2] for e in talk.settle()]
        self.assertEqual(events, [("accepted", 2), ("fault", "closed-while-idle"), ("disconnected", True)])

    def test_tooMany(self):
        """
        One reply too many in the chunk of the last one: nobody knows which it is, so none of them decides. The message
        has failed.
        """
        for replies in (
            [b"250 m\r\n250 r\r\n250 r\r\n354 d\r\n"],
            [b"250 m\r\n250 r\r\n354 d\r\n354 d\r\n"],
            [b"250 m\r\n250 r\r\n354 d\r\n", b"250 ok\r\n550 no\r\n"],
            [b"250 m\r\n250 r\r\n354 d\r\n", b"250 ok\r\n250-more\r\n"],
            [b"250 m\r\n250 r\r\n354 d\r\n", b"250 ok\r\n2"],
        ):
            talk = grouped(Letter())
            self.assertEqual(talk.say(*replies), b"")
            events = talk.settle()
            self.assertEqual([e[:2] for e in events], [("fault", "unexpected-reply"), ("disconnected", True)])

    def test_outOfStep(self):
        """
        A 354 to MAIL, RCPT or RSET was meant for a DATA: the server waits for content now, and is told no more.
        """
        for replies, outcomes in (
            ([b"354 d\r\n"], []),
            ([b"250 m\r\n354 d\r\n"], []),
            ([b"250 m\r\n250 m\r\n250 r\r\n", b"354 d\r\n"], ["refused", "rejected"]),
        ):
            talk = grouped(Letter(), Letter())
            self.assertEqual(talk.say(*replies), b"")
            events = talk.settle()
            self.assertEqual([e[0] for e in events], [*outcomes, "fault", "disconnected"])
            self.assertEqual(events[-2][1], "unexpected-reply")

    def test_outOfStepAtTheEnd(self):
        """
        QUIT that is answered by anything but 221: one of the replies before it was no answer, and that is told.
        """
        for reply, events in (
            (b"550 content refused\r\n", ["fault", "disconnected"]),
            (b"250 ok\r\n", ["fault", "disconnected"]),
            (b"221 bye\r\n", ["disconnected"]),
            (b"421 bye\r\n", ["disconnected"]),
            (b"221 bye\r\n250 more\r\n", ["disconnected"]),
            (b"what?\r\n", ["disconnected"]),
        ):
            talk = grouped(Letter())
            self.assertEqual(talk.say(b"250 m\r\n250 r\r\n354 d\r\n", b"250 ok\r\n"), b"QUIT\r\n")
            talk.events()
            talk.say(reply)
            found = talk.settle()
            self.assertEqual([e[0] for e in found], events, reply)
            self.assertEqual(found[-1], ("disconnected", False))

    def test_lostWithTwo(self):
        """
        A connection lost while two messages are under way leaves both without an answer.
        """
        server = Server(lambda connection, event, usual: "close" if event == b"content" else usual)
        going = Going(server, messageCount=2, keepConnections=True, tolerant=True, pipelining="force")
        going.finish()
        self.assertEqual((going.counts(), going.recorder.connectionsOpened), ((2, 0, 0, 2), 1))

    def test_large(self):
        """
        A content that streams goes alone; the next group waits for its reply.
        """
        body = b"x" * 100_000 + b"\r\n.\r\n"
        talk = grouped(Letter(1, b"H: x\r\n\r\n", body), Letter())
        written = talk.say(b"250 m\r\n250 r\r\n354 d\r\n")
        while talk.transport.producer is not None:
            written += talk.transport.take()
        self.assertEqual(written + talk.transport.take(), b"H: x\r\n\r\n" + body)
        self.assertEqual(talk.say(b"250 ok\r\n"), GROUP)

    def test_trace(self):
        """
        C{-v} shows every command and every reply, in their order.
        """
        shown = []
        talk = Conversation(Letter(), Letter(), pipelining="force", protocol=TracedProtocol)
        talk.client.show = shown.append
        talk.say(b"220 hi\r\n", b"250 helo\r\n")
        talk.say(b"250 m\r\n250 r\r\n354 d\r\n")
        group = ["MAIL FROM:<a@x>", "RCPT TO:<1@x>", "DATA"]
        replies = ["<<< 250 m", "<<< 250 r", "<<< 354 d"]
        self.assertEqual(shown, ["<<< 220 hi", "HELO me", "<<< 250 helo", *group, *replies, ".", *group])

    @given(st.data())
    @settings(max_examples=150, deadline=None)
    def test_split(self, data):
        """
        However the replies are cut, what is said and told is the same.
        """
        codes = st.sampled_from([b"250", b"250", b"250", b"354", b"550", b"421"])
        replies = b"".join(code + b" x\r\n" for code in data.draw(st.lists(codes, max_size=20)))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(replies)), max_size=8)))
        outcomes = []
        for pieces in ([replies], [replies[a:b] for a, b in zip([0, *cuts], [*cuts, len(replies)], strict=True)]):
            talk = grouped(*(Letter(2) for _ in range(4)))
            for piece in pieces:
                if piece and not talk.transport.aborted:
                    talk.transport.deliver(piece)
            outcomes.append((talk.transport.take(), talk.settle()))
        told, cut = ([e for e in events if e[0] in ("accepted", "rejected")] for _, events in outcomes)
        # A reply that nobody asked for is found out when it comes along with the last that was; cut off, it is taken
        # for the next one's.
        shorter = min(len(told), len(cut))
        self.assertEqual(told[:shorter], cut[:shorter])


class GreetingTests(SynchronousTestCase):
    """
    EHLO, what it announces, and what follows from that.
    """

    def test_auto(self):
        """
        Groups where they are announced, one command at a time where not.
        """
        talk = Conversation(Letter(), pipelining="auto")
        self.assertEqual(talk.say(b"220 hi\r\n"), b"EHLO me\r\n")
        self.assertEqual(talk.say(ANNOUNCED), GROUP)
        self.assertEqual(talk.recorder.capabilities, {"PIPELINING": "", "SIZE": "100", "8BITMIME": ""})
        talk = Conversation(Letter(), pipelining="auto")
        talk.say(b"220 hi\r\n")
        self.assertEqual(talk.say(b"250 server\r\n"), b"MAIL FROM:<a@x>\r\n")

    def test_required(self):
        """
        Required and not announced: the message fails for a reason that names the extension, and the connection ends in
        order.
        """
        talk = Conversation(Letter(), pipelining="require", tolerant=True)
        talk.say(b"220 hi\r\n")
        self.assertEqual(talk.say(b"250 server\r\n"), b"QUIT\r\n")
        (fault,) = talk.events()
        self.assertEqual(fault[:2], ("fault", "not-announced"))
        self.assertIn("PIPELINING", fault[2])

    def test_fallback(self):
        """
        EHLO refused for good: HELO, unless an extension is required.
        """
        talk = Conversation(Letter(), esmtp=True)
        self.assertEqual(talk.say(b"220 hi\r\n"), b"EHLO me\r\n")
        self.assertEqual(talk.say(b"502 what\r\n"), b"HELO me\r\n")
        self.assertEqual(talk.say(b"250 hi\r\n"), b"MAIL FROM:<a@x>\r\n")
        self.assertEqual(talk.events(), [])
        for code, kind in ((b"450", {"esmtp": True}), (b"502", {"pipelining": "require"})):
            talk = Conversation(Letter(), **kind)
            talk.say(b"220 hi\r\n")
            self.assertEqual(talk.say(code + b" no\r\n"), b"QUIT\r\n")
            self.assertEqual([e[0] for e in talk.events()], ["refused", "rejected"])

    def test_LMTP(self):
        """
        LHLO announces, too.
        """
        talk = Conversation(Letter(), lmtp=True, pipelining="require")
        self.assertEqual(talk.say(b"220 hi\r\n"), b"LHLO me\r\n")
        self.assertEqual(talk.say(ANNOUNCED), GROUP)

    def test_oldMode(self):
        """
        Groups can be forced without any greeting.
        """
        self.assertEqual(Conversation(Letter(), oldMode=True, pipelining="force").say(b"220 hi\r\n"), GROUP)

    @given(st.binary(max_size=80))
    def test_malformed(self, junk):
        """
        Whatever a server puts into its list, it is no reason to fail.
        """
        for keyword in capabilities(b"250-hi\r\n250-" + junk + b"\r\n250 OK\r\n"):
            self.assertRegex(keyword, r"\A[A-Z0-9][A-Z0-9-]*\Z")
