"""
Users and passwords as mechanisms of SASL want them: in UTF-8, and prepared by SASLprep (RFC 4013). No text of an error
tells a password.
"""

from __future__ import annotations

import stringprep
from unicodedata import ucd_3_2_0


def utf8(what: str, text: str) -> bytes:
    """
    @param what: what an error calls the text, which it must not quote.
    @raise ValueError: it can't be written in UTF-8.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"expected a {what} that can be written in UTF-8") from None  # the cause quotes the text


def prepared(what: str, text: str, unassigned: bool) -> bytes:
    """
    A text that is not empty, as L{saslprep} has it, in UTF-8.

    @raise ValueError: it is empty, or can't be prepared or written.
    """
    found = utf8(what, saslprep(what, text, unassigned=unassigned))
    if not found:
        raise ValueError(f"expected a {what} that is not empty")
    return found


def saslprep(what: str, text: str, *, unassigned: bool = False) -> str:
    """
    Prepare a text as SASLprep has it (RFC 4013 section 2).

    @param what: what an error calls the text, which it must not quote.
    @param unassigned: allow code points that Unicode 3.2 does not know: right for a query, not for what is stored
        (RFC 3454 section 7).
    @raise ValueError: it has a prohibited character, or mixes the directions of writing.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    for character in prepared:
        if any(prohibited(character) for prohibited in _PROHIBITED):
            raise ValueError(f"expected a {what} without the characters that SASLprep prohibits")
        if not unassigned and stringprep.in_table_a1(character):
            raise ValueError(f"expected a {what} without characters that SASLprep does not know")
    if any(map(stringprep.in_table_d1, prepared)) and not (
        # RFC 3454 section 6
        stringprep.in_table_d1(prepared[0])
        and stringprep.in_table_d1(prepared[-1])
        and not any(map(stringprep.in_table_d2, prepared))
    ):
        raise ValueError(f"expected a {what} that is written in one direction, as SASLprep wants")
    return prepared


#: RFC 4013 section 2.3.
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
