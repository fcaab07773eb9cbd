"""
The log of messages: a line for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smtpsource.values import checks
from smtpsource.values.files import fileWrittenInPlace
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option
from smtpsource.values.rules import allOf, needs

if TYPE_CHECKING:
    from smtpsource.measure.logsample import LogSample


def _parse(text: str) -> LogSample:
    from smtpsource.measure.logsample import parse  # for those who want some

    return parse(text)


def _given(value: object) -> LogSample:
    from smtpsource.measure.logsample import given

    return given(value)


class MessageLogSettings(Settings):
    """
    @ivar logMessages: a file for a line of JSON about each message, as soon as its outcome is known; C{"-"} is standard
        output.
    @ivar logSample: which messages that has, a text such as C{"1%,failed,slow>100ms"}; C{None}: all.
    """

    heading = "Message log"
    rules = allOf(needs("{logMessages}", "logSample", unless=lambda plan: plan.logMessages is not None))

    logMessages: str | None = option(
        "FILE",
        Kind(fileWrittenInPlace, checks.text(fileWrittenInPlace)),
        "write a line of JSON for each message there, as soon as its outcome is known; - is standard output",
        default=None,
    )
    logSample: LogSample | str | None = option(
        "WHICH",
        Kind(_parse, _given),
        "with --log-messages, only these: a part of all, such as 1%; failed; slow>TIME; PHASE>TIME, such as rcpt>1s; "
        "or several: 1%,failed,slow>100ms",
        default=None,
    )
