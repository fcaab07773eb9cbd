"""
Numbers as bytes that compress well: the lowest bytes of all of them, then all that are next to these, and so on. Most
are 0 then, and so they take a third of what they would.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence


def planesOf(numbers: array[int]) -> bytes:
    """
    Numbers as such bytes, which are the same on all machines where such a number has as many.
    """
    octets, size = numbers.tobytes(), numbers.itemsize
    return b"".join(octets[place::size] for place in _places(size))


def fill(numbers: array[int], planes: bytes | memoryview) -> array[int]:
    """
    The opposite of that.

    @param numbers: an empty array, to be filled.
    @param planes: as many bytes as whole numbers have.
    @return: the array.
    """
    size = numbers.itemsize
    octets, length = bytearray(len(planes)), len(planes) // size
    for number, place in enumerate(_places(size)):
        octets[place::size] = planes[number * length : (number + 1) * length]
    numbers.frombytes(octets)
    return numbers


def _places(size: int) -> Sequence[int]:
    """
    Where the bytes of a number are on this machine, the lowest one first.
    """
    return range(size) if sys.byteorder == "little" else range(size)[::-1]
