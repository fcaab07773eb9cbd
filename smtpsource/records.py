"""
Frozen dataclasses that are made in less time.

For each class, C{dataclasses} writes six functions and has them compiled; what any run imports has a dozen of such
classes, which took 6 ms. Here these functions are written once, for all. They take longer when they are called, so this
is for what is made a few times in a run, or in a second. In all else such a class is one of C{dataclasses}: for its
C{fields}, C{replace} and C{asdict}, and for mypy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

_Class = TypeVar("_Class", bound=type)

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool) -> Callable[[_Class], _Class]:
        """
        What C{dataclasses.dataclass(frozen=True)} does.
        """
        assert frozen
        return _made


def _made(cls: _Class) -> _Class:
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    made.__init__, made.__repr__, made.__eq__, made.__hash__ = _init, _repr, _eq, _hash
    made.__setattr__, made.__delattr__ = _setattr, _delattr
    return cls


def _init(self: Any, *arguments: Any, **keywords: Any) -> None:
    fields = dataclasses.fields(self)
    names = [field.name for field in fields if field.init]
    given = dict(zip(names, arguments, strict=False))
    wrong = [name for name in keywords if name in given or name not in names]
    if wrong or len(arguments) > len(names):
        raise TypeError(f"{type(self).__name__}() got {wrong[0] if wrong else 'a value'} too much")
    given.update(keywords)
    for field in fields:
        if field.name not in given:
            if field.default is not dataclasses.MISSING:
                given[field.name] = field.default
            elif field.default_factory is not dataclasses.MISSING:
                given[field.name] = field.default_factory()
            else:
                raise TypeError(f"{type(self).__name__}() lacks {field.name}")
    vars(self).update(given)


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _compared(one: Any) -> tuple[Any, ...]:
    return tuple(getattr(one, field.name) for field in dataclasses.fields(one) if field.compare)


def _eq(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _setattr(self: Any, name: str, value: Any) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
