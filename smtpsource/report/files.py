"""
Writing what is reported: a file, all of it or nothing; a stream, as long as somebody reads it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from smtpsource.printable import escaped


def writeJSON(path: str, document: dict[str, Any]) -> None:
    """
    Write C{document} as indented JSON.

    @param path: as for L{writeWhole}. What was no UTF-8 on the command line stays legible: in a JSON string a backslash
        escape is what it says.
    @raise OSError: the file can't be written.
    """
    writeWhole(path, jsonPieces(document, ascii=path == "-"))


def jsonPieces(document: dict[str, Any], ascii: bool) -> Iterator[str]:
    """
    A report as indented JSON, in pieces. In a list, such as that of the samples, each element is one line.
    """
    separator = "{\n"
    for key, value in document.items():
        yield f"{separator}  {json.dumps(key)}: "
        separator = ",\n"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield "[\n    "
            yield ",\n    ".join(escaped(json.dumps(one, ensure_ascii=ascii)) for one in value)
            yield "\n  ]"
        else:
            # There is no line end within a JSON text but those of the indentation.
            yield escaped(json.dumps(value, indent=2, ensure_ascii=ascii)).replace("\n", "\n  ")
    yield "\n}\n" if document else "{}\n"


def writeWhole(path: str, texts: Iterable[str]) -> None:
    """
    Write texts one after the other, in UTF-8.

    @param path: an absolute file name; all is written beside it and then renamed, so that a reader never sees half of
        it. What is there and no file, such as a FIFO or C{/dev/stderr}, is written to instead. C{"-"} is standard
        output, the process's own even where twistd has redirected C{sys.stdout} into its log.
    @raise OSError: the file can't be written.
    """
    if path == "-":
        stream = sys.__stdout__
        assert stream is not None, "options refuse '-' for a daemon"
        for text in texts:
            write(stream, text)
        return
    encoded = (text.encode("utf-8", "backslashreplace") for text in texts)
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as special:
            special.writelines(encoded)
        return
    descriptor, aside = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            file.writelines(encoded)
        os.rename(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write(stream: TextIO, text: str) -> None:
    """
    Write to a stream of this process. A reader that is gone, as in C{smtpsource ... | head -1}, is no reason to fail;
    what the stream's encoding does not have is escaped.

    @raise OSError: it can't be written for another reason, such as a full disk.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as e:
        try:
            # What is still in the buffer must have a place to go, or Python complains of it at exit.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass
        if not isinstance(e, BrokenPipeError):
            raise
