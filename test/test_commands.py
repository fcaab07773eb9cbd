"""
Tests for L{smtpsource.smtp.commands}.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given
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
        made = commands.dialogue
        self.assertEqual(made(b"me"), commands.Dialogue(greeting=b"HELO me\r\n"))
        self.assertEqual(
            made(b"me", esmtp=True),
            commands.Dialogue(greeting=b"EHLO me\r\n", fallback=b"HELO me\r\n", extended=True),
        )
        self.assertEqual(
            made(b"me", pipelining="auto"),
            commands.Dialogue(greeting=b"EHLO me\r\n", fallback=b"HELO me\r\n", extended=True, pipelining="auto"),
        )
        self.assertEqual(made(b"me", lmtp=True), commands.Dialogue(greeting=b"LHLO me\r\n", extended=True, lmtp=True))
        self.assertEqual(made(b"me", tolerant=True), commands.Dialogue(greeting=b"HELO me\r\n", tolerant=True))
        self.assertEqual(made(b"me", oldMode=True), commands.Dialogue(greeting=None))
        self.assertEqual(made(b"me", oldMode=True, lmtp=True), commands.Dialogue(greeting=None, lmtp=True))

    def test_noFallback(self):
        """
        Where the server must have something, there is nothing else to say than EHLO.
        """
        for asked, required in (
            ({"pipelining": "require"}, ("PIPELINING",)),
            ({"chunking": "require", "required": ("DSN",)}, ("DSN", "CHUNKING")),
        ):
            dialogue = commands.dialogue(b"me", **asked)
            self.assertEqual((dialogue.greeting, dialogue.fallback), (b"EHLO me\r\n", None))
            self.assertEqual(dialogue.required, required)
        self.assertIsNone(commands.dialogue(b"me", mechanisms=("PLAIN",)).fallback)
        self.assertIsNone(commands.dialogue(b"me", tls=lambda: None).fallback)
