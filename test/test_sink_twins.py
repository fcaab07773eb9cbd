"""
The compiled twins of the sink do what its pure Python does: the same bytes, cut anywhere, to both.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given, settings
from sinktwins import COMPILED, PURE, InMemory, OverSocket
from twisted.trial.unittest import SynchronousTestCase

BODY = b"Subject: x\r\n\r\nOne line.\r\n"
GROUP = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"

_USUAL = st.sampled_from(
    [
        GROUP + b"DATA\r\n" + BODY + b".\r\n",
        GROUP + b"DATA\r\n.\r\n",
        GROUP + b"DATA\r\n" + BODY,
        BODY + b".\r\n" + GROUP + b"DATA\r\n",
        BODY + b".\r\n",
        b".\r\n",
        GROUP + b"BDAT 5 LAST\r\n12345",
        GROUP + b"BDAT 5 LAST\r\n",
        GROUP + b"BDAT 3\r\n",
        GROUP + b"BDAT 3\r\nabc",
        b"BDAT 3\r\n",
        b"BDAT 3 LAST\r\nabc",
        b"abc",
        b"MAIL FROM:<> SIZE=5\r\nRCPT TO:<b>\r\nDATA\r\nx\r\n.\r\n",
        b"MAIL FROM:<a>\r\n",
        b"RCPT TO:<b>\r\n",
        b"DATA\r\n",
        b"RSET\r\n",
        b"12345",
    ]
)
_PIECES = st.one_of(
    _USUAL,
    _USUAL,
    _USUAL,
    st.sampled_from(
        [
            GROUP + b"DATA\r\n",
            GROUP + b"DATA\r\n" + BODY + b".\r\n",
            BODY + b".\r\n" + GROUP + b"DATA\r\n",
            GROUP + b"RCPT TO:<c>\r\nBDAT 5 LAST\r\n12345",
            3 * (GROUP + b"BDAT 5 LAST\r\n12345"),
            GROUP + b"BDAT 7 LAST\r\n",
            GROUP + b"BDAT 0 LAST\r\n" + GROUP,
            GROUP + b"BDAT 000000000000000001 LAST\r\nx",
            GROUP + b"BDAT 999999999999999999 LAST\r\n",
            b"MAIL FROM:<> SIZE=5 BODY=8BITMIME\r\nRCPT TO:<b>\r\nDATA\r\n.\r\n",
            b"MAIL FROM:<> SIZE=x\r\nRCPT TO:<b>\r\nDATA\r\n",
            b"MAIL FROM:<> \r\nRCPT TO:<b>\r\nDATA\r\n",
            b'MAIL FROM:<"a>b"@x>\r\nRCPT TO:<b>\r\nDATA\r\n',
            b"MAIL FROM:<" + 500 * b"a" + b">\r\nRCPT TO:<b>\r\nDATA\r\n",
            b"MAIL FROM:<" + 501 * b"a" + b">\r\nRCPT TO:<b>\r\nDATA\r\n",
            b"MAIL FROM:<>\r\n" + 300 * b"RCPT TO:<b>\r\n" + b"DATA\r\n",
            b"MAIL FROM:<>\r\n" + 300 * b"RCPT TO:<b>\r\n" + b"BDAT 1 LAST\r\nx",
            60 * (b"MAIL FROM:<>\r\nRCPT TO:<>\r\nBDAT 1 LAST\r\nx"),
            b"MAIL FROM:<a@example.com>\r\n",
            b"MAIL FROM: <a@example.com>\r\n",
            b"MAIL FROM:<a\n>\r\n",
            b"MAIL FROM:<a\r>\r\n",
            b"MAIL FROM:<a>>\r\n",
            b"MAIL FROM:a>\r\n",
            b"MAIL FROM:<\r\n",
            b"MAIL FROM:\r\n",
            b"MAIL \r\n",
            b"Mail From:<a>\r\n",
            b"MAIL FROM:<" + 1500 * b"a" + b">\r\n",
            b"RCPT TO:<b@example.com>\r\n",
            b"RCPT TO: <b>\r\n",
            b"RCPT TO:<b> NOTIFY=NEVER\r\n",
            b"RCPT TO:\r\n",
            b"RCPT TO:<\r\n",
            b"DATA\r\n",
            b"DATA \r\n",
            b"data\r\n",
            b"RSET\r\n",
            b"HELO x\r\n",
            b"HELO\r\n",
            b"EHLO x\r\n",
            b"LHLO x\r\n",
            b"QUIT\r\n",
            b"QUIT \r\n",
            b"BDAT 3\r\nabc",
            b"BDAT 3 LAST\r\nabc",
            b"BDAT 9999999999999999999\r\n",
            b"BDAT x\r\n",
            b"STARTTLS x\r\n",
            b"AUTH LOGIN\r\n",
            b"AGEAYg==\r\n",
            b"XCLIENT NAME=a\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 3 4\r\n",
            b"PROXY UNKNOWN\r\n" + GROUP,
            b"\r\n.\r\n",
            b".\r\n",
            b"..\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b".",
            b"x",
            BODY,
            3000 * b"x",
            200 * b"..\r\n",
            b"\r\n." + 20 * b"x",
        ]
    ),
    st.binary(max_size=12),
)
_SAID = st.tuples(st.lists(_PIECES, min_size=1, max_size=25), st.lists(st.integers(1, 150), max_size=25))
_CALLED = st.sampled_from(["endSoon", "refuseMore", "idledOut", "pauseProducing", "resumeProducing", "sweep"])
_PLANS = st.fixed_dictionaries(
    {},
    optional={
        "lmtp": st.booleans(),
        "esmtp": st.booleans(),
        "chunking": st.booleans(),
        "messageLimit": st.integers(1, 6),
        "proxyProtocol": st.booleans(),
        "dsn": st.booleans(),
        "auth": st.booleans(),
    },
)


def _cut(pieces, lengths):
    """
    @return: all of it, in pieces of these lengths; what is left in those that there were.
    """
    text = b"".join(pieces)
    steps = []
    for length in lengths:
        steps.append(text[:length])
        text = text[length:]
    return [step for step in [*steps, text] if step]


class SameTests(SynchronousTestCase):
    """
    What can be seen of a session is the same.
    """

    @settings(deadline=None, max_examples=3000)
    @given(_PLANS, _SAID, st.lists(st.tuples(st.integers(0, 20), _CALLED), max_size=1), st.booleans())
    def test_inMemory(self, plan, said, called, isWhole):
        """
        Of one that is given its bytes: each write, what it knows then, and all that is counted.
        """
        pieces, lengths = said
        steps = list(pieces) if isWhole else _cut(pieces, lengths)
        for place, name in called:
            steps.insert(place, name)
        pairs = [InMemory(kind, plan) for kind in (COMPILED, PURE)]
        for step in steps:
            one, other = (pair.does(step) for pair in pairs)
            self.assertEqual(one, other, step)

    @settings(deadline=None, max_examples=300)
    @given(_PLANS, _SAID, st.lists(st.tuples(st.integers(0, 20), _CALLED), max_size=1), st.booleans())
    def test_overSocket(self, plan, said, called, isWhole):
        """
        Of one that is read from a socket, in a turn of the reactor for each piece.
        """
        pieces, lengths = said
        steps = list(pieces) if isWhole else _cut(pieces, lengths)
        for place, name in called:
            steps.insert(place, name)
        pairs = [OverSocket(kind, plan, self) for kind in (COMPILED, PURE)]
        for step in steps:
            one, other = (pair.does(step) for pair in pairs)
            self.assertEqual(one, other, step)

    def test_different(self):
        """
        They are two, where there are twins.
        """
        self.assertEqual(PURE.name, "pure Python")
        self.assertIsNot(COMPILED.protocol, PURE.protocol)
