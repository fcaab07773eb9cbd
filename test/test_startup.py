"""
Tests for the start of a command: what it imports, and what it leaves for those who use it.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from importlib.util import find_spec
from textwrap import dedent
from unittest import skipIf

from certificates import makeCertificates
from commandlines import CommandTestCase
from subprocesses import python, smtpsource
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.process import garbage, later

#: What a plain run imports of ours, folder by folder. A module that is new here should be one that any run needs.
OURS = """
    smtpsource
        _version credentials interfaces phases printable records speedups
    smtpsource.cli
        commandline outputs planoptions source words
    smtpsource.load
        assessment beginning kinds marking measuring oneprocess parts run service session standing traffic watch
        whereabouts
    smtpsource.measure
        counters encoding environment frame histogram intervals judgement limits marks minutes packed planes
        progress recorder series snapshot step summary summing timeline watched
    smtpsource.messages
        content headers message recipients seeds templates
    smtpsource.net
        destination factory patience reactor reactorchoice reconnecting route sources steady
    smtpsource.net.lean
        clients connectors descriptor ports transports turns
    smtpsource.net.tls
        settings
    smtpsource.pacing
        pauses share
    smtpsource.plan
        connections dialogue extensions ledger load login message messagelog parameters results source thresholds tls
        traffic workers
    smtpsource.process
        cpu exitstatus failurelog garbage interrupts later openfiles places processors streams threads turns unexpected
    smtpsource.report
        company ending facts files forms outlets page presentation text usual words
    smtpsource.report.live
        counter
    smtpsource.smtp
        authentication chunking commands connection groups lines opening owed parameters protocol
        proxyprotocol replies script state streaming trace transactions xclient
    smtpsource.values
        checks color files inputs kinds moments names numbers option rules textfiles workers
"""

#: What it has no use for, of others.
HEAVY = {
    *("OpenSSL", "cryptography", "service_identity", "rich", "hdrh", "prometheus_client", "numpy", "scramp"),
    *("asyncio", "concurrent.futures", "ssl", "_ssl", "hashlib", "hmac", "email", "urllib.request", "http.client"),
    *("http.cookiejar", "html.entities", "_ctypes", "subprocess", "multiprocessing", "zipfile", "shutil", "tempfile"),
    *("bz2", "lzma", "gettext", "fractions", "statistics", "decimal", "tomllib", "difflib", "csv", "xml"),
    *("twisted.protocols.tls", "twisted.internet.ssl", "twisted.internet.endpoints", "twisted.names", "twisted.web"),
    *("twisted.application.internet", "twisted.persisted.sob", "twisted.python.modules"),
}


def listed(text):
    """
    @return: the modules of a list like L{OURS}.
    """
    modules, folder = set(), ""
    for line in dedent(text).strip().splitlines():
        if line.startswith(" "):
            modules |= {f"{folder}.{name}" for name in line.split()}
        else:
            folder = line
            modules.add(folder)
    return modules


class ImportTests(CommandTestCase):
    """
    What a run imports.
    """

    @defer.inlineCallbacks
    def test_plain(self):
        """
        A plain run imports these modules of ours, and nothing that is large and of no use to it.
        """
        destination = self.serve().destination
        arguments = ("-X", "importtime", "-m", "smtpsource", "-d", "-s", "1", "-m", "1", destination)
        # What measures coverage imports things of its own.
        result = yield python(self, *arguments, env={"COVERAGE_PROCESS_CONFIG": None}).whenEnded()
        self.assertEqual(result.status, 0, result.err)
        names = set(re.findall(r"^import time:.*\| +([\w.]+)$", result.err.decode(), re.M))
        self.assertEqual({name for name in names if name.partition(".")[0] == "smtpsource"}, listed(OURS))
        self.assertEqual(names & HEAVY, set())

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        Under twistd, what a run would import later is there before the user may change.
        """
        code = "import sys\nfrom smtpsource import tap\ntap._prepare()\nprint('smtpsource.load.varied' in sys.modules)"
        result = yield python(self, "-c", code).whenEnded()
        self.assertEqual((result.status, result.out), (0, b"True\n"), result.err)


@skipIf(find_spec("OpenSSL") is None, "there is no pyOpenSSL")
class TLSTests(CommandTestCase):
    """
    TLS in a process that was not to import it.
    """

    @defer.inlineCallbacks
    def ran(self, program, *arguments):
        """
        Run a program, which says that it is done.
        """
        result = yield python(self, "-c", dedent(program), *arguments).whenEnded()
        self.assertEqual((result.status, result.out, result.err), (0, b"done\n", b""))

    @defer.inlineCallbacks
    def test_commands(self):
        """
        A command has TLS on any reactor, from the beginning or later, and so has the sink that it starts.
        """
        for reactor in ("smtpsource", "epoll", "poll", "select", "asyncio"):
            for tls in ("implicit", "starttls"):
                result = yield smtpsource(self, "--reactor", reactor, "--tls", tls, "-m", "3", "sink:").whenEnded()
                self.assertEqual((result.status, result.err), (0, b""), f"{reactor} {tls}")
                self.assertIn(b"3 accepted", result.out)

    @defer.inlineCallbacks
    def test_twisted(self):
        """
        All of Twisted's own ways to TLS are there when somebody goes them: C{connectSSL}, C{listenSSL}, endpoints and
        C{startTLS}; and its transports and reactors say so before.
        """
        certificates = makeCertificates(self.mktemp())
        program = """
            import sys
            from smtpsource.process.later import importTwisted

            importTwisted()
            assert not {"OpenSSL", "twisted.protocols.tls", "twisted.internet.ssl"} & sys.modules.keys()
            from twisted.application.reactors import installReactor

            installReactor(sys.argv[1])
            from twisted.internet import interfaces, protocol, reactor, tcp
            from twisted.internet.defer import Deferred, inlineCallbacks
            from twisted.internet.task import react
            from zope.interface import implementer

            assert interfaces.IReactorSSL.providedBy(reactor)
            assert interfaces.ITLSTransport.implementedBy(tcp.Connection)
            assert tcp.Client._tlsClientDefault and not tcp.Server._tlsClientDefault and not tcp.Connection.TLS

            from twisted.internet import endpoints, ssl
            from OpenSSL import SSL

            class Echo(protocol.Protocol):
                def connectionMade(self):
                    self.isTLS = interfaces.ISSLTransport.providedBy(self.transport)

                def dataReceived(self, data):
                    if data == b"start":
                        self.transport.write(b"go")
                        self.transport.startTLS(serving)
                    else:
                        self.transport.write(data)

            class Client(protocol.Protocol):
                def __init__(self):
                    self.got, self.gone, self.ready = Deferred(), Deferred(), Deferred()

                def connectionMade(self):
                    self.ready.callback(self)

                def dataReceived(self, data):
                    self.got.callback(data)

                def connectionLost(self, reason):
                    self.gone.callback(None)

                @inlineCallbacks
                def asked(self, data):
                    self.got = Deferred()
                    self.transport.write(data)
                    answer = yield self.got
                    return answer

            with open(sys.argv[2], "rb") as file:
                pem = file.read()
            with open(sys.argv[3], "rb") as file:
                pem += file.read()
            serving = ssl.PrivateCertificate.loadPEM(pem).options()
            wanting = ssl.CertificateOptions()

            @implementer(interfaces.IOpenSSLClientConnectionCreator)
            class Trusting:
                def clientConnectionForTLS(self, protocol):
                    return SSL.Connection(wanting.getContext(), None)

            @inlineCallbacks
            def spoken(client):
                assert interfaces.ISSLTransport.providedBy(client.transport)
                assert (yield client.asked(b"hello")) == b"hello"
                assert isinstance(client.transport.getHandle(), SSL.Connection)
                client.transport.loseConnection()
                yield client.gone

            @inlineCallbacks
            def main(reactor):
                factory = protocol.Factory.forProtocol(Echo)

                port = reactor.listenSSL(0, factory, serving, interface="127.0.0.1")
                made = protocol.ClientCreator(reactor, Client).connectSSL("127.0.0.1", port.getHost().port, wanting)
                yield spoken((yield made))
                yield port.stopListening()

                server = endpoints.serverFromString(
                    reactor, f"ssl:0:interface=127.0.0.1:privateKey={sys.argv[3]}:certKey={sys.argv[2]}"
                )
                port = yield server.listen(factory)
                plain = endpoints.HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port)
                secure = endpoints.wrapClientTLS(Trusting(), plain)
                client = yield secure.connect(protocol.Factory.forProtocol(Client))
                yield spoken(client)
                yield port.stopListening()

                port = reactor.listenTCP(0, factory, interface="127.0.0.1")
                client = yield protocol.ClientCreator(reactor, Client).connectTCP("127.0.0.1", port.getHost().port)
                assert (yield client.asked(b"start")) == b"go"
                client.transport.startTLS(wanting)
                yield spoken(client)
                yield port.stopListening()
                print("done")

            react(main)
        """
        for reactor in ("smtpsource", "epoll", "select"):
            yield self.ran(program, reactor, certificates.certificate, certificates.key)

    def test_without(self):
        """
        Where there is no pyOpenSSL, Twisted finds that out as ever.
        """
        return self.ran("""
            import sys
            sys.modules["OpenSSL"] = None
            from smtpsource.process.later import importTwisted

            importTwisted()
            from twisted.internet import interfaces, posixbase, tcp

            assert posixbase.tls is None and posixbase.ssl is None
            assert not hasattr(tcp.Connection, "startTLS")
            assert not interfaces.IReactorSSL.implementedBy(posixbase.PosixReactorBase)
            print("done")
        """)

    def test_withTLS(self):
        """
        It can be had at once, as by a sink; the rest is left out.
        """
        return self.ran("""
            import sys
            from smtpsource.process.later import importTwisted

            importTwisted(withTLS=True)
            from twisted.internet import _newtls, posixbase
            from twisted.protocols import tls

            assert _newtls.TLSMemoryBIOFactory is tls.TLSMemoryBIOFactory
            assert posixbase.tls is tls
            assert "asyncio" not in sys.modules
            print("done")
        """)

    def test_imported(self):
        """
        In a process that has imported it already, it stays as it is.
        """
        return self.ran("""
            from twisted.internet import _newtls
            from twisted.protocols import tls
            from smtpsource.process.later import importTwisted

            importTwisted()
            from twisted.internet import posixbase

            assert _newtls.TLSMemoryBIOFactory is tls.TLSMemoryBIOFactory
            assert posixbase.tls is tls
            print("done")
        """)

    def test_embedded(self):
        """
        A program that imports our names has Twisted as it is, whatever it imports first.
        """
        return self.ran("""
            import smtpsource, sys
            from smtpsource import SourcePlan, SourceService
            import smtpsource.net.reactor
            from smtpsource.process import garbage, later
            from twisted.internet import _newtls, defer, posixbase
            from twisted.protocols import tls
            import asyncio

            assert _newtls.TLSMemoryBIOFactory is tls.TLSMemoryBIOFactory
            assert posixbase.tls is tls
            assert defer.iscoroutine is asyncio.iscoroutine
            print("done")
        """)


class GarbageTests(SynchronousTestCase):
    """
    The garbage collector at the start.
    """

    def test_pause(self):
        """
        It pauses until all is imported, and then goes on, in its own time.
        """
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        self.addCleanup(gc.enable)
        garbage.pause()
        self.assertFalse(gc.isenabled())
        garbage.relax()
        self.assertTrue(gc.isenabled())


class LaterTests(SynchronousTestCase):
    """
    What stands for something that is not imported yet.
    """

    MODULE = "this_is_imported_later"

    def setUp(self):
        directory = self.mktemp()
        os.mkdir(directory)
        with open(f"{directory}/{self.MODULE}.py", "w") as file:
            file.write("class Thing:\n    ten = 10\n    def __init__(self, number):\n        self.number = number\n")
        self.patch(sys, "path", [directory, *sys.path])
        self.addCleanup(sys.modules.pop, self.MODULE, None)

    def thing(self):
        """
        @return: what a module gets that imports C{Thing} while there is a stand-in.
        """
        with later._standingIn((self.MODULE,)):
            found = {}
            exec(f"from {self.MODULE} import Thing", found)
        self.assertNotIn(self.MODULE, sys.modules)
        return found["Thing"]

    def real(self):
        """
        @return: the class itself.
        """
        return sys.modules[self.MODULE].Thing

    def test_call(self):
        """
        It imports the module when it is called.
        """
        made = self.thing()(number=7)
        self.assertEqual(made.number, 7)
        self.assertIs(type(made), self.real())

    def test_attribute(self):
        """
        Or asked for an attribute; what there is not, is not there.
        """
        thing = self.thing()
        self.assertEqual(thing.ten, 10)
        self.assertRaises(AttributeError, getattr, thing, "eleven")

    def test_base(self):
        """
        Or when a class is made of it.
        """
        thing = self.thing()

        class Other(thing):
            pass

        self.assertEqual(Other.__mro__[1], self.real())

    def test_instance(self):
        """
        Or when something is to be one.
        """
        thing = self.thing()
        self.assertFalse(isinstance(7, thing))
        self.assertTrue(isinstance(self.real()(7), thing))

    def test_early(self):
        """
        Also while the stand-in is still where the module belongs; then the module takes its place, and stays.
        """
        with later._standingIn((self.MODULE,)):
            stand = sys.modules[self.MODULE]
            self.assertEqual(stand.Thing(7).number, 7)
            self.assertIsNot(sys.modules[self.MODULE], stand)
        self.assertEqual(self.real().ten, 10)

    def test_known(self):
        """
        Nothing stands for a module that is imported already.
        """
        self.assertEqual(self.thing().ten, 10)
        module = sys.modules[self.MODULE]
        with later._standingIn((self.MODULE,)):
            self.assertIs(sys.modules[self.MODULE], module)
        self.assertIs(sys.modules[self.MODULE], module)

    def test_failure(self):
        """
        If an import fails, no stand-in is left.
        """
        with self.assertRaises(ZeroDivisionError), later._standingIn((self.MODULE,)):
            raise ZeroDivisionError
        self.assertNotIn(self.MODULE, sys.modules)
