"""
The manual pages, read.
"""

from __future__ import annotations

import io

from docutils import nodes
from docutils.core import publish_doctree
from subprocesses import ROOT

MANUAL = ROOT / "docs" / "man"


def settings(warnings):
    """
    How docutils reads our texts: the least it has to say is kept, and nothing is taken from this machine.
    """
    return {
        "report_level": 1,
        "halt_level": 5,
        "warning_stream": warnings,
        "syntax_highlight": "none",
        "_disable_config": True,
        "input_encoding": "utf-8",
    }


def documented(page):
    """
    @return: the text about each option in a manual page, by letter, long name and what stands for the value; C{None}
        for what an option lacks. (One with two words for its value is a definition: docutils has no place for
        them in a list of options.)
    """
    found = {}
    document, _ = parsed(page)
    for item in document.findall(nodes.option_list_item):
        letter = name = meta = None
        for option in item.findall(nodes.option):
            text = option.next_node(nodes.option_string).astext()
            argument = option.next_node(nodes.option_argument)
            meta = argument.astext().lstrip(" =") if argument is not None else meta
            if text.startswith("--"):
                name = text[2:]
            else:
                letter = text[1:]
        found[letter, name, meta] = " ".join(item.next_node(nodes.description).astext().split())
    for item in document.findall(nodes.definition_list_item):
        words = item.next_node(nodes.term).astext().split(" ", 1)
        if words[0].startswith("--"):
            about = item.next_node(nodes.definition).astext()
            found[None, words[0][2:], words[1]] = " ".join(about.split())
    return found


def parsed(path):
    """
    @return: the document, and what docutils had to say of it.
    """
    warnings = io.StringIO()
    document = publish_doctree(path.read_text("utf-8"), str(path), settings_overrides=settings(warnings))
    return document, warnings.getvalue()
