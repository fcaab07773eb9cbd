"""
Tests for L{smtpsource.sink.keeping.dump}: what is dumped of messages is what Postfix's smtp-sink dumps.
"""

from __future__ import annotations

import errno
import os
import re
import time

from keptmessages import CONTENT, filesBelow, fullDisk, kept, smallFiles
from sinkdifferential import Step, normalizedDump, normalizedFiles, postfix, run
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from smtpsource.sink.keeping import dump
from smtpsource.sink.keeping.dump import Dump, unescaped
from smtpsource.sink.keeping.message import IKeeper

#: A text for C{-S} with all that C knows, and what it does not.
ESCAPES = r"A\a\b\f\n\r\t\v\\\101\1\12x\1011\q\8\x41\'\"\?\777\401 \ ü\n" + "\\"


class DumpTests(SynchronousTestCase):
    """
    Files with messages.
    """

    def setUp(self):
        self.path = self.mktemp()

    def dump(self, template, start=b"", append=False):
        """
        @return: a dump below the test's directory.
        """
        return Dump(os.path.join(self.path, template), start, "sink.test", append)

    def files(self):
        """
        @return: what is there.
        """
        return filesBelow(self.path)

    def test_oneEach(self):
        """
        Each message has a file of its own, named after the time of MAIL and with the id of the message.
        """
        keeper = self.dump("%Y/%m.")
        self.assertTrue(verifyObject(IKeeper, keeper))
        for _ in range(3):
            keeper.keep(kept())
        files = self.files()
        self.assertEqual(3, len(files))
        year = time.strftime("%Y/%m.", time.localtime(1_800_000_000))
        for name, text in files.items():
            self.assertRegex(name, rf"\A{re.escape(year)}[0-9a-f]{{8}}\Z")
            self.assertIn(f" id {name[-8:]};\n".encode(), text)
            self.assertEqual(0o100644, os.stat(os.path.join(self.path, name)).st_mode)

    def test_shared(self):
        """
        Messages are added to a file, each with the text before it.
        """
        keeper = self.dump("all", b"\f", True)
        keeper.keep(kept())
        keeper.keep(kept(b"\r\n"))
        [(name, text)] = self.files().items()
        self.assertEqual("all", name)
        self.assertTrue(text.startswith(b"\fX-Client-Addr: "))
        self.assertEqual(1, text.count(b"\n\fX-Client-Addr: "))

    def test_directories(self):
        """
        Directories that are missing are for all to read, whatever the umask would allow others.
        """
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.dump("one/two/x").keep(kept())
        for name in ("one", "one/two"):
            self.assertEqual(0o40755, os.stat(os.path.join(self.path, name)).st_mode)

    def test_taken(self):
        """
        A file that is there already is never written to.
        """
        ids = iter(["00000001", "00000001", "00000002"])
        self.patch(dump.secrets, "token_hex", lambda octets: next(ids))
        keeper = self.dump("m")
        keeper.keep(kept(b"one\r\n"))
        keeper.keep(kept(b"two\r\n"))
        files = self.files()
        self.assertEqual(["m00000001", "m00000002"], sorted(files))
        self.assertIn(b"one\n", files["m00000001"])
        self.patch(dump.secrets, "token_hex", lambda octets: "00000001")
        self.assertRaises(FileExistsError, keeper.keep, kept())
        self.assertEqual(files, self.files())

    def test_takeBack(self):
        """
        What has no room elsewhere is taken away again.
        """
        self.dump("m").keep(kept())()
        self.assertEqual({}, self.files())
        shared = self.dump("all", append=True)
        shared.keep(kept())
        before = self.files()
        shared.keep(kept())()
        self.assertEqual(before, self.files())

    def test_full(self):
        """
        On a full disk nothing is left of a message, and a shared file keeps what it had.
        """
        one, shared = self.dump("m"), self.dump("all", append=True)
        with fullDisk(self.path):
            shared.keep(kept())
            before = self.files()
            for keeper in (one, shared):
                error = self.assertRaises(OSError, keeper.keep, kept(b"x" * 70_000))
                self.assertIn(error.errno, (errno.ENOSPC, errno.EFBIG))
            self.assertEqual(before, self.files())

    def test_fullAnywhere(self):
        """
        Wherever the disk is full.
        """
        one, shared = self.dump("m"), self.dump("all", append=True)
        shared.keep(kept())
        before = self.files()
        had = len(before["all"])
        for room in (0, 1, 100, 300, 65536, 200_000):
            with smallFiles(room):
                self.assertRaises(OSError, one.keep, kept(b"x" * 200_000))
            with smallFiles(had + room):
                self.assertRaises(OSError, shared.keep, kept(b"x" * 200_000))
            self.assertEqual(before, self.files(), room)

    def test_noName(self):
        """
        A template must be the name of a file; a directory will do if digits follow.
        """
        for template, append in [("", False), ("", True), ("dir/", True)]:
            error = self.assertRaises(ValueError, Dump, template, b"", "x", append)
            self.assertEqual("expected the name of a file, with % as strftime(3) has it", str(error))
        self.dump("dir/").keep(kept())
        [name] = self.files()
        self.assertRegex(name, r"\Adir/[0-9a-f]{8}\Z")

    def test_nul(self):
        """
        A text with a NUL in it would not be all written by Postfix's smtp-sink.
        """
        for text in (r"a\0b", r"\400"):
            error = self.assertRaises(ValueError, unescaped, text)
            self.assertEqual("expected a text without a NUL character", str(error))


class PostfixTests(SynchronousTestCase):
    """
    The same messages, dumped by Postfix's smtp-sink and by ours.
    """

    def judged(self, options, steps, family="inet"):
        """
        @return: what Postfix's dumps.
        """
        return normalizedFiles(run(postfix(), options, steps, family))

    def same(self, message, greeting=b"EHLO client.example.com\r\n", family="inet", options=(), start=b""):
        """
        See that both dump the same.
        """
        steps = [
            *([Step(greeting)] if greeting else []),
            Step(b"MAIL FROM:" + message.mail + b"\r\n"),
            *(Step(b"RCPT TO:" + rcpt + b"\r\n") for rcpt in message.rcpts),
            Step(b"DATA\r\n"),
            Step(re.sub(rb"(?m)^\.", b"..", message.content.getvalue()) + b".\r\n"),
        ]
        for append in (False, True):
            expected = self.judged(["-D" if append else "-d", "x/%Y/m", *options], steps, family)
            path = self.mktemp()
            now = time.time()
            message.started, message.received = now, now
            Dump(os.path.join(path, "x/%Y/m"), start, "smtp-sink", append).keep(message)
            [(name, text)] = filesBelow(path).items()
            if not append:
                name = name[:-8] + "ID"
            self.assertEqual(expected, [(name, normalizedDump(text))])

    def test_usual(self):
        """
        A usual message, with dots and bare CR and LF in it.
        """
        self.same(kept(CONTENT + b".dot\r\n..\r\nfoo\rbar\nbaz\r\r\n\r\n"))

    def test_large(self):
        """
        A large one, with CR at the ends of pieces.
        """
        self.same(kept(b"x" * 65535 + b"\r\n" + b"y\r\n" * 100_000))

    def test_empty(self):
        """
        One without anything in it.
        """
        self.same(kept(b""))

    def test_recipients(self):
        """
        Recipients and parameters as they came.
        """
        mail = b"<> SIZE=100  BODY=8BITMIME "
        self.same(kept(mail=mail, rcpts=[b"<b@example.com>", b"<@a,@b:c@d> NOTIFY=NEVER", b"  <x>"]))

    def test_protocols(self):
        """
        Without a greeting, HELO, and LMTP with its own.
        """
        self.same(kept(protocol="SMTP", helo=b""), b"")
        self.same(kept(protocol="SMTP", helo=b"a  b "), b"HELO a  b \r\n")
        self.same(kept(protocol="LMTP", helo=b"me"), b"LHLO me\r\n", options=["-L"])

    def test_unprintable(self):
        """
        What a client says can't write lines of its own.
        """
        helo = b"a\nX-Mail-Args: b\rc\t\xc3\xbc\x7f\x01"
        self.same(kept(helo=helo, mail=b" \t<a@b>\n \xff", rcpts=[b"<\t@x>"]), b"EHLO %b\r\n" % helo)

    def test_families(self):
        """
        IPv6 and UNIX sockets.
        """
        self.same(kept(client="::1"), family="inet6")
        self.same(kept(client="::1", protocol="SMTP", helo=b""), b"", family="inet6")
        self.same(kept(client="local"), family="unix")
        self.same(kept(client="local", protocol="SMTP", helo=b""), b"", family="unix")

    def test_start(self):
        """
        A text before each message, with C's escapes.
        """
        self.same(kept(), options=["-S", ESCAPES], start=unescaped(ESCAPES))

    def test_template(self):
        """
        A template with what strftime(3) doesn't know, and a percent sign at its end.
        """
        expected = self.judged(["-d", "a/b%%%q/%", "-h", "sink.test"], self.few())
        path = self.mktemp()
        Dump(os.path.join(path, "a/b%%%q/%"), b"", "sink.test", False).keep(kept(b"", protocol="SMTP", helo=b""))
        [(name, text)] = filesBelow(path).items()
        self.assertEqual(expected, [(name[:-8] + "ID", normalizedDump(text))])

    def few(self):
        """
        @return: an empty message in as few steps as possible.
        """
        lines = (b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.com>", b"DATA", b".")
        return [Step(line + b"\r\n") for line in lines]
