"""
Tests for L{smtpsource.sink.control.events}.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given
from sinks import Pair
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.control.events import REMEMBERED, Events


class EventsTests(SynchronousTestCase):
    """
    Events of a sink.
    """

    def test_subscribe(self):
        """
        Everybody who watches is told of each event, in their order, until they have enough.
        """
        events = Events(lambda: 12.5)
        first, second = [], []
        endFirst = events.subscribe(first.append)
        events.publish("mark", text="one")
        events.subscribe(second.append)
        events.publish("paused")
        endFirst()
        endFirst()
        events.publish("resumed")
        self.assertEqual(
            [tuple(event) for event in first], [(1, "mark", 12.5, {"text": "one"}), (2, "paused", 12.5, {})]
        )
        self.assertEqual([event.kind for event in second], ["paused", "resumed"])

    def test_endsWithin(self):
        """
        Who ends it while they are told of an event takes it from nobody else.
        """
        events = Events()
        told = []
        ends = [events.subscribe(lambda event: ends[0]()), events.subscribe(told.append)]
        events.publish("paused")
        events.publish("resumed")
        self.assertEqual([event.kind for event in told], ["paused", "resumed"])

    @given(st.integers(0, 2500), st.integers(0, 3000))
    def test_after(self, published, known):
        """
        Who comes back gets what they have missed, as far as it is remembered, and is told how much is not.
        """
        events = Events()
        for number in range(published):
            events.publish("mark", number=number + 1)
        found, missed = events.after(known)
        known = known if known <= published else 0
        self.assertEqual(len(found) + missed, published - known)
        self.assertEqual([event.number for event in found], list(range(known + missed + 1, published + 1)))
        self.assertEqual(missed, max(0, published - REMEMBERED - known))


class ToldTests(SynchronousTestCase):
    """
    What a sink tells.
    """

    def told(self, *rules):
        """
        @return: a session of a sink with these rules, and a list that gets what it tells: kinds, and fields.
        """
        pair, told = Pair(ruleTexts=rules, keep=1), []
        pair.factory.steering.publish = lambda kind, **fields: told.append((kind, fields))
        return pair, told

    def test_rule(self):
        """
        Of a rule it is said in which session, and where in that, it has had a part.
        """
        pair, told = self.told('on = "mail", do = { reply = "451 4.3.0 no" }')
        pair.say(b"MAIL FROM:<a@b>\r\n")
        self.assertEqual([kind for kind, _ in told], ["rule"])
        self.assertEqual((told[0][1]["session"], told[0][1]["step"]), (1, "mail"))

    def test_manyRecipients(self):
        """
        Of very many recipients their number is told, and the first ones; of a very long text its beginning.
        """
        pair, told = self.told()
        long = b"s" * 1000 + b"@d"
        pair.say(b"MAIL FROM:<%b>\r\n" % long + b"RCPT TO:<%b>\r\n" % long + b"RCPT TO:<a@b>\r\n" * 999 + b"DATA\r\n")
        pair.say(b"Message-Id: <%b>\r\n\r\n.\r\n" % long)
        (fields,) = (fields for kind, fields in told if kind == "message")
        self.assertEqual((fields["recipients"], fields["accepted"], len(fields["to"])), (1000, 1000, 10))
        self.assertEqual(fields["to"][1], "a@b")
        self.assertLess(len(repr(fields)), 2000)
