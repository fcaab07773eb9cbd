"""
The dialogue of one connection: what is said, what is made of each reply, and what comes next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smtpsource.phases import BANNER, DATA, HELO, MAIL, MESSAGE, QUIT, RCPT, RSET
from smtpsource.smtp import commands
from smtpsource.smtp.owed import OwedReplies, shown
from smtpsource.smtp.replies import capabilities, closesChannel
from smtpsource.smtp.streaming import BodyProducer

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage, ISession
    from smtpsource.measure.recorder import Recorder

#: The first digit of a reply that says yes, and of one that says no for good.
_YES = ord("2")
_NO = ord("5")


class SMTPSourceProtocol(OwedReplies):
    """
    An SMTP or LMTP client that sends the messages its session gives it, and tells it of every outcome.
    """

    _message: IMessage | None = None
    # With pipelining, the message whose commands went out along with the content of C{_message}.
    _following: IMessage | None = None

    def __init__(
        self,
        session: ISession,
        dialogue: commands.Dialogue,
        recorder: Recorder,
        clock: Callable[[], float],
    ) -> None:
        """
        @param session: whom to ask and tell.
        @param dialogue: how to talk.
        @param recorder: where replies and bytes are counted.
        @param clock: gives seconds on a scale that never goes backward.
        """
        super().__init__(session, recorder, clock)
        self._dialogue = dialogue
        # From the start, or when the server has announced that it takes them so.
        self._grouped = dialogue.pipelining == "force"

    # What the session asks for

    def send(self, message: IMessage) -> None:
        """
        Send this message; its outcome comes to the session. Only when the connection is C{ready}.
        """
        self._begin(message, self._clock())
        if self._grouped:
            self._writeGroup(b"", message)
        else:
            self.write(message.mail, MAIL, self._mailReplied)

    def _begin(self, message: IMessage, now: float) -> None:
        self._message = message
        self._begun = now
        self._recipientsAccepted = self._recipientsRejected = self._recipientsDelivered = 0

    def quit(self) -> None:
        """
        End the connection in order. Only when the connection is C{ready}.
        """
        self._quitting = True
        self.write(commands.QUIT, QUIT, self._quitReplied)

    # The beginning and the end

    def connectionMade(self) -> None:
        """
        The server speaks first.
        """
        self.lastActivity = self._clock()
        self._owed.append((BANNER, self._bannerReplied, self.lastActivity))

    def ended(self) -> None:
        """
        The connection is gone. If a message was under way, some of its recipients may have had their answers.
        """
        if self._message is not None:
            self._message = None
            if self._recipientsDelivered or self._recipientsRejected:
                self._session.unanswered(self._recipientsDelivered, self._recipientsRejected)

    def _ready(self) -> None:
        """
        This message has ended. With pipelining, the next one is under way already.
        """
        if self._following is not None:
            message, self._following = self._following, None
            self._begin(message, self._followingBegun)
        elif self._unsolicited is None:
            self._session.ready(self)

    # One answer for each kind of reply

    def _bannerReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] != _YES and not self._goOnAfterRefusal(BANNER, code, reply):
            return
        greeting = self._dialogue.greeting
        if greeting is None:
            self._ready()
        else:
            self.write(greeting, HELO, self._greetingReplied)

    def _greetingReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == _YES:
            if self._dialogue.extended and not self._takeCapabilities(capabilities(reply)):
                return
        elif code[0] == _NO and self._dialogue.fallback is not None and not closesChannel(code):
            self.write(self._dialogue.fallback, HELO, self._fallbackReplied)
            return
        elif not self._goOnAfterRefusal(HELO, code, reply):
            return
        self._ready()

    def _takeCapabilities(self, announced: dict[str, str]) -> bool:
        """
        @return: can the dialogue go on? If what is required is not announced, it can't.
        """
        self._recorder.announced(announced)
        pipelining = self._dialogue.pipelining
        if pipelining != "off" and "PIPELINING" in announced:
            self._grouped = True
        elif pipelining == "require":
            self._session.fault("not-announced", "PIPELINING is required, and the server does not announce it")
            self.quit()
            return False
        return True

    def _fallbackReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == _YES or self._goOnAfterRefusal(HELO, code, reply):
            self._ready()

    def _goOnAfterRefusal(self, phase: int, code: bytes, reply: bytes) -> bool:
        """
        A refused greeting: a tolerant client tries its luck all the same, as long as the server stays.
        """
        self._session.refused(phase, reply)
        if self._dialogue.tolerant and not closesChannel(code):
            return True
        self._session.rejected(0)
        self._leave(code)
        return False

    def _mailReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == _YES:
            assert self._message is not None
            self._recipients = self._message.recipientCommands()
            self._recipient = 0
            self.write(self._recipients[0], RCPT, self._rcptReplied)
        else:
            self._refused(MAIL, code, reply)

    def _rcptReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == _YES:
            self._recipientsAccepted += 1
        else:
            self._recipientsRejected += 1
            if closesChannel(code) or not self._dialogue.tolerant:
                self._refused(RCPT, code, reply)
                return
            self._session.refused(RCPT, reply)
        self._recipient += 1
        if self._recipient < len(self._recipients):
            self.write(self._recipients[self._recipient], RCPT, self._rcptReplied)
        elif self._recipientsAccepted:
            self.write(commands.DATA, DATA, self._dataReplied)
        else:
            self._reject()
            self._reset()

    def _dataReplied(self, code: bytes, reply: bytes) -> None:
        if code != b"354":
            self._refused(DATA, code, reply)
            return
        self._sendContent()

    def _sendContent(self) -> None:
        assert self._message is not None
        own, shared = self._message.content()
        following = self._session.following() if self._grouped and not shared else None
        if following is None:
            self.write(own, MESSAGE, self._contentReplied)
            now = self.lastActivity
        else:
            now = self._clock()
            self._owed.append((MESSAGE, self._contentReplied, now))
        if self._dialogue.lmtp:
            self._recipientsAwaited = self._recipientsAccepted
            for _ in range(1, self._recipientsAccepted):
                self._owed.append((MESSAGE, self._contentReplied, now))
        if following is not None:
            self._following = following
            self._followingBegun = now
            self._writeGroup(own, following)
        elif shared:
            self._producer = BodyProducer(self, shared)
            self._producer.start()

    def _contentReplied(self, code: bytes, reply: bytes) -> None:
        if self._producer is not None:
            self._repliedTooEarly(code, reply)
            return
        if self._dialogue.lmtp:
            self._recipientReplied(code, reply)
        elif code[0] == _YES:
            self._message = None
            self._session.accepted(self.lastActivity - self._begun, self._recipientsAccepted, self._recipientsRejected)
            self._ready()
        else:
            self._recipientsRejected += self._recipientsAccepted
            self._session.refused(MESSAGE, reply)
            self._reject()
            self._nextOrLeave(code)

    def _repliedTooEarly(self, code: bytes, reply: bytes) -> None:
        """
        A server may refuse while the content still flows. There is no way to stop but to close.
        """
        if code[0] == _YES:
            self._fault("unexpected-reply", f"before all of the content was sent: {shown(reply)}")
            return
        self._recipientsRejected += self._recipientsAccepted
        self._session.refused(MESSAGE, reply)
        self._reject()
        self._close()

    def _recipientReplied(self, code: bytes, reply: bytes) -> None:
        """
        LMTP: what became of one recipient (RFC 2033 section 4.2).
        """
        self._recipientsAwaited -= 1
        if code[0] == _YES:
            self._recipientsDelivered += 1
        else:
            self._recipientsRejected += 1
            self._session.refused(MESSAGE, reply)
            if closesChannel(code):
                self._recipientsRejected += self._recipientsAwaited
                self._recipientsAwaited = 0
        if self._recipientsAwaited:
            return
        if self._recipientsDelivered:
            self._message = None
            self._session.accepted(self.lastActivity - self._begun, self._recipientsDelivered, self._recipientsRejected)
        else:
            self._reject()
        self._nextOrLeave(code)

    def _resetReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] != _YES:
            self._session.refused(RSET, reply)
        self._nextOrLeave(code)

    def _quitReplied(self, code: bytes, reply: bytes) -> None:
        self._close()

    # The replies to a group of commands: the next ones are out already, whatever these say (RFC 2920 section 3.1)

    def _groupMailReplied(self, code: bytes, reply: bytes) -> None:
        self._mailAccepted = code[0] == _YES
        if not self._mailAccepted:
            self._refusedInGroup(MAIL, code, reply)

    def _groupRcptReplied(self, code: bytes, reply: bytes) -> None:
        if not self._mailAccepted:
            return  # it is refused for that reason, and that was told
        if code[0] == _YES:
            self._recipientsAccepted += 1
        else:
            self._recipientsRejected += 1
            self._refusedInGroup(RCPT, code, reply)

    def _groupDataReplied(self, code: bytes, reply: bytes) -> None:
        wanted = self._mailAccepted and self._recipientsAccepted > 0
        spoiled = self._recipientsRejected > 0 and not self._dialogue.tolerant
        if wanted and not spoiled:
            if code == b"354":
                self._sendContent()
            else:
                self._refused(DATA, code, reply)
            return
        self._reject()
        if code == b"354":
            if wanted:
                # Even an empty content would be delivered to those recipients that were accepted.
                self._close()
            else:
                self.write(b".\r\n", MESSAGE, self._loneDotReplied)
        elif closesChannel(code) or not self._dialogue.tolerant:
            self._leave(code)
        elif self._mailAccepted:
            self._reset()
        else:
            self._ready()

    def _loneDotReplied(self, code: bytes, reply: bytes) -> None:
        """
        A server that took DATA without a recipient was sent nothing but the dot. Its answer, most likely a refusal, is
        about no message of ours.
        """
        if self._dialogue.tolerant:
            self._nextOrLeave(code)
        else:
            self._leave(code)

    def _refusedInGroup(self, phase: int, code: bytes, reply: bytes) -> None:
        self._session.refused(phase, reply)
        if closesChannel(code):
            self._reject()
            self._close()

    # What follows from a refusal or a fault

    def _refused(self, phase: int, code: bytes, reply: bytes) -> None:
        """
        The transaction is refused before its content was sent.
        """
        self._session.refused(phase, reply)
        self._reject()
        if self._dialogue.tolerant and not closesChannel(code):
            self._reset()
        else:
            self._leave(code)

    def _reject(self) -> None:
        self._message = None
        self._session.rejected(self._recipientsRejected)

    def _reset(self) -> None:
        self.write(commands.RSET, RSET, self._resetReplied)

    def _nextOrLeave(self, code: bytes) -> None:
        if closesChannel(code):
            self._leave(code)
        else:
            self._ready()

    def _leave(self, code: bytes) -> None:
        """
        No further message on this connection: QUIT, unless the server has said that it hangs up itself.
        """
        if closesChannel(code):
            self._close()
        else:
            self.quit()

    def _writeGroup(self, before: bytes, message: IMessage) -> None:
        """
        Write MAIL, every RCPT and DATA of a message at once, and C{before} before them.
        """
        recipients = message.recipientCommands()
        self.lastActivity = now = self._clock()
        owed = self._owed
        owed.append((MAIL, self._groupMailReplied, now))
        for _ in recipients:
            owed.append((RCPT, self._groupRcptReplied, now))
        owed.append((DATA, self._groupDataReplied, now))
        self.writeGroup(before, b"".join((message.mail, *recipients, commands.DATA)))
