"""
A session that may do other than take everything: Postfix's letters, rules, limits; and that keeps what it takes.

It answers as L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>} does, one command after the other, and then
asks whether that is to be the answer. What has to wait holds up all that the client has sent after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from smtpsource.sink import secrets
from smtpsource.sink.effects import GREETINGS, Effects, sizeOf, textOf
from smtpsource.sink.letters import HANG_UP, Letter
from smtpsource.sink.protocol import LINE_TOO_LONG, PLAIN_TEXT
from smtpsource.sink.proxy import addressOf
from smtpsource.sink.reception import TOO_LARGE
from smtpsource.sink.rules.facts import Facts, Fate
from smtpsource.sink.verdicts import isAccepting

if TYPE_CHECKING:
    from smtpsource.sink.rules.facts import Step

log = Logger()

TOO_MANY_RECIPIENTS = b"452 4.5.3 Too many recipients\r\n"
TOO_MANY_COMMANDS = b"421 4.7.0 Too many commands, closing connection\r\n"
TOO_MANY_LOGINS = b"421 4.7.0 Too many AUTH commands, closing connection\r\n"

#: What is sent where a handshake should be.
NO_HANDSHAKE = b"500 This is no handshake\r\n"

#: Recipients of a transaction, where no other number is given.
MOST_RECIPIENTS = 100_000

#: Bytes of all RCPT commands of a transaction.
MOST_ENVELOPE = 8 * 1024 * 1024

# Who does not read has no more answered than what is on its way, what is read slowly is not there yet, and nobody has
# anything answered while the sink is paused.
_SILENCING = {"pause", "throttle", "transport"}

_STEPS: dict[bytes, Step] = {
    b"HELO": "helo", b"EHLO": "helo", b"LHLO": "helo", b"STARTTLS": "starttls", b"MAIL": "mail", b"RCPT": "rcpt",
    b"DATA": "data", b"BDAT": "data", b"RSET": "rset", b"NOOP": "noop", b"VRFY": "noop", b"QUIT": "quit",
}  # fmt: skip


#: Commands that are always accepted where they are known.
_SURE = {*GREETINGS, b"RSET", b"NOOP", b"VRFY", b"QUIT"}


class SteeredProtocol(Effects):
    """
    One session of a sink that is steered.
    """

    _commandCount = 0
    _logins = 0
    # A command was refused by what the client could not know: since then there were only those that need it.
    _isBehind = False
    # DATA was accepted: content comes next.
    _awaitsContent = False
    _fateOfBanner: Fate | None = None

    # -- The beginning and the end

    def connectionMade(self) -> None:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}.
        """
        self.facts = Facts(client=getattr(self.transport.getPeer(), "host", None) or "local")
        self._rcpts = []
        super().connectionMade()
        self.MAX_LENGTH = self.steering.plan.maxLineLength

    def begin(self) -> None:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}.
        """
        self.facts.session = self.steering.numberSession()
        super().begin()

    def _open(self) -> None:
        steering, facts = self.steering, self.facts
        if self.source:
            facts.client = addressOf(self.source)
        if steering.transcripts is not None:
            self._transcript = steering.transcripts.begin(self.facts.session, facts.client)
        steering.publish("connect", session=self.facts.session, client=facts.client)
        if steering.rulesByAddress:
            facts.server = self.transport.getHost().host
        self._countAs(facts.client)
        fate = steering.decide("connect", facts)
        if fate is not None and self.factory.implicitTLS:
            if fate.tlsFail:
                self._failTLS(b"", fate)
                self._proceed()
                return
            if fate.isSilent:
                self._say(b"", fate)
                self._proceed()
                return
        self._fateOfBanner = fate
        super()._open()

    def _greet(self) -> None:
        self.facts.tls = self.inTLS
        letter = self.steering.letters.get(b"CONNECT")
        if letter is None or not self._letterDecides(letter, self.facts.client.encode()):
            fate, self._fateOfBanner = self._fateOfBanner, None
            self._say(self.dialogue.banner, fate, letter.delay() if letter is not None else 0.0)
        self._proceed()

    def handshakeCompleted(self) -> None:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}.
        """
        self.facts.tls = True
        super().handshakeCompleted()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}.
        """
        self._loseTimer()
        self._dropContent()
        self._writeUnseen()
        if self._countedAs is not None:
            self.steering.rulesFor(self._countedAs).closed(self._countedAs)
        if self.begun:
            self.steering.publish("disconnect", session=self.facts.session, client=self.facts.client)
        super().connectionLost(reason)

    # -- What comes

    def dataReceived(self, data: bytes) -> None:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}.
        """
        self.counts.bytesReceived += len(data)
        self.active = True
        if self._unseen and data:
            # Who says more has read what was said before.
            self._unseen = 0
        if self._isStalled or self._ended:
            return
        if data and self._throttle is not None:
            self._slowDown(len(data), self._throttle)
        self._input = self._input[self._at :] + data if self._at < len(self._input) else data
        self._at = 0
        self._proceed()

    def _proceed(self) -> None:
        while not (self._isHeld or self._isStalled or self._ended or self._stops & _SILENCING):
            if self._awaitsContent:
                self._awaitsContent = False
                self._beginContent(stuffed=True)
            elif self._isComplete:
                self._complete()
            elif self._at >= len(self._input):
                break
            elif not self.line_mode:
                self._takeContent()
            elif not self._takeLine():
                break
        if not self._isHeld:
            self._flush()
            if self._ended:
                self._close()

    def _takeLine(self) -> bool:
        """
        @return: C{False} if there is no whole line.
        """
        data, start = self._input, self._at
        end = data.find(b"\r\n", start)
        # A CR at the end may be half of the line's end.
        length = (end if end >= 0 else len(data) - 1) - start
        if length > self.MAX_LENGTH and self._isTooLong(data, start, end):
            self._ended = True
            self._say(self.refuse("line-too-long", LINE_TOO_LONG, data[start : start + secrets.LONGEST_LINE]))
        elif end < 0:
            return False
        else:
            self._at = end + 2
            self._perform(data[start:end])
        return True

    def _perform(self, line: bytes) -> None:
        """
        Answer a command, or a line of AUTH.
        """
        steering = self.steering
        verb = b"" if self.exchange is not None else line.partition(b" ")[0].upper()
        isKnown = verb in self.commands
        isShown = self._transcript is not None or steering.letters or steering.plan.verbose
        shown = self.withoutSecrets(line, not isKnown) if isShown else b""
        if self._transcript is not None:
            self._transcript.client(shown)
            if verb == b"AUTH":
                self._transcript.auth(shown, self.inTLS, self.facts.helo)
        self._commandCount += 1
        if steering.plan.maxCommands is not None and self._commandCount > steering.plan.maxCommands:
            self._ended = True
            self._say(self.refuse("too-many-commands", TOO_MANY_COMMANDS, line))
            return
        if verb == b"AUTH":
            # Whatever becomes of it: a client that does not wait sends a password next.
            self.hasSecrets = True
        letter = steering.letters.get(verb) if isKnown else None
        self._isBehind = self._isBehind and verb in (b"RCPT", b"DATA", b"BDAT")
        if letter is not None and self._letterDecides(letter, shown):
            self._isBehind = self._isBehind or verb in (b"MAIL", b"RCPT")
            return
        reply = self._tooMuch(verb, line)
        fate = None
        if reply is None and isKnown and verb in _SURE:
            reply, fate = self._performSure(verb, line)
        elif reply is None:
            reply = (self.commands.get(line[:5]) or self._commandFor(line))(self, line)
            if self._wantsTLS and self._at < len(self._input):
                # RFC 3207 section 6: it was not sent in TLS and must not be taken for it, whoever has put it there.
                self._wantsTLS = False
                reply = self.refuse("plain-text-after-starttls", PLAIN_TEXT, self._input[self._at :])
            if reply[:1] in (b"2", b"3", b"") and not (verb == b"BDAT" and self._refusal is not None):
                self._learn(verb, line, reply)
                fate = self._fateOfCommand(verb, line, reply)
        if steering.plan.verbose:
            _log(shown, reply if fate is None or fate.reply is None else fate.reply)
        delay = letter.delay() if letter is not None else 0.0
        if fate is not None and fate.tlsFail:
            self._failTLS(reply, fate)
        elif self._isComplete:
            # An empty chunk that is the last one: its message has the reply.
            if fate is not None and fate.delay:
                self._hold(fate.delay, self._release)
        elif reply or fate is not None:
            self._say(reply, fate, delay)
            self._awaitsContent = verb == b"DATA" and not self.line_mode

    def _performSure(self, verb: bytes, line: bytes) -> tuple[bytes, Fate | None]:
        """
        Answer a command that is always accepted, if the rules have nothing against it: these are asked before.

        @return: its reply, and what is to be done.
        """
        facts = self.facts
        helo = facts.helo
        if verb in GREETINGS:
            facts.helo = textOf(line[5:].strip())
        fate = self.steering.decide(_STEPS[verb], facts)
        if not isAccepting(fate):
            facts.helo = helo
            return b"", fate
        reply = (self.commands.get(line[:5]) or self._commandFor(line))(self, line)
        self._learn(verb, line, reply)
        return reply, fate

    def _fateOfCommand(self, verb: bytes, line: bytes, reply: bytes) -> Fate | None:
        """
        Ask the rules about a command that is accepted, and undo it if they refuse it.
        """
        step: Step | None = "auth" if reply[:3] == b"235" else _STEPS.get(verb)
        if step is None:
            return None
        fate = self.steering.decide(step, self.facts)
        if fate is not None and fate.tlsFail and not self._wantsTLS:
            fate = None
        if not isAccepting(fate):
            assert fate is not None
            self._undo(verb, len(line), fate)
            self._isBehind = self._isBehind or verb in (b"MAIL", b"RCPT", b"BDAT")
            if verb == b"BDAT" and (fate.reply is not None or fate.garble) and not self.line_mode:
                # When its octets are there.
                return None
        elif step == "auth":
            self._loggedIn()
        elif verb == b"BDAT" and fate is not None:
            # What accepts DATA, 354, is no reply to a chunk.
            fate = replace(fate, reply=None)
        return fate

    def _letterDecides(self, letter: Letter, shown: bytes) -> bool:
        """
        Do what a letter says of a command, but for a delay.

        @return: whether that was all that is done.
        """
        if letter.isLogged:
            self.steering.log(shown)
        if not (letter.drops or letter.hangsUp or letter.reply):
            return False
        times = 1
        if self._isComplete:
            times = self.recipients if self.dialogue.lmtp else 1
            self._isComplete = False
            self.dumpRefused()
            self._forgetTransaction()
        reply = b"" if letter.drops else HANG_UP if letter.hangsUp else (letter.reply or b"") * times
        if letter.drops or letter.hangsUp:
            self._ended = True
        if self.steering.plan.verbose:
            _log(shown, reply)
        self._say(reply)
        return True

    def _complete(self) -> None:
        """
        A message has come whole.
        """
        letter = self.steering.letters.get(b".")
        if letter is None or not self._letterDecides(letter, b"."):
            self._messageReceived(letter.delay() if letter is not None else 0.0)

    def _tooMuch(self, verb: bytes, line: bytes) -> bytes | None:
        """
        Does a command ask for more than is granted?

        @return: the reply that says so.
        """
        plan = self.steering.plan
        if verb == b"AUTH" and plan.maxLogins is not None:
            self._logins += 1
            if self._logins > plan.maxLogins:
                self._ended = True
                return self.refuse("too-many-logins", TOO_MANY_LOGINS, line)
        elif verb == b"RCPT" and (
            self.recipients >= (plan.maxRecipients or MOST_RECIPIENTS) or self._envelope + len(line) > MOST_ENVELOPE
        ):
            return self.refuse("too-many-recipients", TOO_MANY_RECIPIENTS, line)
        elif verb == b"MAIL" and plan.maxMessageSize is not None and sizeOf(line) > plan.maxMessageSize:
            return None if self.inTransaction else self.refuse("too-large", TOO_LARGE, line)
        return None

    def refuse(self, kind: str, reply: bytes, line: bytes) -> bytes:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}. A client that sends its commands in groups
        has sent RCPT or DATA before it knew what was refused (RFC 2920 section 3.1): that is no error.
        """
        if kind == "sequence" and self._isBehind and line[:4].upper() in (b"RCPT", b"DATA", b"BDAT"):
            return reply
        return super().refuse(kind, reply, line)

    def _failTLS(self, reply: bytes, fate: Fate) -> None:
        """
        Send something that is no handshake, and close.

        @param reply: what comes before.
        """
        self._wantsTLS = False
        self._ended = True
        self._say(reply + NO_HANDSHAKE, replace(fate, reply=None))

    def _forgetTransaction(self) -> None:
        super()._forgetTransaction()
        self._dropContent()
        self.forgetEnvelope()


def _log(shown: bytes, reply: bytes) -> None:
    log.info("{line} -> {reply}", line=ascii(shown.decode("latin-1")), reply=reply[:3].decode() or "nothing")
