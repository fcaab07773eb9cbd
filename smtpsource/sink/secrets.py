"""
What people may read of the lines of AUTH, and how long those may be.
"""

#: The longest line of an exchange, in bytes (RFC 4954 section 4).
LONGEST_LINE = 12288

#: What stands for a secret wherever people may read it.
HIDDEN = b"(hidden)"

_MECHANISMS = (b"PLAIN", b"LOGIN", b"CRAM-MD5", b"XOAUTH2", b"SCRAM-SHA-256")


def isAuth(line: bytes) -> bool:
    """
    Does it look like an AUTH command, known or not?
    """
    return line.lstrip()[:4].upper() == b"AUTH"


def masked(line: bytes) -> bytes:
    """
    An AUTH command without its secrets.
    """
    words = line.split()
    if len(words) > 1 and words[1].upper() in _MECHANISMS:
        return b" ".join([b"AUTH", words[1], *([HIDDEN] if len(words) > 2 else [])])
    return b"AUTH " + HIDDEN if words[1:] else b"AUTH"
