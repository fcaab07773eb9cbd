"""
Who may ask: those who have the token, where there is one; and no page of somebody else's in a browser on this machine.
"""

from __future__ import annotations

import hmac
import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from smtpsource.printable import printable
from smtpsource.values.serving import Where
from smtpsource.web.answers import Problem

if TYPE_CHECKING:
    from twisted.web.http import Request


class Guard:
    """
    Lets requests in, or does not.

    @cvar wanted: how a token may be given, in words.
    """

    wanted = "Authorization: Bearer TOKEN"

    def __init__(self, where: Where, token: str | None, realm: str) -> None:
        """
        @param where: where they come to.
        @param token: what they need; C{None} is nothing.
        @param realm: who they come to.
        """
        self._where = where
        self._realm = realm
        self._token = None if token is None else token.encode("ascii")

    def check(self, request: Request) -> None:
        """
        @raise Problem: it may not be answered.
        """
        host = self._checkedHost(request)
        origin = request.getHeader(b"origin")
        if origin is not None and _hostOf(origin) != host:
            raise Problem(HTTPStatus.FORBIDDEN, "requests from pages of other sites are not taken")
        if self._token is not None:
            self._checkToken(request, self._token)

    def givenBy(self, request: Request) -> bytes:
        """
        @return: the token that came along with a request; empty if there was none.
        """
        scheme, _, given = (request.getHeader(b"authorization") or b"").strip().partition(b" ")
        return given.strip() if scheme.lower() == b"bearer" else b""

    def _checkedHost(self, request: Request) -> str:
        """
        See that the client knows where it is: a page whose name was made to lead here (DNS rebinding) does not.
        """
        given = request.requestHeaders.getRawHeaders(b"host") or []
        if len(given) > 1 or (not given and request.clientproto != b"HTTP/1.0"):
            raise Problem(HTTPStatus.BAD_REQUEST, f"{len(given)} Host headers are not usable: expected one")
        host = given[0].decode("latin-1").lower() if given else ""
        if host and not self._where.path and self._token is None and not self._isOurs(host):
            expected = f"{self._where.host}, localhost or an address"
            raise Problem(HTTPStatus.MISDIRECTED_REQUEST, f"Host: {printable(host)!r} is not here: expected {expected}")
        return host

    def _isOurs(self, host: str) -> bool:
        name, _, port = host.rpartition(":")
        if not port.isdigit():
            name = host
        if name in ("localhost", self._where.host.lower()):
            return True
        try:
            # An address is what it says: no name server has a part in it.
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def _checkToken(self, request: Request, token: bytes) -> None:
        if not hmac.compare_digest(self.givenBy(request), token):
            problem = f"a token is needed here: expected {self.wanted}"
            raise Problem(HTTPStatus.UNAUTHORIZED, problem, {"WWW-Authenticate": f'Bearer realm="{self._realm}"'})


def _hostOf(origin: bytes) -> str | None:
    """
    The host and the port of a page.
    """
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower()
    except ValueError:
        return None
