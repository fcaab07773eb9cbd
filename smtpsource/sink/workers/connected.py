"""
The open connections of all workers, as rules count them.
"""

from __future__ import annotations

from smtpsource.sink.rules.gates import Connected
from smtpsource.sink.workers.shared import CONNECTED, LOST
from smtpsource.sink.workers.table import SharedRemembered, Table


class SharedConnected(Connected):
    """
    One worker's, which it tells the others.
    """

    def __init__(self, table: Table, worker: int) -> None:
        super().__init__()
        self._shared = table.shared
        self._told = [SharedRemembered(table, f"connected\0{each}") for each in range(self._shared.workers)]
        self._worker = worker

    def of(self, client: str | None) -> int:
        """
        See L{Connected.of}.
        """
        shared = self._shared
        if client is None:
            return shared.sum(CONNECTED)
        there = [told for each, told in enumerate(self._told) if not shared.numbers[shared.place(each, LOST)]]
        return int(sum(told.get(client, 0) for told in there))

    def opened(self, client: str) -> None:
        """
        See L{Connected.opened}.
        """
        super().opened(client)
        self._tell(client)

    def closed(self, client: str) -> None:
        """
        See L{Connected.closed}.
        """
        super().closed(client)
        self._tell(client)

    def _tell(self, client: str) -> None:
        shared = self._shared
        with shared:
            shared.numbers[shared.place(self._worker, CONNECTED)] = self.all
            self._told[self._worker].set(client, self.clients[client])
