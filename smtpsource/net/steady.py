"""
A clock that never steps, for any reactor.

Most of Twisted's reactors go by C{time.time}, for delayed calls too. That is the time of day, which is set: by NTP, by
an operator, when a virtual machine is resumed. A step forward ends every wait at once, a step back makes it last as
much longer. Ours has a steady clock to begin with; see L{smtpsource.net.reactor}.
"""

from __future__ import annotations

import time
from typing import Any


def keepSteady(reactor: Any) -> None:
    """
    Let a reactor that goes by the time of day go on from now by a clock that never steps.

    It begins at what the old one shows, so nothing is seen of it, whoever else uses this reactor: delayed calls come
    when they would have, and differences between two looks at C{reactor.seconds()} stay what they are.

    A clock for ourselves alone would not do: transports end connections by delayed calls of the reactor's own.
    """
    if reactor.seconds is time.time:
        ahead = time.time() - time.monotonic()
        reactor.seconds = lambda: time.monotonic() + ahead
