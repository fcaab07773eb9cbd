"""
What a parent and its workers say to each other.

A message is its length (four bytes, as in Twisted's C{Int32StringReceiver}), a byte for its kind, and its body: JSON,
but for a plan and for frames.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any

from smtpsource.process.children import exactly

#: The descriptors of a worker: what its parent says, and what it says.
READ, WRITE = 3, 4

#: An argument of a worker: what it is told comes from another machine in the end, so it takes no plan, which may be any
#: code.
FROM_ELSEWHERE = "--from-elsewhere"

#: No message is longer. A plan may have a whole message in it, and lists of addresses.
LONGEST = 1 << 30

#: What workers elsewhere say may be anybody's words: none of them is longer. The longest frame is not.
LONGEST_SAID = 8 << 20


class Kind(Enum):
    """
    The kinds of messages. Times are those of CLOCK_MONOTONIC in seconds: C{time.perf_counter} of all processes of a
    machine.
    """

    # From the parent.
    #: C{{"index": i, "count": n, "run": "0123456789abcdef", "seed": n}}: which L{Share<smtpsource.pacing.share.Share>}
    #: the worker has, of which run, and the seed of all. What that is of comes next.
    SHARE = b"H"
    #: A pickle of the plan, the same for all workers. From a parent of this machine only.
    PLAN = b"P"
    #: C{{"options": [...], ...}}: both as one, with what there is in C{SHARE}, and the plan as a command line.
    OPTIONS = b"O"
    #: C{{"at": time, "addresses": [...]}}: begin then, at these addresses, which are as
    #: L{spelled<smtpsource.net.destination.spelled>}.
    GO = b"G"
    #: C{{"first": number, "count": n, "epoch": e}}: send these messages, too; with a count of 0: there are no more. It
    #: answers one C{WANT}, and has its epoch: what was wanted in the warm-up is not to be used after it.
    LEASE = b"L"
    #: C{{"addresses": [...]}}: connect to these from now on.
    ADDRESSES = b"A"
    #: C{{"at": time, "rate": r, "seconds": s}}: of a search, hold this rate (all workers' together) for so long.
    STEP = b"S"
    #: C{{}}: no more messages, the time is over or the search is; those on their way end as they would.
    EXPIRE = b"E"
    #: C{{}}: no more messages; end in order within the grace period.
    DRAIN = b"D"
    #: C{{}}: end now.
    ABORT = b"X"
    #: C{{}}: to whoever started the worker elsewhere: end its process, whatever it does.
    KILL = b"K"

    # From a worker.
    #: C{{"version": "1.2", "pid": n, "ledger": path or null, "reactor": name}}: ready to go. From one elsewhere with
    #: C{loopback}: see L{loopback<smtpsource.process.loopback.loopback>}.
    READY = b"r"
    #: C{{"text": line}}: it can't even begin.
    UNUSABLE = b"u"
    #: A L{Frame<smtpsource.measure.frame.Frame>}, encoded: one for each second from the beginning on, or from the end
    #: of the warm-up on; one of several seconds, if the parent has not read. Its gauges: C{sessions} that are not over,
    #: C{inFlight} messages, C{overdue} and C{ofWarmUp} of an open loop, and its C{askedRate}; lines of the log of
    #: messages: C{logLines}, C{logDropped} and C{logWaiting}; and 1 for the word of
    #: L{STATES<smtpsource.measure.progress.STATES>} that says what the worker does, so that the sum is how many do.
    FRAME = b"f"
    #: C{{"count": n, "epoch": e}}: could do with so many more messages. In a run whose messages have a limit, all that
    #: was lent in the warm-up is void when that is over; the first of epoch 1 comes after the last frame of epoch 0.
    WANT = b"w"
    #: A frame of its own: what came of a step, as L{Trial<smtpsource.measure.trial.Trial>} has it. What it counts is in
    #: those of the seconds as well.
    STEPPED = b"s"
    #: C{{"text": line}}: a refusal or a fault that ends the run.
    TROUBLE = b"t"
    #: C{{"kind": word, "text": line}}: a fault of its own, which ends the run: see
    #: L{Run.breakDown<smtpsource.load.run.Run.breakDown>}. Its frames count it as an error as well.
    BROKEN = b"b"
    #: C{{"text": line}}: something that the user should know; a hint.
    HINT = b"h"
    #: C{{"limits": [line], "disturbances": [line], "exhausted": sessions or null, "catchUp": seconds or null,
    #: "addresses": {text: [opened, failed, accepted, name or null]}, "warmUp": {...} or null, "hints": [line],
    #: "ledger": path or null}}: after its last frame, what else is to be known of it. There is no ledger any more if
    #: nothing was noted in it.
    END = b"e"
    #: C{{"text": how}}: from whoever started the worker elsewhere: its process is gone. How, if not in order: a line.
    GONE = b"g"


def pack(kind: Kind, body: bytes | dict[str, Any] | None = None) -> bytes:
    """
    A message, without its length.

    @param body: bytes for a plan or a frame, else what is to be JSON.
    """
    return kind.value + _octets(body)


def framed(kind: Kind, body: bytes | dict[str, Any] | None = None) -> bytes:
    """
    A message with its length before it.
    """
    return b"".join(framedPieces(kind, body))


def framedPieces(kind: Kind, body: bytes | dict[str, Any] | None = None) -> Sequence[bytes]:
    """
    The same in pieces: C{bytes}, which may be many, are not copied.
    """
    octets = _octets(body)
    return (len(kind.value) + len(octets)).to_bytes(4) + kind.value, octets


def _octets(body: bytes | dict[str, Any] | None) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body or {}).encode("ascii")


def receive(descriptor: int) -> tuple[Kind, Any] | None:
    """
    The next message, as soon as it is there: for a process that has nothing else to do.

    @return: see L{unpack}; C{None} if none comes any more.
    @raise ValueError: it is none.
    @raise OSError: it can't be read.
    """
    prefix = exactly(descriptor, 4)
    length = int.from_bytes(prefix)
    if length > LONGEST:
        raise ValueError(f"expected a message, not one of {length} bytes")
    message = exactly(descriptor, length)
    return unpack(message) if len(prefix) == 4 and len(message) == length else None


def unpack(message: bytes) -> tuple[Kind, Any]:
    """
    The opposite of L{pack}.

    @raise ValueError: it is none.
    """
    kind, body = Kind(message[:1]), message[1:]
    if kind in _BYTES:
        return kind, body
    try:
        found = json.loads(body)
    except RecursionError:
        raise ValueError("lists in lists without an end") from None
    if not isinstance(found, dict):
        raise ValueError(f"expected a table, not {type(found).__name__}")
    return kind, found


_BYTES = frozenset((Kind.PLAN, Kind.FRAME, Kind.STEPPED))
