"""
Tests for mail that finds its way by the name server of a world: ours, and a real Postfix's.
"""

from __future__ import annotations

import json
import os
import random
import signal
import smtplib

from patience import PATIENCE, TEST_LIMIT
from peercase import PeerTestCase
from peers import PostfixServer, eventually
from sinks import Process
from subprocesses import loadAndReport, smtpsink
from twisted.internet import defer
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

#: Domains with different fates.
WORLD = """
[[domain]]
name = "good.test"
mx = ["10 mx1.good.test", "20 mx2.good.test"]
[[domain]]
name = "bad.test"
[[domain.rule]]
name = "nobody"
on = "rcpt"
do = { reply = "550 5.1.1 no such user" }
[[domain]]
name = "later.test"
[[domain.rule]]
name = "first"
on = "rcpt"
times = 1
do = { reply = "451 4.7.1 come back" }
[[domain]]
name = "down.test"
answer = "servfail"
[[domain]]
name = "gone.test"
answer = "nxdomain"
[[domain]]
name = "null.test"
answer = "null-mx"
[[domain]]
name = "cut.test"
answer = "truncate"
"""


class WorldTestCase(TestCase):
    """
    With a sink and its world.
    """

    timeout = TEST_LIMIT

    def written(self, text=WORLD):
        """
        @return: the absolute path of a file.
        """
        os.makedirs(directory := self.mktemp())
        path = os.path.abspath(os.path.join(directory, "world.toml"))
        with open(path, "w") as file:
            file.write(text)
        return path

    def sink(self, *arguments, dns="0"):
        """
        Start a sink with a world.

        @return: it, its port and that of its name server.
        """
        self.report = os.path.abspath(self.mktemp())
        sink = Process(self, "--dns", dns, "--report", self.report, *arguments, "127.0.0.1:0")
        return sink, sink.port(), int(sink.line(r"^listening on dns:.*:([0-9]+)$").group(1))

    def reported(self, sink):
        """
        Stop a sink.

        @return: its report.
        """
        sink.signal(signal.SIGTERM)
        status, _, err = sink.outcome()
        self.assertEqual((status, err), (0, ""))
        with open(self.report, encoding="utf-8") as file:
            return json.load(file)


class SourceTests(WorldTestCase):
    """
    C{smtpsource --mx}, which asks the sink's name server.
    """

    @defer.inlineCallbacks
    def send(self, domain, port, dns, *arguments):
        """
        @return: the report of a load of ten messages for a domain.
        """
        arguments = ["--mx", "--dns-server", f"127.0.0.1:{dns}", "-A", "-m", "10", "-t", f"u@{domain}", *arguments]
        _, report = yield loadAndReport(self, *arguments, f"{domain}:{port}")
        return report

    @defer.inlineCallbacks
    def test_fates(self):
        """
        Each domain has its own rules, whoever else is treated how; the report tells them apart.
        """
        sink, port, dns = self.sink("--world", self.written())
        for domain, accepted in (("good.test", 10), ("bad.test", 0), ("anybody.example", 10), ("cut.test", 10)):
            report = yield self.send(domain, port, dns)
            self.assertEqual((domain, report["messages"]["accepted"]), (domain, accepted))
        report = self.reported(sink)
        self.assertEqual(report["messages"], 30)
        self.assertEqual(report["rules"], {"bad.test: nobody": 10, "later.test: first": 0})
        self.assertIn({"name": "good.test", "type": "MX", "result": "answer", "count": 1}, report["questions"])
        self.assertIn({"name": "cut.test", "type": "MX", "result": "truncated", "count": 1}, report["questions"])

    @defer.inlineCallbacks
    def test_failures(self):
        """
        What the DNS says goes wrong.
        """
        _, port, dns = self.sink("--world", self.written())
        for domain, reason in (
            ("down.test", "the name server fails to answer for down.test"),
            ("gone.test", "gone.test does not exist, says the name server"),
            ("null.test", "null.test takes no mail: its MX record is the null one"),
        ):
            report = yield self.send(domain, port, dns)
            self.assertEqual(report["reason"], reason)

    @defer.inlineCallbacks
    def test_withoutFile(self):
        """
        Without a file any domain has a mail server.
        """
        _, port, dns = self.sink()
        report = yield self.send("example.com", port, dns)
        self.assertEqual(report["messages"]["accepted"], 10)

    @defer.inlineCallbacks
    def test_everywhere(self):
        """
        A sink that listens on all addresses has the rules of those that clients connect to.
        """
        sink = Process(self, "--dns", "0", "--world", self.written(), "0.0.0.0:0")
        dns = int(sink.line(r"^listening on dns:.*:([0-9]+)$").group(1))
        report = yield self.send("bad.test", sink.port(), dns)
        self.assertEqual(report["recipients"]["rejected"], 10)

    @defer.inlineCallbacks
    def test_unusable(self):
        """
        What can't be used is told in one line, before anything listens.
        """
        path = self.written("[[domain]]\nname = 'a.test'\nmx = '1'\n")
        expected = f"smtpsink: {path}, line 3: domain[1].mx: '1' is not usable: expected a preference up to 65535"
        result = yield smtpsink(self, "--dns", "0", "--world", path, "127.0.0.1:0").whenEnded()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertTrue(result.err.decode().startswith(expected), result.err)
        self.assertEqual(result.err.count(b"\n"), 1)
        for arguments, problem in (
            (("--world", path), "--world needs --dns"),
            (("--dns", "53x"), "--dns: '53x' is not usable: expected a port, or an address and a port, such as"),
            (("--dns", "65536"), "--dns: '65536' is not usable: expected a port, or an address and a port, such as"),
        ):
            result = yield smtpsink(self, *arguments, "127.0.0.1:0").whenEnded()
            self.assertEqual(result.status, 2)
            self.assertTrue(result.err.decode().startswith(f"smtpsink: {problem}"), result.err)
        result = yield smtpsink(self, "--dns", "0", "unix:sock").whenEnded()
        self.assertIn(b"--dns is not usable with a UNIX socket: expected a host and a port", result.err)

    @defer.inlineCallbacks
    def test_inUse(self):
        """
        A sink whose name server can't listen does not listen either.
        """
        _, _, dns = self.sink()
        result = yield smtpsink(self, "--dns", str(dns), "127.0.0.1:0").whenEnded()
        problem = f"smtpsink: can't listen on dns:127.0.0.1:{dns}: Address already in use\n"
        self.assertEqual((result.status, result.err.decode()), (1, problem))


class PostfixTests(WorldTestCase, PeerTestCase):
    """
    A real Postfix, which delivers to "the Internet".
    """

    @defer.inlineCallbacks
    def test_fates(self):
        """
        Domains with different fates: mail is delivered, bounced for what the sink says, deferred and then delivered,
        deferred as long as the DNS fails, and bounced for what the DNS says. Bounces are delivered as well.
        """
        # A resolver asks port 53 alone; another test, of another run, may have another address.
        nameServer = f"127.53.{random.randrange(256)}.{random.randrange(1, 255)}"
        sink, port, _ = self.sink("--world", self.written(), dns=f"{nameServer}:53")
        settings = {
            "smtp_tcp_port": str(port),
            "minimal_backoff_time": "2s",
            "maximal_backoff_time": "2s",
            "queue_run_delay": "1s",
            "transport_retry_time": "1s",
        }
        postfix = yield self.peer(PostfixServer(settings=settings, nameServer=nameServer))
        names = ("good", "bad", "later", "down", "gone", "null", "cut")
        recipients = {name: f"user@{name}.test" for name in names}
        yield deferToThread(self.send, postfix, recipients.values())

        def areKnown():
            fates = {name: postfix.fates(recipient) for name, recipient in recipients.items()}
            ended = all(fates[name][-1:] in (["sent"], ["bounced"]) for name in names if name != "down")
            return fates if ended and len(fates["down"]) > 1 and "sent" in postfix.fates("sender@origin.test") else None

        fates = yield eventually(areKnown, "the fates of all")
        for name in ("good", "cut"):
            self.assertEqual(fates[name], ["sent"], name)
        for name in ("bad", "gone", "null"):
            self.assertEqual(fates[name], ["bounced"], name)
        self.assertEqual(fates["later"], ["deferred", "sent"])
        self.assertEqual(set(fates["down"]), {"deferred"})
        log = postfix.log()
        self.assertRegex(log, r"to=<user@bad\.test>, relay=mx\.bad\.test\[127\.0\.1\.\d+\]:\d+,.*no such user")
        self.assertRegex(log, r"to=<user@good\.test>, relay=mx1\.good\.test\[127\.0\.1\.1\]")
        yield postfix.stop()
        report = self.reported(sink)
        self.assertEqual(report["rules"], {"bad.test: nobody": 1, "later.test: first": 1})

    def send(self, postfix, recipients):
        """
        Hand one message to Postfix.
        """
        host, _, port = postfix.destination.rpartition(":")
        with smtplib.SMTP(host, int(port), timeout=PATIENCE) as client:
            client.sendmail("sender@origin.test", list(recipients), "Subject: to the world\r\n\r\nHello\r\n")
