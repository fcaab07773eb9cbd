"""
Tests for L{smtpsource.measure.limits}.
"""

from __future__ import annotations

from results import second
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.limits import Upkeep, disturbances, limits


def upkeep(*seconds, own=(), absent=()):
    """
    A process after these seconds, each what was different from an idle one, and these delays.
    """
    kept = Upkeep()
    for values in seconds or ({},):
        kept.add(second(1, **{"cpu": 0.2, "waited": 0.0, **values}))
    for delay in own:
        kept.delayed(delay, delay)
    for delay in absent:
        kept.delayed(delay, 0.01)
    return kept


def said(*seconds, errors=None, exhausted=False, **delays):
    """
    The lines for such a process: of its limits, and of what has disturbed it.
    """
    kept = upkeep(*seconds, **delays)
    return list(limits(kept, errors or {}, exhausted)), list(disturbances(kept, exhausted))


class LimitsTests(SynchronousTestCase):
    """
    When the generator says that it was the limit.
    """

    def test_none(self):
        """
        A generator with time to spare says nothing, whatever the server did.
        """
        self.assertEqual(said(errors={"connection-lost": 5, "connect-refused": 2}), ([], []))

    def test_busy(self):
        """
        No processor time left: all the time, or in a part of it. A second in some minutes does not matter.
        """
        busy = {"cpu": 0.97}
        (line,), others = said(busy)
        self.assertIn("97% of a processor: it could not", line)
        self.assertEqual(others, [])
        (line,), _ = said({}, busy, {}, busy)
        self.assertIn("97% of a processor in 2 of 4 seconds", line)
        self.assertEqual(said(busy, *[{}] * 120), ([], []))
        # What is shorter than a second says little.
        self.assertEqual(said({}, {"cpu": 1.5, "seconds": 0.01}), ([], []))

    def test_heldUp(self):
        """
        The reactor was held up by the process's own work.
        """
        (line,), others = said(own=[0.21])
        self.assertIn("held up for 210 ms by work of its own", line)
        self.assertEqual(others, [])
        (line,), _ = said(own=[0.2, 0.3])
        self.assertIn("held up for 500 ms, up to 300 ms at once by work of its own", line)
        # Once in a minute is no share that matters, and less than 50 ms is what turns of the reactor take.
        self.assertEqual(said(*[{}] * 60, own=[0.2]), ([], []))
        self.assertEqual(said(own=[0.02] * 50), ([], []))

    def test_late(self):
        """
        Late starts although sessions were free, while the process was busy. If none was free, that may be the server's
        doing. One in a hundred matters, one of 300 does not.
        """
        late = {"late": 30, "cpu": 0.95}
        (_, line), others = said({}, late, {})
        self.assertIn("30 of 300 messages (10.0%) started late although sessions were free: this process could", line)
        self.assertEqual(others, [])
        self.assertEqual(len(said({}, late, {}, exhausted=True)[0]), 1)
        self.assertEqual(said({"late": 1}, {}, {}), ([], []))
        self.assertEqual(said({"late": 3, "cpu": 0.8}, {}, {}, own=[0.4])[0][-1][:10], "3 of 300 m")

    def test_disturbed(self):
        """
        Late starts although sessions were free and the process had time: that is neither its own doing nor the
        server's.
        """
        for waited in (0.05, None):  # not every system tells
            found, (line,) = said({"late": 30, "waited": waited}, {"cpu": 0.55})
            self.assertEqual(found, [])
            self.assertIn("30 of 200 messages (15.0%) started late although sessions were free and this process", line)
            self.assertTrue(line.endswith("it used no more than 55% of a processor"), line)
        self.assertEqual(said({"late": 30}, exhausted=True), ([], []))
        # A second in which it was busy does not make all others its own.
        (line,), others = said({"late": 30}, {"late": 1, "cpu": 0.95})
        self.assertIn("95% of a processor in 1 of 2 seconds", line)
        self.assertEqual(len(others), 1)

    def test_waited(self):
        """
        The process could have run, but others had the processors. Then nobody can tell whether the server was slow.
        """
        for exhausted in (False, True):
            found, (line,) = said({"late": 30, "waited": 0.45, "cpu": 0.5}, {"waited": 0.15}, exhausted=exhausted)
            self.assertEqual(found, [])
            self.assertIn("waited for a processor for 30% of the time", line)
            self.assertTrue(line.endswith("; 30 of 200 messages (15.0%) started late"), line)
        self.assertEqual(said({"waited": 0.05}), ([], []))

    def test_absent(self):
        """
        The process did not run, as when it is stopped, or its machine is.
        """
        found, (line,) = said(*[{}] * 10, absent=[4.0])
        self.assertEqual(found, [])
        self.assertIn("did not run for 4000 ms, though it had work to do", line)
        self.assertEqual(said(*[{}] * 60, absent=[0.2]), ([], []))

    def test_runOut(self):
        """
        No descriptors, no ports.
        """
        (first, second), _ = said(errors={"out-of-files": 1, "out-of-ports": 3})
        self.assertIn("ulimit", first)
        self.assertIn("--bind", second)
