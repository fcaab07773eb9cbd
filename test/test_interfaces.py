"""
Tests for L{smtpsource.interfaces}: whoever says that it provides one does.
"""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.interfaces import IConnector, IPushProducer, ITransport
from twisted.internet.protocol import ClientFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from smtpsource import interfaces
from smtpsource.load import parts
from smtpsource.load.run import Run
from smtpsource.load.session import Session
from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.measure.recorder import Recorder
from smtpsource.messages.content import FileContent, GeneratedContent
from smtpsource.messages.message import Message, Traffic
from smtpsource.net.destination import TCPAddress
from smtpsource.net.route import ConnectQueue, Route
from smtpsource.pacing.pauses import FixedPacer, RandomPacer
from smtpsource.plan import SourcePlan
from smtpsource.smtp.streaming import BodyProducer
from smtpsource.testing import FakeConnector, FakeReactor, FakeTransport, RecordingSession


class VerifyTests(SynchronousTestCase):
    """
    C{verifyObject} and C{verifyClass}, for every implementer.
    """

    def check(self, interface, provider):
        self.assertTrue(verifyClass(interface, type(provider)))
        self.assertTrue(verifyObject(interface, provider))

    def test_traffic(self):
        """
        Messages and where they come from.
        """
        for plan in (SourcePlan(), SourcePlan(message=b"x"), SourcePlan(numberRecipients=True)):
            traffic = newTraffic(plan)
            self.check(interfaces.ITraffic, traffic)
            self.assertTrue(verifyObject(interfaces.IMessage, traffic.next()))
        self.assertTrue(interfaces.IMessage.implementedBy(Message))
        self.assertTrue(interfaces.ITraffic.implementedBy(Traffic))

    def test_content(self):
        """
        Where content comes from.
        """
        self.check(interfaces.IContentSource, FileContent(b"x"))
        self.check(interfaces.IContentSource, GeneratedContent(b"a@x", b"x", b"x\r\n"))

    def test_pacers(self):
        """
        When messages start.
        """
        self.check(interfaces.IPacer, FixedPacer(1.0))
        self.check(interfaces.IPacer, RandomPacer(1.0))
        for plan in (SourcePlan(fixedInterval=1.0), SourcePlan(randomInterval=1.0)):
            self.assertTrue(verifyObject(interfaces.IPacer, parts.pacer(plan)))

    def test_sessions(self):
        """
        Whom a connection works for, and whom that one belongs to.
        """
        fake = FakeReactor()
        run = Run(fake, SourcePlan(destination="127.0.0.1"), Recorder(), fake.seconds, lambda: None, lambda line: None)
        session = Session(run, fake, Route([TCPAddress("127.0.0.1", 25)]), ConnectQueue(1))
        self.check(interfaces.ISession, session)
        self.check(interfaces.IRun, run)
        self.check(interfaces.ISession, RecordingSession())

    def test_producer(self):
        """
        Content that is streamed.
        """
        self.check(IPushProducer, BodyProducer(None, b""))

    def test_reactors(self):
        """
        Twisted's reactors, and ours for tests.
        """
        self.check(interfaces.IReactor, FakeReactor())
        for interface in interfaces.IReactor.__bases__:
            self.assertTrue(interface.providedBy(reactor), interface)

    def test_testing(self):
        """
        What else stands for something of Twisted's in tests.
        """
        self.check(IConnector, FakeConnector(FakeReactor(), ClientFactory(), None, None))
        self.assertTrue(verifyObject(ITransport, FakeTransport(FakeReactor())))
