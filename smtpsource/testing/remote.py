"""
A sink that is asked and told things over HTTP, by whoever waits for the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

#: Seconds that an answer may take, beside those that were asked for.
PATIENCE = 60.0


class SinkGone(RuntimeError):
    """
    The sink does not answer any more; the text says why, in one line.
    """


class Remote:
    """
    The control of one sink (see docs/control.rst).
    """

    def __init__(self, url: str, token: str) -> None:
        """
        @param url: where it is served, such as C{http://127.0.0.1:8025}.
        @param token: lets us in.
        """
        where = urlsplit(url)
        self._host, self._port = where.hostname or "", where.port or 80
        self._token = token

    def ask(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        wait: float = 0.0,
    ) -> Any:
        """
        Ask for something, or have something done.

        @param document: what is sent: bytes are TOML, and all else becomes JSON.
        @param query: parameters.
        @param wait: seconds that the sink was asked to wait.
        @return: the answer: from JSON, or a text if that was asked for, or bytes for anything else.
        @raise LookupError: there is no such thing.
        @raise ValueError: it is not usable; the text is one line, the sink's.
        @raise SinkGone: there is no answer.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept}
        body = None
        if document is not None:
            isTOML = isinstance(document, bytes)
            headers["Content-Type"] = "application/toml" if isTOML else "application/json"
            body = document if isTOML else json.dumps(document).encode("utf-8")
        status, contentType, answer = self._exchange(
            method, f"{path}?{urlencode(query)}" if query else path, body, headers, wait
        )
        if status == 404:
            raise LookupError(_detail(answer))
        if 400 <= status < 500:
            raise ValueError(_detail(answer))
        if status >= 500:
            raise SinkGone(f"the sink has a problem: {_detail(answer)}")
        if contentType == "application/json":
            return json.loads(answer)
        return answer.decode("utf-8") if contentType.startswith("text/") else answer

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], wait: float
    ) -> tuple[int, str, bytes]:
        # A connection for each: tests have threads, and fork.
        connection = HTTPConnection(self._host, self._port, timeout=wait + PATIENCE)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return response.status, response.headers.get_content_type(), response.read()
        except (OSError, HTTPException) as e:
            raise SinkGone(f"the sink does not answer: {e or type(e).__name__}") from e
        finally:
            connection.close()


def _detail(answer: bytes) -> str:
    """
    What a problem is (RFC 9457).
    """
    try:
        return str(json.loads(answer)["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.decode("utf-8", "replace").strip()
