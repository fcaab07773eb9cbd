"""
Node.js with nodemailer, a client of SMTP that is none of Python's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from patience import PATIENCE
from peers import missing

#: Where Debian's package node-nodemailer is.
_DEBIAN = "/usr/share/nodejs"


def nodeModules(directory):
    """
    Where Node.js finds nodemailer: Debian's package or, without that, npm's, which is fetched.

    @param directory: where it may be put.
    @return: the value of C{NODE_PATH}.
    """
    if shutil.which("node") is None:
        missing("Node.js isn't installed (Debian: nodejs)")
    if Path(_DEBIAN, "nodemailer").is_dir():
        return _DEBIAN
    if shutil.which("npm") is None:
        missing("nodemailer isn't installed (Debian: node-nodemailer)")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", os.fspath(directory), "nodemailer"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        missing(f"npm can't install nodemailer: {done.stderr}")
    return os.fspath(Path(directory, "node_modules"))
