"""
A sink whose rules are changed while it is loaded, and one that limits a flood: nothing is lost on the way.
"""

from __future__ import annotations

import http.client
import json
import signal
import time

from patience import PATIENCE, TEST_LIMIT
from peers import eventually
from subprocesses import loadAndReport, reported, smtpsink, smtpsource
from twisted.internet import defer
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smtpsource import SinkPlan, SinkService
from smtpsource.sink.rules.ruleset import RuleSet

#: How often rules are changed.
CHANGES = 100

#: How many messages come between two changes at the least.
BETWEEN = 50

#: What they are changed to, in turn. Those that refuse do it without an end of the connection.
RULES = (
    {"rule": []},
    {"rule": [{"name": "rcpt", "on": "rcpt", "chance": "30%", "do": {"reply": "450 4.2.0 Not now"}}]},
    {"rule": [{"name": "end", "on": "message", "every": 3, "do": {"reply": "451 4.3.0 One in three"}}]},
    {
        "rule": [
            {"name": "mail", "on": "mail", "limit": "2000/s", "do": {"reply": "450 4.7.0 Too fast"}},
            {"name": "slow", "on": "message", "chance": "1%", "do": {"delay": "1ms"}},
        ]
    },
)

#: A load without an end of its own, which has many messages under way at any time.
LOAD = (
    *("-A", "-d", "-s", "20", "-m", "100m", "--pipelining", "require", "--chunking", "require", "--window", "8"),
    *("--grace", str(PATIENCE), "--quiet", "--report", "-"),
)


class Control:
    """
    Who changes the rules of a sink over HTTP; for a thread of its own.
    """

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, method, path, document=None):
        """
        @return: what is answered, a document.
        """
        body = None if document is None else json.dumps(document)
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise AssertionError(f"{method} {path}: {response.status} {text!r}")
        return json.loads(text)

    def change(self):
        """
        Change all rules again and again, each time when some more messages have come.
        """
        for change in range(CHANGES):
            before = self.ask("GET", "/counters")["messages"]
            deadline = time.monotonic() + PATIENCE
            while self.ask("GET", "/counters")["messages"] < before + BETWEEN:
                if time.monotonic() > deadline:
                    raise TimeoutError("no more messages")
            self.ask("PUT", "/rules", RULES[change % len(RULES)])


class ChangedTests(TestCase):
    """
    Rules are changed a hundred times under load, and each message has had its reply.
    """

    timeout = TEST_LIMIT

    def assertSame(self, report, messages, rules):
        """
        The generator has seen what the sink has done.

        @param messages: those that the sink accepted.
        @param rules: how often each of its rules had a part in what was done.
        """
        self.assertEqual(report["errors"], {})
        self.assertEqual((report["connections"]["lost"], report["messages"]["failed"]), (0, 0))
        self.assertEqual(report["messages"]["accepted"], messages)
        refused = rules.get("rcpt", 0) + rules.get("end", 0) + rules.get("mail", 0)
        self.assertEqual(report["messages"]["rejected"], refused)
        self.assertGreater(refused, 0)

    @defer.inlineCallbacks
    def test_inProgram(self):
        """
        In a program, between two replies.
        """
        from twisted.internet import reactor

        sink = SinkService(reactor, SinkPlan(ruleTexts=('on = "noop", do = { delay = "1s" }',)))
        sink.startService()
        self.addCleanup(sink.stopService)
        steering = sink.factory.steering
        load = smtpsource(self, *LOAD, f"127.0.0.1:{sink.address().port}")
        ended = load.whenEnded()
        for change in range(CHANGES):
            before = steering.counts.messages
            yield eventually(lambda: ended.called or steering.counts.messages >= before + BETWEEN, "more")  # noqa: B023
            self.assertFalse(ended.called, load.err)
            steering.replaceRules(RuleSet.fromDict(RULES[change % len(RULES)]))
        load.signal(signal.SIGTERM)
        ended = yield ended
        self.assertSame(reported(ended.out, ended), steering.counts.messages, steering.ruleCounts)

    @defer.inlineCallbacks
    def test_overHTTP(self):
        """
        By PUT /rules.
        """
        sink = smtpsink(self, "--control", "0", "--keep", "10", "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"listening on inet:.*:([0-9]+)$")
        control = yield sink.whenPrinted(rb"listening on control:.*:([0-9]+)$")
        control = Control(int(control[1]))
        load = smtpsource(self, *LOAD, f"127.0.0.1:{int(match[1])}")
        yield deferToThread(control.change)
        load.signal(signal.SIGTERM)
        ended = yield load.whenEnded()
        counters = yield deferToThread(control.ask, "GET", "/counters")
        self.assertSame(reported(ended.out, ended), counters["messages"], counters["rules"])


class FloodTests(TestCase):
    """
    More comes than may pass, by a clock that does not wait for anybody.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_limited(self):
        """
        No more pass than the limit says, and all others are told so.
        """
        rule = 'on = "mail", limit = "200/s", do = { reply = "450 4.7.0 Too fast" }'
        sink = smtpsink(self, "--rule", rule, "--report", "report.json", "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"listening on inet:.*:([0-9]+)$")
        flood = ("-A", "-d", "-s", 20, "--rate", 500, "--duration", "3s", f"127.0.0.1:{int(match[1])}")
        _, report = yield loadAndReport(self, *flood)
        sink.signal(signal.SIGTERM)
        yield sink.whenEnded()
        found = json.loads((sink.directory / "report.json").read_text())
        self.assertEqual(report["messages"]["accepted"], found["messages"])
        self.assertEqual(report["messages"]["rejected"], found["rules"]["rule 1 (mail)"])
        self.assertEqual(report["messages"]["started"], found["messages"] + found["rules"]["rule 1 (mail)"])
        # A slow machine may let fewer come.
        self.assertLessEqual(found["messages"], 200 * found["busy"] + 2)
