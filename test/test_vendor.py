"""
Tests for what others have written and we hand on.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PLACE = Path(__file__).resolve().parent.parent / "smtpsource" / "report" / "html" / "vendor"


class VendorTests(SynchronousTestCase):
    """
    uPlot.
    """

    def test_files(self):
        """
        All files that are there are those of the release, and nobody has changed them.
        """
        release = tomllib.loads((PLACE / "uplot.toml").read_text("utf-8"))
        found = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in PLACE.iterdir()
            if path.name != "uplot.toml"
        }
        self.assertEqual(release["sha256"], found)

    def test_license(self):
        """
        Its license goes where its files go, and they say which release they are of.
        """
        self.assertIn("Permission is hereby granted", (PLACE / "LICENSE.uPlot").read_text("utf-8"))
        version = tomllib.loads((PLACE / "uplot.toml").read_text("utf-8"))["version"]
        script = (PLACE / "uPlot.iife.min.js").read_text("utf-8")
        self.assertIn(f"(v{version})", script[:300])
