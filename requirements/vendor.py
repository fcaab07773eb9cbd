"""
Vendors uPlot, which draws the lines of the HTML report: C{python3 requirements/vendor.py 1.6.32}, with npm.

Its files come to stand in smtpsource/report/html/vendor as they are in the package, and in C{uplot.toml} beside them
which release it is and what they hash to. C{test_vendor} compares.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PLACE = Path(__file__).resolve().parent.parent / "smtpsource" / "report" / "html" / "vendor"

#: What is taken, and under which name.
FILES = {
    "package/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "package/dist/uPlot.min.css": "uPlot.min.css",
    "package/LICENSE": "LICENSE.uPlot",
}


def vendor(version: str) -> None:
    """
    Take the files of a release.

    @param version: such as C{1.6.32}.
    @raise subprocess.CalledProcessError: npm doesn't find it.
    """
    with tempfile.TemporaryDirectory() as directory:
        command = ["npm", "pack", "--json", f"uplot@{version}"]
        (packed,) = json.loads(subprocess.run(command, cwd=directory, check=True, stdout=subprocess.PIPE).stdout)
        with tarfile.open(Path(directory) / packed["filename"]) as archive:
            found = {name: archive.extractfile(member).read() for member, name in FILES.items()}
    PLACE.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        (PLACE / name).write_bytes(content)
    hashes = "".join(f'"{name}" = "{hashlib.sha256(content).hexdigest()}"\n' for name, content in found.items())
    (PLACE / "uplot.toml").write_text(
        f"# Written by requirements/vendor.py.\n\n"
        f'name = "uplot"\nversion = "{packed["version"]}"\nlicense = "MIT"\nintegrity = "{packed["integrity"]}"\n\n'
        f"[sha256]\n{hashes}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} VERSION")
    vendor(sys.argv[1])
