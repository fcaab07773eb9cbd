"""
The keys of SCRAM-SHA-256, and what they are made of (RFC 5802 section 3).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac, sha256
from typing import NamedTuple


class Keys(NamedTuple):
    """
    What RFC 5802 section 3 makes of a password.
    """

    client: bytes
    stored: bytes
    server: bytes


@dataclass(frozen=True)
class Derivation:
    """
    What keys are made of. Equal ones have equal keys.

    @ivar password: it is not in C{repr}.
    @ivar salt: the server's, for this user.
    @ivar iterations: of PBKDF2.
    """

    password: bytes = field(repr=False)
    salt: bytes
    iterations: int

    def keys(self) -> Keys:
        """
        Work them out: some 0.7 microseconds for each iteration, in which other threads can run.
        """
        salted = pbkdf2_hmac("sha256", self.password, self.salt, self.iterations)
        client = hmacSHA256(salted, b"Client Key")
        return Keys(client, sha256(client).digest(), hmacSHA256(salted, b"Server Key"))


def hmacSHA256(key: bytes, message: bytes) -> bytes:
    """
    What RFC 5802 section 2.2 calls HMAC(key, str).
    """
    return hmac.digest(key, message, "sha256")
