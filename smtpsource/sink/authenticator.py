"""
Who may log in, and how: the server's side of the mechanisms of AUTH.

A mechanism is a generator: it yields its challenges, is sent the responses, and returns the user that it accepts, or
C{None}. A C{ValueError} in it is a response that is badly written.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Generator
from typing import Any

from smtpsource.credentials import readUsers

#: One login, as its mechanism goes through it.
Exchange = Generator[bytes, bytes, bytes | None]

_isCRAM = re.compile(rb"(.+) ([0-9a-f]{32})", re.DOTALL).fullmatch
_isXOAUTH2 = re.compile(rb"user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01", re.IGNORECASE).fullmatch


def loadUsers(path: str) -> dict[str, str]:
    """
    Read a file of users, such as L{readUsers} has it.

    @return: the passwords by the names of the users.
    @raise ValueError: it is no such file; the text is one line.
    """
    return {each.user: each.password for each in readUsers(path)}


def _prepared(text: str) -> str:
    """
    A user or password as SASLprep has it, so that it can be compared; as it is, if that can't be.
    """
    from smtpsource.values.saslprep import saslprep  # for those who have users

    try:
        return saslprep("text", text, unassigned=True)
    except ValueError:
        return text


class Authenticator:
    """
    Who may log in, and how.

    @ivar mechanisms: by their names, in the order in which they are offered.
    """

    def __init__(self, hostname: str, users: dict[str, str] | None = None) -> None:
        """
        @param hostname: for the challenges.
        @param users: passwords by the names of users; C{None} lets everybody in who keeps to the form.
        """
        self._hostname = hostname.encode()
        self._users = None if users is None else {_prepared(user): password for user, password in users.items()}
        self._scramKeys: dict[str, Any] = {}
        self._scram: Any = None
        self.mechanisms: dict[bytes, Callable[[], Exchange]] = {
            b"PLAIN": self._plain,
            b"LOGIN": self._login,
            b"CRAM-MD5": self._cramMD5,
            b"XOAUTH2": self._xoauth2,
        }
        if users is not None:
            # The server proves that it knows the password too: this can't be faked.
            self.mechanisms[b"SCRAM-SHA-256"] = self._scramSHA256

    def _password(self, user: bytes) -> str | None:
        """
        The password of a user as it is in the file; C{None} if there is no such user.
        """
        assert self._users is not None
        return self._users.get(_prepared(user.decode("utf-8", "replace")))

    def _accepts(self, user: bytes, password: bytes) -> bool:
        """
        RFC 4616 section 2 has both sides of the comparison prepared.
        """
        if self._users is None:
            return True
        known = self._password(user)
        return known is not None and _prepared(known) == _prepared(password.decode("utf-8", "surrogateescape"))

    def _plain(self) -> Exchange:
        """
        RFC 4616.
        """
        words = (yield b"").split(b"\0")
        if len(words) != 3 or not words[1]:
            raise ValueError("expected identity NUL user NUL password")
        return words[1] if self._accepts(words[1], words[2]) else None

    def _login(self) -> Exchange:
        """
        draft-murchison-sasl-login; the first response may come with the command.
        """
        user = yield b"Username:"
        password = yield b"Password:"
        return user if self._accepts(user, password) else None

    def _cramMD5(self) -> Exchange:
        """
        RFC 2195.
        """
        challenge = b"<%b@%b>" % (secrets.token_hex(12).encode(), self._hostname)
        match = _isCRAM((yield challenge))
        if match is None:
            raise ValueError("expected user, space, digest")
        if self._users is None:
            return match[1]
        known = self._password(match[1])
        if known is not None and hmac.new(known.encode(), challenge, "md5").hexdigest().encode() == match[2]:
            return match[1]
        return None

    def _xoauth2(self) -> Exchange:
        """
        U{https://developers.google.com/gmail/imap/xoauth2-protocol}: a refusal is a challenge first.
        """
        match = _isXOAUTH2((yield b""))
        if match is None:
            raise ValueError("expected user and token")
        if self._accepts(match[1], match[2]):
            return match[1]
        yield b'{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}'
        return None

    def _scramSHA256(self) -> Exchange:
        """
        RFC 7677. The server's last word is a challenge with an empty response (RFC 4954 section 4).
        """
        from scramp import ScramException  # type: ignore[import-untyped]

        names: list[str] = []

        def keysOf(name: str) -> Any:
            names.append(name)
            return self._scramKeysOf(name)

        server = self._scramMechanism().make_server(keysOf)
        first = (yield b"").decode()
        try:
            server.set_client_first(first)
            challenge = server.get_server_first().encode()
        except ScramException:
            return None
        final = (yield challenge).decode()
        try:
            server.set_client_final(final)
            proof = server.get_server_final().encode()
        except ScramException:
            return None
        if (yield proof):
            raise ValueError("expected an empty response")
        return names[0].encode()

    def _scramMechanism(self) -> Any:
        if self._scram is None:
            from scramp import ScramMechanism

            self._scram = ScramMechanism("SCRAM-SHA-256")
        return self._scram

    def _scramKeysOf(self, user: str) -> Any:
        """
        What the library wants to know of a user: made once, for it is meant to take long.
        """
        user = _prepared(user)  # there are many ways to write one
        keys = self._scramKeys.get(user)
        if keys is None and (password := self._password(user.encode())) is not None:
            keys = self._scramKeys[user] = self._scramMechanism().make_auth_info(password)
        return keys
