"""
Large messages: they stream, and cost no memory worth the name.
"""

import re
import signal
from pathlib import Path

from patience import TEST_LIMIT
from peers import eventually
from subprocesses import reported, smtpsource
from twisted.internet import defer, protocol, reactor
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import TestCase

SESSIONS = 1000
SIZE = 10 * 1024 * 1024


class DeafServer(LineReceiver):
    """
    Says yes to everything, and stops reading when content comes.
    """

    def connectionMade(self):
        self.sendLine(b"220 deaf")

    def lineReceived(self, line):
        if line == b"DATA":
            self.transport.pauseProducing()
            self.factory.waiting.add(self)
            self.sendLine(b"354 go on")
        else:
            self.sendLine(b"250 ok")


class MemoryTests(TestCase):
    """
    What a run needs does not grow with what it sends.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_slowReader(self):
        """
        1,000 sessions, each with a message of 10 MB that the server does not take: 10 GB are on their way, and the
        process has a few hundred KB for each session, not 10 MB.
        """
        factory = protocol.ServerFactory.forProtocol(DeafServer)
        factory.noisy = False
        factory.waiting = set()
        port = reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=SESSIONS)
        self.addCleanup(port.stopListening)
        command = smtpsource(
            self,
            *("-A", "-s", str(SESSIONS), "-m", str(SESSIONS), "-l", str(SIZE), "--grace", "0", "--report", "r.json"),
            f"127.0.0.1:{port.getHost().port}",
        )
        yield eventually(lambda: len(factory.waiting) == SESSIONS, "all sessions have a message on its way")
        # Each writes until its transport has had enough: when what was sent grows no more, they all have.
        yield eventually(_Steady(command.pid), "nothing more is written")
        peak = _status(command.pid, "VmHWM")
        command.signal(signal.SIGTERM)
        yield command.whenEnded()
        # They don't read, so they never see that it is over.
        for server in factory.waiting:
            server.transport.abortConnection()
        report = reported((command.directory / "r.json").read_bytes())
        self.assertEqual(report["messages"], {"started": SESSIONS, "accepted": 0, "rejected": 0, "failed": SESSIONS})
        self.assertGreater(report["bytes"]["sent"], SESSIONS * 65536)
        # The body itself twice while it is made, Python and Twisted, and two chunks for each session.
        self.assertLess(peak, (3 * SIZE + 100 * 2**20 + SESSIONS * 2 * 65536) // 1024)


class _Steady:
    """
    Has a process stopped using its processor?
    """

    def __init__(self, pid):
        self.pid = pid
        self.ticks = -1
        self.same = 0

    def __call__(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        self.same = self.same + 1 if ticks == self.ticks else 0
        self.ticks = ticks
        return self.same >= 10


def _status(pid, name):
    """
    A figure of a process's memory, in KiB.
    """
    return int(re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])
