"""
C{smtpsource locust}: Locust, with our locustfile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import NoReturn

#: Locust does not ask its locustfile when it is to say what there is.
_HELP = """\
Usage: smtpsource locust --master|--worker|--processes N [options]

This is Locust with a locustfile of ours. What the load is, is said by these: see smtpsource-locust(1).

{fields}

Other than Locust says below, it listens on 127.0.0.1 only: --master-bind-host ADDRESS and --web-host ADDRESS, or '*',
let in others.
"""


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Become Locust.

    @param arguments: what comes after C{locust}: options of Locust's, and those of L{smtpsource.locust.options}.
    @raise SystemExit: there is no Locust.
    """
    if find_spec("locust") is None:
        print("smtpsource: Locust is not installed: expected pip install 'smtpsource[locust]'", file=sys.stderr)
        raise SystemExit(2)
    if {"-h", "--help"} & set(arguments):
        print(_HELP.format(fields="\n".join(_fields())), flush=True)
    # -P: Locust is not what may have this name in the current directory.
    command = [sys.executable, "-P", "-m", "locust", "-f", locustfile(), *arguments]
    os.execv(sys.executable, command)


def _fields() -> Iterator[str]:
    from smtpsource.locust.options import DESTINATION, FIELDS, OTHERS

    yield f"  {f'-H, --{DESTINATION} DESTINATION':34}[inet:]host[:port], smtp://host, lmtp://host or unix:path"
    for field in FIELDS:
        yield f"  {f'--{field.name} {field.meta}':34}{field.help.removeprefix('smtpsource: ')}"
    yield f"  {f'--{OTHERS}=OPTIONS':34}more of smtpsource's options, as on its command line"


def locustfile() -> str:
    """
    The path of our locustfile.
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "locustfile.py")


if __name__ == "__main__":
    main(sys.argv[1:])
