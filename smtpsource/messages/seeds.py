"""
Randomness that can be had again: everything random about a run's traffic comes from one number, its seed.
"""

from __future__ import annotations

import os
import random

from smtpsource.values.numbers import LARGEST


def drawn() -> int:
    """
    A seed for those who have named none.
    """
    return random.SystemRandom().randint(0, LARGEST)


def generator(seed: int, purpose: str) -> random.Random:
    """
    A source of random numbers of its own for each purpose: what is drawn for one does not depend on how much was drawn
    for another.
    """
    return random.Random(f"{seed} {purpose}")


def runId(seed: int | None) -> bytes:
    """
    What makes a run's Message-Ids differ from those of all others: 16 hexadecimal digits.

    @param seed: what it is made from, so that a run with the same seed has the same; C{None} for a random one.
    """
    if seed is None:
        return os.urandom(8).hex().encode()
    from hashlib import sha256  # OpenSSL's, which takes a while

    return sha256(b"smtp-source run %d" % seed).hexdigest()[:16].encode()
