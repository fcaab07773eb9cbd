"""
Send mail with aiosmtplib.

Usage: C{aiosmtplib_client.py SESSIONS MESSAGES PORT KEEP}; KEEP is 1 to send all messages of a session over one
connection, 0 for a new connection for each. Exits with 1 if a message isn't accepted.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from aiosmtplib import SMTP

_ADDRESS = "foo@localhost"
_MESSAGE = (
    b"From: <foo@localhost>\r\nTo: <foo@localhost>\r\nDate: Sun, 22 Nov 2026 07:42:50 +0000 (UTC)\r\n"
    b"Message-Id: <1234.1234.1234@localhost>\r\n\r\n" + b"XXXXXXXX\r\n" * 4
)


def _client(port: int) -> SMTP:
    return SMTP(hostname="127.0.0.1", port=port, local_hostname="localhost", start_tls=False)


async def _kept(port: int, turns: Iterator[int]) -> None:
    async with _client(port) as client:
        for _ in turns:
            await client.sendmail(_ADDRESS, [_ADDRESS], _MESSAGE)


async def _anew(port: int, turns: Iterator[int]) -> None:
    for _ in turns:
        async with _client(port) as client:
            await client.sendmail(_ADDRESS, [_ADDRESS], _MESSAGE)


async def main(sessions: int, messages: int, port: int, keep: int) -> None:
    """
    Send everything.
    """
    turns = iter(range(messages))
    session = _kept if keep else _anew
    await asyncio.gather(*(session(port, turns) for _ in range(sessions)))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
