"""
SCRAM-SHA-256 (RFC 5802, RFC 7677): the client's side, without channel binding.

To respond to the server's first message, keys have to be worked out of the password, which is meant to take long: how
long, the server says. So it is not done here. The exchange says what is wanted, a L{Derivation}, and goes on when
somebody has the L{Keys}.
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import b64encode
from collections.abc import Callable

from smtpsource.credentials import SCRAM_ITERATIONS, Credentials
from smtpsource.smtp.exchange import Exchange, fromBase64, preparedUser
from smtpsource.smtp.replies import shown
from smtpsource.smtp.scramkeys import Derivation, Keys, hmacSHA256
from smtpsource.values.saslprep import prepared

#: The longest salt that is taken. Servers have 16 to 64 octets; salts are kept, and must not fill our memory.
LONGEST_SALT = 1024


class SCRAMSHA256(Exchange):
    """
    One login.

    @ivar _step: What answers the next challenge.
    """

    complete = False

    def __init__(
        self, credentials: Credentials, nonce: bytes | None = None, mostIterations: int = SCRAM_ITERATIONS
    ) -> None:
        """
        @see: L{smtpsource.smtp.sasl.exchange}
        """
        user = preparedUser(credentials).replace(b"=", b"=3D").replace(b",", b"=2C")
        self._password = prepared("password", credentials.password, False)
        self._mostIterations = mostIterations
        self._nonce = b64encode(os.urandom(18)) if nonce is None else nonce
        self._bare = b"n=" + user + b",r=" + self._nonce
        self._withoutProof = self._signed = self._signature = b""
        self._step: Callable[[bytes], bytes | Derivation] = self._serverFirst
        self.initial = b"n,," + self._bare

    def respond(self, challenge: bytes) -> bytes | Derivation:
        """
        See L{Exchange.respond}.
        """
        step, self._step = self._step, self._over
        return step(challenge)

    def _serverFirst(self, challenge: bytes) -> Derivation:
        nonce, salt, iterations = self._parsed(challenge)
        self._withoutProof = b"c=biws,r=" + nonce  # biws is "n,,", what the initial response begins with
        self._signed = self._bare + b"," + challenge + b"," + self._withoutProof
        return Derivation(self._password, salt, iterations)

    def _parsed(self, challenge: bytes) -> tuple[bytes, bytes, int]:
        """
        The nonce, the salt and the iterations in the server's first message. RFC 5802 section 7: these three in this
        order, then extensions that need not be known.
        """
        _checkNoError(challenge)
        if challenge.startswith(b"m="):
            raise ValueError("expected no extension from the server that has to be known (m=), for SCRAM")
        match = _SERVER_FIRST.fullmatch(challenge)
        if match is None:
            raise ValueError(
                "expected a nonce, a salt and a number of iterations from the server (r=,s=,i=), for SCRAM, not "
                + shown(challenge)
            )
        nonce = match[1]
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ValueError("expected a nonce from the server that begins with ours and is longer, for SCRAM")
        salt = fromBase64(match[2])
        if not 1 <= len(salt) <= LONGEST_SALT:
            raise ValueError(f"expected a salt of 1 to {LONGEST_SALT} octets from the server, for SCRAM")
        return nonce, salt, self._iterations(match[3])

    def _iterations(self, text: bytes) -> int:
        if not _NUMBER.fullmatch(text):
            raise ValueError(
                f"expected a number of iterations from the server such as i=4096, for SCRAM, not {shown(b'i=' + text)}"
            )
        # The length first: Python refuses to convert very many digits.
        if len(text) > len(str(self._mostIterations)) or int(text) > self._mostIterations:
            asked = text.decode("ascii") if len(text) <= _LONGEST_NUMBER else f"a number of {len(text)} digits"
            raise ValueError(
                f"expected at most {self._mostIterations} iterations from the server, for SCRAM, not {asked} "
                "(--auth-scram-iterations allows more)"
            )
        return int(text)

    def derived(self, keys: Keys) -> bytes:
        """
        See L{Exchange.derived}.
        """
        self._signature = hmacSHA256(keys.server, self._signed)
        self._step = self._serverFinal
        proof = bytes(a ^ b for a, b in zip(keys.client, hmacSHA256(keys.stored, self._signed), strict=True))
        return self._withoutProof + b",p=" + b64encode(proof)

    def _serverFinal(self, challenge: bytes) -> bytes:
        _checkNoError(challenge)
        kind, _, rest = challenge.partition(b"=")
        if kind != b"v":
            raise ValueError("expected the server's signature, for SCRAM")
        if not hmac.compare_digest(fromBase64(rest.partition(b",")[0]), self._signature):
            raise ValueError("expected another signature from the server, for SCRAM: it does not know the password")
        self.complete = True
        return b""

    def _over(self, challenge: bytes) -> bytes:
        raise ValueError("expected no further challenge")


def _checkNoError(challenge: bytes) -> None:
    """
    @raise ValueError: the server says why it goes no further (RFC 5802 section 7, server-error).
    """
    if challenge.startswith(b"e="):
        value = challenge[2:].partition(b",")[0]
        known = value.decode("ascii") if _ERROR.fullmatch(value) else "no reason that can be shown"
        raise ValueError(f"expected the server to go on with SCRAM, and it says: {known}")


#: RFC 5802 section 7: server-first-message, without "m=" and with extensions that need not be known. What the salt and
#: the iterations have to be is seen afterwards, and said.
_SERVER_FIRST = re.compile(rb"r=([!-+\--~]+),s=([^\0,]*),i=([^\0,]*)(?:,[A-Za-z]=[^\0,]+)*")
_NUMBER = re.compile(rb"[1-9][0-9]*")
#: RFC 5802 section 7: server-error-value.
_ERROR = re.compile(rb"[A-Za-z0-9-]{1,60}")

#: A number of more digits is not shown.
_LONGEST_NUMBER = 20
