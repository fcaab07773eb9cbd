"""
Tests for sessions that are steered by rules and limits, and for what becomes of their messages, in memory.
"""

from __future__ import annotations

import os
from hashlib import blake2b

from hypothesis import strategies as st
from properties import given
from sinks import TRANSACTION, Pair, Transport, extensions, outcome
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from visiting import Door

from smtpsource.sink import content as incoming
from smtpsource.sink.content import IncomingContent
from smtpsource.sink.tls import available

MESSAGE = b"Subject: x\r\nMessage-Id: <1@x>\r\n\r\nOne line.\r\n..stuffed\r\n.\r\n"


def ruled(*rules, **plan):
    """
    @return: a session of a sink with these rules.
    """
    return Pair(ruleTexts=rules, **plan)


class UsualTests(SynchronousTestCase):
    """
    A steered session without anything to steer by is like any other.
    """

    @given(
        st.lists(
            st.sampled_from(
                [
                    b"EHLO c\r\n",
                    b"MAIL FROM:<a@b>\r\n",
                    b"RCPT TO:<c@d>\r\n",
                    b"DATA\r\n",
                    b"BDAT 4\r\nabcd",
                    b"BDAT 0 LAST\r\n",
                    b"BDAT 6 LAST\r\nRSET\r\n",
                    b"x\r\n.\r\n",
                    b".\r\n",
                    b"..\r\n",
                    b"RSET\r\n",
                    b"AUTH LOGIN\r\n",
                    b"AUTH PLAIN AGEAYg==\r\n",
                    b"XCLIENT NAME=x\r\n",
                    b"*\r\n",
                    b"nonsense\r\n",
                    b"QUIT\r\n",
                ]
            ),
            max_size=15,
        ),
        st.integers(1, 40),
    )
    def test_same(self, lines, size):
        """
        It says the same and counts the same, however the bytes come.
        """
        text = b"".join(lines)
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        self.assertEqual(outcome({"keep": 3}, chunks), outcome({}, [text]))


class FateTests(SynchronousTestCase):
    """
    What rules decide is done.
    """

    def test_refused(self):
        """
        A command that a rule refuses has no effect, and others are as they were.
        """
        pair = ruled('on = "rcpt", when = { recipient = "*@slow.test" }, do = { reply = "451 4.7.1 come back" }')
        replies = pair.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<x@slow.test>\r\nDATA\r\nRCPT TO:<y@fast.test>\r\nDATA\r\n")
        self.assertEqual([line[:3] for line in replies.splitlines()], [b"250", b"451", b"503", b"250", b"354"])
        self.assertIn(b"451 4.7.1 come back\r\n", replies)
        self.assertEqual(pair.codes(MESSAGE), [250])
        self.assertEqual((pair.counts.messages, pair.counts.recipients), (1, 1))
        self.assertEqual(pair.factory.steering.ruleCounts, {"rule 1 (rcpt)": 1})

    def test_wrongCommands(self):
        """
        A command that is wrong by itself is refused for that, and no rule is asked.
        """
        pair = ruled('on = "rcpt", do = { reply = "451 4.7.1 come back" }')
        self.assertEqual(pair.codes(b"RCPT TO:<a@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:a@b\r\n"), [503, 250, 501])
        self.assertEqual(pair.factory.steering.ruleCounts, {})

    def test_pipelined(self):
        """
        DATA that was sent before the client knew that all recipients were refused is no error (RFC 2920); one without
        any RCPT is.
        """
        pair = ruled('on = "rcpt", do = { reply = "451 4.7.1 come back" }')
        self.assertEqual(pair.codes(TRANSACTION), [250, 451, 503])
        self.assertEqual(pair.counts.errors, {})
        pair.codes(b"RSET\r\nDATA\r\n")
        self.assertEqual(pair.counts.errors, {"sequence": (1, "DATA")})
        pair = ruled('on = "mail", do = { reply = "451 4.7.1 come back" }')
        self.assertEqual(pair.codes(TRANSACTION), [451, 503, 503])
        self.assertEqual(pair.counts.errors, {})

    def test_eachStep(self):
        """
        Each command can be refused, and has no effect then.
        """
        for step, said, codes in (
            ("helo", b"EHLO c\r\nMAIL FROM:<a@b>\r\n", [450, 250]),
            ("mail", b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\n", [450, 503]),
            ("data", b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nNOOP\r\n", [250, 250, 450, 250]),
            ("data", b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n", [250, 250, 450, 250]),
            ("rset", b"RSET\r\nNOOP\r\n", [450, 250]),
            ("noop", b"NOOP\r\nVRFY x\r\n", [450, 450]),
            ("quit", b"QUIT\r\nNOOP\r\n", [450, 250]),
            ("auth", b"AUTH PLAIN AGEAYg==\r\nAUTH PLAIN AGEAYg==\r\n", [450, 450]),
            ("data", b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nBDAT 0 LAST\r\nNOOP\r\n", [250, 250, 450, 250]),
            ("message", TRANSACTION + MESSAGE + b"NOOP\r\n", [250, 250, 354, 450, 250]),
        ):
            pair = ruled(f'on = "{step}", do = {{ reply = "450 4.0.0 later" }}')
            self.assertEqual(pair.codes(said), codes, step)
            self.assertEqual(pair.counts.messages, 0)

    def test_nothingDone(self):
        """
        A command that a rule refuses is as if it had not been said.
        """
        pair = ruled('on = ["helo", "rset", "quit"], do = { reply = "450 4.0.0 later" }', keep=1)
        said = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nEHLO other\r\nRSET\r\nQUIT\r\nDATA\r\n"
        self.assertEqual(pair.codes(said), [250, 250, 450, 450, 450, 354])
        self.assertEqual(pair.codes(MESSAGE), [250])
        self.assertEqual(pair.counts.quits, 0)
        (one,) = pair.factory.steering.memory.find()
        self.assertEqual(one.helo, b"")

    def test_authRefused(self):
        """
        Who may log in, and is refused by a rule, is not logged in.
        """
        pair = ruled('on = "auth", when = { user = "a" }, do = { reply = "535 5.7.8 not you" }', keep=1)
        published = []
        pair.factory.steering.publish = lambda kind, **fields: published.append((kind, fields.get("user")))
        self.assertEqual(pair.codes(b"AUTH PLAIN AGEAYg==\r\nAUTH PLAIN AGIAYg==\r\n"), [535, 235])
        self.assertEqual([user for kind, user in published if kind == "auth"], ["b"])
        self.assertEqual(extensions(pair)["auth"], {"accepted": 1, "refused": 1})

    def test_transactionKnown(self):
        """
        RSET is asked about while there is still a transaction, and DATA knows the first recipient.
        """
        pair = ruled(
            'on = "rset", when = { sender = "a@*" }, do = { reply = "450 4.0.0 later" }',
            'on = "data", per = "recipient", limit = "1/h", do = { reply = "450 4.0.0 later" }',
        )
        envelope = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<%b@d>\r\nDATA\r\n"
        self.assertEqual(pair.codes(envelope % b"x")[-1], 354)
        pair.say(MESSAGE)
        self.assertEqual(pair.codes(envelope % b"y" + b"RSET\r\n")[-2:], [450, 450])

    def test_quotes(self):
        """
        A single quote in an address is nothing special, and what is between quotes is no parameter.
        """
        pair = Pair(keep=1, maxMessageSize=10)
        said = b'MAIL FROM:<"a>\r\nRCPT TO:<o"brien@x>\r\nRSET\r\nMAIL FROM:<"a SIZE=99 "@x>\r\n'
        self.assertEqual(pair.codes(said), [250, 250, 250, 250])

    def test_contentThenMessage(self):
        """
        Delays of the content and of its reply come one after the other, and what follows waits for both.
        """
        pair = ruled('on = "content", do = { delay = "1s" }', 'on = "message", do = { delay = "2s" }')
        self.assertEqual(pair.codes(TRANSACTION + MESSAGE + b"QUIT\r\n"), [250, 250, 354])
        pair.clock.advance(1)
        pair.transport.clear()
        pair.clock.advance(1.9)
        self.assertEqual(pair.transport.value(), b"")
        pair.clock.advance(0.1)
        self.assertEqual([line[:3] for line in pair.transport.value().splitlines()], [b"250", b"221"])
        self.assertEqual(pair.clock.getDelayedCalls(), [])

    def test_chunkDelayed(self):
        """
        A chunk that a rule refuses has one reply, when its octets are there.
        """
        pair = ruled('on = "data", do = { reply = "450 4.0.0 later", delay = "1s" }')
        self.assertEqual(pair.codes(b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nBDAT 6 LAST\r\n"), [250, 250])
        self.assertEqual(pair.say(b"NOOP\r\nNOOP\r\n"), b"")
        pair.clock.advance(1)
        self.assertEqual([line[:3] for line in pair.transport.value().splitlines()], [b"450", b"250"])

    def test_chunkInTarpit(self):
        """
        The reply to a chunk waits for the delay of its content, and then for its own.
        """
        os.makedirs(directory := self.mktemp())
        path = os.path.join(directory, "rules.toml")
        with open(path, "w") as f:
            f.write("[tarpit]\nafter = 1\ndelay = '1s'\n[[rule]]\non = 'content'\ndo = { delay = '2s' }\n")
        pair = Pair(ruleFiles=(path,))
        pair.say(b"BAD\r\n")
        pair.clock.advance(1)
        pair.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\nhelloNOOP\r\nBAD\r\n")
        pair.clock.pump([1] * 8)
        self.assertEqual([line[:3] for line in pair.transport.value().splitlines()], [b"250"] * 4 + [b"500"])
        self.assertEqual(pair.clock.getDelayedCalls(), [])

    def test_chunksAfterRefusal(self):
        """
        A chunk that was refused is over, also one without octets; and one out of sequence is no matter of rules.
        """
        pair = ruled('on = "data", times = 1, per = "all", do = { reply = "451 4.0.0 later" }')
        self.assertEqual(pair.codes(b"BDAT 5\r\nhello"), [503])
        envelope = b"RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
        self.assertEqual(pair.codes(envelope + b"BDAT 0\r\n"), [250, 250, 250, 451])
        self.assertEqual(pair.codes(envelope + b"BDAT 5\r\nhelloBDAT 0 LAST\r\n"), [250, 250, 250, 250, 250])

    def test_garbledChunk(self):
        """
        One answer to a chunk, even if it is garbage.
        """
        pair = ruled('on = "data", do = { garble = true }')
        said = pair.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5 LAST\r\nhello")
        self.assertEqual(said.count(b"\n"), 3)

    def test_garbledRecipient(self):
        """
        In LMTP garbage for one recipient is no garbage for the others.
        """
        pair = ruled('on = "message", when = { recipient = "x@*" }, do = { garble = true }', lmtp=True)
        pair.say(b"LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<v@d>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\nDATA\r\n")
        lines = pair.say(MESSAGE).splitlines()
        self.assertEqual([line[:3].isdigit() for line in lines], [True, False, True])
        self.assertEqual(pair.counts.recipients, 2)

    def test_xclientUser(self):
        """
        Whom XCLIENT names stays the user if a login is refused.
        """
        pair = ruled('on = "auth", do = { reply = "535 5.7.8 not you" }', keep=1)
        pair.say(b"XCLIENT LOGIN=boss\r\nEHLO c\r\nAUTH PLAIN AGEAYg==\r\n" + TRANSACTION + MESSAGE)
        (one,) = pair.factory.steering.memory.find()
        self.assertEqual(one.user, "boss")

    def test_xclient(self):
        """
        Connections are counted by the client that XCLIENT names.
        """
        pair = ruled('on = "mail", connections = 1, do = { reply = "450 4.0.0 later" }')
        first = pair.protocol
        for code in (250, 450):
            self.assertEqual(pair.codes(b"XCLIENT ADDR=192.0.2.1\r\nEHLO c\r\nMAIL FROM:<a@b>\r\n")[-1], code)
            pair.connect()
        first.connectionLost(Failure(ConnectionDone()))

    def test_connect(self):
        """
        A rule on connect has the banner.
        """
        pair = ruled('on = "connect", do = { reply = "421 4.3.2 closing", close = true }')
        self.assertEqual(pair.transport.value(), b"421 4.3.2 closing\r\n")
        self.assertTrue(pair.transport.disconnecting)

    def test_ends(self):
        """
        A connection is closed or reset, with a reply or without; or nothing more is said on it.
        """
        pair = ruled('on = "mail", do = { close = true }')
        self.assertEqual(pair.say(b"NOOP\r\nMAIL FROM:<a@b>\r\nNOOP\r\n"), b"250 2.0.0 Ok\r\n")
        self.assertTrue(pair.transport.disconnecting)
        pair = ruled('on = "mail", do = { reset = true, reply = "421 4.0.0 bye" }')
        self.assertEqual(pair.say(b"MAIL FROM:<a@b>\r\nNOOP\r\n"), b"421 4.0.0 bye\r\n")
        # Not before a reactor could write that.
        self.assertFalse(pair.transport.aborted)
        pair.clock.advance(0)
        self.assertTrue(pair.transport.aborted)
        pair = ruled('on = "mail", do = { stall = true }')
        self.assertEqual(pair.say(b"MAIL FROM:<a@b>\r\nNOOP\r\n"), b"")
        self.assertEqual(pair.say(b"NOOP\r\n"), b"")
        for _ in range(3):
            pair.clock.advance(1000)
            pair.factory.sweep()
        self.assertFalse(pair.transport.disconnecting)

    def test_timing(self):
        """
        Replies are late, slow, or come in bytes; timing of several rules adds up.
        """
        pair = ruled('on = "noop", do = { delay = "2s" }', 'on = "noop", do = { reply = "250 abcdef", stutter = 2 }')
        self.assertEqual(pair.say(b"NOOP\r\n"), b"")
        pair.clock.advance(2)
        self.assertEqual(pair.transport.value(), b"2")
        for _ in range(11):
            pair.clock.advance(0.5)
        self.assertEqual(pair.transport.value(), b"250 abcdef\r\n")
        pair = ruled('on = "noop", do = { split = true }')
        pair.say(b"NOOP\r\nRSET\r\n")
        pair.clock.pump([0] * 20)
        self.assertEqual(pair.transport.value(), b"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n")
        self.assertEqual(pair.transport.writes, 1 + 14 + 1)

    def test_garbled(self):
        """
        What is said is no reply.
        """
        pair = ruled('on = "mail", do = { garble = true }')
        said = pair.say(b"MAIL FROM:<a@b>\r\n")
        self.assertFalse(said[:3].isdigit())
        self.assertEqual(pair.codes(b"RCPT TO:<a@b>\r\n"), [503])

    def test_throttled(self):
        """
        So many bytes a second are read, and answered when they are.
        """
        pair = ruled('on = "connect", do = { throttle = 100 }')
        self.assertEqual(pair.say(b"NOOP " + b"x" * 93 + b"\r\n"), b"")
        pair.clock.advance(0.9)
        self.assertEqual((pair.transport.producerState, pair.transport.value()), ("paused", b""))
        pair.clock.advance(0.2)
        self.assertEqual(pair.transport.producerState, "producing")
        self.assertEqual(pair.transport.value(), b"250 2.0.0 Ok\r\n")

    def test_content(self):
        """
        Content can be waited for, and cut off.
        """
        pair = ruled('on = "content", when = { size-above = 10 }, do = { close = true }')
        pair.say(TRANSACTION + b"12345\r\n")
        self.assertFalse(pair.transport.disconnecting)
        pair.say(b"1234567890\r\n")
        self.assertTrue(pair.transport.disconnecting)

    def test_tarpit(self):
        """
        Who makes errors is answered later and later, and told to go in the end.
        """
        os.makedirs(directory := self.mktemp())
        path = os.path.join(directory, "rules.toml")
        with open(path, "w") as f:
            f.write("[tarpit]\nafter = 2\ndelay = '1s'\nstep = '1s'\nclose-after = 4\n")
        pair = Pair(ruleFiles=(path,))
        self.assertEqual(pair.codes(b"BAD\r\n"), [500])
        self.assertEqual(pair.codes(b"BAD\r\n"), [])
        pair.clock.advance(1)
        self.assertEqual(pair.codes(b"BAD\r\n"), [])
        pair.clock.advance(2)
        pair.say(b"BAD\r\n")
        pair.clock.advance(3)
        self.assertEqual(pair.transport.value()[:3], b"421")
        self.assertTrue(pair.transport.disconnecting)

    def test_connections(self):
        """
        Of one client only so many may be connected at once.
        """
        rule = 'on = "connect", connections = 2, per = "all", do = { reply = "421 4.7.0 too many", close = true }'
        pair = ruled(rule)
        first = pair.protocol
        for expected in (b"220", b"421"):
            pair.connect()
            self.assertEqual(pair.transport.value()[:3], expected)
        pair.protocol.connectionLost(Failure(ConnectionDone()))
        first.connectionLost(Failure(ConnectionDone()))
        pair.connect()
        self.assertEqual(pair.transport.value()[:3], b"220")


class KeptTests(SynchronousTestCase):
    """
    What is kept of messages.
    """

    def kept(self, pair):
        """
        @return: the raw messages in memory.
        """
        return [one.raw for one in pair.factory.steering.memory.find()]

    def test_content(self):
        """
        It is what the client meant, by DATA and by BDAT.
        """
        pair = Pair(keep=10)
        pair.say(b"EHLO c\r\n" + TRANSACTION + MESSAGE)
        pair.say(b"MAIL FROM:<a@b> SIZE=4\r\nRCPT TO:<c@d>\r\nBDAT 2\r\n..BDAT 2 LAST\r\n..")
        pair.say(TRANSACTION + b".\r\n")
        self.assertEqual(
            self.kept(pair), [b"Subject: x\r\nMessage-Id: <1@x>\r\n\r\nOne line.\r\n.stuffed\r\n", b"....", b""]
        )
        first, second, _ = pair.factory.steering.memory.find()
        self.assertEqual((first.sender, first.recipients, first.number), ("a@example.com", ["b@example.com"], 1))
        self.assertEqual((second.mail, second.rcpts), (b"<a@b> SIZE=4", [b"<c@d>"]))

    @given(st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"x", b"..", b"\r\n.x"]), max_size=30), st.data())
    def test_anyContent(self, parts, data):
        """
        Whatever the content, and however it comes in pieces, it is kept as it was meant.
        """
        meant = b"".join(parts) + b"\r\n"
        sent = (b"\r\n" + meant).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
        pair = Pair(keep=1)
        pair.say(TRANSACTION)
        while sent:
            size = data.draw(st.integers(1, len(sent)))
            pair.protocol.dataReceived(sent[:size])
            sent = sent[size:]
        self.assertEqual(self.kept(pair), [meant])

    def test_identity(self):
        """
        A message is known by its Message-Id, or by what is in it; a Message-Id in its body is none.
        """
        for content, identity in (
            (b"MESSAGE-ID:\r\n <a@b>\r\n\r\nx", "<a@b>"),
            (b"X: y\r\nmessage-id: unquoted\r\n\r\nx", "unquoted"),
            (b"X: y\r\n\r\nMessage-Id: <a@b>\r\n", None),
            (b"", None),
        ):
            for size in (1, 100):
                incoming = IncomingContent(False, stuffed=False)
                for at in range(0, len(content), size):
                    incoming.addChunk(content[at : at + size])
                incoming.end()
                self.assertEqual(incoming.identity(), identity or blake2b(content, digest_size=16).hexdigest())

    def test_deceits(self):
        """
        Messages are lost, kept although refused, kept twice, and changed, and that is written down.
        """
        for deceit, code, kept, messages in (
            ("accept-but-lose", 250, 0, 1),
            ("reject-but-keep", 554, 1, 0),
            ("duplicate", 250, 2, 1),
            ("corrupt", 250, 1, 1),
        ):
            pair = ruled(f'on = "message", do = {{ {deceit} = true }}', keep=10)
            self.assertEqual(pair.codes(TRANSACTION + MESSAGE)[-1], code)
            self.assertEqual((len(self.kept(pair)), pair.counts.messages), (kept, messages), deceit)
            self.assertEqual(pair.factory.steering.deceits, {deceit: 1})
            (admitted,) = pair.factory.steering.result()["deliberateMessages"]
            self.assertEqual((admitted["fate"], admitted["message"]), (deceit, "<1@x>"))
            self.assertEqual((admitted["rule"], admitted["recipients"]), ("rule 1 (message)", ["b@example.com"]))
            for one in pair.factory.steering.memory.find():
                self.assertEqual((one.fate, one.rule), (deceit, "rule 1 (message)"))
                changed = sum(a != b for a, b in zip(one.raw, MESSAGE.replace(b"..", b"."), strict=False))
                self.assertEqual(changed, int(deceit == "corrupt"))

    def test_lmtp(self):
        """
        In LMTP each recipient has a fate of its own, and what is kept has those that were accepted.
        """
        rule = 'on = "message", when = { recipient = "x@*" }, do = { reply = "550 5.1.1 no x" }'
        pair = ruled(rule, keep=10, lmtp=True)
        pair.say(b"LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\nRCPT TO:<x@e>\r\nDATA\r\n")
        self.assertEqual(pair.codes(MESSAGE), [550, 250, 550])
        (one,) = pair.factory.steering.memory.find()
        self.assertEqual((one.recipients, pair.counts.recipients), (["y@d"], 1))

    def test_lmtpDeceits(self):
        """
        What is done to one recipient's message is done to no other's.
        """
        pair = ruled(
            'on = "message", when = { recipient = "lost@*" }, do = { accept-but-lose = true }',
            'on = "message", when = { recipient = "kept@*" }, do = { reject-but-keep = true }',
            'on = "message", when = { recipient = "slow@*" }, do = { delay = "1s" }',
            keep=10,
            lmtp=True,
        )
        names = (b"lost", b"kept", b"slow", b"usual")
        pair.say(b"LHLO c\r\nMAIL FROM:<a@b>\r\n" + b"".join(b"RCPT TO:<%b@d>\r\n" % n for n in names) + b"DATA\r\n")
        pair.say(MESSAGE)
        pair.clock.advance(1)
        self.assertEqual([line[:3] for line in pair.transport.value().splitlines()], [b"250", b"554", b"250", b"250"])
        kept = {(one.fate, tuple(one.recipients)) for one in pair.factory.steering.memory.find()}
        self.assertEqual(kept, {("reject-but-keep", ("kept@d",)), ("", ("slow@d", "usual@d"))})
        self.assertEqual(pair.factory.steering.deceits, {"accept-but-lose": 1, "reject-but-keep": 1})
        self.assertEqual((pair.counts.messages, pair.counts.recipients), (1, 3))

    def test_lmtpClosed(self):
        """
        Who is hung up on gets no reply, nor does anybody after; and nothing is kept for them.
        """
        pair = ruled('on = "message", when = { recipient = "x@*" }, do = { close = true }', keep=10, lmtp=True)
        pair.say(b"LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<v@d>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\nDATA\r\n")
        self.assertEqual(pair.codes(MESSAGE), [250])
        self.assertTrue(pair.transport.disconnecting)
        self.assertEqual([one.recipients for one in pair.factory.steering.memory.find()], [["v@d"]])

    def test_duplicateFull(self):
        """
        A message that is to be kept twice is kept twice or not at all.
        """

        class Once:
            def keep(self, message):
                if message.number > 1:
                    raise OSError(28, "No space left on device")
                return lambda: None

        pair = ruled('on = "message", do = { duplicate = true }', keep=10)
        pair.factory.steering.keepers.append(Once())
        self.assertEqual(pair.codes(TRANSACTION + MESSAGE)[-1], 452)
        self.assertEqual(self.kept(pair), [])
        self.assertEqual((pair.factory.steering.result()["kept"], pair.factory.steering.deceits), (0, {}))

    def test_full(self):
        """
        What can't be kept is refused for now, and nobody has it.
        """

        class Full:
            def keep(self, message):
                raise OSError(28, "No space left on device")

        pair = Pair(keep=10)
        pair.factory.steering.keepers.append(Full())
        self.assertEqual(pair.codes(TRANSACTION + MESSAGE), [250, 250, 354, 452])
        self.assertEqual((self.kept(pair), pair.counts.messages, pair.factory.steering.number), ([], 0, 0))
        self.assertEqual(pair.counts.errors, {"storage": (1, "No space left on device")})

    def test_fullMeanwhile(self):
        """
        Where the disk is full while content comes, what has come of it is given up at once.
        """

        class Full:
            closed = False

            def write(self, piece):
                raise OSError(28, "No space left on device")

            def close(self):
                self.closed = True

        file = Full()
        self.patch(incoming, "_newFile", lambda: file)
        pair = Pair(keep=10)
        pair.say(TRANSACTION + b"x" * 100)
        self.assertTrue(file.closed)
        self.assertEqual(pair.codes(b"x" * 100 + b"\r\n.\r\nNOOP\r\n"), [452, 250])
        self.assertEqual(pair.counts.errors, {"storage": (1, "No space left on device")})

    @given(st.lists(st.sampled_from([b"\r\n\r\n", b"x", b"-" * 70_000, b" "]), max_size=6))
    def test_corrupt(self, parts):
        """
        Whatever its size and wherever it has a letter, one octet of a message is changed, if it has one.
        """
        meant = b"".join(parts) + b"\r\n"
        pair = ruled('on = "message", do = { corrupt = true }', keep=10)
        pair.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT %d LAST\r\n" % len(meant) + meant)
        (kept,) = self.kept(pair)
        self.assertEqual(len(kept), len(meant))
        self.assertEqual(sum(a != b for a, b in zip(kept, meant, strict=True)), int(b"x" in parts))

    def test_transcript(self):
        """
        What both sides have said is kept, but for content and passwords.
        """
        pair = Pair(keep=10)
        pair.say(b"AUTH PLAIN AGEAYg==\r\n" + TRANSACTION + MESSAGE)
        text = pair.factory.steering.transcripts.get(1).asText()
        self.assertIn("AUTH PLAIN (hidden)", text)
        self.assertIn("octets of content]", text)
        self.assertNotIn("One line", text)
        self.assertIn("354 ", text)

    def test_logins(self):
        """
        Each AUTH command is noted, with TLS or without, accepted or not, however much is said after it.
        """
        pair = Pair(keep=10)
        pair.say(
            b"EHLO client.test\r\nAUTH LOGIN\r\n*\r\nauth plain AGEAYg==\r\nAUTH CRAM-MD5 x\r\n" + b"NOOP\r\n" * 1000
        )
        transcript = pair.factory.steering.transcripts.get(1)
        self.assertNotIn("AUTH", transcript.asText())
        login = {"mechanism": "LOGIN", "tls": False, "helo": "client.test", "user": ""}
        plain = {**login, "mechanism": "PLAIN", "user": "a"}
        self.assertEqual(transcript.asDict()["logins"], [login, plain, {**login, "mechanism": "CRAM-MD5"}])

    def test_manyLogins(self):
        """
        Of many that are alike the first ones are kept: others are not lost for them.
        """
        pair = Pair(keep=10)
        pair.say(b"AUTH CRAM-MD5 x\r\n" * 1000 + b"AUTH LOGIN\r\n")
        mechanisms = [each.mechanism for each in pair.factory.steering.transcripts.get(1).logins]
        self.assertEqual(mechanisms, ["CRAM-MD5"] * 20 + ["LOGIN"])

    def test_dropped(self):
        """
        All connections can be dropped.
        """
        pair = Pair(keep=10)
        steering = pair.factory.steering
        self.assertEqual(steering.drop(), 1)
        self.assertTrue(pair.transport.aborted)


class LimitTests(SynchronousTestCase):
    """
    Limits of what a client may do.
    """

    def test_recipients(self):
        """
        --max-recipients
        """
        pair = Pair(maxRecipients=2)
        self.assertEqual(pair.codes(b"MAIL FROM:<a@b>\r\n" + b"RCPT TO:<c@d>\r\n" * 3), [250, 250, 250, 452])

    def test_size(self):
        """
        --max-message-size is told, and a larger message refused: by what it says of itself, or when it is there.
        """
        pair = Pair(maxMessageSize=10)
        self.assertIn(b"250-SIZE 10\r\n", pair.say(b"EHLO c\r\n"))
        self.assertEqual(pair.codes(b"MAIL FROM:<a@b> SIZE=11\r\n"), [552])
        self.assertEqual(pair.codes(TRANSACTION + b"12345678\r\n.\r\n"), [250, 250, 354, 250])
        self.assertEqual(pair.codes(TRANSACTION + b"123456789\r\n.\r\nNOOP\r\n"), [250, 250, 354, 552, 250])

    def test_chunk(self):
        """
        --max-chunk-size: one that is larger ends the session, as it can't be skipped.
        """
        pair = Pair(maxChunkSize=10)
        pair.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
        self.assertEqual(pair.codes(b"BDAT 11\r\n"), [552])
        self.assertTrue(pair.transport.disconnecting)

    def test_commands(self):
        """
        --max-commands and --max-logins end a session with 421.
        """
        pair = Pair(maxCommands=2)
        self.assertEqual(pair.codes(b"NOOP\r\n" * 4), [250, 250, 421])
        self.assertTrue(pair.transport.disconnecting)
        pair = Pair(maxLogins=1, authUsers=None)
        self.assertEqual(pair.codes(b"AUTH FOO\r\nAUTH PLAIN AGEAYg==\r\n"), [504, 421])

    def test_line(self):
        """
        --max-line-length
        """
        pair = Pair(maxLineLength=600)
        self.assertEqual(pair.codes(b"NOOP " + b"x" * 595 + b"\r\nNOOP " + b"x" * 596 + b"\r\n"), [250, 500])


class TLSTransport(Transport):
    """
    Notes when TLS is started.
    """

    tls = None

    def startTLS(self, factory):
        self.tls = self.value()


class TLSTests(SynchronousTestCase):
    """
    STARTTLS, with rules.
    """

    def pair(self, *rules, **plan):
        """
        @return: a session that can have TLS.
        """
        if not available():
            self.skipTest("needs TLS")
        pair = ruled(*rules, **plan)
        pair.protocol = pair.factory.buildProtocol(None)
        pair.transport = TLSTransport()
        pair.protocol.makeConnection(pair.transport)
        return pair

    def test_delayed(self):
        """
        TLS begins when its reply is out, and what the client says then is read.
        """
        pair = self.pair('on = "starttls", do = { delay = "1s" }')
        self.assertEqual(pair.say(b"STARTTLS\r\n"), b"")
        self.assertIsNone(pair.transport.tls)
        pair.clock.advance(1)
        self.assertEqual(pair.transport.tls[:3], b"220")
        self.assertEqual(pair.transport.producerState, "producing")

    def test_refused(self):
        """
        After a refusal everything goes on in clear.
        """
        pair = self.pair('on = "starttls", do = { reply = "454 4.7.0 later" }')
        self.assertEqual(pair.codes(b"STARTTLS\r\nNOOP\r\n"), [503])
        pair = self.pair('on = "starttls", do = { reply = "454 4.7.0 later" }')
        self.assertEqual(pair.codes(b"STARTTLS\r\n"), [454])
        self.assertEqual(pair.codes(b"NOOP\r\n"), [250])
        self.assertIsNone(pair.transport.tls)

    def test_fails(self):
        """
        What comes after the reply is no handshake, when its delay is over.
        """
        pair = self.pair('on = "starttls", do = { tls-fail = true, delay = "1s" }')
        self.assertEqual(pair.say(b"STARTTLS\r\n"), b"")
        pair.clock.advance(1)
        self.assertRegex(pair.transport.value(), rb"\A220 [^\n]*\n500 ")
        self.assertTrue(pair.transport.disconnecting)
        self.assertIsNone(pair.transport.tls)

    def test_fromTheStart(self):
        """
        Where connections begin with TLS it is what comes first.
        """
        pair = self.pair('on = "connect", do = { tls-fail = true }', tls=True)
        self.assertEqual(pair.transport.value()[:3], b"500")
        self.assertTrue(pair.transport.disconnecting)

    def test_forgotten(self):
        """
        Who had logged in is not logged in any more (RFC 3207 section 4.2).
        """
        pair = self.pair('on = "mail", when = { user = "a" }, do = { reply = "450 4.0.0 later" }')
        pair.say(b"AUTH PLAIN AGEAYg==\r\n")
        self.assertEqual(pair.codes(b"MAIL FROM:<a@b>\r\n"), [450])
        pair.say(b"STARTTLS\r\n")
        pair.protocol.handshakeCompleted = lambda: None
        pair.protocol._mute = False
        self.assertEqual(pair.codes(b"EHLO c\r\nMAIL FROM:<a@b>\r\n")[-1], 250)


class EndTests(SynchronousTestCase):
    """
    A sink that is told to end while replies wait.
    """

    def test_held(self):
        """
        A reply that waits is said before the session is told to go.
        """
        pair = ruled('on = "message", do = { delay = "2s" }')
        pair.say(TRANSACTION)
        self.assertEqual(pair.say(MESSAGE), b"")
        pair.factory.endSoon()
        self.assertEqual(pair.transport.value(), b"")
        pair.clock.advance(2)
        self.assertEqual([line[:3] for line in pair.transport.value().splitlines()], [b"250", b"421"])
        self.assertTrue(pair.transport.disconnecting)

    def test_refused(self):
        """
        Who gets a refusal is told to go as well.
        """
        pair = ruled('on = "message", do = { reply = "451 4.0.0 later" }')
        pair.say(TRANSACTION)
        pair.factory.endSoon()
        self.assertEqual(pair.codes(MESSAGE), [451, 421])

    def test_stuttered(self):
        """
        One that is being said is said to its end.
        """
        pair = ruled('on = "noop", do = { reply = "250 abcdef", stutter = 2 }')
        pair.say(b"NOOP\r\n")
        pair.factory.endSoon()
        pair.clock.pump([0.5] * 12)
        self.assertEqual(pair.transport.value()[:15], b"250 abcdef\r\n421")

    def test_limit(self):
        """
        The last message has its reply, however late.
        """
        pair = ruled('on = "message", do = { delay = "2s" }', messageLimit=1)
        pair.say(TRANSACTION + MESSAGE)
        pair.clock.advance(1)
        pair.factory.endSoon()
        pair.transport.clear()
        pair.clock.advance(1)
        self.assertEqual([line[:3] for line in pair.transport.value().splitlines()], [b"250", b"421"])


class PausedTests(SynchronousTestCase):
    """
    A sink that listens to nobody for a while.
    """

    def test_paused(self):
        """
        Nothing is read and nobody is idle; after that all goes on.
        """
        pair = Pair(keep=1)
        pair.factory.steering.pause()
        self.assertEqual(pair.transport.producerState, "paused")
        self.assertEqual(pair.say(b"NOOP\r\n"), b"")
        for _ in range(3):
            pair.clock.advance(200)
            pair.factory.sweep()
        self.assertEqual(pair.transport.value(), b"")
        pair.factory.steering.resume()
        self.assertEqual(pair.transport.value(), b"250 2.0.0 Ok\r\n")
        self.assertEqual(pair.transport.producerState, "producing")

    def test_held(self):
        """
        A reply whose time comes meanwhile waits on.
        """
        pair = ruled('on = "noop", do = { delay = "1s" }')
        pair.say(b"NOOP\r\n")
        pair.factory.steering.pause()
        pair.clock.pump([1] * 5)
        self.assertEqual(pair.transport.value(), b"")
        pair.factory.steering.resume()
        pair.clock.advance(1)
        self.assertEqual(pair.transport.value(), b"250 2.0.0 Ok\r\n")

    def test_nobodyIsLetIn(self):
        """
        Whoever comes meanwhile, also in the place of one who goes, has to wait for the banner; after that all are let
        in who have room, and others as before.
        """
        pair = Pair(keep=1, maxSessions=2)
        pair.factory.ports = [door := Door()]
        pair.factory.steering.pause()
        self.assertFalse(door.isOpen)
        sessions = [(pair.protocol, pair.transport)]
        for _ in range(3):
            pair.connect()
            sessions.append((pair.protocol, pair.transport))
        sessions[0][0].connectionLost(Failure(ConnectionDone()))
        self.assertEqual([transport.value() for _, transport in sessions[1:]], [b""] * 3)
        self.assertFalse(door.isOpen)
        pair.factory.steering.resume()
        self.assertEqual([transport.value()[:4] for _, transport in sessions[1:]], [b"220 ", b"220 ", b""])
        self.assertFalse(door.isOpen)
        pair.factory.steering.pause()
        for protocol, _ in sessions[1:3]:
            protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(pair.transport.value(), b"")
        pair.factory.steering.resume()
        self.assertEqual(pair.transport.value()[:4], b"220 ")
        self.assertTrue(door.isOpen)

    def test_endsPaused(self):
        """
        A sink that ends meanwhile lets nobody in any more.
        """
        pair = Pair(keep=1)
        pair.factory.ports = [door := Door()]
        pair.factory.steering.pause()
        pair.connect()
        pair.factory.endSoon()
        pair.factory.steering.resume()
        self.assertNotIn(b"220", pair.transport.value())
        self.assertFalse(door.isOpen)
