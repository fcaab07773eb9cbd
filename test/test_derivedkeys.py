"""
Tests for L{smtpsource.load.derivedkeys}, and of logins by SCRAM that take their time.
"""

from __future__ import annotations

import base64
import os
import signal
from unittest import mock

from conversations import Conversation, Letter, announcing
from patience import TEST_LIMIT
from subprocesses import loadAndReport, reported, smtpsource, twistd
from twisted.internet import defer
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource import SourcePlan
from smtpsource.credentials import Credentials
from smtpsource.load import derivedkeys
from smtpsource.load.derivedkeys import DerivedKeys
from smtpsource.measure.summary import latenciesOf
from smtpsource.phases import AUTH
from smtpsource.smtp import scramkeys
from smtpsource.smtp.scramkeys import Derivation
from smtpsource.testing import FakeReactor, runInMemory

#: More iterations than can be done while anybody waits, and the option that allows them.
ENDLESS = 2**31 - 1
ALLOWED = ("--auth-scram-iterations", str(ENDLESS))


class Threads:
    """
    Threads in which nothing happens until the test says so.

    @ivar calls: what is being worked out, and what fires with it.
    @ivar soon: what is to be called in the next turn.
    """

    def __init__(self):
        self.calls = []
        self.soon = []

    def start(self, call):
        """
        Begin with something.
        """
        self.calls.append((call, defer.Deferred()))
        return self.calls[-1][1]

    def finish(self, number=0):
        """
        Work it out.
        """
        call, result = self.calls.pop(number)
        try:
            found = call()
        except Exception:
            found = Failure()
        result.callback(found)

    def turn(self):
        """
        @return: whether there was anything to do in the next turn.
        """
        soon, self.soon = self.soon, []
        for call in soon:
            call()
        return bool(soon)


def wanted(number, iterations=1):
    """
    @return: one of many derivations.
    """
    return Derivation(b"pencil", b"%d" % number, iterations)


class DerivedKeysTests(SynchronousTestCase):
    """
    L{DerivedKeys}.
    """

    def setUp(self):
        self.threads = Threads()
        self.answers = []

    def make(self, most=2):
        """
        @return: a L{DerivedKeys} that works out so many at once.
        """
        return DerivedKeys(self.threads.start, self.threads.soon.append, most)

    def waiting(self, name):
        """
        @return: somebody who waits for keys.
        """
        return lambda keys: self.answers.append((name, keys))

    def test_shared(self):
        """
        All who want the same keys get them when they are there, and whoever comes later at once: they are worked out
        once for a password, a salt and a number of iterations.
        """
        keys = self.make(most=5)
        for name in "abc":
            keys.ask(wanted(1), self.waiting(name))
        self.assertEqual((len(self.threads.calls), self.answers), (1, []))
        self.threads.finish()
        expected = wanted(1).keys()
        self.assertEqual(self.answers, [(name, expected) for name in "abc"])
        keys.ask(wanted(1), self.waiting("d"))
        self.assertEqual(self.answers[3:], [("d", expected)])
        self.assertEqual(self.threads.calls, [])
        for other in (wanted(2), wanted(1, 2), Derivation(b"pen", b"1", 1)):
            keys.ask(other, self.waiting("e"))
        self.assertEqual(len(self.threads.calls), 3)

    def test_fewAtOnce(self):
        """
        Only so many are worked out at once; the others wait for their turn, in order.
        """
        keys = self.make(most=2)
        for number in range(5):
            keys.ask(wanted(number), self.waiting(number))
        for left in (4, 3, 2, 1, 0):
            self.assertEqual(len(self.threads.calls), min(2, left + 1))
            self.threads.finish()
        self.assertEqual([name for name, _ in self.answers], [0, 1, 2, 3, 4])
        self.assertEqual(len({each for _, each in self.answers}), 5)

    def test_most(self):
        """
        How many at once depends on the processors: one is for the load.
        """
        for processors, most in ((1, 1), (2, 1), (3, 2), (5, 4), (64, 4)):
            with mock.patch.object(derivedkeys, "usable", lambda processors=processors: processors):
                self.assertEqual(derivedkeys.mostAtOnce(), most)

    def test_goneBeforeItsTurn(self):
        """
        What nobody waits for any more is not begun: a server with new salts for ever makes no more work than there are
        connections.
        """
        keys = self.make(most=1)
        gone = self.waiting("gone")
        for number in range(1000):
            keys.ask(wanted(number), gone)
            if number:
                keys.withdraw(wanted(number), gone)
        both = [self.waiting("one"), self.waiting("other")]
        for one in both:
            keys.ask(wanted(5000), one)
        keys.withdraw(wanted(5000), both[0])
        keys.withdraw(wanted(0), gone)
        keys.withdraw(wanted(77), gone)  # it was never asked for any more
        self.assertEqual(len(self.threads.calls), 1)
        self.threads.finish()
        self.threads.finish()
        self.assertEqual(self.threads.calls, [])
        self.assertEqual(self.answers, [("other", wanted(5000).keys())])

    def test_goneMeanwhile(self):
        """
        What was begun is kept, too, if all are gone when it is done.
        """
        keys = self.make()
        gone = self.waiting("gone")
        keys.ask(wanted(1), gone)
        keys.withdraw(wanted(1), gone)
        # It is wanted again before it is done: it is not begun again.
        keys.ask(wanted(1), self.waiting("new"))
        self.assertEqual(len(self.threads.calls), 1)
        self.threads.finish()
        keys.ask(wanted(1), self.waiting("later"))
        self.assertEqual([name for name, _ in self.answers], ["new", "later"])

    def test_fails(self):
        """
        What goes wrong is told to all who wait; the next one who asks has a new chance.
        """
        keys = self.make()
        broken = mock.patch.object(scramkeys, "pbkdf2_hmac", side_effect=MemoryError("full"))
        with broken:
            keys.ask(wanted(1), self.waiting("a"))
            self.threads.finish()
        self.assertIsInstance(self.answers[0][1], MemoryError)
        self.assertEqual(len(self.flushLoggedErrors(MemoryError)), 1)
        keys.ask(wanted(1), self.waiting("b"))
        self.threads.finish()
        self.assertEqual(self.answers[1], ("b", wanted(1).keys()))

    def test_manyWait(self):
        """
        Thousands who wait for the same keys are answered in several turns, and some of them may be gone by then.
        """
        keys = self.make()
        all_ = [self.waiting(number) for number in range(1000)]
        for one in all_:
            keys.ask(wanted(1), one)
        self.threads.finish()
        self.assertLessEqual(len(self.answers), 100)
        for one in all_[500:600]:
            keys.withdraw(wanted(1), one)
        keys.ask(wanted(1), self.waiting("new"))
        while self.threads.turn():
            pass
        self.assertEqual({name for name, _ in self.answers}, {*range(500), *range(600, 1000), "new"})
        self.assertEqual(len(self.answers), 901)

    def test_oneIsTheEndOfOthers(self):
        """
        An answer may lead to it that others are not wanted any more.
        """
        keys = self.make()
        other = self.waiting("other")

        def one(found):
            self.answers.append(("one", found))
            keys.withdraw(wanted(1), other)

        keys.ask(wanted(1), one)
        keys.ask(wanted(1), other)
        self.threads.finish()
        self.assertEqual([name for name, _ in self.answers], ["one"])

    def test_kept(self):
        """
        A bounded number of keys is kept: those that were used last.
        """
        self.patch(derivedkeys, "KEPT", 3)
        keys = self.make()
        for number in (1, 2, 3, 1, 4):
            keys.ask(wanted(number), self.waiting(number))
            if self.threads.calls:
                self.threads.finish()
        for number, kept in ((1, True), (3, True), (4, True), (2, False)):
            keys.ask(wanted(number), self.waiting(number))
            self.assertEqual(not self.threads.calls, kept, number)


SALTED = b"s=c2FsdA==,i=%d"


class Login(Conversation):
    """
    A client that is about to log in by SCRAM, and whose keys are worked out when the test says so.
    """

    def __init__(self, **kind):
        self.threads = Threads()
        keys = DerivedKeys(self.threads.start, self.threads.soon.append)
        login = lambda: Credentials("joe", "secret")  # noqa: E731
        super().__init__(Letter(), mechanisms=("SCRAM-SHA-256",), login=login, keys=keys, tolerant=True, **kind)
        command = self.say(b"220 hi\r\n", announcing(b"AUTH SCRAM-SHA-256"))
        self.nonce = base64.b64decode(command.split()[2]).partition(b",r=")[2]

    def challenge(self, iterations=4096):
        """
        @return: what the client wrote when it was given the server's first message.
        """
        text = b"r=%bx," % self.nonce + SALTED % iterations
        return self.say(b"334 " + base64.b64encode(text) + b"\r\n")


class LoginTests(SynchronousTestCase):
    """
    A connection that waits for its keys.
    """

    def test_time(self):
        """
        The time that keys take is not the server's.
        """
        talk = Login()
        talk.reactor.advance(2)
        self.assertEqual(talk.challenge(), b"")
        talk.reactor.advance(100)
        talk.threads.finish()
        self.assertTrue(base64.b64decode(talk.transport.take()).startswith(b"c=biws,r="))
        talk.reactor.advance(3)
        talk.say(b"535 no\r\n")
        auth = latenciesOf(talk.recorder)["auth"]
        self.assertEqual((auth.count, round(auth.maximum), round(auth.mean, 1)), (2, 3, 2.5))

    def test_timeout(self):
        """
        C{--timeout} is for our own work, too, and nobody else is blamed.
        """
        talk = Login()
        talk.challenge(77777)
        talk.reactor.advance(299)
        self.assertFalse(talk.client.overdue(talk.reactor.seconds(), 300))
        talk.reactor.advance(1)
        self.assertTrue(talk.client.overdue(talk.reactor.seconds(), 300))
        self.assertFalse(talk.client.overdue(talk.reactor.seconds(), 300))
        talk.threads.finish()  # to nobody's use
        (fault, end) = talk.settle()
        self.assertEqual(fault[:2], ("fault", "timeout"))
        self.assertIn("no keys for 77777 iterations of SCRAM within 300 seconds", fault[2])
        self.assertEqual(end[0], "disconnected")
        self.assertEqual(talk.transport.take(), b"")

    def test_serverImpatient(self):
        """
        A server that does not wait: it refuses the login, or leaves.
        """
        for said, expected in (
            (b"421 4.4.2 too slow\r\n", [("refused", AUTH, b"421 4.4.2 too slow\r\n"), ("rejected", 0)]),
            (b"535 5.7.8 too slow\r\n", [("refused", AUTH, b"535 5.7.8 too slow\r\n"), ("rejected", 0)]),
        ):
            talk = Login()
            talk.challenge()
            talk.say(said)
            self.assertEqual(talk.events(), expected)
            talk.threads.finish()
            self.assertEqual(talk.transport.take(), b"")
            self.assertEqual(talk.recorder.replies[AUTH], {b"334": 1, said[:3]: 1})
        for said in (b"235 come in\r\n", b"334 \r\n", b"250 ok\r\n", b"what?\r\n"):
            talk = Login()
            talk.challenge()
            talk.say(said)
            ((what, kind, _),) = talk.events()
            self.assertEqual((what, kind), ("fault", "garbage-reply" if said == b"what?\r\n" else "unexpected-reply"))

    def test_lost(self):
        """
        A connection that is lost meanwhile was not idle: its message has failed.
        """
        talk = Login()
        talk.challenge()
        talk.transport.drop()
        talk.threads.finish()
        self.assertEqual(talk.events()[0][:2], ("fault", "connection-lost"))
        self.assertEqual(talk.client._dialogue.keys._queue, {})

    def test_withdrawn(self):
        """
        Whatever the end of a connection: no keys are begun for it after that.
        """
        for end in (
            lambda talk: talk.client.abort(),
            lambda talk: talk.transport.drop(),
            lambda talk: talk.say(b"421 bye\r\n"),
            lambda talk: talk.say(b"535 no\r\n"),
            lambda talk: talk.say(b"what?\r\n"),
            lambda talk: talk.client.overdue(1e9, 1),
        ):
            talk = Login()
            busy = [wanted(number) for number in range(derivedkeys.mostAtOnce())]
            for one in busy:
                talk.client._dialogue.keys.ask(one, lambda keys: None)
            talk.challenge()
            end(talk)
            for _ in busy:
                talk.threads.finish()
            self.assertEqual(talk.threads.calls, [])

    def test_fails(self):
        """
        Keys that can't be worked out are a defect here, and it is told.
        """
        talk = Login()
        talk.challenge()
        with mock.patch.object(scramkeys, "pbkdf2_hmac", side_effect=MemoryError("full")):
            talk.threads.finish()
        self.assertEqual(len(self.flushLoggedErrors(MemoryError)), 1)
        self.assertEqual(talk.events()[0][:2], ("fault", "internal-error"))
        self.assertTrue(talk.transport.aborted)

    def test_tooMany(self):
        """
        More iterations than allowed are refused, and nothing is worked out.
        """
        talk = Login(scramIterations=10_000)
        talk.challenge(10_001)
        (fault,) = talk.events()
        self.assertEqual(fault[:2], ("fault", "bad-challenge"))
        for part in ("10000 ", "10001 ", "--auth-scram-iterations"):
            self.assertIn(part, fault[2])
        self.assertEqual((talk.threads.calls, talk.transport.aborted), ([], True))


class ScramServer(LineReceiver):
    """
    A server that asks for so many iterations, with the same salt or always a new one, and believes everybody.
    """

    def connectionMade(self):
        self.nonce = None
        self.sendLine(b"220 hi")

    def lineReceived(self, line):
        verb = line.split()[0].upper()
        if verb == b"EHLO":
            self.transport.write(announcing(b"AUTH SCRAM-SHA-256"))
        elif verb == b"AUTH":
            self.nonce = base64.b64decode(line.split()[2]).partition(b",r=")[2]
            salt = b"salt" if self.factory.salt is None else os.urandom(16)
            text = b"r=%bx,s=%b,i=%d" % (self.nonce, base64.b64encode(salt), self.factory.iterations)
            self.factory.asked += 1
            self.sendLine(b"334 " + base64.b64encode(text))
            self.factory.tell()
        elif self.nonce is not None:
            self.nonce = None
            self.sendLine(b"535 5.7.8 no")
        else:
            self.sendLine(b"221 bye" if verb == b"QUIT" else b"250 ok")


class ScramFactory(Factory):
    """
    @ivar asked: how often it has challenged a client.
    """

    protocol = ScramServer
    noisy = False

    def __init__(self, iterations, salt=None):
        self.iterations = iterations
        self.salt = salt
        self.asked = 0
        self._awaited = []

    def tell(self):
        """
        A client was challenged.
        """
        for number, waiting in self._awaited:
            if self.asked == number:
                waiting.callback(None)

    def whenAsked(self, number):
        """
        @return: fires when so many challenges were sent.
        """
        waiting = defer.Deferred()
        self._awaited.append((number, waiting))
        return waiting


PLAN = {"mechanisms": ["SCRAM-SHA-256"], "tolerant": True, "timeout": 60}


class InMemoryTests(SynchronousTestCase):
    """
    Runs without threads.
    """

    def test_once(self):
        """
        All sessions share what is worked out for each user.
        """
        users = [Credentials(user, user) for user in ("a", "b", "c")]
        plan = SourcePlan(messageCount=60, sessionCount=20, logins=users, **PLAN)
        derive = mock.patch.object(scramkeys, "pbkdf2_hmac", side_effect=scramkeys.pbkdf2_hmac)
        with derive as derived:
            summary = runInMemory(plan, ScramFactory(4096), reactor=FakeReactor())
        self.assertEqual((summary.messages.started, summary.messages.rejected), (60, 60), summary)
        self.assertEqual(derived.call_count, 3)

    def test_tooMany(self):
        """
        Nothing is lost if the server asks for too much.
        """
        plan = SourcePlan(messageCount=5, logins=[Credentials("a", "a")], scramIterations=4095, **PLAN)
        summary = runInMemory(plan, ScramFactory(4096))
        self.assertEqual((summary.messages.started, summary.messages.failed), (5, 5))
        self.assertEqual(summary.errors["bad-challenge"].count, 5)


class CommandTests(TestCase):
    """
    The command, against servers that make it work.
    """

    timeout = TEST_LIMIT

    def serve(self, iterations, salt=None):
        """
        Start a server.
        """
        from twisted.internet import reactor

        self.factory = ScramFactory(iterations, salt)
        port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        users = self.mktemp()
        with open(users, "w") as file:
            file.writelines(f"user{number}:secret{number}\n" for number in range(100))
        self.arguments = [
            *("-A", "--auth", "SCRAM-SHA-256", "--auth-users", os.path.abspath(users)),
            f"127.0.0.1:{port.getHost().port}",
        ]

    @defer.inlineCallbacks
    def test_tooMany(self):
        """
        More iterations than the bound: one clear line, and the run ends in order.
        """
        self.serve(10_000_000)
        result, report = yield loadAndReport(self, "-m", "3", *self.arguments)
        self.assertEqual((result.status, report["messages"]["failed"]), (1, 3))
        error = report["errors"]["bad-challenge"]
        self.assertEqual(error["count"], 3)
        self.assertIn("at most 1000000 iterations", error["sample"])
        self.assertIn("10000000 (--auth-scram-iterations allows more)", error["sample"])

    @defer.inlineCallbacks
    def test_timeout(self):
        """
        While keys are worked out that will never be there, C{--timeout} is obeyed, and the process ends.
        """
        self.serve(ENDLESS, salt="new")
        result, report = yield loadAndReport(self, *ALLOWED, "-s", "5", "-m", "10", "--timeout", "1", *self.arguments)
        self.assertEqual((result.status, report["messages"]["failed"]), (1, 10))
        self.assertEqual({kind: error["count"] for kind, error in report["errors"].items()}, {"timeout": 10})

    @defer.inlineCallbacks
    def test_signals(self):
        """
        So are signals, in the foreground and under twistd.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            for start, name in ((smtpsource, []), (twistd, ["-n", "--pidfile=", "smtp-source"])):
                self.serve(ENDLESS)
                options = ("--quiet", "--report", "report.json", "--grace", "0", *ALLOWED, "-m", "5")
                command = start(self, *name, *options, *self.arguments)
                yield self.factory.whenAsked(1)
                command.signal(number)
                result = yield command.whenEnded()
                report = reported((command.directory / "report.json").read_bytes(), result)
                self.assertEqual((result.status, report["ended"]), (1, "signal"), result)
                self.assertEqual((report["messages"]["started"], report["messages"]["failed"]), (1, 1), result)
