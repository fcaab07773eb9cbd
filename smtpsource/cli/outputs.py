"""
What a command writes goes to a place of its own: not where something else is written to, and not over what is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NoReturn

from twisted.python import usage

from smtpsource.process.places import Place, identityOfDescriptor


def check(outputs: Mapping[str, str | None], inputs: Iterable[tuple[str, str]] = ()) -> None:
    """
    See that there are not two for one place. Links don't hide that.

    @param outputs: by the long names of their options, absolute names, or C{"-"}.
    @param inputs: what else there is: whose it is, in words, and its absolute name. It is a file or a directory of
        messages, or will be a file.
    @raise usage.UsageError: there are.
    """
    taken: dict[Hashable, str] = {}
    replaced = set()
    for long, path in outputs.items():
        if path is None:
            continue
        place, isFile = _placeOf(long, path)
        if place in taken:
            where = "standard output" if path == "-" else path
            raise usage.UsageError(f"--{taken[place]} and --{long} exclude each other: both are to be in {where}")
        taken[place] = long
        if isFile:
            replaced.add(place)
    for what, path in inputs:
        for place in _filesOf(path, taken):
            if place in taken:
                _refuse(taken[place], outputs, f"it belongs to {what}")
    # Who replaces the file that the shell has opened for us loses what is written to that.
    for descriptor, what in ((1, "standard output"), (2, "standard error")):
        if (place := identityOfDescriptor(descriptor)) in replaced:
            _refuse(taken[place], outputs, f"{what} goes there")


def _refuse(long: str, outputs: Mapping[str, str | None], why: str) -> NoReturn:
    raise usage.UsageError(f"--{long}: {outputs[long]!r} is not usable: {why}; expected another file")


def _placeOf(long: str, path: str) -> tuple[Hashable, bool]:
    """
    @return: what is the same for all names of a place; and whether it is or will be a file that is replaced.
    """
    if path == "-":
        return identityOfDescriptor(1) or path, False
    try:
        with Place(path) as place:
            return place.identity, place.isFile
    except OSError as e:
        raise usage.UsageError(f"--{long}: {path!r} is not usable: {e.strerror}")


def _filesOf(path: str, wanted: Mapping[Hashable, str]) -> Iterator[Hashable]:
    """
    The file, or those in a directory that may be one of these. A device may well be read and written.
    """
    try:
        if not os.path.exists(path):
            with Place(path) as place:
                yield place.identity
            return
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            yield status.st_dev, status.st_ino
        elif stat.S_ISDIR(status.st_mode):
            numbers = {place[1] for place in wanted if isinstance(place, tuple) and len(place) == 2}
            for folder in (path, os.path.join(path, "cur"), os.path.join(path, "new")):
                if numbers and os.path.isdir(folder):
                    yield from _entriesOf(folder, numbers)
    except OSError:
        return  # whoever needs it will tell


def _entriesOf(folder: str, numbers: set[object]) -> Iterator[Hashable]:
    with os.scandir(folder) as entries:
        for entry in entries:
            # A directory has the numbers of its files: most of them need not be looked at.
            if entry.inode() in numbers or entry.is_symlink():
                try:
                    status = entry.stat()
                except OSError:
                    continue
                yield status.st_dev, status.st_ino
