"""
Tests for L{smtpsource.messages.varied}, L{smtpsource.load.traffic} and L{smtpsource.messages.seeds}: messages that
differ from each other, and that come again with the same seed.
"""

from __future__ import annotations

import email
import re
from pathlib import Path

from hypothesis import strategies as st
from properties import given, settings
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from smtpsource.interfaces import IMessage, ITraffic
from smtpsource.load import parts
from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.messages import content, templates
from smtpsource.messages.varied import VariedMessage, VariedTraffic
from smtpsource.plan import SourcePlan
from smtpsource.smtp.parameters import Parameters
from smtpsource.testing import runInMemory
from smtpsource.values.numbers import LARGEST

LINE = b"x" * 78 + b"\r\n"

#: Messages of all kinds: with and without a Message-Id, small and large, such as can be sent as they are and such as
#: can't.
CORPUS = {
    "a.eml": b"Subject: small\n\nSmall.\n.\n..\n",
    "b.eml": b"Message-Id: <b@x>\r\nSubject: crlf\r\n\r\nx\r\n",
    "c.eml": b"Subject: large\r\n\r\n" + LINE * 3000,
    "d.eml": b"Subject: large\nMessage-ID: <d@x>\n\n" + (b"." + b"y" * 70 + b"\n") * 3000,
    "e.eml": b"no header, no line end",
}


def withLineEnds(text):
    """
    @return: a file's bytes with CRLF at the end of each line, the last one too.
    """
    text = text.replace(b"\r\n", b"\n")
    return (text[:-1] if text.endswith(b"\n") else text).replace(b"\n", b"\r\n") + b"\r\n"


def unstuffed(content):
    """
    @return: the message that a server makes of content.
    """
    assert content.endswith(b"\r\n.\r\n"), content[-20:]
    lines = content[:-3].split(b"\r\n")
    assert b"." not in lines
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


class Server(LineReceiver):
    """
    Takes everything, by DATA and by BDAT, and keeps the messages as they are.
    """

    recipients = 0

    def connectionMade(self):
        self.sendLine(b"220 here")

    def lineReceived(self, line):
        verb, _, rest = line.partition(b" ")
        if verb in (b"EHLO", b"LHLO"):
            self.transport.write(b"250-here\r\n250-PIPELINING\r\n250-SIZE\r\n250 CHUNKING\r\n")
        elif verb == b"MAIL":
            self.recipients, self.text = 0, b""
            self.factory.mails.append(line)
            self.sendLine(b"250 ok")
        elif verb == b"DATA":
            self.sendLine(b"354 go on")
            self.left = None
            self.setRawMode()
        elif verb == b"BDAT":
            self.left, self.last = int(rest.split()[0]), rest.endswith(b" LAST")
            self.setRawMode()
        else:
            self.recipients += verb == b"RCPT"
            self.sendLine(b"221 bye" if verb == b"QUIT" else b"250 ok")

    def rawDataReceived(self, data):
        if self.left is None:
            self.text += data
            content, end, rest = self.text.partition(b"\r\n.\r\n")
            if end:
                self.factory.messages.append(unstuffed(content + end))
                self._taken(True, rest)
        else:
            self.text += data[: self.left]
            rest = data[self.left :]
            self.left -= len(data) - len(rest)
            if not self.left:
                if self.last:
                    self.factory.messages.append(self.text)
                self._taken(self.last, rest)

    def _taken(self, last, rest):
        for _ in range(self.recipients if self.factory.lmtp and last else 1):
            self.sendLine(b"250 taken")
        self.setLineMode(rest)


class Case(SynchronousTestCase):
    """
    Traffic, at a time that stands still.
    """

    def setUp(self):
        for module in (content, templates):
            self.patch(module.time, "time", lambda: 1_700_000_000.0)

    def corpus(self, **more):
        """
        @return: the path of a directory of messages.
        """
        path = Path(self.mktemp())
        path.mkdir(parents=True)
        for name, stored in CORPUS.items():
            (path / name).write_bytes(stored)
        return str(path)

    def traffic(self, **values):
        """
        @return: a plan's traffic.
        """
        return newTraffic(SourcePlan(**{"destination": "127.0.0.1", "myhostname": "h", **values}))

    def sent(self, number=20, session=1, **values):
        """
        @return: all that is sent of some messages: MAIL, every RCPT, content and octets.
        """
        traffic = self.traffic(**values)
        return [self.told(message, session) for message in (traffic.next() for _ in range(number))]

    def told(self, message, session=1):
        """
        @return: all that is sent of a message.
        """
        if isinstance(message, VariedMessage):
            message.session = session
        rcpts = message.recipientCommands()
        content, octets = (b"".join(map(bytes, parts)) for parts in (message.content(), message.bdatContent()))
        return message.mail, rcpts, content, octets


#: Values of plans with something random in them, by what is random.
RANDOM = {
    "sizes": {"sizeDistribution": "lognormal:median=8k,sigma=1.5"},
    "recipients": {"recipientsDistribution": "uniform:1-5"},
    "weights": {"senders": [("a@x", 1), ("b@x", 2)], "recipients": [(f"{n}@y", n) for n in range(1, 50)]},
    "domains": {"domains": "a.test:9,b.test:1"},
    "digits": {"headers": ["X-A: {random:8} {n} {session}"], "subject": "{random:4}"},
    "pick": {"messages": None, "pick": "random", "headers": ["X-A: {random:8}"]},
}


class SeedTests(Case):
    """
    C{--seed}.
    """

    def plan(self, kind, path):
        """
        @return: the values of one of L{RANDOM}.
        """
        return {**RANDOM[kind], "messages": path} if "messages" in RANDOM[kind] else RANDOM[kind]

    def test_repeats(self):
        """
        The same seed makes the same traffic, byte for byte; another one another.
        """
        path = self.corpus()
        runs = {seed: self.traffic(seed=seed).run for seed in (7, 8)}
        for kind in RANDOM:
            values = self.plan(kind, path)
            sent = self.sent(seed=7, **values)
            self.assertEqual(self.sent(seed=7, **values), sent, kind)
            # Not only the run's id is another.
            seven, eight = (
                [(mail, rcpts, octets.replace(run, b"")) for mail, rcpts, _, octets in self.sent(seed=seed, **values)]
                for seed, run in runs.items()
            )
            self.assertNotEqual(seven, eight, kind)

    @given(st.integers(0, LARGEST), st.permutations(range(8)))
    @settings(max_examples=20, deadline=None)
    def test_anyOrder(self, seed, order):
        """
        A message is the same whoever sends it and whenever: the order in which servers answer changes nothing.
        """
        values = {name: value for kind in RANDOM if kind != "pick" for name, value in RANDOM[kind].items()}
        del values["recipientsDistribution"]
        values["numberRecipients"] = True
        expected = self.sent(8, seed=seed, **values)
        traffic = self.traffic(seed=seed, **values)
        started = [traffic.next() for _ in range(8)]
        found = {n: self.told(started[n]) for n in order}
        self.assertEqual([found[n] for n in range(8)], expected)

    def test_plainTraffic(self):
        """
        Messages in which nothing is drawn have the same Message-Ids with the same seed, and others without.
        """
        self.assertEqual(self.sent(3, seed=0), self.sent(3, seed=0))
        ids = {self.sent(1, **values)[0][2] for values in ({"seed": 1}, {"seed": 2}, {}, {}, {})}
        self.assertEqual(len(ids), 5)

    def test_seedInUse(self):
        """
        A plan without a seed has drawn one: with it, the traffic comes again.
        """
        values = RANDOM["weights"]
        plan = SourcePlan(myhostname="h", **values)
        other = SourcePlan(myhostname="h", **values)
        self.assertNotEqual(plan.seedInUse, other.seedInUse)
        self.assertEqual(plan, other)
        again = SourcePlan(myhostname="h", seed=plan.seedInUse, **values)
        self.assertEqual(again.seedInUse, plan.seedInUse)
        mails = []
        for one in (plan, plan, again, other):
            traffic = newTraffic(one)
            mails.append([traffic.next().mail for _ in range(50)])
        self.assertEqual(mails[1:3], mails[:1] * 2)
        self.assertNotEqual(mails[3], mails[0])

    def test_pauses(self):
        """
        Pauses come from it, too.
        """

        def pauses(**values):
            pacer = parts.pacer(SourcePlan(randomInterval=5.0, **values))
            return [pacer.pause() for _ in range(10)]

        self.assertEqual(pauses(seed=1), pauses(seed=1))
        self.assertNotEqual(pauses(seed=1), pauses(seed=2))
        self.assertNotEqual(pauses(), pauses())

    def test_independent(self):
        """
        What is drawn for one thing does not depend on what else is drawn.
        """
        alone = [mail for mail, *_ in self.sent(seed=3, senders=[("a@x", 1), ("b@x", 1)])]
        more = self.sent(seed=3, senders=[("a@x", 1), ("b@x", 1)], **RANDOM["sizes"], **RANDOM["recipients"])
        self.assertEqual([mail for mail, *_ in more], alone)
        plan = SourcePlan(seed=3)
        self.assertEqual(parts.generator(plan, "arrivals").random(), parts.generator(plan, "arrivals").random())
        self.assertNotEqual(parts.generator(plan, "arrivals").random(), parts.generator(plan, "pauses").random())


class MessageTests(Case):
    """
    What a message is.
    """

    def test_interfaces(self):
        """
        Messages and traffic do all that a run asks of them.
        """
        traffic = self.traffic(senders=["a@b"])
        self.assertTrue(verifyClass(ITraffic, VariedTraffic) and verifyObject(ITraffic, traffic))
        self.assertTrue(verifyClass(IMessage, VariedMessage) and verifyObject(IMessage, traffic.next()))

    def test_contents(self):
        """
        For every kind: a whole content with its dots for DATA, the same without them for BDAT, and a Message-Id of the
        run's id and the message's number.
        """
        path = self.corpus()
        for kind in RANDOM:
            values = {**RANDOM[kind], "messages": path} if kind == "pick" else RANDOM[kind]
            traffic = self.traffic(**values)
            for number in range(1, 21):
                message = traffic.next()
                self.assertEqual(message.number, number)
                _, _, content, octets = self.told(message)
                self.assertEqual(unstuffed(content), octets)
                found = email.message_from_bytes(octets)
                name = "Message-Id" if found["Resent-Message-Id"] is None else "Resent-Message-Id"
                self.assertEqual(found[name], f"<{traffic.run.decode()}.{number:x}@h>")

    def test_sizes(self):
        """
        Bodies have exactly the sizes that were drawn, and say so.
        """
        found = self.sent(200, sizeDistribution="uniform:1-200k", headers=["X-Size: {size}"], seed=1)
        sizes = []
        for *_, octets in found:
            head, _, body = octets.partition(b"\r\n\r\n")
            sizes.append(len(body) - 2)
            self.assertIn(b"X-Size: %d" % sizes[-1], head)
        self.assertTrue(1 <= min(sizes) < 20_000 and 180_000 < max(sizes) <= 204_800)
        fixed = self.sent(1, sizeDistribution="fixed:4k")[0][3]
        self.assertEqual(len(fixed), len(self.sent(1, length=4096)[0][3]))

    def test_stored(self):
        """
        Messages of a corpus are sent whole, in turn. Before one without a Message-Id comes one; before one that has it,
        come those of a message that is sent again.
        """
        values = {"messages": self.corpus(), "sender": "me@x", "seed": 1}
        run = self.traffic(**values).run
        for number, (text, (*_, octets)) in enumerate(zip(CORPUS.values(), self.sent(5, **values), strict=True), 1):
            whole = withLineEnds(text)
            self.assertTrue(octets.endswith(whole))
            ours = b"Message-Id: <%b.%x@h>\r\n" % (run, number)
            if b"essage-" in whole:
                ours = b"Resent-Date: %b\r\nResent-From: <me@x>\r\nResent-" % content.date(1_700_000_000) + ours
            self.assertEqual(octets.removesuffix(whole), ours)

    def test_storedHeaders(self):
        """
        Headers are put before messages of a corpus.
        """
        found = self.sent(2, messages=self.corpus(), headers=["X-A: {n}/{size}"])
        for number, ((*_, octets), text) in enumerate(zip(found, CORPUS.values(), strict=False), 1):
            self.assertEqual(email.message_from_bytes(octets)["X-A"], f"{number}/{len(withLineEnds(text))}")

    def test_headersOfFile(self):
        """
        Headers are put before the message of C{-F}, of which nothing is changed, and nothing else is.
        """
        text = b".A: b\nX-Run: old\n\n.\nend"
        plain = self.sent(2, message=text)
        found = self.sent(2, message=text, headers=["X-Run: {n}/{size}", "To: all"])
        for number, (one, same) in enumerate(zip(found, plain, strict=True), 1):
            size = len(withLineEnds(text)) + 2
            self.assertEqual(one[3], b"X-Run: %d/%d\r\nTo: all\r\n" % (number, size) + same[3])

    def test_untouched(self):
        """
        With C{-o} nothing is put before them. Nor is anything before the message of C{-F}, whoever sends it.
        """
        found = self.sent(5, messages=self.corpus(), oldMode=True)
        self.assertEqual([octets for *_, octets in found], list(map(withLineEnds, CORPUS.values())))
        plain = self.sent(2, message=b"A: b\n\n.\n")
        drawn = self.sent(2, message=b"A: b\n\n.\n", senders=["a@x", "b@x"])
        self.assertEqual([one[2:] for one in drawn], [one[2:] for one in plain])
        self.assertEqual([one[0] for one in drawn], [b"MAIL FROM:<a@x>\r\n", b"MAIL FROM:<b@x>\r\n"])

    def test_session(self):
        """
        The number of the session is that of whoever sends the message.
        """
        for session in (1, 20):
            *_, octets = self.sent(1, session=session, headers=["X-Session: {session}"])[0]
            self.assertIn(b"\r\nX-Session: %d\r\n" % session, octets)
        self.assertFalse(self.traffic(headers=["X: {n}"]).wantsSession)
        self.assertFalse(self.traffic().wantsSession)

    def test_declaredSize(self):
        """
        SIZE is no less than what a message has, and not much more; each message has its own.
        """
        parameters = Parameters(size=True)
        path = self.corpus()
        for kind in RANDOM:
            values = {**RANDOM[kind], "messages": path} if kind == "pick" else RANDOM[kind]
            declared = set()
            for mail, _, _, octets in self.sent(50, session=12345, parameters=parameters, seed=2, **values):
                size = int(re.search(rb" SIZE=(\d+)\r\n$", mail)[1])
                self.assertTrue(len(octets) <= size <= len(octets) + 10, (kind, size, len(octets)))
                declared.add(size)
            self.assertTrue(len(declared) > 1, kind)

    def test_declaredSizeOfNumbers(self):
        """
        So it is without anything drawn, however many digits numbers have.
        """
        values = {"numberRecipients": True, "recipientNumbering": "suffix", "numberWidth": 64}
        for mail, _, _, octets in self.sent(3, parameters=Parameters(size=True), **values):
            size = int(mail.partition(b" SIZE=")[2])
            self.assertTrue(len(octets) <= size <= len(octets) + 30)

    def test_problems(self):
        """
        A message that is gone is told to whoever wants to know, and another is sent.
        """
        path = Path(self.corpus())
        traffic = self.traffic(messages=str(path))
        problems = []
        traffic.onProblem = problems.append
        for name in ("a.eml", "b.eml"):
            (path / name).unlink()
        self.assertTrue(self.told(traffic.next())[3].endswith(withLineEnds(CORPUS["c.eml"])))
        self.assertEqual(len(problems), 2)
        self.assertIn("a.eml': No such file or directory", problems[0])
        self.traffic().onProblem = problems.append  # where nothing can go wrong


class DialogueTests(Case):
    """
    The same through a whole run, against a server.
    """

    def received(self, lmtp=False, **values):
        """
        @return: the messages that a server got in a run, and the MAIL commands.
        """
        factory = ServerFactory.forProtocol(Server)
        factory.noisy, factory.lmtp, factory.mails, factory.messages = False, lmtp, [], []
        plan = SourcePlan(myhostname="h", messageCount=10, lmtp=lmtp, seed=1, **values)
        summary = runInMemory(plan, factory)
        self.assertEqual((summary.messages.accepted, summary.exit), (10, 0), summary)
        return factory.messages, factory.mails

    def test_ways(self):
        """
        Whatever way content goes, small or large, a server gets the same messages.
        """
        keep = {"keepConnections": True}
        for traffic in ({"messages": self.corpus()}, {"sizeDistribution": "uniform:1-300k", "recipientCount": 2}):
            expected = sorted(octets for *_, octets in self.sent(10, seed=1, **traffic))
            for way in (
                {},
                {"sessionCount": 3},
                {**keep, "pipelining": "auto"},
                {"chunking": "auto"},
                {"chunking": "auto", "chunkSize": 10_000},
                {"chunking": "auto", "chunkSize": 300_000},
                {**keep, "pipelining": "auto", "chunking": "auto", "window": 4},
                {**keep, "pipelining": "auto", "chunking": "auto", "chunkSize": 5000, "window": 4},
                {"lmtp": True},
                {"lmtp": True, "chunking": "auto"},
                {"parameters": Parameters(size=True)},
            ):
                found, _ = self.received(**traffic, **way)
                self.assertEqual(sorted(found), expected, way)
