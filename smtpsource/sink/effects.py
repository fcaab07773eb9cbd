"""
What an accepted command says, and how it is undone when a rule refuses it.
"""

from __future__ import annotations

import re
import socket
import time
from typing import Any

from smtpsource.sink.delivery import REFUSED, Delivery
from smtpsource.sink.rules.facts import Fate
from smtpsource.sink.xclient import attributes

_GREETINGS = {b"HELO": "SMTP", b"EHLO": "ESMTP", b"LHLO": "LMTP"}

_PATH = re.compile(rb'[^:]*:( ?<((?:[^">]|"(?:[^"\\]|\\.)*+")*+)>.*)', re.DOTALL)
#: The size that MAIL tells.
SIZE = re.compile(rb" SIZE=([0-9]{1,20})(?= |$)", re.IGNORECASE)
_ENVID = re.compile(rb" ENVID=([^ ]+)", re.IGNORECASE)
_NOT_SAID = (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]")


class Effects(Delivery):
    """
    Keeps what is known of a session in step with what was said.
    """

    def _learn(self, verb: bytes, line: bytes, reply: bytes) -> None:
        """
        Note what an accepted command says.
        """
        facts = self.facts
        if verb in _GREETINGS:
            self._greeting = line[5:]
            self._proto = _GREETINGS[verb]
            facts.helo = _text(self._greeting.strip())
        elif verb == b"MAIL":
            self._mail, facts.sender = _path(line)
            self._started = time.time()
            size, envid = SIZE.search(line), _ENVID.search(line)
            facts.size = int(size[1]) if size else 0
            facts.message = _text(envid[1]) if envid else ""
        elif verb == b"RCPT":
            text, facts.recipient = _path(line)
            facts.recipients.append(facts.recipient)
            self._rcpts.append(text)
            self._envelope += len(line)
        elif reply[:3] == b"235":
            facts.user = self.user
            if self._transcript is not None:
                self._transcript.loggedIn(self.user)
            self.steering.publish("auth", session=self.number, user=self.user, mechanism=self.mechanism, tls=self.inTLS)
        elif verb == b"XCLIENT":
            for name, value in (attributes(line) or {}).items():
                self._introduce(name, "" if value.upper() in _NOT_SAID else _text(value))

    def _introduce(self, name: str, value: str) -> None:
        """
        A client speaks for another one.
        """
        if name == "ADDR" and value:
            self.facts.client = value[5:] if value[:5].upper() == "IPV6:" else value
        elif name == "HELO":
            self.facts.helo = value
        elif name == "LOGIN":
            self.facts.user = value

    def _undo(self, verb: bytes, commands: Any, fate: Fate) -> None:
        """
        A command that was accepted is refused: nothing has come of it.
        """
        if verb in _GREETINGS:
            self.commands = commands
        elif verb in (b"MAIL", b"RSET"):
            self._forgetTransaction()
        elif verb == b"RCPT":
            self.recipients -= 1
            self._rcpts.pop()
            self.facts.recipients.pop()
        elif verb == b"DATA":
            self.line_mode = 1
        elif verb == b"BDAT":
            # Its octets come in any case; nothing more comes of the transaction.
            self._refusal = fate.reply or REFUSED
            self._isComplete = False
            self._forgetTransaction()
        elif verb == b"QUIT":
            self._ended = False
        elif verb == b"STARTTLS":
            self._ended = self._wantsTLS = False
        elif verb not in (b"NOOP", b"VRFY"):
            self.authenticated = False
            self.facts.user = ""


def _path(line: bytes) -> tuple[bytes, str]:
    """
    @param line: a command with a path, which is well written.
    @return: all that follows the colon, and the path without its brackets.
    """
    match = _PATH.fullmatch(line)
    assert match is not None
    return match[1], _text(match[2])


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def addressOf(packed: bytes) -> str:
    """
    An address as a PROXY header has it.
    """
    families = {4: socket.AF_INET, 16: socket.AF_INET6}
    return socket.inet_ntop(families[len(packed)], packed) if len(packed) in families else "local"
