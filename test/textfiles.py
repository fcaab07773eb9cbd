"""
Files that a test makes.
"""

from __future__ import annotations

import os


def writeFile(test, content):
    """
    Write a file that is there for one test.

    @param test: the test case.
    @param content: bytes.

    @return: its path.
    """
    path = test.mktemp()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return path
