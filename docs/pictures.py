"""
The pictures of docs/report-html.rst and README.rst, of two real runs: C{make pictures}.

The server is our sink. In one of them a command makes it slow for a while, as an upgrade might.
"""

from __future__ import annotations

import base64
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
from browsing import Browser

PLACE = Path(__file__).resolve().parent / "pictures"

#: How long a run takes.
SECONDS = 75

#: What a server does that has much else to do.
USUAL = (
    'on = "message", chance = "0.3%", do = { delay = "400ms" }',
    'on = "message", chance = "5%", do = { delay = "60ms" }',
    'on = "message", chance = "50%", do = { delay = "8ms" }',
    'on = "rcpt", chance = "0.5%", do = { reply = "451 4.7.1 Greylisted, come back" }',
)

#: What the upgrade does.
UPGRADE = 'name = "upgrade", on = "message", chance = "60%", do = { delay = "300ms" }'

_LOAD = (
    *("-A", "-d", "-s", "24", "--rate", "150/s", "--duration", f"{SECONDS}s", "--live", "off", "--quiet"),
    *("--threshold", "p99(response) < 500ms", "--threshold", "errors < 1%"),
)
_MEANWHILE = (
    *("--at", "25s", f"smtpsink ctl rules add --first '{UPGRADE}'"),
    *("--at", "40s", "smtpsink ctl rules remove upgrade"),
)


@contextmanager
def sink() -> Iterator[tuple[str, str]]:
    """
    A sink that runs: where, and where it is steered.
    """
    rules = [part for rule in USUAL for part in ("--rule", rule)]
    command = [sys.executable, "-m", "smtpsource.sink", *rules, "--control", "0", "127.0.0.1:0", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            places = [re.fullmatch(r"listening on \w+:(\S+)\n", process.stdout.readline()) for _ in range(2)]
            yield tuple(place[1] for place in places if place)  # type: ignore[misc]
        finally:
            process.terminate()
            process.communicate()


def load(directory: Path, name: str, *options: str) -> None:
    """
    A run, whose report is in a file of this name.
    """
    with sink() as (where, control):
        environment = os.environ | {
            "SMTPSINK_CONTROL": control,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = ["smtpsource", *_LOAD, *options, "--report", f"{name}.json", "--html", f"{name}.html", where]
        subprocess.run(command, cwd=directory, env=environment, check=False)


#: The pixels of a picture, as base64.
_PIXELS = """
const [png, done] = arguments;
const image = new Image();
image.onload = () => {
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d", {willReadFrequently: true});
  canvas.drawImage(image, 0, 0);
  const pixels = canvas.getImageData(0, 0, image.width, image.height).data;
  const reader = new FileReader();
  reader.onload = () => done([image.width, image.height, reader.result.split(",")[1]]);
  reader.readAsDataURL(new Blob([pixels]));
};
image.src = "data:image/png;base64," + png;
"""


def smaller(browser: Browser, png: str) -> bytes:
    """
    The same picture with a palette: a file of a third of the size.

    @param png: as base64.
    """
    width, height, pixels = browser.driver.execute_async_script(_PIXELS, png)
    colors = numpy.frombuffer(base64.b64decode(pixels), numpy.uint8).reshape(height * width, 4)[:, :3]
    found, which, counts = numpy.unique(colors, axis=0, return_inverse=True, return_counts=True)
    # The colors that there is most of; of the others, each becomes the one that is nearest.
    palette = found[numpy.argsort(-counts)[:256]]
    distances = ((found[:, None, :].astype(int) - palette.astype(int)) ** 2).sum(axis=2)
    indexes = distances.argmin(axis=1)[which]
    lines = numpy.zeros((height, width + 1), numpy.uint8)
    lines[:, 1:] = indexes.reshape(height, width)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", palette.tobytes()),
            (b"IDAT", zlib.compress(lines.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def picture(browser: Browser, name: str, *selectors: str) -> None:
    """
    Write what is around these elements.
    """
    box: Any = browser.run(
        "const boxes = arguments[0].map(one => document.querySelector(one).getBoundingClientRect());"
        "const [left, top] = ['left', 'top'].map(side => Math.min(...boxes.map(box => box[side])));"
        "const [right, bottom] = ['right', 'bottom'].map(side => Math.max(...boxes.map(box => box[side])));"
        "return {x: left + scrollX - 12, y: top + scrollY - 12, width: right - left + 24, height: bottom - top + 24}",
        list(selectors),
    )
    clip = {**{key: max(0, value) for key, value in box.items()}, "scale": 1}
    shot = {"captureBeyondViewport": True, "clip": clip}
    found = browser.driver.execute_cdp_cmd("Page.captureScreenshot", shot)
    PLACE.mkdir(exist_ok=True)
    (PLACE / f"{name}.png").write_bytes(smaller(browser, found["data"]))


def main() -> None:
    """
    Make all of them.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        load(directory, "upgrade", *_MEANWHILE)
        load(directory, "usual")
        both = [sys.executable, "-m", "smtpsource", "html", "--output", "both.html", "usual.json", "upgrade.json"]
        subprocess.run(both, cwd=directory, check=True)
        browser = Browser(directory / "profile")
        try:
            browser.look(1115)
            browser.open(directory / "upgrade.html")
            picture(browser, "report", "header", "#charts figure:nth-of-type(4)")
            picture(browser, "marks", "#marks")
            browser.look(1115, dark=True)
            browser.whenDrawn()
            picture(browser, "dark", "#charts figure:nth-of-type(1)", "#charts figure:nth-of-type(4)")
            browser.look(1115)
            browser.open(directory / "both.html")
            picture(browser, "changes", "#changes")
            picture(browser, "both", "#charts figure:nth-of-type(1)", "#charts figure:nth-of-type(3)")
        finally:
            browser.close()


if __name__ == "__main__":
    main()
