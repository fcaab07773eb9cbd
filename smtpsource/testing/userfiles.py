"""
Who may log in, as a file that nobody else sees.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from smtpsource.credentials import Credentials, writtenUsers


@contextmanager
def userFile(users: Mapping[str, str] | None) -> Iterator[str | None]:
    """
    A file of users that is there as long as this.

    @param users: passwords by the names of users; C{None} is everybody.
    @return: its name; C{None} for everybody.
    @raise ValueError: a file of users can't have one of them.
    """
    if users is None:
        yield None
        return
    if not users:
        raise ValueError("users: {} is not usable: expected passwords by the names of users, or None for everybody")
    with tempfile.TemporaryFile() as file:
        try:
            file.write(writtenUsers(Credentials(user, password) for user, password in users.items()))
        except ValueError as e:
            raise ValueError(f"users: {e}") from None
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
