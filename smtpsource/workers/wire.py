"""
What a parent and its workers say to each other.

A message is its length (four bytes, as in Twisted's C{Int32StringReceiver}), a byte for its kind, and its body: JSON,
but for a plan and for frames.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

#: The descriptors of a worker: what its parent says, and what it says.
READ, WRITE = 3, 4

#: No message is longer. A plan may have a whole message in it, and lists of addresses.
LONGEST = 1 << 30


class Kind(Enum):
    """
    The kinds of messages. Times are those of CLOCK_MONOTONIC in seconds: C{time.perf_counter} of all processes of a
    machine.
    """

    # From the parent.
    #: A pickle of the plan, the worker's L{Share<smtpsource.pacing.share.Share>} and the run's id. From a parent of
    #: this machine only.
    PLAN = b"P"
    #: The same as C{{"options": [...], "index": i, "count": n, "run": "0123456789abcdef", "seed": n}}: a command line.
    OPTIONS = b"O"
    #: C{{"at": time, "addresses": [...]}}: begin then, at these addresses.
    GO = b"G"
    #: C{{"first": number, "count": n}}: send these messages, too; with a count of 0: there are no more.
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
    #: C{{"version": "1.2", "pid": n, "ledger": path or null}}: ready to go.
    READY = b"r"
    #: C{{"text": line}}: it can't even begin.
    UNUSABLE = b"u"
    #: A L{Frame<smtpsource.measure.frame.Frame>}, encoded.
    FRAME = b"f"
    #: C{{"count": n}}: could do with so many more messages.
    WANT = b"w"
    #: C{{"text": line}}: a refusal or a fault that ends the run.
    TROUBLE = b"t"
    #: C{{"kind": word, "text": line}}: a fault of its own, which ends the run: see
    #: L{Run.breakDown<smtpsource.load.run.Run.breakDown>}.
    BROKEN = b"b"
    #: C{{"text": line}}: something that the user should know; a hint.
    HINT = b"h"
    #: C{{...}}: after its last frame, what else is to be known of it.
    END = b"e"
    #: C{{"text": how}}: from whoever started the worker elsewhere: its process is gone. How, if not in order, as one line.
    GONE = b"g"


def pack(kind: Kind, body: bytes | dict[str, Any] | None = None) -> bytes:
    """
    A message, without its length.

    @param body: bytes for a plan or a frame, else what is to be JSON.
    """
    return kind.value + (body if isinstance(body, bytes) else json.dumps(body or {}).encode("ascii"))


def unpack(message: bytes) -> tuple[Kind, Any]:
    """
    The opposite of L{pack}.

    @raise ValueError: it is none.
    """
    kind, body = Kind(message[:1]), message[1:]
    return kind, body if kind in _BYTES else json.loads(body)


_BYTES = frozenset((Kind.PLAN, Kind.FRAME))
