"""
TOML, as people write it and as strangers may: what is no use is told in one line.
"""

from __future__ import annotations

import re


class Unparsable(ValueError):
    """
    A text is no TOML, or more than any that is of use. Its text says what was expected.

    @ivar place: where it is wrong, such as C{"line 3, column 5"}; empty if that is no single place.
    """

    def __init__(self, text: str, place: str = "") -> None:
        super().__init__(text)
        self.place = place


def parsed(content: bytes) -> dict[str, object]:
    """
    @param content: without a byte order mark.
    @raise Unparsable: it can't be.
    """
    import tomllib  # for those who need it

    try:
        text = content.decode("utf-8")
        _checkDots(text)
        return tomllib.loads(text)
    except UnicodeDecodeError as e:
        line = content.count(b"\n", 0, e.start) + 1
        raise Unparsable("expected UTF-8", f"line {line}")
    except tomllib.TOMLDecodeError as e:
        problem, _, place = str(e).removesuffix(")").rpartition(" (at ")
        raise Unparsable(f"expected TOML: {problem}", place)
    except Unparsable:
        raise
    except ValueError as e:
        raise Unparsable(f"expected numbers with fewer digits: {e}")
    except RecursionError:
        raise Unparsable("expected TOML with fewer brackets in brackets")


#: What of TOML may have characters in it that mean nothing: texts and comments, also those that do not end.
_PATTERN = (
    r'''"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|"(?:[^"\\\n]|\\.)*+"?|'''
    r"""'''(?:[^']|'(?!''))*+(?:'''|\Z)|'[^'\n]*+'?|#[^\n]*+"""
)
TEXT = re.compile(_PATTERN, re.DOTALL)
_MOST_DOTS = 20


def _checkDots(text: str) -> None:
    """
    See that no key has so many parts that the parser, which takes the square of that, would need all memory.
    """
    for piece in re.split(r"[\n=,{}\[\]]", TEXT.sub("x", text)):
        if piece.count(".") > _MOST_DOTS:
            raise Unparsable("expected keys with fewer dots")
