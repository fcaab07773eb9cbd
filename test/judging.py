"""
Judgements for tests, and what they are compared with: the records themselves, read one by one.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from subprocesses import smtpsource
from twisted.internet import defer

from smtpsource.ledger import records
from smtpsource.ledger.records import DEEDS


@defer.inlineCallbacks
def reconciled(test, *arguments, statuses=(0, 1, 3)):
    """
    Run C{smtpsource reconcile}.

    @param statuses: those that it may end with.

    @return: a L{defer.Deferred} that fires with its L{differential.Finished}, the C{"ledger"} of its report, and
        the list of all anomalies.
    """
    place = Path(test.mktemp()).resolve()
    place.mkdir()
    report, anomalies = place / "report.json", place / "anomalies.ndjson"
    command = smtpsource(test, "reconcile", *arguments, "--report", report, "--anomalies", anomalies)
    result = yield command.whenEnded()
    test.assertIn(result.status, statuses, result)
    test.assertNotIn(b"Traceback", result.err)
    test.assertTrue(report.exists(), result)
    ledger = json.loads(report.read_text())["ledger"]
    found = [json.loads(line) for line in anomalies.read_text().splitlines()]
    return result, ledger, found


def written(directory, kind, deeds=("", "duplicate", "corrupt", "reject-but-keep")):
    """
    The records of a kind in all ledgers of a directory.

    @param deeds: for arrivals, those of the rules that kept what had come.

    @return: a list of the fields of each, with C{"address"} as a text.
    """
    found = []
    for path in sorted(Path(directory).glob("*.ledger")):
        octets = path.read_bytes()
        if not octets:
            continue
        _, start = records.parseHeader(octets)
        whole = octets[start : len(octets) - (len(octets) - start) % records.SIZE]
        texts = {number: text.decode() for what, number, text in records.textsOf(whole) if what == records.ADDRESS}
        for at in range(0, len(whole), records.SIZE):
            if whole[at] == kind:
                one = records.fields(whole[at : at + records.SIZE])
                if kind != records.ARRIVAL or DEEDS[one["flag"]] in deeds:
                    found.append({**one, "address": texts.get(one["address"], str(one["address"]))})
    return found


def arrivals(directory):
    """
    @return: how often something of a run has arrived for each recipient, as the sinks have written it down.
    """
    return Counter(one["address"] for one in written(directory, records.ARRIVAL) if one["run"])


def acknowledged(directory):
    """
    For runs in which each message has a recipient of its own.

    @return: the recipients whose messages were acknowledged.
    """
    numbers = {one["number"] for one in written(directory, records.OUTCOME) if one["flag"] == records.ACKNOWLEDGED}
    return {one["address"] for one in written(directory, records.INTENT) if one["number"] in numbers}
