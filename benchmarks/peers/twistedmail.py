"""
Send mail with twisted.mail's SMTPSenderFactory, which makes a new connection for each message.

Usage: C{twistedmail.py SESSIONS MESSAGES PORT}. Exits with 1 if a message isn't accepted.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react
from twisted.mail.smtp import SMTPSenderFactory

_ADDRESS = "foo@localhost"
_MESSAGE = (
    b"From: <foo@localhost>\r\nTo: <foo@localhost>\r\nDate: Sun, 22 Nov 2026 07:42:50 +0000 (UTC)\r\n"
    b"Message-Id: <1234.1234.1234@localhost>\r\n\r\n" + b"XXXXXXXX\r\n" * 4
)


class Sessions:
    """
    Some sessions, each of which sends one message after the other until all are sent.
    """

    def __init__(self, reactor: Any, messages: int, port: int) -> None:
        self._reactor = reactor
        self._left = messages
        self._port = port

    def run(self) -> Deferred[None]:
        """
        @return: a Deferred that fires when no message is left for this session.
        """
        ended: Deferred[None] = Deferred()
        self._next(None, ended)
        return ended

    def _next(self, _: object, ended: Deferred[None]) -> None:
        if not self._left:
            ended.callback(None)
            return
        self._left -= 1
        sent: Deferred[object] = Deferred()
        factory = SMTPSenderFactory(_ADDRESS, _ADDRESS, BytesIO(_MESSAGE), sent, retries=0)
        factory.noisy = False
        sent.addCallbacks(self._next, ended.errback, callbackArgs=(ended,))
        self._reactor.connectTCP("127.0.0.1", self._port, factory)


def main(reactor: Any, sessions: str, messages: str, port: str) -> Deferred[Any]:
    """
    Send everything.
    """
    everything = Sessions(reactor, int(messages), int(port))
    return gatherResults([everything.run() for _ in range(int(sessions))])


if __name__ == "__main__":
    react(main, sys.argv[1:])
