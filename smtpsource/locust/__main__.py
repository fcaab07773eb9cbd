"""
C{smtpsource locust}: Locust, with our locustfile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Become Locust.

    @param arguments: what comes after C{locust}: options of Locust's, and those of L{smtpsource.locust.options}.
    @raise SystemExit: there is no Locust.
    """
    if find_spec("locust") is None:
        print("smtpsource: Locust is not installed: expected pip install 'smtpsource[locust]'", file=sys.stderr)
        raise SystemExit(2)
    # -P: Locust is not what may have this name in the current directory.
    command = [sys.executable, "-P", "-m", "locust", "-f", locustfile(), *arguments]
    os.execv(sys.executable, command)


def locustfile() -> str:
    """
    The path of our locustfile.
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "locustfile.py")


if __name__ == "__main__":
    main(sys.argv[1:])
