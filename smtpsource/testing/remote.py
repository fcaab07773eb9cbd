"""
A sink that is asked and told things over HTTP, in the words of a test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from smtpsource.sink.control.client import PATIENCE, Client, ControlError
from smtpsource.values.serving import Where


class SinkGone(RuntimeError):
    """
    The sink does not answer any more; the text says why, in one line.
    """


class SinkBusy(RuntimeError):
    """
    The sink has too many already who wait for something.
    """


class Remote:
    """
    The control of one sink (see docs/control.rst).
    """

    def __init__(self, host: str, port: int, token: str) -> None:
        """
        @param token: lets us in.
        """
        self._client = Client(Where(host, port), token)

    def ask(self, method: str, path: str, document: Any = None, **more: Any) -> Any:
        """
        Ask for something, or have something done.

        @param document: what is sent: bytes are TOML, and all else becomes JSON.
        @param more: see L{asBytes}.
        @return: what the answer says, in JSON.
        @raise LookupError: there is no such thing.
        @raise ValueError: it is not usable; the text is one line, the sink's.
        @raise SinkGone: there is no answer.
        @raise SinkBusy: it may have one later.
        """
        if isinstance(document, bytes):
            return json.loads(self.asBytes(method, path, document, "application/toml", **more))
        body = None if document is None else json.dumps(document).encode("ascii")
        return json.loads(self.asBytes(method, path, body, **more) or b"null")

    def asBytes(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        contentType: str = "application/json",
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        wait: float = 0.0,
        patience: float = PATIENCE,
    ) -> bytes:
        """
        The same for an answer that is not JSON.

        @param query: parameters.
        @param accept: the type of the answer.
        @param wait: seconds that the sink was asked to wait.
        @param patience: seconds that it may take besides.
        @return: the body of the answer.
        """
        try:
            whole = f"{path}?{urlencode(query)}" if query else path
            return self._client.ask(method, whole, body, contentType, accept, wait, patience)
        except ControlError as e:
            if e.status == 404:
                raise LookupError(str(e)) from None
            if e.status == 503:
                raise SinkBusy(str(e)) from None
            if 400 <= e.status < 500:
                raise ValueError(str(e)) from None
            raise SinkGone(str(e)) from None
