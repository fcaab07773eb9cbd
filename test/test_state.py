"""
Tests for L{smtpsource.smtp.state}.
"""

from __future__ import annotations

from conversations import Letter
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.smtp.state import MessageState

#: What gets its value before it is looked at: by the reply to MAIL, and when the first chunk is sent.
LATER = {"recipients", "recipient", "chunks"}


class MessageStateTests(SynchronousTestCase):
    """
    What is known of a message is forgotten when the next one begins.
    """

    def test_begin(self):
        """
        Nothing is left of the message before, whatever became of it.
        """
        state = MessageState()
        state.begin(Letter(), 0.5)
        fresh = {name: getattr(state, name) for name in state.__slots__ if name not in LATER}
        for name in state.__slots__:
            setattr(state, name, 7)
        letter = Letter()
        state.begin(letter, 1.5)
        found = {name: getattr(state, name) for name in fresh}
        self.assertEqual(found, fresh | {"message": letter, "begun": 1.5})
