"""
How Sphinx makes HTML of the documents: C{make docs}.
"""

import re
from pathlib import Path

project = "smtp-source"
author = copyright = "The smtp-source contributors"
_source = Path(__file__).parent.parent / "smtpsource" / "_version.py"
release = re.search(r'__version__ = "(.+)"', _source.read_text())[1]
version = release

# What is not marked is text, and no code of any language.
highlight_language = "none"
# As they are on the screen: -- is no dash, and quotes are typed.
smartquotes = False
html_theme = "alabaster"
html_theme_options = {"description": "A load generator and tester for SMTP and LMTP", "page_width": "70em"}
html_show_sourcelink = False


def setup(app):
    """
    README.rst stands in another directory than the document that includes it: where its pictures are is said anew.
    """
    app.connect("include-read", _pictures)


def _pictures(app, path, parent, content):
    content[0] = content[0].replace(".. image:: docs/", ".. image:: ")
