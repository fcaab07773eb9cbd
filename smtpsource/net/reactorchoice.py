"""
Which reactor a process of ours runs on.
"""

from __future__ import annotations

import select
import sys
from importlib import import_module


def chooseReactor(name: str | None) -> None:
    """
    Install a reactor, unless there is one: whoever installed it has chosen.

    @param name: as C{twistd --help-reactors} lists them; C{None} is ours where the system has epoll(7), or else
        Twisted's default.
    @raise ValueError: there is no such reactor, or another one is installed already.
    """
    installed = "twisted.internet.reactor" in sys.modules
    if name is None:
        if not installed and hasattr(select, "epoll"):
            from smtpsource.net.reactor import install

            install()
        return
    if installed:
        raise ValueError(f"expected no choice here, {reactorInUse()} is installed already (see twistd --reactor)")
    from twisted.application.reactors import NoSuchReactor, getReactorTypes, installReactor

    try:
        installReactor(name)
    except NoSuchReactor:
        known = ", ".join(sorted({reactor.shortName for reactor in getReactorTypes()}))
        raise ValueError(f"expected one of {known}")
    except Exception as e:  # whatever the modules of reactors for other systems raise
        raise ValueError(f"expected a reactor that works here: {type(e).__name__}: {e}")


def installLike(name: str) -> None:
    """
    Install the reactor that another process of ours has.

    @param name: what L{nameOf} says of it.
    """
    module, _, _ = name.rpartition(".")
    import_module(module).install()


def reactorInUse() -> str:
    """
    The full name of the installed reactor's class, or of the one that L{chooseReactor} would install.
    """
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is not None:
        return nameOf(reactor)
    return "smtpsource.net.reactor.LeanReactor" if hasattr(select, "epoll") else "Twisted's default"


def nameOf(reactor: object) -> str:
    """
    The full name of a reactor's class.
    """
    return f"{type(reactor).__module__}.{type(reactor).__qualname__}"
