"""
The addresses that connections come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

from smtpsource.net.destination import Address, TCPAddress


class Sources:
    """
    Local addresses, taken in turn by all who connect.
    """

    def __init__(self, hosts: Sequence[str], start: int = 0, step: int = 1) -> None:
        """
        @param hosts: IPv4 and IPv6 addresses.
        @param start: which one of a family comes first, from 0.
        @param step: every so-manieth is taken: other processes have those between.
        """
        families = {isIPv6: [host for host in hosts if (":" in host) == isIPv6] for isIPv6 in (False, True)}
        self._turns = {isIPv6: islice(cycle(found), start, None, step) for isIPv6, found in families.items() if found}

    def reach(self, address: Address) -> bool:
        """
        Is there one of this address's family?
        """
        return isinstance(address, TCPAddress) and (":" in address.host) in self._turns

    def next(self, address: Address) -> str | None:
        """
        The next one for a connection to this address; C{None} if there is none of its family.
        """
        return (
            next(self._turns[":" in address.host]) if isinstance(address, TCPAddress) and self.reach(address) else None
        )
