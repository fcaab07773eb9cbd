"""
What may be wrong with what was asked for, by what has come of it: one line each, which says what to try.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smtpsource.net.destination import HostDestination
from smtpsource.net.tls.settings import NO_TLS
from smtpsource.phases import MAIL, RCPT

if TYPE_CHECKING:
    from smtpsource.plan import SourcePlan

#: In a refusal with another code: the address needs SMTPUTF8 (RFC 6531 section 3.5).
_NEEDS_UTF8 = (b"5.6.7", b"SMTPUTF8", b"RFC 6531", b"RFC6531")

#: An address was refused that is not all ASCII.
UTF8 = "an address that is not all ASCII was refused: perhaps --smtputf8"


def ofSilence(seconds: float) -> str:
    """
    A connection has waited for its banner.

    @param seconds: how long.
    """
    return f"no banner for {seconds:g} s: perhaps --tls implicit"


def ofTLS(plan: SourcePlan, text: str) -> str | None:
    """
    TLS could not begin.

    @param text: why, as one line.
    """
    if plan.tls != "implicit" or NO_TLS not in text:
        return None
    if isinstance(plan.destination, HostDestination) and plan.destination.scheme == "smtps":
        # Otherwise the run ends with it, as one whose destination is not what it says.
        return f"{NO_TLS}: perhaps smtp://, with --tls starttls or without" if plan.tolerant else None
    return f"{NO_TLS}: perhaps --tls starttls, or none"


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
