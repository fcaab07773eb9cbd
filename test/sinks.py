"""
Sinks: in memory with a client that a test plays, and as processes.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time

from patience import PATIENCE
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

import smtpsource
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.plan import SinkPlan

#: A plan without most of the extensions.
WITHOUT = dict.fromkeys(
    ("startTLS", "auth", "chunking", "dsn", "requireTLS", "mtPriority", "deliverBy", "xclient", "xforward"), False
)


TRANSACTION = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"


class Transport(StringTransport):
    """
    A transport that remembers how often it was written to and whether it was aborted.
    """

    writes = 0
    aborted = False

    def write(self, data):
        self.writes += 1
        StringTransport.write(self, data)

    def abortConnection(self):
        self.aborted = True


class Pair:
    """
    A session and the transport it writes to.
    """

    def __init__(self, **plan):
        self.clock = Clock()
        self.factory = SinkFactory(SinkPlan(**plan), self.clock.seconds, self.clock.callLater)
        self.counts = self.factory.counts
        self.connect()

    def connect(self):
        self.protocol = self.factory.buildProtocol(None)
        self.transport = Transport()
        self.protocol.makeConnection(self.transport)

    def say(self, data):
        """
        @return: what is answered.
        """
        self.transport.clear()
        self.protocol.dataReceived(data)
        return self.transport.value()

    def codes(self, data):
        """
        @return: the codes of what is answered.
        """
        return [int(line[:3]) for line in self.say(data).splitlines()]


def outcome(plan, chunks):
    """
    @return: the replies to a client's bytes, and what was counted, as far as that can't depend on how they
        came.
    """
    pair = Pair(**plan)
    for chunk in chunks:
        if not pair.transport.disconnecting:
            pair.protocol.dataReceived(chunk)
    counts = pair.counts
    errors = {kind: number for kind, (number, _) in counts.errors.items()}
    errors.update(counts.extensions(pair.factory.parameters.counted()))
    return pair.transport.value(), counts.messages, counts.recipients, counts.quits, counts.bytesSent, errors


def extensions(pair):
    """
    @return: what was used, as a report has it.
    """
    return pair.counts.extensions(pair.factory.parameters.counted())


ROOT = os.path.dirname(os.path.dirname(os.path.abspath(smtpsource.__file__)))
ENVIRONMENT = dict(os.environ, PYTHONPATH=ROOT)


class Process:
    """
    A sink in a process of its own, with its outputs in pipes.
    """

    def __init__(
        self, test, *arguments, program=("-P", "-m", "smtpsource.sink"), stdin=subprocess.DEVNULL, people="stdout"
    ):
        os.makedirs(directory := test.mktemp())
        self._process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            env=ENVIRONMENT,
            cwd=directory,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.stdin = self._process.stdin
        self.pid = self._process.pid
        self._read = b""
        self._people = getattr(self._process, people)
        test.addCleanup(self._end)

    def _end(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def line(self, pattern):
        """
        @return: the match of the first line of what people see that has one.
        """
        end = time.monotonic() + PATIENCE
        while True:
            for line in self._read.decode().split("\n")[:-1]:
                match = re.search(pattern, line)
                if match:
                    return match
            readable, _, _ = select.select([self._people], [], [], end - time.monotonic())
            data = os.read(self._people.fileno(), 4096) if readable else b""
            if not data:
                raise AssertionError(f"{pattern!r} never came: {self._read!r}")
            self._read += data

    def port(self):
        """
        @return: the port that the sink listens on.
        """
        return int(self.line(r"^listening on inet:.*:([0-9]+)$").group(1))

    def signal(self, number):
        """
        Send a signal.
        """
        self._process.send_signal(number)

    def closeOutput(self):
        """
        Read no more of its output.
        """
        self._process.stdout.close()
        self._process.stdout = None

    def outcome(self):
        """
        @return: status, the whole output, and errors.
        """
        out, err = self._process.communicate(timeout=PATIENCE)
        if self._people is self._process.stderr:
            err = self._read + err
        else:
            out = self._read + (out or b"")
        return self._process.returncode, out.decode(), err.decode()
