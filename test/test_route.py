"""
Tests for L{smtpsource.net.route.Route}, and for load over all addresses of a name.
"""

from __future__ import annotations

import signal
from collections import Counter
from functools import partial

from commandlines import CommandTestCase
from hypothesis import strategies as st
from nameservers import MXTestCase
from peers import eventually
from properties import given
from recording import RecordingServer
from sessions import Going, Server
from subprocesses import loadAndReport, smtpsource
from twisted.internet import defer
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol
from twisted.names import dns
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import SourcePlan, SourceService
from smtpsource.load import whereabouts as whereaboutsModule
from smtpsource.net.destination import ResolutionFailed, TCPAddress
from smtpsource.net.reconnecting import ReconnectingConnector
from smtpsource.net.route import ConnectQueue, Route
from smtpsource.testing import FakeReactor

A, B, C, D = (TCPAddress(f"127.0.0.{n}", 25) for n in (1, 2, 3, 4))


def turns(route, number):
    """
    @return: the addresses of so many connections to those that all answer.
    """
    found = []
    for _ in range(number):
        target = route.next()
        route.answered(target)
        found.append(target.address)
    return found


class RouteTests(SynchronousTestCase):
    """
    Which address is next.
    """

    def test_first(self):
        """
        The one that answered last, whatever others there are.
        """
        route = Route([A, B, C])
        self.assertEqual(turns(route, 3), [A, A, A])
        first = route.next()
        second = route.next((first,))
        route.answered(second)
        self.assertEqual(turns(route, 2), [B, B])
        self.assertIs(route.next((second,)).address, C)
        self.assertIsNone(route.next(tuple(route.known.values())))

    def test_all(self):
        """
        One after the other; a connection that tries another one takes its turn.
        """
        route = Route([A, B, C], True)
        self.assertEqual(turns(route, 4), [A, B, C, A])
        failed = route.next()
        self.assertEqual([failed.address, route.next((failed,)).address], [B, C])
        self.assertEqual(turns(route, 2), [A, B])

    def test_preferences(self):
        """
        Those of the best preference are taken in turn; the others, each preference by itself, by who has tried all
        before them.
        """
        best = [TCPAddress(f"192.0.2.{n}", 25, f"mx{n}", 5) for n in (1, 2)]
        worse = [TCPAddress(f"192.0.2.{n}", 25, f"mx{n}", 10) for n in (3, 4)]
        worst = TCPAddress("192.0.2.5", 25, "mx5", 20)
        route = Route([*best, *worse, worst], True)
        self.assertEqual(turns(route, 4), best * 2)
        for expected in (*worse, worse[0]):
            tried = (route.next(),)
            tried += (route.next(tried),)
            self.assertEqual({one.address for one in tried}, set(best))
            self.assertEqual(route.next(tried).address, expected)
        tried = tuple(route.known.values())[:4]
        self.assertEqual(route.next(tried).address, worst)
        self.assertIsNone(route.next((*tried, route.known[worst])))
        self.assertEqual(turns(Route([worst, *best]), 1), [worst])

    def test_change(self):
        """
        New addresses come behind those that there were, whose turns go on in whatever order the name server has them
        now; what was counted of one that comes back is still there.
        """
        route = Route([A, B, C], True)
        self.assertEqual(turns(route, 2), [A, B])
        route.known[B].opened = 7
        route.change([D, B, A, C])
        self.assertEqual(turns(route, 5), [C, A, B, D, C])
        route.change([C, A])
        self.assertEqual(turns(route, 3), [A, C, A])
        route.change([B])
        self.assertEqual((turns(route, 2), route.known[B].opened), ([B, B], 7))
        self.assertEqual(list(route.known), [A, B, C, D])

    def test_changeOfFirst(self):
        """
        Where one address gets all, it is the one that has answered, or else the first one of those that are new.
        """
        route = Route([A, B])
        route.answered(route.next((route.next(),)))
        route.change([C, B])
        self.assertEqual(turns(route, 1), [B])
        route.change([D, C])
        self.assertEqual(turns(route, 1), [D])

    def test_gone(self):
        """
        An address that is gone may answer yet: then it is none that is preferred.
        """
        route = Route([A, B])
        before = route.next()
        route.change([C])
        route.answered(before)
        self.assertEqual(turns(route, 1), [C])

    @given(st.data())
    def test_even(self, data):
        """
        However many of the addresses don't answer, and in whatever order the attempts end: those that do get
        connections evenly, to the last one; the others are tried, too.
        """
        addresses = [TCPAddress(f"192.0.2.{n}", 25) for n in range(data.draw(st.integers(1, 6), "addresses"))]
        dead = data.draw(st.sets(st.sampled_from(addresses), max_size=len(addresses) - 1), "dead")
        number = data.draw(st.integers(1, 40), "connections")
        reactor, route, queue = FakeReactor(), Route(addresses, True), ConnectQueue(data.draw(st.integers(1, 10)))
        failures = []
        for _ in range(number):
            ReconnectingConnector(
                reactor,
                route,
                queue,
                reactor.seconds,
                Protocol,
                partial(failures.append, 1),
                lambda kind, text: self.fail(text),
                lambda: None,
            ).connect()
        opened, failed = Counter(), Counter()
        while reactor.attempts:
            attempt = reactor.attempts[data.draw(st.integers(0, len(reactor.attempts) - 1))]
            address = TCPAddress(attempt.address.host, 25)
            if address in dead:
                failed[address] += 1
                attempt.refuse()
            else:
                opened[address] += 1
                attempt.accept()
        living = [opened[address] for address in addresses if address not in dead]
        self.assertEqual((sum(living), len(failures)), (number, failed.total()))
        self.assertLessEqual(max(living) - min(living), 1)
        for address in dead:
            self.assertLessEqual(min(min(living) - 1, 1), failed[address])


class Servers(Server):
    """
    A server at each address but for those that are down.

    @ivar down: their hosts.
    @ivar taken: how many connections each host has taken.
    @ivar mails: how many messages each host was asked to take.
    """

    def __init__(self, *down):
        super().__init__(self.answer)
        self.down = set(down)
        self.taken = Counter()
        self.messages = Counter()

    def buildProtocol(self, address):
        if address.host in self.down:
            return None
        self.taken[address.host] += 1
        protocol = super().buildProtocol(address)
        protocol.host = address.host
        return protocol

    def answer(self, connection, event, usual):
        if event in (b"content", b"NOOP"):
            self.messages[connection.host] += 1
        return usual


def begun(servers, **plan):
    """
    @return: a run over all of three addresses.
    """
    return Going(servers, (A, B, C), addresses="all", **plan)


class RunTests(SynchronousTestCase):
    """
    What a run counts by address.
    """

    def check(self, going, servers):
        """
        What was counted by address is what the servers have counted, and it adds up.
        """
        found = going.run.byAddress()
        self.assertEqual(list(found), [str(A), str(B), str(C)])
        for address in (A, B, C):
            self.assertEqual(found[str(address)].opened, servers.taken[address.host])
        self.assertEqual(sum(one.opened for one in found.values()), going.recorder.connectionsOpened)
        self.assertEqual(sum(one.failed for one in found.values()), going.recorder.connectionsFailed)
        self.assertEqual(sum(one.accepted for one in found.values()), going.recorder.accepted)
        return found

    def test_new(self):
        """
        With a connection for each message, each address gets as many messages as any other.
        """
        servers = Servers()
        going = begun(servers, messageCount=12, sessionCount=4)
        going.finish()
        found = self.check(going, servers)
        self.assertEqual([(one.opened, one.failed, one.accepted) for one in found.values()], [(4, 0, 4)] * 3)
        self.assertEqual(servers.messages, dict.fromkeys((A.host, B.host, C.host), 4))

    def test_kept(self):
        """
        With kept connections each address gets as many sessions; of the messages each has what it took.
        """
        servers = Servers()
        going = begun(servers, messageCount=60, sessionCount=6, keepConnections=True)
        going.finish()
        found = self.check(going, servers)
        self.assertEqual([one.opened for one in found.values()], [2] * 3)
        self.assertEqual([one.accepted for one in found.values()], [servers.messages[one.host] for one in (A, B, C)])

    def test_down(self):
        """
        One that is down is passed over, by each connection for itself, and counted; it gets its part when it is back.
        """
        servers = Servers(B.host)
        going = begun(servers, messageCount=24, sessionCount=1, fixedInterval=1.0)
        going.reactor.advance(11.5)
        self.assertEqual(servers.taken, {A.host: 6, C.host: 6})
        self.assertEqual(going.run.byAddress()[str(B)].failed, 6)
        servers.down.clear()
        going.finish()
        self.check(going, servers)
        self.assertEqual(servers.taken, {A.host: 10, B.host: 4, C.host: 10})
        self.assertEqual(going.counts(), (24, 24, 0, 0))

    def test_others(self):
        """
        What is no mail is counted as well.
        """
        for exercise in ("noop", "connect"):
            servers = Servers()
            going = begun(servers, messageCount=12, exercise=exercise)
            going.finish()
            self.assertEqual([one.accepted for one in self.check(going, servers).values()], [4] * 3)

    def test_first(self):
        """
        By default one of them gets all.
        """
        servers = Servers()
        going = Going(servers, (A, B, C), messageCount=12, sessionCount=4)
        going.finish()
        self.assertEqual([one.accepted for one in self.check(going, servers).values()], [12, 0, 0])

    def test_warmUp(self):
        """
        What came before the end of the warm-up is in no figure, also of a connection that is kept.
        """
        servers = Servers()
        reactor = FakeReactor(servers)
        self.patch(whereaboutsModule, "resolve", lambda reactor, destination: defer.succeed([A, B, C]))
        plan = SourcePlan(
            destination="cluster.example",
            addresses="all",
            sessionCount=3,
            keepConnections=True,
            duration=4.0,
            warmUp=2.0,
            fixedInterval=1.0,
        )
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        reactor.advance(1.5)
        self.assertEqual(service.byAddress()[str(A)].opened, 1)
        reactor.advance(10)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual(summary.messages.accepted, 12)
        self.assertEqual([(one.opened, one.accepted) for one in summary.addresses.values()], [(0, 4)] * 3)


class LookUpTests(SynchronousTestCase):
    """
    A name that is looked up again.
    """

    def begin(self, *found, **plan):
        """
        Begin a run of a connection a second.

        @param found: what the look-ups give: addresses, or why there are none.
        """
        self.servers = Servers()
        self.reactor = FakeReactor(self.servers)
        self.found = [defer.succeed(one) if isinstance(one, list) else defer.fail(one) for one in found]
        self.asked = []
        self.told = []

        def resolve(reactor, destination):
            self.asked.append(self.reactor.seconds())
            return self.found.pop(0)

        self.patch(whereaboutsModule, "resolve", resolve)
        plan = SourcePlan(destination="cluster.example", messageCount=12, fixedInterval=1.0, **plan)
        self.service = SourceService(self.reactor, plan, clock=self.reactor.seconds, tell=self.told.append)
        self.service.startService()

    def end(self):
        """
        @return: the summary.
        """
        self.reactor.advance(1000)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        return self.successResultOf(self.service.whenDone())

    def test_once(self):
        """
        Nobody looks twice unless that was asked for.
        """
        self.begin([A, B])
        self.assertEqual(self.end().exit, 0)
        self.assertEqual(self.asked, [0.0])

    def test_again(self):
        """
        New addresses get connections from then on, and those that are gone get none any more.
        """
        self.begin([A, B], [B, C], [C], [C], addresses="all", resolveAgain=4.0)
        summary = self.end()
        self.assertEqual((summary.exit, self.asked), (0, [0.0, 4.0, 8.0]))
        self.assertEqual(self.servers.taken.total(), 12)
        self.assertEqual(self.servers.taken, {A.host: 2, B.host: 4, C.host: 6})
        self.assertEqual(
            {where: one.accepted for where, one in summary.addresses.items()}, {str(A): 2, str(B): 4, str(C): 6}
        )
        self.assertEqual((self.told, summary.errors), ([], {}))
        self.assertEqual([(mark.at, mark.kind) for mark in summary.marks], [(4.0, "event"), (8.0, "event")])
        self.assertEqual(summary.marks[0].text, f"the destination has other addresses: {B}, {C}")

    def test_failed(self):
        """
        What can't be looked up is used as it was known, and that is said once.
        """
        lost = [ResolutionFailed(f"no address for cluster.example: trouble {n}") for n in range(2)]
        self.begin([A], *lost, [B], lost[1], addresses="all", resolveAgain=2.5)
        summary = self.end()
        self.assertEqual((summary.exit, summary.messages.accepted), (0, 12))
        self.assertEqual(self.servers.taken, {A.host: 8, B.host: 4})
        self.assertEqual(summary.errors["no-new-addresses"].count, 3)
        expected = "no address for cluster.example: trouble 0; the run goes on with the addresses that it has"
        self.assertEqual(self.told, [expected])

    def test_slow(self):
        """
        A look-up that takes its time holds up nothing, and the next begins after it.
        """
        self.begin([A], resolveAgain=1.0)
        slow = defer.Deferred()
        self.found = [slow, defer.succeed([B])]
        self.reactor.advance(6.5)
        self.assertEqual((self.servers.taken, self.asked), ({A.host: 7}, [0.0, 1.0]))
        self.found.append(defer.Deferred())
        slow.callback([B])
        self.reactor.advance(2.0)
        self.assertEqual((self.servers.taken, self.asked), ({A.host: 7, B.host: 2}, [0.0, 1.0, 7.5, 8.5]))
        summary = self.end()
        self.assertEqual(summary.exit, 0)

    def test_late(self):
        """
        Whatever comes of one when the run is over is of no interest.
        """
        for late in ([B], Failure(ResolutionFailed("x")), Failure(RuntimeError("y"))):
            self.begin([A], resolveAgain=1.0)
            self.found = [slow := defer.Deferred()]
            summary = self.end()
            slow.callback(late)
            self.assertEqual((summary.exit, self.told, self.reactor.getDelayedCalls()), (0, [], []))

    def test_broken(self):
        """
        An exception that nobody expected is the end of the run, as anywhere else.
        """
        self.begin([A], RuntimeError("oops"), resolveAgain=2.5)
        summary = self.end()
        self.assertEqual((summary.exit, summary.messages.accepted), (1, 3))
        self.assertIn("oops", summary.reason)


class CommandTests(MXTestCase, CommandTestCase):
    """
    The command, with a server at each of three addresses.
    """

    def listening(self, number):
        """
        @return: servers at 127.0.0.1 and so on, with the same port.
        """
        while True:
            servers = [RecordingServer() for _ in range(number)]
            for server in servers:
                self.addCleanup(server.stop)
            servers[0].listenTCP()
            try:
                for n, server in enumerate(servers[1:], 2):
                    server.listenTCP(f"127.0.0.{n}", port=servers[0].port)
            except CannotListenError:  # somebody else has that port
                continue
            return servers

    @defer.inlineCallbacks
    def test_exchangers(self):
        """
        All addresses of the exchangers of the best preference get as many connections, and the other one none: the
        servers' own counts say so.
        """
        servers = self.listening(4)
        port = servers[0].port
        arguments = ("--mx", "--dns-server", "{}:{}".format(*self.server), "--addresses", "all", "-s", "3", "-m", "30")
        result, report = yield loadAndReport(self, *arguments, f"spread.test:{port}")
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual([len(server.messages) for server in servers], [10, 10, 10, 0])
        expected = {
            f"inet:127.0.0.{n}:{port}": {"opened": times, "failed": 0, "accepted": times, "name": f"{name}.spread.test"}
            for n, name, times in ((1, "a", 10), (2, "a", 10), (3, "b", 10), (4, "c", 0))
        }
        self.assertEqual(report["addresses"], expected)

    @defer.inlineCallbacks
    def test_again(self):
        """
        Exchangers that are looked up again while the run goes on, and can't be any more.
        """
        (server,) = self.listening(1)
        options = ("--mx", "--dns-server", "{}:{}".format(*self.server), "--resolve-again", "50ms", "--duration", "10m")
        command = smtpsource(self, *options, "-w", "1", f"a.spread.test:{server.port}")
        yield self.asked(3)
        self.factory.codes["a.spread.test"] = dns.ESERVER
        yield command.whenPrinted(b"the run goes on with the addresses that it has", "err")
        yield self.asked(3)
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.err.count(b"\n"), 1, result.err)
        self.assertRegex(result.out, rb"(?m)^no-new-addresses +\d+  the name server fails to answer for a.spread.test")

    def asked(self, times):
        """
        @return: fires when the name server was asked so many times more.
        """
        wanted = len(self.factory.asked) + times
        return eventually(lambda: len(self.factory.asked) >= wanted, "questions")
