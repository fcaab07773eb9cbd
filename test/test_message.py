"""
Tests for L{smtpsource.messages.message} and how L{SourcePlan} uses it.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.messages import message
from smtpsource.plan import SourcePlan


def bare(commands):
    """
    @return: the recipients of RCPT commands.
    """
    return [command.removeprefix(b"RCPT TO:<").removesuffix(b">\r\n") for command in commands]


class RecipientTests(SynchronousTestCase):
    """
    Who gets a message.
    """

    def test_same(self):
        """
        Not numbered, it is always the one.
        """
        recipients = message.sameRecipient(b"foo@x")
        for number in (1, 2):
            self.assertEqual(recipients(number), ((b"RCPT TO:<foo@x>\r\n",), b"foo@x"))

    def test_countedDown(self):
        """
        C{-r 3} before Postfix 3.9: 3foo, 2foo, foo, and the header names foo.
        """
        recipients = message.countedDown(b"foo@x", 3)
        for number in (1, 2):
            commands, header = recipients(number)
            self.assertEqual((bare(commands), header), ([b"3foo@x", b"2foo@x", b"foo@x"], b"foo@x"))

    def test_before(self):
        """
        C{-N} before Postfix 3.9: numbers go on from message to message, from 1; the header is not numbered.
        """
        recipients = message.numberedBefore(b"foo@x", 2)
        found = [recipients(number) for number in (1, 2)]
        self.assertEqual([bare(commands) for commands, _ in found], [[b"1foo@x", b"2foo@x"], [b"3foo@x", b"4foo@x"]])
        self.assertEqual({header for _, header in found}, {b"foo@x"})

    def test_after(self):
        """
        C{-N} since Postfix 3.9: after the local part, from 0; the header names the last.
        """
        recipients = message.numberedAfter(b"foo@x", 2)
        found = [recipients(number) for number in (1, 2)]
        self.assertEqual([bare(commands) for commands, _ in found], [[b"foo0@x", b"foo1@x"], [b"foo2@x", b"foo3@x"]])
        self.assertEqual([header for _, header in found], [b"foo1@x", b"foo3@x"])

    def test_afterWithoutDomain(self):
        """
        A recipient without a domain is numbered at its end; one with two @ before the last.
        """
        self.assertEqual(bare(message.numberedAfter(b"foo", 1)(1)[0]), [b"foo0"])
        self.assertEqual(bare(message.numberedAfter(b'"a@b"@x', 1)(1)[0]), [b'"a@b"0@x'])

    @given(st.integers(1, 20), st.integers(1, 10), st.sampled_from([message.numberedBefore, message.numberedAfter]))
    def test_unique(self, perMessage, messages, numbering):
        """
        No recipient of a run gets two messages.
        """
        recipients = numbering(b"foo@x", perMessage)
        names = [name for number in range(1, messages + 1) for name in bare(recipients(number)[0])]
        self.assertEqual(len(set(names)), perMessage * messages)


class TrafficTests(SynchronousTestCase):
    """
    What a plan's messages are.
    """

    def envelopes(self, **plan):
        """
        @return: MAIL, and the recipients of two messages.
        """
        traffic = newTraffic(SourcePlan(destination="127.0.0.1", myhostname="h", **plan))
        messages = [traffic.next() for _ in range(2)]
        self.assertEqual([message.number for message in messages], [1, 2])
        return messages[0].mail, [bare(message.recipientCommands()) for message in messages]

    def test_plans(self):
        """
        Which numbering belongs to which flags.
        """
        foo = b"foo@h"
        for plan, expected in (
            ({}, [[foo], [foo]]),
            ({"recipientCount": 1}, [[foo], [foo]]),
            ({"recipientCount": 2}, [[b"2foo@h", foo]] * 2),
            ({"numberRecipients": True}, [[b"1foo@h"], [b"2foo@h"]]),
            ({"numberRecipients": True, "recipientCount": 2}, [[b"1foo@h", b"2foo@h"], [b"3foo@h", b"4foo@h"]]),
            ({"recipientNumbering": "suffix"}, [[foo], [foo]]),
            ({"recipientNumbering": "suffix", "recipientCount": 1}, [[b"foo0@h"], [b"foo1@h"]]),
            ({"recipientNumbering": "suffix", "numberRecipients": True}, [[b"foo0@h"], [b"foo1@h"]]),
            ({"recipient": b"you@y"}, [[b"you@y"]] * 2),
            ({"recipient": b""}, [[b""]] * 2),
        ):
            self.assertEqual(self.envelopes(**plan), (b"MAIL FROM:<foo@h>\r\n", expected), plan)

    def test_sender(self):
        """
        A sender as given; empty is the null reverse-path.
        """
        for sender, mail in ((b"me@x", b"MAIL FROM:<me@x>\r\n"), (b"", b"MAIL FROM:<>\r\n")):
            self.assertEqual(self.envelopes(sender=sender)[0], mail)

    def test_header(self):
        """
        The To header is the one of the numbers that were drawn for this message, though another drew since.
        """
        traffic = newTraffic(
            SourcePlan(destination="127.0.0.1", myhostname="h", recipientNumbering="suffix", recipientCount=2)
        )
        one, two = traffic.next(), traffic.next()
        two.recipientCommands()
        one.recipientCommands()
        self.assertIn(b"To: <foo3@h>\r\n", one.content()[0])
        self.assertIn(b"To: <foo1@h>\r\n", two.content()[0])

    def test_seed(self):
        """
        With a seed a message has the same recipients, whatever others were sent before it.
        """
        traffic = newTraffic(SourcePlan(destination="127.0.0.1", myhostname="h", numberRecipients=True, seed=1))
        one, two = traffic.next(), traffic.next()
        self.assertEqual(bare(two.recipientCommands()), [b"2foo@h"])
        self.assertEqual(bare(one.recipientCommands()), [b"1foo@h"])

    def test_content(self):
        """
        Which content belongs to which values.
        """

        def content(**plan):
            message = newTraffic(SourcePlan(destination="127.0.0.1", myhostname="h", **plan)).next()
            message.recipientCommands()
            return b"".join(message.content())

        self.assertIn(b"\r\n\r\nsmtp-source line1\r\n", content())
        self.assertIn(b"From: <a@b>\r\n", content(sender=b"a@b"))
        self.assertTrue(content(oldMode=True).startswith(b"smtp-source line1\r\n"))
        self.assertTrue(content(length=3, subject=b"s").endswith(b"\r\nSubject: s\r\n\r\nXXX\r\n.\r\n"))
        self.assertEqual(content(message=b"A: b\n\n.\n"), b"A: b\r\n\r\n..\r\n\r\n.\r\n")
        self.assertIn(b"@h>\r\n", content())
