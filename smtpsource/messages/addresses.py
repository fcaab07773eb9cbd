"""
Senders and recipients from files, and the domains of recipients.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from smtpsource.messages import weighted
from smtpsource.messages.weighted import Weighted
from smtpsource.values import checks, files, names, numbers

#: What can't be a part of an address between angle brackets; and what makes one worth a second look.
_NEVER = re.compile(rb"[\x00-\x1f\x7f<>]")
_UNUSUAL = re.compile(rb"[\x00-\x1f\x7f<>,;\"':]|@.*@")

#: What may have commas and semicolons in it: a quoted local part, and RFC 5321's source route before an address.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ROUTE = re.compile(rb'\A@[^,;@"]+(?:,@[^,;@"]+)*:')

#: An address that is quoted as a whole, as a field of a table may be.
_WHOLE = re.compile(rb"\"[^\"]*@[^\"]*\"|'[^']*@[^']*'")

#: What the column of addresses may be called in the heading of a table.
_HEADINGS = re.compile(
    rb"e?-?mails?|(e?-?mail[-_]?)?address(es)?|recipients?|senders?|rcpt|to|from|username", re.IGNORECASE
)


def sender(text: bytes) -> bytes:
    """
    An address in a file, as it is put between angle brackets; C{<>} is the null sender.
    """
    return b"" if text == b"<>" else recipient(text)


def recipient(text: bytes) -> bytes:
    """
    An address in a file, as it is put between angle brackets. It need not have a domain.
    """
    if text and not _UNUSUAL.search(text):
        return text
    if not text or _NEVER.search(text):
        raise ValueError("expected an address such as user@example.com, without angle brackets")
    if _WHOLE.fullmatch(text):
        raise ValueError("expected an address such as user@example.com, without quotes around all of it")
    bare = _ROUTE.sub(b"", _QUOTED.sub(b"", text))
    if b"," in bare or b";" in bare:
        raise ValueError(
            "expected one address in a line, and maybe a weight after a blank, without a comma or semicolon outside of "
            "quotes"
        )
    if bare.count(b"@") > 1 or bare[:7].lower() == b"mailto:":
        raise ValueError("expected one address in a line, such as user@example.com, and nothing before or after it")
    return text


def readSenders(path: str) -> Weighted[bytes]:
    """
    A file of senders: an address in each line, and maybe its weight.

    @raise ValueError: it can't be read, or has something else in it.
    """
    return _read(files.readableFile(path), sender)


def readRecipients(path: str) -> Weighted[bytes]:
    """
    The same for recipients.
    """
    return _read(files.readableFile(path), recipient)


def _read(path: str, convert: Callable[[bytes], bytes]) -> Weighted[bytes]:
    found = weighted.read(path, convert, _checkLine)
    first, *others = found.values
    if _HEADINGS.fullmatch(first.strip(b'"')) and any(b"@" in other for other in others):
        number, _ = next(weighted.lines(path))
        raise ValueError(f"expected addresses only, and no heading {first.decode('ascii')}, in line {number}")
    return found


def _checkLine(line: bytes) -> None:
    if b"<" not in line:
        return
    name, _, rest = line.partition(b"<")
    if b">" in rest and name.strip() and b"#" not in name:
        raise ValueError("expected an address such as user@example.com, without a name and angle brackets")


def domains(text: str) -> Weighted[bytes]:
    """
    Domains and their weights: C{"a.test:9,b.test:1"}; without a weight it is 1.
    """
    found, weights = [], []
    for part in text.split(","):
        name, colon, number = part.rpartition(":")
        if not colon or number.endswith("]"):  # an address literal has colons, too
            name, number = part, "1"
        try:
            found.append(names.hostname(name).encode("ascii"))
            weights.append(weighted.weight(number))
        except ValueError as e:
            raise ValueError(f"{e}, in the domain {part!r}") from None
    if not any(weights):
        raise ValueError("expected a domain with a weight of more than 0, as in a.test:9,b.test:1")
    return Weighted(tuple(found), tuple(weights))


def givenSenders(value: Any) -> Weighted[bytes]:
    """
    What a program may give for C{senders}: addresses, or pairs of an address and its weight. An empty address is the
    null sender.
    """
    return _given(value, lambda text: text if text == b"" else recipient(text))


def givenRecipients(value: Any) -> Weighted[bytes]:
    """
    The same for C{recipients}, which can't be empty.
    """
    return _given(value, recipient)


def _given(value: Any, convert: Any) -> Weighted[bytes]:
    if isinstance(value, Weighted):
        return Weighted(tuple(convert(checks.oneLine(one)) for one in value.values), value.weights)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("expected addresses, or pairs of an address and its weight")
    pairs = [one if isinstance(one, list | tuple) else (one, None) for one in value]
    if not all(len(pair) == 2 for pair in pairs):
        raise ValueError("expected addresses, or pairs of an address and its weight")
    values = tuple(convert(checks.oneLine(one)) for one, _ in pairs)
    if all(number is None for _, number in pairs):
        return Weighted(values)
    return Weighted(values, tuple(1.0 if number is None else _weight(number) for _, number in pairs))


def givenDomains(value: Any) -> Weighted[bytes]:
    """
    What a program may give for C{domains}: the text of the option, or names, or pairs of a name and its weight.
    """
    if isinstance(value, str):
        return domains(value)
    found = weighted.evenly(_given(value, recipient))
    for name in found.values:
        names.hostname(os.fsdecode(name))
    return found


def _weight(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"expected a weight from 0 to {numbers.LARGEST}")
    return float(value)
