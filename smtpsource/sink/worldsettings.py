"""
What of a sink's plan says which DNS it answers for.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from smtpsource.values import checks, textfiles
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option
from smtpsource.values.rules import Contradiction, Rules, allOf, needs


def _where(text: str) -> tuple[str, int]:
    """
    An address and a port, or a port of 127.0.0.1: C{"5353"}, C{"127.0.0.53:53"}, C{"[::1]:0"}.
    """
    match = re.fullmatch(r"(?:(?:\[([^\[\]]+)\]|([^:\[\]]+)):)?([0-9]{1,5})", text)
    if match is not None and int(match[3]) <= 65535:
        try:
            return str(ipaddress.ip_address(match[1] or match[2] or "127.0.0.1")), int(match[3])
        except ValueError:
            pass
    raise ValueError("expected a port, or an address and a port, such as 5353, 127.0.0.53:53 or [::1]:5353")


def _given(value: object) -> tuple[str, int]:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int):
        value = f"[{value[0]}]:{value[1]}" if ":" in value[0] else f"{value[0]}:{value[1]}"
    if not isinstance(value, str):
        raise ValueError("expected the address and port of a name server, such as '127.0.0.1:5353'")
    return _where(value)


def _hasPort(plan: Any) -> Rules:
    if plan.dns is not None and plan.path is not None:
        yield Contradiction(
            plan,
            "{dns} is not usable with a UNIX socket: expected a host and a port to listen on, as a world's hosts do",
            exclusive=False,
        )


class WorldDNS(Settings):
    """
    @ivar dns: C{(address, port)} where questions of the DNS are answered, over UDP and TCP, or a text C{[HOST:]PORT};
        port 0 is any that is free. C{None} is nowhere. The sink listens on all addresses that it answers with, as well.
    @ivar world: a file that says which domains there are; C{None}: any domain there is, and all have one mail server.
    """

    heading = "World and DNS"
    rules = allOf(_hasPort, needs("{dns}", "world", unless=lambda plan: plan.dns is not None))

    dns: tuple[str, int] | str | None = option(
        "WHERE",
        Kind(_where, _given),
        "answer questions of the DNS at [HOST:]PORT, for any domain; the host is 127.0.0.1",
        default=None,
    )
    world: str | None = option(
        "FILE",
        Kind(textfiles.settingsFile, checks.readableFile),
        "its domains, their hosts, and what goes wrong",
        default=None,
    )
