"""
Parameters of MAIL and RCPT.
"""

from __future__ import annotations

from smtpsource.plan.message import ofMail
from smtpsource.smtp.parameters import Parameters
from smtpsource.values import checks
from smtpsource.values.option import Settings, checked, nested
from smtpsource.values.rules import allOf, excludes


def _parameters(value: object) -> Parameters:
    return checked(checks.instance(Parameters, value))


class ParameterSettings(Settings):
    """
    @ivar parameters: of MAIL and RCPT; a server that does not announce their extensions is a fault.
    """

    heading = "Parameters"
    rules = allOf(
        ofMail("parameters"),
        excludes("{oldMode:f}", "it says no EHLO", "parameters", when=lambda plan: plan.oldMode),
    )

    parameters: Parameters = nested(Parameters, _parameters, default=Parameters)
