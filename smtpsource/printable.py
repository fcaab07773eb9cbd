"""
A server's bytes on a user's terminal.
"""

from __future__ import annotations


def printable(text: bytes) -> str:
    """
    A server's bytes as one line that can be shown on a terminal: line ends become C{" | "}, and what is not
    printable a C{"?"}.
    """
    lines = text.decode("utf-8", "replace").replace("\r", "").strip("\n").split("\n")
    return " | ".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)
