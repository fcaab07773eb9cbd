"""
The end of a process of ours: its result is shown, whatever goes wrong with that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeVar

from smtpsource.process.interrupts import settle
from smtpsource.process.unexpected import named
from smtpsource.report.presentation import Presentation, Result


class Ended(Result, Protocol):
    """
    A result that can do with less: a run's summary, or a sink's.
    """

    def plain(self, problem: str) -> Self:
        """
        The same without what takes work to be shown, and with the exit status of a failure.
        """


_Result = TypeVar("_Result", bound=Ended)


def conclude(
    presentation: Presentation,
    stopView: Callable[[], object],
    result: _Result,
    render: Callable[[_Result], str],
    asDict: Callable[[_Result], dict[str, Any]],
    reason: str | None = None,
) -> int:
    """
    Show a result, after which there is nothing left to be done. Never raises anything: of what can't be shown there is
    as much as can, and one line says why.

    @param stopView: ends what was shown before.
    @param render: gives the result as text.
    @param asDict: gives it as JSON takes it.
    @param reason: what ended it before its time, as one line.
    @return: the exit status: the result's own, or 1 if it could not be shown.
    """
    settle()
    try:
        stopView()
    except Exception as e:
        _complain(presentation, e)  # that is no part of the result
    try:
        text = render(result)
    except Exception as e:
        result = result.plain(_complain(presentation, e))
        text = ""
    try:
        return presentation.show(result, text, asDict, reason)
    except Exception as e:
        result = result.plain(_complain(presentation, e))
    try:
        presentation.writeFiles(result, asDict)
    except Exception as e:
        _complain(presentation, e)
    return 1


def _complain(presentation: Presentation, exception: Exception) -> str:
    """
    Tell people of it, if that is possible.

    @return: what they are told.
    """
    problem = ": ".join(named(exception))
    try:
        presentation.complain(problem)
    except Exception:
        pass
    return problem
