"""
A name server with the mail exchangers of some domains.
"""

from __future__ import annotations

import socket

from patience import TEST_LIMIT
from twisted.internet import defer, reactor
from twisted.internet.defer import gatherResults, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.names import dns
from twisted.names.authority import FileAuthority
from twisted.names.server import DNSServerFactory
from twisted.trial.unittest import TestCase

from smtpsource.net import mx
from smtpsource.net.destination import ResolutionFailed

#: So many MX records of equal preference do not fit into a datagram of 512 octets.
MANY = 40


RECORDS = {
    "both.test": [dns.Record_MX(20, "second.test"), dns.Record_MX(10, "First.test")],
    "first.test": [dns.Record_A("192.0.2.1"), dns.Record_AAAA("2001:db8::1")],
    "second.test": [dns.Record_A("192.0.2.2"), dns.Record_A("192.0.2.3")],
    "equal.test": [dns.Record_MX(5, f"{name}.equal.test") for name in "abc"] + [dns.Record_MX(1, "second.test")],
    **{f"{name}.equal.test": [dns.Record_A(f"192.0.2.1{number}")] for number, name in enumerate("abc")},
    "spread.test": [dns.Record_MX(10 if name == "c" else 5, f"{name}.spread.test") for name in "abc"],
    "a.spread.test": [dns.Record_A("127.0.0.1"), dns.Record_A("127.0.0.2")],
    "b.spread.test": [dns.Record_A("127.0.0.3")],
    "c.spread.test": [dns.Record_A("127.0.0.4")],
    "implicit.test": [dns.Record_A("192.0.2.4")],
    "null.test": [dns.Record_MX(0, ""), dns.Record_A("192.0.2.5")],
    "mixed.test": [dns.Record_MX(0, ""), dns.Record_MX(1, "first.test")],
    "nothing.test": [dns.Record_TXT(b"no address")],
    "partly.test": [dns.Record_MX(1, "missing.test"), dns.Record_MX(2, "nothing.test"), dns.Record_MX(3, "first.test")],
    "lost.test": [dns.Record_MX(1, "missing.test"), dns.Record_MX(2, "nothing.test")],
    "same.test": [dns.Record_MX(1, "first.test"), dns.Record_MX(2, "copy.test")],
    "copy.test": [dns.Record_A("192.0.2.1"), dns.Record_A("192.0.2.6")],
    "alias.test": [dns.Record_CNAME("alias2.test")],
    "alias2.test": [dns.Record_CNAME("both.test")],
    "loop.test": [dns.Record_CNAME("pool.test")],
    "pool.test": [dns.Record_CNAME("loop.test")],
    "itself.test": [dns.Record_CNAME("itself.test")],
    "dangling.test": [dns.Record_CNAME("missing.test")],
    "aliased.test": [dns.Record_MX(1, "alias3.test")],
    "alias3.test": [dns.Record_CNAME("implicit.test")],
    "many.test": [dns.Record_MX(1, f"host{number}.many.test") for number in range(MANY)],
    **{f"host{number}.many.test": [dns.Record_A(f"198.51.100.{number}")] for number in range(MANY)},
    "strange.test": [dns.Record_MX(1, b"a\nb.test")],
    "stranger.test": [dns.Record_MX(1, b"\x80.test")],
    "mute-host.test": [dns.Record_MX(1, "mute.test"), dns.Record_MX(2, "first.test")],
}


class Factory(DNSServerFactory):
    """
    What the name server answers.

    @ivar asked: All questions, in order: name, type, and is it over TCP?
    @ivar codes: Errors instead of answers, by name.
    @ivar mute: Names that are not answered for.
    @ivar muteOverTCP: Nothing is answered over TCP.
    """

    noisy = False

    def __init__(self):
        super().__init__(authorities=[Authority(None)])
        self.asked = []
        self.codes = {"broken.test": dns.ESERVER, "refused.test": dns.EREFUSED, "odd.test": 11}
        self.mute = {"mute.test"}
        self.muteOverTCP = False
        self.idle = None

    def messageReceived(self, message, proto, address=None):
        """
        A question.
        """
        query = message.queries[0]
        name = query.name.name.decode().lower()
        self.asked.append((name, query.type, address is None))
        if name in self.mute or (self.muteOverTCP and address is None):
            return
        if name in self.codes:
            message.timeReceived = 0.0
            self.sendReply(proto, self._responseFromMessage(message, rCode=self.codes[name]), address)
            return
        super().messageReceived(message, proto, address)

    def sendReply(self, protocol, message, address):
        """
        A datagram has 512 octets (RFC 1035 section 4.2.1).
        """
        if address is not None:
            message.maxSize = 512
        super().sendReply(protocol, message, address)

    def connectionLost(self, protocol):
        """
        Tell who waits for the last one to go.
        """
        super().connectionLost(protocol)
        if self.idle is not None and not self.connections:
            self.idle.callback(None)

    def whenIdle(self):
        """
        @return: fires when there is no connection.
        """
        self.idle = defer.Deferred()
        if not self.connections:
            self.idle.callback(None)
        return self.idle


def addresses(found):
    """
    @return: those of exchangers.
    """
    return [each.address for each in found]


class MXTestCase(TestCase):
    """
    With a name server at C{self.server}.
    """

    timeout = TEST_LIMIT
    interface = "127.0.0.1"

    def setUp(self):
        self.factory = Factory()
        while True:
            self.tcp = reactor.listenTCP(0, self.factory, interface=self.interface)
            try:
                udp = reactor.listenUDP(
                    self.tcp.getHost().port, dns.DNSDatagramProtocol(self.factory), interface=self.interface
                )
            except CannotListenError:  # somebody else has that one
                self.tcp.stopListening()
            else:
                break
        self.server = (self.interface, self.tcp.getHost().port)
        self.addCleanup(self.factory.whenIdle)
        self.addCleanup(lambda: gatherResults([maybeDeferred(port.stopListening) for port in (self.tcp, udp)]))

    def lookUp(self, domain, family=socket.AF_UNSPEC, *, server=None, timeouts=(5,), **keywords):
        """
        Ask the name server, and leave the order as it is.

        @return: fires with the addresses.
        """
        return self.exchangers(domain, family, server=server, timeouts=timeouts, **keywords).addCallback(addresses)

    def exchangers(self, domain, family=socket.AF_UNSPEC, *, server=None, timeouts=(5,), **keywords):
        """
        The same, with the names.
        """
        keywords.setdefault("shuffle", lambda some: None)
        return mx.lookUp(reactor, domain, server or self.server, family, timeouts=timeouts, **keywords)

    @inlineCallbacks
    def fails(self, words, domain, *arguments, **keywords):
        """
        It fails, and the text is one line with these words.
        """
        e = yield self.assertFailure(self.lookUp(domain, *arguments, **keywords), ResolutionFailed)
        self.assertIn(words, str(e))
        self.assertTrue(str(e).isprintable(), repr(str(e)))


class Authority(FileAuthority):
    """
    Knows L{RECORDS}.
    """

    def loadFile(self, filename):
        """
        From memory.
        """
        self.soa = (b"test", dns.Record_SOA(mname=b"ns.test", rname=b"root.test", minimum=1, expire=1))
        self.records = {name.encode(): records for name, records in RECORDS.items()}
