"""
Tests for L{smtpsource.load.leased}: shares of a closed loop, whose messages are lent to them.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given, settings
from sessions import Server
from together import Together, ids
from twisted.trial.unittest import SynchronousTestCase


def expected(count):
    """
    The ids of so many messages, the first ones of a run.
    """
    together = Together(1, server := Server(), messageCount=count, seed=1)
    together.finish()
    return ids(server)


class CountTests(SynchronousTestCase):
    """
    What all shares together send.
    """

    @settings(max_examples=60)
    @given(
        st.integers(2, 5),
        st.integers(0, 60),
        st.integers(0, 12),
        st.sampled_from([{}, {"keepConnections": True}, {"messagesPerConnection": 3}]),
        st.sampled_from([{}, {"fixedInterval": 0.05}, {"rampUp": 1.0}]),
        st.integers(1, 40),
        st.data(),
    )
    def test_all(self, count, more, sessions, connections, pauses, size, data):
        """
        Each message is sent once, however many are lent at a time and however long that takes; every session has one;
        and nothing is left behind.
        """
        sessions += count
        server = Server()
        together = Together(
            count,
            server,
            size=lambda wanted, rest: data.draw(st.integers(1, size)),
            delay=lambda: data.draw(st.sampled_from([0.0, 0.001, 0.3])),
            messageCount=sessions + more,
            sessionCount=sessions,
            seed=1,
            **connections,
            **pauses,
        )
        together.finish()
        self.assertEqual(ids(server), expected(sessions + more))
        self.assertEqual((together.total("accepted"), together.total("failed")), (sessions + more, 0))
        self.assertGreaterEqual(len(server.connections), sessions)
        if "keepConnections" in connections:
            self.assertEqual(len(server.connections), sessions)
        self.assertEqual(together.reactor.getDelayedCalls(), [])
