"""
Tests for docs/control.rst: what it has people type does what it says.
"""

from __future__ import annotations

import json
import re
import shlex
from urllib.parse import urlencode

from controlled import DESCRIPTION, ControlMixin, operationOf
from patience import TEST_LIMIT
from subprocesses import ROOT
from twisted.internet import defer
from twisted.trial.unittest import TestCase

TEXT = (ROOT / "docs" / "control.rst").read_text("utf-8")


def typed(text):
    """
    @return: each line with a prompt, and what is answered, as one line.
    """
    found = []
    for line in text.splitlines():
        if line.startswith("   $ "):
            found.append([line[5:], ""])
        elif line.startswith("   ") and found and found[-1] is not None:
            found[-1][1] += f"{line.strip()} "
        elif found and found[-1] is not None:
            found.append(None)
    return [tuple(each) for each in found if each is not None]


def asked(line):
    """
    What curl would ask for.

    @return: method, path, headers and body.
    """
    method, headers, data, body, url = None, {}, [], None, ""
    words = iter(shlex.split(line)[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "--json":
            body = next(words).encode()
        elif word in ("-d", "--data-urlencode"):
            data.append(tuple(next(words).split("=", 1)))
        elif not word.startswith("-"):
            url = word
    _, _, path = url.partition("/")
    path = f"/{path}?{urlencode(data)}" if data else f"/{path}"
    return method or ("GET" if body is None else "POST"), path, headers, body


def shape(value):
    """
    @return: the same without what is different each time.
    """
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return "a time"
    return float if isinstance(value, float) else value


class TextTests(ControlMixin, TestCase):
    """
    The text, from its beginning to its end.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_typed(self):
        """
        Every line can be typed one after the other, and is answered as the text has it; nothing of the description is
        left out.
        """
        self.serve()
        self.steering.receive(1)
        transcript = self.steering.transcripts.begin(1, "127.0.0.1")
        transcript.server(b"220 smtp-sink ESMTP\r\n")
        transcript.client(b"QUIT")
        seen = set()
        for line, answer in typed(TEXT):
            method, path, headers, body = asked(line)
            if path.startswith("/messages/1") and method == "DELETE":
                self.assertEqual(len(self.steering.memory.find()), 1)
            reply = yield self.ask(method, path, body, headers)
            self.assertEqual(reply.status >= 400, '"about:blank"' in answer, (line, reply.body))
            if answer:
                self.assertEqual(shape(reply.json), shape(json.loads(answer)), line)
            seen.add((operationOf(method, path)[0], method.lower()))
        every = {(path, each) for path, item in DESCRIPTION["paths"].items() for each in item if each != "parameters"}
        self.assertEqual(every - seen, {("/events", "get")})
