"""
Tests for L{smtpsource.smtp.commands}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.smtp import commands

ADDRESSES = st.binary(max_size=60).filter(lambda a: b"\r" not in a and b"\n" not in a)


class CommandTests(SynchronousTestCase):
    """
    The bytes of commands.
    """

    def test_bytes(self):
        """
        As they stand in RFC 5321.
        """
        self.assertEqual(commands.mail(b"a@b"), b"MAIL FROM:<a@b>\r\n")
        self.assertEqual(commands.mail(b""), b"MAIL FROM:<>\r\n")
        self.assertEqual(commands.rcpt(b"a@b"), b"RCPT TO:<a@b>\r\n")
        self.assertEqual((commands.DATA, commands.RSET, commands.QUIT), (b"DATA\r\n", b"RSET\r\n", b"QUIT\r\n"))

    @given(ADDRESSES)
    def test_asGiven(self, address):
        """
        An address goes out as it was given, in one line.
        """
        for command, verb in ((commands.mail(address), b"MAIL FROM:"), (commands.rcpt(address), b"RCPT TO:")):
            self.assertEqual(command, verb + b"<" + address + b">\r\n")
            self.assertEqual(command.count(b"\n"), 1)

    def test_dialogue(self):
        """
        The greeting by mode, and what else a dialogue is.
        """
        self.assertEqual(commands.dialogue(b"me"), commands.Dialogue(b"HELO me\r\n", False, False))
        auto = commands.Dialogue(b"EHLO me\r\n", False, False, b"HELO me\r\n", "auto", True)
        self.assertEqual(commands.dialogue(b"me", pipelining="auto"), auto)
        require = commands.Dialogue(b"EHLO me\r\n", False, False, None, "require", True)
        self.assertEqual(commands.dialogue(b"me", pipelining="require"), require)
        self.assertEqual(
            commands.dialogue(b"me", lmtp=True), commands.Dialogue(b"LHLO me\r\n", True, False, extended=True)
        )
        self.assertEqual(commands.dialogue(b"me", tolerant=True), commands.Dialogue(b"HELO me\r\n", False, True))
        self.assertEqual(commands.dialogue(b"me", oldMode=True), commands.Dialogue(None, False, False))
        self.assertEqual(commands.dialogue(b"me", oldMode=True, lmtp=True), commands.Dialogue(None, True, False))
