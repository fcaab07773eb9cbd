"""
What a user may type for a name, an address or one of several words, and what to tell one who typed something else.

Every function is as those of L{smtpsource.values.numbers} are.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

_Value = TypeVar("_Value", covariant=True)

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def oneLine(text: bytes) -> bytes:
    """
    Something that will be a part of one line: of a command or a header.
    """
    if b"\r" in text or b"\n" in text or b"\0" in text:
        raise ValueError("expected a text without line ends or NUL bytes")
    return text


class Worded(Generic[_Value]):
    """
    What a text means where it is made of known words, which a shell can complete.

    @ivar words: all of them.
    """

    def __init__(self, words: tuple[str, ...], convert: Callable[[str], _Value]) -> None:
        self.words = words
        self._convert = convert

    def __call__(self, text: str) -> _Value:
        return self._convert(text)


def oneOf(*words: str) -> Worded[str]:
    """
    One of these words.
    """

    def convert(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return text

    return Worded(words, convert)


#: The most addresses that networks may come to.
MOST_ADDRESSES = 65536


def ipAddresses(text: str) -> tuple[str, ...]:
    """
    IP addresses, and networks for all addresses of hosts in them, separated by commas: C{127.0.0.2,127.0.1.0/29}.
    """
    return networks(text.split(","))


def networks(texts: Iterable[str]) -> tuple[str, ...]:
    """
    Addresses, and those of all hosts in networks.

    @raise ValueError: one of them is neither, or there are too many.
    """
    found: list[str] = []
    for text in texts:
        if "/" not in text:
            found.append(ipAddress(text))
            continue
        try:
            if "%" in text:
                raise ValueError("a zone is none of a network")
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(_ADDRESSES)
        address, _, length = text.partition("/")
        if ipaddress.ip_address(address) != network.network_address:
            raise ValueError(f"expected a network such as {network}, not an address in it")
        if network.num_addresses > MOST_ADDRESSES:
            least = network.max_prefixlen - MOST_ADDRESSES.bit_length() + 1
            raise ValueError(
                f"expected a network of at most {MOST_ADDRESSES} addresses, from /{least} on, not /{length}"
            )
        found += map(str, network.hosts())
        if len(found) > MOST_ADDRESSES:
            raise ValueError(f"expected at most {MOST_ADDRESSES} addresses in all")
    return tuple(found)


_ADDRESSES = "expected IP addresses such as 127.0.0.2 or ::1, or networks such as 127.0.0.0/29, separated by commas"


def ipAddress(text: str) -> str:
    """
    An IPv4 or IPv6 address, in its usual form.
    """
    try:
        if not text.isprintable() or " " in text:
            raise ValueError("a zone may be any text, but not any text is one")
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(_ADDRESSES)


def inASCII(host: str) -> str:
    """
    A host name as the DNS has it: of one with other characters, its A-labels (RFC 5890 section 2.3.2.1), by IDNA 2008.
    Python's own codec has IDNA 2003, for which some names are those of another host.

    @raise ValueError: it can't be such a name; the text says why.
    """
    if host.isascii():
        return host
    import idna  # for those who need it

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError as e:
        raise ValueError(f"expected an international host name such as m\u00fcller.example: {e}")


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
