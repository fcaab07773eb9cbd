"""
A checker that can't report something is worth nothing: each kind of fault is planted once, and found.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import faultyrelay
from faultyrelay import GHOST, FaultyRelay
from judging import reconciled
from patience import TEST_LIMIT
from subprocesses import loadAndReport, smtpsink
from twisted.internet import defer, reactor
from twisted.trial.unittest import TestCase

from smtpsource.measure.judgement import CLASSES

#: Rules of the sink, by the recipient of the message.
RULES = """
[[rule]]
name = "loses"
on = "message"
when = { recipient = "10user@*" }
do = { accept-but-lose = true }

[[rule]]
name = "refuses"
on = "message"
when = { recipient = "51user@*" }
do = { reject-but-keep = true }

[[rule]]
name = "doubles"
on = "message"
when = { recipient = "60user@*" }
do = { duplicate = true }

[[rule]]
name = "changes"
on = "message"
when = { recipient = "70user@*" }
do = { corrupt = true }
"""

#: What the relay does, by the number of the message.
FAULTS = {
    20: faultyrelay.forOther("21user@example.com"),
    21: faultyrelay.forOther("20user@example.com"),
    22: faultyrelay.astray,
    30: faultyrelay.bounce,
    40: faultyrelay.silent,
    41: faultyrelay.swallow,
    50: faultyrelay.refuse,
    51: faultyrelay.through,
    61: faultyrelay.twice,
    62: faultyrelay.unseen,
    63: faultyrelay.silentTwice,
    71: faultyrelay.footer,
    80: faultyrelay.encoded,
    85: faultyrelay.lose,
    90: faultyrelay.damaged,
    91: faultyrelay.foreign,
    92: faultyrelay.ghost,
    93: faultyrelay.anonymous,
}

#: What has to become of these, and of no others.
FATES = {
    "lost": {10, 85, 91},
    "misdelivered": {20, 21},
    "bounced": {30},
    "recovered": {40, 63},
    "unknown": {41},
    "refused": {50, 51},
}
DUPLICATED = {60: "rule", 61: "none", 62: "unseen-reply", 63: "unknown-outcome"}
CORRUPTED = {70, 71}

MESSAGES = 100


def number(anomaly):
    """
    @return: that of the message.
    """
    return int(anomaly["id"].split("-")[1])


class FaultTests(TestCase):
    """
    A generator, a small relay, and a sink.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def judged(self, faults, rules, quiet="0"):
        """
        @param quiet: C{--drain-quiet}.
        @return: a L{defer.Deferred} that fires with what C{smtpsource reconcile} says, and with all anomalies.
        """
        os.makedirs(directory := os.path.abspath(self.mktemp()))
        self.sent, self.arrived = Path(directory, "sent"), Path(directory, "arrived")
        (Path(directory) / "rules.toml").write_text(rules)
        sink = smtpsink(self, "--ledger", self.arrived, "--rules", f"{directory}/rules.toml", "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"listening on inet:.*:([0-9]+)$")
        relay = FaultyRelay(int(match[1]), faults)
        port = reactor.listenTCP(0, relay, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        numbered = ("-N", "-t", "user@example.com", "-f", "me@example.com")
        arguments = ("-A", "-d", "-m", MESSAGES, *numbered, "--ledger", self.sent, f"127.0.0.1:{port.getHost().port}")
        yield loadAndReport(self, *arguments)
        yield relay.done
        sink.signal(signal.SIGTERM)
        yield sink.whenEnded()
        found = yield reconciled(self, self.sent, self.arrived, "--drain-quiet", quiet)
        return found

    @defer.inlineCallbacks
    def test_each(self):
        """
        One of each kind, in one run: each is found, with its id, and nothing else is.
        """
        result, ledger, anomalies = yield self.judged(FAULTS, RULES)
        self.assertEqual((result.status, ledger["verdict"]), (3, "fail"), result)
        counts = {name: len(FATES.get(name, ())) for name in CLASSES}
        counts["delivered"] = MESSAGES - sum(counts.values())
        self.assertEqual({name: ledger[name] for name in CLASSES}, counts, result)
        self.assertEqual((ledger["duplicated"], ledger["corrupted"], ledger["transformed"]), (4, 2, 1))
        self.assertEqual(ledger["duplicatedBy"], dict.fromkeys(DUPLICATED.values(), 1))
        strays = ("contradicted", "astray", "ghost", "foreign", "unidentified", "damaged")
        self.assertEqual([ledger[name] for name in strays], [1] * len(strays))
        found = {}
        for one in anomalies:
            found.setdefault(one["class"], {})[number(one)] = one
        told = FATES | {"duplicated": set(DUPLICATED), "corrupted": CORRUPTED}
        told |= {"contradicted": {51}, "astray": {22}, "ghost": {GHOST}}
        del told["refused"]  # It is nobody's fault.
        self.assertEqual({name: set(ones) for name, ones in found.items()}, told)
        reasons = {which: one["reason"] for which, one in found["duplicated"].items()}
        self.assertEqual(reasons, DUPLICATED)
        rules = {(number(one), event["rule"]) for one in anomalies for event in one["history"] if "rule" in event}
        self.assertEqual(rules, {(10, "loses"), (51, "refuses"), (60, "doubles"), (70, "changes")})

    @defer.inlineCallbacks
    def test_none(self):
        """
        A relay that does what it has to: nothing is found.
        """
        result, ledger, anomalies = yield self.judged({}, "")
        self.assertEqual((result.status, ledger["verdict"], anomalies), (0, "pass", []), result)
        counts = {name: ledger[name] for name in CLASSES}
        self.assertEqual(counts, {**dict.fromkeys(CLASSES, 0), "delivered": MESSAGES})
        for name in ("duplicated", "corrupted", "transformed", "astray", "ghost", "foreign", "unidentified", "damaged"):
            self.assertEqual(ledger[name], 0, name)

    @defer.inlineCallbacks
    def test_held(self):
        """
        A relay that holds one back: as long as it was not waited for, that is queued, and neither lost nor fine.
        """
        result, ledger, anomalies = yield self.judged({33: faultyrelay.lose}, "", quiet="1h")
        self.assertEqual((result.status, ledger["verdict"], ledger["drained"]), (1, "inconclusive", False), result)
        counts = {name: ledger[name] for name in CLASSES if ledger[name]}
        self.assertEqual(counts, {"delivered": MESSAGES - 1, "queued": 1})
        self.assertEqual([(number(one), one["class"]) for one in anomalies], [(33, "queued")])
