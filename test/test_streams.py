"""
Tests for L{smtpsource.process.streams}: readers that are slow, stand still, or are gone.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import signal
import socket
import threading
import tty
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.process import interrupts, streams
from smtpsource.process.streams import Lines, Outlet, Patience, sayOnce

#: More than any pipe, socket or terminal takes while nobody reads.
MUCH = "x" * 79 + "\n"
TIMES = 20_000


class StreamTestCase(SynchronousTestCase):
    """
    What tests of a stream have in common.
    """

    def stream(self, writer, encoding="utf-8"):
        """
        @return: a text stream on a descriptor.
        """
        stream = os.fdopen(writer, "w", encoding=encoding)
        self.addCleanup(self.close, stream)
        return stream

    def close(self, stream):
        try:
            stream.close()
        except OSError:
            pass

    def kinds(self):
        """
        @return: all that can have a reader: a name, its text stream, and what reads.
        """
        reader, writer = os.pipe()
        yield "pipe", self.stream(writer), reader
        path = self.mktemp()
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        yield "FIFO", self.stream(os.open(path, os.O_WRONLY)), reader
        master, slave = pty.openpty()
        tty.setraw(slave)
        yield "terminal", self.stream(slave), master
        one, other = socket.socketpair()
        yield "socket", self.stream(one.detach()), other.detach()

    def readAll(self, reader):
        """
        @return: what is there to read.
        """
        os.set_blocking(reader, False)
        found = b""
        try:
            while data := os.read(reader, 65536):
                found += data
        except OSError:  # nothing more now; of a terminal that is closed, EIO
            pass
        return found

    def readTo(self, reader, end):
        """
        @return: what is read until it ends with this.
        """
        found = b""
        while not found.endswith(end):
            if not select.select([reader], [], [], 60)[0]:
                raise AssertionError(f"it never came: {found[-100:]!r}")
            found += os.read(reader, 65536)
        return found


class OutletTests(StreamTestCase):
    """
    L{Outlet}.
    """

    def test_taken(self):
        """
        What is taken at once is out at once, and how the descriptor was given to us is not changed.
        """
        for kind, stream, reader in self.kinds():
            before = fcntl.fcntl(stream.fileno(), fcntl.F_GETFL)
            outlet = Outlet(stream)
            outlet.say("one\n")
            self.assertTrue(outlet.sayIfFree("two\n"), kind)
            self.assertEqual(self.readAll(reader), b"one\ntwo\n", kind)
            self.assertTrue(outlet.finish(Patience(0)), kind)
            self.assertEqual(fcntl.fcntl(stream.fileno(), fcntl.F_GETFL), before, kind)
            os.close(reader)

    def test_nobodyReads(self):
        """
        A reader that stands still is not waited for; when it reads again it gets everything that was to be said, and in
        the place of lines that were too many, how many they were. What is of the moment is left out.
        """
        self.patch(streams, "ROOM", 100_000)
        for kind, stream, reader in self.kinds():
            outlet = Outlet(stream)
            outlet.say("first\n")
            for _ in range(TIMES):
                outlet.sayIfRoom(MUCH)
            self.assertFalse(outlet.sayIfFree("of the moment\n"), kind)
            outlet.say("last\n")
            finished = threading.Thread(target=outlet.finish, args=(Patience(60),))
            finished.start()
            found = self.readTo(reader, b"last\n")
            finished.join()
            self.assertIsNone(outlet.problem)
            lines = found.decode().splitlines(keepends=True)
            self.assertEqual((lines[0], lines[-1]), ("first\n", "last\n"))
            # A terminal may have had room for some more in between.
            gaps = [line for line in lines[1:-1] if line != MUCH]
            for gap in gaps:
                self.assertRegex(gap, r"^\[[0-9]+ lines are left out here: they were not read in time\]\n$", kind)
            self.assertEqual(lines[-2], gaps[-1], kind)
            self.assertEqual(lines.count(MUCH) + sum(int(gap[1:].split()[0]) for gap in gaps), TIMES, kind)
            os.close(reader)

    def test_gap(self):
        """
        Where lines are left out in the middle, it is told there.
        """
        self.patch(streams, "ROOM", 1000)
        reader, writer = os.pipe()
        outlet = Outlet(self.stream(writer))
        while not outlet._left:
            outlet.sayIfRoom(MUCH)
        self.readAll(reader)
        outlet.sayIfRoom("next\n")
        self.assertTrue(
            self.readAll(reader).endswith(b"\n[1 lines are left out here: they were not read in time]\nnext\n")
        )
        os.close(reader)

    def test_withoutReopening(self):
        """
        Where a pipe or a terminal can't be opened again, as another user's can't, it is not waited for either.
        """
        genuine = os.open

        def refuse(path, *arguments, **settings):
            if str(path).startswith(("/proc/self/fd/", "/dev/pts/")):
                raise PermissionError(13, "Permission denied")
            return genuine(path, *arguments, **settings)

        with mock.patch("os.open", refuse):
            found = [(kind, Outlet(stream), reader) for kind, stream, reader in self.kinds()]
        for kind, outlet, reader in found:
            outlet.say(MUCH * TIMES)
            self.assertFalse(outlet.finish(Patience(0)), kind)
            self.assertEqual(outlet.problem.strerror, "nobody reads it")
            self.assertGreater(len(self.readAll(reader)), 1000, kind)
            os.close(reader)

    def test_patience(self):
        """
        At the end a reader is waited for as long as it takes something now and then, and no longer.
        """
        reader, writer = os.pipe()
        outlet = Outlet(self.stream(writer))
        outlet.say(MUCH * 10_000)
        patience = Patience(60)
        taken = []

        def readSome():
            while sum(taken) < 300_000:
                taken.append(len(os.read(reader, 1000)))
            patience._seconds = 0
            patience.renew()

        thread = threading.Thread(target=readSome)
        thread.start()
        self.assertFalse(outlet.finish(patience))
        thread.join()
        self.assertGreaterEqual(sum(taken), 300_000)
        outlet.say("more")
        self.assertEqual(outlet.problem.strerror, "nobody reads it")
        self.assertLess(len(self.readAll(reader)), 100_000)
        os.close(reader)

    def test_signal(self):
        """
        A signal ends the waiting.
        """
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.patch(interrupts._State, "own", True)
        self.patch(interrupts._State, "received", 0)
        self.patch(interrupts._State, "settled", False)
        for number in interrupts.NUMBERS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        interrupts.settle()
        outlet = Outlet(self.stream(writer))
        outlet.say(MUCH * 10_000)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        self.assertFalse(outlet.finish(Patience(1000)))
        timer.join()

    def test_again(self):
        """
        What was not taken at once is tried again by and by.
        """
        clock = Clock()
        reader, writer = os.pipe()
        outlet = Outlet(self.stream(writer))
        outlet.attend(clock)
        outlet.say("x" * 100_000)
        self.assertEqual(len(self.readAll(reader)), 65536)
        clock.advance(1)
        self.assertEqual(len(self.readAll(reader)), 100_000 - 65536)
        clock.advance(1)
        self.assertEqual(clock.getDelayedCalls(), [])
        outlet.say("x" * 100_000)
        self.assertFalse(outlet.finish(Patience(0)))
        self.assertEqual(clock.getDelayedCalls(), [])
        os.close(reader)

    def test_lost(self):
        """
        A stream that is closed or full, or whose reader is gone, is remembered as that; nothing is raised.
        """
        reader, writer = os.pipe()
        os.close(reader)
        closed = self.stream(os.open(os.devnull, os.O_RDONLY))
        for stream, problem in (
            (None, "it is closed"),
            (self.stream(os.open("/dev/full", os.O_WRONLY)), "No space left on device"),
            (self.stream(writer), "Broken pipe"),
            (closed, "Bad file descriptor"),
        ):
            outlet = Outlet(stream)
            outlet.say("text\n")
            outlet.sayIfRoom("text\n")
            outlet.sayIfFree("text\n")
            self.assertFalse(outlet.finish(Patience(0)))
            self.assertEqual(outlet.problem.strerror, problem)
            self.assertEqual(sayOnce(stream, "text\n").strerror, problem)

    def test_terminalGone(self):
        """
        A terminal that is gone is none any more, and raises nothing.
        """
        master, slave = pty.openpty()
        outlet = Outlet(self.stream(slave))
        self.assertTrue(outlet.isatty())
        os.close(master)
        outlet.say("text\n")
        self.assertFalse(outlet.finish(Patience(0)))
        self.assertEqual(outlet.problem.strerror, "Input/output error")
        self.assertFalse(Outlet(None).isatty())

    def test_encoding(self):
        """
        What a stream's encoding does not have is escaped.
        """
        text = os.fsdecode(b"caf\xe9") + " \u00fc"
        reader, writer = os.pipe()
        Outlet(self.stream(writer, "ascii")).say(text)
        self.assertEqual(self.readAll(reader), b"caf\\udce9 \\xfc")
        os.close(reader)
        plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        Outlet(plain).say(text)
        self.assertEqual(plain.buffer.getvalue(), b"caf\\udce9 \\xfc")

    def test_lines(self):
        """
        A log can be written to one.
        """
        reader, writer = os.pipe()
        file = Lines(Outlet(self.stream(writer)))
        file.write("a line\n")
        file.flush()
        self.assertEqual(self.readAll(reader), b"a line\n")
        os.close(reader)
