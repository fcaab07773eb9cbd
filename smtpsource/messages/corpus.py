"""
Messages that are there already: a directory of .eml files, a Maildir, with what is below it or without; an mbox file;
or files that a pattern matches. What is kept of them is where they are.
"""

from __future__ import annotations

import errno
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from smtpsource.messages import mbox, weighted
from smtpsource.messages.mbox import FROM
from smtpsource.messages.parts import FilePart, StoredFile, StoredMessage, Unreadable
from smtpsource.messages.weighted import Weighted
from smtpsource.smtp.streaming import LARGEST_WRITE
from smtpsource.values.textfiles import MARK, lengthOfMark

_EXPECTED = (
    "expected a directory of .eml files, a Maildir (with cur and new in it), an mbox file or a pattern such as "
    "'mail/*.eml'"
)
#: What is matched, where there is no file of that name.
_PATTERN = re.compile(r"[*?[]")

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Exhausted(Unreadable):
    """
    It is there, but this process may have no more open files, or memory, now.
    """


class Corpus(ABC):
    """
    Messages in some order, by their index from 0. Two of the same path are equal.

    @ivar path: where they are, absolute, or the pattern for that.
    @ivar sample: the first of them that could be read when they were looked for.
    @ivar recursive: were they looked for in directories below, too?
    @ivar doubts: what a user should know of what was found, a line each.
    """

    path: str
    sample: bytes | FilePart
    recursive: bool = False
    doubts: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Corpus) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}: {len(self)} messages>"

    @property
    def scattered(self) -> Iterable[str]:
        """
        The names of their files, absolute, if these are not all in the directory that C{path} is.
        """
        return ()

    @abstractmethod
    def __len__(self) -> int:
        """
        How many there are.
        """

    @abstractmethod
    def read(self, index: int) -> bytes | FilePart:
        """
        One of them, as it is in its file.

        @raise Unreadable: it is not there any more, or can't be read.
        """

    @property
    @abstractmethod
    def weightsPath(self) -> str:
        """
        The file that says how often each of them is to be sent.
        """

    @abstractmethod
    def names(self) -> dict[bytes, int]:
        """
        What they are called in that file.
        """

    def weights(self) -> Weighted[int]:
        """
        The indexes of all, each with the weight that its line in the file says, and 1 if it has none.

        @raise ValueError: the file can't be used; the text says why.
        """
        names = self.names()
        weights = [1.0] * len(self)

        def index(name: bytes) -> int:
            if name not in names:
                raise ValueError("expected the name of a message")
            return names[name]

        try:
            found = weighted.read(self.weightsPath, index)
            for n, weight in zip(found.values, weighted.evenly(found).weights or (), strict=True):
                weights[n] = weight
            return Weighted(tuple(range(len(self))), tuple(weights))
        except ValueError as e:
            where = f"{self.weightsPath!r}, which has the name of a message and its weight in each line"
            raise ValueError(f"{e}: {where}") from None


class FileCorpus(Corpus):
    """
    Messages in a file each.
    """

    def __init__(self, path: str, files: Sequence[str], root: str | None = None) -> None:
        """
        @param path: the directory that C{files} are in, or a pattern.
        @param root: the directory that they are below of, if they may be in others, too: then their names are paths.
        """
        self.path = path
        self._files = files
        self._root = path if root is None else root
        self._scattered = root is not None

    def __len__(self) -> int:
        return len(self._files)

    @property
    def weightsPath(self) -> str:
        """
        See L{Corpus.weightsPath}.
        """
        return os.path.join(self._root, "weights")

    @property
    def scattered(self) -> Iterable[str]:
        """
        See L{Corpus.scattered}.
        """
        return (os.path.join(self._root, file) for file in self._files) if self._scattered else ()

    def names(self) -> dict[bytes, int]:
        """
        The names of the files, with the directories that they are in if these are several; in a Maildir, without what
        comes after the colon, too.
        """
        names = [os.fsencode(file if self._scattered else os.path.basename(file)) for file in self._files]
        found = {os.path.join(os.path.dirname(name), os.path.basename(name).partition(b":")[0]): name for name in names}
        whole = {name: n for n, name in enumerate(names)}
        return {short: whole[name] for short, name in found.items()} | whole

    def read(self, index: int) -> bytes | FilePart:
        """
        See L{Corpus.read}.
        """
        path = os.path.join(self._root, self._files[index])
        try:
            file = StoredFile(path)
            found = file.read(0, LARGEST_WRITE + 1)
        except OSError as e:
            kind = Exhausted if e.errno in _EXHAUSTED else Unreadable
            raise kind(f"{path!r}: {e.strerror}") from None
        try:
            start = _beginning(found)
        except ValueError as e:
            raise Unreadable(f"{path!r}: {e}") from None
        if len(found) > LARGEST_WRITE:
            size = file.stamp[1]
            return FilePart(StoredMessage(file, 0, size), start, size)
        if not found[start:]:
            raise Unreadable(f"{path!r}: it is empty")
        return found[start:]


def _beginning(text: bytes) -> int:
    """
    Where a message begins whose file may begin with a line as in an mbox, and with a byte order mark before or after
    that.

    @raise ValueError: it is in an encoding that no message is in.
    """
    start = lengthOfMark(text)
    if text.startswith(FROM, start):
        start = text.find(b"\n", start) + 1
        start += len(MARK) if text.startswith(MARK, start) else 0
    return start


class MboxFile(StoredFile):
    """
    An mbox, in which a message is still where it was if it is still between such lines: more may have been added to the
    file.
    """

    __slots__ = ()

    def isStill(self, start: int, end: int) -> bool:
        """
        See L{StoredFile.isStill}.
        """
        return mbox.isBetween(self.read(max(0, start - mbox.AROUND), start), self.read(end, end + mbox.AROUND))


class MboxCorpus(Corpus):
    """
    Messages in one file: see L{mbox}.
    """

    def __init__(self, path: str) -> None:
        """
        @raise OSError: it can't be read.
        @raise ValueError: it is no mbox file, or there is nothing in it; the text says what was expected.
        """
        self.path = path
        self._file = MboxFile(path)
        found = _extents(self._file)
        if not found.starts:
            raise ValueError("expected an mbox file with messages in it; there are none after its first line")
        self._starts, self._ends = found.starts, found.ends
        self.doubts = tuple(_doubts(self._file, found))

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def weightsPath(self) -> str:
        """
        See L{Corpus.weightsPath}.
        """
        return f"{self.path}.weights"

    def names(self) -> dict[bytes, int]:
        """
        Their numbers, from 1.
        """
        return {b"%d" % (n + 1): n for n in range(len(self))}

    def read(self, index: int) -> bytes | FilePart:
        """
        See L{Corpus.read}.
        """
        start, end = self._starts[index], self._ends[index]
        message = StoredMessage(self._file, start, end, index + 1)
        if end - start > LARGEST_WRITE:
            marked = message.read(start, start + len(MARK)) == MARK
            return FilePart(message, start + len(MARK) if marked else start, end)
        return message.read(start, end).removeprefix(MARK)


def _extents(file: StoredFile) -> mbox.Extents:
    """
    @raise ValueError: there are none; the text says what was expected.
    """
    beginning = file.read(0, len(MARK) + len(FROM))
    if not beginning:
        raise ValueError(f"{_EXPECTED}; this file is empty")
    try:
        start = lengthOfMark(beginning)
    except ValueError as e:
        raise ValueError(f"{_EXPECTED}; {e}") from None
    if not beginning.startswith(FROM, start):
        raise ValueError(f'{_EXPECTED}; this file does not begin with "From ", as an mbox file does')
    try:
        return mbox.extents(file, start)
    except ValueError:
        raise ValueError(
            f'{_EXPECTED}; this file does not begin with "From ", an address and a date, as an mbox file does'
        ) from None


def _doubts(file: StoredFile, found: mbox.Extents) -> Iterator[str]:
    if found.headless:
        yield f"message 1 of {file.path!r}: it has no header; sent as it is"
    if found.doubtful:
        line = mbox.lineNumber(file, found.doubtful[0])
        more = f", and {len(found.doubtful) - 1} more like it" if len(found.doubtful) > 1 else ""
        yield f'line {line} of {file.path!r}{more}: a "From " line without a header after it; taken for text'


def index(path: str, recursively: bool = False) -> Corpus:
    """
    Find out what is there, and where.

    @param path: of a directory or an mbox file; or a pattern as shells have it, if there is nothing of that name.
    @param recursively: with all directories below it.
    @raise ValueError: it is none of these, or there is no message in it that can be read; the text says what was
        expected.
    """
    if not path:
        raise ValueError(_EXPECTED)
    text, path = path, os.path.abspath(path)
    try:
        isPattern = _PATTERN.search(text) is not None and not os.path.lexists(path)
        if isPattern and recursively:
            raise ValueError("expected a directory, in which there may be others; in a pattern, ** stands for them")
        corpus = _matched(text) if isPattern else _found(path, recursively)
    except OSError as e:
        where = f" ({e.filename!r})" if e.filename is not None and e.filename != path else ""
        raise ValueError(f"{_EXPECTED}: {e.strerror}{where}") from None
    problem = None
    for n in range(len(corpus)):
        try:
            corpus.sample = corpus.read(n)
            return corpus
        except Unreadable as e:
            problem = problem or e
    raise ValueError(f"expected at least one message that can be read; {problem}" if problem else _EXPECTED)


def given(value: Any) -> Corpus | str:
    """
    What a program may give: a path, or what L{index} has made of one.
    """
    if isinstance(value, Corpus):
        return value
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("expected a path")
    return value


def _found(path: str, recursively: bool) -> Corpus:
    if os.path.isdir(path):
        return _below(path) if recursively else _directory(path)
    if recursively and os.path.exists(path):
        raise ValueError("expected a directory, in which there may be others")
    return MboxCorpus(path)


def _directory(path: str) -> FileCorpus:
    if _isMaildir(path):
        files = _filesOfMaildir(path)
        if not files:
            raise ValueError("expected a Maildir with messages in cur or new; there are none")
    else:
        files = _messageFilesIn(path)
        if not files:
            raise ValueError(f"{_EXPECTED}; there are no .eml files in this directory")
    return FileCorpus(path, files)


def _below(path: str) -> FileCorpus:
    """
    All that is in a directory and those below it, with Maildirs among them: first what is in a directory itself, then
    those in it in the order of their names. Names that begin with a dot are of folders of a Maildir (Maildir++) or are
    left out.
    """
    files: list[str] = []
    left = [""]
    while left:
        name = left.pop()
        directory = os.path.join(path, name)
        isMaildir = _isMaildir(directory)
        inIt = _filesOfMaildir(directory) if isMaildir else _messageFilesIn(directory)
        files += [os.path.join(name, file) for file in inIt]
        with os.scandir(directory) as entries:
            others = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        if isMaildir:
            others = [other for other in others if other not in _OF_A_MAILDIR]
        else:
            others = [
                other for other in others if not other.startswith(".") or _isMaildir(os.path.join(directory, other))
            ]
        left += [os.path.join(name, other) for other in sorted(others, reverse=True)]
    if not files:
        raise ValueError(f"{_EXPECTED}; there are no .eml files in this directory, and none below it")
    corpus = FileCorpus(path, files, path)
    corpus.recursive = True
    return corpus


def _matched(text: str) -> FileCorpus:
    """
    The files that a pattern matches, whatever they are called. Two asterisks are any directories.
    """
    from glob import escape, glob  # for those who have one

    pattern = text if os.path.isabs(text) else os.path.join(escape(os.getcwd()), text)
    root = os.path.dirname(os.path.abspath(_PATTERN.split(text)[0] + "x"))
    found: Iterable[str]
    if "**" in text:
        found = _matchedBelow(root, os.path.relpath(os.path.abspath(text), root))
    else:
        found = glob(pattern)
    # Two times ** finds some of them twice.
    files = sorted({os.path.relpath(file, root) for file in found if os.path.isfile(file)})
    if not files:
        raise ValueError(f"{_EXPECTED}; no file matches this pattern")
    return FileCorpus(os.path.abspath(text), files, root)


def _matchedBelow(root: str, pattern: str) -> Iterator[str]:
    """
    The same where there are two asterisks, which lead into no directory by a link: that could be one above. What is
    hidden is not found, unless the pattern has a dot there.
    """
    from pathlib import Path

    hidden = re.search(r"(^|/)\.", pattern) is not None
    if pattern.endswith("**"):
        pattern += "/*"  # or these would be directories
    try:
        for path in Path(root).glob(pattern):
            if hidden or not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield os.fspath(path)
    except ValueError:
        raise ValueError(f"{_EXPECTED}; in a pattern ** stands alone between slashes") from None


#: What a Maildir has in it besides folders.
_OF_A_MAILDIR = ("cur", "new", "tmp")


def _isMaildir(path: str) -> bool:
    return os.path.isdir(os.path.join(path, "cur")) and os.path.isdir(os.path.join(path, "new"))


def _filesOfMaildir(path: str) -> list[str]:
    return [os.path.join(folder, name) for folder in ("cur", "new") for name in _filesIn(os.path.join(path, folder))]


def _messageFilesIn(path: str) -> list[str]:
    return [name for name in _filesIn(path) if name.lower().endswith(".eml")]


def _filesIn(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
