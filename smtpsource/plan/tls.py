"""
TLS.
"""

from __future__ import annotations

from typing import Any

from smtpsource.net.destination import HostDestination, UNIXDestination
from smtpsource.net.tls.settings import TLSMode, TLSSettings, tlsMode
from smtpsource.values import checks, kinds
from smtpsource.values.option import Settings, checked, nested, option
from smtpsource.values.rules import Contradiction, Rules, allOf, needs


def _tlsSettings(value: object) -> TLSSettings:
    return checked(checks.instance(TLSSettings, value))


def _hasAName(plan: Any) -> Rules:
    wanted = plan.tlsSettings
    if wanted.verify and wanted.serverName is None and not isinstance(plan.destination, HostDestination):
        yield Contradiction(
            plan,
            "{tlsSettings.verify} needs a name to check, and {what} has none: expected {tlsSettings.serverName:m} "
            "along with it",
            exclusive=False,
            what="a UNIX socket" if isinstance(plan.destination, UNIXDestination) else "sink:",
        )


def _bounds(plan: Any) -> Rules:
    least, most = plan.tlsSettings.minimum, plan.tlsSettings.maximum
    if least is not None and most is not None and least > most:
        yield Contradiction(
            plan,
            "{tlsSettings.minimum} and {tlsSettings.maximum} exclude each other: expected a minimum of at most "
            "{most}, not {least}",
            least=least,
            most=most,
        )


def _old(plan: Any) -> Rules:
    if plan.oldMode and plan.tls == "starttls":
        yield Contradiction(plan, "{oldMode:f} and {tls} 'starttls' exclude each other: it says no EHLO")


class TLS(Settings):
    """
    @ivar tls: C{"off"}; C{"starttls"} (RFC 3207); C{"implicit"}, from the first byte (RFC 8314 section 3).
    @ivar tlsSettings: how TLS is done.
    """

    heading = "TLS"
    rules = allOf(
        _old,
        needs("{tls} starttls or implicit", "tlsSettings", unless=lambda plan: plan.tls != "off"),
        needs("{tlsSettings.verify}", "tlsSettings.ca", unless=lambda plan: plan.tlsSettings.verify),
        _hasAName,
        _bounds,
        needs(
            "{tlsSettings.certificate}",
            *("tlsSettings.key", "tlsSettings.keyPasswordFile"),
            unless=lambda plan: plan.tlsSettings.certificate,
        ),
    )

    tls: TLSMode = option(
        "MODE", kinds.text(tlsMode), "off, starttls, or implicit: from the start; needs the extra tls", default="off"
    )
    tlsSettings: TLSSettings = nested(TLSSettings, _tlsSettings, default=TLSSettings)
