"""
What workers answer, as documents of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from smtpsource.sink.workers.link import Link
from smtpsource.web.answers import Answer, Problem


def documents(answers: Sequence[Answer]) -> list[Any]:
    """
    What workers have answered in JSON.

    @raise Problem: one of them has one, or there is none.
    """
    if not answers:
        raise noWorker()
    for answer in answers:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            problem = json.loads(answer.body)
            raise Problem(HTTPStatus(answer.status), problem["detail"])
    return [json.loads(answer.body) for answer in answers]


def noWorker() -> Problem:
    """
    There is nobody to ask.
    """
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no worker is there: expected the sink to listen")


def silent(missing: Sequence[Link], seconds: float) -> Problem:
    """
    Some don't answer.

    @param seconds: for which they were waited for.
    """
    problem = f"no answer within {seconds:g} seconds from {', '.join(link.name for link in missing)}"
    text = f"{problem}: expected all workers to run; the others have done their part"
    return Problem(HTTPStatus.GATEWAY_TIMEOUT, text)
