"""Spans of time as text for people."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``3 min 20 s``, ``5 h 10 min``, ``2 d 3 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 and seconds != whole else f"{whole} s"
    for unit, size, below, small in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if whole < {"min": 3600, "h": 86400, "d": 10**12}[unit]:
            rest = (whole % size) // small
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    raise AssertionError


def rough_duration(seconds: float) -> str:
    """Seconds in one unit: ``42 s``, ``3.3 min``, ``20 min``, ``5.2 h``, ``2.1 d``."""
    unit, name = time_unit(seconds / 0.6)
    amount = seconds / unit
    return f"{amount:.1f} {name}" if 0 < amount < 10 else f"{amount:.0f} {name}"


def time_unit(longest_s: float) -> tuple[float, str]:
    """A unit in which spans of time up to this one are handy numbers: its seconds and its name."""
    for seconds, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if longest_s >= 3 * seconds:
            return seconds, name
    return 1.0, "s"
