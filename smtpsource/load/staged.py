"""
A run whose number of sessions changes with time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smtpsource.load.run import BATCH, Run
from smtpsource.pacing.schedule import Profile

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage
    from smtpsource.load.session import Session

#: Seconds between looks at how many sessions there are to be.
ADJUSTING = 0.05


class StagedRun(Run):
    """
    A closed loop in which sessions join and leave as the plan's stages say. One that is to leave ends its message
    first.
    """

    _wanted = _leaving = 0

    def take(self) -> IMessage | None:
        """
        The next message; none, if the session is one too many.
        """
        return None if self._isOneTooMany() else super().take()

    def idle(self, session: Session) -> None:
        """
        This session is one too many; or it has to wait, if that can be.
        """
        if self._isOneTooMany():
            self._leaving += 1
            session.finish()
        else:
            super().idle(session)

    def ended(self, session: Session) -> None:
        """
        This session is over.
        """
        if session.leaving:
            self._leaving -= 1
        super().ended(session)

    def _isOneTooMany(self) -> bool:
        return len(self.open) - self._leaving > self._wanted

    def _beginSessions(self) -> None:
        self._profile = Profile(self.plan.stages)
        self._adjust()

    def _adjust(self) -> None:
        passed = self.clock() - self.startTime
        if passed >= self._profile.end:
            self.expire()
        if not self.remaining:
            return
        self._wanted = self.share.of(round(self._profile.valueAt(passed)))
        missing = self._wanted - (len(self.open) - self._leaving)
        for _ in range(min(BATCH, missing)):
            if self.remaining:
                self._beginSession(self._newSession())
        # Those that are missing still join in the next turns, as many sessions do at the beginning of any run.
        self._later(self._adjust, ADJUSTING if missing <= BATCH else 0.0)

    def _endIfOver(self) -> None:
        # With no session for the time being, there may be some again.
        if not self.remaining:
            super()._endIfOver()
