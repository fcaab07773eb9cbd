"""
What one value of a world's file means. Each function raises C{ValueError} with what was expected.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from smtpsource.sink.dns.world import ANY
from smtpsource.sink.rules import amounts
from smtpsource.values import names

#: The most bytes of a TXT record.
_MOST_TEXT = 4096

_NAME = re.compile(r"[a-z0-9_*]([a-z0-9_*-]{0,61}[a-z0-9_*])?(\.[a-z0-9_*]([a-z0-9_*-]{0,61}[a-z0-9_*])?)*")


def text(convert: Callable[[str], Any], example: str) -> Callable[[Any], Any]:
    """
    What takes nothing but texts.

    @param convert: gives what a text means.
    """

    def converted(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"expected a text, such as {example}")
        return convert(value)

    return converted


def wholeSeconds(value: Any) -> int:
    """
    A time without fractions of a second, as the DNS has them; 0 or more.
    """
    seconds = amounts.timeOrZero(value)
    if seconds != int(seconds):
        raise ValueError("expected whole seconds, such as '1m'")
    return int(seconds)


def chance(value: Any) -> float:
    """
    In how many of all cases; more than 0, and up to 1.
    """
    share = amounts.share(value)
    if not share:
        raise ValueError("expected a chance of more than 0%, such as '30%'")
    return share


def domain(value: str) -> str:
    """
    The name of a domain, or of several, with stars; in lower case and without a final dot.
    """
    return _name(value, "a domain, such as 'gmail.test' or '*.slow.test'")


def host(value: str) -> str:
    """
    The name of one host.
    """
    expected = "the name of a host, such as 'mx1.gmail.test'"
    name = _name(value, expected)
    if ANY in name:
        raise ValueError(f"expected {expected}")
    return name


def exchange(value: str) -> tuple[int, str]:
    """
    An MX record: preference and host; a star stands for the name of the domain.
    """
    expected = "a preference up to 65535 and a host, such as '10 mx1.gmail.test' or '10 mx.*'"
    found = re.fullmatch(r"([0-9]{1,5}) +(\S+)", value.strip())
    if found is None or int(found[1]) > 65535:
        raise ValueError(f"expected {expected}")
    name = _name(found[2], expected)
    if name.count(ANY) > 1 or (ANY in name and ANY not in name.split(".")):
        raise ValueError(f"expected {expected}: a star stands for the domain, and once")
    return int(found[1]), name


def _name(value: str, expected: str) -> str:
    name = value.removesuffix(".").lower()
    if not name.isascii():
        name = names.inASCII(name)
    # What is below arpa is there for the addresses.
    if not _NAME.fullmatch(name) or len(name) > 253 or name == "arpa" or name.endswith(".arpa"):
        raise ValueError(f"expected {expected}")
    return name


def content(value: str) -> bytes:
    """
    What a TXT record says.
    """
    encoded = value.encode()
    if len(encoded) > _MOST_TEXT:
        raise ValueError(f"expected at most {_MOST_TEXT} bytes")
    return encoded


def address(value: str) -> str:
    """
    A loopback address.
    """
    expected = "expected a loopback address, such as '127.0.0.9' or '::1'"
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(expected) from None
    if not found.is_loopback:
        raise ValueError(expected)
    return str(found)


def firstAddress(value: str) -> str:
    """
    The same, of IPv4.
    """
    found = address(value)
    if ":" in found:
        raise ValueError("expected an IPv4 loopback address, such as '127.0.1.1'")
    return found
