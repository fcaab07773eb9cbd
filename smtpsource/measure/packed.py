"""
Many things of one kind in little room: all but the last ones are bytes, and made anew when somebody asks for them.
"""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Iterator, Sequence
from operator import attrgetter, eq
from typing import Any, Generic, TypeVar, overload

_Kind = TypeVar("_Kind")

#: So many are packed together.
BLOCK = 30

#: So many blocks are kept as rows, those that were looked at last: who searches looks at the same ones again and again.
_KEPT = 64


class Packed(Sequence[_Kind], Generic[_Kind]):
    """
    Things that follow each other. Their attributes are numbers, texts, C{None}, and dictionaries of these.
    """

    def __init__(self, kind: type[_Kind]) -> None:
        """
        @param kind: their class: a dataclass with slots.
        """
        self._kind = kind
        self._read = attrgetter(*kind.__slots__)  # type: ignore[attr-defined]
        self._blocks: list[bytes] = []
        # The last ones, up to a whole block.
        self._rest: list[_Kind] = []
        self._seen: dict[int, list[tuple[Any, ...]]] = {}

    def append(self, one: _Kind) -> None:
        """
        Add one. With every 30th this takes a tenth of a millisecond.
        """
        if len(self._rest) == BLOCK:
            # Column by column: neighbors are like each other.
            columns = tuple(zip(*map(self._read, self._rest), strict=True))
            self._blocks.append(zlib.compress(marshal.dumps(columns), 1))
            self._rest = []
        self._rest.append(one)

    def replaceLast(self, one: _Kind) -> None:
        """
        Put one in the place of the last.
        """
        self._rest[-1] = one

    def copy(self) -> Packed[_Kind]:
        """
        The same, which stay as they are now.
        """
        other = Packed(self._kind)
        other._blocks, other._rest = self._blocks.copy(), self._rest.copy()
        return other

    def drained(self) -> Iterator[_Kind]:
        """
        One after the other, and nothing keeps those that were given.
        """
        self._blocks.reverse()
        while self._blocks:
            yield from self._unpacked(self._blocks.pop())
        yield from self._rest

    def _rows(self, block: bytes) -> Iterator[tuple[Any, ...]]:
        return zip(*marshal.loads(zlib.decompress(block)), strict=True)

    def _unpacked(self, block: bytes) -> Iterator[_Kind]:
        return (self._kind(*row) for row in self._rows(block))

    def __iter__(self) -> Iterator[_Kind]:
        for block in self._blocks:
            yield from self._unpacked(block)
        yield from self._rest

    def __len__(self) -> int:
        return BLOCK * len(self._blocks) + len(self._rest)

    @overload
    def __getitem__(self, place: int) -> _Kind: ...

    @overload
    def __getitem__(self, place: slice) -> list[_Kind]: ...

    def __getitem__(self, place: int | slice) -> _Kind | list[_Kind]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        number, row = divmod(range(len(self))[place], BLOCK)
        if number == len(self._blocks):
            return self._rest[row]
        rows = self._seen.pop(number, None) or list(self._rows(self._blocks[number]))
        if len(self._seen) == _KEPT:
            del self._seen[next(iter(self._seen))]
        self._seen[number] = rows
        return self._kind(*rows[row])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]


def withLast(those: Sequence[_Kind], one: _Kind) -> Sequence[_Kind]:
    """
    The same with another one in the place of the last; packed ones stay packed.

    @param those: at least one.
    """
    if not isinstance(those, Packed):
        return [*those[:-1], one]
    others = those.copy()
    others.replaceLast(one)
    return others
