"""
Where a process listens, and why it can't.
"""

from __future__ import annotations

import errno
import os
import stat


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


def addressOf(host: str) -> str:
    """
    The address of a host, one of IPv4 if there is such a one. Blocks while that is asked for.

    @raise OSError: there is none.
    """
    import socket  # for those who have such a host

    found = socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM)
    return str(sorted((family != socket.AF_INET, sockaddr[0]) for family, _, _, _, sockaddr in found)[0][1])


def removeStale(path: str) -> None:
    """
    Remove the socket of a server that is no more; anything else of that name stays and is an error.

    @raise OSError: there is such a thing, or somebody still listens.
    """
    import socket  # for those who have such a path

    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise OSError(errno.EEXIST, "there is something else of that name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # Only a socket that nobody listens on refuses.
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    os.unlink(path)
