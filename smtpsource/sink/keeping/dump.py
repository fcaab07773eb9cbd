"""
Messages in files as Postfix's smtp-sink dumps them.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from itertools import chain

from zope.interface import implementer

from smtpsource.sink.keeping import envelope, files, texts
from smtpsource.sink.keeping.message import IKeeper, KeptMessage

#: How often another name is tried when there is a file of that name.
_TRIES = 100

#: What a client has said that is not shown as it is.
_UNSHOWN = re.compile(rb"[^ -~]")

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.|\Z)", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def unescaped(text: str) -> bytes:
    r"""
    A text with the escapes of C: C{\a \b \f \n \r \t \v}, and up to three octal digits. A backslash before anything
    else is left out.

    @raise ValueError: there is a NUL in it, at which Postfix's smtp-sink ends the text.
    """
    found = _ESCAPE.sub(_meant, os.fsencode(text))
    if b"\0" in found:
        raise ValueError("expected a text without a NUL character")
    return found


def _meant(match: re.Match[bytes]) -> bytes:
    said = match[1]
    return bytes([int(said, 8) & 0xFF]) if said.isdigit() and said < b"8" else _ESCAPED.get(said, said)


@implementer(IKeeper)
class Dump:
    """
    Writes messages to files that are named after the time of MAIL: each to one of its own, or to those that are there.
    """

    def __init__(self, template: str, start: bytes, hostname: str, append: bool) -> None:
        """
        @param template: the name of the files, as of strftime(3). If each message has one of its own, eight random
            digits follow.
        @param start: what comes before each message.
        @param hostname: the name of this sink.
        @param append: add to the files that are there.
        @raise ValueError: the template is no file name.
        """
        if not template or (append and template.endswith("/")):
            raise ValueError("expected the name of a file, with % as strftime(3) has it")
        self._template, self._start, self._append = template, start, append
        self._hostname = os.fsencode(hostname)

    def keep(self, message: KeptMessage) -> Callable[[], None]:
        """
        Write a message.

        @see: L{IKeeper.keep}
        """
        name = time.strftime(self._template, time.localtime(message.started))
        directory = os.path.dirname(name)
        if directory and not os.path.isdir(directory):
            _makeDirectories(directory)
        if self._append:
            return files.append(name, self._text(message, secrets.token_hex(4)), 0o644)
        for _ in range(_TRIES):
            identity = secrets.token_hex(4)
            path = name + identity
            try:
                files.create(path, self._text(message, identity), 0o644)
            except FileExistsError:
                continue
            return lambda: files.remove(path)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)

    def close(self) -> None:
        """
        There is nothing to be done.
        """

    def _text(self, message: KeptMessage, identity: str) -> Iterator[bytes]:
        return chain([self._start + self._head(message, identity)], texts.withoutCR(message.content), [b"\n"])

    def _head(self, message: KeptMessage, identity: str) -> bytes:
        """
        The envelope.
        """
        client = envelope.shownClient(message, "ipv6")
        protocol = message.protocol.encode()
        helo = _shown(message.helo)
        lines = [b"X-Client-Addr: " + client, b"X-Client-Proto: " + protocol]
        if helo:
            lines.append(b"X-Helo-Args: " + helo)
        lines.append(b"X-Mail-Args: " + _shown(message.mail))
        lines += [b"X-Rcpt-Args: " + _shown(rcpt) for rcpt in message.rcpts]
        lines += [
            b"Received: from %b ([%b])" % (helo or b"[%b]" % client, client),
            b"\tby %b (smtp-sink) with %b id %b;" % (self._hostname, protocol, identity.encode()),
            b"\t" + envelope.date(message.started),
        ]
        return b"\n".join(lines) + b"\n"


def _makeDirectories(path: str) -> None:
    """
    Make a directory and those above it that are missing. (The mode of C{os.makedirs} is for the last one only.)
    """
    above = os.path.dirname(path)
    if above and not os.path.isdir(above):
        _makeDirectories(above)
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def _shown(said: bytes) -> bytes:
    """
    What a client has said, as it is shown.
    """
    return _UNSHOWN.sub(b"?", said).lstrip(b" ")
