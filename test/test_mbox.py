"""
Tests for L{smtpsource.messages.mbox}: which lines of an mbox begin a message.
"""

from __future__ import annotations

import mailbox
import os
from pathlib import Path

from hypothesis import strategies as st
from properties import given, settings
from textfiles import writeFile
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.messages import mbox
from smtpsource.messages.corpus import index
from smtpsource.messages.parts import StoredFile

#: What mail tools write before a message, after "From ".
SEPARATORS = [
    b"alice@example.com Mon Jan  1 10:00:00 2024",
    b"alice@example.com  Mon Jan 01 10:00:00 2024 ",
    b"alice Wed Dec  2 05:53 1992",
    b"alice Wed Dec  2 05:53 PST 1992",
    b"alice@a Wed Dec  2 05:53:22 PST 1992",
    b"alice@a Wed Dec  2 05:53:22 MET DST 1992",
    b"alice@a Wed Dec  2 05:53 -0700 1992",
    b"alice@a Wed Dec  2 05:53:22 1992 PST",
    b"alice@a Wed Dec  2 05:53:22 1992 -0700",
    b"alice@a Dec  2 05:53:22 1992",
    b"1234567890@xxx Mon Jan 01 10:00:00 +0000 2024",
    b"- Mon Jan  1 10:00:00 2024",
    b"MAILER-DAEMON Mon Jan  1 10:00:00 2024",
    b"???@??? Mon Jan 01 10:00:00 2024",
    b"nobody Mon Jan  1 10:00:00 2024",
    b"uunet!host!alice Wed Dec  2 05:53 1992 remote from host",
    b" Mon Jan  1 10:00:00 2024",
    b"<> Mon Jan  1 10:00:00 2024",
    b"<alice@example.com> Mon Jan  1 10:00:00 2024",
    b"Alice Doe <alice@example.com> Mon Jan  1 10:00:00 2024",
    b'"alice doe"@example.com Mon Jan  1 10:00:00 2024',
    b'"a\\"b" Mon Jan  1 10:00:00 2024',
    b"alice at example.com  Mon Jan  1 10:00:00 2024",
    b"alice@a Mon, 1 Jan 2024 10:00:00 +0100",
    b"alice@a 01 Jan 2024 10:00 GMT",
    b"alice@a Mon, 01 Jan 2024 10:00:00 +0100 (CET)",
    b"alice@a 2024-01-01 10:00:00",
    b"alice@a 2024-01-01T10:00:00.123+01:00",
    b"alice@a 2024-01-01T10:00:00Z",
    b"alice@a Mon Jan 01 2024 10:00:00 GMT+0100 (Central European Standard Time)",
    b"alice@a Mon Jan 1, 2024 10:00:00 AM",
    "alice@a Mo M\u00e4r  4 10:00:00 2024".encode(),
]

#: What people write, after "From ".
TEXTS = [
    b"now on you can use your own space.",
    b"memory it was in May.",
    b"May 5 to May 7",
    b"10:00 to 12:00",
    b"10:00 on Mon Jan  1 2024",
    b"alice@example.com",
    b"alice@example.com on Mon Jan  1 10:00:00 2024 you have",
    b"Monday, 10:00",
    b"the log: Mon Jan  1 10:00:00 2024",
    b"now on, until Mon Jan  1 10:00:00 2024",
    b"http://example.com/ 10:00:00 2024",
    b"",
    b"alice@example.com Mon Jan  1 2024",
    b'"alice Mon Jan  1 10:00:00 2024',
]

HEADER = b"Subject: x\n"


def inCRLF(text):
    """
    @return: the same with CRLF at the end of its lines.
    """
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class Case(SynchronousTestCase):
    """
    Files with messages.
    """

    def messages(self, content):
        """
        @return: every message in a file of this content.
        """
        corpus = index(writeFile(self, content))
        return [bytes(corpus.read(n)) for n in range(len(corpus))]

    def doubts(self, content):
        """
        @return: what there is to say of a file of this content, in which its name is C{FILE}.
        """
        path = os.path.abspath(writeFile(self, content))
        return [doubt.replace(repr(path), "FILE") for doubt in index(path).doubts]


class LineTests(Case):
    """
    Lines that begin a message, and others.
    """

    def test_separators(self):
        """
        Whatever mail tools write begins a message, with or without an empty line before it.
        """
        first = b"From x@y Mon Jan  1 10:00:00 2024\n" + HEADER + b"\nfirst\n"
        for line in SEPARATORS:
            self.assertTrue(mbox.isDated(line), line)
            second = b"From " + line + b"\n" + HEADER + b"\nsecond\n"
            for between in (b"\n", b""):
                expected = [HEADER + b"\nfirst\n", HEADER + b"\nsecond\n"]
                self.assertEqual(self.messages(first + between + second), expected, line)
                self.assertEqual(self.messages(inCRLF(first + between + second)), [*map(inCRLF, expected)], line)
            self.assertEqual(self.messages(second), [HEADER + b"\nsecond\n"], line)

    def test_texts(self):
        """
        What people write begins none, even if it comes after an empty line and something like a header after it.
        """
        for line in TEXTS:
            self.assertFalse(mbox.isDated(line), line)
            text = HEADER + b"\nfirst\n\nFrom " + line + b"\nNote: this\n"
            content = b"From x@y Mon Jan  1 10:00:00 2024\n" + text
            self.assertEqual(self.messages(content), [text], line)
            self.assertEqual(self.messages(inCRLF(content)), [inCRLF(text)], line)
            self.assertEqual(self.doubts(content), [])

    def test_noHeader(self):
        """
        A line as before a message, with no header after it, is text; the user is told.
        """
        line = b"From bob@example.com Tue Jan  2 10:00:00 2024\n"
        start = b"From x@y Mon Jan  1 10:00:00 2024\n" + HEADER + b"\n"
        for after in (b"text\n", b"\ntext\n", b"a b: c\n", b": c\n", b""):
            text = b"first\n\n" + line + after
            self.assertEqual(self.messages(start + text), [HEADER + b"\n" + text], after)
            what = 'a "From " line without a header after it; taken for text'
            self.assertEqual(self.doubts(start + text), [f"line 6 of FILE: {what}"])
            self.assertEqual(self.doubts(start + text * 3), [f"line 6 of FILE, and 2 more like it: {what}"])
        self.assertEqual(self.messages(start + b"\n" + line + b">From x y\n"), [HEADER + b"\n", b">From x y\n"])
        self.assertEqual(self.doubts(line + b"text\n"), ["message 1 of FILE: it has no header; sent as it is"])
        self.assertEqual(self.messages(line + b"text\n"), [b"text\n"])

    def test_undated(self):
        """
        In a file without dates an address alone will do, after an empty line and before a header.
        """
        for content, expected in (
            (b"From a\nA: b\n\nx\n\nFrom b\nC: d\n\ny\n\n", [b"A: b\n\nx\n", b"C: d\n\ny\n"]),
            (b"From a\nA: b\n\nx\nFrom b\nC: d\n", [b"A: b\n\nx\nFrom b\nC: d\n"]),
            (b"From a\nA: b\n\nx\n\nFrom b\ny\n", [b"A: b\n\nx\n\nFrom b\ny\n"]),
            (b"From a\nA: b\n\nx\n\nFromage\nC: d\n", [b"A: b\n\nx\n\nFromage\nC: d\n"]),
            (b"From a\r\nA: b\r\n\r\nx\r\n\r\nFrom b\r\nC: d\r\n\r\n", [b"A: b\r\n\r\nx\r\n", b"C: d\r\n"]),
            (b"From a\n\nFrom b\nA: b", [b"A: b"]),
            (b"From a\n\n\nFrom b\n\n", [b"\n\nFrom b\n"]),
            (b"From a\nA: b\n\n\n\nFrom b\nC: d\n", [b"A: b\n\n\n", b"C: d\n"]),
            (b"From a\nA: b\n\nFrom b Mon Jan  1 10:00:00 2024\nC: d\n", [b"A: b\n", b"C: d\n"]),
        ):
            self.assertEqual(self.messages(content), expected, content)

    def test_emptyLines(self):
        """
        Of empty lines between messages one is none of the message's before it.
        """
        line = b"From a Mon Jan  1 10:00:00 2024\n"
        for content, expected in (
            (line + b"A: b\n\nx\n\n\n" + line + b"C: d\n\n\n", [b"A: b\n\nx\n\n", b"C: d\n\n"]),
            (line + line + b"C: d", [b"C: d"]),
            (line + b"\n" + line + b"C: d", [b"C: d"]),
            (line + b"\n\n" + line + b"C: d", [b"\n", b"C: d"]),
            (line + b"A: b" + b"\n" + line + b"C: d\n", [b"A: b\n", b"C: d\n"]),
        ):
            self.assertEqual(self.messages(content), expected, content)

    def test_marks(self):
        """
        A byte order mark is no part of a message: at the beginning of the file, of one that was appended, or of a
        message.
        """
        mark = b"\xef\xbb\xbf"
        line = b"From a Mon Jan  1 10:00:00 2024\n"
        for content in (
            mark + line + b"A: b\n\n" + line + b"C: d\n",
            line + b"A: b\n\n" + mark + line + b"C: d\n",
            mark + line + mark + b"A: b\n" + mark + line + mark + b"C: d\n",
        ):
            self.assertEqual(self.messages(content), [b"A: b\n", b"C: d\n"], content)
            self.assertEqual(self.doubts(content), [])
        large = b"A: b\n\n" + b"x\n" * 100_000
        self.assertEqual(self.messages(mark + line + mark + large + line + mark + large), [large, large])

    def test_long(self):
        """
        A line of any length that is none of these takes no time.
        """
        content = b"From a Mon Jan  1 10:00:00 2024\nA: b\n\nFrom " + b"x:" * 1_000_000 + b"\nFrom " + b" a" * 1_000_000
        self.assertEqual(len(self.messages(content)), 1)


class PropertyTests(Case):
    """
    Files with anything in them.
    """

    @given(
        st.lists(
            st.lists(st.sampled_from([b"", b"x", b".", b">From x", *(b"From " + text for text in TEXTS)]), max_size=8),
            min_size=1,
            max_size=5,
        ),
        st.data(),
    )
    @settings(max_examples=200)
    def test_written(self, bodies, data):
        """
        As many messages are found as were written, each with its bytes; wherever a block ends.
        """
        self.patch(mbox, "_BLOCK", data.draw(st.integers(1, 300)))
        self.patch(mbox, "_AHEAD", 200)
        crlf = data.draw(st.booleans())
        content, expected = b"", []
        for body in bodies:
            message = HEADER + b"\n" + b"".join(line + b"\n" for line in body)
            separator = b"From " + data.draw(st.sampled_from(SEPARATORS)) + b"\n"
            between = data.draw(st.sampled_from([b"", b"\n"]))
            written = separator + message + between
            # Of empty lines at its end one is taken for that between messages.
            shown = message if between or not message.endswith(b"\n\n") else message[:-1]
            content += inCRLF(written) if crlf else written
            expected.append(inCRLF(shown) if crlf else shown)
        self.assertEqual(self.messages(content), expected)

    @given(
        st.lists(
            st.lists(st.sampled_from(["", "x", ".", ">From x", "From now", "From a Mon Jan  1 10:00:00 2024", "A: b"])),
            min_size=1,
            max_size=4,
        ),
        st.booleans(),
    )
    @settings(max_examples=100)
    def test_python(self, bodies, asBytes):
        """
        What Python's own mailbox has written, it and we read alike.
        """
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        box = mailbox.mbox(path)
        for n, body in enumerate(bodies):
            text = f"Subject: {n}\n\n" + "".join(f"{line}\n" for line in body)
            box.add(text.encode() if asBytes else mailbox.mboxMessage(text))
        box.flush()
        corpus = index(str(path))
        found = [bytes(corpus.read(n)) for n in range(len(corpus))]
        self.assertEqual(found, [*map(box.get_bytes, box.keys())])
        box.close()

    @given(st.binary(max_size=300), st.integers(1, 50))
    @settings(max_examples=100)
    def test_anything(self, text, block):
        """
        Whatever comes after the first line, nothing is lost but lines before messages and empty lines.
        """
        self.patch(mbox, "_BLOCK", block)
        content = b"From a Mon Jan  1 10:00:00 2024\nA: b\n" + text
        found = self.messages(content)
        place = 0
        for message in found:
            place = content.index(message, place) + len(message)
        self.assertLessEqual(len(content) - place, 2)


class StillTests(Case):
    """
    Is a message still there?
    """

    def test_isBetween(self):
        """
        It is, if such lines are around it.
        """
        line = b"From a Mon Jan  1 10:00:00 2024\n"
        for before, after, expected in (
            (line, b"", True),
            (b"x\n\n" + line, b"", True),
            (b"\xef\xbb\xbf" + line + b"\xef\xbb\xbf", b"", True),
            (line, b"\n" + line, True),
            (line, line + b"A: b", True),
            (line[:-1] + b"\r\n", b"\r\n" + line, True),
            (b"From a\n", b"\nFrom b\n", True),
            (line, b"x\n" + line, False),
            (line, b"\nFrom", False),
            (line, b"\nFrom now on\n", False),
            (b"x\n", b"", False),
            (line + b"x\n", line, False),
            (b"", b"", False),
        ):
            self.assertEqual(mbox.isBetween(before, after), expected, (before, after))

    def test_lineNumber(self):
        """
        Lines are counted from 1.
        """
        self.patch(mbox, "_BLOCK", 2)
        file = StoredFile(writeFile(self, b"a\n\nbc\nd"))
        self.assertEqual([mbox.lineNumber(file, place) for place in (0, 1, 2, 3, 6)], [1, 1, 2, 3, 4])
