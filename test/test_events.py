"""
Tests for L{smtpsource.sink.control.events}.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given
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
