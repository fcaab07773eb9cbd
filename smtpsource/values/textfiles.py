"""
Files of text that users give. Some editors put a byte order mark at the beginning, which is no part of the text.
"""

from __future__ import annotations

from smtpsource.values import files, inputs

#: U+FEFF in UTF-8.
MARK = b"\xef\xbb\xbf"

#: The same in other encodings, the longer ones first.
_OTHERS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def lengthOfMark(beginning: bytes) -> int:
    """
    How many bytes of a byte order mark there are at the beginning of a text.

    @raise ValueError: it is that of an encoding that has no ASCII in it; the text says which.
    """
    for mark, encoding in _OTHERS:
        if beginning.startswith(mark):
            raise ValueError(f"expected UTF-8, not {encoding}, as its byte order mark says")
    return len(MARK) if beginning.startswith(MARK) else 0


def withoutMark(text: bytes) -> bytes:
    """
    All of a text but its byte order mark.

    @raise ValueError: see L{lengthOfMark}; or it seems to be in such an encoding, without a mark.
    """
    if b"\0" in text[:2]:
        lengthOfMark(text)
        raise ValueError("expected UTF-8, not UTF-16, which its NUL bytes look like")
    return text[lengthOfMark(text) :]


def read(path: str, most: int, *, again: bool = False) -> bytes:
    """
    All of a file but its byte order mark.

    @param most: as in L{inputs.read}, as C{again} is.
    @raise ValueError: it can't be read, has more, or is in another encoding; the text says what was expected.
    """
    try:
        return withoutMark(inputs.read(path, most, again=again))
    except OSError as e:
        raise ValueError(f"expected a readable file: {e.strerror}") from None


def settingsFile(text: str) -> str:
    """
    A file of settings, as a user names one: it can be read, and is no larger than such files are.

    @return: its path, absolute as of L{files.readableFile}.
    @raise ValueError: it is none.
    """
    path = files.readableFile(text)
    read(path, inputs.SETTINGS)
    return path
