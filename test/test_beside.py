"""
Tests for L{smtpsource.report.beside}: what went on beside a run, as text.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.marks import Effect, Mark
from smtpsource.measure.series import Sample
from smtpsource.report.beside import MOST, marksOf, watchedOf
from smtpsource.report.page import Page


class BesideTests(SynchronousTestCase):
    """
    Lines of 80 columns.
    """

    def shown(self, lines):
        """
        @return: them, as they are shown.
        """
        lines = Page().lay(lines).splitlines()
        self.assertLessEqual(max(map(len, lines), default=0), 80)
        return lines

    def test_marks(self):
        """
        A row for each, with what has come of it.
        """
        marks = [
            Mark(-2.0, "warming up"),
            Mark(600.0, "systemctl restart postfix", "command", 0, 2.0, "", Effect(0.0, 500.0, 1.25, 0.01, 7, 4.4)),
            Mark(700.0, "false", "command", 1, 0.1, "", Effect(500.0, 500.0, 0.01, 0.01, 0, 0.0)),
            Mark(800.0, "worker 1 is gone\x1b[2J", "event", effect=Effect(100.0, 500.0, None, None, 7, None)),
            Mark(900.0, "x", effect=Effect(0.0, None, 1.25, None, 0, None)),
        ]
        self.assertEqual(
            self.shown(marksOf(marks))[1:12],
            [
                "marks            at  status   rate       p99     back",
                "note         -2.0 s       -      -         -        -",
                "         warming up",
                "command     600.0 s       0  -100%    1.25 s      4 s",
                "         systemctl restart postfix",
                "command     700.0 s       1     0%   10.0 ms      0 s",
                "         false",
                "event       800.0 s       -   -80%         -  not yet",
                "         worker 1 is gone?[2J",
                "note        900.0 s       -      -    1.25 s        -",
                "         x",
            ],
        )

    def test_unchanged(self):
        """
        What is less than half a per cent is nothing, and has no sign.
        """
        for rate in (498.0, 500.0, 502.0):
            [row] = [
                line
                for line in self.shown(marksOf([Mark(1.0, "x", effect=Effect(rate, 500.0, None, None, 0, 0.0))]))
                if "%" in line
            ]
            self.assertEqual(row.split()[4], "0%")

    def test_legend(self):
        """
        It is said whose p99 that is.
        """
        text = " ".join(self.shown(marksOf([Mark(1.0, "x", effect=Effect(1.0, 1.0, None, None, 0, 0.0))])))
        self.assertIn("p99 of transactions: the worst second", text)

    def test_many(self):
        """
        Of very many only some are shown; of none, nothing.
        """
        lines = self.shown(marksOf([Mark(float(n), "x") for n in range(MOST + 5)]))
        self.assertEqual((len(lines), lines[-1].strip()), (2 * MOST + 3, "and 5 more: see the report"))
        self.assertEqual(self.shown(marksOf([])), [])

    def test_watched(self):
        """
        A row for each figure, in its unit.
        """
        figures = [
            {"x rss": 1_500_000.0, "x cpu": 0.5, "queue active": 3, "a_seconds": 0.25},
            {"x rss": 2.5e9, "x cpu": 1.25, "queue active": 120_000, "a_seconds": -1.0},
            None,
            {"x rss": 900.0, "y": 1.23456789},
        ]
        samples = [
            Sample(float(time), 1.0, None, 0, 0, 0, 0, 0, 0, 0, None, None, None, 0, 0, 0.0, 0.0, watched=watched)
            for time, watched in enumerate(figures)
        ]
        self.assertEqual(
            self.shown(watchedOf(samples)),
            [
                "",
                "watched             first       last    highest",
                "x rss              1.5 MB    900.0 B     2.5 GB",
                "x cpu                0.50       1.25       1.25",
                "queue active            3     120000     120000",
                "a_seconds          250 ms       -1 s     250 ms",
                "y                 1.23457    1.23457    1.23457",
            ],
        )
        self.assertEqual(self.shown(watchedOf(samples[2:3])), [])

    def test_watchedLarge(self):
        """
        Figures of any size stand apart.
        """
        figures = {"x rss": 2.0**63, "x cpu": 1e12, "queue": -1.234567e18, "a_seconds": 1e18, "b_seconds": -1e18 / 3}
        sample = Sample(0.0, 1.0, None, 0, 0, 0, 0, 0, 0, 0, None, None, None, 0, 0, 0.0, 0.0, watched=figures)
        self.assertEqual(
            self.shown(watchedOf([sample])),
            [
                "",
                "watched             first        last     highest",
                "x rss          9.22e+18 B  9.22e+18 B  9.22e+18 B",
                "x cpu         1e+12 cores 1e+12 cores 1e+12 cores",
                "queue           -1.23e+18   -1.23e+18   -1.23e+18",
                "a_seconds         1e+18 s     1e+18 s     1e+18 s",
                "b_seconds     -3.33e+17 s -3.33e+17 s -3.33e+17 s",
            ],
        )
