"""The formats that the schemas name: durations, times and base URLs, from text to values.

A schema's ``pattern`` gives a format its form; here is what a pattern cannot say: sizes, days that do not
exist, and where an API key may be sent. Every reader raises ValueError with a sentence as its message.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.core.validate.state import bucket_url, database_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST_SETTLE = timedelta(hours=1)
_SHORTEST_AGE = timedelta(hours=1)
# A hundred years: longer ones would reach back beyond the times that a datetime can hold.
_LONGEST_AGE = timedelta(days=36_500)


def settle_time(text: str) -> timedelta:
    """A provider's settle time.

    Raises:
        ValueError: it is longer than an hour.
    """
    length = _duration(text)
    if length > _LONGEST_SETTLE:
        raise ValueError("expected at most 1h")
    return length


def max_age(text: str) -> timedelta:
    """How old a batch may become.

    Raises:
        ValueError: it is shorter than an hour, or longer than a hundred years.
    """
    length = _duration(text)
    if not _SHORTEST_AGE <= length <= _LONGEST_AGE:
        raise ValueError("expected at least 1h and at most 36500d")
    return length


def _duration(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def moment(text: str) -> datetime:
    """A time of RFC 3339, in UTC.

    Raises:
        ValueError: there is no such time, such as 30 February.
    """
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise ValueError("there is no such day or time") from error


def day(text: str) -> date:
    """A day of the calendar.

    Raises:
        ValueError: there is no such day, such as 30 February.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("there is no such day") from error


def base_url(text: str) -> str:
    """A service's URL without a trailing slash: https, or http that does not leave this machine.

    Raises:
        ValueError: it is no such URL; the message shows nothing of the text.
    """
    if not text.isprintable() or " " in text:
        raise ValueError("expected a URL without spaces and control characters")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("this is no valid URL") from error
    if parts.scheme not in {"https", "http"} or not host:
        raise ValueError("expected a URL that begins with https://, or http:// on this machine")
    if "@" in parts.netloc:
        raise ValueError("a URL does not hold a user or password: use apiKey")
    if "?" in text or "#" in text:
        raise ValueError("a base URL has no '?' and no '#'")
    if parts.scheme == "http" and not _loopback(host):
        raise ValueError(
            "http would send the API key in the clear: use https (http is for this machine only)"
        )
    return text.rstrip("/")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


#: The reader of each format; a test holds that the schemas name no other.
FORMATS: Mapping[str, Callable[[str], object]] = {
    "base-url": base_url,
    "bucket-url": bucket_url,
    "database-url": database_url,
    "date-time": moment,
    "day": day,
    "max-age": max_age,
    "settle-time": settle_time,
}
