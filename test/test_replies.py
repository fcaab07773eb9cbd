"""
Tests for L{smtpsource.smtp.replies}.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.smtp import replies


class LineTests(SynchronousTestCase):
    """
    What is a line of a reply, and which one is the last.
    """

    def test_replies(self):
        """
        Three digits and a blank, a hyphen, a tab or nothing: from 200 to 599.
        """
        for line in (b"250 ok", b"250-ok", b"250", b"250 ", b"250-", b"200 x", b"599 x", b"354\tgo", b"221 \xff\0"):
            self.assertTrue(replies.isReplyLine(line), line)

    def test_others(self):
        """
        Anything else is none.
        """
        for line in (b"", b"2", b"25", b"2500 x", b"150 x", b"050 x", b"600 x", b"999", b"250x", b"25o x", b" 250 x"):
            self.assertFalse(replies.isReplyLine(line), line)
        for line in (b"250_x", b"250:x", b"-250 x", "\u0662\u0665\u0660 x".encode(), b"HTTP/1.1 400", b"x250 ok"):
            self.assertFalse(replies.isReplyLine(line), line)

    def test_goesOn(self):
        """
        A hyphen in the fourth place says that there is more.
        """
        for line, expected in (
            (b"250-x", True),
            (b"250-", True),
            (b"250 x", False),
            (b"250", False),
            (b"250 -", False),
        ):
            self.assertEqual(replies.goesOn(line), expected, line)

    def test_closesChannel(self):
        """
        421 and 521 say that the server hangs up; no others do.
        """
        closing = [code for code in range(200, 600) if replies.closesChannel(b"%d" % code)]
        self.assertEqual(closing, [421, 521])

    def test_mayClose(self):
        """
        What begins with a 421 or 521, or may do so when there is more of it.
        """
        for data in (b"4", b"42", b"421", b"521", b"421\r", b"421\r\n", b"521 x", b"421-x\r\n421 y\r\n"):
            self.assertTrue(replies.mayClose(data), data)
        for data in (b"", b"2", b"45", b"4210", b"421x", b"250 x\r\n421 y\r\n", b"\r\n", b"4\r\n"):
            self.assertFalse(replies.mayClose(data), data)

    @given(st.binary(max_size=12))
    def test_anything(self, line):
        """
        What counts as a reply is what the RFCs say, whatever the bytes.
        """
        line = line.replace(b"\n", b"").replace(b"\r", b"")
        text = line.decode("latin-1")
        expected = re.fullmatch(r"[2-5][0-9]{2}(|[ \t-].*)", text, re.DOTALL | re.ASCII) is not None
        self.assertEqual(replies.isReplyLine(line), expected)


class CapabilityTests(SynchronousTestCase):
    """
    What a server announces.
    """

    def announced(self, *lines):
        return replies.capabilities(
            b"250-server\r\n" + b"".join(b"250-%b\r\n" % line for line in lines) + b"250 OK\r\n"
        )

    def test_parameters(self):
        """
        Keywords in capitals, and what stands after them.
        """
        self.assertEqual(
            self.announced(b"size 100", b"PIPELINING ", b"Dsn\t", b"AUTH=PLAIN"),
            {"SIZE": "100", "PIPELINING": "", "DSN": "", "AUTH": "PLAIN", "OK": ""},
        )

    def test_whole(self):
        """
        A line that only begins like a keyword announces nothing.
        """
        for line in (b"PIPELINING_NOT", b"PIPELINING:", b"PIPELINING.", b"PIPELINING/1", b"PIPELINING\xff"):
            self.assertEqual(self.announced(line), {"OK": ""}, line)
        self.assertEqual(self.announced(b"STARTTLSX"), {"STARTTLSX": "", "OK": ""})

    def test_auth(self):
        """
        Mechanisms announced in the old style do not take the place of the others.
        """
        for lines, expected in (
            ((b"AUTH PLAIN", b"AUTH=LOGIN"), "PLAIN LOGIN"),
            ((b"AUTH=LOGIN PLAIN", b"AUTH PLAIN LOGIN CRAM-MD5"), "LOGIN PLAIN CRAM-MD5"),
            ((b"AUTH", b"AUTH=LOGIN"), "LOGIN"),
        ):
            self.assertEqual(self.announced(*lines)["AUTH"], expected)


class WholeTests(SynchronousTestCase):
    """
    The quick way: exactly one reply of one line.
    """

    def test_whole(self):
        """
        A chunk that is one reply gives its code, every time.
        """
        for _ in range(2):
            for data in (b"250 ok\r\n", b"250 ok\n", b"250\r\n", b"250 \r\n"):
                self.assertEqual(replies.codes.get(data) or replies.wholeReply(data), b"250")

    def test_notWhole(self):
        """
        Anything more, or less, or other than that does not.
        """
        for data in (
            b"",
            b"\n",
            b"250 ok",
            b"250 ok\r",
            b"250-ok\r\n",
            b"250 a\r\n250 b\r\n",
            b"250 a\r\n2",
            b"150 x\r\n",
        ):
            for _ in range(2):
                self.assertIs(replies.codes.get(data) or replies.wholeReply(data), None, data)

    def test_bounded(self):
        """
        A server that never says the same twice fills no memory, and is understood all the same.
        """
        for number in range(2000):
            self.assertEqual(replies.wholeReply(b"250 queued as %d\r\n" % number), b"250")
        self.assertEqual(replies.wholeReply(b"550 " + b"x" * 10_000 + b"\r\n"), b"550")
        self.assertLess(len(replies.codes), 1000)
        self.assertLess(max(map(len, replies.codes)), 1000)
