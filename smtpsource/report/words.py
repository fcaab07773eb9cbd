"""
Numbers and times in words.
"""

from __future__ import annotations

#: What is counted, one and several, by what is exercised.
NOUNS = {"mail": ("message", "messages"), "noop": ("NOOP", "NOOPs"), "connect": ("connection", "connections")}


def several(count: int, one: str, more: str) -> str:
    """
    C{"1 message"}, C{"2 messages"}.
    """
    return f"{count} {one if count == 1 else more}"


def duration(seconds: float) -> str:
    """
    A time in the unit that suits it, with 3 digits: C{"84 us"}, C{"1.25 ms"}, C{"12.0 s"}.
    """
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.9995:
        return f"{_threeDigits(seconds * 1e3)} ms"
    return f"{_threeDigits(seconds)} s"


def course(seconds: float) -> str:
    """
    How long something took, where it may be hours: C{"43.6 s"}, C{"1:02:05"}.
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{whole:02}"


def amount(bytes: float) -> str:
    """
    So many bytes, in the unit that suits them: C{"1.5 MB"}.
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(bytes) < 1000:
            return f"{bytes:.1f} {unit}"
        bytes /= 1000
    return f"{bytes:.1f} TB"


def _threeDigits(number: float) -> str:
    if number < 9.995:
        return f"{number:.2f}"
    if number < 99.95:
        return f"{number:.1f}"
    return f"{number:.0f}"
