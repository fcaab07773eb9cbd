"""
What Twisted imports and a process of ours has no use for yet.

Twisted imports its TLS layer along with TCP, C{asyncio} along with Deferreds, and a client for HTTP for the sake of one
deprecated name. That is a third of the time in which we start, and of the memory; hardly a run uses any of it. So for
the moment in which a module of Twisted's imports such a thing, something stands there in its place, which imports it
when it is used. After that moment nothing stands in anybody's way: whoever imports the thing gets it.

This is for a process that is all ours. A program that embeds us has Twisted as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

#: Who imports what, in the order in which it is to happen. None of them uses it before there is something to do.
_USERS = (
    ("twisted.python.compat", ("html", "http.cookiejar")),
    ("twisted.python.win32", ("ctypes",)),
    ("twisted.internet.defer", ("asyncio",)),
    ("twisted.internet.tcp", ("twisted.protocols.tls",)),
    ("twisted.internet.posixbase", ("twisted.protocols.tls", "twisted.internet.ssl")),
    ("twisted.plugin", ("twisted.python.modules",)),
    ("twisted.application.service", ("twisted.persisted.sob",)),
    ("getopt", ("gettext",)),
)

#: What these import besides: while something stands there for C{asyncio}, nobody else is to meet it.
_BEFORE = {
    "twisted.internet.defer": ("twisted.internet.interfaces", "twisted.logger", "twisted.python.lockfile"),
}

#: Where there is no Windows, what is looked for in there is not to be found.
_IN_VAIN = ("ctypes",)

#: What of it is TLS; without pyOpenSSL, Twisted is to find out now that there is none.
_TLS = ("twisted.protocols.tls", "twisted.internet.ssl")


class _Later:
    """
    A name in a module that is not imported yet: it can be called, asked for something of its own, and be the base of a
    class.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _wanted(self) -> Any:
        if isinstance(sys.modules.get(self._module), _StandIn):
            del sys.modules[self._module]
        return getattr(import_module(self._module), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._wanted()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wanted(), name)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self._wanted())

    def __mro_entries__(self, bases: Any) -> tuple[Any, ...]:
        return (self._wanted(),)


class _StandIn(ModuleType):
    """
    What stands for a module: it has whatever name one asks for.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Later(self.__name__, name)


@contextmanager
def _standingIn(names: tuple[str, ...]) -> Iterator[None]:
    """
    In here, stand-ins are found where these modules are looked for, unless they are imported already.
    """
    for name in names:
        if name not in sys.modules:
            sys.modules[name] = None if name in _IN_VAIN else _StandIn(name)  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in names:
            if isinstance(sys.modules.get(name), _StandIn | None):
                sys.modules.pop(name, None)


def _isThere(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # something else goes by this name
        return False


def importTwisted(withTLS: bool = False) -> None:
    """
    Import what a service on any reactor needs of Twisted, and only that. What is imported already stays as it is.

    @param withTLS: TLS is not left out: for those who can't tell when they have to have it.
    """
    wanted = _TLS if withTLS or not _isThere("OpenSSL") else ()
    for user, things in _USERS:
        if user not in sys.modules:
            for name in _BEFORE.get(user, ()):
                import_module(name)
            with _standingIn(tuple(name for name in things if name not in wanted)):
                import_module(user)
