"""
Messages as a sink keeps them, and file systems without room for them.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
from contextlib import contextmanager

from smtpsource.sink.keeping.message import KeptMessage

#: What the header of a message is when a test doesn't care.
CONTENT = b"Subject: Hello\r\nMessage-Id: <one@example.com>\r\n\r\nText.\r\n"


def kept(content=CONTENT, **others):
    """
    @param others: what is to be other than usual.
    @return: a L{KeptMessage}.
    """
    usual = {
        "number": 1,
        "session": 1,
        "started": 1_800_000_000.0,
        "received": 1_800_000_000.25,
        "client": "127.0.0.1",
        "protocol": "ESMTP",
        "helo": b"client.example.com",
        "sender": "a@example.com",
        "recipients": ["b@example.com"],
        "tls": False,
        "user": "",
    }
    fields = {**usual, **others}
    fields.setdefault("mail", f"<{fields['sender']}>".encode("utf-8", "surrogateescape"))
    fields.setdefault("rcpts", [f"<{each}>".encode("utf-8", "surrogateescape") for each in fields["recipients"]])
    return KeptMessage(content=io.BytesIO(content), size=len(content), **fields)


@contextmanager
def smallFiles(octets):
    """
    In here, no file of this process grows larger.
    """
    old, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (old, most))


@contextmanager
def fullDisk(path):
    """
    In here, a directory is a file system without room for more than a page. Who may not mount one has the limit of
    L{smallFiles} in its place.
    """
    os.makedirs(path, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path]
    if os.geteuid() != 0 or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
        with smallFiles(4096):
            yield
        return
    try:
        filler = os.path.join(path, "filler")
        with open(filler, "wb") as file:
            file.write(bytes(60 * 1024))
        yield
        os.unlink(filler)
    finally:
        subprocess.run(["umount", path], check=True)


def filesBelow(path):
    """
    @return: the contents of all files by their names, C{filler} aside.
    """
    found = {}
    for directory, _, names in os.walk(path):
        for name in names:
            whole = os.path.join(directory, name)
            if name != "filler" and os.path.isfile(whole):
                with open(whole, "rb") as file:
                    found[os.path.relpath(whole, path)] = file.read()
    return found
