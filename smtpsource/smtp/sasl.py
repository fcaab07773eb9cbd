"""
Logging in: the client's side of SASL (RFC 4422) as AUTH uses it (RFC 4954). Pure functions and objects on bytes.

An L{Exchange} deals in what the mechanisms say to each other. L{authCommand}, L{decoded} and L{responseLine} put it
into the lines of SMTP::

    talk = exchange("SCRAM-SHA-256", Credentials("user", "pencil"))
    transport.write(authCommand("SCRAM-SHA-256", talk.initial))
    ...
    transport.write(responseLine(talk.respond(decoded(b"334 cj0uLi4=\\r\\n"))))      # for every 334

A challenge that can't be used is a C{ValueError}; L{CANCEL} is the answer to it. No text of an error tells a password.
"""

from __future__ import annotations

import hmac
import os
import re
import stringprep
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import lru_cache
from hashlib import pbkdf2_hmac, sha256
from unicodedata import ucd_3_2_0

from smtpsource.arguments import MECHANISMS
from smtpsource.credentials import Credentials

#: What ends an exchange early; the server answers 501 (RFC 4954 section 4).
CANCEL = b"*\r\n"

#: The longest AUTH command that may have an initial response, with its line end: RFC 4954 section 4 leaves the command
#: under the limit of RFC 5321 section 4.5.3.1.4. All further lines may be longer.
LONGEST_COMMAND = 512

#: More iterations than that of PBKDF2 are taken for a mistake or an attack: they would take seconds.
MOST_ITERATIONS = 10_000_000

#: The longest salt that is taken. Servers have 16 to 64 octets; salts are kept, and must not fill our memory.
LONGEST_SALT = 1024

#: The keys of how many users, as a server salts them, are kept.
KEPT_KEYS = 16384


class Exchange:
    """
    One login, up to the server's verdict.

    @ivar initial: the initial response, raw; C{None} if the server has the first word.
    @ivar complete: all that the mechanism asks for was said, after the initial response. A 235 before that is none to
        trust: the server has not asked who we are, or has not shown that it knows the password (RFC 5802 section 5).
    """

    initial: bytes | None = None
    complete = True

    def respond(self, challenge: bytes) -> bytes:
        """
        The response to a challenge; both raw.

        Where there is an initial response, an empty first challenge is answered with it: the server asks for it
        because it was too long for the command (RFC 4954 section 4, RFC 4422 section 5.1).

        @raise ValueError: the challenge makes no sense here.
        """
        raise NotImplementedError


class _Answers(Exchange):
    """
    Responses that depend on no challenge.
    """

    def __init__(self, initial: bytes | None, *answers: bytes) -> None:
        self.initial = initial
        self.complete = initial is not None
        self._answers = list(answers)
        self._first = True

    def respond(self, challenge: bytes) -> bytes:
        first, self._first = self._first, False
        if first and not challenge and self.initial is not None:
            return self.initial
        if not self._answers:
            raise ValueError("expected no further challenge")
        answer = self._answers.pop(0)
        self.complete = not self._answers
        return answer


def _plain(credentials: Credentials) -> Exchange:
    # RFC 4616 section 2
    return _Answers(b"\0" + _preparedUser(credentials) + b"\0" + _prepared("password", credentials.password, True))


def _login(credentials: Credentials) -> Exchange:
    # draft-murchison-sasl-login: the first challenge asks for the user, the second for the password. Their texts differ
    # from server to server, so that only their order can be trusted.
    return _Answers(None, _utf8("user", credentials.user), _utf8("password", credentials.password))


def _xoauth2(credentials: Credentials) -> Exchange:
    # https://developers.google.com/workspace/gmail/imap/xoauth2-protocol. A refusal comes as a challenge, with JSON,
    # and wants an empty response before it says 535.
    user, token = _utf8("user", credentials.user), _utf8("token", credentials.password)
    for what, text in (("user", user), ("token", token)):
        if b"\1" in text:
            raise ValueError(f"expected a {what} without control characters for XOAUTH2")
    return _Answers(b"user=" + user + b"\1auth=Bearer " + token + b"\1\1", b"")


class _CRAMMD5(Exchange):
    """
    RFC 2195 section 2.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._user = _utf8("user", credentials.user)
        self._key = _utf8("password", credentials.password)
        self.complete = False

    def respond(self, challenge: bytes) -> bytes:
        if self.complete:
            raise ValueError("expected no further challenge")
        if not challenge:
            raise ValueError("expected a challenge that is not empty")
        self.complete = True
        return self._user + b" " + hmac.new(self._key, challenge, "md5").hexdigest().encode("ascii")


class _SCRAMSHA256(Exchange):
    """
    RFC 5802 and RFC 7677, without channel binding.

    @ivar _step: What answers the next challenge.
    """

    complete = False

    def __init__(self, credentials: Credentials, nonce: bytes | None = None) -> None:
        user = _preparedUser(credentials).replace(b"=", b"=3D").replace(b",", b"=2C")
        self._password = _prepared("password", credentials.password, False)
        self._nonce = b64encode(os.urandom(18)) if nonce is None else nonce
        self._bare = b"n=" + user + b",r=" + self._nonce
        self._signature = b""
        self._step: Callable[[bytes], bytes] = self._serverFirst
        self._first = True
        self.initial = b"n,," + self._bare

    def respond(self, challenge: bytes) -> bytes:
        first, self._first = self._first, False
        if first and not challenge and self.initial is not None:
            return self.initial
        step, self._step = self._step, self._over
        return step(challenge)

    def _serverFirst(self, challenge: bytes) -> bytes:
        match = _SERVER_FIRST.fullmatch(challenge)
        if match is None:
            # An extension "m=" that we would have to know (RFC 5802 section 5.1) comes here as well.
            raise ValueError("expected a nonce, a salt and a number of iterations from the server, for SCRAM")
        nonce = match[1]
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ValueError("expected a nonce from the server that begins with ours and is longer, for SCRAM")
        salt = _base64(match[2])
        if not 1 <= len(salt) <= LONGEST_SALT:
            raise ValueError(f"expected a salt of 1 to {LONGEST_SALT} octets from the server, for SCRAM")
        # The length first: Python refuses to convert very many digits.
        if len(match[3]) > 8 or int(match[3]) > MOST_ITERATIONS:
            raise ValueError(f"expected at most {MOST_ITERATIONS} iterations from the server, for SCRAM")
        clientKey, storedKey, serverKey = _keys(self._password, salt, int(match[3]))
        withoutProof = b"c=biws,r=" + nonce  # biws is "n,,", what the initial response begins with
        signed = self._bare + b"," + challenge + b"," + withoutProof
        self._signature = _hmac(serverKey, signed)
        self._step = self._serverFinal
        proof = bytes(a ^ b for a, b in zip(clientKey, _hmac(storedKey, signed), strict=True))
        return withoutProof + b",p=" + b64encode(proof)

    def _serverFinal(self, challenge: bytes) -> bytes:
        kind, _, rest = challenge.partition(b"=")
        value = rest.partition(b",")[0]
        if kind == b"e":
            known = value.decode("ascii") if _ERROR.fullmatch(value) else "no reason that can be shown"
            raise ValueError(f"expected the server's signature, for SCRAM, and it says: {known}")
        if kind != b"v":
            raise ValueError("expected the server's signature, for SCRAM")
        if not hmac.compare_digest(_base64(value), self._signature):
            raise ValueError("expected another signature from the server, for SCRAM: it does not know the password")
        self.complete = True
        return b""

    def _over(self, challenge: bytes) -> bytes:
        raise ValueError("expected no further challenge")


#: RFC 5802 section 7: server-first-message, without "m=" and with extensions that need not be known.
_SERVER_FIRST = re.compile(rb"r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]*)(?:,[A-Za-z]=[^\0,]+)*")
#: RFC 5802 section 7: server-error-value.
_ERROR = re.compile(rb"[A-Za-z0-9-]{1,60}")

_MAKERS: dict[str, Callable[[Credentials], Exchange]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _CRAMMD5,
    "SCRAM-SHA-256": _SCRAMSHA256,
    "XOAUTH2": _xoauth2,
}


def exchange(mechanism: str, credentials: Credentials, *, nonce: bytes | None = None) -> Exchange:
    """
    Begin a login.

    @param mechanism: one of L{MECHANISMS}, in any case.
    @param nonce: what SCRAM takes for the client's nonce, for tests: printable ASCII without commas. By default 144
        random bits.
    @raise ValueError: there is no such mechanism, or it can't transport this user or password: SASLprep (RFC 4013)
        prohibits some characters in PLAIN and SCRAM, and both want a user and a password that are not empty.
    """
    maker = _MAKERS.get(mechanism.upper())
    if maker is None:
        raise ValueError(f"expected one of the mechanisms {', '.join(MECHANISMS)}")
    if maker is _SCRAMSHA256:
        return _SCRAMSHA256(credentials, nonce)
    return maker(credentials)


def authCommand(mechanism: str, initial: bytes | None) -> bytes:
    """
    AUTH (RFC 4954 section 4), with its line end.

    @param initial: the initial response, raw. It is left out if the command would get longer than L{LONGEST_COMMAND};
        the server then asks for it with an empty challenge, and L{Exchange.respond} knows the answer.
    """
    command = b"AUTH " + mechanism.upper().encode("ascii")
    if initial is not None:
        whole = command + b" " + (b64encode(initial) or b"=") + b"\r\n"
        if len(whole) <= LONGEST_COMMAND:
            return whole
    return command + b"\r\n"


def responseLine(response: bytes) -> bytes:
    """
    A raw response as the line that goes to the server (RFC 4954 section 4).
    """
    return b64encode(response) + b"\r\n"


def decoded(reply: bytes) -> bytes:
    """
    The raw challenge in a 334 reply (RFC 4954 section 4).

    @param reply: the whole line, with or without its line end.
    @raise ValueError: it is no such line, or has no base64.
    """
    line = reply.rstrip(b"\r\n")
    if line[:3] != b"334" or line[3:4] not in (b"", b" ") or b"\n" in line:
        raise ValueError("expected a reply of one line with code 334")
    return _base64(line[4:])


def _base64(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise ValueError("expected base64 from the server")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


@lru_cache(maxsize=KEPT_KEYS)
def _keys(password: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes, bytes]:
    """
    ClientKey, StoredKey and ServerKey (RFC 5802 section 3).

    Kept, because a load test logs in again and again: 4096 iterations take about a millisecond, in which the reactor
    stands still.
    """
    salted = pbkdf2_hmac("sha256", password, salt, iterations)
    clientKey = _hmac(salted, b"Client Key")
    return clientKey, sha256(clientKey).digest(), _hmac(salted, b"Server Key")


def _utf8(what: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"expected a {what} that can be written in UTF-8") from None  # the cause quotes the text


def _preparedUser(credentials: Credentials) -> bytes:
    # A "query string" (RFC 3454 section 7) for RFC 5802 section 5.1: a server knows its users' names better than we do.
    return _prepared("user", credentials.user, True)


def _prepared(what: str, text: str, unassigned: bool) -> bytes:
    prepared = _utf8(what, saslprep(what, text, unassigned=unassigned))
    if not prepared:
        raise ValueError(f"expected a {what} that is not empty")
    return prepared


def saslprep(what: str, text: str, *, unassigned: bool = False) -> str:
    """
    Prepare a text as SASLprep has it (RFC 4013 section 2).

    @param what: what an error calls the text, which it must not quote.
    @param unassigned: allow code points that Unicode 3.2 does not know: right for a query, not for what is stored
        (RFC 3454 section 7).
    @raise ValueError: it has a prohibited character, or mixes the directions of writing.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    for character in prepared:
        if any(prohibited(character) for prohibited in _PROHIBITED):
            raise ValueError(f"expected a {what} without the characters that SASLprep prohibits")
        if not unassigned and stringprep.in_table_a1(character):
            raise ValueError(f"expected a {what} without characters that SASLprep does not know")
    if any(map(stringprep.in_table_d1, prepared)) and not (
        # RFC 3454 section 6
        stringprep.in_table_d1(prepared[0])
        and stringprep.in_table_d1(prepared[-1])
        and not any(map(stringprep.in_table_d2, prepared))
    ):
        raise ValueError(f"expected a {what} that is written in one direction, as SASLprep wants")
    return prepared


#: RFC 4013 section 2.3.
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
