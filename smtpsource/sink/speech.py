"""
How a steered session says things: at once, later, slowly, in bits, or no more; and when it listens.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from smtpsource.sink.protocol import SMTPSinkProtocol

if TYPE_CHECKING:
    from smtpsource.sink.rules.facts import Facts, Fate
    from smtpsource.sink.steering import Steering

#: Seconds until a reply that is due while the sink is paused looks again.
PAUSE = 0.05

# The last lines of replies that refuse.
_REFUSALS = re.compile(rb"^[45][0-9][0-9](?: |\r)", re.MULTILINE)

#: What is said instead of a reply by a fate that garbles it.
GARBAGE = b"\x16\x03\xff 2?0 \xe2\x28\xa1 ok-ish\xff\r\n"

#: Pieces a second of a reply that stutters, unless it has fewer bytes a second.
_PIECES = 50

#: So many replies are kept back for one write, and no more: a client that says much at once may not read any.
_MOST_REPLIES = 100


class Speech(SMTPSinkProtocol):
    """
    What is said, and when. While a reply waits for its time nothing is read; what was read before waits as well.

    @ivar steering: what the sink is steered by.
    @ivar facts: what is known of the session by now.
    """

    facts: Facts

    _errors = 0
    _throttle: float | None = None
    # A reply waits for its time; nothing is said any more.
    _isHeld = False
    _isStalled = False
    # The sink is stopping, and this session ends when that reply is out.
    _endsAfter = False
    _timer: Any = None
    # When it fires, more is read from a client that sends too fast.
    _throttleTimer: Any = None
    _transcript: Any = None
    # Messages and recipients that were written into the ledger: whose replies are still to be said; whose replies were
    # said, and since then nothing has come from the client. And whether the ledger knows where the session comes from.
    _unsaid = _unseen = 0
    _isNamed = False
    # The connection is lost.
    _isGone = False

    def connectionMade(self) -> None:
        """
        See L{SMTPSinkProtocol}.
        """
        self.steering: Steering = cast("Any", self.factory).steering
        self._replies: list[bytes] = []
        # For whom nothing is read: the transport of a client that does not read; a reply that waits; a client that
        # sends too fast; a user who pauses the sink.
        self._stops: set[str] = set()
        super().connectionMade()

    def _proceed(self) -> None:
        """
        Answer what has come, as far as nothing has to wait.
        """
        raise NotImplementedError

    # -- Listening

    def stop(self, why: str) -> None:
        """
        Read nothing, until this and all others that want it are over.
        """
        if not self._stops:
            super().pauseProducing()
        self._stops.add(why)

    def go(self, why: str) -> None:
        """
        As far as this goes, read again, and answer what was read meanwhile.
        """
        if why in self._stops:
            self._stops.discard(why)
            if not self._stops and self.transport is not None and (self._wantsTLS or not self._ended):
                # Which has an empty piece of data received.
                super().resumeProducing()

    def pauseProducing(self) -> None:
        """
        The client does not read what is said to it.
        """
        self.stop("transport")

    def resumeProducing(self) -> None:
        """
        It does.
        """
        self.go("transport")

    def _throttleBy(self, fate: Fate) -> None:
        if fate.throttle is not None:
            self._throttle = fate.throttle

    def _slowDown(self, size: int, throttle: float) -> None:
        """
        Read nothing, and look at nothing, for as long as what was read takes.

        @param size: of that, in bytes.
        @param throttle: bytes a second.
        """
        if self._throttleTimer is not None and self._throttleTimer.active():
            self._throttleTimer.delay(size / throttle)
        else:
            self.stop("throttle")
            self._throttleTimer = self.steering.callLater(size / throttle, self.go, "throttle")

    def idledOut(self) -> None:
        """
        A client that is not listened to can say nothing.
        """
        if not (self._isStalled or self._stops - {"transport"}):
            super().idledOut()

    # -- Waiting

    def _hold(self, delay: float, call: Any, *arguments: Any) -> None:
        """
        Do something after a delay, and nothing before.
        """
        self._isHeld = True
        self.stop("hold")
        self._timer = self.steering.callLater(delay, self._held, call, *arguments)

    def _held(self, call: Any, *arguments: Any) -> None:
        """
        The delay is over; but nobody is answered while the sink is paused.
        """
        if "pause" in self._stops:
            self._hold(PAUSE, call, *arguments)
        else:
            call(*arguments)

    def _release(self) -> None:
        """
        Go on.
        """
        self._isHeld = False
        if self._endsAfter:
            self._endsAfter = False
            self._flush()
            if self._wantsTLS:
                self.abort()
            else:
                super().endSoon()
        self.go("hold")
        self._proceed()

    def endSoon(self) -> None:
        """
        The sink is stopping: whoever waits for a reply gets it first.
        """
        if self._isHeld:
            self._ending = self._endsAfter = True
            self.commands = self.dialogue.toQuit
        else:
            super().endSoon()

    # -- Speaking

    def _say(self, reply: bytes, fate: Fate | None = None, delay: float = 0.0) -> None:
        """
        Give a reply, in the way that its fate has it.

        @param reply: the usual one.
        @param delay: seconds that it waits in any case.
        """
        if fate is None and not delay and not self._errors and reply[:1] in (b"2", b"3"):
            self._keepBack(reply)
            return
        if fate is not None and fate.reply is not None:
            reply = fate.reply
        if reply[:1] in (b"4", b"5") or b"\n" in reply[:-1]:
            self._errors += len(_REFUSALS.findall(reply))
        if self._errors:
            reply, delay = self._tarpitted(reply, delay)
        if fate is None and not delay:
            if reply:
                self._keepBack(reply)
            return
        self._flush()
        if fate is not None:
            self._throttleBy(fate)
            delay += fate.delay
            if fate.garble:
                reply = GARBAGE
            elif fate.isSilent:
                reply = b""
        if delay:
            self._hold(delay, self._sayNow, reply, fate)
        else:
            self._sayNow(reply, fate)

    def _keepBack(self, reply: bytes) -> None:
        """
        Have a reply go out with those that come next.
        """
        self._replies.append(reply)
        if len(self._replies) >= _MOST_REPLIES:
            self._flush()

    def _tarpitted(self, reply: bytes, delay: float) -> tuple[bytes, float]:
        """
        What is said to one who has been refused, and after what delay.
        """
        tarpit = self.steering.rulesFor(self.facts).tarpit
        if tarpit is None:
            return reply, delay
        more = tarpit.delay(self._errors)
        if self._errors >= (tarpit.closeAfter or self._errors + 1):
            reply, self._ended = tarpit.reply, True
        elif not more:
            return reply, delay
        self.steering.count("tarpit", self.facts)
        return reply, delay + more

    def _sayNow(self, reply: bytes, fate: Fate | None) -> None:
        if reply and fate is not None and fate.stutter is not None:
            size = max(1, round(fate.stutter / _PIECES))
            self._utter(reply, size, size / fate.stutter, fate)
        elif reply and fate is not None and fate.split:
            self._utter(reply, 1, 0.0, fate)
        else:
            if reply:
                self._replies.append(reply)
            self._said(fate)

    def _utter(self, reply: bytes, size: int, interval: float, fate: Fate) -> None:
        """
        Say so many bytes, and the others later.
        """
        self._send(reply[:size])
        if len(reply) > size:
            self._hold(interval, self._utter, reply[size:], size, interval, fate)
        else:
            self._said(fate)

    def _said(self, fate: Fate | None) -> None:
        """
        A reply is out: do what comes after it.
        """
        if fate is not None:
            if fate.reset:
                self._flush()
                # Some reactors write at the end of a turn, or in the next one.
                self._hold(0.0, self._hold, 0.0, self.abort)
                return
            if fate.close:
                self._ended = True
            elif fate.stall:
                self._flush()
                self._isStalled = True
        if self._isHeld:
            self._release()

    def _flush(self) -> None:
        """
        Write the replies that are ready, in one write.
        """
        if self._replies:
            replies, self._replies = self._replies, []
            self._send(b"".join(replies))

    def _send(self, reply: bytes) -> None:
        if self._unsaid:
            self._unseen += self._unsaid
            self._unsaid = 0
        if self._transcript is not None:
            self._transcript.server(reply)
        super()._send(reply)

    def _loseTimer(self) -> None:
        """
        The connection is gone: nothing waits any more.
        """
        self._isGone = True
        for timer in (self._timer, self._throttleTimer):
            if timer is not None and timer.active():
                timer.cancel()
