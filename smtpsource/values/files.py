"""
What a user may type for a file, and what to tell one who typed something else.

Every function is as those of L{smtpsource.values.numbers} are.
"""

from __future__ import annotations

import os
import stat

from smtpsource.process import places
from smtpsource.values import inputs


def readableFile(text: str) -> str:
    """
    A file to read, made absolute now: a daemon changes its directory later.
    """
    return _readable(text, False)


def readableFileOrDirectory(text: str) -> str:
    """
    The same, or a directory with files to read.
    """
    return _readable(text, True)


def _readable(text: str, orDirectory: bool) -> str:
    path = os.path.abspath(text)
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            if not orDirectory or not text:
                raise IsADirectoryError(21, "Is a directory")
            os.listdir(path)
        elif stat.S_ISREG(mode):
            with open(path, "rb"):
                pass
        elif not os.access(path, os.R_OK):  # who writes to a pipe would take it for its end, were it closed again
            raise PermissionError(13, "Permission denied")
    except OSError as e:
        raise ValueError(f"expected a readable file: {e.strerror}")
    return path


def orStandardInput(text: str) -> str:
    """
    A file to read as in L{readableFile}; C{"-"} stays what it is and means standard input.
    """
    return text if text == inputs.STANDARD else readableFile(text)


def writableFile(text: str) -> str:
    """
    A file to write, made absolute now; C{"-"} stays what it is and means standard output: see L{places.checked}.
    """
    return places.checked(text)


def fileWrittenInPlace(text: str) -> str:
    """
    The same for a file that is written to as it is, while a run goes on, and not replaced at its end.
    """
    path = writableFile(text)
    if path != "-" and os.path.exists(path) and not os.access(path, os.W_OK):
        raise ValueError("expected a file that can be written")
    return path


def fileToAppendTo(text: str) -> str:
    """
    A file that is added to over and over, or the name of one that can be made, with the directories above it; absolute
    as in L{readableFile}.
    """
    path = os.path.abspath(text)
    if not os.path.exists(path):
        directoryToBe(os.path.dirname(path))
        return path
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("expected the name of a file to write")
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
        raise ValueError("expected a file: whoever reads from this may have us wait")
    if not os.access(path, os.W_OK):
        raise ValueError("expected a file that can be written")
    return path


def directoryToBe(text: str) -> str:
    """
    A directory that files can be made in, or the name of one that can be made; absolute as in L{readableFile}.
    """
    if not text:
        raise ValueError("expected the name of a directory")
    path = os.path.abspath(text)
    there = path
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        raise ValueError(f"expected a directory: {there} is none")
    _seeMaking(there)
    return path


def _seeMaking(directory: str) -> None:
    """
    See that something can be made in a directory, by doing so: in some, such as /proc, nobody can, whatever is said of
    them.
    """
    import tempfile  # for those who need it

    try:
        os.rmdir(tempfile.mkdtemp(dir=directory))
    except OSError:
        raise ValueError(f"expected a directory that can be written to: {directory} can't")
