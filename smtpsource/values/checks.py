"""
What a program may give to a plan, and what to tell one that gave something else.

Every check takes one value and returns it the way a plan keeps it, or raises C{ValueError} whose text says what was
expected. Texts of a command line have L{smtpsource.values.numbers}, L{names} and L{files}.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, TypeVar

from smtpsource.values import files, names, numbers

Check = Callable[[Any], Any]

_Instance = TypeVar("_Instance")


def optional(convert: Check) -> Check:
    """
    C{None}, or what another check takes.
    """

    def optionally(value: Any) -> Any:
        if value is None:
            return None
        try:
            return convert(value)
        except ValueError as e:
            raise ValueError(f"{e}, or None")

    return optionally


def wholeNumber(least: int, most: int = numbers.LARGEST) -> Check:
    """
    An C{int} in these bounds.
    """

    def inBounds(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return value

    return inBounds


#: How many there are of something.
count = wholeNumber(1)


def _isTime(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def seconds(value: Any) -> float:
    """
    A time in seconds, more than 0.
    """
    if not _isTime(value) or not 0 < value <= numbers.LARGEST:
        raise ValueError(f"expected a time in seconds of more than 0 and at most {numbers.LARGEST}")
    return value  # type: ignore[no-any-return]


def secondsOrZero(value: Any) -> float:
    """
    A time in seconds, 0 or more.
    """
    if not _isTime(value) or not 0 <= value <= numbers.LARGEST:
        raise ValueError(f"expected a time in seconds from 0 to {numbers.LARGEST}")
    return value  # type: ignore[no-any-return]


def rate(value: Any) -> float:
    """
    How often something happens, per second, more than 0.
    """
    if not _isTime(value) or not 0 < value <= numbers.LARGEST:
        raise ValueError(f"expected a rate per second of more than 0 and at most {numbers.LARGEST}")
    return value  # type: ignore[no-any-return]


def rateOrZero(value: Any) -> float:
    """
    The same, or 0.
    """
    if not _isTime(value) or not 0 <= value <= numbers.LARGEST:
        raise ValueError(f"expected a number from 0 to {numbers.LARGEST}")
    return value  # type: ignore[no-any-return]


def flag(value: Any) -> bool:
    """
    A C{bool}, and nothing that is merely true or false: C{"no"} is true.
    """
    if not isinstance(value, bool):
        raise ValueError("expected True or False")
    return value


def family(value: Any) -> int:
    """
    Which kind of addresses.
    """
    if not isinstance(value, int) or value not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        raise ValueError("expected socket.AF_UNSPEC, AF_INET or AF_INET6")
    return value


def encoded(value: Any) -> bytes:
    """
    Bytes, or a text for its bytes in UTF-8.
    """
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("expected a text that can be encoded as UTF-8")
    if not isinstance(value, bytes):
        raise ValueError("expected a str or bytes")
    return value


def oneLine(value: Any) -> bytes:
    """
    The same, for something that will be a part of one line.
    """
    return names.oneLine(encoded(value))


def text(convert: Callable[[str], Any]) -> Check:
    """
    A C{str} that one of L{smtpsource.values.numbers} takes.
    """

    def converted(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError("expected a str")
        return convert(value)

    return converted


def hostname(value: Any) -> str:
    """
    The name a host says.
    """
    if not isinstance(value, str):
        raise ValueError("expected a host name as a str")
    return names.hostname(value)


def command(value: Any) -> tuple[str, ...]:
    """
    A command line.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise ValueError("expected a tuple of texts, such as ('smtpsource', '-d')")
    return tuple(value)


def tupleOf(convert: Check, ofWhat: str) -> Check:
    """
    A sequence of what another check takes.

    @param ofWhat: what these are, with an example.
    """

    def several(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"expected a tuple of {ofWhat}")
        return tuple(convert(one) for one in value)

    return several


def readableFile(value: Any) -> str:
    """
    The name of a file that is read.
    """
    return files.readableFile(_fileName(value))


def readableFileOrDirectory(value: Any) -> str:
    """
    The same, or that of a directory.
    """
    return files.readableFileOrDirectory(_fileName(value))


def _fileName(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected the name of a file as a str")
    return value


def addresses(value: Any) -> tuple[str, ...]:
    """
    A sequence of IP addresses and networks; all addresses of these.
    """
    if not isinstance(value, list | tuple):
        raise ValueError("expected a tuple of texts, such as ('127.0.0.2', '127.0.1.0/29')")
    if not all(isinstance(one, str) for one in value):
        raise ValueError("expected a str")
    return names.networks(value)


def instance(of: type[_Instance], value: Any) -> _Instance:
    """
    An object of this class.
    """
    if not isinstance(value, of):
        raise ValueError(f"expected an instance of {of.__name__}")
    return value
