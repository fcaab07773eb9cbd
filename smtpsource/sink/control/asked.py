"""
What is asked over HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from smtpsource.cli.words import didYouMean, nearest
from smtpsource.printable import printable
from smtpsource.values import numbers
from smtpsource.web.answers import JSON, Answer, Problem, unusable
from smtpsource.web.requests import BoundedRequest

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.web.http import Request

#: The most octets of a body.
LARGEST_BODY = BoundedRequest.largestBody


@dataclass(frozen=True)
class Asked:
    """
    A request that has come whole, from somebody who may ask.

    @ivar method: C{"HEAD"} is C{"GET"} here.
    @ivar names: what stands in the path for its variable parts.
    @ivar query: the parameters after the path; each is there once.
    @ivar contentType: of the body, in small letters and without parameters; empty if there is none.
    @ivar request: the request itself, for who answers by and by.
    """

    method: str
    names: Mapping[str, str]
    query: Mapping[str, str]
    contentType: str
    body: bytes
    request: Request

    def header(self, name: str) -> str | None:
        """
        @return: what a header of the request says.
        """
        value = self.request.getHeader(name.encode("ascii"))
        return None if value is None else value.decode("utf-8", "replace")

    def number(self, name: str) -> int:
        """
        A number that is a part of the path.
        """
        return _number(name, self.names[name], 1, numbers.LARGEST)

    def wanted(self, name: str, least: int, most: int, default: int) -> int:
        """
        A number of the query.
        """
        text = self.query.get(name)
        return default if text is None else _number(name, text, least, most)

    def document(self, *types: str) -> Any:
        """
        The body, in JSON.

        @param types: its types that can be used.
        @raise Problem: it is of another type, or is no JSON.
        """
        self.requireType(*(types or (JSON,)))
        try:
            document = json.loads(self.text(), parse_constant=_refuse)
            # Half of a surrogate pair has no code in UTF-8: nothing could show it.
            json.dumps(document, ensure_ascii=False).encode("utf-8")
            return document
        except json.JSONDecodeError as e:
            problem = f"expected JSON: {e.msg}, at line {e.lineno}, column {e.colno}"
        except (ValueError, RecursionError) as e:
            problem = f"expected JSON: {e}"
        raise Problem(HTTPStatus.BAD_REQUEST, problem)

    def text(self) -> str:
        """
        The body as a text.
        """
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError as e:
            raise Problem(HTTPStatus.BAD_REQUEST, f"expected UTF-8: {e.reason} at octet {e.start + 1}")

    def requireType(self, *types: str) -> None:
        """
        See that the body is of one of these types.
        """
        if self.contentType not in types:
            found = printable(self.contentType) or "nothing"
            headers = {"Accept-Patch" if self.method == "PATCH" else "Accept": ", ".join(types)}
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"Content-Type: {found!r} is not usable: expected {' or '.join(types)}",
                headers,
            )


#: Answers what is asked; C{None} if it has begun to do that itself.
Operation = Callable[[Asked], "Answer | Deferred[Answer] | None"]


@dataclass(frozen=True)
class Does:
    """
    What is done for one method at one path.

    @ivar query: the parameters that it knows.
    """

    operation: Operation
    query: Sequence[str] = ()

    def check(self, query: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
        """
        @param query: all values of each parameter.
        @return: the one of each.
        @raise Problem: it is not known, or is there twice.
        """
        for name, values in query.items():
            if name not in self.query:
                known = f"expected one of {', '.join(self.query)}" if self.query else "expected none here"
                meant = didYouMean(each.lstrip("-") for each in nearest(name, self.query))
                raise Problem(
                    HTTPStatus.BAD_REQUEST, f"{printable(name)!r} is no parameter of the query: {known}{meant}"
                )
            if len(values) > 1:
                raise Problem(HTTPStatus.BAD_REQUEST, f"{name}: {len(values)} values are not usable: expected one")
        return {name: values[0] for name, values in query.items()}


def _number(name: str, text: str, least: int, most: int) -> int:
    try:
        return numbers.wholeNumber(least, most)(text)
    except ValueError as e:
        raise unusable(name, text, e)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number there")
