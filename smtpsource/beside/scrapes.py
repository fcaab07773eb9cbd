"""
Metrics of others that are watched: what Prometheus would see there.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from smtpsource.measure.watched import figure

#: The most bytes of an answer.
MOST = 4_194_304

#: Seconds that it may take.
PATIENCE = 2.5

_AT_ONCE = 65_536

#: For so many seconds an answer is what is there now.
_FRESH = 0.5


class Page:
    """
    What is said at one address, for all that look there.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = Lock()
        self._at = -inf
        self._text = ""

    def text(self) -> str:
        """
        See L{fetched}. It is fetched once for those who come at about the same time.
        """
        with self._lock:
            if time.monotonic() - self._at > _FRESH:
                self._text = fetched(self._url)
                self._at = time.monotonic()
            return self._text


class ScrapeLook:
    """
    Looks at one metric: the sum of all samples that have its labels.
    """

    def __init__(self, name: str, where: Mapping[str, Any], page: Page) -> None:
        self.name = name
        self._where = where
        self._page = page

    def look(self) -> dict[str, float]:
        """
        See L{Look.look<smtpsource.beside.looks.Look.look>}.
        """
        value = valueIn(self._page.text(), self._where["metric"], self._where["labels"])
        if value is None:
            raise ValueError(f"there is no such metric at {self._where['url']}")
        if figure(value) is None:
            raise ValueError(f"{value:g} is too large a number")
        return {self.name: value}


def fetched(url: str) -> str:
    """
    What is said there.

    @raise OSError: it can't be had, or not in time.
    @raise ValueError: it is too much, or no metrics.
    """
    ends = time.monotonic() + PATIENCE
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=PATIENCE)
    try:
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        connection.request("GET", path, headers={"Accept": "text/plain;version=0.0.4", "User-Agent": "smtpsource"})
        pieces, length = [], 0
        # The answer may have the socket for its own.
        with connection.getresponse() as answer:
            if answer.status != 200:
                raise ValueError(f"it answers {answer.status}")
            while piece := answer.read1(_AT_ONCE):
                pieces.append(piece)
                length += len(piece)
                if length > MOST:
                    raise ValueError(f"its answer is longer than {MOST} bytes")
                if time.monotonic() > ends:
                    raise TimeoutError(f"it takes longer than {PATIENCE:g} s")
    except http.client.HTTPException as e:
        raise ValueError(f"that is no HTTP: {e or type(e).__name__}")
    finally:
        connection.close()
    return b"".join(pieces).decode("utf-8", "replace")


def valueIn(text: str, metric: str, labels: Mapping[str, str]) -> float | None:
    """
    The sum of the samples of a metric that have these labels, and maybe others; C{None} if there are none.

    @raise ValueError: that can't be read.
    """
    # To parse all that others have takes a processor for longer than we have one.
    lines: Sequence[str] = re.findall(rf"^{re.escape(metric)}(?=[{{ \t]).*$", text, re.MULTILINE)
    values = [
        sample.value
        for family in text_string_to_metric_families("".join(f"{line}\n" for line in lines))
        for sample in family.samples
        if labels.items() <= sample.labels.items() and isfinite(sample.value)
    ]
    return sum(values) if values else None
