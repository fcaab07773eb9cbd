"""
Mailboxes that a server has delivered to, and its queue, as they are now.
"""

from __future__ import annotations

import email.utils
import mailbox
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from smtpsource.ledger import identity
from smtpsource.ledger.found import Found
from smtpsource.ledger.reading import LedgerError
from smtpsource.process.regular import openRegular

if TYPE_CHECKING:
    import imaplib

#: Postfix's queues (qmgr(8)), those of messages that it has accepted.
_QUEUES = ("incoming", "active", "deferred", "hold", "maildrop", "corrupt")

#: Messages that are asked of a server at once.
_AT_ONCE = 100

#: Seconds that a server has for an answer.
_PATIENCE = 60.0


def maildirAt(text: str) -> str:
    """
    The absolute path of a Maildir; C{queueAt} that of Postfix's C{queue_directory}.

    @raise ValueError: it is none, or can't be read.
    """
    return _directoryAt(text, "a Maildir", ("cur", "new"), all)


def queueAt(text: str) -> str:
    return _directoryAt(text, "Postfix's queue_directory", _QUEUES[:3], any)


def _directoryAt(text: str, what: str, parts: Sequence[str], enough: Callable[[Iterable[bool]], bool]) -> str:
    path = os.path.abspath(text)
    wanted = f"expected {what}, a directory with {', '.join(parts)} in it"
    try:
        os.listdir(path)
    except OSError as e:
        raise ValueError(f"{wanted}: {e.strerror}")
    if not enough(os.path.isdir(os.path.join(path, part)) for part in parts):
        raise ValueError(wanted)
    return path


def mboxAt(path: str) -> str:
    """
    The path of an mbox file.

    @param path: of a file that can be read.
    @raise ValueError: it is none.
    """
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if file.read(5) not in (b"", b"From "):
                raise ValueError("expected an mbox file, which begins with From and a space")
    return path


def inMaildir(path: str) -> Iterator[Found]:
    """
    What is in a Maildir and its folders, read or not.

    @raise LedgerError: it can't be read.
    """
    try:
        folders = [path, *(entry.path for entry in os.scandir(path) if entry.name[:1] == "." and entry.is_dir())]
        for folder in sorted(folders):
            yield from _inFolder(folder)
    except OSError as e:
        raise LedgerError(f"{e.filename or path}: {e.strerror}")


def _inFolder(path: str) -> Iterator[Found]:
    """
    A message that is read goes from new to cur, perhaps while we look: there it has the same name, and more after it.
    """
    seen = set()
    for part in ("new", "cur"):
        for name in _filesIn(os.path.join(path, part)):
            unique = os.path.basename(name).partition(":")[0]
            if unique not in seen:
                with suppress(FileNotFoundError):
                    yield _inFile(name)
                    seen.add(unique)


def _filesIn(directory: str) -> list[str]:
    if not os.path.isdir(directory):
        return []
    with os.scandir(directory) as entries:
        return sorted(entry.path for entry in entries if entry.name[:1] != "." and entry.is_file())


def _inFile(path: str) -> Found:
    with open(openRegular(path), "rb") as file:
        return Found(file.read(), path, os.fstat(file.fileno()).st_mtime)


def inMbox(path: str) -> Iterator[Found]:
    """
    What is in an mbox file.

    @raise LedgerError: it can't be read.
    """
    try:
        os.close(openRegular(path))  # whoever writes to a FIFO may have us wait
        with_ = mailbox.mbox(path, create=False)
        try:
            for number, key in enumerate(with_.iterkeys(), 1):
                line, _, content = with_.get_bytes(key, from_=True).partition(b"\n")
                yield Found(content, f"{path}, message {number}", _momentIn(line), isQuoted=True)
        finally:
            with_.close()
    except OSError as e:
        raise LedgerError(f"{path}: {e.strerror}")


def _momentIn(line: bytes) -> float | None:
    """
    When a message came, by the line before it: its sender, and a time as C{asctime(3)} writes it, here.
    """
    words = line.decode("latin-1").split()
    with suppress(ValueError, OverflowError):
        return time.mktime(time.strptime(" ".join(words[2:7]), "%a %b %d %H:%M:%S %Y"))
    return None


def placeOf(url: str) -> SplitResult:
    """
    Where a mailbox is: C{imap://user@host:port/box}, or C{imaps}.

    @raise ValueError: that is not said.
    """
    try:
        place = urlsplit(url)
        if place.scheme in ("imap", "imaps") and place.hostname and place.username and place.port != 0:
            return place
    except ValueError:
        pass
    raise ValueError("expected imap://USER@HOST[:PORT]/MAILBOX, or imaps")


def onServer(place: SplitResult, password: str) -> Iterator[Found]:
    """
    What is in a mailbox of an IMAP server (RFC 9051); nothing there is changed.

    @raise LedgerError: it can't be read.
    """
    import imaplib
    import ssl

    user, box = unquote(place.username or ""), unquote(place.path.strip("/")) or "INBOX"
    where = f"{place.scheme}://{place.netloc}/{box}"
    try:
        if place.scheme == "imaps":
            context = ssl.create_default_context()
            server: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                place.hostname or "", place.port or 993, ssl_context=context, timeout=_PATIENCE
            )
        else:
            server = imaplib.IMAP4(place.hostname or "", place.port or 143, timeout=_PATIENCE)
        with server:
            server.login(user, password)
            yield from _inBox(server, box, where)
    except (imaplib.IMAP4.error, OSError, EOFError) as e:
        raise LedgerError(f"{where}: {e}")


def _inBox(server: imaplib.IMAP4, box: str, where: str) -> Iterator[Found]:
    quoted = box.replace("\\", "\\\\").replace('"', '\\"')
    status, answer = server.select(f'"{quoted}"', readonly=True)
    if status != "OK":
        raise LedgerError(f"{where}: {_textOf(answer)}")
    total = int(answer[0] or 0)
    for first in range(1, total + 1, _AT_ONCE):
        status, parts = server.fetch(f"{first}:{min(total, first + _AT_ONCE - 1)}", "(INTERNALDATE BODY.PEEK[])")
        if status != "OK":
            raise LedgerError(f"{where}: {_textOf(parts)}")
        for part in parts:
            if isinstance(part, tuple):
                yield Found(
                    part[1], f"{where}, message {part[0].split()[0].decode('ascii', 'replace')}", _dateIn(part[0])
                )


def _textOf(answer: object) -> str:
    return str(answer[0] if isinstance(answer, list) and answer else answer)


def _dateIn(line: bytes) -> float | None:
    text = line.partition(b'INTERNALDATE "')[2].partition(b'"')[0].decode("ascii", "replace")
    with suppress(ValueError, TypeError):
        return email.utils.parsedate_to_datetime(text.replace("-", " ", 2)).timestamp()
    return None


def inQueue(path: str, run: int) -> set[int]:
    """
    The numbers of those messages of a run that are in the queue of a Postfix.

    @param path: its C{queue_directory}.
    @raise LedgerError: it can't be read.
    """
    directories = [os.path.join(path, name) for name in _QUEUES]
    numbers: set[int] = set()

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    try:
        # Twice: in between a message may go back to a queue that was looked at.
        for directory in directories * 2:
            for parent, _, names in os.walk(directory, onerror=failed):
                for name in names:
                    # It may be delivered while we look at it.
                    with suppress(FileNotFoundError):
                        numbers |= _numbersIn(os.path.join(parent, name), run)
    except OSError as e:
        raise LedgerError(f"{e.filename or path}: {e.strerror}")
    return numbers


def _numbersIn(path: str, run: int) -> set[int]:
    if not stat.S_ISREG(os.stat(path).st_mode):
        return set()
    with open(openRegular(path), "rb") as file:
        # One that can't be executed is not all there: Postfix has not accepted that message.
        if not os.fstat(file.fileno()).st_mode & stat.S_IXUSR:
            return set()
        return {one.number for one in identity.parseAll(file.read()) if one.run == run}
