"""
What an accepted command says, and how it is undone when a rule refuses it.
"""

from __future__ import annotations

import re
import time

from smtpsource.sink.delivery import Delivery
from smtpsource.sink.rules.facts import Facts, Fate
from smtpsource.sink.verdicts import REFUSED
from smtpsource.sink.xclient import attributes

#: The protocols that greetings are of.
GREETINGS = {b"HELO": "SMTP", b"EHLO": "ESMTP", b"LHLO": "LMTP"}

# As the commands of a session have it: brackets between quotes are none; but a single quote is a quote of nothing.
_PATH = re.compile(rb'[^:]*:( ?<((?:[^">]|"(?:[^"\\]|\\.)*+")*+)>(.*))', re.DOTALL)
_SIMPLE_PATH = re.compile(rb"[^:]*:( ?<([^>]*)>(.*))", re.DOTALL)
_SIZE = re.compile(rb" SIZE=([0-9]{1,20})(?= |$)", re.IGNORECASE)
_ENVID = re.compile(rb" ENVID=([^ ]+)", re.IGNORECASE)
_NOT_SAID = (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]")


class Effects(Delivery):
    """
    Keeps what is known of a session in step with what was said.
    """

    # As whose this connection is counted by the rules.
    _countedAs: Facts | None = None
    # Who XCLIENT has said had logged in, before somebody did.
    _formerUser = ""

    def _learn(self, verb: bytes, line: bytes, reply: bytes) -> None:
        """
        Note what an accepted command says.
        """
        facts = self.facts
        if verb in GREETINGS:
            self._greeting = line[5:]
            self._proto = GREETINGS[verb]
            facts.helo = textOf(self._greeting.strip())
        elif verb == b"MAIL":
            self._mail, facts.sender, parameters = _path(line)
            self._started = time.time()
            envid = _ENVID.search(parameters)
            facts.size = _sizeIn(parameters)
            facts.message = textOf(envid[1]) if envid else ""
        elif verb == b"RCPT":
            text, facts.recipient, _ = _path(line)
            facts.recipients.append(facts.recipient)
            self._rcpts.append(text)
            self._envelope += len(line)
        elif verb in (b"DATA", b"BDAT"):
            facts.recipient = facts.recipients[0] if facts.recipients else ""
        elif reply[:3] == b"235":
            self._formerUser, facts.user = facts.user, self.user
        elif verb == b"XCLIENT":
            for name, value in (attributes(line) or {}).items():
                self._introduce(name, "" if value.upper() in _NOT_SAID else textOf(value))

    def _loggedIn(self) -> None:
        """
        AUTH was accepted, and no rule refuses it.
        """
        if self._transcript is not None:
            self._transcript.loggedIn(self.user)
        self.steering.publish(
            "auth", session=self.facts.session, user=self.user, mechanism=self.mechanism, tls=self.inTLS
        )

    def _introduce(self, name: str, value: str) -> None:
        """
        A client speaks for another one.
        """
        if name == "ADDR" and value:
            self.facts.client = value[5:] if value[:5].upper() == "IPV6:" else value
            self._countAs(self.facts.client)
        elif name == "HELO":
            self.facts.helo = value
        elif name == "LOGIN":
            self.facts.user = value

    def _undo(self, verb: bytes, size: int, fate: Fate) -> None:
        """
        A command that was accepted is refused: nothing has come of it.

        @param size: of its line.
        """
        if verb == b"MAIL":
            self._forgetTransaction()
        elif verb == b"RCPT":
            self.recipients -= 1
            self._rcpts.pop()
            self._envelope -= size
            self.facts.recipients.pop()
        elif verb == b"DATA":
            self.line_mode = 1
        elif verb == b"BDAT":
            # Its octets come in any case; nothing more comes of the transaction.
            self._refusal, self._refusedBy = REFUSED, fate
            self._isComplete = False
            self._forgetTransaction()
        elif verb == b"STARTTLS":
            self._ended = self._wantsTLS = False
        else:
            self.authenticated = False
            self.user, self.facts.user = "", self._formerUser
            self.counts.refuseLogin()

    def _countAs(self, client: str) -> None:
        """
        Have the rules count this connection as one of this client's.
        """
        rules = self.steering.rulesFor(self.facts)
        if self._countedAs is not None:
            rules.closed(self._countedAs)
        self._countedAs = Facts(client=client, server=self.facts.server)
        rules.opened(self._countedAs)

    def beginAnew(self) -> None:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}.
        """
        super().beginAnew()
        self.facts.user = self.facts.helo = ""
        self._greeting, self._proto = b"", "SMTP"


def _path(line: bytes) -> tuple[bytes, str, bytes]:
    """
    @param line: a command with a path, which is well written.
    @return: all that follows the colon, the path without its brackets, and what follows them.
    """
    match = _matched(line)
    assert match is not None
    return match[1], textOf(match[2]), match[3]


def sizeOf(line: bytes) -> int:
    """
    The size that a MAIL command tells (RFC 1870); 0 if it tells none, or is not well written.
    """
    match = _matched(line)
    return 0 if match is None else _sizeIn(match[3])


def _matched(line: bytes) -> re.Match[bytes] | None:
    return _PATH.fullmatch(line) or _SIMPLE_PATH.fullmatch(line)


def _sizeIn(parameters: bytes) -> int:
    size = _SIZE.search(parameters)
    return int(size[1]) if size is not None else 0


def textOf(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
