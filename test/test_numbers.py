"""
Tests for what follows from the numbers of messages: several processes that share a run send together what one sends.
"""

from __future__ import annotations

import pickle
import re
from collections import Counter
from functools import partial
from itertools import chain, combinations, count, islice
from pathlib import Path
from random import Random
from types import SimpleNamespace

from commandlines import CommandTestCase
from hypothesis import strategies as st
from properties import given, settings
from subprocesses import smtpsource
from test_varied import Case as VariedCase
from twisted.internet import defer
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver

from smtpsource.credentials import Credentials
from smtpsource.ledger.identity import idOf
from smtpsource.load import parts
from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.messages.recipients import Counted
from smtpsource.net.destination import TCPAddress
from smtpsource.pacing.share import Share
from smtpsource.plan import SourcePlan
from smtpsource.smtp.parameters import Parameters
from smtpsource.testing import runInMemory

RUN = b"0123456789abcdef"

#: Values of plans, each about another thing that messages have. C{CORPUS} stands for a directory of messages.
CORPUS = object()
OPTIONS = {
    "sender": {"sender": "me@x"},
    "senders in turn": {"senders": ["a@x", "b@x", "c@x"]},
    "senders by weight": {"senders": [("a@x", 1), ("b@x", 2), ("", 3)]},
    "recipients in turn": {"recipients": [f"{n}@y" for n in range(5)]},
    "recipients by weight": {"recipients": [(f"{n}@y", n) for n in range(9)]},
    "domains": {"domains": "a.test:9,b.test:1"},
    "several": {"recipientCount": 3},
    "fixed": {"recipientsDistribution": "fixed:2"},
    "uniform": {"recipientsDistribution": "uniform:1-5"},
    "lognormal": {"recipientsDistribution": "lognormal:median=2,sigma=1,max=9"},
    "numbered": {"numberRecipients": True},
    "after": {"recipientNumbering": "suffix"},
    "start and width": {"numberStart": 98, "numberWidth": 4},
    "length": {"length": 1234},
    "uniform sizes": {"sizeDistribution": "uniform:1-3k"},
    "lognormal sizes": {"sizeDistribution": "lognormal:median=1k,sigma=1.5,max=90k"},
    "subject": {"subject": "{random:4} of {n}"},
    "headers": {"headers": ["X-A: {random:8} {n} {size}", "X-B: {random:32}"]},
    "message": {"message": b"A: b\n\n.\n"},
    "stored": {"messages": CORPUS},
    "stored, at random": {"messages": CORPUS, "pick": "random"},
    "stored, by weight": {"messages": CORPUS, "pick": "weighted"},
    "old": {"oldMode": True},
    "size": {"parameters": Parameters(size=True)},
    "delivery reports": {"parameters": Parameters(notify="FAILURE")},
    "ledger": {"ledger": "ledger"},
}

#: More messages than anything in turn has, and not a multiple of it.
MESSAGES = 23


class Case(VariedCase):
    """
    Traffic of several processes, at a time that stands still.
    """

    def setUp(self):
        super().setUp()
        self.path = self.corpus()
        (Path(self.path) / "weights").write_bytes(b"a.eml 3\nc.eml 0\n")

    def plan(self, *options, **values):
        """
        @param options: names in L{OPTIONS}.
        @return: a plan with these; C{None} if they contradict each other.
        """
        for option in options:
            for name, value in OPTIONS[option].items():
                if values.setdefault(name, value) is not value:
                    return None
        if values.get("messages") is CORPUS:
            values["messages"] = self.path
        try:
            return SourcePlan(destination="127.0.0.1", myhostname="h", **values)
        except ValueError:
            return None

    def sentBy(self, plan, numbers=None, most=MESSAGES, problems=None):
        """
        @param numbers: those of a process's messages; C{None}: all.
        @return: all that it sends of each, and notes of each, by their numbers.
        """
        intents = []
        notes = SimpleNamespace(
            idOf=lambda number: idOf(RUN, number),
            intend=lambda message, *what: intents.append((message.number, *what)),
            write=lambda: None,
        )
        traffic = newTraffic(plan, RUN, None if plan.ledger is None else notes, numbers)
        if problems is not None:
            traffic.onProblem = problems.append
        messages = [traffic.next() for _ in range(most)]
        found = {message.number: self.told(message) for message in messages}
        self.assertEqual(len(found), most)
        noted = {number: tuple(others) for number, *others in intents}
        self.assertEqual(len(noted), 0 if plan.ledger is None else most)
        return {number: (sent, noted.get(number)) for number, sent in found.items()}

    def shared(self, plan, dealt, **more):
        """
        @param dealt: for each process, the numbers of its messages.
        @return: what all of them send together. Each has its plan as it came to it from another process.
        """
        found = {}
        for numbers in dealt:
            found |= self.sentBy(pickle.loads(pickle.dumps(plan)), iter(numbers), len(numbers), **more)
        return found


def strides(processes, messages=MESSAGES):
    """
    @return: for each process, every so-manieth number.
    """
    return [
        list(islice(count(share.index + 1, share.count), share.of(messages)))
        for share in (Share(index, processes) for index in range(processes))
    ]


def leases(processes, chance, messages=MESSAGES):
    """
    @return: for each process, numbers that come in leases of odd sizes, in any order.
    """
    pieces, first = [], 1
    while first <= messages:
        next_ = min(first + chance.randrange(1, 8), messages + 1)
        pieces.append(range(first, next_))
        first = next_
    chance.shuffle(pieces)
    dealt = [[] for _ in range(processes)]
    for piece in pieces:
        chance.choice(dealt).extend(piece)
    return dealt


class SharedTests(Case):
    """
    Several processes and one.
    """

    def test_options(self):
        """
        With every option about messages, and with every two of them, however many processes there are and however
        numbers are dealt out: a message of one number is the same.
        """
        chance = Random(1)
        looked = Counter()
        for options in chain(combinations(OPTIONS, 1), combinations(OPTIONS, 2)):
            plan = self.plan(*options, seed=5)
            if plan is None:
                continue
            looked.update(options)
            expected = self.sentBy(plan)
            self.assertEqual(list(expected), list(range(1, MESSAGES + 1)))
            for processes in (1, 2, 3, 5):
                for dealt in (strides(processes), leases(processes, chance)):
                    self.assertEqual(self.shared(plan, dealt), expected, (options, dealt))
        # Few of them exclude each other.
        self.assertEqual(set(looked), set(OPTIONS))
        self.assertGreater(sum(looked.values()), 500)

    @settings(max_examples=50)
    @given(st.data())
    def test_several(self, data):
        """
        So it is with more options at once.
        """
        names = data.draw(st.lists(st.sampled_from(list(OPTIONS)), unique=True, max_size=6), "options")
        plan = self.plan(*names, seed=data.draw(st.integers(0, 2**31 - 1), "seed"))
        if plan is None:
            return
        processes = data.draw(st.integers(1, 6), "processes")
        dealt = leases(processes, Random(data.draw(st.integers(0, 1000), "leases")))
        self.assertEqual(self.shared(plan, dealt), self.sentBy(plan))

    def test_unseeded(self):
        """
        Without a seed, too: one is drawn for all processes. And no recipient gets a number of another's.
        """
        for options in (("headers", "uniform sizes"), ("numbered", "several"), ("after", "several"), ("several",)):
            plan = self.plan(*options)
            self.assertEqual(self.shared(plan, strides(3)), self.sentBy(plan), options)

    def test_unreadable(self):
        """
        Messages that can't be read are told by each process that looks at one; what is sent in their place follows from
        the number, and is another one in each turn.
        """
        for name in ("b.eml", "d.eml"):
            (Path(self.path) / name).write_bytes(b"")
        for option in ("stored", "stored, at random", "stored, by weight"):
            plan = self.plan(option, seed=5)
            problems = []
            expected = self.sentBy(plan, most=200, problems=problems)
            self.assertEqual(len(problems), 2, problems)
            for processes in (2, 3, 5):
                problems = []
                found = self.shared(plan, strides(processes, 200), problems=problems)
                self.assertEqual(found, expected, option)
                self.assertTrue(2 <= len(problems) <= 2 * processes, problems)
            if option == "stored":
                sent = Counter(octets[-20:] for (*_, octets), _ in expected.values())
                self.assertEqual(sum(sent.values()), 200)
                self.assertTrue(all(number > 50 for number in sent.values()), sent.values())

    def test_passedOver(self):
        """
        How many recipients come before a message is right wherever it is asked for next, also far behind and before;
        and on the way there, each message's number is drawn but once.
        """
        drawn = []

        def howMany(number):
            drawn.append(number)
            return number % 7 + 1

        sums = [0]
        for number in range(1, 10_001):
            sums.append(sums[-1] + number % 7 + 1)
        counts = Counted(howMany)
        for number in (1, 2, 3, 500, 501, 2048, 2049, 2050, 1024, 1025, 1, 7000, 6999, 10_000, 5, 9000, 2049):
            self.assertEqual(counts(number), (sums[number - 1], number % 7 + 1), number)
        drawn.clear()
        counts = Counted(howMany)
        for number in range(1, 9001, 30):
            self.assertEqual(counts(number)[0], sums[number - 1])
        self.assertEqual(drawn, list(range(1, 8972)))
        drawn.clear()
        self.assertEqual(counts(5000)[0], sums[4999])
        self.assertLessEqual(len(drawn), 1024)


class AloneTests(Case):
    """
    One process: what is not drawn comes in turn, from the first message to the last.
    """

    def recipients(self, number, **values):
        """
        @return: the RCPT commands of some messages, without what they have in common.
        """
        sent = self.sent(number, **values)
        return [[rcpt[9:].partition(b">")[0].decode() for rcpt in rcpts] for _, rcpts, *_ in sent]

    def test_inTurn(self):
        """
        Senders, recipients, stored messages and numbers.
        """
        mails = [mail for mail, *_ in self.sent(4, senders=["a@x", "b@x", "c@x"])]
        self.assertEqual(mails, [b"MAIL FROM:<%b@x>\r\n" % name for name in (b"a", b"b", b"c", b"a")])
        three = ["a@y", "b@y", "c@y"]
        for values, expected in (
            ({}, [["a@y"], ["b@y"], ["c@y"], ["a@y"]]),
            ({"recipientCount": 2}, [["a@y", "b@y"], ["c@y", "a@y"], ["b@y", "c@y"], ["a@y", "b@y"]]),
            ({"recipientsDistribution": "fixed:2"}, [["a@y", "b@y"], ["c@y", "a@y"], ["b@y", "c@y"], ["a@y", "b@y"]]),
            (
                {"recipientCount": 2, "numberRecipients": True},
                [["1a@y", "2b@y"], ["3c@y", "4a@y"], ["5b@y", "6c@y"], ["7a@y", "8b@y"]],
            ),
            (
                {"numberRecipients": True, "recipientNumbering": "suffix", "numberStart": 9, "numberWidth": 3},
                [["a009@y"], ["b010@y"], ["c011@y"], ["a012@y"]],
            ),
        ):
            self.assertEqual(self.recipients(4, recipients=three, **values), expected, values)
        contents = [octets[-20:] for *_, octets in self.sent(7, messages=self.path)]
        self.assertEqual(contents[5:], contents[:2])
        self.assertEqual(len(set(contents)), 5)

    def test_goesOn(self):
        """
        Where the numbers of recipients are drawn, what is in turn and what is numbered goes on from message to message.
        """
        found = self.recipients(
            50, recipientsDistribution="uniform:1-5", recipients=["a@y", "b@y", "c@y"], numberRecipients=True
        )
        every = list(chain(*found))
        self.assertEqual(every, [f"{n + 1}{'abc'[n % 3]}@y" for n in range(len(every))])
        self.assertEqual({len(each) for each in found}, {1, 2, 3, 4, 5})

    def test_refused(self):
        """
        Nothing drawn and no seed: as with smtp-source(1), a message that does not come as far as MAIL takes no number.
        """

        class Server(LineReceiver):
            def connectionMade(self):
                self.factory.connections += 1
                self.sendLine(b"421 not now" if self.factory.connections % 3 == 1 else b"220 here")

            def lineReceived(self, line):
                if line.startswith(b"RCPT"):
                    self.factory.recipients.append(line)
                if line == b"DATA":
                    self.sendLine(b"354 go on")
                elif line[:4] in (b"HELO", b"MAIL", b"RCPT", b"QUIT", b"."):
                    self.sendLine(b"250 ok")

        for values, numbers in (({}, [1, 2, 3, 4]), ({"seed": 1}, [2, 3, 5, 6])):
            factory = ServerFactory.forProtocol(Server)
            factory.noisy, factory.connections, factory.recipients = False, 0, []
            plan = self.plan("numbered", messageCount=6, tolerant=True, **values)
            summary = runInMemory(plan, factory)
            self.assertEqual((summary.messages.started, summary.messages.accepted), (6, 4))
            self.assertEqual(factory.recipients, [b"RCPT TO:<%dfoo@h>" % number for number in numbers])


class TurnsTests(VariedCase):
    """
    What is in turn for connections.
    """

    def assertShared(self, turns, **plan):
        """
        @param turns: makes what gives one after the other, from a plan and a share of it; with C{None} it is all.
        """
        plan = SourcePlan(**plan)
        expected = [each() for each in [turns(plan)] for _ in range(60)]
        for processes in (1, 2, 3, 5):
            several = [turns(plan, Share(index, processes)) for index in range(processes)]
            self.assertEqual([several[n % processes]() for n in range(60)], expected, processes)

    def test_logins(self):
        """
        Who logs in.
        """
        users = [Credentials(str(n), "secret") for n in range(4)]
        self.assertShared(lambda *which: parts.dialogue(*which).login, mechanisms=["LOGIN"], logins=users)

    def test_sources(self):
        """
        Local addresses, of each family by itself.
        """
        hosts = ["127.0.0.1", "127.0.0.2", "::1", "127.0.0.3"]
        for host in ("192.0.2.1", "2001:db8::1"):
            address = TCPAddress(host, 25)
            self.assertShared(lambda *which, address=address: partial(parts.sources(*which).next, address), bind=hosts)
        self.assertIs(parts.sources(SourcePlan(), Share(1, 2)), None)

    def test_clients(self):
        """
        The clients that a proxy has, given ones and generated ones.
        """
        for given_ in ([], ["192.0.2.1", "192.0.2.2", "2001:db8::1"]):
            for host in ("127.0.0.1", "::1"):
                peer = IPv4Address("TCP", host, 25)
                self.assertShared(
                    lambda *which, peer=peer: partial(parts.dialogue(*which).proxyHeader, peer),
                    proxyProtocol="v1",
                    proxySources=given_,
                )

    def test_pauses(self):
        """
        Each has pauses of its own, the same ones with the same seed.
        """
        plan = SourcePlan(randomInterval=5.0, seed=1)

        def pauses(*which):
            pacer = parts.pacer(plan, *which)
            return tuple(pacer.pause() for _ in range(10))

        found = {pauses(Share(index, processes)) for processes in (2, 3) for index in range(processes)}
        self.assertEqual(len(found | {pauses()}), 6)
        self.assertIn(pauses(Share(1, 3)), found)
        self.assertEqual(pauses(Share(0, 1)), pauses())

    @given(st.integers(1, 7), st.integers(1, 40), st.integers(1, 7))
    def test_route(self, addresses, sessions, processes):
        """
        The first connections of all sessions go to the addresses as evenly as those of one process; then each process
        takes all of them in turn.
        """
        plan = SourcePlan(addresses="all", sessionCount=sessions)
        known = [TCPAddress(f"192.0.2.{n}", 25) for n in range(addresses)]
        found = Counter()
        for index in range(processes):
            share = Share(index, processes)
            route = parts.route(plan, known, share)
            found.update(route.next().address for _ in range(share.of(sessions)))
            self.assertEqual(Counter(route.next().address for _ in range(3 * addresses)), dict.fromkeys(known, 3))
        expected = parts.route(plan, known)
        self.assertEqual(found, Counter(expected.next().address for _ in range(sessions)))

    def test_routeOfOne(self):
        """
        Where the load is not spread, all begin with the first address.
        """
        known = [TCPAddress(f"192.0.2.{n}", 25) for n in range(3)]
        for index in range(3):
            self.assertEqual(parts.route(SourcePlan(), known, Share(index, 3)).next().address, known[0])


class WorkersTests(CommandTestCase):
    """
    Real processes.
    """

    @defer.inlineCallbacks
    def test_same(self):
        """
        With the same seed a server gets the same envelopes and the same messages, however many workers send them, in
        a closed loop and in an open one.
        """
        addresses = Path(self.mktemp())
        addresses.write_bytes(b"a@x\nb@x\nc@x\n")
        listed = str(addresses.absolute())
        for options in (
            (
                "-d",
                "-N",
                "--senders",
                listed,
                "--recipients-distribution",
                "uniform:1-4",
                "--domains",
                "a.test:9,b.test:1",
            ),
            ("--rate", "300", "--recipients", listed, "-r", "2", "--header", "X-A: {random:8}", "--size-distribution")
            + ("lognormal:median=1k,sigma=1",),
        ):
            same = ("-s", "6", "-m", "61", "--seed", "7", "--header", "Date: now", *options)
            found = []
            for workers in ((), ("--workers", "2"), ("--workers", "3")):
                server = self.serve()
                result = yield smtpsource(self, "--quiet", *workers, *same, server.destination).whenEnded()
                self.assertEqual((result.status, result.err), (0, b""), result)
                sent = (connection.received for connection in server.connections)
                found.append(
                    sorted(chain.from_iterable(re.findall(rb"(?s)MAIL FROM.*?\r\n\.\r\n", one) for one in sent))
                )
                server.stop()
            self.assertEqual(len(set(found[0])), 61)
            self.assertEqual(found, found[:1] * 3, options)
