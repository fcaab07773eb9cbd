"""
Tests for L{smtpsource.sink.keeping.memory} and L{smtpsource.sink.keeping.entry}: messages that a sink has in memory.
"""

from __future__ import annotations

import json
from email.message import EmailMessage

from hypothesis import strategies as st
from keptmessages import CONTENT, kept
from properties import given
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from smtpsource.sink.keeping.memory import Memory
from smtpsource.sink.keeping.message import IKeeper

#: What may be a header, and not a right one.
_PIECES = [b"Subject: ", b"Message-Id: ", b"=?utf-8?q?", b"?=", b"<", b">", b"@", b"\r\n", b"\n"]
CONTENTS = st.lists(st.sampled_from(_PIECES) | st.binary(max_size=5), max_size=20).map(b"".join)


def numbers(entries):
    """
    @return: which messages these are.
    """
    return [entry.number for entry in entries]


def header(**fields):
    """
    @return: content with these fields, C{_} for a hyphen.
    """
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return lines.encode() + b"\r\nText.\r\n"


class MemoryTests(SynchronousTestCase):
    """
    A ring of messages.
    """

    def memory(self, *messages, most=10, octets=100_000):
        """
        @return: a memory with these messages.
        """
        memory = Memory(most, octets)
        for message in messages:
            memory.keep(message)
        return memory

    def test_keep(self):
        """
        A message is kept as it came, with its envelope.
        """
        memory = self.memory(kept(b"a\r\n\0\xff\r\n", number=7, user="joe", tls=True))
        entry = memory.get(7)
        self.assertEqual(b"a\r\n\0\xff\r\n", entry.raw)
        self.assertFalse(entry.truncated)
        self.assertEqual(("a@example.com", ["b@example.com"], "joe", True), _envelope(entry))
        self.assertIsNone(memory.get(8))
        self.assertTrue(verifyObject(IKeeper, memory))

    def test_readAlready(self):
        """
        Others may have read the content before.
        """
        message = kept()
        message.content.read()
        self.assertEqual(CONTENT, self.memory(message).get(1).raw)

    def test_ring(self):
        """
        The oldest messages go; they are still in the total, and it is known how many that were since all were deleted.
        """
        memory = self.memory(*(kept(number=number) for number in range(1, 6)), most=3)
        self.assertEqual([3, 4, 5], numbers(memory.find()))
        self.assertEqual((5, 2), (memory.total, memory.displaced))
        memory.delete(3)
        self.assertEqual(2, memory.displaced)
        memory.delete()
        self.assertEqual(0, memory.displaced)

    def test_octets(self):
        """
        All messages together have their bound.
        """
        messages = [kept(b"x" * 4000, number=number) for number in range(1, 4)]
        self.assertEqual([2, 3], numbers(self.memory(*messages, octets=10_000).find()))
        # Many recipients are more than what is written of them.
        crowd = [kept(b"", number=number, recipients=["a"] * 100) for number in range(1, 5)]
        self.assertEqual([3, 4], numbers(self.memory(*crowd, octets=25_000).find()))

    def test_larger(self):
        """
        Of a message that is larger than the bound the beginning is there, and its size.
        """
        entry = self.memory(kept(b"Subject: large\r\n\r\n" + b"x" * 1_000_000), octets=50_000).get(1)
        self.assertTrue(entry.truncated)
        self.assertEqual(50_000, len(entry.raw))
        self.assertEqual((1_000_018, "large"), (entry.size, entry.subject))

    def test_find(self):
        """
        By recipient, sender, subject and Message-Id, in any case and with globs; all of them have to be right.
        """
        memory = self.memory(
            kept(header(Subject="Your code", Message_Id="<1@x>"), number=1, recipients=["Joe@one.test", "b@two.test"]),
            kept(header(Subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?="), number=2, sender=""),
            kept(header(Subject="Your bill", Message_Id="<3@x>"), number=3, sender="shop@example.net"),
        )
        for wanted, found in [
            ({}, [1, 2, 3]),
            ({"recipient": "joe@ONE.test"}, [1]),
            ({"recipient": "*@two.test"}, [1]),
            ({"recipient": "one.test"}, []),
            ({"sender": "*@example.*"}, [1, 3]),
            ({"sender": ""}, [2]),
            ({"subject": "your *"}, [1, 3]),
            ({"subject": "grüße"}, [2]),
            ({"id": "3@x"}, [3]),
            ({"id": "<3@x>"}, [3]),
            ({"id": "?@x", "after": 1}, [3]),
            ({"after": 1}, [2, 3]),
            ({"subject": "your *", "sender": "shop@*"}, [3]),
            ({"subject": "your *", "sender": ""}, []),
        ]:
            self.assertEqual(found, numbers(memory.find(**wanted)), wanted)

    def test_findBrackets(self):
        """
        A text that has brackets means itself, and is a glob as well.
        """
        memory = self.memory(kept(header(Subject="[list] Hi")), kept(header(Subject="l Hi"), number=2))
        self.assertEqual([1, 2], numbers(memory.find(subject="[list] Hi")))

    def test_takeBack(self):
        """
        What another keeper has had no room for is taken back.
        """
        memory = self.memory(kept())
        memory.keep(kept(number=2))()
        self.assertEqual(([1], 1), (numbers(memory.find()), memory.total))

    def test_delete(self):
        """
        Messages are deleted one by one or all; the total stays.
        """
        memory = self.memory(*(kept(number=number) for number in range(1, 5)))
        self.assertEqual((1, 0), (memory.delete(2), memory.delete(2)))
        self.assertEqual([1, 3, 4], numbers(memory.find()))
        self.assertEqual((3, 0), (memory.delete(), memory.delete()))
        self.assertEqual(([], 4), (memory.find(), memory.total))

    def test_deletedRoom(self):
        """
        A deleted message takes no room.
        """
        memory = self.memory(kept(b"x" * 8000), octets=10_000)
        memory.delete()
        memory.keep(kept(b"x" * 4000, number=2))
        memory.keep(kept(b"x" * 3000, number=3))
        self.assertEqual([2, 3], numbers(memory.find()))

    def test_waitThere(self):
        """
        Who waits for what is there has it at once.
        """
        memory = self.memory(kept(), kept(number=2))
        self.assertEqual([1, 2], numbers(self.successResultOf(memory.wait(2))))

    def test_wait(self):
        """
        Who waits is told when so many messages match, and not before.
        """
        memory = self.memory(kept(recipients=["joe@x"]))
        joes, any5 = memory.wait(2, recipient="joe@*"), memory.wait(5)
        memory.keep(kept(number=2))
        memory.keep(kept(number=3))
        self.assertNoResult(joes)
        memory.keep(kept(number=4, recipients=["Joe@y"]))
        self.assertEqual([1, 4], numbers(self.successResultOf(joes)))
        self.assertNoResult(any5)
        memory.keep(kept(number=5))
        self.assertEqual([1, 2, 3, 4, 5], numbers(self.successResultOf(any5)))

    def test_waitDeleted(self):
        """
        A message that was deleted meanwhile does not count.
        """
        memory = self.memory(kept())
        waiting = memory.wait(2)
        memory.delete()
        memory.keep(kept(number=2))
        self.assertNoResult(waiting)
        memory.keep(kept(number=3))
        self.assertEqual([2, 3], numbers(self.successResultOf(waiting)))

    def test_waitCanceled(self):
        """
        Who has waited long enough isn't told any more.
        """
        memory = self.memory()
        waiting = memory.wait(1)
        waiting.cancel()
        self.failureResultOf(waiting, defer.CancelledError)
        memory.keep(kept())

    def test_waitInVain(self):
        """
        For more messages than are kept nobody waits.
        """
        error = self.assertRaises(ValueError, self.memory(most=3).wait, 4)
        self.assertEqual("count 4 is not usable: expected at most 3, no more messages are kept", str(error))

    def test_close(self):
        """
        At the end nobody waits any longer.
        """
        memory = self.memory()
        waiting = [memory.wait(1), memory.wait(2)]
        memory.close()
        for each in waiting:
            self.failureResultOf(each, defer.CancelledError)

    def test_waitAgain(self):
        """
        Who is told may wait again, for what comes later.
        """
        memory = self.memory()
        seen = []

        def told(entries):
            seen.extend(numbers(entries))
            memory.wait(1, after=seen[-1]).addCallback(told)

        memory.wait(1).addCallback(told)
        for number in range(1, 5):
            memory.keep(kept(number=number))
        self.assertEqual([1, 2, 3, 4], seen)


def _envelope(entry):
    return entry.sender, entry.recipients, entry.user, entry.tls


class EntryTests(SynchronousTestCase):
    """
    One message.
    """

    def entry(self, *args, **kwargs):
        """
        @return: a message as it is in memory.
        """
        memory = Memory(1)
        memory.keep(kept(*args, **kwargs))
        return memory.find()[0]

    def test_headers(self):
        """
        The header is that of Python's email package.
        """
        entry = self.entry(header(Subject="a\r\n b", To="Joe <joe@x.test>, b@x.test"))
        self.assertIsInstance(entry.headers, EmailMessage)
        self.assertEqual("joe@x.test", entry.headers["to"].addresses[0].addr_spec)
        self.assertEqual("a b", entry.subject)
        self.assertIsNone(entry.headers["text."])

    def test_noHeader(self):
        """
        A message may have none.
        """
        for content in (b"", b"\r\nSubject: no\r\n", b"just text\r\n"):
            entry = self.entry(content)
            self.assertEqual(("", ""), (entry.subject, entry.messageId), content)

    def test_hugeHeader(self):
        """
        A header of megabytes costs no more than its beginning does, and what is in that is found.
        """
        many = b"X-Filler: abcdefgh\r\n" * 400_000
        entry = self.entry(header(Subject="Found", Message_Id="<1@x>")[:-9] + many + b"\r\nText.\r\n")
        self.assertEqual(("Found", "1@x"), (entry.subject, entry.messageId))
        self.assertLess(len(entry.headers.as_bytes()), 70_000)
        late = self.entry(many + header(Subject="Late"))
        self.assertEqual("", late.subject)
        endless = self.entry(b"Subject: " + b"=?utf-8?q?a?=\r\n " * 100_000 + b"\r\n\r\n")
        self.assertEqual("a" * 100, endless.subject[:100])
        self.assertLess(len(endless.subject), 5000)

    def test_twoSubjects(self):
        """
        Of several subjects the first counts.
        """
        self.assertEqual("one", self.entry(b"subject: one\r\nSUBJECT: two\r\n\r\n").subject)

    def test_dict(self):
        """
        All of it as JSON has it.
        """
        entry = self.entry(
            mail=b'<"a>b"@example.com> SIZE=100 BODY=8BITMIME smtputf8',
            sender='"a>b"@example.com',
            rcpts=[b"<b@example.com>", b"<c@example.com> NOTIFY=NEVER"],
            recipients=["b@example.com", "c@example.com"],
            fate="duplicate",
            rule="twice",
        )
        self.assertEqual(
            {
                "number": 1,
                "session": 1,
                "from": '"a>b"@example.com',
                "to": ["b@example.com", "c@example.com"],
                "subject": "Hello",
                "messageId": "one@example.com",
                "started": "2027-01-15T08:00:00.000+00:00",
                "received": "2027-01-15T08:00:00.250+00:00",
                "client": "127.0.0.1",
                "protocol": "ESMTP",
                "helo": "client.example.com",
                "tls": False,
                "user": "",
                "size": len(CONTENT),
                "truncated": False,
                "mailParameters": {"SIZE": "100", "BODY": "8BITMIME", "SMTPUTF8": ""},
                "recipientParameters": [{}, {"NOTIFY": "NEVER"}],
                "fate": "duplicate",
                "rule": "twice",
            },
            entry.asDict(),
        )

    @given(CONTENTS, st.binary(max_size=20))
    def test_anything(self, content, said):
        """
        Whatever is in a message: it is found, and shown in JSON.
        """
        path = said.decode("utf-8", "surrogateescape")
        memory = Memory(1)
        rcpts = [b"<%b> %b" % (said, said)]
        memory.keep(kept(content, helo=said, mail=said, sender=path, recipients=[path], rcpts=rcpts))
        self.assertEqual([1], numbers(memory.find(subject="*", id="*", sender="*", recipient="*")))
        json.dumps(memory.get(1).asDict(), ensure_ascii=False).encode()
