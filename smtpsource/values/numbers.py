"""
Option values: what a user may type for a number, a time or a name, and what to tell one who typed something else.

Every function takes the text of one option and returns its value, or raises C{ValueError} whose text says what was
expected (C{"expected a whole number of at least 1"}). The caller adds the option's name and the text itself.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import stat
from collections.abc import Callable

from smtpsource.process import places

_MULTIPLIERS = {"": 1, "k": 1024, "m": 1024 * 1024, "K": 1024, "M": 1024 * 1024}
_COUNT_MULTIPLIERS = {"": 1, "k": 1000, "m": 1000_000, "K": 1000, "M": 1000_000}

_NUMBER = re.compile(r"([0-9]+)([kKmM]?)")
_DECIMAL = r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_DURATION = re.compile(rf"{_DECIMAL}|" + "".join(rf"(?:{_DECIMAL}{unit})?" for unit in ("d", "h", "m", "s", "ms")))
_RATE = re.compile(rf"{_DECIMAL}([kK]?)(?:/([smh]))?")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

#: The most digits that a recipient's number is filled up to: more than there may be in a local part (RFC 5321).
WIDEST = 64

#: The largest number any option takes: it fits a C int, like the options of the tool we stand in for.
LARGEST = 2**31 - 1


def count(text: str) -> int:
    """
    A count of things, at least 1: C{"20"}, C{"10k"} (10 000), C{"2m"} (2 000 000).
    """
    return _number(text, _COUNT_MULTIPLIERS, "a whole number of at least 1, such as 20, 10k or 1m")


def size(text: str) -> int:
    """
    A size in bytes, at least 1: C{"4096"}, C{"10k"} (10 240), C{"1m"} (1 048 576).
    """
    return _number(text, _MULTIPLIERS, "a size in bytes of at least 1, such as 4096, 10k or 1m")


def wholeNumber(least: int, most: int = LARGEST) -> Callable[[str], int]:
    """
    A whole number in these bounds, which are not negative.
    """

    def convert(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(text)

    return convert


def _number(text: str, multipliers: dict[str, int], expected: str) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {expected}")
    value = int(match.group(1)) * multipliers[match.group(2)]
    if value < 1:
        raise ValueError(f"expected {expected}")
    if value > LARGEST:
        raise ValueError(f"expected at most {LARGEST}")
    return value


def seconds(text: str) -> float:
    """
    A time in seconds, more than 0; fractions are welcome: C{"300"}, C{"0.25"}.
    """
    value = _seconds(text)
    if value <= 0:
        raise ValueError("expected a time in seconds of more than 0, such as 10 or 0.25")
    return value


def secondsOrZero(text: str) -> float:
    """
    A time in seconds, 0 or more.
    """
    value = _seconds(text)
    if value < 0:
        raise ValueError("expected a time in seconds of 0 or more, such as 5 or 0.25")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("expected a time in seconds, such as 10 or 0.25")
    if math.isnan(value):
        raise ValueError("expected a time in seconds, such as 10 or 0.25")
    if value > LARGEST:
        raise ValueError(f"expected a time in seconds of at most {LARGEST}")
    return value


def duration(text: str) -> float:
    """
    How long something goes on, in seconds, more than 0: C{"250ms"}, C{"10s"}, C{"5m"}, C{"1h30m"}, C{"2d"}; without a
    unit it is seconds.
    """
    value = _duration(text)
    if not value:
        raise ValueError("expected a duration of more than 0, such as 250ms, 10s, 5m or 1h30m")
    return value


def _duration(text: str) -> float:
    """
    @return: 0 or more.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError("expected a duration such as 250ms, 10s, 5m or 1h30m (a number alone is seconds)")
    plain, days, hours, minutes, seconds, milliseconds = (float(number or 0) for number in match.groups())
    value = plain + 86400 * days + 3600 * hours + 60 * minutes + seconds + milliseconds / 1000
    if value > LARGEST:
        raise ValueError(f"expected a duration of at most {LARGEST} seconds")
    return value


def rate(text: str) -> float:
    """
    How often something happens, per second, more than 0: C{"500/s"} or C{"500"}, C{"10k/s"}, C{"30/m"}, C{"10/h"}.
    """
    value = _rate(text)
    if not value:
        raise ValueError("expected a rate of more than 0, such as 500/s, 30/m or 10/h")
    return value


def _rate(text: str) -> float:
    """
    @return: 0 or more.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("expected a rate such as 500/s, 30/m or 10/h (a number alone is per second)")
    value = float(match[1]) * (1000 if match[2] else 1) / {"s": 1, "m": 60, "h": 3600}[match[3] or "s"]
    if value > LARGEST:
        raise ValueError(f"expected a rate of at most {LARGEST}/s")
    return value


def stages(text: str, sessions: bool = False) -> tuple[tuple[float, float], ...]:
    """
    A course that a load takes: C{"0:0,30s:1000,5m:1000,30s:0"} begins at 0, is 1000 after 30 seconds, still 1000 after
    5 minutes more, and 0 after another 30 seconds; linear in between. A time of 0 is a jump.

    @param sessions: the values are whole numbers of sessions, and not rates.
    @return: for each point, seconds from the one before, and the value: per second, if it is a rate.
    """
    example = "0:1,30s:100,5m:100" if sessions else "0:0,30s:1000,5m:1000,30s:0"
    points = []
    for part in text.split(","):
        seconds, colon, value = part.partition(":")
        if not colon:
            raise ValueError(f"expected stages, each a time from the one before and a value, such as {example}")
        try:
            points.append((_duration(seconds), float(_stageSessions(value)) if sessions else _rate(value)))
        except ValueError as e:
            raise ValueError(f"{e}, in the stage {part!r}")
    if points[0][0]:
        raise ValueError(f"expected the first stage to be at 0, as in {example}")
    if not any(seconds for seconds, _ in points):
        raise ValueError(f"expected stages that take some time, such as {example}")
    if not any(value for _, value in points):
        raise ValueError(f"expected a stage with more than 0, as in {example}")
    if math.fsum(seconds for seconds, _ in points) > LARGEST:
        raise ValueError(f"expected stages of at most {LARGEST} seconds in all")
    return tuple(points)


def _stageSessions(text: str) -> int:
    try:
        return 0 if re.fullmatch("0+", text) else count(text)
    except ValueError:
        raise ValueError("expected a whole number of sessions")


def oneLine(text: bytes) -> bytes:
    """
    Something that will be a part of one line: of a command or a header.
    """
    if b"\r" in text or b"\n" in text or b"\0" in text:
        raise ValueError("expected a text without line ends or NUL bytes")
    return text


def extensionMode(text: str) -> str:
    """
    How an extension of SMTP is used: C{"off"}, C{"auto"}, C{"require"} or C{"force"}.
    """
    if text not in ("off", "auto", "require", "force"):
        raise ValueError("expected off, auto (where it is announced), require or force (even where it is not)")
    return text


def oneOf(*words: str) -> Callable[[str], str]:
    """
    One of these words.
    """

    def convert(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return text

    return convert


#: Whether TLS is there from the first byte, or asked for.
tlsMode = oneOf("off", "starttls", "implicit")

#: A version of HAProxy's PROXY protocol.
proxyProtocol = oneOf("v1", "v2")

#: The versions of TLS.
tlsVersion = oneOf("1.0", "1.1", "1.2", "1.3")

#: What a delivery status notification brings back: RFC 3461 section 4.3.
ret = oneOf("FULL", "HDRS")


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
    A time of RFC 2852 section 4: seconds, and C{;N} (the default) to be told when they are over, or C{;R} to have the
    message returned; a C{T} after that asks for a trace. Only C{N} takes 0 or less.
    """
    match = re.fullmatch(r"([+-]?[0-9]{1,9})(?:;([NR])(T?))?", text.upper())
    if match is None or (match[2] == "R" and int(match[1]) <= 0):
        raise ValueError("expected seconds, such as 120, -30;N or 120;R (which takes more than 0 only)")
    return f"{int(match[1])};{match[2] or 'N'}{match[3] or ''}"


def mechanisms(text: str) -> tuple[str, ...]:
    """
    Names of SASL mechanisms, separated by commas, in order of preference; in any case.
    """
    return tuple(mechanism(name) for name in text.split(","))


def mechanism(text: str) -> str:
    """
    The name of a SASL mechanism.
    """
    if text.upper() not in MECHANISMS:
        raise ValueError(f"expected some of {','.join(MECHANISMS)}")
    return text.upper()


#: What can be used to log in.
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2")

#: The most iterations that a server may ask for in SCRAM, unless something else is said: a second's work, or two.
SCRAM_ITERATIONS = 1_000_000


def ipAddresses(text: str) -> tuple[str, ...]:
    """
    IP addresses, separated by commas.
    """
    return tuple(ipAddress(address) for address in text.split(","))


def ipAddress(text: str) -> str:
    """
    An IPv4 or IPv6 address, in its usual form.
    """
    try:
        if not text.isprintable() or " " in text:
            raise ValueError("a zone may be any text, but not any text is one")
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("expected IP addresses such as 127.0.0.2 or ::1, separated by commas")


def dnsServer(text: str) -> tuple[str, int]:
    """
    The address of a name server, and its port if it is not 53: C{"192.0.2.53"}, C{"127.0.0.1:5353"}, C{"[::1]:5353"}.
    """
    match = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?|([0-9A-Fa-f:]+)", text)
    if match is not None and 1 <= int(match[3] or 53) <= 65535:
        try:
            return str(ipaddress.ip_address(match[1] or match[2] or match[4])), int(match[3] or 53)
        except ValueError:
            pass
    raise ValueError("expected the address of a name server, such as 192.0.2.53, 127.0.0.1:5353 or [::1]:5353")


def numbering(text: str) -> str:
    """
    Where a recipient's number goes: C{"prefix"} or C{"suffix"}.
    """
    if text not in ("prefix", "suffix"):
        raise ValueError("expected prefix or suffix")
    return text


def hostname(text: str) -> str:
    """
    The name a host says in HELO, EHLO or LHLO (RFC 5321 section 4.1.3): a name, or an address literal such as
    C{[192.0.2.1]} or C{[IPv6:2001:db8::1]}.
    """
    if text.startswith("[") or text.endswith("]"):
        return _addressLiteral(text)
    if not text:
        raise ValueError("expected a host name, not an empty text")
    if len(text) > 255:
        raise ValueError("expected a host name of at most 255 characters")
    labels = text.split(".")
    for label in labels:
        if not label:
            raise ValueError("expected a host name without empty labels (two dots in a row, or one at an end)")
        if len(label) > 63:
            raise ValueError("expected a host name with labels of at most 63 characters")
        if not _LABEL.fullmatch(label):
            raise ValueError("expected a host name of letters, digits, '-' and '_', no '-' at the end of a label")
    if all(label.isdigit() for label in labels):
        raise ValueError("expected a host name that is not all numbers (write an address as [192.0.2.1])")
    return text


def _addressLiteral(text: str) -> str:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else ""
    try:
        if "%" in inner:
            raise ValueError("a zone is no part of a literal, and may be any text")
        if inner[:5].lower() == "ipv6:":
            ipaddress.IPv6Address(inner[5:])
        else:
            ipaddress.IPv4Address(inner)
    except ValueError:
        raise ValueError("expected an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]")
    return text


def readableFile(text: str) -> str:
    """
    A file to read, made absolute now: a daemon changes its directory later.
    """
    path = os.path.abspath(text)
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(21, "Is a directory")
        if stat.S_ISREG(mode):
            with open(path, "rb"):
                pass
        elif not os.access(path, os.R_OK):  # who writes to a pipe would take it for its end, were it closed again
            raise PermissionError(13, "Permission denied")
    except OSError as e:
        raise ValueError(f"expected a readable file: {e.strerror}")
    return path


def writableFile(text: str) -> str:
    """
    A file to write, made absolute now; C{"-"} stays what it is and means standard output: see L{places.checked}.
    """
    return places.checked(text)
