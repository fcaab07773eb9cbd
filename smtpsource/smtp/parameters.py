"""
Parameters of MAIL and RCPT (RFC 5321 section 4.1.2), and the extensions that they need.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from smtpsource.values import checks, kinds, names, numbers
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch


def xtext(value: str) -> bytes:
    """
    A value in the encoding of RFC 3461 section 4: what is not printable, and "+" and "=", in hexadecimal after a "+".

    @param value: characters beyond ASCII are written in UTF-8. Bytes of a command line that are no UTF-8, as Python
        has them in C{sys.argv}, go through as they are.
    """
    return b"".join(_XTEXT[octet] for octet in value.encode("utf-8", "surrogateescape"))


_XTEXT = [bytes((n,)) if 33 <= n <= 126 and n not in b"+=" else b"+%02X" % n for n in range(256)]


#: The most seconds of BY, which has at most nine digits (RFC 2852 section 4).
_LONGEST_BY = 999_999_999

#: What a delivery status notification brings back: RFC 3461 section 4.3.
Returned = Literal["FULL", "HDRS"]
ret = names.oneOf(*get_args(Returned))


def notify(text: str) -> str:
    """
    When the sender wants to be told (RFC 3461 section 4.1): C{"NEVER"}, or some of C{"SUCCESS"}, C{"FAILURE"} and
    C{"DELAY"}, separated by commas; in any case.
    """
    words = text.upper().split(",")
    if words != ["NEVER"] and not ({*words} <= {"SUCCESS", "FAILURE", "DELAY"} and len({*words}) == len(words)):
        raise ValueError("expected NEVER, or some of SUCCESS,FAILURE,DELAY")
    return ",".join(words)


def envelopeId(text: str) -> str:
    """
    A sender's name for an envelope, of 1 to 100 characters (RFC 3461 section 4.4).
    """
    if not 1 <= len(text) <= 100 or not text.isprintable() or not text.isascii():
        raise ValueError("expected 1 to 100 printable ASCII characters")
    return text


def priority(text: str) -> int:
    """
    A priority of RFC 6710: -9 to 9.
    """
    if not re.fullmatch(r"[+-]?[0-9]", text):
        raise ValueError("expected a priority from -9 to 9")
    return int(text)


def deliverBy(text: str) -> str:
    """
    A time of RFC 2852 section 4, in whole seconds, and C{;N} (the default) to be told when they are over, or C{;R} to
    have the message returned; a C{T} after that asks for a trace. Only C{N} takes 0 or less.
    """
    expected = "expected whole seconds, such as 120, 2h, -30;N or 120;R (which takes more than 0 only)"
    match = re.fullmatch(r"([+-]?)([^;eE]+)(?:;([NRnr])([Tt]?))?", text)
    if match is None:
        raise ValueError(expected)
    try:
        seconds = numbers.timeOrZero(match[2]) * (-1 if match[1] == "-" else 1)
    except ValueError:
        raise ValueError(expected)
    mode = (match[3] or "N").upper()
    if seconds != int(seconds) or abs(seconds) > _LONGEST_BY or (mode == "R" and seconds <= 0):
        raise ValueError(expected)
    return f"{int(seconds)};{mode}{match[4].upper() if match[4] else ''}"


class Parameters(Settings, checked=False):
    """
    What is asked of the server with every message.

    @ivar eightBitMIME: C{BODY=8BITMIME} (RFC 6152).
    @ivar smtpUTF8: C{SMTPUTF8} (RFC 6531).
    @ivar size: C{SIZE} and the content's size (RFC 1870).
    @ivar notify: C{NOTIFY}'s value for every recipient, such as C{"SUCCESS,FAILURE"} (RFC 3461 section 4.1), or
        C{None}.
    @ivar ret: C{RET}'s value: C{"FULL"} or C{"HDRS"} (RFC 3461 section 4.3).
    @ivar envid: C{ENVID}'s value, not encoded (RFC 3461 section 4.4).
    @ivar requireTLS: C{REQUIRETLS} (RFC 8689).
    @ivar mtPriority: C{MT-PRIORITY}'s value, -9 to 9 (RFC 6710).
    @ivar deliverBy: C{BY}'s value, such as C{"120;R"} (RFC 2852 section 4).
    """

    eightBitMIME: bool = switch("MAIL with BODY=8BITMIME", long="8bitmime", default=False)
    smtpUTF8: bool = switch("MAIL with SMTPUTF8", long="smtputf8", default=False)
    size: bool = switch("MAIL with SIZE: that of the largest message of this run", default=False)
    notify: str | None = option(
        "WHEN",
        Kind(names.Worded(("NEVER", "SUCCESS", "FAILURE", "DELAY"), notify), checks.text(notify)),
        "RCPT with NOTIFY: NEVER, or some of SUCCESS,FAILURE,DELAY",
        long="dsn-notify",
        default=None,
    )
    ret: Returned | None = option(
        "WHAT",
        Kind(names.Worded(ret.words, lambda text, ret=ret: ret(text.upper())), checks.text(ret)),  # type: ignore[misc]
        "MAIL with RET: FULL or HDRS",
        long="dsn-ret",
        default=None,
    )
    envid: str | None = option(
        "ID", kinds.text(envelopeId), "MAIL with ENVID, the envelope's id", long="dsn-envid", default=None
    )
    requireTLS: bool = switch(
        "MAIL with REQUIRETLS, which servers offer within TLS only", long="requiretls", default=False
    )
    mtPriority: int | None = option(
        "N", Kind(priority, checks.wholeNumber(-9, 9)), "MAIL with MT-PRIORITY, from -9 to 9", default=None
    )
    deliverBy: str | None = option(
        "TIME",
        kinds.text(deliverBy),
        "MAIL with BY: deliver within; ;N or ;R may follow",
        long="deliverby",
        default=None,
    )

    @property
    def dsn(self) -> bool:
        """
        Is anything said of delivery status notifications?
        """
        return any(value is not None for value in (self.notify, self.ret, self.envid))

    def extensions(self) -> tuple[str, ...]:
        """
        The keywords that a server has to announce.
        """
        wanted = {
            "8BITMIME": self.eightBitMIME,
            "SMTPUTF8": self.smtpUTF8,
            "SIZE": self.size,
            "DSN": self.dsn,
            "REQUIRETLS": self.requireTLS,
            "MT-PRIORITY": self.mtPriority is not None,
            "DELIVERBY": self.deliverBy is not None,
        }
        return tuple(keyword for keyword, isWanted in wanted.items() if isWanted)

    def ofMail(self, size: int) -> bytes:
        """
        What MAIL says after its reverse-path, each parameter after a blank.

        @param size: of the content, in bytes.
        """
        found = []
        if self.eightBitMIME:
            found.append("BODY=8BITMIME")
        if self.smtpUTF8:
            found.append("SMTPUTF8")
        if self.size:
            found.append(f"SIZE={size}")
        if self.ret is not None:
            found.append(f"RET={self.ret}")
        if self.envid is not None:
            found.append(f"ENVID={xtext(self.envid).decode()}")
        if self.requireTLS:
            found.append("REQUIRETLS")
        if self.mtPriority is not None:
            found.append(f"MT-PRIORITY={self.mtPriority}")
        if self.deliverBy is not None:
            found.append(f"BY={self.deliverBy}")
        return "".join(f" {parameter}" for parameter in found).encode("ascii")

    def ofRcpt(self) -> bytes:
        """
        What RCPT says after its forward-path.
        """
        return b"" if self.notify is None else b" NOTIFY=" + self.notify.encode("ascii")
