"""
Who asks a sink that is controlled, without a reactor.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from smtpsource.printable import printable
from smtpsource.values.serving import Where

#: Seconds after which a sink that says nothing is taken for dead; more than there are between two signs of life in
#: events.
PATIENCE = 60.0


class ControlError(Exception):
    """
    The sink can't be asked, or refuses; the text is one line.

    @ivar status: of the answer (RFC 9110 section 15); 0 if there is none.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """
    Asks one sink.
    """

    def __init__(self, where: Where, token: str | None) -> None:
        self._where = where
        self._token = token

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        contentType: str = "application/json",
        accept: str = "application/json",
        wait: float = 0.0,
        patience: float = PATIENCE,
    ) -> bytes:
        """
        Ask for something.

        @param body: what is sent along.
        @param wait: seconds that the sink was asked to wait.
        @param patience: seconds that it may take besides.
        @return: the body of the answer.
        @raise ControlError: there is none, or it is a problem.
        """
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = contentType
        with self._answered(method, path, body, headers, wait + patience) as response:
            return response.read()

    def askJSON(self, method: str, path: str, document: Any = None, wait: float = 0.0) -> Any:
        """
        The same in JSON.

        @param document: what is sent along; C{None} is nothing.
        @return: what the answer says.
        """
        body = None if document is None else json.dumps(document).encode("ascii")
        answer = self.ask(method, path, body, wait=wait)
        return self._understood(answer)

    def _understood(self, text: bytes | str) -> Any:
        """
        @raise ControlError: it is none of our documents.
        """
        try:
            document = json.loads(text)
        except ValueError:
            raise self._stranger("JSON")
        if not isinstance(document, dict):
            raise self._stranger("an object")
        return _Document(document, self._stranger)

    def _stranger(self, expected: str) -> ControlError:
        return ControlError(f"what answers at {self._where} is no smtpsink: expected {expected}")

    def events(self) -> Iterator[dict[str, Any]]:
        """
        What happens from now on: C{id}, C{event}, and what there is to say about it. It ends with the sink.

        @raise ControlError: see L{ask}.
        """
        with self._answered("GET", "/events", None, {"Accept": "text/event-stream"}, PATIENCE) as response:
            fields: dict[str, str] = {}
            for line in response:
                name, _, value = line.decode("utf-8", "replace").rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    data = self._understood(fields.pop("data"))
                    yield {**fields, **data}
                    fields = {}

    @contextmanager
    def _answered(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float
    ) -> Iterator[HTTPResponse]:
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = _Connection(self._where, timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise ControlError(_detail(response), response.status)
            yield response
        except TimeoutError:
            raise ControlError(f"the sink at {self._where} does not answer")
        except (OSError, HTTPException) as e:
            problem = getattr(e, "strerror", None) or str(e) or type(e).__name__
            raise ControlError(f"can't ask the sink at {self._where}: {printable(problem)}")
        finally:
            connection.close()


class _Document(dict[str, Any]):
    """
    An answer in JSON, of which something is expected.
    """

    def __init__(self, document: dict[str, Any], stranger: Callable[[str], ControlError]) -> None:
        super().__init__(document)
        self._stranger = stranger

    def __missing__(self, key: str) -> Any:
        raise self._stranger(f"{key!r}")


class _Connection(HTTPConnection):
    """
    A connection, over a UNIX socket as well.
    """

    def __init__(self, where: Where, timeout: float) -> None:
        super().__init__(where.host or "localhost", where.port or None, timeout=timeout)
        self._path = where.path

    def connect(self) -> None:
        """
        Connect.
        """
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _detail(response: HTTPResponse) -> str:
    """
    What a problem is.
    """
    try:
        return printable(json.loads(response.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return printable(f"the answer is {response.status} {response.reason}")
