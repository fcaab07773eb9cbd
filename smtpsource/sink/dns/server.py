"""
The name server of a world, over UDP and TCP (RFC 1035 section 4.2, RFC 7766).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, ServerFactory
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.protocols.policies import TimeoutMixin

from smtpsource.printable import printable
from smtpsource.process.listening import ListenError, joined
from smtpsource.sink.dns.answers import Answer, Answers
from smtpsource.sink.dns.world import World

#: Octets of a name (RFC 1035 section 2.3.4), as text: without the one that ends it.
_LONGEST_NAME = 253

#: Octets of an answer over UDP that any client takes (RFC 1035 section 4.2.1), and the most for one that takes more
#: (RFC 6891 section 6.2.5).
_LEAST_DATAGRAM, _MOST_DATAGRAM = 512, 4096

#: Seconds that a TCP connection may be silent, and how many there may be.
IDLE = 30.0
MOST_CONNECTIONS = 500

#: How many answers may be waiting for their time, and how many kinds of questions are counted by themselves.
MOST_DELAYED = 10_000
MOST_COUNTED = 10_000

#: What the rest is counted as.
OTHERS = ("(others)", "", "")

#: How often another number is tried that is to be free for both UDP and TCP.
_TRIES = 50

_CODES = {"nxdomain": dns.ENAME, "servfail": dns.ESERVER, "refused": dns.EREFUSED}


class NameServer:
    """
    Answers for a world.

    @ivar address: where it listens, an C{IPv4Address} or C{IPv6Address} of TCP; UDP has the same.
    @ivar factory: makes the protocols of TCP connections.
    @ivar connections: these, as long as they are open.
    @ivar later: the reactor's C{callLater}.
    @ivar counts: how often it was asked: by name, type and what came of it, a
        L{smtpsource.sink.dns.answers.Result}, or C{not-implemented} or C{format-error}.
    """

    def __init__(self, reactor: Any, world: World) -> None:
        self._reactor = reactor
        self.later = reactor.callLater
        self._answers = Answers(world)
        self.address: Any = None
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._ports: list[Any] = []
        self._closed: list[Deferred[Any]] = []
        self._delayed: set[Any] = set()
        self.connections: set[Any] = set()
        self.factory: Any = _Factory(self)

    def listen(self, host: str, port: int) -> None:
        """
        Begin.

        @raise ListenError: it is not possible.
        """
        try:
            for left in reversed(range(_TRIES)):
                tcp = self._reactor.listenTCP(port, self.factory, 50, host)
                self.address = tcp.getHost()
                try:
                    udp = self._reactor.listenUDP(
                        self.address.port, _Datagrams(self), host, maxPacketSize=_MOST_DATAGRAM
                    )
                except CannotListenError:
                    self._closed.append(maybeDeferred(tcp.stopListening))
                    if port or not left:
                        raise
                else:
                    self._ports = [tcp, udp]
                    return
        except (CannotListenError, OSError) as e:
            raise ListenError(f"can't listen on dns:{joined(host, port)}", e) from e

    def asked(self) -> list[tuple[str, str, str, int]]:
        """
        L{counts} for people: name, type, result and number, in the order of names.
        """
        return sorted((printable(name), type, result, number) for (name, type, result), number in self.counts.items())

    def close(self) -> Deferred[Any]:
        """
        Listen no more, and drop all connections and answers that are waiting.

        @return: fires when nothing is open.
        """
        for call in self._delayed:
            call.cancel()
        self._delayed.clear()
        for connection in list(self.connections):
            connection.transport.abortConnection()
        ports, self._ports = self._ports, []
        return gatherResults([*self._closed, *(maybeDeferred(port.stopListening) for port in ports)])

    def take(self, data: bytes, send: Callable[[bytes], object], overTCP: bool) -> None:
        """
        Something came. What is no question is ignored.

        @param send: takes the answer.
        """
        question = dns.Message()
        try:
            question.fromStr(data)
        except Exception:  # twisted.names raises this and that about what strangers send
            return
        if question.answer:
            return
        if question.opCode != dns.OP_QUERY:
            self._refuse(question, dns.ENOTIMP, "not-implemented", send)
        elif len(question.queries) != 1 or len(question.queries[0].name.name) > _LONGEST_NAME:
            self._refuse(question, dns.EFORMAT, "format-error", send)
        elif question.queries[0].cls not in (dns.IN, dns.ANY) or question.queries[0].type in (dns.AXFR, dns.IXFR):
            self._refuse(question, dns.EREFUSED, "refused", send)
        else:
            self._answer(question, send, overTCP)

    def _refuse(self, question: Any, code: int, result: str, send: Callable[[bytes], object]) -> None:
        if result == "format-error":
            # What is no question of the DNS may not be encoded again, nor remembered.
            question.queries = []
        self._count(question, result)
        send(self._encoded(question, Answer("refused"), code, 0))

    def _answer(self, question: Any, send: Callable[[bytes], object], overTCP: bool) -> None:
        query = question.queries[0]
        answer = self._answers.answer(query.name.name, query.type, overTCP)
        self._count(question, answer.result)
        if answer.result == "timeout":
            return
        room = 0 if overTCP else _roomOf(question)
        encoded = self._encoded(question, answer, _CODES.get(answer.result, dns.OK), room)
        if not answer.delay:
            send(encoded)
        elif len(self._delayed) < MOST_DELAYED:
            self._later(answer.delay, send, encoded)

    def _later(self, delay: float, send: Callable[[bytes], object], encoded: bytes) -> None:
        def sendNow() -> None:
            self._delayed.discard(call)
            send(encoded)

        call: Any = self.later(delay, sendNow)
        self._delayed.add(call)

    def _count(self, question: Any, result: str) -> None:
        queries = question.queries
        name = queries[0].name.name.decode("latin-1").lower() if queries else ""
        type = dns.QUERY_TYPES.get(queries[0].type, str(queries[0].type)) if queries else ""
        key = (name, type, result)
        self.counts[key if key in self.counts or len(self.counts) < MOST_COUNTED else OTHERS] += 1

    def _encoded(self, question: Any, answer: Answer, code: int, room: int) -> bytes:
        """
        @param room: octets that it may have; 0 is no limit. What is too long is left out as a whole.
        """
        extended = [each for each in question.additional if each.type == dns.OPT]
        message = dns.Message(
            question.id,
            answer=1,
            opCode=question.opCode,
            recDes=question.recDes,
            recAv=1,
            auth=code in (dns.OK, dns.ENAME),
            rCode=code,
            maxSize=0,
        )
        message.queries = question.queries[:1]
        message.answers = list(answer.answers)
        message.authority = list(answer.authority)
        if extended:
            message.additional = [dns.RRHeader(b"", dns.OPT, _MOST_DATAGRAM, 0, dns.UnknownRecord(b""))]
        encoded = message.toStr()
        if answer.result == "truncated" or (room and len(encoded) > room):
            message.trunc = 1
            message.answers, message.authority = [], []
            encoded = message.toStr()
        return encoded


def listenDNS(reactor: Any, host: str, port: int, world: World) -> NameServer:
    """
    Answer questions about a world, over UDP and TCP.

    @param reactor: provides C{IReactorTCP}, C{IReactorUDP} and C{IReactorTime}.
    @param host: an address.
    @param port: 0 is any that is free.
    @raise ListenError: it is not possible.
    """
    server = NameServer(reactor, world)
    server.listen(host, port)
    return server


def _roomOf(question: Any) -> int:
    """
    How long a datagram the client takes.
    """
    sizes: list[int] = [each.cls for each in question.additional if each.type == dns.OPT]
    return min(max([_LEAST_DATAGRAM, *sizes]), _MOST_DATAGRAM)


class _Datagrams(DatagramProtocol):
    noisy = False
    transport: Any

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._server.take(datagram, lambda answer: self._send(answer, addr), False)

    def _send(self, answer: bytes, address: Any) -> None:
        try:
            self.transport.write(answer, address)
        except OSError:
            pass  # such as a client that asks from port 0


class _Connection(Int16StringReceiver, TimeoutMixin):
    transport: Any

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connectionMade(self) -> None:
        connections = self._server.connections
        if len(connections) >= MOST_CONNECTIONS:
            self.transport.abortConnection()
            return
        connections.add(self)
        # Who does not read is not read from.
        self.transport.registerProducer(self, True)
        self.setTimeout(IDLE)

    def timeoutConnection(self) -> None:
        self.transport.abortConnection()

    def callLater(self, period: float, func: Callable[[], None]) -> Any:
        return self._server.later(period, func)

    def stringReceived(self, string: bytes) -> None:
        self.resetTimeout()
        self._server.take(string, self._send, True)

    def _send(self, answer: bytes) -> None:
        if self in self._server.connections:
            self.sendString(answer)

    def connectionLost(self, reason: Any = None) -> None:
        self.setTimeout(None)
        self._server.connections.discard(self)


class _Factory(ServerFactory):
    noisy = False

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def buildProtocol(self, addr: Any) -> Any:
        return _Connection(self._server)
