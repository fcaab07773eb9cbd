"""
Tests for L{smtpsource.net.reconnecting} and L{smtpsource.net.factory}.
"""

from __future__ import annotations

import gc
import socket
import weakref
from unittest import mock

from hypothesis import strategies as st
from properties import given
from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.address import UNIXAddress as UNIXEnd
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.net import reconnecting as module
from smtpsource.net import route
from smtpsource.net.destination import TCPAddress, UNIXAddress
from smtpsource.net.factory import SMTPSourceFactory
from smtpsource.net.reconnecting import ReconnectingConnector
from smtpsource.net.route import ConnectQueue, Route
from smtpsource.net.sources import Sources
from smtpsource.testing import FakeReactor

ONE, TWO, THREE = (TCPAddress(f"127.0.0.{n}", 25) for n in (1, 2, 3))


class Connecting:
    """
    A connector, and what it tells.
    """

    def __init__(self, *addresses, reactor=None, route=None, queue=None, **options):
        self.reactor = reactor or FakeReactor()
        self.route = route or Route(addresses or (ONE,))
        self.told = []
        self.connector = ReconnectingConnector(
            self.reactor,
            self.route,
            queue or ConnectQueue(100),
            self.reactor.seconds,
            self.build,
            lambda: self.told.append("failed"),
            lambda kind, text: self.told.append((kind, text)),
            lambda: self.told.append("closed"),
            **options,
        )

    def build(self):
        self.told.append(("built", self.connector.sinceStarted()))
        return Protocol()

    def hosts(self):
        return [attempt.address.host for attempt in self.reactor.attempts]


class AddressTests(SynchronousTestCase):
    """
    Which address is tried, and when.
    """

    def test_connects(self):
        """
        The protocol is built when the connection is there, and knows how long it took.
        """
        one = Connecting()
        one.connector.connect()
        one.reactor.advance(2)
        self.assertEqual(one.told, [])
        protocol, wire = one.reactor.attempts[0].accept()
        self.assertEqual(one.told, [("built", 2.0)])
        self.assertIs(protocol.transport, wire)
        wire.drop()
        self.assertEqual(one.told[1:], ["closed"])

    def test_again(self):
        """
        The same connector makes a second connection, with the same L{IConnector}.
        """
        one = Connecting()
        for _ in range(3):
            one.connector.connect()
            one.reactor.attempts[0].accept()[1].drop()
        self.assertEqual(one.told, [("built", 0.0), "closed"] * 3)
        self.assertEqual(len(one.reactor.connectors), 1)

    def test_fewKept(self):
        """
        Of very many addresses, to connect to or from, no more than a few L{IConnector}s are kept; a few are used again.
        """
        many = [f"127.{n // 250}.{n % 250}.7" for n in range(500)]
        for few, connecting in (
            (False, lambda: Connecting(sources=Sources(many))),
            (False, lambda: Connecting(route=Route([TCPAddress(host, 25) for host in many], spread=True))),
            (True, lambda: Connecting(route=Route([ONE, TWO, THREE], spread=True))),
        ):
            one = connecting()
            made = weakref.WeakSet()
            number = 0
            for _ in range(500):
                one.connector.connect()
                one.reactor.attempts[0].accept()[1].drop()
                number += len(one.reactor.connectors)
                made.update(one.reactor.connectors)
                one.reactor.connectors.clear()
            self.assertEqual(one.told, [("built", 0.0), "closed"] * 500)
            gc.collect()
            self.assertEqual(number, 3 if few else 500)
            self.assertLess(len(made), 10)

    def test_newAddresses(self):
        """
        Where the addresses change again and again, it is the same, and what was counted stays counted.
        """
        one = Connecting()
        made = weakref.WeakSet()
        for n in range(500):
            one.route.change([TCPAddress(f"127.{n // 250}.{n % 250}.7", 25)])
            one.connector.connect()
            one.reactor.attempts[0].accept()[1].drop()
            one.connector.target.opened += 1
            made.update(one.reactor.connectors)
            one.reactor.connectors.clear()
        gc.collect()
        self.assertLess(len(made), 10)
        self.assertEqual(sum(target.opened for target in one.route.known.values()), 500)

    def test_inTurn(self):
        """
        If an address does not answer the next is tried at once; each counts; the last one's reason is told.
        """
        one = Connecting(ONE, TWO, THREE)
        one.connector.connect()
        tried = []
        for _ in range(3):
            tried += one.hosts()
            one.reactor.attempts[0].refuse()
        self.assertEqual(tried, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
        self.assertEqual(one.told, ["failed"] * 3 + [("connect-refused", "inet:127.0.0.3:25: connection refused")])
        self.assertEqual((one.hosts(), one.reactor.getDelayedCalls()), ([], []))

    def test_preferred(self):
        """
        The address that answered last is tried first, by all who share the route; the others come after it, in turn.
        """
        one = Connecting(ONE, TWO, THREE)
        other = Connecting(reactor=one.reactor, route=one.route)
        one.connector.connect()
        one.reactor.attempts[0].refuse()
        one.reactor.attempts[0].accept()
        self.assertEqual(one.route.next().address, TWO)
        other.connector.connect()
        tried = []
        for _ in range(3):
            tried += one.hosts()
            one.reactor.attempts[0].refuse()
        self.assertEqual(tried, ["127.0.0.2", "127.0.0.3", "127.0.0.1"])

    def test_name(self):
        """
        The protocol is told the name of its server, where the address has one of its own: TLS is with that.
        """
        named = [TCPAddress(f"127.0.0.{n}", 25, f"mx{n}.example") for n in (1, 2)]
        one = Connecting(*named, THREE)
        one.connector.connect()
        for name in ("mx1.example", "mx2.example", None):
            protocol, wire = one.reactor.attempts[0].accept()
            self.assertEqual(getattr(protocol, "serverName", None), name)
            wire.drop()
            one.connector.connect()
            one.reactor.attempts[0].refuse()

    def test_source(self):
        """
        Where an address to connect from was given, what is said of a failure has it: it may be the one that is wrong.
        """
        one = Connecting(ONE, TWO, sources=Sources(["192.0.2.7", "192.0.2.8"]))
        one.connector.connect()
        for _ in range(2):
            one.reactor.attempts[0].refuse(error.ConnectBindError(99, "Cannot assign requested address"))
        expected = "inet:127.0.0.2:25 from 192.0.2.8: Cannot assign requested address"
        self.assertEqual(one.told[-1], ("connect-failed", expected))
        one.connector.connect()
        for _ in range(2):
            one.reactor.attempts[0].refuse()
        expected = "inet:127.0.0.2:25 from 192.0.2.8: connection refused"
        self.assertEqual(one.told[-1], ("connect-refused", expected))

    def test_UNIX(self):
        """
        The path of a UNIX socket is an address like another.
        """
        one = Connecting(UNIXAddress("/x/y"))
        one.connector.connect()
        self.assertEqual(one.reactor.attempts[0].address, UNIXEnd("/x/y"))

    def test_ports(self):
        """
        Host and port go to the reactor as they are, with the timeout.
        """
        one = Connecting(TCPAddress("127.0.0.9", 2525), timeout=7.0)
        one.connector.connect()
        self.assertEqual(one.reactor.attempts[0].address, IPv4Address("TCP", "127.0.0.9", 2525))
        self.assertEqual(one.reactor.attempts[0].timeout, 7.0)

    def test_timeout(self):
        """
        An address that never answers is given up after its time; then the next has its own.
        """
        one = Connecting(ONE, TWO, timeout=7.0)
        one.connector.connect()
        one.reactor.advance(6.9)
        self.assertEqual(one.hosts(), ["127.0.0.1"])
        one.reactor.advance(0.2)
        self.assertEqual(one.hosts(), ["127.0.0.2"])
        one.reactor.advance(7.0)
        self.assertEqual(
            one.told,
            ["failed", "failed", ("connect-timeout", "inet:127.0.0.2:25: no answer to the attempt to connect")],
        )

    def test_lastAttempt(self):
        """
        Who wants no further attempts gives up when the present one has failed, or at once if there is none.
        """
        for before in (True, False):
            one = Connecting(attempts=5)
            one.connector.connect()
            if before:
                one.connector.lastAttempt()
                self.assertEqual(one.told, [])
            one.reactor.attempts[0].refuse()
            if not before:
                self.assertEqual(one.told, ["failed"])
                one.connector.lastAttempt()
            self.assertEqual(one.told, ["failed", ("connect-refused", "inet:127.0.0.1:25: connection refused")])
            self.assertEqual(one.reactor.getDelayedCalls(), [])

    def test_kinds(self):
        """
        What went wrong is told in the words of the system.
        """
        cases = [
            (error.ConnectionRefusedError(), "connect-refused", "connection refused"),
            (error.TCPTimedOutError(), "connect-timeout", "no answer to the attempt to connect"),
            (error.NoRouteError(113, "No route to host"), "connect-failed", "No route to host"),
            (error.ConnectError(24, "Too many open files"), "out-of-files", "Too many open files"),
            (error.ConnectError(99, "..."), "out-of-ports", "Cannot assign requested address"),
            (error.ConnectBindError(99, "Not this machine's"), "connect-failed", "Not this machine's"),
            (OSError(97, "Address family not supported"), "connect-failed", "Address family not supported"),
            (RuntimeError("something else"), "connect-failed", "something else"),
        ]
        for reason, kind, text in cases:
            one = Connecting()
            one.connector.connect()
            one.reactor.attempts[0].refuse(reason)
            self.assertEqual(one.told[-1], (kind, f"inet:127.0.0.1:25: {text}"))


class AttemptTests(SynchronousTestCase):
    """
    C{-C}: several attempts for a connection.
    """

    def setUp(self):
        self.patch(module, "retryDelay", lambda failures: 10.0 * (failures + 1))

    def test_backsOff(self):
        """
        After a failed attempt on every address comes a growing delay, then all are tried again; the last gives up.
        """
        one = Connecting(ONE, TWO, attempts=3)
        one.connector.connect()
        for wait in (10.0, 20.0, None):
            self.assertEqual(one.hosts(), ["127.0.0.1"])
            one.reactor.attempts[0].refuse()
            one.reactor.attempts[0].refuse()
            self.assertEqual(one.hosts(), [])
            if wait is not None:
                self.assertEqual(one.told[-1], "failed")
                one.reactor.advance(wait - 0.1)
                self.assertEqual(one.hosts(), [])
                one.reactor.advance(0.2)
        self.assertEqual(one.told.count("failed"), 6)
        self.assertEqual(one.told[-1][0], "connect-refused")
        self.assertEqual(one.reactor.getDelayedCalls(), [])

    def test_succeedsLater(self):
        """
        An attempt that succeeds is the last; the next connection has all of its attempts again.
        """
        one = Connecting(attempts=2)
        for _ in range(2):
            one.connector.connect()
            one.reactor.attempts[0].refuse()
            one.reactor.advance(10)
            one.reactor.attempts[0].accept()[1].drop()
        self.assertEqual(one.told, ["failed", ("built", 0.0), "closed"] * 2)

    def test_one(self):
        """
        Without -C there is one attempt.
        """
        one = Connecting()
        one.connector.connect()
        one.reactor.attempts[0].refuse()
        self.assertEqual([one.told[0], one.told[1][0]], ["failed", "connect-refused"])
        self.assertEqual(one.reactor.getDelayedCalls(), [])


class DelayTests(SynchronousTestCase):
    """
    The delays as they are.
    """

    def test_delays(self):
        """
        About a tenth of a second at first; never much more than ten.
        """
        self.assertLess(route.retryDelay(0), 2)
        for failures in (20, 50, 1000):
            self.assertTrue(9 < route.retryDelay(failures) < 12, failures)

    def test_sessionDelays(self):
        """
        A session waits from 50 ms on, not more than two seconds, and no two of them for the same time.
        """
        for failures in (0, 1, 2, 5, 50, 5000):
            delays = [route.sessionDelay(failures) for _ in range(50)]
            self.assertTrue(all(0.05 <= delay <= 2.0 for delay in delays), delays)
            self.assertGreater(len(set(delays)), 40)
        self.assertLess(route.sessionDelay(0), 0.11)
        self.assertGreater(route.sessionDelay(5), 0.9)


class StopTests(SynchronousTestCase):
    """
    A connector that is told to stop.
    """

    def test_connecting(self):
        """
        An attempt on its way is given up, without being told of; the place in the queue is free for others.
        """
        queue = ConnectQueue(1)
        one = Connecting(ONE, TWO, queue=queue, attempts=3)
        other = Connecting(reactor=one.reactor, queue=queue)
        one.connector.connect()
        other.connector.connect()
        self.assertEqual(len(one.reactor.attempts), 1)
        self.assertTrue(one.connector.stop())
        self.assertEqual(one.told, [])
        self.assertEqual(len(one.reactor.attempts), 1)
        one.reactor.attempts[0].accept()
        self.assertEqual(other.told, [("built", 0.0)])

    def test_queued(self):
        """
        One that waits for its turn never gets it.
        """
        queue = ConnectQueue(1)
        one = Connecting(queue=queue)
        other = Connecting(reactor=one.reactor, queue=queue)
        one.connector.connect()
        other.connector.connect()
        self.assertTrue(other.connector.stop())
        one.reactor.attempts[0].accept()
        self.assertEqual((other.told, len(one.reactor.attempts)), ([], 0))

    def test_delayed(self):
        """
        One that waits for another attempt makes none.
        """
        one = Connecting(attempts=2)
        one.connector.connect()
        one.reactor.attempts[0].refuse()
        self.assertTrue(one.connector.stop())
        self.assertEqual((one.told, one.reactor.getDelayedCalls()), (["failed"], []))

    def test_notConnecting(self):
        """
        One that isn't connecting has nothing to stop.
        """
        one = Connecting()
        self.assertFalse(one.connector.stop())
        one.connector.connect()
        one.reactor.attempts[0].accept()
        self.assertFalse(one.connector.stop())

    def test_afterwards(self):
        """
        It can be asked to connect again.
        """
        one = Connecting()
        one.connector.connect()
        one.connector.stop()
        one.connector.connect()
        one.reactor.attempts[0].refuse()
        self.assertEqual(one.told[0], "failed")


class BrokenReactor(FakeReactor):
    """
    One with which connecting raises what it is told to, the first time and later.
    """

    raises = None

    def connectTCP(self, *arguments, **options):
        if self.raises:
            raise self.raises
        connector = super().connectTCP(*arguments, **options)
        connect = connector.connect

        def again():
            if self.raises:
                raise self.raises
            connect()

        connector.connect = again
        return connector

    connectUNIX = connectTCP


class ExceptionTests(SynchronousTestCase):
    """
    Whatever is raised by whatever belongs to connecting is an address that does not answer.
    """

    RAISED = (
        OSError(24, "Too many open files"),
        socket.gaierror(-2, "Name or service not known"),
        ValueError("embedded null byte"),
        MemoryError(),
        RuntimeError("can't connect in this state"),
    )

    def test_connecting(self):
        """
        It is told like any other failure, in a later turn; the next address is tried; the place in the queue is free.
        """
        for raised in self.RAISED:
            queue = ConnectQueue(1)
            one = Connecting(ONE, TWO, reactor=BrokenReactor(), queue=queue)
            one.reactor.raises = raised
            one.connector.connect()
            self.assertEqual(one.told, [])
            one.reactor.advance(0)
            text = getattr(raised, "strerror", None) or str(raised) or "MemoryError"
            self.assertEqual(one.told, ["failed", "failed", ("connect-failed", f"inet:127.0.0.2:25: {text}")])
            self.assertEqual(one.reactor.getDelayedCalls(), [])
            one.reactor.raises = None
            one.connector.connect()
            one.reactor.attempts[0].accept()
            self.assertEqual(one.told[3:], [("built", 0.0)])

    def test_again(self):
        """
        The same from a connector that has connected before; later another one is made in its place.
        """
        one = Connecting(reactor=BrokenReactor())
        one.connector.connect()
        one.reactor.attempts[0].accept()[1].drop()
        one.reactor.raises = RuntimeError("can't connect in this state")
        one.connector.connect()
        one.reactor.advance(0)
        expected = ("connect-failed", "inet:127.0.0.1:25: can't connect in this state")
        self.assertEqual(one.told[2:], ["failed", expected])
        one.reactor.raises = None
        one.connector.connect()
        one.reactor.attempts[0].accept()
        self.assertEqual(one.told[4:], [("built", 0.0)])
        self.assertEqual(len(one.reactor.connectors), 2)

    def test_stop(self):
        """
        One that is told to stop just then is stopped, and nothing is told any more.
        """
        queue = ConnectQueue(1)
        one = Connecting(reactor=BrokenReactor(), queue=queue)
        one.reactor.raises = ValueError("embedded null byte")
        one.connector.connect()
        self.assertTrue(one.connector.stop())
        self.assertEqual((one.told, one.reactor.getDelayedCalls()), ([], []))
        other = Connecting(queue=queue)
        other.connector.connect()
        self.assertEqual(len(other.reactor.attempts), 1)

    def test_building(self):
        """
        A protocol that can't be built: the connection is closed, and counts as one that could not be made.
        """
        queue = ConnectQueue(1)
        one = Connecting(queue=queue)

        def build():
            raise MemoryError

        with mock.patch.object(one.connector, "_build", build):
            one.connector.connect()
            protocol, wire = one.reactor.attempts[0].accept()
            self.assertIs(protocol, None)
            one.reactor.advance(0)
        self.assertFalse(wire.connected)
        self.assertEqual(one.told, ["failed", ("connect-failed", "inet:127.0.0.1:25: MemoryError")])
        one.connector.connect()
        one.reactor.attempts[0].accept()
        self.assertEqual(one.told[2:], [("built", 0.0)])

    def test_stopWhileBuilding(self):
        """
        One that is told to stop after that, before the connection is closed, is stopped.
        """
        queue = ConnectQueue(1)
        one = Connecting(queue=queue)

        def build():
            raise MemoryError

        with mock.patch.object(one.connector, "_build", build):
            one.connector.connect()
            one.reactor.attempts[0].accept()
        self.assertTrue(one.connector.stop())
        one.reactor.advance(0)
        self.assertEqual(one.told, [])
        others = [Connecting(reactor=one.reactor, queue=queue) for _ in range(2)]
        for other in others:
            other.connector.connect()
        self.assertEqual(len(one.reactor.attempts), 1)

    def test_zone(self):
        """
        An interface that there is not is named.
        """
        one = Connecting(TCPAddress("fe80::1%nosuch0", 25), reactor=BrokenReactor())
        one.reactor.raises = socket.gaierror(-2, "Name or service not known")
        one.connector.connect()
        one.reactor.advance(0)
        expected = "inet:[fe80::1%nosuch0]:25: there is no network interface 'nosuch0'"
        self.assertEqual(one.told, ["failed", ("connect-failed", expected)])


class QueueTests(SynchronousTestCase):
    """
    How many may connect at once.
    """

    @given(st.integers(1, 5), st.lists(st.sampled_from(["enter", "leave", "withdraw"]), max_size=40))
    def test_bound(self, parallel, steps):
        """
        Never more than so many are inside, nobody waits while there is room, and it is first come first served.
        """
        queue = ConnectQueue(parallel)
        inside, waiting, entered, order = [], [], [], []
        for number, step in enumerate(steps):
            if step == "enter":

                def enter(number=number):
                    entered.append(number)
                    inside.append(number)

                order.append((number, enter))
                waiting.append((number, enter))
                queue.enter(enter)
            elif step == "leave" and inside:
                inside.pop(0)
                queue.leave()
            elif step == "withdraw" and waiting:
                number, enter = waiting[-1]
                self.assertEqual(queue.withdraw(enter), number not in entered)
                if number not in entered:
                    waiting.pop()
                    order.remove((number, enter))
            waiting = [(number, enter) for number, enter in waiting if number not in entered]
            self.assertLessEqual(len(inside), parallel)
            self.assertTrue(not waiting or len(inside) == parallel)
            self.assertEqual(entered, [number for number, _ in order][: len(entered)])


class WindowTests(SynchronousTestCase):
    """
    C{-T}: the size of the socket's buffers.
    """

    class Connector:
        class transport:
            pass

        def __init__(self, sock):
            self.transport.socket = sock

    def test_size(self):
        """
        It is set before connecting, for both directions.
        """
        with socket.socket() as sock:
            usual = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            factory = SMTPSourceFactory(None, None, 8192)
            factory.startedConnecting(self.Connector(sock))
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.assertTrue(8192 <= sock.getsockopt(socket.SOL_SOCKET, option) <= 16384)
        with socket.socket() as sock:
            SMTPSourceFactory(None, None, None).startedConnecting(self.Connector(sock))
            self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), usual)

    def test_noSocket(self):
        """
        Where no socket could be had there is none to set: the attempt fails in its own way.
        """
        one = Connecting(windowSize=4096)
        one.connector.connect()
        one.reactor.attempts[0].refuse()
        self.assertEqual(one.told[0], "failed")
