"""
What is answered over HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from smtpsource.printable import printable

JSON = "application/json"

#: RFC 9457.
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    """
    An answer that is there.

    @ivar body: empty if there is nothing to say.
    @ivar headers: others than those that follow from the body.
    """

    body: bytes = b""
    contentType: str = JSON
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def asJSON(value: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Answer:
    """
    An answer in JSON.

    @param value: what it says.
    """
    return Answer(json.dumps(value).encode("ascii") + b"\n", JSON, status, headers or {})


class Problem(Exception):
    """
    What was asked for can't be done.

    @ivar answer: says so.
    """

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """
        @param detail: one line: what was wrong, and what would be right.
        """
        detail = printable(detail)
        super().__init__(detail)
        document = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
        self.answer = Answer(json.dumps(document).encode("ascii") + b"\n", PROBLEM, status, headers or {})


def unusable(name: str, value: str, error: Exception) -> Problem:
    """
    A value in a query or a path can't be used.

    @param error: says what was expected.
    """
    return Problem(HTTPStatus.BAD_REQUEST, f"{name}: {printable(value)!r} is not usable: {error}")
