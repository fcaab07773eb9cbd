"""
The checkpoint of a run, from its start to its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from smtpsource._version import __version__
from smtpsource.measure.checkpoint import CheckpointError
from smtpsource.measure.checkpointfile import CheckpointFile, OccupiedError, Writer
from smtpsource.measure.frame import Frame
from smtpsource.measure.marks import Mark
from smtpsource.process.unexpected import named
from smtpsource.report import factsdocument
from smtpsource.report.document import documentOf
from smtpsource.report.files import unwritten

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from smtpsource.measure.progress import Progress
    from smtpsource.measure.summing import Facts

#: A run that is longer has a checkpoint along with its report.
LONG = 60.0

#: When so many frames wait for a disk, people are told.
TOO_MANY = 30

#: Seconds that the disk has in the end.
_PATIENCE = 5.0

#: So many are left beside one report, of runs that were cut off; a run that would have one more has none.
MOST = 100

#: What a run's report has that its frames say.
OF_FRAMES = ("histograms", "series", "timeline")


class Recorded(Protocol):
    """
    What is asked of a run: a L{smtpsource.load.service.SourceService}.
    """

    @property
    def marks(self) -> Sequence[Mark]: ...

    @property
    def thresholds(self) -> Sequence[str]: ...

    @property
    def warmUp(self) -> float: ...

    def facts(self) -> Facts: ...

    def progress(self) -> Progress: ...

    def onFrame(self, listener: Callable[[Frame], None]) -> None: ...

    def whenDone(self) -> Deferred[Any]: ...


class Checkpoint:
    """
    Writes down what is known of a run, each second.
    """

    def __init__(self, run: Recorded, path: str, tell: Callable[[str], None], *, isAsked: bool) -> None:
        """
        @param path: the directory, absolute.
        @param tell: called with each line that people should know of.
        @param isAsked: it is wanted in any case, and stays. Else only a run over L{LONG} has one, as long as there is
            no report; where that of another run is, it has a number after its name.
        """
        self._run = run
        self._path = path
        self._tell = tell
        self._isAsked = isAsked
        self._writer: Writer | None = None
        # What is kept until there is a writer; how long that is.
        self._frames: list[Frame] = []
        self._seconds = 0.0
        self._marks: list[Mark] = []
        self._told = self._hasFailed = self._isElsewhere = False

    def start(self) -> None:
        """
        Begin to listen.

        @raise CheckpointError: there can't be one that was asked for.
        """
        if self._isAsked:
            try:
                file = self._newFile()()
                self._writer = Writer(lambda: file, factsdocument.written)
            except CheckpointError as e:
                raise CheckpointError(f"--checkpoint: {e}")
            except OSError as e:
                raise CheckpointError(f"--checkpoint: there can't be one in {self._path}: {e.strerror}")
        self._run.onFrame(self._frame)
        self._run.whenDone().addCallback(self._over)

    def finish(self, hasReport: bool) -> None:
        """
        The result is told.

        @param hasReport: was its report written?
        """
        writer = self._writer
        if writer is None or self._hasFailed:
            return
        if not writer.wait(0.0 if writer.problem else _PATIENCE):
            self._tellIfElsewhere()
            self._tell(f"the checkpoint {self._where} is not complete: {writer.problem or 'its disk takes nothing'}")
            return
        assert writer.file is not None
        if hasReport and not self._isAsked:
            writer.file.remove()
        else:
            self._tellIfElsewhere()
            writer.file.close()

    def _newFile(self) -> Callable[[], CheckpointFile]:
        """
        @return: makes it, in whatever thread.
        """
        known = self._run.facts()
        header = {
            "tool": "smtp-source",
            "version": __version__,
            "run": known.run,
            "command": list(known.command),
            "begun": time.time(),
            "exercise": known.exercise,
            "thresholds": list(self._run.thresholds),
            "warmUp": self._run.warmUp,
            "percentiles": list(known.percentiles),
        }
        make = CheckpointFile if self._isAsked else _besideOthers
        return lambda: make(self._path, header)

    @property
    def _where(self) -> str:
        """
        Where it is, or is to be.
        """
        file = self._writer and self._writer.file
        return file.path if file else self._path

    def _frame(self, frame: Frame) -> None:
        if self._hasFailed:
            return
        self._frames.append(frame)
        self._seconds += frame.seconds
        if self._writer is None and not self._begin():
            return
        assert self._writer is not None
        known, new = self._run.facts(), self._newMarks()
        for each in self._frames:
            self._writer.put(each, known, new)
        self._frames = []
        self._tellIfElsewhere()
        self._tellIfStuck(self._writer)

    def _begin(self) -> bool:
        """
        Has the run one by now, though it was not asked for? Without it, it goes on as well.
        """
        if max(self._seconds, self._run.progress().duration or 0.0) <= LONG:
            return False
        try:
            self._writer = Writer(self._newFile(), factsdocument.written)
        except OSError as e:
            self._fail(str(e.strerror))
        return self._writer is not None

    def _newMarks(self) -> dict[int, Mark]:
        """
        Those that are not as they were, by their places.
        """
        before, self._marks = self._marks, list(self._run.marks)
        same = [old is new for old, new in zip(before, self._marks, strict=False)]
        return {at: mark for at, mark in enumerate(self._marks) if at >= len(same) or not same[at]}

    def _tellIfElsewhere(self) -> None:
        where = self._where
        if where != self._path and not self._isElsewhere:
            self._isElsewhere = True
            self._tell(f"{self._path} is the checkpoint of another run: that of this one is {where}")

    def _tellIfStuck(self, writer: Writer) -> None:
        problem = writer.problem
        if writer.hasFailed:
            self._fail(str(problem))
        elif not self._told and (problem is not None or writer.waiting > TOO_MANY):
            self._told = True
            why = problem or "its disk takes nothing"
            self._tell(unwritten(f"the checkpoint {self._where}", why))

    def _fail(self, problem: str) -> None:
        self._hasFailed = True
        self._frames = []
        self._tell(f"there is no checkpoint of this run: {problem}")

    def _over(self, summary: Any) -> Any:
        if self._writer is not None and not self._hasFailed:
            end: dict[str, Any] | None = None
            try:
                end = documentOf(summary, OF_FRAMES)
            except Exception as e:  # whoever shows it will say so, too
                self._tell(f"the checkpoint {self._where} has no end: {': '.join(named(e))}")
            self._writer.finish(end, self._newMarks())
        return summary


def _besideOthers(path: str, header: Mapping[str, Any]) -> CheckpointFile:
    """
    The first that can be made: there, or where those of other runs are, with a number.
    """
    for number in range(1, MOST):
        with suppress(OccupiedError):
            return CheckpointFile(path if number == 1 else f"{path}.{number}", header)
    return CheckpointFile(f"{path}.{MOST}", header)
