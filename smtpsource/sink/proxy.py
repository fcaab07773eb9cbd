"""
The header with which a proxy begins a connection: HAProxy's PROXY protocol, versions 1 and 2
(U{https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt}).

Twisted's own parsers are private, and some headers make them raise errors of all kinds.
"""

from __future__ import annotations

import re
import socket
import struct

#: What a header of version 2 begins with.
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

_LONGEST_V1 = 107
_V1 = re.compile(rb"PROXY (?:UNKNOWN(?: [^\r]*)?|TCP([46]) ([^ ]+) ([^ ]+) ([0-9]{1,5}) ([0-9]{1,5}))\r\n")
_FAMILIES = {b"4": socket.AF_INET, b"6": socket.AF_INET6}

# By the upper half of the byte for family and protocol: how long the addresses are, and where the first one ends.
_V2_ADDRESSES = {0: (0, 0), 1: (12, 4), 2: (36, 16), 3: (216, 108)}


def parse(data: bytes) -> tuple[bytes, int] | None:
    """
    Read a header.

    @param data: what has come so far.
    @return: the address of the source, as the bytes that the network has for it (C{b""} if the header doesn't tell),
        and the length of the header; or C{None} if more is to come.
    @raise ValueError: it is no header, and won't become one.
    """
    if data.startswith(SIGNATURE[: len(data)]):
        return _parseV2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _parseV1(data)
    raise ValueError("no PROXY header")


def _parseV1(data: bytes) -> tuple[bytes, int] | None:
    end = data.find(b"\r\n", 0, _LONGEST_V1)
    if end < 0:
        if len(data) >= _LONGEST_V1:
            raise ValueError("a PROXY header that is too long")
        return None
    match = _V1.fullmatch(data, 0, end + 2)
    if match is None:
        raise ValueError("a PROXY header that is badly written")
    version, source, destination, *ports = match.groups()
    if version is None:
        return b"", end + 2
    if max(map(int, ports)) > 65535:
        raise ValueError("a port that is none")
    family = _FAMILIES[version]
    _packed(family, destination)
    return _packed(family, source), end + 2


def _packed(family: int, address: bytes) -> bytes:
    try:
        return socket.inet_pton(family, address.decode("ascii"))
    except (OSError, ValueError):
        raise ValueError("an address that is none")


def _parseV2(data: bytes) -> tuple[bytes, int] | None:
    if len(data) < 16:
        return None
    command, family, length = struct.unpack_from("!BBH", data, 12)
    if command not in (0x20, 0x21):
        raise ValueError("an unknown version or command of the PROXY protocol")
    if family >> 4 not in _V2_ADDRESSES or family & 15 > 2:
        raise ValueError("an unknown family or protocol of the PROXY protocol")
    size, first = _V2_ADDRESSES[family >> 4]
    if command == 0x20 or not family & 15:
        # LOCAL, the proxy's own connection; or a protocol that isn't told: whatever is there is no address.
        size = first = 0
    if length < size:
        raise ValueError("a PROXY header without all of its addresses")
    if len(data) < 16 + length:
        return None
    return data[16 : 16 + first].rstrip(b"\0" if first == 108 else b""), 16 + length


def addressOf(packed: bytes) -> str:
    """
    An address as a PROXY header has it.
    """
    families = {4: socket.AF_INET, 16: socket.AF_INET6}
    return socket.inet_ntop(families[len(packed)], packed) if len(packed) in families else "local"
