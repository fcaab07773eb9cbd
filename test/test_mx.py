"""
Tests for L{smtpsource.net.mx}, with a name server on the loopback.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from unittest import mock

from nameservers import MANY, MXTestCase, addresses
from patience import PATIENCE
from twisted.internet import reactor
from twisted.internet.defer import DeferredList, inlineCallbacks
from twisted.names import dns

from smtpsource.net import mx
from smtpsource.net.destination import ResolutionFailed


class LookUpTests(MXTestCase):
    """
    L{mx.lookUp}.
    """

    @inlineCallbacks
    def test_preference(self):
        """
        The most preferred host comes first, and each with all its addresses; who asks for a domain may write it in any
        case and with a final dot.
        """
        expected = ["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
        self.assertEqual((yield self.lookUp("both.test")), expected)
        self.assertEqual((yield self.lookUp("Both.TEST.")), expected)

    @inlineCallbacks
    def test_families(self):
        """
        Only addresses of a family that is wanted, and no others are asked for.
        """
        self.assertEqual((yield self.lookUp("both.test", socket.AF_INET)), ["192.0.2.1", "192.0.2.2", "192.0.2.3"])
        self.assertNotIn(dns.AAAA, [type for _, type, _ in self.factory.asked])
        self.assertEqual((yield self.lookUp("both.test", socket.AF_INET6)), ["2001:db8::1"])
        yield self.fails("implicit.test has no IPv6 address", "implicit.test", socket.AF_INET6)
        yield self.fails("nothing.test has no IPv4 address", "nothing.test", socket.AF_INET)

    @inlineCallbacks
    def test_equalPreference(self):
        """
        Hosts of equal preference come in random order, after those that are preferred.
        """
        preferred = ["192.0.2.2", "192.0.2.3"]
        a, b, c = "192.0.2.10", "192.0.2.11", "192.0.2.12"
        self.assertEqual((yield self.lookUp("equal.test")), [*preferred, a, b, c])
        self.assertEqual((yield self.lookUp("equal.test", shuffle=list.reverse)), [*preferred, c, b, a])
        found = addresses((yield mx.lookUp(reactor, "equal.test", self.server)))
        self.assertEqual(found[:2], preferred)
        self.assertEqual(sorted(found[2:]), [a, b, c])

    @inlineCallbacks
    def test_implicit(self):
        """
        A domain without MX records is its own mail server (RFC 5321 section 5.1).
        """
        self.assertEqual((yield self.lookUp("implicit.test")), ["192.0.2.4"])

    @inlineCallbacks
    def test_null(self):
        """
        A null MX record (RFC 7505) refuses all mail, whatever address there is; beside others it is a mistake.
        """
        yield self.fails("null.test takes no mail", "null.test")
        self.assertEqual([type for _, type, _ in self.factory.asked], [dns.MX])
        self.assertEqual((yield self.lookUp("mixed.test")), ["2001:db8::1", "192.0.2.1"])

    @inlineCallbacks
    def test_hostsWithoutAddress(self):
        """
        Hosts that can't be found are left out, as long as there are others.
        """
        self.assertEqual((yield self.lookUp("partly.test")), ["2001:db8::1", "192.0.2.1"])
        yield self.fails("no mail server of lost.test has an address: missing.test does not exist", "lost.test")
        yield self.fails("'a\\nb.test' can't be the name", "strange.test")

    @inlineCallbacks
    def test_addressesOnce(self):
        """
        An address that two hosts have comes once, where it is preferred.
        """
        self.assertEqual((yield self.lookUp("same.test")), ["2001:db8::1", "192.0.2.1", "192.0.2.6"])

    @inlineCallbacks
    def test_names(self):
        """
        With each address comes the name that the MX record has for the host: that of an alias is not followed; a
        domain without MX records is its own; of an address that two hosts have it is the preferred one's.
        """
        for domain, expected in (
            ("both.test", ["first.test", "first.test", "second.test", "second.test"]),
            ("implicit.test", ["implicit.test"]),
            ("aliased.test", ["alias3.test"]),
            ("same.test", ["first.test", "first.test", "copy.test"]),
        ):
            found = yield self.exchangers(domain)
            self.assertEqual([each.name for each in found], expected)

    @inlineCallbacks
    def test_aliases(self):
        """
        Aliases are followed, of domains and of hosts, but not in circles.
        """
        self.assertEqual((yield self.lookUp("alias.test", socket.AF_INET6)), ["2001:db8::1"])
        self.assertEqual((yield self.lookUp("aliased.test")), ["192.0.2.4"])
        for domain in ("loop.test", "itself.test"):
            yield self.fails(f"{domain} is an alias of an alias", domain)
        yield self.fails("missing.test does not exist", "dangling.test")

    @inlineCallbacks
    def test_errors(self):
        """
        What a name server can say instead of an answer.
        """
        yield self.fails("missing.test does not exist", "missing.test")
        yield self.fails("fails to answer for broken.test", "broken.test")
        yield self.fails("refuses to answer for refused.test", "refused.test")
        yield self.fails("fails to answer for odd.test", "odd.test")
        yield self.fails("nothing.test has no address", "nothing.test")

    @inlineCallbacks
    def test_noNames(self):
        """
        What can't be a domain is not asked for.
        """
        for domain in ("", ".", "a..test", "x" * 64 + ".test", "x." * 130, "a b", "a\nb", "\u00e9" * 64, "\udc80"):
            yield self.fails("can't be the name of a domain", domain)
        self.assertEqual(self.factory.asked, [])

    @inlineCallbacks
    def test_internationalized(self):
        """
        A domain beyond ASCII is asked for as IDNA has it.
        """
        yield self.fails("does not exist", "\u00e9.test")
        self.assertEqual(self.factory.asked, [("xn--9ca.test", dns.MX, False)])

    @inlineCallbacks
    def test_atOnce(self):
        """
        Lookups do not disturb each other.
        """
        results = yield DeferredList([self.lookUp(domain) for domain in ("both.test", "implicit.test", "same.test")])
        self.assertEqual([len(found) for success, found in results if success], [4, 1, 3])


class OverTCPTests(MXTestCase):
    """
    Answers that are too long for a datagram.
    """

    @inlineCallbacks
    def test_many(self):
        """
        They are asked for again over TCP, and the connection does not stay.
        """
        found = yield self.lookUp("many.test", socket.AF_INET)
        self.assertEqual(found, [f"198.51.100.{number}" for number in range(MANY)])
        self.assertEqual(self.factory.asked[:2], [("many.test", dns.MX, False), ("many.test", dns.MX, True)])
        yield self.factory.whenIdle()

    @inlineCallbacks
    def test_refused(self):
        """
        A name server that takes no connection.
        """
        yield self.tcp.stopListening()
        yield self.fails("many.test can't be reached", "many.test")

    @inlineCallbacks
    def test_mute(self):
        """
        A name server that takes a connection and says nothing.
        """
        self.factory.muteOverTCP = True
        yield self.fails("no answer for many.test", "many.test", timeouts=(0.1,))


class SilenceTests(MXTestCase):
    """
    Name servers that do not answer.
    """

    @inlineCallbacks
    def test_mute(self):
        """
        It is asked as often as there are timeouts, and that's it.
        """
        yield self.fails("no answer for mute.test", "mute.test", timeouts=(0.05, 0.05, 0.05))
        self.assertEqual(self.factory.asked, [("mute.test", dns.MX, False)] * 3)

    @inlineCallbacks
    def test_muteHost(self):
        """
        The addresses of the other hosts will do.
        """
        found = yield self.lookUp("mute-host.test", timeouts=(0.1,))
        self.assertEqual(found, ["2001:db8::1", "192.0.2.1"])

    @inlineCallbacks
    def test_nobody(self):
        """
        Nobody is there.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unread:
            unread.bind(("127.0.0.1", 0))
            yield self.fails("no answer for both.test", "both.test", server=unread.getsockname(), timeouts=(0.05,))


class IPv6Tests(MXTestCase):
    """
    A name server with an IPv6 address.
    """

    interface = "::1"

    @inlineCallbacks
    def test_both(self):
        """
        It is asked over UDP and TCP.
        """
        self.assertEqual((yield self.lookUp("implicit.test")), ["192.0.2.4"])
        self.assertEqual(len((yield self.lookUp("many.test"))), MANY)


class SystemTests(MXTestCase):
    """
    Without a name server of the caller's.
    """

    def withSystem(self, domain, hosts, *arguments):
        """
        Look up with this file of hosts, and the test's name server in place of the system's.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(hosts)
        self.patch(mx, "_nameServers", lambda resolvConf: [self.server])
        found = mx.lookUp(reactor, domain, None, *arguments, timeouts=(5,), hosts=path, shuffle=lambda some: None)
        return found.addCallback(addresses)

    @inlineCallbacks
    def test_hosts(self):
        """
        The file of hosts knows better than the name servers, about addresses.
        """
        hosts = "192.0.2.77 first.test\n2001:db8::77 x.test FIRST.test # y\n192.0.2.78 first.test\n"
        self.assertEqual(
            (yield self.withSystem("both.test", hosts)),
            ["2001:db8::77", "192.0.2.77", "192.0.2.78", "192.0.2.2", "192.0.2.3"],
        )
        self.assertEqual((yield self.withSystem("first.test.", hosts))[1:], ["192.0.2.77", "192.0.2.78"])
        # For a family that the file has nothing of, they are asked.
        self.assertEqual(
            (yield self.withSystem("both.test", "192.0.2.77 first.test", socket.AF_INET6)), ["2001:db8::1"]
        )

    @inlineCallbacks
    def test_finalDot(self):
        """
        With a dot at its end a name is the same.
        """
        self.assertEqual((yield self.lookUp("both.test.")), (yield self.lookUp("both.test")))
        self.assertEqual((yield self.withSystem("missing.test.", "192.0.2.77 missing.test")), ["192.0.2.77"])

    @inlineCallbacks
    def test_onlyHosts(self):
        """
        A domain that no name server has heard of may be in the file.
        """
        self.assertEqual((yield self.withSystem("missing.test", "192.0.2.77 missing.test")), ["192.0.2.77"])
        for domain, words in (("missing.test", "does not exist"), ("stranger.test", "can't be the name of a domain")):
            e = yield self.assertFailure(self.withSystem(domain, "192.0.2.77 x"), ResolutionFailed)
            self.assertIn(words, str(e))

    @inlineCallbacks
    def test_internationalHosts(self):
        """
        A name beyond ASCII is in the file by its A-labels, as IDNA 2008 has them.
        """
        hosts = "192.0.2.77 strasse.test\n192.0.2.78 xn--strae-oqa.test\n"
        self.assertEqual((yield self.withSystem("stra\u00dfe.test", hosts)), ["192.0.2.78"])

    @inlineCallbacks
    def test_ownServer(self):
        """
        With a name server of the caller's, the file is none of its business.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("192.0.2.77 implicit.test missing.test\n")
        self.assertEqual((yield self.lookUp("implicit.test", hosts=path)), ["192.0.2.4"])
        yield self.fails("does not exist", "missing.test", hosts=path)

    def test_resolvConf(self):
        """
        The first three name servers, as resolv.conf(5) has them; without any, this machine's.
        """
        path = self.mktemp()
        self.assertEqual(mx._nameServers(path), [("127.0.0.1", 53)])
        with open(path, "wb") as file:
            file.write(b"# \xff\nsearch example\nnameserver\nnameserver 192.0.2.1\n nameserver ::1 # x\n")
        self.assertEqual(mx._nameServers(path), [("192.0.2.1", 53), ("::1", 53)])
        with open(path, "a") as file:
            file.write("nameserver 192.0.2.2\nnameserver 192.0.2.3\n")
        self.assertEqual(len(mx._nameServers(path)), 3)

    def test_lazy(self):
        """
        Whoever does not ask does not pay for twisted.names.
        """
        code = "import sys, smtpsource.net.mx; sys.exit('twisted.names' in sys.modules)"
        with mock.patch.dict("os.environ", PYTHONPATH=":".join(sys.path)):
            self.assertEqual(subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode, 0)
