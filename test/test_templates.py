"""
Tests for L{smtpsource.messages.templates} and L{smtpsource.messages.headers}: headers, and what is filled in.
"""

from __future__ import annotations

import email
import email.utils
import re

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.messages import headers, templates
from smtpsource.messages.content import date
from smtpsource.messages.templates import Template, isLiteral, parse, parseSubject
from smtpsource.plan import SourcePlan

VALUES = {b"n": 27, b"session": 3, b"size": 4096, b"sender": b"a@b", b"recipient": b"c@d"}


class TemplateTests(SynchronousTestCase):
    """
    Places, and what is put there.
    """

    def setUp(self):
        self.now = 1_700_000_000.0
        self.patch(templates.time, "time", lambda: self.now)

    def filled(self, text, **values):
        """
        @return: a value with all that is known about a message.
        """
        template = Template(parse(text), b"RUN")
        drawn = {key: b"%0*x" % (digits, 11) for key, digits in template.randoms}
        return template.fill({**VALUES, **drawn})

    def test_places(self):
        """
        Each place, alone and between other text.
        """
        for text, expected in (
            (b"", b""),
            (b"plain 100% text", b"plain 100% text"),
            (b"{run}", b"RUN"),
            (b"{n}", b"27"),
            (b"a{n}b{n}c", b"a27b27c"),
            (b"{session}/{size}", b"3/4096"),
            (b"{random:8} {random:1}", b"0000000b b"),
            (b"{date}", date(1_700_000_000)),
            (b"{{n}}", b"{n}"),
            (b"{{{n}}}", b"{27}"),
            (b"%(n)d %% %s {n} \xff", b"%(n)d %% %s 27 \xff"),
        ):
            self.assertEqual(self.filled(text), expected, text)

    def test_dateGoesOn(self):
        """
        The date is that of the message.
        """
        template = Template(parse(b"{date} {n} {date}"), b"")
        for seconds in (0, 0.5, 1.5, 100):
            now = date(int(self.now + seconds))
            self.now += seconds
            self.assertEqual(template.fill(VALUES), now + b" 27 " + now)

    def test_refused(self):
        """
        What is not known is told, with what is.
        """
        for text in (
            b"{",
            b"}",
            b"{x}",
            b"{}",
            b"{N}",
            b"{random}",
            b"{random:0}",
            b"{random:100}",
            b"{n",
            b"{{n}",
            b"{ n}",
        ):
            error = str(self.assertRaises(ValueError, parse, text))
            self.assertTrue(error.startswith("expected {run}, {n}, {session}, {size}, {date} or {random:8}"), error)

    def test_subject(self):
        """
        A subject with nothing that is known is sent as it is; else it is only that which is filled in.
        """
        for text, expected in (
            (b"a {b} c", b"a {b} c"),
            (b"a {{b}} c", b"a {{b}} c"),
            (b"{{n}}", b"{{n}}"),
            (b"{", b"{"),
            (b"100%", b"100%"),
            (b"a {n}", b"a 27"),
            (b"{b} {n} { }", b"{b} 27 { }"),
            (b"{{x}} {n}", b"{x} 27"),
        ):
            self.assertEqual(Template(parseSubject(text), b"RUN").fill(VALUES), expected, text)
        self.assertTrue(isLiteral(parseSubject(b"a {b}")))
        self.assertFalse(isLiteral(parseSubject(b"a {n}")))

    @given(st.binary())
    def test_anySubject(self, text):
        """
        No subject is refused; one without a place is untouched.
        """
        parts = parseSubject(text)
        if isLiteral(parts):
            self.assertEqual(b"".join(parts), text)

    @given(st.binary())
    def test_anyText(self, text):
        """
        Any text can be written by doubling its braces.
        """
        self.assertEqual(self.filled(text.replace(b"{", b"{{").replace(b"}", b"}}")), text)


class HeaderTests(SynchronousTestCase):
    """
    C{--header}.
    """

    def top(self, **values):
        """
        @return: the headers of a message, as a mail reader sees them, and their lines.
        """
        traffic = newTraffic(SourcePlan(destination="127.0.0.1", myhostname="h", **values))
        message = traffic.next()
        message.recipientCommands()
        if traffic.wantsSession:
            message.session = 5
        content = b"".join(map(bytes, message.content()))
        return email.message_from_bytes(content), content.partition(b"\r\n\r\n")[0].split(b"\r\n"), traffic

    def test_added(self):
        """
        Headers come after those that are generated, in their order, as they were written.
        """
        _, lines, _ = self.top(headers=["X-A: 1", "x-b:2", b"X-A: \xff"], subject="s")
        self.assertEqual([line.partition(b":")[0] for line in lines[:4]], [b"From", b"To", b"Date", b"Message-Id"])
        self.assertEqual(lines[4:], [b"Subject: s", b"X-A: 1", b"x-b:2", b"X-A: \xff"])

    def test_places(self):
        """
        All that can be filled in is.
        """
        found, _, traffic = self.top(
            headers=["X-A: {run} {n} {session} {size} {random:8}", "X-Date: {date}"], length=1234, subject="no. {n}"
        )
        self.assertRegex(found["X-A"], rf"^{traffic.run.decode()} 1 5 1234 [0-9a-f]{{8}}$")
        self.assertEqual(found["Message-Id"], f"<{traffic.run.decode()}.1@h>")
        self.assertEqual(found["X-Date"], found["Date"])
        self.assertEqual(found["Subject"], "no. 1")
        self.assertTrue(traffic.wantsSession)

    def test_replaced(self):
        """
        A header that is generated is replaced by a given one of its name.
        """
        _, lines, _ = self.top(headers=["from: Me <me@x>", "To: all", "DATE: now", "Message-Id: <{n}@x>"])
        self.assertEqual(lines, [b"from: Me <me@x>", b"To: all", b"DATE: now", b"Message-Id: <1@x>"])
        _, lines, _ = self.top(headers=["To: a", "To: b"])
        self.assertEqual(lines[1], b"To: a")
        self.assertEqual(lines[-1], b"To: b")

    def test_randomDigits(self):
        """
        They differ from place to place and from message to message.
        """
        traffic = newTraffic(SourcePlan(headers=["X: {random:16} {random:16}"]))
        found = [re.findall(rb"[0-9a-f]{16}", traffic.next().content()[0].partition(b"X: ")[2]) for _ in range(50)]
        self.assertEqual(len({digits for pair in found for digits in pair}), 100)

    def test_fastWay(self):
        """
        Without anything to fill in, a subject is no reason to draw.
        """
        plain = type(newTraffic(SourcePlan()))
        self.assertIs(type(newTraffic(SourcePlan(subject="a {b} {{n}}"))), plain)
        self.assertIs(type(newTraffic(SourcePlan(subject="{n}", oldMode=True))), plain)
        self.assertIs(type(newTraffic(SourcePlan(subject="{n}", message="A: b"))), plain)
        self.assertIsNot(type(newTraffic(SourcePlan(subject="{n}"))), plain)

    def test_subjectAsItIs(self):
        """
        A subject with braces that mean nothing goes out byte for byte.
        """
        for subject in ("a {b} c", "{{n}}", "100%", "{"):
            self.assertIn(b"Subject: " + subject.encode(), self.top(subject=subject)[1])
            lines = self.top(subject=subject, headers=["X: {n}"])[1]
            self.assertIn(b"Subject: " + subject.encode(), lines)

    def test_refused(self):
        """
        What is no header is told.
        """
        name = "expected a name of printable ASCII characters, a colon and a value, such as X-Test: yes"
        for line, expected in (
            (b"", name),
            (b"X-A", name),
            (b": x", name),
            (b"X A: b", name),
            (b"X-A : b", name),
            (b"X-\xc3\xbc: b", name),
            (b"X: a\r\nBcc: b", "expected a text without line ends or NUL bytes"),
            (b"X: a\0", "expected a text without line ends or NUL bytes"),
            (b"X: " + b"a" * 996, "expected a header of at most 998 bytes"),
            (b"X: {b}", "expected {run}, {n}, "),
        ):
            error = str(self.assertRaises(ValueError, headers.header, line))
            self.assertTrue(error.startswith(expected), error)
        for line in (b"X:", b"X: ", b"!~: \xff", b"X: " + b"a" * 995):
            self.assertEqual(headers.header(line), line)
