"""
Logging in: the client's side of SASL (RFC 4422) as AUTH uses it (RFC 4954). Pure functions and objects on bytes.

An L{Exchange} deals in what the mechanisms say to each other. A L{Login} puts it into the lines of SMTP::

    login = Login("LOGIN", Credentials("user", "pencil"))
    transport.write(login.command)
    ...
    transport.write(login.respond(b"334 VXNlcm5hbWU6\\r\\n"))      # for every 334

A challenge that can't be used is a C{ValueError}. No text of an error tells a password.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from smtpsource.credentials import MECHANISMS, SCRAM_ITERATIONS, Credentials
from smtpsource.smtp.exchange import Exchange, fromBase64, preparedUser
from smtpsource.values.saslprep import prepared, utf8

if TYPE_CHECKING:
    from smtpsource.smtp.scramkeys import Derivation, Keys

#: The longest AUTH command that may have an initial response, with its line end: RFC 4954 section 4 leaves the command
#: under the limit of RFC 5321 section 4.5.3.1.4. All further lines may be longer.
LONGEST_COMMAND = 512

#: Challenges that a server may put to us before it says yes or no: more than any mechanism needs.
MOST_CHALLENGES = 10


class _Answers(Exchange):
    """
    Responses that depend on no challenge.
    """

    heedsChallenges = False

    def __init__(self, initial: bytes | None, *answers: bytes) -> None:
        self.initial = initial
        self.complete = initial is not None
        self._answers = list(answers)

    def respond(self, challenge: bytes) -> bytes:
        if not self._answers:
            raise ValueError("expected no further challenge")
        answer = self._answers.pop(0)
        self.complete = not self._answers
        return answer


def _plain(credentials: Credentials) -> Exchange:
    # RFC 4616 section 2
    return _Answers(b"\0" + preparedUser(credentials) + b"\0" + prepared("password", credentials.password, True))


def _login(credentials: Credentials) -> Exchange:
    # draft-murchison-sasl-login: the first challenge asks for the user, the second for the password. Their texts differ
    # from server to server, so that only their order can be trusted.
    return _Answers(None, utf8("user", credentials.user), utf8("password", credentials.password))


def _xoauth2(credentials: Credentials) -> Exchange:
    # https://developers.google.com/workspace/gmail/imap/xoauth2-protocol. A refusal comes as a challenge, with JSON,
    # and wants an empty response before it says 535.
    user, token = utf8("user", credentials.user), utf8("token", credentials.password)
    for what, text in (("user", user), ("token", token)):
        if b"\1" in text:
            raise ValueError(f"expected a {what} without control characters for XOAUTH2")
    return _Answers(b"user=" + user + b"\1auth=Bearer " + token + b"\1\1", b"")


class _CRAMMD5(Exchange):
    """
    RFC 2195 section 2.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._user = utf8("user", credentials.user)
        self._key = utf8("password", credentials.password)
        self.complete = False

    def respond(self, challenge: bytes) -> bytes:
        if self.complete:
            raise ValueError("expected no further challenge")
        if not challenge:
            raise ValueError("expected a challenge that is not empty")
        self.complete = True
        return self._user + b" " + hmac.new(self._key, challenge, "md5").hexdigest().encode("ascii")


_MAKERS: dict[str, Callable[[Credentials], Exchange]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _CRAMMD5,
    "XOAUTH2": _xoauth2,
}


def exchange(
    mechanism: str,
    credentials: Credentials,
    *,
    nonce: bytes | None = None,
    mostIterations: int = SCRAM_ITERATIONS,
) -> Exchange:
    """
    Begin a login.

    @param mechanism: one of L{MECHANISMS}, in any case.
    @param nonce: what SCRAM takes for the client's nonce, for tests: printable ASCII without commas. By default 144
        random bits.
    @param mostIterations: how many iterations a server may ask for in SCRAM.
    @raise ValueError: there is no such mechanism, or it can't transport this user or password: SASLprep (RFC 4013)
        prohibits some characters in PLAIN and SCRAM, and both want a user and a password that are not empty.
    """
    if mechanism.upper() == "SCRAM-SHA-256":
        from smtpsource.smtp.scram import SCRAMSHA256  # for those who need it

        return SCRAMSHA256(credentials, nonce, mostIterations)
    maker = _MAKERS.get(mechanism.upper())
    if maker is None:
        raise ValueError(f"expected one of the mechanisms {', '.join(MECHANISMS)}")
    return maker(credentials)


class Login:
    """
    An L{Exchange} in lines of SMTP: AUTH, and the answer to every 334.

    @ivar command: the AUTH command, with its line end.
    """

    def __init__(self, mechanism: str, credentials: Credentials, *, mostIterations: int = SCRAM_ITERATIONS) -> None:
        """
        @see: L{exchange}
        """
        self._exchange = exchange(mechanism, credentials, mostIterations=mostIterations)
        self.command = authCommand(mechanism, self._exchange.initial)
        self._challenges = 0
        # Too long for the command, it will be asked for.
        self._withheld = self._exchange.initial is not None and len(self.command.split()) == 2

    @property
    def complete(self) -> bool:
        """
        All that the mechanism asks for was said: see L{Exchange.complete}.
        """
        return self._exchange.complete and not self._withheld

    def respond(self, reply: bytes) -> bytes | Derivation:
        """
        The line that answers a 334 reply. Or what has to be worked out first: see L{derived}.

        Where there is an initial response, an empty first challenge is answered with it: the server asks for it (RFC
        4954 section 4, RFC 4422 section 5.1). If it was too long for the command, the first challenge asks for it
        whatever it says; where responses depend on no challenge, what they say is ignored, too. Servers say all kinds
        of things there, in base64 or not, and want the same.

        @param reply: the whole reply.
        @raise ValueError: the challenge makes no sense here.
        """
        self._challenges += 1
        if self._challenges > MOST_CHALLENGES:
            raise ValueError(f"expected at most {MOST_CHALLENGES} challenges")
        initial = self._exchange.initial
        if initial is not None and self._challenges == 1 and (self._withheld or not reply[3:].strip()):
            self._withheld = False
            return responseLine(initial)
        response = self._exchange.respond(decoded(reply) if self._exchange.heedsChallenges else b"")
        return responseLine(response) if isinstance(response, bytes) else response

    def derived(self, keys: Keys) -> bytes:
        """
        The line that answers the last challenge, now that the keys are there that it has asked for.
        """
        return responseLine(self._exchange.derived(keys))


def authCommand(mechanism: str, initial: bytes | None) -> bytes:
    """
    AUTH (RFC 4954 section 4), with its line end.

    @param initial: the initial response, raw. It is left out if the command would get longer than L{LONGEST_COMMAND};
        the server then asks for it with a challenge.
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
    The raw challenge in a 334 reply (RFC 4954 section 4). Blanks around it are no part of it.

    @param reply: the whole line, with or without its line end.
    @raise ValueError: it is no such line, or has no base64.
    """
    line = reply.rstrip(b"\r\n")
    if line[:3] != b"334" or line[3:4] not in (b"", b" ", b"\t") or b"\n" in line:
        raise ValueError("expected a challenge to be a reply of one line with code 334")
    return fromBase64(line[4:].strip(b" \t"))
