"""
A real Postfix relays to a sink that makes it hard, and everything arrives.
"""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

from peercase import PeerTestCase
from peers import PostfixServer, eventually
from subprocesses import loadAndReport, smtpsink
from twisted.internet import defer

#: How many messages each test relays.
MESSAGES = 40

#: Who is refused comes back after two seconds. After one, the queue manager may find that the message is still being
#: delivered, and then leaves it for a minute.
HASTY = {
    "minimal_backoff_time": "2s",
    "maximal_backoff_time": "2s",
    "queue_run_delay": "1s",
    "smtp_connect_timeout": "5s",
}

#: Such a message is looked at again when the queue manager is woken, which is each second here.
SERVICES = ["qmgr unix n - n 1 1 qmgr", "smtp unix - - n - 10 smtp"]

GREYLIST = """
[greylist]
delay = "1s"
"""

LIMITS = """
[[rule]]
name = "busy"
on = "connect"
times = 3
per = "all"
do = { reply = "421 4.3.2 Busy", close = true }

[[rule]]
name = "connections"
on = "connect"
connections = 2
per = "all"
do = { reply = "421 4.7.0 Too many connections", close = true }

[[rule]]
name = "limit"
on = "mail"
limit = "20/s"
burst = 5
do = { reply = "421 4.7.28 Too fast", close = true }
"""

TARPIT = """
[tarpit]
after = 1
delay = "50ms"
step = "50ms"
max = "200ms"
close-after = 4

[[rule]]
name = "refused"
on = "rcpt"
chance = "40%"
do = { reply = "450 4.2.0 Not now" }
"""

RESETS = """
[[rule]]
name = "middle"
on = "content"
when = { size-above = 20000 }
chance = "10%"
do = { reset = true }

[[rule]]
name = "end"
on = "message"
every = 5
do = { close = true }
"""


class RelayTests(PeerTestCase):
    """
    Postfix takes messages, and gets rid of all of them in the end.
    """

    @defer.inlineCallbacks
    def relay(self, rules, size=1000):
        """
        Let Postfix relay to a sink with rules until it has nothing left.

        @param rules: a file of them.
        @param size: of the messages' bodies.

        @return: a L{defer.Deferred} that fires with the sink's report and Postfix's log. Each message was kept once:
            the sink never says no, or nothing, about a message that it keeps.
        """
        path = os.path.abspath(self.mktemp())
        Path(path).write_text(rules)
        sink = smtpsink(self, "--rules", path, "--report", "report.json", "--maildir", "kept", "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"listening on inet:.*:([0-9]+)$")
        settings = {**HASTY, "default_transport": f"smtp:[127.0.0.1]:{int(match[1])}"}
        peer = yield self.peer(PostfixServer(settings=settings, services=SERVICES))
        marks = ("--header", "X-Number: {n}", "-l", size)
        result, report = yield loadAndReport(self, "-d", "-s", 4, "-m", MESSAGES, *marks, peer.destination)
        self.assertEqual(report["messages"]["accepted"], MESSAGES, result)
        removed = re.compile(r"qmgr\[\d+\]: [0-9A-Za-z]+: removed")
        yield eventually(lambda: len(removed.findall(peer.log())) == MESSAGES, "the end of all messages")
        self.assertEqual(queued(peer), [])
        sink.signal(signal.SIGTERM)
        yield sink.whenEnded()
        files = list((sink.directory / "kept" / "new").iterdir())
        numbers = [int(re.search(rb"^X-Number: (\d+)", file.read_bytes(), re.M)[1]) for file in files]
        self.assertEqual(sorted(numbers), list(range(1, MESSAGES + 1)))
        self.assertEqual(peer.log().count("status=bounced"), 0)
        found = json.loads((sink.directory / "report.json").read_text())
        self.assertEqual((found["messages"], found["kept"]), (MESSAGES, MESSAGES))
        return found, peer.log()

    @defer.inlineCallbacks
    def test_greylisting(self):
        """
        Each is refused at first.
        """
        found, log = yield self.relay(GREYLIST)
        self.assertGreaterEqual(found["rules"]["greylist"], 1)
        self.assertIn("status=deferred", log)

    @defer.inlineCallbacks
    def test_limits(self):
        """
        Few connections, few messages a second, and 421 for all others; and for the first in any case.
        """
        found, log = yield self.relay(LIMITS)
        self.assertEqual(found["rules"]["busy"], 3)
        self.assertIn("421 4.3.2 Busy", log)

    @defer.inlineCallbacks
    def test_tarpit(self):
        """
        Who has had recipients refused waits ever longer, and is shown the door.
        """
        found, log = yield self.relay(TARPIT)
        self.assertGreaterEqual(found["rules"]["refused"], 1)
        self.assertIn("450 4.2.0 Not now", log)

    @defer.inlineCallbacks
    def test_resets(self):
        """
        Connections are gone in the middle of content, and without a reply at its end.
        """
        found, log = yield self.relay(RESETS, size=200_000)
        self.assertGreaterEqual(found["rules"]["middle"], 1)
        self.assertGreaterEqual(found["rules"]["end"], 1)
        self.assertIn("lost connection", log)


def queued(peer):
    """
    @return: the files of messages that a Postfix has yet to deliver.
    """
    queues = ("maildrop", "incoming", "active", "deferred")
    return [one for name in queues for one in (peer.directory / "queue" / name).rglob("*") if one.is_file()]
