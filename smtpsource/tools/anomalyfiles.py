"""
Anomalies in files for other programs: JSON lines, and a database that can be asked anything.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import repeat
from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.anomalies import moment
from smtpsource.ledger.histories import OUTCOMES
from smtpsource.ledger.identity import Identity, textOf
from smtpsource.ledger.judge import Judge
from smtpsource.ledger.known import Known
from smtpsource.ledger.reading import textsOf
from smtpsource.ledger.units import AGAIN, CORRUPTED, OUTCOME, TRANSFORMED, TWICE
from smtpsource.ledger.verdict import classesOf
from smtpsource.measure.judgement import CLASSES

#: Names of files that are databases.
_DATABASES = (".sqlite", ".sqlite3", ".db")

# Addresses are numbers; the table of that name has their texts. See docs/ledger.rst.
_TABLES = """
CREATE TABLE units (id TEXT, number INTEGER, recipient INTEGER, address INTEGER, class TEXT, outcome TEXT,
                    again INTEGER, duplicated INTEGER, corrupted INTEGER, transformed INTEGER);
CREATE TABLE arrivals (id TEXT, number INTEGER, address INTEGER, time TEXT, session INTEGER, code INTEGER, deed TEXT,
                       size INTEGER, body TEXT, ledger TEXT);
CREATE TABLE addresses (address INTEGER PRIMARY KEY, text TEXT) WITHOUT ROWID;
CREATE TABLE anomalies (id TEXT, recipient TEXT, class TEXT, reason TEXT);
CREATE TABLE events (id TEXT, recipient TEXT, class TEXT, time TEXT, what TEXT, event TEXT);
CREATE VIEW messages AS
    SELECT id, text AS recipient, class, outcome, again, duplicated, corrupted, transformed
    FROM units LEFT JOIN addresses USING (address);
CREATE VIEW received AS
    SELECT id, text AS recipient, time, session, code, deed, size, body, ledger
    FROM arrivals LEFT JOIN addresses USING (address);
"""

_INDEXES = """
CREATE INDEX units_of ON units (id);
CREATE INDEX arrivals_of ON arrivals (id);
CREATE INDEX events_of ON events (id);
"""


def isDatabase(path: str) -> bool:
    """
    Is that the name of one?
    """
    return path.endswith(_DATABASES)


def jsonLines(anomalies: Iterable[dict[str, object]]) -> Iterator[str]:
    """
    A line for each.
    """
    for anomaly in anomalies:
        yield json.dumps(anomaly) + "\n"


def writeDatabase(path: str, judge: Judge) -> None:
    """
    Make a database of SQLite, with all messages, arrivals and anomalies.

    @param path: a file that is there is replaced.
    @raise OSError: it can't be written.
    """
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "expected a file, for a database is written in any order")
    beside = f"{path}.{os.getpid()}.part"
    try:
        try:
            with closing(sqlite3.connect(beside)) as database, database:
                database.execute("PRAGMA journal_mode = OFF")
                database.execute("PRAGMA synchronous = OFF")
                database.executescript(_TABLES)
                _fill(database, judge)
                database.executescript(_INDEXES)
        except sqlite3.Error as e:
            raise OSError(errno.EIO, str(e))
        os.replace(beside, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)


def _fill(database: sqlite3.Connection, judge: Judge) -> None:
    known = judge.known
    for rows in _units(known, judge.drained):
        database.executemany("INSERT INTO units VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
    for rows in _arrivals(known):
        database.executemany("INSERT INTO arrivals VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
    for file in (*known.sources, *known.sinks):
        for texts in map(textsOf, file.again()):
            named = [(_signed(number), text) for what, number, text in texts if what == records.ADDRESS]
            rows = [(number, text.decode("utf-8", "backslashreplace")) for number, text in named]
            database.executemany("INSERT OR IGNORE INTO addresses VALUES (?,?)", rows)
    for anomaly in judge.anomalies():
        whose = (anomaly["id"], anomaly["recipient"], anomaly["class"])
        database.execute("INSERT INTO anomalies VALUES (?,?,?,?)", (*whose, anomaly.get("reason")))
        history: Any = anomaly["history"]
        events = [(*whose, event["time"], event["what"], json.dumps(event)) for event in history]
        database.executemany("INSERT INTO events VALUES (?,?,?,?,?,?)", events)


def _units(known: Known, drained: bool) -> Iterator[Iterable[tuple[Any, ...]]]:
    """
    A row for each message and recipient.
    """
    state = known.strays.settle().state
    for file in known.sources:
        for found in file.again():
            intents = found[(found["kind"] == records.INTENT) & (found["flag"] == 1)]
            places = known.units.find(intents["number"], intents["index"])
            intents, mine = intents[places >= 0], state[places[places >= 0]]
            yield zip(
                (textOf(Identity(known.run, number)) for number in intents["number"].tolist()),
                intents["number"].tolist(),
                intents["index"].tolist(),
                intents["address"].view(np.int64).tolist(),
                ((*CLASSES, "unsent")[each] for each in classesOf(mine, drained).tolist()),
                (OUTCOMES.get(each) for each in (mine & OUTCOME).tolist()),
                *((mine & bit != 0).astype(int).tolist() for bit in (AGAIN, TWICE, CORRUPTED, TRANSFORMED)),
                strict=True,
            )


def _arrivals(known: Known) -> Iterator[Iterable[tuple[Any, ...]]]:
    """
    A row for each message of the run that has come.
    """
    for file in known.sinks:
        for found in file.again():
            mine = found[(found["kind"] == records.ARRIVAL) & (found["run"] == known.run)]
            yield zip(
                (textOf(Identity(known.run, number)) for number in mine["number"].tolist()),
                mine["number"].view(np.int64).tolist(),
                mine["address"].view(np.int64).tolist(),
                (moment(file.wall(each) / 1e9) for each in mine["time"].tolist()),
                mine["session"].tolist(),
                mine["code"].tolist(),
                (records.DEEDS[each] if each < len(records.DEEDS) else None for each in mine["flag"].tolist()),
                mine["size"].tolist(),
                (f"{each:016x}" for each in mine["canonical"].tolist()),
                repeat(file.name, len(mine)),
                strict=True,
            )


def _signed(number: int) -> int:
    """
    As SQLite has it.
    """
    return number - (1 << 64) if number >> 63 else number
