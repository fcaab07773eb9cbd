"""
The beginning of a connection: everything that is said before the first message.

The order is: the PROXY header, implicit TLS, the banner, the greeting, STARTTLS and the greeting again, XCLIENT and the
greeting again, AUTH. Each is there only if the dialogue asks for it. AUTH is in L{smtpsource.smtp.authentication}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IHandshakeListener
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.phases import BANNER, HELO, NAMES, STARTTLS, TLS, TLS_RESUMED, XCLIENT
from smtpsource.smtp import commands
from smtpsource.smtp.owed import OwedReplies
from smtpsource.smtp.replies import NO, YES, capabilities, closesChannel, missing, shown

if TYPE_CHECKING:
    from smtpsource.interfaces import ISession
    from smtpsource.measure.recorder import Recorder
    from smtpsource.net.tls.client import TLSConnection


@implementer(IHandshakeListener)
class Opening(OwedReplies):
    """
    A client that gets a connection ready for messages, whatever that takes.

    @ivar serverName: the name of the host that this is connected to, if it is not that of the destination.
    """

    serverName: str | None = None

    _tls: TLSConnection | None = None
    _greeted = False  # the server has accepted a greeting
    _introduced = False  # XCLIENT was accepted
    _chunked = False

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
        self._useExtensions({})

    def opened(self) -> None:
        """
        The connection is ready for messages.
        """
        raise NotImplementedError

    def quit(self) -> None:
        """
        End the connection in order.
        """
        raise NotImplementedError

    # The connection and its TLS

    def connectionMade(self) -> None:
        """
        The server speaks first, unless a header or TLS comes before that.
        """
        dialogue = self._dialogue
        if dialogue.proxyHeader is not None:
            try:
                header = dialogue.proxyHeader(self.transport.getPeer())  # type: ignore[union-attr]
            except Exception as e:
                self._session.fault("connect-failed", f"can't make a PROXY header: {str(e) or type(e).__name__}")
                self._close()
                return
            self._writeProxyHeader(header)
        if dialogue.implicitTLS:
            self._startTLS()
        else:
            self._awaitBanner()

    def _writeProxyHeader(self, header: bytes) -> None:
        self._recorder.bytesSent += len(header)
        self.transport.write(header)  # type: ignore[union-attr]

    def _awaitBanner(self) -> None:
        self.lastActivity = now = self._clock()
        self._owed.append((BANNER, self._bannerReplied, now))

    def _startTLS(self) -> None:
        assert self._dialogue.tls is not None
        try:
            self._tls = self._dialogue.tls(self.serverName)
            self.lastActivity = now = self._clock()
            # No reply answers this; but it is owed, and the server may be late with it.
            self._owed.append((TLS, self._bannerReplied, now))
            self.transport.startTLS(self._tls)  # type: ignore[union-attr]
        except Exception as e:
            self._fault("tls-failed", f"can't begin TLS: {str(e) or type(e).__name__}")

    def handshakeCompleted(self) -> None:
        """
        TLS is there, if we like what the server has shown.
        """
        if self.over or self._tls is None:
            return
        _, _, begun = self._owed.popleft()
        self.lastActivity = now = self._clock()
        from smtpsource.net.tls.client import TLSFailed  # it is loaded by now, and only by those who need it

        try:
            self._tls.completed()
        except TLSFailed as e:
            self._fault(e.kind, e.text)
            return
        self._recorder.handshake(TLS_RESUMED if self._tls.resumed else TLS, now - begun, self._tls.description)
        if self._dialogue.implicitTLS:
            self._awaitBanner()
        else:
            self._greet()

    def explained(self, reason: Failure) -> tuple[str, str] | None:
        """
        TLS may know why the connection was lost.
        """
        return None if self._tls is None else self._tls.explained(reason)

    # The banner and the greeting

    def _bannerReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == YES or self._goOnAfterRefusal(BANNER, code, reply):
            self._greet()

    def _greet(self) -> None:
        if self._dialogue.greeting is None:
            self.opened()
        else:
            self.write(self._dialogue.greeting, HELO, self._greetingReplied)

    def _greetingReplied(self, code: bytes, reply: bytes) -> None:
        if self._tls is not None:
            self._tls.remember()  # tickets have come by now
        if code[0] == YES:
            if self._dialogue.proxyHeader is not None:
                self._greeted = True
            if self._dialogue.extended:
                self._goOn(capabilities(reply))
                return
        elif code[0] == NO and self._dialogue.fallback is not None and not closesChannel(code) and not self._doubtful:
            self.write(self._dialogue.fallback, HELO, self._fallbackReplied)
            return
        elif self._dialogue.demands:
            self._giveUp(HELO, code, reply, self._inVain(code))
            return
        elif not self._goOnAfterRefusal(HELO, code, reply):
            return
        self.opened()

    def _inVain(self, code: bytes) -> str:
        """
        What a refused greeting means where extensions are asked for.
        """
        assert self._dialogue.greeting is not None
        lacking = [keyword for keyword in self._dialogue.demands if keyword != "STARTTLS" or self._tls is None]
        if not lacking or closesChannel(code):
            return ""
        verb = self._dialogue.greeting.split()[0].decode("ascii")
        return f"{verb} refused, and {' and '.join(lacking)} {'was' if len(lacking) == 1 else 'were'} asked for"

    def _fallbackReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == YES or self._goOnAfterRefusal(HELO, code, reply):
            self.opened()

    def _goOnAfterRefusal(self, phase: int, code: bytes, reply: bytes) -> bool:
        """
        A refused greeting: a tolerant client tries its luck all the same, as long as the server stays and nothing is
        needed that only a greeting can tell.
        """
        if self._dialogue.tolerant and not closesChannel(code) and not self._dialogue.demands:
            self._session.refused(phase, reply)
            return True
        self._giveUp(phase, code, reply)
        return False

    def _giveUp(self, phase: int, code: bytes, reply: bytes, what: str = "") -> None:
        """
        Without what was refused here no message can be sent.

        @param what: as in L{ISession.refused}.
        """
        if self._doubtful:
            what = self._doubted(what or f"{NAMES[phase]} refused")
        self._session.refused(phase, reply, what)
        self._session.rejected(0)
        self._leave(code)

    def _lostWhile(self, text: str) -> str:
        return self._doubted(super()._lostWhile(text))

    @property
    def _doubtful(self) -> bool:
        """
        May what the server says be the answer to a PROXY header that it has taken for a command?
        """
        return self._dialogue.proxyHeader is not None and not self._greeted and self._tls is None

    def _doubted(self, text: str) -> str:
        """
        What went wrong, and what the reason may be.
        """
        return f"{text}, and the server may not expect the PROXY header before it" if self._doubtful else text

    def _leave(self, code: bytes) -> None:
        """
        No further message on this connection: QUIT, unless the server has said that it hangs up itself.
        """
        if closesChannel(code):
            self._close()
        else:
            self.quit()

    # What comes after the greeting, one after the other

    def _goOn(self, announced: dict[str, str]) -> None:
        """
        Do what comes next, now that it is known what the server can.
        """
        dialogue = self._dialogue
        if dialogue.startsTLS and self._tls is None:
            if self._has(announced, ("STARTTLS",)):
                self.write(commands.STARTTLS, STARTTLS, self._startTLSReplied)
        elif dialogue.xclient and not self._introduced:
            self._introduce(announced)
        elif self._has(announced, dialogue.required):
            self._recorder.announced(announced)
            self._useExtensions(announced)
            if dialogue.mechanisms:
                self._logIn(announced)
            else:
                self.opened()

    def _has(self, announced: dict[str, str], wanted: tuple[str, ...]) -> bool:
        """
        Does the server announce all of these? If not, this is the end.
        """
        lacking = missing(announced, wanted)
        if not lacking:
            return True
        self._notAnnounced(announced, ", ".join(lacking))
        return False

    def _notAnnounced(self, announced: dict[str, str], what: str) -> None:
        self._recorder.announced(announced)
        self._session.fault("not-announced", f"the server does not announce {what}, which is asked for")
        self.quit()

    def _useExtensions(self, announced: dict[str, str]) -> None:
        """
        Use those that may be used: what is required is there, or it would not have come to this.
        """
        pipelining, chunking = self._dialogue.pipelining, self._dialogue.chunking
        self._grouped = pipelining == "force" or (pipelining != "off" and "PIPELINING" in announced)
        self._chunked = chunking == "force" or (chunking != "off" and "CHUNKING" in announced)

    def _startTLSReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] != YES:
            self._giveUp(STARTTLS, code, reply)
        elif self._unsolicited is not None:
            # RFC 3207 section 6: whoever has put it there wants it to be taken for what was said in TLS.
            text, self._unsolicited = self._unsolicited, None
            self._fault("plain-text-after-starttls", f"after the reply to STARTTLS came {shown(text)}")
        else:
            self._startTLS()

    def _introduce(self, announced: dict[str, str]) -> None:
        from smtpsource.smtp import xclient  # for those who need it

        if not self._has(announced, ("XCLIENT",)):
            return
        lacking = xclient.missing(self._dialogue.xclient, announced["XCLIENT"])
        if lacking:
            self._notAnnounced(announced, f"XCLIENT {' '.join(lacking)}")
        else:
            self.write(xclient.command(self._dialogue.xclient), XCLIENT, self._xclientReplied)

    def _xclientReplied(self, code: bytes, reply: bytes) -> None:
        """
        The server begins anew: what it says is a banner.
        """
        if code[0] != YES:
            self._giveUp(XCLIENT, code, reply)
        else:
            self._introduced = True
            self._greet()

    def _logIn(self, announced: dict[str, str]) -> None:
        """
        Log in, which comes last; then the connection is ready.
        """
        raise NotImplementedError
