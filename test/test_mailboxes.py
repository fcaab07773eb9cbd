"""
Tests for L{smtpsource.sink.keeping.maildir} and L{smtpsource.sink.keeping.mbox}: mailboxes that others read.
"""

from __future__ import annotations

import errno
import fcntl
import mailbox
import os
import re
import subprocess
import sys

from hypothesis import strategies as st
from keptmessages import CONTENT, filesBelow, fullDisk, kept, smallFiles
from patience import PATIENCE
from properties import given
from subprocesses import ROOT
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from smtpsource.sink.keeping.maildir import Maildir
from smtpsource.sink.keeping.mbox import Mbox
from smtpsource.sink.keeping.message import IKeeper
from smtpsource.sink.keeping.texts import PIECE

#: Contents that have what is quoted in an mbox file, whole and torn, and line ends of all kinds.
CONTENTS = st.lists(
    st.sampled_from([b"From ", b"Fro", b"m ", b">", b"\r\n", b"\n", b"\r", b"\n\n", b"F"]) | st.binary(max_size=4),
    max_size=40,
).map(b"".join)


def asText(content):
    """
    @return: content as files have it: LF at the end of each line.
    """
    text = content.replace(b"\r\n", b"\n")
    return text if text.endswith(b"\n") or not text else text + b"\n"


def withoutEnvelope(text):
    """
    @return: what comes after the lines that were put above a message.
    """
    return re.split(rb"\n\tby .*\n", text, maxsplit=1)[1]


class Pieces:
    """
    A content that is read in small pieces.
    """

    def __init__(self, content, size):
        self._content, self._size = content, size

    def seek(self, place):
        self._place = place

    def read(self, most):
        piece = self._content[self._place : self._place + min(most, self._size)]
        self._place += len(piece)
        return piece


class MaildirTests(SynchronousTestCase):
    """
    A Maildir.
    """

    def setUp(self):
        self.path = self.mktemp()
        self.maildir = Maildir(self.path, "sink.example.com")

    def files(self):
        """
        @return: what is in it.
        """
        return filesBelow(self.path)

    def test_message(self):
        """
        A message is in C{new}, with its envelope above it, and LF at the end of each line.
        """
        self.assertTrue(verifyObject(IKeeper, self.maildir))
        message = kept(helo=b"me\nX: y", client="::1", tls=True, user="joe", recipients=["b@x.test", "c@x.test"])
        self.maildir.keep(message)
        [(name, text)] = self.files().items()
        self.assertRegex(name, r"\Anew/[0-9]+\.M[0-9]+P[0-9]+Q[0-9]+\.sink\.example\.com,S=%d\Z" % len(text))
        head, date, rest = re.split(rb"(?<=; )(.*)(?=\n)", text, maxsplit=1)
        self.assertEqual(
            b"Return-Path: <a@example.com>\n"
            b"Delivered-To: b@x.test\n"
            b"Delivered-To: c@x.test\n"
            b"Received: from me?X: y ([IPv6:::1])\n"
            b"\tby sink.example.com with ESMTPSA; ",
            head,
        )
        self.assertRegex(date, rb"\A\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d [+-]\d{4} \(.+\)\Z")
        self.assertEqual(b"\n" + CONTENT.replace(b"\r\n", b"\n"), rest)

    def test_directories(self):
        """
        The three directories are made, for its owner only, and again if somebody has removed them.
        """
        self.maildir.make()
        self.assertEqual(["cur", "new", "tmp"], sorted(os.listdir(self.path)))
        self.assertEqual(0o40700, os.stat(os.path.join(self.path, "new")).st_mode)
        for removed in ("new", "tmp", "cur"):
            for name in self.files():
                os.unlink(os.path.join(self.path, name))
            os.rmdir(os.path.join(self.path, removed))
            self.maildir.make() if removed == "cur" else None
            self.maildir.keep(kept())
            self.assertEqual(["new"], [os.path.dirname(name) for name in self.files()])
            self.assertEqual(["cur", "new", "tmp"], sorted(os.listdir(self.path)))

    def test_names(self):
        """
        No two messages have the same name, and what would be no name is escaped.
        """
        one, other = (Maildir(self.path, "a/b:c") for _ in range(2))
        for _ in range(50):
            one.keep(kept())
            other.keep(kept())
        names = list(self.files())
        self.assertEqual(100, len(names))
        for name in names:
            self.assertIn(".a\\057b\\072c,S=", name)
            self.assertNotIn(":", name)

    def test_takeBack(self):
        """
        What has no room elsewhere is not here either; whether or not it is still there.
        """
        takeBack = self.maildir.keep(kept())
        takeBack()
        self.assertEqual({}, self.files())
        takeBack()

    @given(CONTENTS)
    def test_anything(self, content):
        """
        Python's C{mailbox} reads what was sent, whatever it is.
        """
        path = self.mktemp()
        Maildir(path).keep(kept(content))
        [key] = mailbox.Maildir(path).keys()
        text = mailbox.Maildir(path).get_bytes(key)
        self.assertEqual(asText(content), withoutEnvelope(text))

    def test_large(self):
        """
        A CR is at the end of a piece now and then.
        """
        content = b"x" * (PIECE - 1) + b"\r\n" + b"y" * (PIECE - 2) + b"\r\r\n"
        self.maildir.keep(kept(content))
        [text] = self.files().values()
        self.assertTrue(text.endswith(asText(content)))

    def test_full(self):
        """
        On a full disk there is nothing left of a message, and when there is room again it works.
        """
        with fullDisk(self.path):
            self.maildir.make()
            error = self.assertRaises(OSError, self.maildir.keep, kept(b"x" * 70_000))
            self.assertIn(error.errno, (errno.ENOSPC, errno.EFBIG))
            self.assertEqual({}, self.files())
        self.maildir.keep(kept(b"x" * 70_000))
        self.assertEqual(1, len(self.files()))

    def test_fullAnywhere(self):
        """
        Wherever the disk is full: in the header, at once, at the very end.
        """
        self.maildir.keep(kept(b"x" * 200_000))
        [(name, text)] = self.files().items()
        os.unlink(os.path.join(self.path, name))
        for room in (0, 1, 50, 300, PIECE, 150_000, len(text) - 1):
            with smallFiles(room):
                self.assertRaises(OSError, self.maildir.keep, kept(b"x" * 200_000))
            self.assertEqual({}, self.files(), room)

    def test_noDirectory(self):
        """
        What is no directory stays what it is.
        """
        with open(self.path, "wb") as file:
            file.write(b"hello")
        self.assertRaises(OSError, self.maildir.make)
        self.assertRaises(OSError, self.maildir.keep, kept())


class MboxTests(SynchronousTestCase):
    """
    An mbox file.
    """

    def setUp(self):
        self.path = self.mktemp()
        self.mbox = Mbox(self.path, "sink.example.com")

    def content(self):
        """
        @return: the whole file.
        """
        with open(self.path, "rb") as file:
            return file.read()

    def bodies(self):
        """
        @return: what a reader that knows mboxrd makes of the messages, without the lines of their envelopes.
        """
        box = mailbox.mbox(self.path)
        try:
            texts = [withoutEnvelope(box.get_bytes(key)) for key in sorted(box.keys())]
        finally:
            box.close()
        return [re.sub(rb"^>(>*From )", rb"\1", text, flags=re.MULTILINE) for text in texts]

    def test_message(self):
        """
        A line with sender and time, the envelope, the message, and an empty line.
        """
        self.assertTrue(verifyObject(IKeeper, self.mbox))
        self.mbox.keep(kept(b"Subject: x\r\n\r\nFrom here\r\n>From there\r\n From no\r\nend"))
        text = re.sub(rb"(?<=; ).*", b"DATE", self.content())
        self.assertEqual(
            b"From a@example.com Fri Jan 15 08:00:00 2027\n"
            b"Return-Path: <a@example.com>\n"
            b"Delivered-To: b@example.com\n"
            b"Received: from client.example.com ([127.0.0.1])\n"
            b"\tby sink.example.com with ESMTP; DATE\n"
            b"Subject: x\n"
            b"\n"
            b">From here\n"
            b">>From there\n"
            b" From no\n"
            b"end\n"
            b"\n",
            text,
        )
        self.assertEqual(0o100600, os.stat(self.path).st_mode)

    def test_senders(self):
        """
        The line before a message has an address in one word.
        """
        self.mbox.keep(kept(sender=""))
        self.mbox.keep(kept(sender='"a b"@example.com'))
        self.assertEqual(
            [b"From MAILER-DAEMON Fri", b'From "a-b"@example.com Fri'],
            re.findall(rb"^From .*? Fri(?= Jan)", self.content(), re.MULTILINE),
        )

    @given(st.lists(CONTENTS, max_size=3))
    def test_anything(self, contents):
        """
        Python's C{mailbox} finds all messages, and a reader of mboxrd has what was sent, whatever it is.
        """
        self.path = self.mktemp()
        mbox = Mbox(self.path)
        for content in contents:
            mbox.keep(kept(content))
        self.assertEqual([asText(content) for content in contents], self.bodies())

    @given(CONTENTS, st.integers(1, 4))
    def test_pieces(self, content, size):
        """
        However a content is torn into pieces.
        """
        self.path = self.mktemp()
        message = kept()
        message.content = Pieces(content, size)
        Mbox(self.path).keep(message)
        self.assertEqual([asText(content)], self.bodies())

    def test_added(self):
        """
        What was in the file stays there.
        """
        with open(self.path, "wb") as file:
            file.write(b"From x Fri Jan 15 08:00:00 2027\n\nold\n\n")
        self.mbox.keep(kept(b"new\r\n"))
        self.assertTrue(self.content().startswith(b"From x Fri Jan 15 08:00:00 2027\n\nold\n\nFrom a@example.com"))

    def test_takeBack(self):
        """
        What has no room elsewhere is taken away again.
        """
        self.mbox.keep(kept(b"one\r\n"))
        before = self.content()
        self.mbox.keep(kept(b"two\r\n"))()
        self.assertEqual(before, self.content())

    def test_takeBackLate(self):
        """
        When another message has come after it, it stays.
        """
        takeBack = self.mbox.keep(kept(b"one\r\n"))
        self.mbox.keep(kept(b"two\r\n"))
        takeBack()
        self.assertEqual([b"one\n", b"two\n"], self.bodies())
        os.unlink(self.path)
        takeBack()
        self.assertFalse(os.path.exists(self.path))

    def test_full(self):
        """
        On a full disk the file keeps what it had.
        """
        directory = self.mktemp()
        self.path = os.path.join(directory, "mbox")
        mbox = Mbox(self.path)
        with fullDisk(directory):
            mbox.keep(kept(b"one\r\n"))
            before = self.content()
            error = self.assertRaises(OSError, mbox.keep, kept(b"x" * 70_000))
            self.assertIn(error.errno, (errno.ENOSPC, errno.EFBIG))
            self.assertEqual(before, self.content())
            mbox.keep(kept(b"two\r\n"))
            self.assertEqual([b"one\n", b"two\n"], self.bodies())

    def test_fullAnywhere(self):
        """
        Wherever the disk is full.
        """
        self.mbox.keep(kept(b"one\r\n"))
        before = self.content()
        for room in (0, 1, 50, 300, PIECE, 150_000, 200_000):
            with smallFiles(len(before) + room):
                self.assertRaises(OSError, self.mbox.keep, kept(b"x" * 200_000))
            self.assertEqual(before, self.content(), room)

    def test_device(self):
        """
        A device that is always full, and is no file, is told of as well.
        """
        error = self.assertRaises(OSError, Mbox("/dev/full").keep, kept())
        self.assertEqual(errno.ENOSPC, error.errno)

    def test_notWaitedFor(self):
        """
        A FIFO is no mailbox, whether anybody reads from it or not: nobody waits for that.
        """
        os.mkfifo(self.path)
        self.assertRaises(OSError, self.mbox.keep, kept())
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.assertRaises(OSError, self.mbox.keep, kept())
        self.assertEqual(b"", os.read(reader, 1))

    def test_locked(self):
        """
        Who has locked the file, in either way, is not waited for: the message is refused, and the file as it was.
        """
        self.mbox.keep(kept(b"one\r\n"))
        for lock in (fcntl.flock, fcntl.lockf):
            size = os.stat(self.path).st_size
            with open(self.path, "r+b") as file:
                lock(file, fcntl.LOCK_EX)
                (writer,) = self.writers(1)
                self.assertEqual(b"refused: another program has locked it\n", writer.stdout.readline())
                # (Whoever opens and closes the file here would give up the lock of the second kind.)
                self.assertEqual(size, os.stat(self.path).st_size)
            out, _ = writer.communicate(timeout=PATIENCE)
            self.assertEqual((0, b"done\n"), (writer.returncode, out.splitlines(True)[-1]))
        self.assertEqual(101, len(self.bodies()))

    def test_many(self):
        """
        There may be many who write.
        """
        for writer in self.writers(3):
            writer.communicate(timeout=PATIENCE)
            self.assertEqual(0, writer.returncode)
        bodies = self.bodies()
        self.assertEqual((150, {b"x" * 3000 + b"\n"}), (len(bodies), set(bodies)))

    def writers(self, number):
        """
        @return: processes that write 50 messages each; whoever is refused tries again.
        """
        script = (
            "import sys; sys.path[:0] = sys.argv[2:]\n"
            "from keptmessages import kept\n"
            "from smtpsource.sink.keeping.mbox import Mbox\n"
            "left = 50\n"
            "while left:\n"
            "    try:\n"
            "        Mbox(sys.argv[1]).keep(kept(b'x' * 3000))\n"
            "        left -= 1\n"
            "    except OSError as e:\n"
            "        print('refused:', e.strerror, flush=True)\n"
            "print('done', flush=True)\n"
        )
        command = [sys.executable, "-c", script, self.path, str(ROOT), str(ROOT / "test")]
        writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(number)]
        for writer in writers:
            self.addCleanup(writer.kill)
        return writers
