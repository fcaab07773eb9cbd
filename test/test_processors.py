"""
Tests for how many processors there are to be kept busy.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from smtpsource.plan import SourcePlan
from smtpsource.process import processors
from smtpsource.sink.plan import SinkPlan


class UsableTests(SynchronousTestCase):
    """
    L{processors.usable}.
    """

    def setUp(self):
        self.groups = Path(self.mktemp())
        self.own = self.groups / "own"
        (self.groups / "pods" / "one").mkdir(parents=True)
        self.patch(processors, "allowed", lambda: [0, 1, 2, 5, 6, 7, 8, 9])

    def usable(self, own="/", **limits):
        self.own.write_text(f"0::{own}\n")
        for group, text in limits.items():
            (self.groups / group.replace("_", "/") / "cpu.max").write_text(text)
        return processors.usable(self.groups, self.own)

    def test_unlimited(self):
        """
        Without a limit there are as many as the process may run on, whatever is wrong with the control groups.
        """
        self.assertEqual(8, self.usable())
        for text in ("max 100000\n", "", "nonsense", "1 0\n", "x y\n", "10000000 100000\n"):
            self.assertEqual(8, self.usable(pods=text, own="/pods"), text)
        self.own.write_text("4:cpu:/pods\n")
        self.assertEqual(8, processors.usable(self.groups, self.own))
        self.assertEqual(8, processors.usable(self.groups, self.groups / "none"))

    def test_limited(self):
        """
        A part of a processor is one.
        """
        for text, found in (("200000 100000\n", 2), ("250000 100000\n", 3), ("50000 100000\n", 1), ("0 100000\n", 1)):
            self.assertEqual(found, self.usable("/pods", pods=text), text)

    def test_container(self):
        """
        In a container the top is its own.
        """
        (self.groups / "cpu.max").write_text("300000 100000\n")
        self.assertEqual(3, self.usable("/"))

    def test_least(self):
        """
        The limit of what the group is in holds as well.
        """
        self.assertEqual(2, self.usable("/pods/one", pods="200000 100000\n", pods_one="400000 100000\n"))
        self.assertEqual(1, self.usable("/pods/one", pods_one="100000 100000\n"))

    def test_auto(self):
        """
        Both programs start so many workers for C{auto}; processors to keep to are another thing.
        """
        self.patch(processors, "_limits", lambda groups, own: iter([3.0]))
        self.assertEqual(3, SourcePlan(workers="auto", sessionCount=9, messageCount=9).workersWanted)
        self.assertEqual(3, SinkPlan(port=0, workers="auto").workerCount)
