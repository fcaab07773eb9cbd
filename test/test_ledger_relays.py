"""
Real servers relay while they are killed, and so are generator and sink: what the ledger says of that is what the
server's own log says.

The log of a delivery that was the last thing before a kill may be lost, for it is written after the sink's 250. So for
each recipient there are as many arrivals as the log has deliveries, or one more for each time that somebody was killed;
and never fewer.
"""

from __future__ import annotations

import signal
from pathlib import Path

from judging import acknowledged, arrivals, reconciled
from peercase import PeerTestCase
from peers import eventually, freePort
from relays import EximRelay, OpenSMTPDRelay, PostfixRelay
from subprocesses import loadAndReport, smtpsink, smtpsource
from twisted.internet import defer

#: Each recipient is refused the first time.
DEFERS = """
[[rule]]
name = "not yet"
on = "rcpt"
times = 1
do = { reply = "451 4.2.0 Not yet" }
"""

#: A delivery takes its time.
SLOW = """
[[rule]]
name = "slow"
on = "message"
do = { delay = "%s" }
"""

#: Each message has a recipient of its own.
NUMBERED = ("-N", "-t", "user@example.com", "-f", "me@example.com")


class RelayMixin:
    """
    The same for each of the servers.

    @cvar delay: how long a slow delivery takes.
    """

    delay = "200ms"

    def relay(self, port):
        """
        @return: a relay that delivers to this port.
        """
        raise NotImplementedError

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.sent, self.arrived = self.directory / "sent", self.directory / "arrived"
        self.kills = 0

    @defer.inlineCallbacks
    def open(self, rules=""):
        """
        Open a sink, and where it is no second one, the relay before it.
        """
        if not hasattr(self, "port"):
            self.port = freePort()
        (self.directory / "rules.toml").write_text(rules)
        arguments = ("--ledger", self.arrived, "--rules", self.directory / "rules.toml", f"127.0.0.1:{self.port}")
        self.sink = smtpsink(self, *arguments)
        yield self.sink.whenPrinted(rb"listening on ")

    @defer.inlineCallbacks
    def started(self, rules=""):
        """
        Open the sink, and start the relay.
        """
        yield self.open(rules)
        self.server = yield self.peer(self.relay(self.port))

    def arguments(self, *more):
        """
        @return: those of the generator.
        """
        return ("-A", "-d", "-s", 4, *NUMBERED, "--ledger", self.sent, *more, self.server.destination)

    def whenArrived(self, number):
        """
        @return: a L{defer.Deferred} that fires when so many messages have arrived.
        """
        return eventually(lambda: arrivals(self.arrived).total() >= number, f"{number} arrivals")

    @defer.inlineCallbacks
    def restart(self):
        """
        Kill the server, and start it again.
        """
        yield self.server.kill()
        self.kills += 1
        yield self.server.again()

    @defer.inlineCallbacks
    def killed(self, command):
        """
        Kill a command of ours.
        """
        command.signal(signal.SIGKILL)
        self.kills += 1
        yield command.whenEnded()

    @defer.inlineCallbacks
    def judged(self):
        """
        Wait for the end of the queue, and have it judged.

        @return: a L{defer.Deferred} that fires with the C{"ledger"} of the report.
        """
        yield self.server.whenEmpty()
        self.sink.signal(signal.SIGTERM)
        yield self.sink.whenEnded()
        _, ledger, anomalies = yield reconciled(self, self.sent, self.arrived, "--drain-quiet", "0")
        yield self.compare(ledger, anomalies)
        return ledger

    @defer.inlineCallbacks
    def compare(self, ledger, anomalies):
        """
        What the ledger says is what the server's log says, or will say soon: it is another process that writes it.
        """
        here, kept = arrivals(self.arrived), acknowledged(self.sent)

        def isLogged():
            logged = self.server.deliveries()
            return all(number - logged[recipient] <= self.kills for recipient, number in here.items())

        yield eventually(isLogged, "a log that has all that has arrived")
        for recipient, number in self.server.deliveries().items():
            self.assertGreaterEqual(here[recipient], number, recipient)
        # None of these servers loses what it has acknowledged, while the machine is there.
        self.assertEqual((ledger["lost"], kept - here.keys()), (0, set()), anomalies)
        self.assertEqual((ledger["delivered"], ledger["recovered"]), (len(kept), len(here.keys() - kept)))
        self.assertEqual(ledger["duplicated"], len([number for number in here.values() if number > 1]))
        for name in ("misdelivered", "corrupted", "bounced", "queued", "ghost", "foreign", "damaged"):
            self.assertEqual(ledger[name], 0, name)
        self.assertEqual(ledger["verdict"], "fail" if ledger["duplicated"] else "pass")

    @defer.inlineCallbacks
    def test_oneCommand(self):
        """
        It is killed while it accepts and delivers, and one command loads it, waits and judges.
        """
        self.port, self.arrived = freePort(), self.sent
        self.server = yield self.peer(self.relay(self.port))
        arguments = self.arguments("--deliver-to", self.port, "--rate", "50/s", "--duration", "4s")
        load = loadAndReport(self, *arguments)
        yield self.whenArrived(50)
        yield self.restart()
        result, report = yield load
        yield self.compare(report["ledger"], report["ledger"]["anomalies"])
        isWell = not report["messages"]["failed"] and report["ledger"]["verdict"] == "pass"
        self.assertEqual(result.status, 0 if isWell else 1, result)

    @defer.inlineCallbacks
    def test_accepting(self):
        """
        It is killed while it accepts, and then delivers all.
        """
        yield self.started()
        self.sink.signal(signal.SIGSTOP)
        load = loadAndReport(self, *self.arguments("--rate", "100/s", "--duration", "3s"))
        yield eventually(lambda: len(acknowledged(self.sent)) > 50, "acknowledgements")
        yield self.restart()
        yield load
        self.sink.signal(signal.SIGCONT)
        ledger = yield self.judged()
        self.assertGreater(ledger["delivered"], 50)

    @defer.inlineCallbacks
    def test_delivering(self):
        """
        It is killed while it delivers what it has accepted.
        """
        yield self.started(SLOW % self.delay)
        self.sink.signal(signal.SIGSTOP)
        result, report = yield loadAndReport(self, *self.arguments("-m", 120))
        self.assertEqual(report["messages"]["accepted"], 120, result)
        self.sink.signal(signal.SIGCONT)
        yield self.whenArrived(30)
        yield self.restart()
        ledger = yield self.judged()
        self.assertEqual(ledger["delivered"], 120)

    @defer.inlineCallbacks
    def test_deferred(self):
        """
        It is killed with mail that was refused at first.
        """
        yield self.started(DEFERS)
        yield loadAndReport(self, *self.arguments("-m", 40))
        yield self.restart()
        ledger = yield self.judged()
        self.assertEqual(ledger["delivered"], 40)

    @defer.inlineCallbacks
    def test_everybody(self):
        """
        All three are killed. The judgement is made from what they have written down.
        """
        yield self.started(SLOW % self.delay)
        generator = smtpsource(self, *self.arguments("--rate", "100/s", "--duration", "1h"))
        yield self.whenArrived(50)
        yield self.killed(self.sink)
        number = arrivals(self.arrived).total()
        # There has to be something left to deliver.
        yield eventually(lambda: len(acknowledged(self.sent)) > number + 50, "acknowledgements")
        yield self.killed(generator)
        yield self.open(SLOW % self.delay)
        yield self.restart()
        ledger = yield self.judged()
        self.assertGreater(ledger["delivered"], number)


class PostfixTests(RelayMixin, PeerTestCase):
    """
    Postfix.
    """

    relay = PostfixRelay


class EximTests(RelayMixin, PeerTestCase):
    """
    Exim.
    """

    relay = EximRelay


class OpenSMTPDTests(RelayMixin, PeerTestCase):
    """
    OpenSMTPD.
    """

    relay = OpenSMTPDRelay

    #: All messages are for one server, and it delivers them one after the other.
    delay = "20ms"
