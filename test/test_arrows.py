"""
Tests for the arrows of docs/architecture.rst: who imports whom, and that nobody goes in circles.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from arrows import circlesIn, importsIn, placesIn, tableIn, wrongIn
from subprocesses import ROOT
from twisted.trial.unittest import SynchronousTestCase

PACKAGE = ROOT / "smtpsource"


class ArrowsTests(SynchronousTestCase):
    """
    The source, and the table in docs/architecture.rst.
    """

    def setUp(self):
        self.table = tableIn((ROOT / "docs" / "architecture.rst").read_text("utf-8"))

    def test_arrows(self):
        """
        All imports go down the table, as it allows them and no other way; and none of what it allows is without use.
        """
        wrong = wrongIn(PACKAGE, self.table)
        if wrong:
            self.fail("\n".join(["Arrows of docs/architecture.rst:", *wrong]))

    def test_captions(self):
        """
        Each row says what is there.
        """
        self.assertEqual([], [row.name for row in self.table.values() if not row.caption])

    def test_folders(self):
        """
        A row has a slash if it is a folder.
        """
        for key, row in self.table.items():
            self.assertEqual((PACKAGE / key).is_dir(), row.name.endswith("/"), row.name)


class MadeUpTests(SynchronousTestCase):
    """
    What finds all that, with small trees of its own.
    """

    TABLE = """
Arrows
======

Some words.

::

    tap         the top
                may import: high, low, words
    high/       does things
                may import: low, words
    low/        helps
                may import: words
    low/deep/   helps to help
                part of low/
    words       says
                may import: nothing
    __init__    the package
                may import: nothing

More words.
"""

    FILES = {
        "__init__.py": "",
        "tap.py": "import pkg.high.one, pkg.low.three\nfrom pkg import words",
        "high/__init__.py": "",
        "high/one.py": "from pkg.low import three\nfrom pkg import words",
        "low/__init__.py": "",
        "low/three.py": "import os\nfrom pkg.low.deep.four import x",
        "low/deep/__init__.py": "",
        "low/deep/four.py": "import pkg.words as others\nfrom os import path",
        "words.py": "",
    }

    def wrong(self, files=None, table=TABLE):
        """
        @param files: other files, or other texts for the same.
        @return: what is wrong with the tree.
        """
        package = self.made({**self.FILES, **(files or {})})
        return wrongIn(package, tableIn(table))

    def made(self, files):
        """
        @return: a package made of these files.
        """
        package = Path(self.mktemp()) / "pkg"
        for name, text in files.items():
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), "utf-8")
        return package

    def test_right(self):
        """
        Nothing is wrong with this one.
        """
        self.assertEqual([], self.wrong())

    def test_forbidden(self):
        """
        An arrow that the table doesn't have; what is below a folder counts as that.
        """
        self.assertEqual(
            ["pkg.low.deep.four imports pkg.high.two: low/ may import words"],
            self.wrong({"low/deep/four.py": "from pkg import words\nimport pkg.high.two", "high/two.py": ""}),
        )
        self.assertEqual(
            ["pkg.words imports pkg.high: words may import nothing"], self.wrong({"words.py": "from pkg.high import x"})
        )

    def test_circle(self):
        """
        Modules that lead back to themselves, if only within one folder.
        """
        files = {"high/two.py": "from pkg.high import three", "high/three.py": "from pkg.high.two import x"}
        self.assertEqual(
            ["circle: pkg.high.three imports pkg.high.two, which imports pkg.high.three"], self.wrong(files)
        )

    def test_unused(self):
        """
        An arrow that nobody uses.
        """
        self.assertEqual(
            ["high/ may import low, and does not: delete that from the table"],
            self.wrong({"high/one.py": "from pkg import words"}),
        )

    def test_upward(self):
        """
        A table whose arrows do not all go down may have a circle.
        """
        table = self.TABLE.replace("nothing\n    __init__", "low\n    __init__")
        self.assertEqual(
            ["words may import low, which does not stand below it in the table"],
            self.wrong({"words.py": "import pkg.low"}, table),
        )

    def test_unknown(self):
        """
        Names that a table can't have, and folders that it lacks.
        """
        self.assertEqual(
            ["high/ names deep, which has no arrows of its own in the table"],
            self.wrong(
                table=self.TABLE.replace("may import: low, words\n    low/", "may import: low, words, deep\n    low/")
            )[:1],
        )
        self.assertEqual(["new: no row in the table"], self.wrong({"new/__init__.py": ""}))
        self.assertEqual(
            ["old: a row of the table, and nothing in the source"],
            self.wrong(
                table=self.TABLE.replace("    words  ", "    old/   gone\n        may import: nothing\n    words  ")
            ),
        )

    def test_table(self):
        """
        Rows go on in lines that are indented further; what can't be understood is said.
        """
        table = tableIn(self.TABLE.replace("low, words\n    low/", "low,\n                words\n    low/"))
        self.assertEqual(("low", "words"), table["high"].may)
        self.assertEqual("does things", table["high"].caption)
        self.assertEqual("low", table["low/deep"].partOf)
        self.assertRaises(ValueError, tableIn, self.TABLE.replace("may import: nothing", "imports nothing"))
        self.assertRaises(ValueError, tableIn, "no table")

    def test_imports(self):
        """
        Imports for type checkers, within functions, under other names, relative ones: all count, and no others.
        """
        package = self.made(
            {
                **self.FILES,
                "high/one.py": """
                    from typing import TYPE_CHECKING
                    import pkgs.words
                    if TYPE_CHECKING:
                        from pkg import tap as top
                    def function():
                        from ..low import three, deep
                        from . import two
                        import pkg.words
                """,
                "high/two.py": "from .. import words\nfrom ..low.deep.four import name\nfrom . import name",
                "high/__init__.py": "from .one import name\nfrom . import two",
            }
        )
        imports = importsIn(package)
        self.assertEqual(
            {"pkg.tap", "pkg.low.three", "pkg.low.deep", "pkg.high.two", "pkg.words"}, imports["pkg.high.one"]
        )
        self.assertEqual({"pkg.words", "pkg.low.deep.four", "pkg.high"}, imports["pkg.high.two"])
        self.assertEqual({"pkg.high.one", "pkg.high.two"}, imports["pkg.high"])

    def test_places(self):
        """
        Where modules are.
        """
        places = placesIn(self.made(self.FILES))
        self.assertEqual("__init__", places["pkg"])
        self.assertEqual("words", places["pkg.words"])
        self.assertEqual("high", places["pkg.high"])
        self.assertEqual("low/deep", places["pkg.low.deep.four"])

    def test_circles(self):
        """
        The shortest way round each knot, and nothing of those that only lead to one.
        """
        imports = {"a": {"b"}, "b": {"c", "d"}, "c": {"d"}, "d": {"b"}, "e": {"f"}, "f": {"e", "a"}}
        self.assertEqual([["b", "d", "b"], ["e", "f", "e"]], circlesIn(imports))
        self.assertEqual([], circlesIn({"a": {"b", "c"}, "b": {"c"}, "c": set()}))
