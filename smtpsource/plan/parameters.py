"""
Parameters of MAIL and RCPT.
"""

from __future__ import annotations

from typing import ClassVar

from smtpsource.smtp.parameters import Parameters
from smtpsource.values import checks
from smtpsource.values.option import checked, nested, settings
from smtpsource.values.rules import Rule, excludes


def _parameters(value: object) -> Parameters:
    return checked(checks.instance(Parameters, value))


@settings
class ParameterSettings:
    """
    @ivar parameters: of MAIL and RCPT; a server that does not announce their extensions is a fault.
    """

    heading: ClassVar[str] = "Parameters"
    rules: ClassVar[tuple[Rule, ...]] = (
        excludes("{oldMode:f}", "it says no EHLO", "parameters", when=lambda plan: plan.oldMode),
    )

    parameters: Parameters = nested(Parameters, _parameters)
