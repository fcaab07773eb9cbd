"""
Tests for L{smtpsource.messages.addresses} and L{smtpsource.messages.recipients}: who sends, and who gets a message.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from properties import given
from textfiles import writeFile
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.messages import addresses, recipients
from smtpsource.messages.draws import Draws
from smtpsource.messages.weighted import Weighted
from smtpsource.plan import SourcePlan


def bare(commands):
    """
    @return: the recipients of RCPT commands.
    """
    return [command.removeprefix(b"RCPT TO:<").removesuffix(b">\r\n") for command in commands]


class FileTests(SynchronousTestCase):
    """
    Files of addresses.
    """

    def test_addresses(self):
        """
        Addresses with and without domains and weights; among senders the null sender.
        """
        path = writeFile(self, b"a@b.test 3\npostmaster\n")
        expected = Weighted((b"a@b.test", b"postmaster"), (3.0, 1.0))
        self.assertEqual(addresses.readSenders(path), expected)
        self.assertEqual(addresses.readRecipients(path), expected)
        self.assertEqual(addresses.readSenders(writeFile(self, b"<>\na@b\n")), Weighted((b"", b"a@b")))

    def test_refused(self):
        """
        What is no address is told with its line.
        """
        expected = "expected an address such as user@example.com, without angle brackets, in line 2"
        for content in (b"a\n<a@b>\n", b"a\na@\x07b\n", b"a\na@b>\n"):
            for read in (addresses.readSenders, addresses.readRecipients):
                self.assertEqual(str(self.assertRaises(ValueError, read, writeFile(self, content))), expected)
        self.assertRaises(ValueError, addresses.readRecipients, writeFile(self, b"<>\n"))
        error = self.assertRaises(ValueError, addresses.readRecipients, "/")
        self.assertEqual(str(error), "expected a readable file: Is a directory")

    def test_lists(self):
        """
        A line has one address: several of them, a name before one, or quotes around one are told, with the line; so is
        the heading of a table.
        """
        one = (
            "expected one address in a line, and maybe a weight after a blank, without a comma or semicolon outside of "
            "quotes"
        )
        bare = "expected an address such as user@example.com, without a name and angle brackets"
        whole = "expected an address such as user@example.com, without quotes around all of it"
        weight = "expected a weight of 0 or more, such as 3 or 0.5"
        two = "expected one address in a line, such as user@example.com, and nothing before or after it"
        for line, expected in (
            (b"a@x|b@x", two),
            (b"a@x:b@x", two),
            (b"a@b@x", two),
            (b"mailto:a@x", two),
            (b"a@x,b@x", one),
            (b"a@x;b@x", one),
            (b"a@x, b@x", one),
            (b"a@x,", one),
            (b";a@x", one),
            (b"a@x,3", one),
            (b"email,name", one),
            (b"email;weight", one),
            (b'"a@x","b@x"', one),
            (b'"a,b"@x,c@x', one),
            (b"@a:b@c,d", one),
            (b"Bob <b@x>", bare),
            (b"Bob Doe <b@x>", bare),
            (b'"Bob" <b@x> 3', bare),
            (b'"Doe, Bob" <b@x>', bare),
            (b"Bob<b@x>", bare),
            (b'"b@x"', whole),
            (b'"b@x" 3', whole),
            (b"'b@x'", whole),
            (b"a@x b@x", weight),
            (b"email\tweight", weight),
            (b"a@x\tBob", weight),
        ):
            path = writeFile(self, b"# who\n\n" + line + b"\nz@x\n")
            for read in (addresses.readSenders, addresses.readRecipients):
                self.assertEqual(str(self.assertRaises(ValueError, read, path)), f"{expected}, in line 3", line)
        for heading in (b"email", b"E-Mail", b'"Email"', b"address", b"recipient"):
            path = writeFile(self, b"# who\n" + heading + b"\na@x\n")
            error = str(self.assertRaises(ValueError, addresses.readRecipients, path))
            self.assertEqual(error, f"expected addresses only, and no heading {heading.decode()}, in line 2")
        self.assertRaises(ValueError, SourcePlan, recipients=["a@x,b@x"])

    def test_strange(self):
        """
        What is one address all the same: quoted local parts, address literals, old routes, and names that could be
        headings.
        """
        for line, expected in (
            (b'"a,b"@x', b'"a,b"@x'),
            (b'"a;b c"@x 3', b'"a;b c"@x'),
            (b'"a\\",b"@x', b'"a\\",b"@x'),
            (b'"a@b"@x', b'"a@b"@x'),
            (b'"a b"', b'"a b"'),
            (b"o'brien@x", b"o'brien@x"),
            (b"a@[IPv6:2001:db8::1]", b"a@[IPv6:2001:db8::1]"),
            (b"@a,@b:c@d", b"@a,@b:c@d"),
            (b"a@x\t3", b"a@x"),
            (b"a@x # Bob <b@x>, too", b"a@x"),
            (b"email@x", b"email@x"),
            (b"gr\xc3\xbcn@x", b"gr\xc3\xbcn@x"),
        ):
            path = writeFile(self, line + b"\nz@x\n")
            self.assertEqual(addresses.readRecipients(path).values, (expected, b"z@x"), line)
        self.assertEqual(addresses.readRecipients(writeFile(self, b"mail\nroot\n")).values, (b"mail", b"root"))
        self.assertEqual(addresses.readRecipients(writeFile(self, b"a@x\nmail\n")).values, (b"a@x", b"mail"))


class DomainTests(SynchronousTestCase):
    """
    Domains and their weights.
    """

    def test_domains(self):
        """
        Names, address literals, with and without weights.
        """
        for text, expected in (
            ("a.test:9,b.test:1", Weighted((b"a.test", b"b.test"), (9.0, 1.0))),
            ("a.test", Weighted((b"a.test",), (1.0,))),
            ("a.test,b.test:0.5", Weighted((b"a.test", b"b.test"), (1.0, 0.5))),
            ("[IPv6:::1],[192.0.2.1]:2", Weighted((b"[IPv6:::1]", b"[192.0.2.1]"), (1.0, 2.0))),
            ("[IPv6:2001:db8::1]:3", Weighted((b"[IPv6:2001:db8::1]",), (3.0,))),
        ):
            self.assertEqual(addresses.domains(text), expected)

    def test_refused(self):
        """
        What is none names the part that is wrong.
        """
        for text, *expected in (
            ("", "expected a host name, not an empty text", "in the domain ''"),
            ("a.test:9,", "in the domain ''"),
            ("a..test", "without empty labels", "in the domain 'a..test'"),
            ("a.test:x", "expected a weight of 0 or more", "in the domain 'a.test:x'"),
            ("a.test:-1,b", "expected a weight of 0 or more", "in the domain 'a.test:-1'"),
            ("a.test:0", "expected a domain with a weight of more than 0"),
            ("a b:1", "expected a host name of letters"),
        ):
            error = str(self.assertRaises(ValueError, addresses.domains, text))
            for words in expected:
                self.assertIn(words, error)


class DrawnTests(SynchronousTestCase):
    """
    Recipients that are drawn.
    """

    def drawn(self, numbering, several, messages=2, listed=(b"a@x", b"b@x", b"c"), **settings):
        """
        @return: for some messages, recipients and what To says.
        """
        turns = Weighted(listed).severalDrawing(Draws(1))
        counts = recipients.Counted(lambda number: several[(number - 1) % len(several)])
        draw = recipients.drawn(turns, counts, numbering, **settings)
        return [(bare(commands), to) for commands, to in map(draw, range(1, messages + 1))]

    def test_notNumbered(self):
        """
        Recipients from a list, as many as each message is to have; To names the last.
        """
        expected = [([b"a@x", b"b@x"], b"b@x"), ([b"c"], b"c")]
        self.assertEqual(self.drawn(recipients.NOT, [2, 1]), expected)

    def test_numbered(self):
        """
        Each way to number them, with addresses from a list, with a start and a width of its own.
        """
        for numbering, settings, expected in (
            (recipients.BEFORE, {}, [([b"1a@x", b"2b@x"], b"b@x"), ([b"3c", b"4a@x"], b"a@x")]),
            (recipients.AFTER, {}, [([b"a0@x", b"b1@x"], b"b1@x"), ([b"c2", b"a3@x"], b"a3@x")]),
            (recipients.DOWN, {}, [([b"2a@x", b"b@x"], b"b@x"), ([b"2c", b"a@x"], b"a@x")]),
            (
                recipients.BEFORE,
                {"start": 99, "width": 3},
                [([b"099a@x", b"100b@x"], b"b@x"), ([b"101c", b"102a@x"], b"a@x")],
            ),
            (recipients.AFTER, {"start": 5}, [([b"a5@x", b"b6@x"], b"b6@x"), ([b"c7", b"a8@x"], b"a8@x")]),
            (recipients.DOWN, {"start": 0, "width": 2}, [([b"01a@x", b"b@x"], b"b@x"), ([b"01c", b"a@x"], b"a@x")]),
        ):
            self.assertEqual(self.drawn(numbering, [2], **settings), expected)

    def test_parameters(self):
        """
        Parameters of RCPT come with each.
        """
        draw = recipients.drawn(
            lambda *which: [b"a@b"], recipients.same(1), recipients.NOT, parameters=b" NOTIFY=NEVER"
        )
        self.assertEqual(draw(1)[0], (b"RCPT TO:<a@b> NOTIFY=NEVER\r\n",))

    @given(st.lists(st.integers(1, 20), min_size=1, max_size=10), st.booleans())
    def test_unique(self, several, before):
        """
        With numbers of the run no recipient gets two messages, however many each has.
        """
        numbering = recipients.BEFORE if before else recipients.AFTER
        names = [name for named, _ in self.drawn(numbering, several, len(several)) for name in named]
        self.assertEqual(len(set(names)), len(names))
        self.assertEqual(len(names), sum(several))

    def test_domains(self):
        """
        A drawn domain takes the place of the address's, or comes after one that has none.
        """
        for address in (b"a@x", b"a", b"a@"):
            split = recipients.withDomains(lambda *which, a=address: [a], lambda *which: [b"y"])
            self.assertEqual(split(1, 0, 1), [b"a@y"])
        split = recipients.withDomains(lambda *which: [b'"a@b"@x'], lambda *which: [b"y"])
        self.assertEqual(split(1, 0, 1), [b'"a@b"@y'])


class PlanTests(SynchronousTestCase):
    """
    What a plan makes of it.
    """

    def envelopes(self, number=2, **values):
        """
        @return: sender, recipients and the headers From and To of some messages.
        """
        traffic = newTraffic(SourcePlan(destination="127.0.0.1", myhostname="h", seed=1, **values))
        found = []
        for _ in range(number):
            message = traffic.next()
            sender = message.mail.removeprefix(b"MAIL FROM:<").removesuffix(b">\r\n")
            named = bare(message.recipientCommands())
            top = message.content()[0].split(b"\r\n")
            self.assertEqual(top[0], b"From: <" + sender + b">")
            found.append((sender, named, top[1]))
        return found

    def test_inTurn(self):
        """
        Senders and recipients come in turn, in the envelope and in the header.
        """
        found = self.envelopes(3, senders=["s@x", ""], recipients=["a@x", "b@y"])
        self.assertEqual(
            found,
            [
                (b"s@x", [b"a@x"], b"To: <a@x>"),
                (b"", [b"b@y"], b"To: <b@y>"),
                (b"s@x", [b"a@x"], b"To: <a@x>"),
            ],
        )

    def test_weighted(self):
        """
        With weights they come at random, as often as their weights say.
        """
        found = self.envelopes(2000, senders=[("s@x", 1), ("t@x", 3)], recipients=["a@x", ("b@x", 9), ("c@x", 0)])
        senders = Counter(sender for sender, _, _ in found)
        named = Counter(named[0] for _, named, _ in found)
        self.assertTrue(400 < senders[b"s@x"] < 600, senders)
        self.assertEqual(set(named), {b"a@x", b"b@x"})
        self.assertTrue(140 < named[b"a@x"] < 260, named)

    def test_domains(self):
        """
        The domain of each recipient is drawn, whoever it is.
        """
        found = self.envelopes(2000, recipientCount=1, recipient="user@old", domains="a.test:9,b.test:1")
        named = Counter(named[0] for _, named, _ in found)
        self.assertEqual(set(named), {b"user@a.test", b"user@b.test"})
        self.assertTrue(140 < named[b"user@b.test"] < 260, named)

    def test_compose(self):
        """
        Lists and domains with numbers and several recipients.
        """
        two = [b"a@x", b"b"]
        for values, expected in (
            ({"recipients": two, "recipientCount": 3}, [[b"a@x", b"b", b"a@x"], [b"b", b"a@x", b"b"]]),
            ({"recipients": two, "recipientCount": 2, "recipientNumbering": "suffix"}, [two] * 2),
            ({"recipients": two, "numberRecipients": True}, [[b"1a@x"], [b"2b"]]),
            (
                {"recipients": two, "numberRecipients": True, "recipientNumbering": "suffix", "recipientCount": 2},
                [[b"a0@x", b"b1"], [b"a2@x", b"b3"]],
            ),
            ({"domains": "y", "recipientCount": 2}, [[b"2foo@y", b"foo@y"]] * 2),
            (
                {"domains": "y", "numberRecipients": True, "numberStart": 7, "numberWidth": 2},
                [[b"07foo@y"], [b"08foo@y"]],
            ),
            ({"domains": "y", "recipientNumbering": "suffix", "recipientCount": 1}, [[b"foo0@y"], [b"foo1@y"]]),
            ({"domains": [("y", 1)], "recipients": two}, [[b"a@y"], [b"b@y"]]),
            ({"recipientsDistribution": "fixed:2"}, [[b"2foo@h", b"foo@h"]] * 2),
        ):
            self.assertEqual([named for _, named, _ in self.envelopes(**values)], expected, values)

    def test_distribution(self):
        """
        Each message has as many recipients as were drawn for it.
        """
        found = self.envelopes(500, recipientsDistribution="uniform:1-4")
        self.assertEqual(set(map(len, (named for _, named, _ in found))), {1, 2, 3, 4})
        for _, named, _ in found:
            self.assertEqual(named, [b"%dfoo@h" % n for n in range(len(named), 1, -1)] + [b"foo@h"])

    def test_numbers(self):
        """
        Start and width, in both ways, without a list.
        """
        for values, expected in (
            ({"numberRecipients": True, "numberStart": 98, "numberWidth": 3}, [[b"098foo@h"], [b"099foo@h"]]),
            (
                {"numberRecipients": True, "recipientNumbering": "suffix", "numberStart": 5, "numberWidth": 4},
                [[b"foo0005@h"], [b"foo0006@h"]],
            ),
            ({"recipientCount": 3, "numberWidth": 2}, [[b"03foo@h", b"02foo@h", b"foo@h"]] * 2),
            ({"recipientCount": 3, "numberStart": 10}, [[b"12foo@h", b"11foo@h", b"foo@h"]] * 2),
            ({"numberRecipients": True, "numberStart": 0}, [[b"0foo@h"], [b"1foo@h"]]),
        ):
            self.assertEqual([named for _, named, _ in self.envelopes(**values)], expected, values)
