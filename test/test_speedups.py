"""
Tests for smtpsource.speedups: the compiled twins do what their references do.

Without a compiled twin both sides are the same here, and that it is built where it can be is seen in test_wheel.
"""

from __future__ import annotations

import gc
import os
import re
from importlib import import_module
from random import Random
from struct import error as StructError

from commandlines import CommandTestCase
from conversations import Letter
from hypothesis import strategies as st
from properties import given, settings
from subprocesses import smtpsource
from twins import pure
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import speedups
from smtpsource.measure.recorder import Recorder
from smtpsource.phases import NAMES
from smtpsource.smtp.commands import dialogue
from smtpsource.smtp.trace import TracedProtocol
from smtpsource.testing import FakeReactor, FakeTransport, RecordingSession

#: Hypothesis' examples of each comparison; CI has many more than somebody who waits for them.
EXAMPLES = 10_000 if os.environ.get("CI") else 500

SMALL = b"Subject: x\r\n\r\nhello\r\n.\r\n"

#: What a server may say out of turn.
LINES = st.sampled_from(
    [
        b"250 ok\r\n",
        b"250 2.0.0 Ok: queued as 4c7Wx\r\n",
        b"251 will forward\r\n",
        b"354 go\r\n",
        b"334 what\r\n",
        b"450 later\r\n",
        b"550 no\r\n",
        b"421 bye\r\n",
        b"250-two\r\n250 lines\r\n",
        b"250\r\n",
        b"250\tok\r\n",
        b"250 bare\n",
        b"600 none\r\n",
        b"2",
        b"\r\n",
    ]
)


class Answers:
    """
    A server that says yes to whatever a client writes, as far as it has come.
    """

    def __init__(self, lmtp):
        self.lmtp = lmtp
        self.buffer = b""
        self.content = False
        self.octets = 0
        self.recipients = 0

    def to(self, data):
        """
        @return: the replies.
        """
        self.buffer += data
        replies = b""
        while self.buffer:
            if self.octets:
                taken = min(self.octets, len(self.buffer))
                self.buffer = self.buffer[taken:]
                self.octets -= taken
                if self.octets:
                    break
                replies += b"250 taken\r\n" * (self.recipients if self.lmtp and self.last else 1)
                continue
            end = b"\r\n.\r\n" if self.content else b"\r\n"
            found, ended, rest = self.buffer.partition(end)
            if not ended:
                break
            self.buffer = rest
            if self.content:
                self.content = False
                replies += b"250 taken\r\n" * (self.recipients if self.lmtp else 1)
                continue
            verb = found[:4]
            if verb in (b"EHLO", b"LHLO"):
                replies += b"250-me\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
            elif verb == b"MAIL":
                self.recipients = 0
                replies += b"250 mail\r\n"
            elif verb == b"RCPT":
                self.recipients += 1
                replies += b"250 rcpt\r\n"
            elif verb == b"DATA":
                self.content = True
                self.buffer = b"\r\n" + self.buffer
                replies += b"354 go\r\n"
            elif verb == b"BDAT":
                words = found.split()
                self.octets, self.last = int(words[1]), len(words) > 2
            else:
                replies += b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n"
        return replies


class Side:
    """
    A client, the twin's or the reference's, in a conversation.
    """

    def __init__(self, module, letters, kind):
        testing = module("smtpsource.testing")
        self.reactor = testing.FakeReactor()
        self.recorder = module("smtpsource.measure.recorder").Recorder()
        self.session = testing.RecordingSession([Letter(*letter) for letter in letters])
        dialogue = module("smtpsource.smtp.commands").dialogue(b"me", **kind)
        kind = module("smtpsource.smtp.protocol").SMTPSourceProtocol
        self.client = kind(self.session, dialogue, self.recorder, self.reactor.seconds)
        self.transport = testing.FakeTransport(self.reactor)
        self.transport.protocol = self.client
        self.client.makeConnection(self.transport)

    def step(self, seconds, pieces):
        """
        Let time pass, and then something come.

        @return: all that can be seen of that.
        """
        for piece in pieces:
            self.reactor.advance(seconds)
            if not self.client.over:
                self.transport.deliver(piece)
        return self.seen()

    def end(self, seconds):
        """
        Let so much time pass that whoever waits gives up, or the connection be lost.
        """
        self.reactor.advance(seconds)
        overdue = self.client.overdue(self.reactor.seconds(), 300)
        if not self.client.over:
            self.transport.drop()
        self.reactor.advance(0)
        return overdue, self.seen(), self.counted()

    def seen(self):
        """
        @return: what the session and the server have seen since this was asked last.
        """
        session, client = self.session, self.client
        events, session.events = session.events, []
        seconds, session.seconds = session.seconds, []
        return self.transport.take(), events, seconds, client.over, client.lastActivity

    def counted(self):
        """
        @return: all that was counted.
        """
        recorder = self.recorder
        return (
            vars(recorder.copy()),
            recorder.buckets,
            recorder.replies,
            recorder.replySamples,
            recorder.errors,
        )


def compiledSide(name):
    """
    @return: the module that everybody else has.
    """
    return import_module(name)


KINDS = st.fixed_dictionaries(
    {
        "tolerant": st.booleans(),
        "lmtp": st.booleans(),
        "pipelining": st.sampled_from(["off", "auto", "force"]),
        "chunking": st.sampled_from(["off", "auto"]),
        "window": st.integers(1, 4),
        "chunkSize": st.sampled_from([None, None, 7]),
    }
)
LETTERS = st.lists(
    st.tuples(st.integers(1, 3), st.just(SMALL), st.sampled_from([b"", b"", b"", b"y" * 70_000 + b"\r\n.\r\n"])),
    min_size=1,
    max_size=6,
)
CUTS = st.lists(st.integers(1, 40), max_size=4)
#: Yes to everything so far; the same with something out of turn after it; or that alone.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["yes", "yes", "yes", "yes", "yes", "yes and", "say"]),
        LINES | st.binary(max_size=12),
        CUTS,
        st.sampled_from([0.0, 0.0, 0.0005, 0.001, 0.7, 2.5]),
    ),
    max_size=40,
)


def cut(data, cuts):
    """
    @return: the same in pieces.
    """
    places = [place for place in sorted(set(cuts)) if place < len(data)]
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if data[a:b]]


class DialogueTests(SynchronousTestCase):
    """
    A client's dialogue.
    """

    @given(KINDS, LETTERS, STEPS, st.sampled_from([1.0, 400.0]))
    @settings(max_examples=EXAMPLES)
    def test_same(self, kind, letters, steps, last):
        """
        Whatever comes, cut anywhere, both write the same, tell the same, and count the same.
        """
        one, other = Side(compiledSide, letters, kind), Side(pure, letters, kind)
        if speedups.NAME == "compiled":
            self.assertIsNot(type(one.client), type(other.client))
            self.assertNotIn("smtpsource._speedups", {kind.__module__ for kind in type(other.client).__mro__})
        answers = Answers(kind["lmtp"])
        first = one.step(0, [b"220 hi\r\n"])
        self.assertEqual(first, other.step(0, [b"220 hi\r\n"]))
        waiting = answers.to(first[0])
        for way, line, cuts, seconds in steps:
            said = b"" if way == "say" else waiting
            if way != "say":
                waiting = b""
            if way != "yes":
                said += line
            pieces = cut(said, cuts)
            seen = one.step(seconds, pieces)
            self.assertEqual(seen, other.step(seconds, pieces))
            waiting += answers.to(seen[0])
        self.assertEqual(one.end(last), other.end(last))

    def test_long(self):
        """
        Many thousand messages: the same counts, and no more objects at the end than at the beginning.
        """
        letters = [(1 + n % 2, SMALL) for n in range(3000)]
        for kind in ({}, {"pipelining": "force"}, {"pipelining": "force", "chunking": "auto", "window": 4}):
            sides = []
            for module in (compiledSide, pure):
                side, answers = Side(module, letters, kind), Answers(False)
                random = Random(1)
                seen = side.step(0, [b"220 hi\r\n"])
                while not side.client.over and (replies := answers.to(seen[0])):
                    seen = side.step(random.random() / 500, [replies])
                sides.append((seen, side.counted()))
            self.assertEqual(*sides)


class OverridingTests(SynchronousTestCase):
    """
    Subclasses that want to see what the twin would not show them.
    """

    def test_trace(self):
        """
        The protocol of -v sees each line, and so does any other that overrides a step.
        """
        self.assertFalse(TracedProtocol.performs)

        class Seeing(import_module("smtpsource.smtp.protocol").SMTPSourceProtocol):
            def replyReceived(self, reply, code):
                seen.append(code)
                super().replyReceived(reply, code)

        seen = []
        module = import_module("smtpsource.smtp.protocol")
        self.patch(module, "SMTPSourceProtocol", Seeing)
        side, answers = Side(compiledSide, [(2, SMALL)], {}), Answers(False)
        told = side.step(0, [b"220 hi\r\n"])
        while replies := answers.to(told[0]):
            told = side.step(0, [replies])
        self.assertEqual(seen, [b"220", b"250", b"250", b"250", b"250", b"354", b"250", b"221"])

    def test_mixin(self):
        """
        So does a class that only inherits an override, and an object that has a step of its own.
        """
        Protocol = import_module("smtpsource.smtp.protocol").SMTPSourceProtocol

        class Mixin:
            def replyReceived(self, reply, code):
                seen.append(code)
                super().replyReceived(reply, code)

        class Seeing(Mixin, Protocol):
            pass

        self.assertFalse(Seeing.performs)

        def talk(kind, prepare):
            seen.clear()
            client = kind(RecordingSession([Letter(1, SMALL)]), dialogue(b"me"), Recorder(), FakeReactor().seconds)
            prepare(client)
            transport = FakeTransport(FakeReactor())
            transport.protocol = client
            client.makeConnection(transport)
            for reply in (b"220 hi", b"250 a", b"250 b", b"250 c", b"354 d", b"250 e", b"221 f"):
                transport.deliver(reply + b"\r\n")
            self.assertEqual(seen, [b"220", b"250", b"250", b"250", b"354", b"250", b"221"])

        def own(client):
            def replyReceived(reply, code):
                seen.append(code)
                Protocol.replyReceived(client, reply, code)

            client.replyReceived = replyReceived

        seen = []
        talk(Seeing, lambda client: None)
        talk(Protocol, own)

    def test_contents(self):
        """
        Bytes of a subclass are bytes; what is none is an error, and no message that counts.
        """

        class Bytes(bytes):
            pass

        for module in (compiledSide, pure):
            side, answers = Side(module, [(2, Bytes(SMALL)), (1, Bytes(SMALL)), (1, None)], {}), Answers(False)
            told = side.step(0, [b"220 hi\r\n"])
            events = []
            while replies := answers.to(told[0]):
                told = side.step(0, [replies])
                events += told[1]
            side.reactor.advance(0)
            events += side.seen()[1]
            self.assertEqual([event[0] for event in events if event[0] == "accepted"], ["accepted"] * 2)
            (fault,) = [event for event in events if event[0] == "fault"]
            self.assertEqual(fault[1], "internal-error")


class RecorderTests(SynchronousTestCase):
    """
    What is counted.
    """

    @given(
        st.lists(
            st.tuples(
                st.integers(0, len(NAMES) - 1),
                st.floats(-1, 5000) | st.floats(0, 0.01) | st.sampled_from([2047e-6, 2048e-6, 3600.0, 1e300]),
                st.sampled_from([b"250", b"354", b"421", b"599", b"200"]),
            )
        )
    )
    @settings(max_examples=EXAMPLES)
    def test_same(self, replies):
        """
        Each latency is in the same bucket, each reply counted once.
        """
        both = []
        for module in (compiledSide, pure):
            recorder = module("smtpsource.measure.recorder").Recorder()
            for phase, seconds, code in replies:
                recorder.reply(phase, seconds, code, code + b" text\r\n")
                recorder.transaction(seconds, phase)
            both.append((recorder.buckets, recorder.replies, recorder.replySamples, vars(recorder.copy())))
        self.assertEqual(*both)


class EntriesTests(SynchronousTestCase):
    """
    What is noted of each message.
    """

    class Message:
        """
        A message, as far as it matters.
        """

        def __init__(self, number, attempt):
            self.number = number
            self.attempt = attempt

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2**63 - 1),
                st.integers(-300, 2),
                st.lists(st.integers(0, 2**64 - 1), max_size=3).map(tuple),
                st.tuples(*[st.integers(0, 2**64 - 1)] * 3),
                st.integers(0, 2**32 - 1),
                st.booleans(),
            )
        )
    )
    @settings(max_examples=EXAMPLES)
    def test_same(self, messages):
        """
        The ids are the same, the records but for their times, and what they ask of others.
        """
        both = []
        for module in (compiledSide, pure):
            asked = []
            kind = module("smtpsource.ledger.entries").Entries
            entries = kind(
                b"0123456789abcdef",
                lambda commands, asked=asked: asked.append(commands) or commands,
                lambda asked=asked: asked.append("write"),
                lambda asked=asked: asked.append("timer"),
            )
            for number, attempt, addresses, digests, code, known in messages:
                message = self.Message(number, attempt)
                asked.append(entries.idOf(number))
                entries.intend(message, addresses, digests)
                asked.append(message.attempt)
                entries.outcome(number, code & 3, code & 0xFFFF, code, digests[0], code)
                entries.write()
                entries.timed = known
            octets = entries.taken()
            found = [octets[at : at + 24] + octets[at + 32 : at + 64] for at in range(0, len(octets), 64)]
            both.append((found, asked))
        self.assertEqual(*both)

    def written(self, file):
        """
        The way of the reference.
        """
        file.write(self.entries.taken())

    def test_file(self):
        """
        All is in the file, and nothing waits.
        """
        for module in (compiledSide, pure):
            path = self.mktemp()
            with open(path, "wb", buffering=0) as file:
                kind = module("smtpsource.ledger.entries").Entries
                entries = kind(b"0" * 16, None, lambda file=file: self.written(file), list)
                self.entries = entries
                entries.descriptor = file.fileno()
                for number in range(3):
                    entries.outcome(number, 1, 2, 3, 4, 5)
                    expected = entries.taken()
                    entries.add(expected)
                    entries.write()
                    self.assertEqual(entries.taken(), b"")
                entries.write()
                with open(path, "rb") as read:
                    found = read.read()
                self.assertEqual((len(found), found[-64:]), (192, expected))

    def test_wrong(self):
        """
        A file that can't be written to leaves all as it is, and that is told; values that are none change nothing.
        """
        for module in (compiledSide, pure):
            kind = module("smtpsource.ledger.entries").Entries
            told = []
            entries = kind(b"0" * 16, tuple, lambda told=told: told.append(1), list)
            entries.outcome(1, 1, 2, 3, 4, 5)
            entries.descriptor = os.open(os.devnull, os.O_RDONLY)
            self.addCleanup(os.close, entries.descriptor)
            entries.write()
            self.assertRaises((OverflowError, StructError), entries.outcome, -1, 1, 2, 3, 4, 5)
            self.assertEqual((told, len(entries.taken())), ([1], 64))


class SwitchTests(CommandTestCase):
    """
    Which of them is in use.
    """

    @defer.inlineCallbacks
    def test_off(self):
        """
        C{SMTPSOURCE_PURE_PYTHON} switches the twin off: the version and the summary say so, and a run is the same.
        """
        server = self.serve()
        for value, name in (("1", "pure Python"), ("", speedups.NAME)):
            env = {"SMTPSOURCE_PURE_PYTHON": value or None}
            if not value and os.environ.get("SMTPSOURCE_PURE_PYTHON"):
                continue
            result = yield smtpsource(self, "--version", env=env).whenEnded()
            self.assertIn(f"({name})".encode(), result.out)
            result = yield smtpsource(self, "-v", "-d", "-s", "3", "-m", "50", server.destination, env=env).whenEnded()
            self.assertEqual(result.status, 0, result.err)
            self.assertRegex(result.out, rb"(?m)^reactor +[\w.]+, %b$" % re.escape(name.encode()))
            self.assertIn(b"50 started, 50 accepted", result.out)


class LeakTests(SynchronousTestCase):
    """
    What a twin holds is given back.
    """

    def test_references(self):
        """
        Conversations that have ended leave nothing.
        """

        def objects():
            gc.collect()
            return len(gc.get_objects())

        def talk():
            side, answers = Side(compiledSide, [(1, SMALL)] * 50, {}), Answers(False)
            seen = side.step(0, [b"220 hi\r\n"])
            while replies := answers.to(seen[0]):
                seen = side.step(0, [replies])
            side.end(0)

        for _ in range(3):
            talk()
        before = objects()
        for _ in range(50):
            talk()
        self.assertLess(objects() - before, 50)
