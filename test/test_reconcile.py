"""
C{smtpsource reconcile}: what it reads, what it says, and what is wrong with what it was given.
"""

from __future__ import annotations

import json
import mailbox
import os
import shlex
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from commandlines import ToolTestCase
from hypothesis import strategies as st
from ledgerfiles import RUN, RUN_TEXT, SECOND, Pages
from patience import TEST_LIMIT
from properties import given
from subprocesses import loadAndReport, smtpsink, smtpsource
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource import reconcile
from smtpsource.ledger import digests, mailboxes, records
from smtpsource.ledger.identity import Identity, textOf
from smtpsource.measure.judgement import CLASSES
from smtpsource.report.judgement import documentOf
from smtpsource.tools import reconciling
from smtpsource.tools.anomalyfiles import writeDatabase
from smtpsource.tools.reconcile import ReconcileOptions
from smtpsource.tools.reconciling import Evidence

HEAD = b"Subject: one\r\nMIME-Version: 1.0\r\n"
TEXT = b"Hello,\r\n\r\nFrom here on\r\n>From there\r\nit ends.\r\n"


def name(number, run=RUN):
    """
    @return: the id of a message.
    """
    return textOf(Identity(run, number))


class ReconcileCase(ToolTestCase):
    """
    Ledgers in a directory.
    """

    def setUp(self):
        super().setUp()
        self.ledgers = self.directory / "ledgers"
        self.source = Pages(offset=time.time_ns() - 1000 * SECOND)
        self.sink = Pages("sink", 0, offset=self.source.header["offset"])
        self.sink.time = 1.0

    def reconcile(self, *arguments, write=True):
        """
        @return: the status, standard output and standard error.
        """
        if write:
            self.source.write(self.ledgers, "source-1.ledger")
            if self.sink is not None:
                self.sink.write(self.ledgers, "sink-1.ledger")
        return self.run_("reconcile", *map(os.fspath, arguments), os.fspath(self.ledgers))

    def reported(self, *arguments, **more):
        """
        @return: the status, and C{"ledger"} of the report.
        """
        path = self.directory / "report.json"
        status, _, err = self.reconcile("--report", path, *arguments, **more)
        self.assertEqual("", err)
        return status, json.loads(path.read_text())["ledger"]

    def refused(self, *arguments, status=1, **more):
        """
        @return: the one line that it says.
        """
        found, out, err = self.reconcile(*arguments, **more)
        self.assertEqual((found, out), (status, ""), err)
        self.assertRegex(err, r"\Asmtpsource reconcile: [^\n]+\n\Z")
        return err.removeprefix("smtpsource reconcile: ")


class VerdictTests(ReconcileCase):
    """
    What it says, and its status.
    """

    def test_pass(self):
        """
        All has arrived, and the sink has listened on.
        """
        for number in range(1, 4):
            self.source.sent(number)
            self.sink.arrival(number)
        self.sink.end(at=60.0)
        status, out, err = self.reconcile()
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("ledger       pass: all 3 acknowledged have arrived, each once\n"), out)
        self.assertIn("\nfates        3 messages and recipients: 3 delivered\n", out)
        self.assertEqual(self.reconcile("--quiet"), (0, "", ""))

    def test_fail(self):
        """
        What was found is told first, and which messages those are.
        """
        self.source.sent(1, b"jane@example.com").sent(2).sent(3)
        self.sink.arrival(2).arrival(2).arrival(3).end(at=60.0)
        status, out, err = self.reconcile()
        self.assertEqual((status, err), (3, ""))
        self.assertTrue(out.startswith("ledger       FAIL: 1 lost; 1 duplicated\n"), out)
        self.assertIn("\n             1 duplicated: 1 for no reason\n", out)
        self.assertIn(f"\nlost         {name(1)} for jane@example.com\n", out)
        self.assertIn(f"\nduplicated   {name(2)} for a@example.com, for no reason\n", out)
        self.assertNotIn(name(3), out)

    def test_quiet(self):
        """
        What has not arrived is not lost before the sink has listened for long enough.
        """
        self.source.sent(1).sent(2)
        self.sink.arrival(1).end(at=25.0)
        status, out, err = self.reconcile()
        self.assertEqual((status, err), (1, ""))
        said = " ".join(out.split())
        self.assertTrue(said.startswith("ledger inconclusive: 1 acknowledged had not arrived, and the sink has"), said)
        self.assertIn("expected 30 s (--drain-quiet)", said)
        status, ledger = self.reported()
        self.assertEqual((ledger["verdict"], ledger["queued"], ledger["lost"]), ("inconclusive", 1, 0))
        status, ledger = self.reported("--drain-quiet", "20s")
        self.assertEqual((status, ledger["verdict"], ledger["queued"], ledger["lost"]), (3, "fail", 0, 1))

    def test_quietForUnknown(self):
        """
        What nobody knows of may still come, as what was acknowledged: it is listened for as long.
        """
        self.source.sent(1).intent(2).outcome(2, records.UNKNOWN)
        self.sink.arrival(1).end(at=25.0)
        status, ledger = self.reported()
        self.assertEqual((status, ledger["verdict"], ledger["unknown"]), (1, "inconclusive", 1))
        self.assertIn("nobody knows what has become of 1, and the sink has listened for only", ledger["reasons"][0])
        self.assertEqual("pass", self.reported("--drain-quiet", "20s")[1]["verdict"])

    def test_aliveIsListening(self):
        """
        A sink that was killed has listened as long as it says so.
        """
        self.source.sent(1)
        self.sink.alive(31.0)
        self.assertEqual("fail", self.reported()[1]["verdict"])

    def test_sign(self):
        """
        A queue whose messages are put off has not drained: the sink has heard from it.
        """
        self.source.sent(1)
        for second in range(2, 62):
            self.sink.add(records.ALIVE, at=float(second), flag=int(second < 40))
        status, ledger = self.reported()
        self.assertEqual((status, ledger["verdict"], ledger["queued"]), (1, "inconclusive", 1))
        self.assertIn("listened for only 22.0 s after the last sign of the queue: expected 30 s", ledger["reasons"][0])
        self.sink.add(records.ALIVE, at=70.0)
        self.assertEqual("fail", self.reported()[1]["verdict"])

    def test_nothingMissing(self):
        """
        What has arrived may come again a moment later, which is of no interest where something is wrong already.
        """
        self.source.sent(1)
        self.sink.arrival(1).end()
        status, ledger = self.reported("--drain-quiet", "2s")
        self.assertEqual((status, ledger["verdict"]), (1, "inconclusive"))
        self.assertEqual(
            [
                "all acknowledged have arrived, but the sink has listened for only 0.0 s after the last sign of the "
                "queue, and something may come twice: expected 2 s"
            ],
            ledger["reasons"],
        )
        self.sink.arrival(1)
        status, ledger = self.reported("--drain-quiet", "2s")
        self.assertEqual((status, ledger["reasons"]), (3, ["1 duplicated"]))

    def test_thresholds(self):
        """
        They are of the ledger's figures; one that fails makes the status 3.
        """
        self.source.sent(1).sent(2).sent(3)
        self.sink.arrival(1).arrival(1).arrival(2).arrival(3).end(at=60.0)
        fine = ("lost == 0", "duplicated <= 2", "p99(delivery) < 30s", "drain < 2m", "backlog < 10000", "lost < 1%")
        arguments = [each for text in fine for each in ("--threshold", text)]
        status, out, err = self.reconcile(*arguments, "--threshold", "duplicated == 0")
        self.assertEqual((status, err), (3, ""))
        for text in fine:
            self.assertIn(f"\npass         {text}: ", out)
        self.assertIn("\nFAIL         duplicated == 0: 1\n", out)
        status, out, err = self.reconcile("--threshold", "rate > 5")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("expected a metric, one of lost, duplicated, ", err)
        self.assertNotIn("connectFailures", err)

    def test_instead(self):
        """
        A threshold on a figure takes the place of the verdict's look at it; the verdict stays what it is.
        """
        self.source.sent(1).sent(2).sent(3).sent(4)
        self.sink.arrival(1).arrival(1).arrival(2).arrival(3).arrival(4, deed="duplicate").arrival(4, deed="duplicate")
        self.sink.end(at=60.0)
        fine = ("--threshold", "duplicated <= 20")
        status, out, err = self.reconcile(*fine)
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("ledger       FAIL: 2 duplicated\npass         duplicated <= 20: 2\n"), out)
        self.assertEqual(3, self.reconcile("--threshold", "lost == 0")[0])
        self.assertEqual(0, self.reconcile("--threshold", "unexcused <= 1")[0])
        status, out, _ = self.reconcile("--threshold", "unexcused == 0")
        self.assertEqual(3, status)
        self.assertIn("FAIL         unexcused == 0: 1\n", out)
        self.source.sent(5)
        self.assertEqual(3, self.reconcile(*fine)[0])
        self.assertEqual(0, self.reconcile(*fine, "--threshold", "lost <= 1")[0])
        self.assertEqual(1, self.reconcile(*fine, "--drain-quiet", "2m")[0])

    def test_report(self):
        """
        The report has all keys, and says what the text does.
        """
        self.source.sent(1)
        self.sink.arrival(1).arrival(99).end(at=60.0)
        status, out, err = self.reconcile("--report", "-")
        document = json.loads(out)
        self.assertEqual((status, document["exit"], document["run"]), (0, 0, RUN_TEXT))
        self.assertTrue(err.startswith("ledger       pass: "), err)
        ledger = document["ledger"]
        self.assertEqual("pass", ledger["verdict"])
        for key in (*CLASSES, "duplicated", "corrupted", "ghost", "transformed"):
            self.assertEqual({"delivered": 1, "ghost": 1}.get(key, 0), ledger[key], key)
        self.assertEqual({"class": "ghost", "id": name(99), "recipient": "a@example.com"}, ledger["anomalies"][0])
        self.assertEqual(["delivery"], list(document["latency"]))


class SinksTests(ReconcileCase):
    """
    Several sinks, and sinks on other machines.
    """

    def setUp(self):
        super().setUp()
        self.source.sent(1).sent(2)
        self.sink.arrival(1)

    def other(self, *arrivals, boot="one boot", begin=0.0, end=60.0, offset=0, **content):
        """
        Another sink's ledger.
        """
        pages = Pages("sink", 0, offset=self.source.header["offset"] + offset, boot=boot, **content)
        pages.add(records.ALIVE, at=begin)
        for number in arrivals:
            pages.arrival(number)
        pages.time = begin
        pages.alive(end)
        pages.write(self.ledgers, f"sink-{begin}-{id(pages)}.ledger")

    def test_deaf(self):
        """
        One of two has not listened until the end: what is missing may have been meant for it.
        """
        self.sink.end(at=60.0)
        self.other(end=10.0)
        status, ledger = self.reported()
        self.assertEqual((status, ledger["verdict"], ledger["lost"], ledger["queued"]), (1, "inconclusive", 0, 1))
        self.assertRegex(
            ledger["reasons"][0], r"sink-0\.0-\d+\.ledger: this sink has listened for no more than (10|9)\.\d s "
        )

    def test_all(self):
        """
        Both have.
        """
        self.sink.end(at=60.0)
        self.other(end=50.0)
        self.assertEqual(1, self.reported()[1]["lost"])

    def test_nothingMissing(self):
        """
        Where everything has arrived it makes no difference.
        """
        self.sink.arrival(2).end(at=60.0)
        self.other(end=1.5)
        self.assertEqual("pass", self.reported()[1]["verdict"])

    def test_noPart(self):
        """
        One had ended before the run began, another began after it.
        """
        self.source = Pages(offset=self.source.header["offset"])
        self.source.time = self.sink.time = 20.0
        self.source.sent(1).sent(2)
        self.sink.records.clear()
        self.sink.arrival(1).end(at=80.0)
        self.other(begin=1.0, end=5.0)
        self.other(begin=30.0, end=31.0)
        self.assertEqual(1, self.reported()[1]["lost"])

    def test_again(self):
        """
        A sink that was killed and started again is one, and has to listen for as long as any other, in one go.
        """
        self.sink.add(records.ALIVE, at=2.0)
        self.other(begin=40.0, end=60.0)
        self.assertEqual("inconclusive", self.reported()[1]["verdict"])
        self.other(begin=61.0, end=100.0)
        self.assertEqual(1, self.reported()[1]["lost"])

    def test_ahead(self):
        """
        The clock of another machine's sink is a minute ahead: it has not listened for longer because of that.
        """
        self.sink.header |= {"boot": "another", "offset": self.sink.header["offset"] + 60 * SECOND}
        self.sink.end(at=15.0)
        self.assertEqual("inconclusive", self.reported()[1]["verdict"])
        self.sink.end(at=50.0)
        self.assertEqual(1, self.reported()[1]["lost"])

    def test_againElsewhere(self):
        """
        So it is on another machine, whose clock is known by what came before.
        """
        self.sink.header["boot"] = "another"
        self.sink.add(records.ALIVE, at=2.0)
        self.other(begin=3.0, end=60.0, boot="another")
        self.assertEqual(1, self.reported()[1]["lost"])

    def test_stopped(self):
        """
        A sink was stopped for a while, and soon ended after it: that is no silence.
        """
        self.sink.alive(5.0)
        self.sink.time = 50.0
        self.sink.end(at=55.0)
        said = (
            "this sink has listened for no more than 4.0 s without a break after the last sign of the queue: expected "
        )
        status, ledger = self.reported()
        self.assertEqual((status, ledger["verdict"], ledger["queued"]), (1, "inconclusive", 1))
        self.assertIn(said, ledger["reasons"][0])

    def test_nothingThere(self):
        """
        Nothing has arrived at another machine's sink, so nothing is known of its clock.
        """
        self.sink.records.clear()
        self.sink.header["boot"] = "another"
        self.sink.add(records.ALIVE, at=0.0).end(at=60.0)
        status, ledger = self.reported()
        self.assertEqual((status, ledger["verdict"], ledger["lost"], ledger["queued"]), (1, "inconclusive", 0, 2))
        self.assertIn("nothing of this run has arrived there, and its clock is another machine's", ledger["reasons"][0])


class AnomaliesTests(ReconcileCase):
    """
    All of them, in files.
    """

    def setUp(self):
        super().setUp()
        self.source.sent(1).sent(2, b"b@example.com").sent(3)
        self.sink.name(b"192.0.2.7:4711", records.FROM, 5)
        self.sink.name(b"loses", records.RULE, 77)
        self.sink.arrival(1, deed="accept-but-lose", session=5)
        self.sink.arrival(2, b"b@example.com", original=b"x@example.com").arrival(2, b"b@example.com").arrival(3)
        self.sink.end(at=60.0)

    def test_lines(self):
        """
        A line of JSON for each, with its history; and on standard output.
        """
        path = self.directory / "all.ndjson"
        status, _, err = self.reconcile("--anomalies", path)
        self.assertEqual((status, err), (3, ""))
        found = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual(
            [("lost", name(1), "a@example.com"), ("duplicated", name(2), "b@example.com")],
            [(each["class"], each["id"], each["recipient"]) for each in found],
        )
        self.assertEqual(["intent", "outcome", "arrival"], [event["what"] for event in found[0]["history"]])
        arrival = found[0]["history"][-1]
        self.assertEqual(("accept-but-lose", "192.0.2.7:4711"), (arrival["deed"], arrival["client"]))
        self.assertEqual("none", found[1]["reason"])
        self.assertEqual("x@example.com", found[1]["history"][2]["sentTo"])
        status, out, err = self.reconcile("--anomalies", "-")
        self.assertEqual((status, out), (3, path.read_text()))
        self.assertIn("ledger       FAIL", err)

    def test_database(self):
        """
        SQLite can be asked for everything.
        """
        path = self.directory / "all.sqlite"
        path.write_text("what was there")
        status, _, err = self.reconcile("--anomalies", path)
        self.assertEqual((status, err), (3, ""))
        with closing(sqlite3.connect(path)) as database:
            self.assertEqual(
                [("delivered", 2), ("lost", 1)],
                database.execute("SELECT class, count(*) FROM units GROUP BY class").fetchall(),
            )
            self.assertEqual(
                [("b@example.com", 2)],
                database.execute(
                    "SELECT text, count(*) FROM arrivals JOIN addresses USING (address) WHERE deed = '' "
                    "GROUP BY number HAVING count(*) > 1"
                ).fetchall(),
            )
            self.assertEqual(
                [
                    (name(1), "a@example.com", "lost", "accept-but-lose"),
                    (name(2), "b@example.com", "delivered", ""),
                    (name(2), "b@example.com", "delivered", ""),
                    (name(3), "a@example.com", "delivered", ""),
                ],
                database.execute(
                    "SELECT id, recipient, class, deed FROM messages JOIN received USING (id, recipient) ORDER BY id"
                ).fetchall(),
            )
            self.assertEqual(
                [(name(1), "lost", None), (name(2), "duplicated", "none")],
                database.execute("SELECT id, class, reason FROM anomalies").fetchall(),
            )
            self.assertEqual(7, database.execute("SELECT count(*) FROM events").fetchone()[0])
        self.assertEqual({"all.sqlite", "ledgers"}, set(os.listdir(self.directory)))

    def test_unwritable(self):
        """
        What can't be written is told of in one line.
        """
        fifo = self.directory / "fifo.db"
        os.mkfifo(fifo)
        self.assertIn("expected a file, for a database", self.reconcile("--anomalies", fifo)[2])
        self.assertEqual(1, self.reconcile("--quiet", "--anomalies", fifo)[0])
        for ending in ("sqlite", "ndjson"):
            path = self.directory / f"all.{ending}"
            path.mkdir()
            self.assertRegex(
                self.refused("--quiet", "--anomalies", path, status=2), "is not usable|could not be written"
            )

    def test_show(self):
        """
        The whole history of one, in the order of time.
        """
        status, out, err = self.reconcile("--show", name(1))
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual([name(1), "lost for a@example.com", ""], lines[:3])
        told = [line[29:] for line in lines[3:] if line[:1] == "2"]
        self.assertTrue(told[0].startswith("to be sent to a@example.com, attempt 1, body"), told)
        self.assertTrue(told[1].startswith("acknowledged by 250"), told)
        self.assertIn("accept-but-lose", out)
        self.assertIn("192.0.2.7:4711", out)

    def test_showNothing(self):
        """
        Nothing is known of others; one whose check is wrong is told of at once.
        """
        self.assertEqual(f"nothing is written of {name(50)}\n", self.refused("--show", name(50)))
        for text in ("1", name(1)[:-1] + "x", f"{RUN_TEXT}-1-00000000"):
            self.assertIn("expected the id of a message", self.refused("--show", text, status=2))
        self.assertIn("there is no ledger of run 0000000000000005", self.refused("--show", name(1, 5)))

    def test_unseen(self):
        """
        A reply that nobody may have seen is told of.
        """
        self.source.sent(9)
        self.sink.records.pop()
        self.sink.arrival(9, session=8).add(records.UNSEEN, session=8, size=1).arrival(9, session=9).end(at=60.0)
        _, out, _ = self.reconcile("--anomalies", "-")
        found = next(each for each in map(json.loads, out.splitlines()) if each["id"] == name(9))
        self.assertEqual(("duplicated", "unseen-reply"), (found["class"], found["reason"]))
        arrivals = [event for event in found["history"] if event["what"] == "arrival"]
        self.assertEqual([True, False], [event.get("unseen", False) for event in arrivals])
        _, out, _ = self.reconcile("--show", name(9))
        self.assertEqual(1, " ".join(out.split()).count("the reply may not have been seen"))

    def test_showNames(self):
        """
        An address is known by its name if any ledger has it.
        """
        self.source.sent(9)
        self.sink.records.pop()
        other = digests.ofAddress(b"b@example.com")
        self.sink.add(records.ARRIVAL, run=RUN, number=9, address=other, session=1, code=250).end(at=60.0)
        self.sink.records = [each for each in self.sink.records if b"b@example.com" not in each]
        _, out, _ = self.reconcile("--show", name(9))
        self.assertIn("arrived for b@example.com", out)

    def test_showRecipients(self):
        """
        What became of a message for each of its recipients.
        """
        for index, whom in enumerate((b"a@example.com", b"b@example.com")):
            self.source.intent(9, whom, index)
        self.source.outcome(9, records.REFUSED, 1, 550).outcome(9)
        self.sink.arrival(9)
        _, out, _ = self.reconcile("--show", name(9))
        self.assertIn("\ndelivered for a@example.com\nrefused for b@example.com\n", out)
        self.assertIn("refused by 550 for b@example.com\n", out)


class WrongTests(ReconcileCase):
    """
    What can't be judged, in one line.
    """

    def test_noDirectory(self):
        """
        Nothing, or nothing of ours.
        """
        self.assertEqual(f"{self.ledgers}: No such file or directory\n", self.refused(write=False))
        self.ledgers.mkdir()
        self.assertIn("expected a directory with ledgers in it", self.refused(write=False))
        (self.ledgers / "x.ledger").write_bytes(b"nonsense\n")
        self.assertIn("x.ledger: expected a ledger, which begins with a line that says so", self.refused(write=False))
        status, out, err = self.run_("reconcile")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("no directory: expected at least one", err)

    def test_halves(self):
        """
        One end alone says nothing.
        """
        self.sink.arrival(1).write(self.ledgers)
        self.assertIn("expected a generator's ledger as well", self.refused(write=False))
        self.ledgers = self.directory / "sent"
        self.sink = None
        self.source.sent(1)
        self.assertIn("nothing says what has arrived: expected a sink's ledger", self.refused())

    def test_runs(self):
        """
        Of several runs, one has to be named.
        """
        self.source.sent(1)
        self.sink.arrival(1).arrival(1, run=5).end(at=60.0)
        Pages(run=5).sent(1).write(self.ledgers, "source-2.ledger")
        # One that has sent nothing does not count.
        Pages(run=4).write(self.ledgers, "source-3.ledger")
        self.source.header["wall"] = 1_790_000_000 * SECOND
        names = f"0000000000000005 (2023-11-14T22:13:20Z, 1 message), {RUN_TEXT} (2026-09-21T14:13:20Z, 1 message)"
        expected = f"expected --run latest, or the id of one, {names}\n"
        self.assertEqual(f"there are ledgers of 2 runs: {expected}", self.refused())
        self.assertEqual(
            f"there is no ledger of run 0000000000000006: {expected}", self.refused("--run", "0000000000000006")
        )
        for run in (RUN_TEXT, "latest"):
            status, ledger = self.reported("--run", run)
            self.assertEqual((status, ledger["sent"], ledger["foreign"]), (0, 1, 1))
        self.assertEqual(0, self.reconcile("--show", name(1))[0])
        os.unlink(self.ledgers / "source-2.ledger")
        self.assertEqual(0, self.reconcile()[0])
        for number in range(6, 12):
            Pages(run=number, offset=number * SECOND).sent(1).write(self.ledgers, f"source-{number}.ledger")
        said = self.refused()
        self.assertTrue(said.startswith("there are ledgers of 7 runs: "), said)
        self.assertIn("the id of one, the last 5 of them: 0000000000000008 (1970-01-01T00:00:08Z, 1 message), ", said)

    def test_sameSeed(self):
        """
        Two runs of one seed have the same id, and are two all the same; two that went on side by side are one.
        """
        self.source.sent(1, at=1.0)
        self.sink.arrival(1).arrival(1).end(at=60.0)
        other = Pages(offset=self.source.header["offset"])
        other.time = 20.0
        other.sent(1)
        other.write(self.ledgers, "source-2.ledger")
        said = self.refused()
        self.assertIn("source-1.ledger and ", said)
        self.assertIn("source-2.ledger are of two runs with the same id, one after the other, as of ", said)
        other.records.clear()
        other.time = 0.0
        other.sent(2)
        other.write(self.ledgers, "source-2.ledger")
        self.source.end(at=1.5)
        self.assertEqual(2, self.reported("--drain-quiet", "0")[1]["sent"])

    def test_torn(self):
        """
        A record that is there in part was written by somebody who was killed: it is left out.
        """
        self.source.sent(1)
        self.sink.arrival(1).end(at=60.0)
        self.source.write(self.ledgers, "source-1.ledger")
        path = Path(self.sink.write(self.ledgers, "sink-1.ledger"))
        path.write_bytes(path.read_bytes() + b"\x03\x00\x00")
        self.assertEqual("pass", self.reported(write=False)[1]["verdict"])

    def test_empty(self):
        """
        A file without anything in it is of somebody who was killed before there was anything to say: it is left out.
        """
        self.source.sent(1)
        self.sink.arrival(1).end(at=60.0)
        self.source.write(self.ledgers, "source-1.ledger")
        self.sink.write(self.ledgers, "sink-1.ledger")
        Path(self.ledgers, "sink-2.ledger").touch()
        self.assertEqual("pass", self.reported(write=False)[1]["verdict"])

    def test_damaged(self):
        """
        A record of no known kind is told of, and nothing passes then; all else is judged.
        """
        self.source.sent(1)
        self.sink.arrival(1).add(200).end(at=60.0)
        status, ledger = self.reported()
        self.assertEqual((status, ledger["verdict"], ledger["delivered"]), (1, "inconclusive", 1))
        self.assertRegex(ledger["reasons"][0], r"sink-1\.ledger: record \d+ is of no known kind: the ledger is damaged")

    def test_sinksFirst(self):
        """
        All generators are read before any sink, in whatever order their directories are named.
        """
        read = []
        feed = reconciling.read
        self.patch(reconciling, "read", lambda judge, file: (read.append(file.role), feed(judge, file))[1])
        self.sink.arrival(1).end(at=60.0).write(self.directory / "arrived")
        self.source.sent(1).write(self.directory / "sent")
        directories = [os.fspath(self.directory / name) for name in ("arrived", "sent")]
        with Evidence(directories=directories).judged() as (_, judgement):
            self.assertEqual("pass", judgement.verdict)
        self.assertEqual(sorted(read, reverse=True), read)

    def test_lostInDamage(self):
        """
        What is missing from a damaged ledger was not lost by the server; what came twice or changed is known.
        """
        self.source.sent(1).sent(2)
        self.source.intent(3).intent(3, b"b@example.com", 1).outcome(3)
        hole = [index for index, one in enumerate(self.source.records) if one[0] == records.INTENT][-1]
        self.source.records[hole] = bytes(records.SIZE)
        self.sink.arrival(1).add(0).arrival(3).arrival(3, b"b@example.com").end(at=60.0)
        status, ledger = self.reported()
        self.assertEqual((status, ledger["verdict"], ledger["lost"], ledger["queued"]), (1, "inconclusive", 0, 1))
        self.assertRegex("\n".join(ledger["reasons"]), "sink-1.ledger: record .*: the ledger is damaged")
        self.sink.arrival(1)
        status, ledger = self.reported()
        self.assertEqual((status, ledger["verdict"], ledger["reasons"][0]), (3, "fail", "1 duplicated"))

    def test_commandLine(self):
        """
        Options that don't go together.
        """
        self.source.sent(1)
        secret = self.directory / "secret"
        secret.write_text("x\n")
        for arguments, words in (
            (("--imap", "imap://jane@localhost/INBOX"), "--imap needs --imap-password-file"),
            (("--imap-password-file", secret), "--imap-password-file needs --imap"),
            (("--imap", "http://localhost/"), "expected imap://USER@HOST[:PORT]/MAILBOX"),
            (("--report", "-", "--anomalies", "-"), "exclude each other"),
            (("--run", "x"), "expected a run's id"),
            (("--mbox", self.directory / "gone"), "expected a readable file"),
            (("--maildir", self.directory / "gone"), "expected a Maildir, a directory with cur, new in it: No such"),
            (("--maildir", self.directory), "expected a Maildir, a directory with cur, new in it"),
            (("--postfix-queue", "/nonexistent"), "expected Postfix's queue_directory, a directory with incoming"),
            (("--postfix-queue", self.directory), "expected Postfix's queue_directory, a directory with incoming"),
            (("--threshold", "losses == 0"), "expected a metric, one of lost, duplicated, "),
            (("--threshold", "rate > 5"), "expected a metric, one of lost, duplicated, "),
            (("--threshold", "p99(message) < 1s"), "expected a phase, one of delivery, arrival, "),
        ):
            self.assertIn(words, self.refused(*arguments, status=2), arguments)

    def test_overwritten(self):
        """
        No ledger is written over.
        """
        self.source.sent(1)
        self.sink.arrival(1).end(at=60.0)
        self.reconcile()
        for option in ("--report", "--anomalies"):
            said = self.refused(option, self.ledgers / "sink-1.ledger", status=2)
            self.assertIn("it belongs to what is judged", said)

    def test_imapRefused(self):
        """
        Nobody is there.
        """
        self.source.sent(1)
        secret = self.directory / "secret"
        secret.write_text("x\n")
        arguments = ("--imap", "imap://jane@127.0.0.1:1/INBOX", "--imap-password-file", secret)
        self.assertIn("imap://jane@127.0.0.1:1/INBOX: ", self.refused(*arguments))


class FunctionTests(ReconcileCase):
    """
    The same for programs.
    """

    def judged(self, *directories, **more):
        self.reconcile()
        return reconcile(*directories, **more)

    def test_judgement(self):
        """
        What the command tells, by as much silence as is wanted.
        """
        self.source.sent(1).sent(2)
        self.sink.arrival(1).end(at=25.0)
        judgement = self.judged(self.ledgers)
        self.assertEqual((judgement.verdict, judgement.queued), ("inconclusive", 1))
        judgement = self.judged(str(self.ledgers), drainQuiet=20.0, run=RUN_TEXT)
        self.assertEqual((judgement.verdict, judgement.lost, judgement.anomalies[0]["id"]), ("fail", 1, name(2)))

    def test_maildir(self):
        """
        What a server has delivered takes the place of a sink's ledger.
        """
        self.sink = None
        self.source.sent(1)
        path = self.directory / "Maildir"
        mailbox.Maildir(path).add(b"X-Smtpsource-Id: " + name(1).encode() + b"\n\n")
        self.assertEqual(self.judged(self.ledgers, maildirs=[path], drainQuiet=0.0).delivered, 1)

    def test_wrong(self):
        """
        A ValueError says in one line what is wrong.
        """
        self.source.sent(1)
        for arguments, more, problem in (
            ((), {}, "expected a directory with ledgers"),
            ((self.directory / "nothing",), {}, "nothing: "),
            ((self.ledgers,), {"run": "x"}, "run: 'x' is not usable: expected 16 hexadecimal digits"),
            ((self.ledgers,), {"run": "0" * 16}, f"there is no ledger of run {'0' * 16}: expected "),
            ((self.ledgers,), {"mboxes": [self.directory / "mbox"]}, "mbox: No such file"),
        ):
            with self.assertRaisesRegex(ValueError, f"^[^\n]*{problem}[^\n]*$"):
                self.judged(*arguments, **more)


class MailboxTests(ReconcileCase):
    """
    Messages in mailboxes, and in Postfix's queue.
    """

    def setUp(self):
        super().setUp()
        self.sink = None
        self.body = digests.ofBody(HEAD, TEXT)
        for number in (1, 2):
            self.source.sent(number, b"jane@example.com", body=self.body)

    def content(self, number, body=TEXT, head=b"", run=RUN):
        """
        A message as a server has stored it.
        """
        text = head + b"X-Smtpsource-Id: " + name(number, run).encode() + b"\r\n" + HEAD + b"\r\n" + body
        return text.replace(b"\r\n", b"\n")

    def maildir(self, *contents):
        path = self.directory / "Maildir"
        box = mailbox.Maildir(path)
        for content in contents:
            key = box.add(content)
            os.utime(path / "new" / key, (time.time() - 100,) * 2)
        return path

    def test_maildir(self):
        """
        What is in it has arrived, whatever its line ends are.
        """
        path = self.maildir(self.content(1), self.content(2, TEXT + b"\r\n"))
        status, ledger = self.reported("--maildir", path)
        self.assertEqual((status, ledger["verdict"], ledger["delivered"]), (0, "pass", 2))
        self.assertEqual(1, ledger["transformed"])
        _, out, _ = self.reconcile("--maildir", path, "--show", name(1))
        self.assertIn("  arrived for jane@example.com", out)
        self.assertIn(f"{path}/new/", "".join(out.split()))

    def test_hint(self):
        """
        The command that tells more is whole, and works.
        """
        path = self.maildir(self.content(1)).rename(self.directory / "Mail of Jane")
        status, out, _ = self.reconcile("--maildir", path)
        self.assertEqual(3, status)
        hint = out.splitlines()[-1].strip()
        self.assertEqual(f"smtpsource reconcile --show ID --maildir '{path}' {self.ledgers}", hint)
        status, out, err = self.run_(*(name(2) if word == "ID" else word for word in shlex.split(hint)[1:]))
        self.assertEqual((status, err), (0, ""))
        self.assertIn("lost for jane@example.com", out)

    def test_faults(self):
        """
        Missing ones, other bodies, other people's, strangers.
        """
        self.source.sent(3, b"jane@example.com", body=self.body).sent(4, b"jane@example.com", body=self.body)
        path = self.maildir(
            self.content(1, b"no"),
            self.content(2, head=b"Delivered-To: mary@example.com\r\n"),
            self.content(3, head=b"Delivered-To: <jane@EXAMPLE.com>\r\nX-Original-To: list@example.com\r\n"),
            self.content(1, run=5),
            b"Subject: hello\n\nhello\n",
            b"X-Smtpsource-Id: " + name(4)[:-8].encode() + b"00000000\n\n",
        )
        status, ledger = self.reported("--maildir", path, "--drain-quiet", "0")
        counts = {
            key: ledger[key] for key in (*CLASSES, "corrupted", "foreign", "unidentified", "damaged") if ledger[key]
        }
        self.assertEqual(
            {
                "delivered": 2,
                "misdelivered": 1,
                "lost": 1,
                "corrupted": 1,
                "foreign": 1,
                "unidentified": 1,
                "damaged": 1,
            },
            counts,
        )
        self.assertEqual(3, status)

    def test_ownHeaders(self):
        """
        What a message has said itself of where it was delivered is nothing that a server has added.
        """
        own = b"Delivered-To: mary@example.com\nReceived: by x; Thu, 01 Jan 2015 00:00:00 +0000\n"
        contents = [self.content(number).replace(b"Subject", own + b"Subject", 1) for number in (1, 2)]
        self.assertEqual("pass", self.reported("--maildir", self.maildir(*contents))[1]["verdict"])

    def test_withoutHeader(self):
        """
        A server has removed the header with the id: the Message-Id has it as well.
        """
        header = b"X-Smtpsource-Id: "
        contents = (self.content(number).replace(header, b"Message-Id: <") for number in (1, 2))
        path = self.maildir(*(content.replace(b"\n", b"@x>\n", 1) for content in contents))
        status, ledger = self.reported("--maildir", path)
        self.assertEqual((status, ledger["delivered"], ledger["unidentified"]), (0, 2, 0))

    def test_look(self):
        """
        It is a look now: what was sent a moment ago may still come.
        """
        self.source.header["offset"] = time.time_ns()
        status, ledger = self.reported("--maildir", self.maildir(self.content(1)))
        self.assertEqual((status, ledger["verdict"], ledger["queued"]), (1, "inconclusive", 1))
        self.assertRegex(
            ledger["reasons"][0],
            r"^1 acknowledged had not arrived, only \d+\.\d s after the last acknowledgement: expected 30 s",
        )
        status, ledger = self.reported("--maildir", self.maildir(self.content(2)))
        self.assertEqual((status, ledger["verdict"]), (0, "pass"))

    def test_queueFirst(self):
        """
        What leaves the queue while we look has arrived.
        """
        inQueue = mailboxes.inQueue

        def delivered(path, run):
            self.maildir(self.content(2))
            return inQueue(path, run)

        self.patch(mailboxes, "inQueue", delivered)
        (self.directory / "spool" / "active").mkdir(parents=True)
        arguments = ("--maildir", self.maildir(self.content(1)), "--postfix-queue", self.directory / "spool")
        status, ledger = self.reported(*arguments)
        self.assertEqual((status, ledger["verdict"], ledger["delivered"]), (0, "pass", 2))

    def test_times(self):
        """
        When something came to a mailbox is not known: the time of a file is anybody's.
        """
        path = self.maildir(self.content(1), self.content(2))
        for each in (path / "new").iterdir():
            os.utime(each, (0, 0))
        status, ledger = self.reported("--maildir", path)
        self.assertEqual((status, ledger["delivered"], ledger["early"], ledger["drain"]), (0, 2, 0, None))
        self.assertEqual(0, ledger["backlogPeak"])
        self.assertEqual({}, json.loads((self.directory / "report.json").read_text())["latency"])

    def test_mbox(self):
        """
        Lines that begin with From are quoted there, in one way or another.
        """
        path = self.directory / "mbox"
        self.source.sent(3, b"jane@example.com", body=digests.ofBody(HEAD, TEXT.replace(b">", b"")))
        quoted = TEXT.replace(b">", b"").replace(b"\r\nFrom ", b"\r\n>From ")
        twice = quoted.replace(b"\r\n>From there", b"\r\n>>From there")
        texts = [self.content(1, TEXT.replace(b"here", b"HERE")), self.content(2, twice), self.content(3, quoted)]
        path.write_bytes(b"".join(b"From jane@example.com Sat Nov 28 01:00:00 2026\n%b\n" % text for text in texts))
        status, ledger = self.reported("--mbox", path)
        self.assertEqual((status, ledger["delivered"], ledger["corrupted"]), (3, 3, 1))
        # TEXT has a line of either kind: here only the one without a bracket was given one.
        some = self.content(1, TEXT.replace(b"\r\nFrom ", b"\r\n>From "))
        path.write_bytes(b"From jane@example.com Sat Nov 28 01:00:00 2026\n%b\n" % some)
        self.assertEqual((1, 0), tuple(self.reported("--mbox", path)[1][each] for each in ("delivered", "corrupted")))
        path.write_bytes(b"hello")
        self.assertIn(
            "expected an mbox file, which begins with From and a space", self.refused("--mbox", path, status=2)
        )

    def test_report(self):
        """
        Reports in a mailbox are read.
        """
        path = self.maildir(self.content(1), _report(name(2), "jane@example.com"))
        status, ledger = self.reported("--maildir", path)
        self.assertEqual((status, ledger["delivered"], ledger["bounced"], ledger["unidentified"]), (0, 1, 1, 0))

    def test_several(self):
        """
        Where a mailbox does not say whose it is, it has come for each recipient in turn.
        """
        for index, whom in enumerate((b"a@example.com", b"b@example.com")):
            self.source.intent(3, whom, index, body=self.body)
        self.source.outcome(3)
        contents = [self.content(number) for number in (1, 2, 3, 3)]
        self.assertEqual("pass", self.reported("--maildir", self.maildir(*contents))[1]["verdict"])

    def test_moving(self):
        """
        A message that a client reads while we look is there once.
        """
        path = self.maildir(self.content(1), self.content(2))
        name = os.listdir(path / "new")[0]
        content = (path / "new" / name).read_bytes()
        (path / "cur" / f"{name}:2,S").write_bytes(content)
        self.assertEqual("pass", self.reported("--maildir", path)[1]["verdict"])

    def test_pipes(self):
        """
        Nobody waits for whoever writes to a FIFO.
        """
        queue = self.directory / "spool"
        (queue / "active").mkdir(parents=True)
        os.mkfifo(queue / "active" / "A1B2", 0o700)
        box = self.maildir(self.content(1), self.content(2))
        os.mkfifo(box / "new" / "1.x")
        self.assertEqual("pass", self.reported("--maildir", box, "--postfix-queue", queue)[1]["verdict"])
        os.mkfifo(self.directory / "pipe")
        self.assertIn("pipe: expected a file, and no ", self.refused("--mbox", self.directory / "pipe"))

    def test_queue(self):
        """
        What is in Postfix's queue is queued, however long ago it was; if there is nothing, all has drained at once.
        """
        self.source.header["offset"] = time.time_ns()
        queue = self.directory / "spool"
        place = queue / "deferred" / "A"
        place.mkdir(parents=True)
        (place / "A1B2").write_bytes(b"C\x20...N\x39X-Smtpsource-Id: " + name(2).encode() + b"N\x10...")
        # Postfix has a file that can be executed for what it has accepted.
        (place / "A1B2").chmod(0o700)
        arguments = ("--maildir", self.maildir(self.content(1)), "--postfix-queue", queue)
        status, ledger = self.reported(*arguments)
        self.assertEqual((status, ledger["verdict"], ledger["queued"]), (1, "inconclusive", 1))
        self.assertEqual([f"messages of this run in the queue {queue}: 1"], ledger["reasons"])
        for index, whom in enumerate((b"a@example.com", b"b@example.com")):
            self.source.intent(2, whom, 1 + index, body=self.body)
        self.source.outcome(2).sent(3)
        status, ledger = self.reported(*arguments)
        self.assertEqual((status, ledger["verdict"], ledger["queued"], ledger["lost"]), (3, "fail", 3, 1))
        self.assertEqual(["1 lost", f"messages of this run in the queue {queue}: 1"], ledger["reasons"])
        self.assertFalse(ledger["drained"])
        self.assertEqual([name(3)], [each["id"] for each in ledger["anomalies"]])
        self.source.records = self.source.records[:6]
        (place / "A1B2").unlink()
        status, ledger = self.reported(*arguments)
        self.assertEqual((status, ledger["verdict"], ledger["lost"]), (3, "fail", 1))


def _report(identity, whom):
    """
    A report that a message could not be delivered, as RFC 3464 has it.
    """
    return (
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\nMIME-Version: 1.0\n\n'
        "--b\n\nIt failed.\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; example.com\n"
        f"Original-Envelope-Id: {identity}\n\nFinal-Recipient: rfc822; {whom}\nAction: failed\nStatus: 5.1.1\n\n--b--\n"
    ).encode()


class ProcessTests(TestCase):
    """
    The real generator, the real sink, and what they have written.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_run(self):
        """
        All that was sent has arrived.
        """
        directory = Path(self.mktemp()).resolve()
        sink = smtpsink(self, "--ledger", directory, "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"listening on (\S+)")
        where = match[1].decode()
        yield loadAndReport(self, "-d", "-s", 5, "-m", 100, "-r", 2, "--ledger", directory, where)
        sink.signal(15)
        yield sink.whenEnded()
        result = yield smtpsource(self, "reconcile", "--drain-quiet", "0", directory).whenEnded()
        self.assertEqual((result.status, result.err), (0, b""), result)
        self.assertIn(b"200 messages and recipients: 200 delivered\n", result.out)


class DamageTests(SynchronousTestCase):
    """
    Ledgers in which octets have changed.
    """

    @given(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=20), st.integers(0, 1 << 16))
    def test_anyDamage(self, changes, cut):
        """
        Whatever they are, something is said of what is left, or what is wrong.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number in range(1, 6):
            source.intent(number, b"a@example.com").intent(number, b"b@example.com", 1).outcome(number)
            sink.arrival(number, original=b"b@example.com").add(records.UNSEEN, session=1, size=1).report(number)
        directory = self.mktemp()
        for place, pages in enumerate((source, sink)):
            path = Path(pages.write(directory))
            octets = bytearray(path.read_bytes())
            head = octets.index(b"\n") + 1
            for at, octet in changes[place::2]:
                octets[head + at % (len(octets) - head)] = octet
            path.write_bytes(octets[: max(head, len(octets) - cut % 200)])
        with Evidence(directories=[directory], quiet=0.0).judged() as (judge, judgement):
            self.assertEqual(judgement.sent, sum(getattr(judgement, each) for each in CLASSES))
            json.dumps([documentOf(judgement), *judge.anomalies()])
            writeDatabase(self.mktemp(), judge)


class OptionsTests(ToolTestCase):
    """
    Its command line.
    """

    def test_defaults(self):
        """
        What is not said.
        """
        options = ReconcileOptions()
        options.parseOptions(["one", "two"])
        evidence = options.evidence()
        self.assertEqual((evidence.directories, evidence.quiet, evidence.run), (("one", "two"), None, None))
        self.assertFalse(evidence.isALook)

    def test_help(self):
        """
        Its first words are one paragraph.
        """
        status, out, _ = self.run_("reconcile", "--help")
        self.assertEqual(0, status)
        about = out.partition("\n\n")[2].partition("\n\n")[0].splitlines()
        self.assertTrue(all(len(line) > 60 for line in about[:-1]), about)
