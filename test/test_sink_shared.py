"""
Tests for what the workers of a sink share: memory, tables of what rules remember, counters that are added up.
"""

from __future__ import annotations

import errno
import gc
import os
import socket
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

from hypothesis import strategies as st
from patience import PATIENCE
from properties import given
from sinks import ENVIRONMENT, Pair
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.rules import remembered
from smtpsource.sink.rules.facts import Facts
from smtpsource.sink.rules.remembered import Remembered
from smtpsource.sink.rules.ruleset import RuleSet
from smtpsource.sink.workers import shared as sharedMemory
from smtpsource.sink.workers import table as sharedTable
from smtpsource.sink.workers.answering import Question
from smtpsource.sink.workers.asking import PATIENCE as ANSWER_PATIENCE
from smtpsource.sink.workers.asking import Asking
from smtpsource.sink.workers.connected import SharedConnected
from smtpsource.sink.workers.counted import Counted
from smtpsource.sink.workers.link import Link
from smtpsource.sink.workers.shared import BEFORE_TABLE, CONNECTED, LAST_KEPT, LOST, OPEN, Shared
from smtpsource.sink.workers.starting import start
from smtpsource.sink.workers.table import SIZE, SharedRemembered, Table, memory
from smtpsource.sink.workers.task import Task
from smtpsource.sink.workers.wire import Kind, Received, framed, packed
from smtpsource.web.answers import Answer, Problem
from smtpsource.web.visitors import LONGEST


def views(test, number=2):
    """
    @return: the same memory, as so many workers see it.
    """
    first = Shared.made(number, SIZE)
    test.addCleanup(os.close, first.descriptor)
    return [first, *(Shared(first.descriptor, number, SIZE) for _ in range(number - 1))]


class MemoryTests(SynchronousTestCase):
    """
    The memory itself.
    """

    def test_sums(self):
        """
        What one worker writes the others see, and sums are those of all.
        """
        first, second = views(self)
        first.numbers[first.place(0, OPEN)] = 3
        second.numbers[second.place(1, OPEN)] = 4
        self.assertEqual((7, 7), (first.sum(OPEN), second.sum(OPEN)))
        self.assertEqual(4, first.most(OPEN))
        self.assertEqual([1, 2, 3], [first.next(LAST_KEPT), second.next(LAST_KEPT), first.next(LAST_KEPT)])

    def test_common(self):
        """
        What is common is made once.
        """
        first, second = views(self)
        made = [b"one", b"two"]
        self.assertEqual([b"one", b"one"], [each.common(lambda: made.pop(0)) for each in (first, second)])

    def test_commonAtOnce(self):
        """
        While one makes it the others are not held up, and whoever has made it first has made it for all.
        """
        first, second = views(self)
        self.assertEqual(b"two", first.common(lambda: second.common(lambda: b"two") and b"one"))
        self.assertEqual(b"two", second.common(lambda: b"three"))

    def test_processes(self):
        """
        Two processes that count at once lose nothing; one that is killed while it has the lock holds up nobody.
        """
        shared = Shared.made(2, SIZE)
        self.addCleanup(os.close, shared.descriptor)
        program = (
            "import os, sys\n"
            "from smtpsource.sink.workers.shared import LAST_KEPT, Shared\n"
            "from smtpsource.sink.workers.table import SIZE\n"
            "shared = Shared(int(sys.argv[1]), 2, SIZE)\n"
            "for _ in range(20000): shared.next(LAST_KEPT)\n"
            "shared.__enter__()\n"
            "os.kill(os.getpid(), 9)"
        )
        command = [sys.executable, "-P", "-c", program, str(shared.descriptor)]
        children = [
            subprocess.Popen(command, env=ENVIRONMENT, pass_fds=[shared.descriptor], stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        self.assertEqual(
            [(b"", -9)] * 2, [(each.communicate(timeout=PATIENCE)[1], each.returncode) for each in children]
        )
        self.assertEqual(40001, shared.next(LAST_KEPT))

    def holder(self, shared):
        """
        @return: a process that has the lock, until its standard input ends.
        """
        program = (
            "import sys\n"
            "from smtpsource.sink.workers.shared import Shared\n"
            "from smtpsource.sink.workers.table import SIZE\n"
            "with Shared(int(sys.argv[1]), 2, SIZE): print('mine', flush=True), sys.stdin.read()"
        )
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", program, str(shared.descriptor)],
            env=ENVIRONMENT,
            pass_fds=[shared.descriptor],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(child.wait, PATIENCE)
        self.addCleanup(child.communicate, timeout=PATIENCE)
        self.assertEqual(b"mine\n", child.stdout.readline())
        return child

    def test_stopped(self):
        """
        One that does not go on while it has the lock holds up others for a moment only, and they tell once who it is.
        """
        self.patch(sharedMemory, "PATIENCE", 0.01)
        (shared,) = views(self, 1)
        told = []
        shared.whenStuck = told.append
        for turn in range(2):
            child = self.holder(shared)
            self.assertEqual([3 * turn + 1, 3 * turn + 2], [shared.next(LAST_KEPT), shared.next(LAST_KEPT)])
            self.assertEqual(child.pid, told.pop())
            child.communicate(timeout=PATIENCE)
            self.assertEqual((3 * turn + 3, []), (shared.next(LAST_KEPT), told))


class StartTests(SynchronousTestCase):
    """
    Workers that can't be started.
    """

    def spawnProcess(self, *arguments, **options):
        """
        As a reactor has it.
        """
        raise OSError(errno.EAGAIN, "no more processes")

    def openFiles(self):
        """
        @return: what this process has open.
        """
        gc.collect()
        return sorted(os.listdir("/proc/self/fd"))

    def test_nothingLeft(self):
        """
        What was opened for them is closed, for those after the first one as well.
        """
        shared = Shared.made(3, SIZE)
        self.addCleanup(os.close, shared.descriptor)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = SimpleNamespace(socket=server, addressFamily=server.family)
            links = []
            before = self.openFiles()
            for balance in ("fewest", "kernel"):
                plan = SinkPlan(workers=3, balance=balance)
                make = partial(Link, heard=print, ended=print)
                error = self.assertRaises(OSError, start, self, plan, [port], shared, make, links)
                self.assertEqual(errno.EAGAIN, error.errno)
                self.assertEqual(before, self.openFiles())
        self.assertEqual([False, False], [link.isThere for link in links])

    def test_noMemory(self):
        """
        Nor is anything left of memory that there is not enough of.
        """
        before = self.openFiles()
        self.assertRaises(OSError, Shared.made, 1, -1)
        self.assertRaises(OSError, Shared.made, 1, 1 << 62)
        self.assertEqual(before, self.openFiles())


class TableTests(SynchronousTestCase):
    """
    What rules remember.
    """

    @given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["get", "set", "next"]), st.integers(1, 9))))
    def test_asOne(self, steps):
        """
        Whatever workers ask in turn, the answers are those of one process that asks the same.
        """
        self.patch(remembered, "MOST_KEYS", 16)
        first = Shared.made(2, SIZE)
        tables = [Table(first), Table(Shared(first.descriptor, 2, SIZE))]
        try:
            one: Remembered[float] = Remembered()
            several = [SharedRemembered(table, "rule") for table in tables]
            for index, (key, what, value) in enumerate(steps):
                here = several[index % 2]
                if what == "set":
                    one.set(str(key), value)
                    here.set(str(key), value)
                elif what == "get":
                    self.assertEqual(one.get(str(key), 0.5), here.get(str(key), 0.5))
                else:
                    self.assertEqual(one.next(str(key)), here.next(str(key)))
        finally:
            os.close(first.descriptor)

    def test_scopes(self):
        """
        Two rules don't share what they remember.
        """
        table = Table(views(self)[0])
        first, second = SharedRemembered(table, "a"), SharedRemembered(table, "b")
        self.assertEqual([1, 2, 1], [first.next("x"), first.next("x"), second.next("x")])

    def small(self):
        """
        @return: a memory whose table has 16 slots in each half, as two see it; and what counts those in use of each.
        """
        self.patch(sharedTable, "SLOTS", 16)
        first, second = views(self)
        start = BEFORE_TABLE // 8

        def used():
            return [sum(map(bool, first.numbers[at : at + 32 : 2])) for at in (start, start + 32)]

        return first, second, used

    def test_killed(self):
        """
        Wherever in the middle of it a worker is killed, the table is as usable to the others.
        """
        for last in range(4):
            first, second, used = self.small()
            table = Table(first)
            for key in range(1, 9):
                table.set(key, key)
            # The next one takes a new half.
            table = Table(Killed(first, last))
            self.assertRaises(KeyboardInterrupt, table.set, 9, 9)
            table = Table(second)
            for key in range(9, 50):
                table.set(key, key)
                self.assertLessEqual(max(used()), 8, f"{last} writes, then {key}")
                self.assertEqual([key, key - 1], [table.get(key), table.get(key - 1)])

    def test_full(self):
        """
        Whatever stands in the table, nobody looks for ever.
        """
        first, _, used = self.small()
        start = BEFORE_TABLE // 8
        for place in range(start, start + 64):
            first.numbers[place] = 99
        table = Table(first)
        self.assertIsNone(table.get(1))
        table.set(1, 7)
        self.assertEqual((7, [16, 1]), (table.get(1), used()))


class Killed:
    """
    The memory, as a worker sees it that is killed after so many writes.
    """

    def __init__(self, shared, writes):
        self._shared, self._left = shared, writes
        self.numbers, self.fractions = (Dying(self, all) for all in (shared.numbers, shared.fractions))

    def write(self):
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1

    def clear(self, start, size):
        self.write()
        self._shared.clear(start, size)


class Dying:
    """
    Numbers of it.
    """

    def __init__(self, memory, numbers):
        self._memory, self._numbers = memory, numbers

    def __getitem__(self, place):
        return self._numbers[place]

    def __setitem__(self, place, number):
        self._memory.write()
        self._numbers[place] = number


class RulesTests(SynchronousTestCase):
    """
    The same set of rules in two workers.
    """

    def sets(self, document):
        """
        @return: the rules of each worker, their open connections, and their memory.
        """
        found = []
        for worker, shared in enumerate(views(self)):
            table = Table(shared)
            rules = RuleSet.fromDict(document)
            connected = SharedConnected(table, worker)
            rules.share(memory(table, 0), connected, shared)
            found.append((rules, connected, shared))
        return found

    def test_draws(self):
        """
        What is drawn for the second attempt is the same whichever worker has had the first, and as in one process.
        """
        document = {"seed": 7, "rule": [{"on": "rcpt", "chance": 0.5, "do": {"reply": "451 no"}}]}
        facts = [Facts(client="a", recipient=f"{number % 10}@example.com") for number in range(100)]
        alone = RuleSet.fromDict(document)
        expected = [alone.decide("rcpt", each, 0.0) for each in facts]
        both = self.sets(document)
        self.assertEqual(expected, [both[i % 2][0].decide("rcpt", each, 0.0) for i, each in enumerate(facts)])
        self.assertIn(None, expected)

    def test_equalRules(self):
        """
        Two equal rules of a set count apart, as in one process.
        """
        rule = {"on": "rcpt", "times": 1, "per": "all", "do": {"reply": "451 no"}}
        (first, _, _), (second, _, _) = self.sets({"rule": [rule, rule]})
        facts = Facts(client="a")
        fates = [each.decide("rcpt", facts, 0.0) for each in (first, second, first)]
        self.assertEqual(["rule 1 (rcpt)", "rule 2 (rcpt)", None], [fate and fate.rules[0] for fate in fates])

    def test_lostConnections(self):
        """
        Connections of a worker that was lost are none.
        """
        rule = {"on": "helo", "connections": 1, "do": {"reply": "450 no"}}
        (first, ours, _), (_, theirs, shared) = self.sets({"rule": [rule]})
        ours.opened("a")
        theirs.opened("a")
        self.assertIsNotNone(first.decide("helo", Facts(client="a"), 0.0))
        shared.numbers[shared.place(1, LOST)] = 1
        shared.numbers[shared.place(1, CONNECTED)] = 0
        self.assertIsNone(first.decide("helo", Facts(client="a"), 0.0))


class CountedTests(SynchronousTestCase):
    """
    Counters of several.
    """

    def test_sum(self):
        """
        Two sinks' counters added up are those of one that has had all of it.
        """
        chunks = [
            b"HELO x\r\nNONSENSE\r\n",
            b"HELO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n.\r\n",
        ]
        pairs = [Pair(), Pair()]
        for pair, chunk in zip(pairs, chunks, strict=True):
            pair.say(chunk)
        one = Pair()
        one.say(chunks[0])
        one.connect()
        one.say(chunks[1])
        both = Counted.sum(Counted.of(pair.factory) for pair in pairs)
        alone = Counted.of(one.factory)
        self.assertEqual((both.numbers, both.errors), (alone.numbers, alone.errors))
        self.assertEqual(1, both.numbers["messages"])

    def test_busy(self):
        """
        There were sessions from the first one's beginning to the last one's end, also those of a worker that is lost.
        """
        lost, idle, other = Counted(first=5.0, last=9.0), Counted(), Counted(first=7.0, last=8.0)
        self.assertEqual(4.0, Counted.sum([lost, idle, other]).busy)
        self.assertEqual(0.0, Counted.sum([idle]).busy)

    def test_samples(self):
        """
        Of errors of the same kind, the first sample is kept.
        """
        both = Counted.sum([Counted(errors={"unknown": (2, "A")}), Counted(errors={"unknown": (3, "B")})])
        self.assertEqual({"unknown": (5, "A")}, both.errors)


class FakeLink:
    """
    A worker that is asked.
    """

    def __init__(self, worker):
        self.task = type("Task", (), {"worker": worker})
        self.name = f"worker {worker + 1} (process {worker + 100})"
        self.isReady = True
        self.counted = Counted(kept=worker + 1)
        self.said = []

    def say(self, kind, body):
        self.said.append((kind, body))


class AskingTests(SynchronousTestCase):
    """
    Questions to all workers.
    """

    def setUp(self):
        self.clock = Clock()
        self.links = [FakeLink(0), FakeLink(1)]
        self.asking = Asking(self.clock, self.links)

    def test_order(self):
        """
        Answers are in the order of workers, whoever was quicker.
        """
        asked = self.asking.ask(Question("GET", "/messages"))
        for link in reversed(self.links):
            ((kind, (number, _)),) = link.said
            self.assertIs(Kind.ASK, kind)
            self.assertNoResult(asked)
            self.asking.answered(link, number, link.task.worker)
        self.assertEqual([0, 1], self.successResultOf(asked))
        self.assertEqual([], self.clock.getDelayedCalls())

    def number(self, link):
        """
        @return: that of the latest question.
        """
        _, (number, _) = link.said[-1]
        return number

    def test_lost(self):
        """
        One that is lost answers no more; what it had told counts.
        """
        asked = self.asking.counts()
        self.links[0].counted = Counted(kept=10)
        self.asking.answered(self.links[0], self.number(self.links[0]), Answer())
        self.links[1].isReady = False
        self.asking.lost(self.links[1])
        self.assertEqual(12, self.successResultOf(asked).kept)

    def test_hangs(self):
        """
        One that does not answer is not waited for for ever: who has asked is told which one that is, while still there.
        """
        asked = self.asking.ask(Question("GET", "/messages"))
        self.asking.answered(self.links[1], self.number(self.links[1]), "here")
        self.assertLess(ANSWER_PATIENCE, LONGEST)
        self.clock.advance(ANSWER_PATIENCE)
        problem = self.failureResultOf(asked, Problem).value
        self.assertEqual(504, problem.answer.status)
        self.assertIn("from worker 1 (process 100):", str(problem))
        # Its answer comes too late.
        self.asking.answered(self.links[0], self.number(self.links[0]), "there")

    def test_countsOfOneThatHangs(self):
        """
        What one has counted that does not answer counts as it has told it last.
        """
        asked = self.asking.counts()
        self.asking.answered(self.links[1], self.number(self.links[1]), Answer())
        self.clock.advance(ANSWER_PATIENCE)
        self.assertEqual(3, self.successResultOf(asked).kept)


class LinkTests(SynchronousTestCase):
    """
    A worker's process.
    """

    def test_notStarted(self):
        """
        One that can't be started leaves no descriptor open: there may be none for whoever tells people why.
        """

        class Reactor:
            def spawnProcess(self, *arguments, **others):
                raise OSError(errno.EMFILE, "Too many open files")

        link = Link(Task(SinkPlan(), 0, 1, ""), heard=lambda *words: None, ended=lambda *words: None)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.assertRaises(OSError, link.start, Reactor(), 0, [listening])
        link.kill()
        self.assertEqual((-1, -1), (link.connections.fileno(), listening.fileno()))


class WireTests(SynchronousTestCase):
    """
    What is said.
    """

    @given(st.lists(st.binary(max_size=100)), st.integers(1, 50))
    def test_pieces(self, bodies, size):
        """
        However messages are cut, they come whole and in their order.
        """
        said = b"".join(framed(packed(Kind.LOG, body)) for body in bodies)
        received = Received()
        found = [one for at in range(0, len(said), size) for one in received.add(said[at : at + size])]
        self.assertEqual([(Kind.LOG, body) for body in bodies], found)
