"""
The end of the opening of a connection: AUTH (RFC 4954).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from smtpsource.phases import AUTH
from smtpsource.smtp.opening import Opening
from smtpsource.smtp.replies import MORE, YES, shown

if TYPE_CHECKING:
    from smtpsource.smtp.sasl import Login
    from smtpsource.smtp.scramkeys import Derivation, Keys


class Authentication(Opening):
    """
    A client that logs in, if it is asked for.
    """

    _login: Login  # under way
    _derivation: Derivation | None = None  # what the server waits for, and we do

    def _logIn(self, announced: dict[str, str]) -> None:
        from smtpsource.smtp.sasl import Login  # for those who need it

        dialogue = self._dialogue
        assert dialogue.login is not None
        offered = announced.get("AUTH", "").upper().split()
        mechanism = next((one for one in dialogue.mechanisms if one in offered), None)
        if mechanism is None:
            self._notAnnounced(announced, f"AUTH {' '.join(dialogue.mechanisms)}")
            return
        self._login = Login(mechanism, dialogue.login(), mostIterations=dialogue.scramIterations)
        self.write(self._login.command, AUTH, self._authReplied)

    def _authReplied(self, code: bytes, reply: bytes) -> None:
        if code == b"235":
            if self._login.complete:
                self.opened()
            else:
                self._fault("bad-challenge", "235 before the end of the login")
        elif code[0] == YES:
            said = shown(reply.rstrip())
            self._fault("bad-challenge", f"expected 235 for a login that is accepted (RFC 4954), not {said}")
        elif code != b"334":
            self._giveUp(AUTH, code, reply)
        else:
            try:
                response = self._login.respond(reply)
            except ValueError as e:
                self._fault("bad-challenge", str(e))
            else:
                if isinstance(response, bytes):
                    self.write(response, AUTH, self._authReplied)
                else:
                    self._derive(response)

    # Keys that have to be worked out before a challenge can be answered: that may take long, and is not the server's
    # time. There is an entry in the queue meanwhile, so that what happens to the connection happens to its login.

    def _derive(self, wanted: Derivation) -> None:
        self._derivation = wanted
        self.lastActivity = now = self._clock()
        self._owed.append((AUTH, self._repliedMeanwhile, now))
        if self._dialogue.keys is None:
            self._derived(wanted.keys())
        else:
            self._dialogue.keys.ask(wanted, self._derived)

    def _derived(self, keys: Keys | BaseException) -> None:
        """
        @param keys: or what went wrong, which is not the server's doing.
        """
        self._derivation = None
        if isinstance(keys, BaseException):
            self._fault("internal-error", f"no keys for SCRAM: {keys!r}")
            return
        self._owed.popleft()
        self.write(self._login.derived(keys), AUTH, self._authReplied)

    def _repliedMeanwhile(self, code: bytes, reply: bytes) -> None:
        """
        The server does not wait for our answer.
        """
        self._forgetDerivation()
        if code[0] in (YES, MORE):
            self._fault("unexpected-reply", shown(reply))
        else:
            self._giveUp(AUTH, code, reply)

    def _forgetDerivation(self) -> None:
        """
        Nobody needs these keys any more, or not for this connection.
        """
        wanted, self._derivation = self._derivation, None
        if wanted is not None:
            assert self._dialogue.keys is not None
            self._dialogue.keys.withdraw(wanted, self._derived)

    def overdue(self, now: float, timeout: float) -> bool:
        """
        See L{OwedReplies.overdue}. Our own work may take too long as well: then it is not the server who is blamed.
        """
        wanted = self._derivation
        if wanted is None or self.over:
            return super().overdue(now, timeout)
        if now - self.lastActivity < timeout:
            return False
        self._fault("timeout", f"no keys for {wanted.iterations} iterations of SCRAM within {timeout:g} seconds")
        return True

    def _lostWhile(self, text: str) -> str:
        if self._derivation is not None:
            return f"{text} (while keys for SCRAM were worked out)"
        return super()._lostWhile(text)

    def _close(self) -> None:
        self._forgetDerivation()
        super()._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is gone.
        """
        super().connectionLost(reason)
        self._forgetDerivation()
