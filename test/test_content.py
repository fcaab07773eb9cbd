"""
Tests for L{smtpsource.messages.content}: content as it goes over the wire.
"""

from __future__ import annotations

import calendar
import email
import email.utils
import os
import re
import time

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.messages import content
from smtpsource.messages.content import DEFAULT_BODY, FileContent, GeneratedContent, bodyOfSize, date, stuffed
from smtpsource.smtp.streaming import LARGEST_WRITE

END = b"\r\n.\r\n"


def received(content):
    """
    @return: the message that a server makes of content: unstuffed, with its line ends, without the final dot.
    """
    assert content.endswith(b".\r\n")
    lines = content[:-3].split(b"\r\n")
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


def whole(source, number=1, recipient=b"you@x"):
    """
    @return: both parts of a content together.
    """
    return b"".join(source.content(number, recipient))


class SizeTests(SynchronousTestCase):
    """
    Bodies of a given size.
    """

    @given(st.one_of(st.integers(1, 1000), st.integers(1, 200_000)))
    def test_length(self, size):
        """
        Exactly as long as was asked for, plus the last line's end; lines of 80 bytes at most, as smtp-source(1) has
        them; no dots.
        """
        body = bodyOfSize(size)
        self.assertEqual(len(body), size + 2)
        lines = body.split(b"\r\n")
        self.assertEqual(lines.pop(), b"")
        last = lines.pop()
        self.assertTrue(1 <= len(last) <= 80 and last == b"X" * len(last))
        for number, line in enumerate(lines, 1):
            self.assertEqual(line, b"%d" % (number % 10) + b"X" * 77)
        self.assertNotIn(b".", body)

    def test_edges(self):
        """
        Around a line's length.
        """
        self.assertEqual(bodyOfSize(1), b"X\r\n")
        self.assertEqual(bodyOfSize(80), b"X" * 80 + b"\r\n")
        self.assertEqual(bodyOfSize(81), b"1" + b"X" * 77 + b"\r\nX\r\n")

    def test_default(self):
        """
        The short body of those who don't care.
        """
        expected = b"smtp-source line1\r\nsmtp-source line2\r\nsmtp-source line3\r\nsmtp-source line4\r\n"
        self.assertEqual(DEFAULT_BODY, expected)


#: Files: bytes with many line ends and dots.
FILES = st.lists(st.sampled_from([b".", b"\n", b"\r\n", b"x", b"..", b"\r", b"\0", b"\xff", b" "]), max_size=40).map(
    b"".join
)


class FileTests(SynchronousTestCase):
    """
    A message from a file.
    """

    def check(self, text):
        content = whole(FileContent(text))
        self.assertTrue(content.endswith(END) or content == b".\r\n", content)
        # The only line that is a dot is the last: nothing ends the content early.
        self.assertEqual(content.find(END), len(content) - len(END))
        self.assertFalse(content.startswith(b".\r\n"))
        # Every LF has a CR before it.
        self.assertEqual(content.count(b"\n"), content.count(b"\r\n"))
        # What a server gets is the file, with CRLF line ends, and one more at the end.
        lines = text.replace(b"\r\n", b"\n")
        expected = lines.removesuffix(b"\n").replace(b"\n", b"\r\n") + b"\r\n\r\n"
        self.assertEqual(received(content), expected)

    @given(FILES)
    def test_unstuffed(self, text):
        """
        Undoing the dots gives the file back, whatever is in it.
        """
        self.check(text)

    def test_cases(self):
        """
        Dots at the beginning of the file and of lines, alone and not; with and without a last line end.
        """
        for text in (
            b".",
            b".\n",
            b"..",
            b"\n.\n",
            b"a\n.\nb",
            b"a\r\n.\r\nb\r\n",
            b".a\n..b\n...c\n",
            b"\n",
            b"a.b\n",
        ):
            self.check(text)
        self.assertEqual(stuffed(b".a\nb"), b"..a\r\nb\r\n\r\n")
        self.assertEqual(stuffed(b"a\r\n"), b"a\r\n\r\n")

    def test_notDoubled(self):
        """
        A file with CRLF line ends does not get CR CR LF.
        """
        self.assertNotIn(b"\r\r", whole(FileContent(b"a\r\nb\r\n")))

    def test_streamed(self):
        """
        A large one is shared and streamed; a small one is written at once.
        """
        small, large = (
            FileContent(b"x" * (LARGEST_WRITE - 7)).content(1, b""),
            FileContent(b"x" * (LARGEST_WRITE - 6)).content(1, b""),
        )
        self.assertEqual((len(small[0]), small[1]), (LARGEST_WRITE, b""))
        self.assertEqual((large[0], len(large[1])), (b"", LARGEST_WRITE + 1))

    def test_same(self):
        """
        It is the same for every message, and held once.
        """
        source = FileContent(b"x" * LARGEST_WRITE * 2)
        self.assertIs(source.content(1, b"a")[1], source.content(2, b"b")[1])


class GeneratedTests(SynchronousTestCase):
    """
    Generated messages.
    """

    def setUp(self):
        self.now = 1_700_000_000.0
        self.patch(content.time, "time", lambda: self.now)

    def zone(self, name):
        """
        Let this be the local time zone.
        """
        before = os.environ.get("TZ")

        def restore():
            if before is None:
                os.environ.pop("TZ", None)
            else:
                os.environ["TZ"] = before
            time.tzset()

        self.addCleanup(restore)
        os.environ["TZ"] = name
        time.tzset()

    def test_headers(self):
        """
        From, To, Date, Message-Id and an empty line, in this order, then the body.
        """
        self.zone("UTC0")
        source = GeneratedContent(b"me@x", b"host.name", b"body\r\n", run=b"RUN")
        self.assertEqual(
            source.content(27, b"you@y"),
            (
                b"From: <me@x>\r\nTo: <you@y>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000 (UTC)\r\n"
                b"Message-Id: <RUN.1b@host.name>\r\n\r\nbody\r\n.\r\n",
                b"",
            ),
        )

    def test_subject(self):
        """
        A subject stands after the other headers, even an empty one.
        """
        for subject in (b"hi there", b""):
            content = whole(GeneratedContent(b"me@x", b"host", b"b\r\n", subject=subject))
            self.assertTrue(content.endswith(b"@host>\r\nSubject: " + subject + b"\r\n\r\nb\r\n.\r\n"), content)

    def test_noHeaders(self):
        """
        In old mode there is the body only.
        """
        source = GeneratedContent(b"me@x", b"host", DEFAULT_BODY, subject=b"x", headers=False)
        self.assertEqual(source.content(1, b"you@y"), (DEFAULT_BODY + b".\r\n", b""))
        large = bodyOfSize(LARGEST_WRITE)
        self.assertEqual(GeneratedContent(b"", b"", large, headers=False).content(1, b""), (b"", large + b".\r\n"))

    def test_dateGoesOn(self):
        """
        The Date is that of the message, not of the run.
        """
        source = GeneratedContent(b"me@x", b"host", DEFAULT_BODY)
        dates = []
        for _ in range(3):
            parsed = email.message_from_bytes(received(whole(source)))
            dates.append(email.utils.parsedate_to_datetime(parsed["Date"]).timestamp())
            self.now += 61.5
        self.assertEqual(dates, [1_700_000_000, 1_700_000_061, 1_700_000_123])

    def test_recipientGoesOn(self):
        """
        So is the To header.
        """
        source = GeneratedContent(b"me@x", b"host", DEFAULT_BODY)
        for recipient in (b"a@x", b"b@x"):
            self.assertEqual(
                email.message_from_bytes(whole(source, recipient=recipient))["To"], f"<{recipient.decode()}>"
            )

    def test_unique(self):
        """
        No two messages of a run have the same Message-Id, nor two of different runs.
        """
        sources = [GeneratedContent(b"me@x", b"host", DEFAULT_BODY) for _ in range(20)]
        ids = [re.search(rb"Message-Id: (<.*>)\r\n", whole(source, n))[1] for source in sources for n in range(1, 300)]
        self.assertEqual(len(set(ids)), 20 * 299)

    @given(st.integers(1, 150_000), st.booleans())
    @settings(deadline=None, max_examples=60)
    def test_streamed(self, size, headers):
        """
        Large or small, streamed or not, a server gets the same: headers and a body of the right length.
        """
        source = GeneratedContent(b"me@x", b"host", bodyOfSize(size), headers=headers)
        own, shared = source.content(1, b"you@y")
        self.assertEqual(bool(shared), size + 2 + 3 > LARGEST_WRITE)
        if shared:
            self.assertIs(source.content(2, b"z")[1], shared)
            self.assertLess(len(own), 1000)
        content = own + shared
        self.assertEqual(content.find(END), len(content) - 5)
        self.assertEqual(content.count(b"\n"), content.count(b"\r\n"))
        head, _, body = content.partition(b"\r\n\r\n") if headers else (b"", b"", content)
        self.assertEqual(body, bodyOfSize(size) + b".\r\n")
        self.assertEqual(head.count(b"\r\n"), 3 if headers else 0)


class DateTests(SynchronousTestCase):
    """
    Date headers.
    """

    @given(st.integers(0, 4_000_000_000))
    def test_parses(self, second):
        """
        Any mail reader understands them, and they are right.
        """
        parsed = email.utils.parsedate_to_datetime(date(second).decode())
        self.assertEqual(int(parsed.timestamp()), second)
        self.assertRegex(date(second), rb"^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(.+\)$")

    def test_notLocalized(self):
        """
        Names of days and months are English, each of them.
        """
        for month in range(1, 13):
            second = calendar.timegm((2024, month, 15, 12, 0, 0))
            self.assertEqual(email.utils.parsedate_tz(date(second).decode())[1], month)
        days = [date(second * 86400).split(b",")[0] for second in range(7)]
        self.assertEqual(len(set(days)), 7)
