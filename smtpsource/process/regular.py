"""
Files that others have put there, and nothing that looks like one.
"""

from __future__ import annotations

import os
import stat
from errno import EINVAL


def openRegular(path: str) -> int:
    """
    Open a file to read from it. A FIFO would have us wait for whoever writes to it.

    @return: the descriptor.
    @raise OSError: it can't be opened, or it is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(EINVAL, "expected a file, and no directory, pipe or device", path)
    return descriptor
