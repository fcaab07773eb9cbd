"""
The ledger: what became of every message.
"""

from __future__ import annotations

import re
from typing import Any

from smtpsource.messages import headers
from smtpsource.net.destination import SinkDestination
from smtpsource.plan.message import ofMail
from smtpsource.values import checks, kinds, names
from smtpsource.values.files import directoryToBe
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import Contradiction, Rules, allOf, excludes, needs

_EXPECTED = "expected [HOST:]PORT, an address of this machine, such as 2525 or [::1]:2525"


def _place(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:(?:\[([^\]]+)\]|([^:\[\]]+)):)?([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError(_EXPECTED)
    host = match[1] or match[2] or "127.0.0.1"
    try:
        return names.ipAddress(host), int(match[3])
    except ValueError:
        raise ValueError(_EXPECTED)


def _given(value: object) -> tuple[str, int]:
    match value:
        case str():
            return _place(value)
        case int() if not isinstance(value, bool):
            return _place(f"{value}")
        case (str() as host, int() as port):
            return _place(f"[{host}]:{port}")
    raise ValueError("expected a text, a port, or a pair of an address and a port")


def _hasPort(plan: Any) -> Rules:
    if plan.deliverTo is not None and not plan.deliverTo[1] and not isinstance(plan.destination, SinkDestination):
        text = "{deliverTo}: port 0 is not usable: expected the port that the server delivers to"
        yield Contradiction(plan, text, exclusive=False)


def _ownId(plan: Any) -> Rules:
    if plan.ledger is not None and headers.haveId(plan.headers):
        text = "{ledger} and {headers} 'X-Smtpsource-Id:' exclude each other: that header is the ledger's"
        yield Contradiction(plan, text)


class LedgerSettings(Settings):
    """
    @ivar ledger: a directory where each message is written down before it leaves, and what came of it.
    @ivar ledgerSync: have that on the disk first: fdatasync(2).
    @ivar deliverTo: where the server relays to: a sink that listens there while the run goes on keeps a ledger as well,
        and the run judges both. C{(address, port)}, a port of 127.0.0.1, or a text C{[HOST:]PORT}. Port 0
        is a free one, for the destination C{sink:}.
    @ivar drainTimeout: seconds after the load that arrivals are waited for.
    @ivar drainQuiet: seconds without one after which no more are thought to come; C{None}: 30 while something is
        missing, and 1 once all has arrived, for what comes twice.
    """

    heading = "Ledger"
    rules = allOf(
        ofMail("ledger"),
        needs("{ledger}", "ledgerSync", "deliverTo", unless=lambda plan: plan.ledger is not None),
        _ownId,
        _hasPort,
        needs("{deliverTo}", "drainTimeout", "drainQuiet", unless=lambda plan: plan.deliverTo is not None),
        excludes(
            "{findRate}",
            "a step of the search says nothing of what the server still has to deliver",
            "deliverTo",
            when=lambda plan: plan.findRate,
        ),
    )

    ledger: str | None = option(
        "DIR",
        Kind(directoryToBe, checks.text(directoryToBe)),
        "write down there what is sent and what came of it; smtpsource reconcile judges it",
        default=None,
    )
    ledgerSync: bool = switch("have all of it on the disk before it matters, with fdatasync", default=False)
    deliverTo: tuple[str, int] | str | int | None = option(
        "WHERE",
        Kind(_place, _given),
        "listen at [HOST:]PORT, where the server delivers to, and judge what arrives",
        default=None,
    )
    drainTimeout: float = option("TIME", kinds.time, "wait so long for the rest to arrive", shown="10m", default=600.0)
    drainQuiet: float | None = option(
        "TIME",
        kinds.time,
        "no more will come after such a silence (default: 30s, or 1s once all has arrived)",
        default=None,
    )
