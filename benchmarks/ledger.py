"""
How long it takes to judge a large run, and how much memory that needs: C{python -m benchmarks.ledger}, and, if they are
to be others, how many messages, for how many recipients each, and how far faults are apart. With C{--numbered} before
them no two have the same address.

It makes the ledgers of a run whose messages all arrive, or of which one in so many is lost and the next comes twice,
and has them judged by a process of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.reading import RECORD, Records

_RUN = 0x0123456789ABCDEF
_RATE = 10_000
# Few: what a process has in memory when it starts another counts for that as well.
_PART = 10_000


def _source(first: int, last: int, recipients: int, numbered: bool) -> Records:
    """
    Intents, each message's outcome behind them.
    """
    numbers = np.arange(first, last, dtype=np.uint64)
    found: Any = np.zeros((len(numbers), recipients + 1), RECORD)
    found["run"], found["number"] = _RUN, numbers[:, None]
    found["time"] = (numbers * np.uint64(10**9 // _RATE))[:, None]
    intents, outcomes = found[:, :-1], found[:, -1]
    intents["kind"], intents["flag"] = records.INTENT, 1
    intents["index"] = np.arange(recipients)
    intents["address"] = _addresses(numbers, recipients, numbered)
    intents["raw"], intents["canonical"], intents["size"] = 1 << 40, 1 << 41, 1000
    outcomes["kind"], outcomes["flag"] = records.OUTCOME, records.ACKNOWLEDGED
    outcomes["index"], outcomes["code"] = records.WHOLE, 250
    outcomes["time"] += 10**6
    return found.reshape(-1)


def _sink(first: int, last: int, recipients: int, numbered: bool) -> Records:
    """
    An arrival of each.
    """
    numbers = np.arange(first, last, dtype=np.uint64)
    found: Any = np.zeros((len(numbers), recipients), RECORD)
    found["kind"], found["run"], found["number"] = records.ARRIVAL, _RUN, numbers[:, None]
    found["time"] = (numbers * np.uint64(10**9 // _RATE) + np.uint64(5 * 10**8))[:, None]
    found["address"] = _addresses(numbers, recipients, numbered)
    found["code"], found["session"] = 250, (numbers % np.uint64(20))[:, None]
    found["raw"], found["canonical"], found["size"] = 1 << 40, 1 << 41, 1200
    return found.reshape(-1)


def _addresses(numbers: Any, recipients: int, numbered: bool) -> Any:
    found = 1 + np.arange(recipients, dtype=np.uint64)
    # As digests are: anywhere in 64 bits.
    return (numbers[:, None] * recipients + found) * np.uint64(0x9E3779B97F4A7C15) if numbered else found


def _parts(messages: int, recipients: int) -> Iterator[tuple[int, int]]:
    size = max(1, _PART // recipients)
    for first in range(1, messages + 1, size):
        yield first, min(first + size, messages + 1)


def _faulty(found: Records, every: int) -> Records:
    """
    @param every: one in so many is lost, and another one comes twice; 0 is none.
    """
    if not every:
        return found
    place = found["number"] % every
    return np.repeat(found, np.where(place == 0, 0, np.where(place == 1, 2, 1)))


def write(directory: Path, messages: int, recipients: int, every: int = 0, numbered: bool = False) -> int:
    """
    Write both ledgers.

    @return: how many records there are.
    """
    count = 0
    for role, make in (("source", _source), ("sink", _sink)):
        header = {"role": role, "run": f"{_RUN:016x}", "boot": "one", "offset": 10**18, "monotonic": 0, "wall": 10**18}
        with open(directory / f"{role}-1.ledger", "wb") as file:
            file.write(records.headerOf(header))
            for first, last in _parts(messages, recipients):
                found = make(first, last, recipients, numbered)
                found = _faulty(found, every) if role == "sink" else found
                count += len(found)
                file.write(found.tobytes())
            end = int(messages * 10**9 / _RATE) + 60 * 10**9
            file.write(records.pack(records.END, 1, 0, 0, 0, 0, end, 0, 0, 0, 0, 0))
    return count


def main(arguments: list[str]) -> int:
    """
    Measure, and say what it was.
    """
    numbered = arguments[:1] == ["--numbered"]
    arguments = arguments[numbered:]
    messages, recipients, every = [*map(int, arguments), *(2_000_000, 1, 0)[len(arguments) :]]
    with tempfile.TemporaryDirectory() as directory:
        count = write(Path(directory), messages, recipients, every, numbered)
        begin = time.monotonic()
        status = subprocess.call([sys.executable, "-m", "smtpsource", "reconcile", "--drain-quiet", "0", directory])
        taken = time.monotonic() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{messages} messages for {recipients}, {count} records: {taken:.2f} s, "
        f"{used.ru_utime + used.ru_stime:.2f} s of CPU, {used.ru_maxrss / 1024:.0f} MiB"
    )
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
