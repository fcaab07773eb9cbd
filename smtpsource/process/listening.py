"""
Where a process listens, and why it can't.
"""

from __future__ import annotations


class ListenError(Exception):
    """
    It is not possible to listen where it should be; the text is one line for people.
    """

    def __init__(self, problem: str, error: Exception) -> None:
        cause = causeOf(error)
        super().__init__(f"{problem}: {getattr(cause, 'strerror', None) or cause}")


def causeOf(error: Exception) -> object:
    """
    The system's own error, which is within a C{CannotListenError}.
    """
    return getattr(error, "socketError", error)


def joined(host: str, port: int) -> str:
    """
    Host and port, with an IPv6 address in brackets.
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
