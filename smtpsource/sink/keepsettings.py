"""
What of a sink's plan says which messages it keeps, and who may ask for them.
"""

from __future__ import annotations

import os

from smtpsource.values import checks, kinds
from smtpsource.values.files import directoryToBe
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import OneOf, allOf, needs

#: Octets of messages in memory.
_MEMORY = 64 * 1024 * 1024


def _path(text: str) -> str:
    """
    Where something is to be made; absolute, for a daemon changes its directory.
    """
    if not text or "\0" in text:
        raise ValueError("expected the name of a file or directory")
    return os.path.abspath(text)


def _template(text: str) -> str:
    """
    The same for names of files that digits are added to: a slash at the end is part of them.
    """
    return os.path.join(_path(text), "") if text.endswith("/") else _path(text)


_newPath = Kind(_path, checks.text(_path))


def _control(text: str) -> str:
    """
    Where there is control; a path is absolute, for a daemon changes its directory.
    """
    from smtpsource.sink.control.where import parseControl  # for those who want it

    return str(parseControl(text))


def _start(text: str) -> str:
    from smtpsource.sink.keeping.dump import unescaped  # for those who dump

    unescaped(text)
    return text


class Keeping(Settings):
    """
    @ivar keep: so many messages are kept in memory, the latest ones, with the dialogues of as many sessions; C{None}
        is none.
    @ivar keepBytes: no more octets of them.
    @ivar maildir: a Maildir that messages are put into.
    @ivar mbox: a file that they are appended to.
    @ivar dump: a template of C{strftime} for the names of files, one for each message.
    @ivar dumpAppend: the same of files that messages are appended to.
    @ivar dumpStart: what comes before each of either.
    """

    heading = "What it keeps"
    rules = allOf(
        OneOf("dump", "dumpAppend"),
        needs("{dump} or {dumpAppend}", "dumpStart", unless=lambda plan: plan.dump or plan.dumpAppend),
        needs("{keep} or {control}", "keepBytes", unless=lambda plan: plan.keep or plan.control),
    )

    keep: int | None = option(
        "N", kinds.count, "keep the latest N messages and dialogues in memory, for --control", default=None
    )
    keepBytes: int = option("BYTES", kinds.size, "no more bytes of messages than these", shown="64m", default=_MEMORY)
    maildir: str | None = option("DIR", _newPath, "deliver messages to this Maildir", default=None)
    mbox: str | None = option("FILE", _newPath, "append messages to this mbox file", default=None)
    dump: str | None = option(
        "TEMPLATE",
        Kind(_template, checks.text(_template)),
        "each message in a file of its own; strftime(3)'s % are filled in",
        letter="d",
        default=None,
    )
    dumpAppend: str | None = option(
        "TEMPLATE", _newPath, "append messages to files of such names", letter="D", default=None
    )
    dumpStart: str | None = option(
        "TEXT", kinds.text(_start), "what comes before each; with \\n, \\t, \\040", letter="S", default=None
    )


class Ledger(Settings):
    """
    @ivar ledger: a directory where each message is written down before its reply leaves.
    @ivar ledgerSync: have that on the disk first: fdatasync(2), for all that have come meanwhile at once.
    """

    heading = "Ledger"
    rules = allOf(needs("{ledger}", "ledgerSync", unless=lambda plan: plan.ledger is not None))

    ledger: str | None = option(
        "DIR",
        Kind(directoryToBe, checks.text(directoryToBe)),
        "write down there what arrives, before it is answered; smtpsource reconcile judges it",
        default=None,
    )
    ledgerSync: bool = switch("have all of it on the disk before it is answered, with fdatasync", default=False)


class Control(Settings):
    """
    @ivar control: where the sink may be asked and told things over HTTP, as a text C{[HOST:]PORT} or C{unix:PATH}.
    @ivar controlTokenFile: a file whose first line whoever does has to know.
    """

    heading = "Control"
    rules = allOf(needs("{control}", "controlTokenFile", unless=lambda plan: plan.control is not None))

    control: str | None = option(
        "WHERE",
        Kind(_control, checks.text(_control)),
        "answer HTTP at [HOST:]PORT or unix:PATH: rules, messages, counters; the host is 127.0.0.1",
        default=None,
    )
    controlTokenFile: str | None = option(
        "FILE", kinds.readable, "its first line is the token that a client has to have", secret=True, default=None
    )
