"""
Where a sink is controlled, and by whom: what a user may write for it.
"""

from __future__ import annotations

import os

from smtpsource.net.destination import LONGEST_PATH
from smtpsource.values import inputs, textfiles
from smtpsource.values.serving import Where, hostAndPort

#: The environment variable that may have the token.
TOKEN_VARIABLE = "SMTPSINK_CONTROL_TOKEN"

#: The fewest characters of a token: nobody guesses so many.
SHORTEST_TOKEN = 16

_EXPECTED = "expected [HOST:]PORT or unix:PATH, such as 8025, [::1]:8025 or unix:/run/sink.control"


def parseControl(text: str) -> Where:
    """
    A place as a user writes it: C{[HOST:]PORT}, where the host is 127.0.0.1 if there is none, or C{unix:PATH}.

    @raise ValueError: it is neither; the text says what would be right.
    """
    return _socket(text.removeprefix("unix:")) if text.startswith("unix:") else hostAndPort(text, _EXPECTED)


def _socket(path: str) -> Where:
    if not path or "\0" in path:
        raise ValueError(_EXPECTED)
    path = os.path.abspath(path)
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ValueError(f"expected the path of a socket to be at most {LONGEST_PATH} bytes, as the system wants")
    return Where(path=path)


def checkedToken(text: str) -> str:
    """
    A token that can be used.

    @raise ValueError: it is too short to be a secret, or can't stand in a header; the text does not repeat it.
    """
    if len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"expected a token of {SHORTEST_TOKEN} or more letters, digits and signs of ASCII")
    return text


def readToken(path: str) -> str:
    """
    The token in the first line of a file.

    @raise ValueError: there is none.
    """
    line = textfiles.read(path, inputs.SECRET).partition(b"\n")[0].strip()
    return checkedToken(line.decode("utf-8", "replace"))


def tokenOf(where: Where, path: str | None) -> str | None:
    """
    The token that a server has there.

    @param path: of a file that has it; C{None} is none, and the environment is asked.
    @return: C{None} if it has none.
    @raise ValueError: there is one that can't be used, or there has to be one; the text is one line.
    """
    token = tokenFor(path)
    if token is None and not where.isLocal:
        raise ValueError(
            f"{where} can be reached from elsewhere, and there is no token: expected one, in a file or in "
            f"{TOKEN_VARIABLE} of the environment"
        )
    return token


def tokenFor(path: str | None) -> str | None:
    """
    The token that a command line and its environment give.

    @param path: a file that has it; C{None} is none, and the environment is asked.
    @return: C{None} if there is none.
    @raise ValueError: there is one that can't be used; the text is one line that says where.
    """
    if path is not None:
        return readToken(path)
    text = os.environ.get(TOKEN_VARIABLE)
    if not text:
        return None
    try:
        return checkedToken(text)
    except ValueError as e:
        raise ValueError(f"{TOKEN_VARIABLE} in the environment is not usable: {e}")
