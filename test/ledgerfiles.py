"""
Ledgers as both ends write them, made by hand.
"""

from __future__ import annotations

import os

from smtpsource.ledger import digests, records
from smtpsource.ledger.reading import LedgerFile

RUN = 0x0123456789ABCDEF
RUN_TEXT = f"{RUN:016x}"
SECOND = 10**9

#: Digests of a body: as it came, and in canonical form.
BODY = (0x1111_0000_0000_0001, 0x2222_0000_0000_0002)


class Pages:
    """
    The records of one ledger; each method adds some. Times are in seconds.
    """

    def __init__(self, role="source", run=RUN, boot="one boot", offset=1_700_000_000 * SECOND, **content):
        self.header = {"role": role, "boot": boot, "offset": offset, "host": "here", **content}
        if run:
            self.header["run"] = f"{run:016x}"
        self.run = run or RUN
        self.records = []
        self.taken = []
        self.time = 0.0

    def add(self, kind, at=None, **fields):
        self.time = self.time + 0.001 if at is None else at
        values = {"time": int(self.time * SECOND), **fields}
        self.records.append(records.pack(kind, *(values.get(name, 0) for name, _, _ in records.FIELDS[1:])))
        return self

    def name(self, address, what=records.ADDRESS, number=None):
        number = digests.ofAddress(address) if number is None else number
        self.records.append(records.named(what, number, address, int(self.time * SECOND)))
        return number

    def intent(self, number, address=b"a@example.com", index=0, attempt=1, body=BODY, at=None):
        raw, canonical = body
        return self.add(
            records.INTENT,
            at,
            flag=attempt,
            index=index,
            run=self.run,
            number=number,
            address=self.name(address),
            raw=raw,
            canonical=canonical,
            size=1000,
        )

    def outcome(self, number, outcome=records.ACKNOWLEDGED, index=records.WHOLE, code=250, at=None, due=None):
        due = 0 if due is None else int(due * SECOND)
        return self.add(records.OUTCOME, at, flag=outcome, index=index, code=code, run=self.run, number=number, raw=due)

    def sent(self, number, address=b"a@example.com", outcome=records.ACKNOWLEDGED, **more):
        self.intent(number, address, **more)
        return self.outcome(number, outcome)

    def arrival(
        self, number, address=b"a@example.com", run=None, deed="", body=BODY, original=None, session=1, at=None, **more
    ):
        raw, canonical = body
        if original is not None:
            self.add(records.ORIGINAL, at, address=self.name(original))
        return self.add(
            records.ARRIVAL,
            at,
            flag=records.DEEDS.index(deed),
            code=250,
            run=self.run if run is None else run,
            number=number,
            address=self.name(address),
            raw=raw,
            canonical=canonical,
            size=1200,
            session=session,
            **more,
        )

    def takeBack(self, which=1):
        """
        @param which: of the arrivals that were not taken back, from the last.
        """
        arrivals = [one for one in self.records if one[0] == records.ARRIVAL and self.taken.count(one) == 0]
        if which <= len(arrivals):
            self.taken.append(arrivals[-which])
            self.records.append(records.takenBack(arrivals[-which], 452))
        return self

    def report(self, number, address=b"", action="failed", code=511, at=None):
        return self.add(
            records.REPORT,
            at,
            flag=records.ACTIONS.index(action),
            code=code,
            run=self.run,
            number=number,
            address=self.name(address) if address else 0,
        )

    def alive(self, until):
        """
        A sink listens.
        """
        while self.time < until - 1:
            self.add(records.ALIVE, at=self.time + 1)
        return self.add(records.ALIVE, at=until)

    def end(self, at=None):
        if at is not None and self.header["role"] == "sink":
            self.alive(at)
        return self.add(records.END, at, flag=1)

    def write(self, directory, name=None):
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, name or f"{self.header['role']}-{id(self):x}.ledger")
        with open(path, "wb") as file:
            file.write(records.headerOf(self.header) + b"".join(self.records))
        return path

    def file(self, directory, name=None):
        return LedgerFile(self.write(directory, name))
