"""
Our sink twice in one process: with its compiled twins, if there are any, and in pure Python.
"""

from __future__ import annotations

import socket
from importlib import import_module

from patience import PATIENCE
from sinks import Transport
from twins import pure
from twisted.internet.task import Clock


class Kind:
    """
    One of the two.

    @ivar name: what does the work.
    """

    def __init__(self, module):
        """
        @param module: gives a module by its name.
        """
        self.name = module("smtpsource.speedups").NAME
        self.factory = module("smtpsource.sink.factory").SinkFactory
        self.plan = module("smtpsource.sink.plan").SinkPlan
        self.reactor = module("smtpsource.net.reactor").LeanReactor
        self.server = module("smtpsource.net.lean.transports").EagerServer
        self.protocol = module("smtpsource.sink.protocol").SMTPSinkProtocol
        self.turns = module("smtpsource.net.lean.turns").Turns
        self.client = module("smtpsource.net.lean.clients").LeanTCPClient
        self.port = module("smtpsource.net.lean.ports").TCPPort


#: With the twins, and without.
COMPILED, PURE = Kind(import_module), Kind(pure)


def counted(factory):
    """
    @return: all that a sink has counted.
    """
    counts = factory.counts
    names = ("sessions", "ended", "mostOpen", "quits", "messages", "recipients", "bytesReceived", "bytesSent", "chunks")
    return (
        {name: getattr(counts, name) for name in names},
        counts.errors,
        counts.extensions(factory.parameters.counted()),
    )


def state(protocol):
    """
    @return: what a session knows.
    """
    names = ("_buffer", "_octets", "_isLast", "_chunked", "_ended", "_ending", "_refusing", "_mute", "active", "begun")
    return {
        "commands": sorted(protocol.commands),
        "tail": b"" if protocol.line_mode else protocol._tail,
        **{name: getattr(protocol, name) for name in (*names, "line_mode", "inTransaction", "recipients", "inTLS")},
    }


def sinkOf(kind, plan):
    """
    @return: a sink of one kind; its ledger is open, if it has one.
    """
    factory = kind.factory(kind.plan(**plan), Clock().seconds)
    if factory.ledger is not None:
        factory.ledger.open()
    return factory


class _Listed(Transport):
    """
    A transport that remembers each write.
    """

    def __init__(self):
        Transport.__init__(self)
        self.each = []

    def write(self, data):
        self.each.append(data)
        Transport.write(self, data)


class InMemory:
    """
    A session of one kind, in memory.
    """

    def __init__(self, kind, plan):
        self.factory = sinkOf(kind, plan)
        self.factory.whenLimitReached = lambda: self.transport.each.append("limit reached")
        self.protocol = self.factory.buildProtocol(None)
        self.transport = _Listed()
        self.protocol.makeConnection(self.transport)

    def does(self, step):
        """
        @param step: what the client says, or the name of what is called.
        @return: all that can be seen of it.
        """
        transport = self.transport
        if not isinstance(step, bytes):
            if step.endswith("Producing") and transport.disconnecting:
                step = "sweep"  # that transport minds
            getattr(self.protocol if hasattr(self.protocol, step) else self.factory, step)()
        elif not transport.disconnecting:
            self.protocol.dataReceived(step)
        seen = transport.each, transport.disconnecting, transport.aborted, state(self.protocol), counted(self.factory)
        transport.each = []
        return seen


class OverSocket:
    """
    A session of one kind, over a pair of sockets and through a reactor that the test turns.
    """

    def __init__(self, kind, plan, test):
        self.reactor = kind.reactor()
        test.addCleanup(self._end)
        self.factory = sinkOf(kind, plan)
        self.protocol = self.factory.buildProtocol(None)
        self._client, server = socket.socketpair()
        self._client.setblocking(False)
        self.transport = kind.server(server, self.protocol, ("127.0.0.1", 1), None, 0, self.reactor)
        self.protocol.makeConnection(self.transport)

    def _end(self):
        self._client.close()
        if hasattr(self.transport, "socket"):
            self.transport.abortConnection()
        self.reactor.doIteration(0)
        for reader in self.reactor.removeAll():
            reader.connectionLost(None) if reader is not self.transport else None
        self.reactor._poller.close()

    def _read(self):
        pieces = []
        try:
            while piece := self._client.recv(65536):
                pieces.append(piece)
            pieces.append("closed")
        except BlockingIOError:
            pass
        except OSError as e:
            pieces.append(e.errno)
        return pieces

    def does(self, step):
        """
        @param step: what the client says, or the name of what is called.
        @return: all that can be seen of it.
        """
        if isinstance(step, bytes):
            try:
                self._client.send(step)
            except OSError:
                pass
        else:
            getattr(self.protocol if hasattr(self.protocol, step) else self.factory, step)()
        self.reactor.doIteration(0)
        connected, disconnecting = self.transport.connected, self.transport.disconnecting
        return self._read(), connected, disconnecting, state(self.protocol), counted(self.factory)


class Accepting:
    """
    A port of one kind, its factory, and a client.
    """

    def __init__(self, kind, factory, test):
        self.reactor = kind.reactor()
        self.port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.client = socket.create_connection(self.address(), PATIENCE)
        test.addCleanup(self._end)
        self.turn()

    def address(self):
        """
        @return: where it listens.
        """
        host = self.port.getHost()
        return host.host, host.port

    def turn(self):
        """
        Let the reactor handle what has happened.
        """
        for _ in range(3):
            self.reactor.doIteration(0.05)

    def _end(self):
        self.client.close()
        self.port.stopListening()
        self.turn()
        self.reactor._poller.close()
