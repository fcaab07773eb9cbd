"""
What a sink needs for many clients at once.
"""

from __future__ import annotations

from patience import TEST_LIMIT
from sinks import Process
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.crowds import Crowd, allowFiles, rss

#: How many there are.
CLIENTS = 2000

#: What a client may cost at the most, in bytes, a few times what it does: a sink that takes everything, and one that
#: keeps messages and dialogues.
PLAIN, KEEPING = 4 * 1024, 12 * 1024


class CrowdTests(SynchronousTestCase):
    """
    Thousands of clients, who are in no hurry.
    """

    timeout = TEST_LIMIT

    def crowd(self, *options):
        """
        @return: a sink with these options, what it needs before there is anybody, and its clients.
        """
        allowFiles(CLIENTS + 500)
        sink = Process(self, *options, "--timeout", "1h", "127.0.0.1:0")
        port = sink.port()
        # What the first clients need, all others share.
        few = Crowd(port, 20)
        few.say(b"EHLO client.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
        few.whenHeard(4)
        few.leave()
        before = rss(sink.pid)
        clients = Crowd(port, CLIENTS)
        self.addCleanup(clients.leave)
        return sink, before, clients

    def test_idle(self):
        """
        Those who have had their banner and say nothing.
        """
        for options, most in (((), PLAIN), (("--keep", "100"), KEEPING)):
            sink, before, clients = self.crowd(*options)
            self.assertLess((rss(sink.pid) - before) / CLIENTS, most, options)
            clients.leave()

    def test_slow(self):
        """
        Those who say all that they say byte by byte, and have each begun a message.
        """
        for options, most in (((), PLAIN), (("--keep", "100"), KEEPING)):
            sink, before, clients = self.crowd(*options)
            clients.say(b"MAIL FROM:<a@b>\r\n", 1)
            clients.whenHeard(1)
            clients.say(b"RCPT TO:<c@d>\r\n", 1)
            clients.whenHeard(1)
            clients.say(b"DATA\r\n", 2)
            clients.whenHeard(1)
            clients.say(b"Subject: x", 1)
            self.assertLess((rss(sink.pid) - before) / CLIENTS, most, options)
            clients.leave()
