"""
Where logins come from: files, and whose turn it is. No text of an error tells a password.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import cycle, islice

from smtpsource.values import inputs
from smtpsource.values.textfiles import read, withoutMark

#: The environment variable that a password may come in: unlike an option, other users of the machine don't see it.
PASSWORD_VARIABLE = "SMTPSOURCE_PASSWORD"


@dataclass(frozen=True)
class Credentials:
    """
    Who logs in.

    @ivar user: the authentication identity; nobody acts for anybody else, so it is the authorization identity as well.
    @ivar password: the password or, for XOAUTH2, the access token. Not in C{repr}.
    """

    user: str
    password: str = field(repr=False)


def parseUsers(text: bytes) -> list[Credentials]:
    """
    Users and their passwords: a line C{user:password} for each, in UTF-8. A password may have colons in it. Blanks are
    part of what they stand in; empty lines and those that begin with C{#} are skipped.

    @raise ValueError: a line is something else; the text has its number. Or there is none at all.
    """
    users = []
    for number, line in enumerate(withoutMark(text).split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        user, _, password = line.partition(b":")
        if not user or not password:
            raise ValueError(f"expected user:password in line {number}")
        try:
            users.append(Credentials(user.decode("utf-8"), password.decode("utf-8")))
        except UnicodeDecodeError:
            raise ValueError(f"expected UTF-8 in line {number}") from None  # the cause has the whole line
    if not users:
        raise ValueError("expected at least one line with user:password")
    return users


def writtenUsers(users: Iterable[Credentials]) -> bytes:
    """
    What L{parseUsers} makes these users of.

    @raise ValueError: there is nothing, such as for a user with a colon.
    """
    everybody = list(users)
    try:
        text = "".join(f"{each.user}:{each.password}\n" for each in everybody).encode("utf-8")
        if parseUsers(text) == everybody:
            return text
    except ValueError:
        pass  # its text is about lines that nobody has written
    raise ValueError("expected users and passwords that a file of users can have")


def readUsers(path: str, *, again: bool = False) -> list[Credentials]:
    """
    What L{parseUsers} finds in a file.

    @param again: see L{inputs.read}.
    @raise ValueError: it can't be read, or has something else in it.
    """
    return parseUsers(read(path, inputs.VALUES, again=again))


def readPassword(path: str) -> str:
    """
    The first line of a file, without its line end, in UTF-8.

    @raise ValueError: it can't be read, or that line is empty.
    """
    line = read(path, inputs.SECRET).partition(b"\n")[0].removesuffix(b"\r")
    if not line:
        raise ValueError("expected a password in the first line")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("expected a password in UTF-8") from None  # the cause has the whole line


class Logins:
    """
    Whose turn it is to log in: all in turn, again and again, so that logins spread over users.
    """

    def __init__(self, credentials: Iterable[Credentials], start: int = 0, step: int = 1) -> None:
        """
        @param start: whose turn it is first, from 0.
        @param step: this is for every so-manieth turn: other processes have those between.
        @raise ValueError: there are none.
        """
        everybody = tuple(credentials)
        if not everybody:
            raise ValueError("expected at least one user")
        self._turns = islice(cycle(everybody), start, None, step)

    def next(self) -> Credentials:
        """
        Who logs in now.
        """
        return next(self._turns)


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
