"""
Tests for L{smtpsource.sink.letters}, and for sessions that do what they say, in memory.
"""

from __future__ import annotations

from sinks import TRANSACTION, Pair
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink import letters

MESSAGE = b"Subject: x\r\n\r\nOne line.\r\n.\r\n"


class ParseTests(SynchronousTestCase):
    """
    What may be given.
    """

    def test_commands(self):
        """
        Lists are separated by commas or spaces, and capitals are as good.
        """
        self.assertEqual(letters.commands("rcpt, DATA\t. "), ("rcpt", "data", "."))
        for wrong in ("", "rctp", "mail;rcpt"):
            with self.assertRaisesRegex(ValueError, "expected connect, helo"):
                letters.commands(wrong)

    def test_wait(self):
        """
        A delay has a command, a time and perhaps odds.
        """
        self.assertEqual(letters.wait("data:2"), ("data", 2.0, None))
        self.assertEqual(letters.wait(".:500ms:30"), (".", 0.5, 30))
        for wrong in ("data", "data:", "data:x", "data:1:100", "data:1:", "dat:1"):
            self.assertRaises(ValueError, letters.wait, wrong)

    def test_replies(self):
        """
        The replies of -b and -B begin with three digits of their class.
        """
        self.assertEqual(letters.softReply("450-4.2.0 later"), "450-4.2.0 later")
        self.assertEqual(letters.hardReply("599"), "599")
        for wrong in ("550 no", "45 no", "450no", "450 no\r\n250 yes"):
            self.assertRaises(ValueError, letters.softReply, wrong)


class RefusedTests(SynchronousTestCase):
    """
    -f, -r, -q, -Q, and the order in which they count.
    """

    def test_refused(self):
        """
        A command that is refused has no effect; PIPELINING is not offered.
        """
        pair = Pair(fail=("mail",), defer=("rset", "noop"))
        self.assertNotIn(b"PIPELINING", pair.say(b"EHLO c\r\n"))
        self.assertEqual(pair.codes(TRANSACTION + b"RSET\r\nVRFY x\r\n"), [500, 503, 503, 450, 250])

    def test_text(self):
        """
        -b and -B say what is answered, byte for byte.
        """
        pair = Pair(fail=("mail",), defer=("rcpt",), hardReply="554 5.7.1 go away", softReply="421-x")
        self.assertEqual(pair.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"), b"554 5.7.1 go away\r\n421-x\r\n")

    def test_message(self):
        """
        The final dot is one as well: the message does not count, and in LMTP there is a reply for each recipient.
        """
        for plan, replies in (({}, [500]), ({"lmtp": True}, [500, 500])):
            pair = Pair(fail=(".",), **plan)
            pair.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n")
            self.assertEqual(pair.codes(MESSAGE), replies)
            self.assertEqual(pair.counts.messages, 0)
            self.assertEqual(pair.codes(TRANSACTION), [250, 250, 354])

    def test_precedence(self):
        """
        Dropping comes before 421, that before refusals for good, and these before those for now and delays.
        """
        every = {"drop": ("data",), "hangUp": ("data", "rcpt"), "fail": ("rcpt", "mail"), "defer": ("mail", "noop")}
        pair = Pair(**every, delayReply=("noop:5s", "rset:5s"))
        self.assertEqual(pair.codes(b"NOOP\r\nMAIL FROM:<a@b>\r\n"), [450, 500])
        self.assertEqual(pair.codes(b"RCPT TO:<a@b>\r\nNOOP\r\n"), [421])
        self.assertTrue(pair.transport.disconnecting)
        pair = Pair(**every)
        self.assertEqual(pair.say(b"RSET\r\nDATA\r\nNOOP\r\n"), b"250 2.0.0 Ok\r\n")
        self.assertTrue(pair.transport.disconnecting)

    def test_banner(self):
        """
        A refused connection is told so and goes on; a dropped one is told nothing.
        """
        pair = Pair(fail=("connect",))
        self.assertEqual(pair.transport.value(), b"500 5.3.0 Command failed\r\n")
        self.assertEqual(pair.codes(b"NOOP\r\n"), [250])
        pair = Pair(drop=("connect",))
        self.assertEqual((pair.transport.value(), pair.transport.disconnecting), (b"", True))
        pair = Pair(hangUp=("connect",))
        self.assertEqual((pair.transport.value()[:3], pair.transport.disconnecting), (b"421", True))

    def test_unknownCommand(self):
        """
        What is not known is not refused in another way.
        """
        self.assertEqual(Pair(defer=("lhlo", "ehlo"), esmtp=False).codes(b"LHLO c\r\nEHLO c\r\n"), [500, 500])

    def test_pix(self):
        """
        -P: a banner that can't be read, and no EHLO.
        """
        pair = Pair(pix=True)
        self.assertEqual(pair.transport.value(), b"220 ********\r\n")
        self.assertEqual(pair.codes(b"EHLO c\r\nHELO c\r\n"), [500, 250])


class DelayedTests(SynchronousTestCase):
    """
    -w, -W, -H and -A.
    """

    def test_delayed(self):
        """
        A reply waits, and so does all that comes after it, the client's next commands too.
        """
        pair = Pair(delayReply=("mail:2s",), delayData=1.0)
        self.assertEqual(pair.codes(b"NOOP\r\n" + TRANSACTION), [250])
        self.assertEqual(pair.transport.producerState, "paused")
        pair.transport.clear()
        pair.clock.advance(1.9)
        self.assertEqual(pair.transport.value(), b"")
        pair.clock.advance(0.1)
        self.assertEqual(pair.transport.value(), b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n")
        pair.clock.advance(1.0)
        self.assertEqual(pair.transport.value()[-5:-2] and pair.transport.value().splitlines()[-1][:3], b"354")
        self.assertEqual(pair.transport.producerState, "producing")
        self.assertEqual(pair.codes(MESSAGE), [250])

    def test_odds(self):
        """
        With odds the delay is drawn: a quarter of the replies wait for two or more times the time, with odds of 50.
        """
        letter = letters.lettersOf(Pair(delayReply=("noop:2s:50",)).factory.steering.plan)[b"NOOP"]
        delays = [letter.delay() for _ in range(4000)]
        self.assertEqual({delay % 2 for delay in delays}, {0})
        self.assertTrue(0.46 < sum(not delay for delay in delays) / 4000 < 0.54)
        self.assertTrue(0.22 < sum(delay >= 4 for delay in delays) / 4000 < 0.28)

    def test_contentDelayed(self):
        """
        -H: after the reply to DATA nothing is read for a while.
        """
        pair = Pair(delayContent=3.0)
        self.assertEqual(pair.codes(TRANSACTION), [250, 250, 354])
        self.assertEqual(pair.transport.producerState, "paused")
        pair.clock.advance(3.0)
        self.assertEqual(pair.transport.producerState, "producing")
        self.assertEqual(pair.codes(MESSAGE), [250])

    def test_abort(self):
        """
        -A: the content is refused before it was read, and the connection closed; 0 is at once.
        """
        pair = Pair(abort=2.0)
        self.assertEqual(pair.codes(TRANSACTION + MESSAGE), [250, 250, 354])
        pair.transport.clear()
        pair.clock.advance(2.0)
        self.assertEqual(pair.transport.value()[:3], b"550")
        self.assertTrue(pair.transport.disconnecting)
        self.assertEqual(pair.counts.messages, 0)
        pair = Pair(abort=0.0)
        pair.say(TRANSACTION)
        pair.clock.advance(0)
        self.assertTrue(pair.transport.disconnecting)

    def test_idle(self):
        """
        Who waits for a delayed reply is not idle; who has got it is.
        """
        pair = Pair(delayReply=("noop:500s",), idleTimeout=100.0)
        pair.say(b"NOOP\r\n")
        for _ in range(3):
            pair.clock.advance(150)
            pair.factory.sweep()
        self.assertFalse(pair.transport.disconnecting)
        pair.clock.advance(60)
        for _ in range(3):
            pair.factory.sweep()
            pair.clock.advance(101)
        self.assertTrue(pair.transport.disconnecting)

    def test_lost(self):
        """
        A connection that is lost while a reply waits leaves no timer behind.
        """
        from twisted.internet.error import ConnectionLost
        from twisted.python.failure import Failure

        pair = Pair(delayReply=("noop:5s",))
        pair.say(b"NOOP\r\n")
        pair.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(pair.clock.getDelayedCalls(), [])


class SecretTests(SynchronousTestCase):
    """
    Passwords that clients send without waiting for a reply.
    """

    def test_refusedAuth(self):
        """
        What follows an AUTH that a letter refuses is shown nowhere.
        """
        pair = Pair(fail=("auth",), keep=1)
        self.assertEqual(pair.codes(b"AUTH PLAIN\r\nAGJvYgBzZWNyZXQ=\r\n"), [500, 500])
        self.assertEqual(pair.counts.errors, {"unknown": (1, "(hidden)")})
        self.assertNotIn("AGJv", pair.factory.steering.transcripts.get(1).asText())


class SyslogTests(SynchronousTestCase):
    """
    -s.
    """

    def test_logged(self):
        """
        The commands of -s are logged as they came, in no more than a hundred bytes, and a password is not.
        """
        pair = Pair(syslog=("auth", "rcpt", "."))
        logged = []
        pair.factory.steering.log = logged.append
        pair.say(b"AUTH PLAIN AGEAYg==\r\n" + TRANSACTION + MESSAGE)
        self.assertEqual(logged, [b"AUTH PLAIN (hidden)", b"RCPT TO:<b@example.com>", b"."])
