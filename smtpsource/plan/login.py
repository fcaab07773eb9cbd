"""
Logins.
"""

from __future__ import annotations

import os
from typing import Any

from smtpsource.credentials import (
    MECHANISMS,
    PASSWORD_VARIABLE,
    SCRAM_ITERATIONS,
    Credentials,
    mechanism,
    mechanisms,
    readPassword,
    readUsers,
)
from smtpsource.values import checks, kinds, names
from smtpsource.values.option import Only, Settings, ValueOption, option, setting
from smtpsource.values.rules import Contradiction, Rules, allOf, excludes, needs


def _user(text: str) -> str:
    names.oneLine(os.fsencode(text))
    if not text:
        raise ValueError("expected a user, not an empty text")
    return text


def _credentials(value: object) -> Credentials:
    one = checks.instance(Credentials, value)
    if not isinstance(one.user, str) or not isinstance(one.password, str):
        raise ValueError("expected Credentials of two texts")
    return one


def _eachOther(plan: Any) -> Rules:
    if plan.mechanisms and not plan.logins:
        yield Contradiction(plan, "{mechanisms} needs {logins}", exclusive=False)
    if plan.logins and not plan.mechanisms:
        yield Contradiction(plan, "{logins} needs {mechanisms}", exclusive=False)


_LOGINS = "Credentials, such as (Credentials(user, password),)"


class Login(Settings):
    """
    @ivar mechanisms: log in by AUTH (RFC 4954), with the first of these that the server announces; empty for no login.
    @ivar logins: who to log in as, in turn.
    @ivar scramIterations: the most iterations that a server may ask for in SCRAM; more are a fault.
    """

    heading = "Login"
    rules = allOf(
        excludes("{oldMode:f}", "it says no EHLO", "mechanisms", when=lambda plan: plan.oldMode),
        _eachOther,
        needs(
            "{mechanisms} SCRAM-SHA-256",
            "scramIterations",
            unless=lambda plan: "SCRAM-SHA-256" in plan.mechanisms,
        ),
    )

    mechanisms: tuple[str, ...] = option(
        "MECHS",
        kinds.listOf(names.Worded(MECHANISMS, mechanisms), mechanism, "('PLAIN',)"),
        f"log in with the first of these that is offered: {','.join(MECHANISMS)}",
        long="auth",
        secret=True,
        default=(),
    )
    logins: tuple[Credentials, ...] = setting(checks.tupleOf(_credentials, _LOGINS), secret=True, default=())
    _who = Only(
        ValueOption("auth-user", None, "USER", None, "who to log in as", _user, secret=True),
        ValueOption(
            *("auth-password-file", None, "FILE", None),
            f"its first line is the password or token (default: {PASSWORD_VARIABLE} in the environment)",
            readPassword,
            secret=True,
        ),
        ValueOption(
            *("auth-users", None, "FILE", None),
            "lines of user:password, used in turn by all connections",
            readUsers,
            secret=True,
        ),
    )
    scramIterations: int = option(
        "N",
        kinds.count,
        "the most iterations that a server may ask for in SCRAM",
        long="auth-scram-iterations",
        default=SCRAM_ITERATIONS,
    )
