"""
What may be wrong with what was asked for, by what has come of it: one line each, which says what to try.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smtpsource.net.destination import HostDestination
from smtpsource.net.tls.settings import NO_TLS
from smtpsource.phases import BANNER, HELO, MAIL, RCPT

if TYPE_CHECKING:
    from smtpsource.measure.recorder import Recorder
    from smtpsource.plan import SourcePlan

#: In a refusal with another code: the address needs SMTPUTF8 (RFC 6531 section 3.5).
_NEEDS_UTF8 = (b"5.6.7", b"SMTPUTF8", b"RFC 6531", b"RFC6531")

#: What is wrong with a certificate whose issuer may only have to be named.
_UNTRUSTED = ("unknown issuer", "self-signed")

#: An address was refused that is not all ASCII.
UTF8 = "an address that is not all ASCII was refused: perhaps --smtputf8"

#: LHLO was refused; or HELO, by a server that speaks of LMTP.
NOT_LMTP = "LHLO was refused: perhaps this is no LMTP server, and -L is to be left out"
LMTP = "HELO was refused, and the server speaks of LMTP: perhaps -L"

#: Connections were refused because there were others.
TOO_MANY = "the server allows fewer connections: perhaps a lower -s"


def ofSilence(seconds: float) -> str:
    """
    A connection has waited for its banner.

    @param seconds: how long.
    """
    return f"no banner for {seconds:g} s: perhaps --tls implicit"


def ofUneven(sessions: int, workers: int) -> str:
    """
    Workers have the same number of messages to start, and not of sessions.
    """
    return (
        f"{sessions} sessions can't be shared evenly by {workers} workers, each of which starts as many messages: "
        f"expected -s to be a multiple of {workers}, or some wait where others are free"
    )


def ofLog(problem: str) -> str:
    """
    Lines of the log of messages are dropped.
    """
    return f"lines of the message log are dropped: {problem}"


def isSilence(text: str) -> bool:
    """
    Is this what L{ofSilence} says?
    """
    return text.startswith("no banner for ")


def ofTLS(plan: SourcePlan, text: str) -> str | None:
    """
    TLS could not begin.

    @param text: why, as one line.
    """
    settings = plan.tlsSettings
    if settings.verify and settings.ca is None and any(why in text for why in _UNTRUSTED):
        return "the server's certificate is of nobody that is known here: perhaps --tls-ca FILE"
    if plan.tls != "implicit" or NO_TLS not in text:
        return None
    if isinstance(plan.destination, HostDestination) and plan.destination.scheme == "smtps":
        # Otherwise the run ends with it, as one whose destination is not what it says.
        return f"{NO_TLS}: perhaps smtp://, with --tls starttls or without" if plan.tolerant else None
    return f"{NO_TLS}: perhaps --tls starttls, or none"


class Refusals:
    """
    What may be wrong with a plan, by what was refused. Refusals may be many: each thing is looked for only where the
    plan may be wrong with it, and until it is found.
    """

    def __init__(self, plan: SourcePlan, recorder: Recorder) -> None:
        self._lmtp = plan.lmtp
        self._recorder = recorder
        self._notASCII = phasesWithoutASCII(plan)
        self._several = plan.sessionCount > 1 or bool(plan.stages)

    def hint(self, phase: int, reply: bytes) -> str | None:
        """
        What a refusal tells, as one line, or C{None}.

        @param phase: what the reply answers.
        """
        code = reply[:3]
        if phase in self._notASCII:
            if mayNeedUTF8(reply):
                self._notASCII = frozenset()
                return UTF8
        elif phase == HELO and code in (b"500", b"502"):
            if self._lmtp:
                return NOT_LMTP
            if self._isLMTP(reply):
                return LMTP
        elif phase in (BANNER, HELO) and code == b"421" and self._several and isTooMany(reply):
            self._several = False
            return TOO_MANY
        return None

    def _isLMTP(self, reply: bytes) -> bool:
        banners = self._recorder.replySamples[BANNER].values()
        return b"LHLO" in reply.upper() or any(b"LMTP" in banner.upper().split() for banner in banners)


def isTooMany(reply: bytes) -> bool:
    """
    Does a server say that there are more connections than it allows? Postfix, Exim, Sendmail and Exchange say it so.
    """
    text = reply.lower()
    return (b"too many" in text or b"maximum number" in text) and (b"connections" in text or b"sessions" in text)


def mayNeedUTF8(reply: bytes) -> bool:
    """
    Is a refusal of an address one that an address gets which is not all ASCII?
    """
    code = reply[:3]
    return code in (b"501", b"553") or (code == b"550" and any(sign in reply.upper() for sign in _NEEDS_UTF8))


def phasesWithoutASCII(plan: SourcePlan) -> frozenset[int]:
    """
    The commands, MAIL and RCPT, whose addresses may be others than those of ASCII, though no SMTPUTF8 is said.
    """
    if plan.parameters.smtpUTF8:
        return frozenset()
    senders = [plan.sender, *_values(plan.senders)]
    recipients = [plan.recipient, *_values(plan.recipients)]
    return frozenset(
        phase
        for phase, addresses in ((MAIL, senders), (RCPT, recipients))
        if not all(address is None or address.isascii() for address in addresses)
    )


def _values(weighted: Any) -> Sequence[bytes]:
    return () if weighted is None else weighted.values
