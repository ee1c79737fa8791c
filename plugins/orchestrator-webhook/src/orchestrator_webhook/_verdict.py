"""What a receiver's answer means for a delivery: done, again, later, or never."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs

from orchestrator_core import Reject, RetryLater
from orchestrator_webhook._errors import BadStatusError, WebhookConfigurationError

if TYPE_CHECKING:
    from orchestrator_webhook._client import Answer

TEMPORARY: tuple[int | str, ...] = (408, 425, 429, "5xx")

_GONE = 410
_ASKS_TO_WAIT = frozenset((429, 503))
_MOST_REFUSALS = 3
_MOST_WAITS = 50
_REMEMBERED = 10_000


def statuses(value: Iterable[int | str]) -> frozenset[int]:
    """Return the status codes that an option lists, such as ``[429, "5xx"]``.

    Raises:
        WebhookConfigurationError: one of them is neither a failure's status nor a class of them.
    """
    found: set[int] = set()
    for each in value:
        text = str(each)
        if not re.fullmatch(r"[345](\d\d|xx)", text, re.ASCII):
            raise WebhookConfigurationError(
                f'retry_on: {each!r} is neither a status from 300 to 599 nor a class such as "5xx"'
            )
        first = int(text[0]) * 100
        found.update(range(first, first + 100) if text.endswith("xx") else (int(text),))
    return frozenset(found)


def retry_after(value: str | None, now: float, most: float) -> float | None:
    """Return how many seconds a ``Retry-After`` asks for, at most `most`; ``None`` if it says nothing that makes sense.

    >>> retry_after("120", 0.0, 3600.0), retry_after("Thu, 01 Jan 1970 00:00:30 GMT", 0.0, 3600.0)
    (120.0, 30.0)
    """
    text = (value or "").strip()
    if re.fullmatch(r"\d{1,10}", text, re.ASCII):
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.fromtimestamp(now, UTC)).total_seconds()
    # Never at once: that would be a loop as fast as the receiver answers.
    return min(max(seconds, 1.0), most)


@attrs.define
class Judge:
    """Decides what an answer that is no success comes to.

    Attributes:
        retry_on: the statuses that may be another one later.
        longest_wait: the longest that a receiver may ask to wait, in seconds.
    """

    retry_on: frozenset[int]
    longest_wait: float
    # How often each delivery was refused. Lost with the program, which only costs a delivery a few more tries.
    _refusals: OrderedDict[str, int] = attrs.field(init=False, factory=OrderedDict)

    def is_temporary(self, answer: Answer) -> bool:
        """Tell whether the answer says that the receiver can't, rather than that it won't."""
        return answer.status in self.retry_on

    def pause(self, answer: Answer, now: float) -> float | None:
        """Return how many seconds the receiver asks to be left alone."""
        if answer.status not in _ASKS_TO_WAIT:
            return None
        return retry_after(answer.headers.get("Retry-After"), now, self.longest_wait)

    def sentence(self, answer: Answer, error: BadStatusError, delivery_id: str, attempt: int, now: float) -> Exception:
        """Return what to raise.

        Args:
            answer: the answer, which is no success.
            error: says so.
            delivery_id: whose attempt it answers.
            attempt: number of the attempt.
            now: seconds since 1970 UTC.
        """
        if answer.status == _GONE:
            return Reject(f"{error}: the receiver wants no more of them")
        if self.is_temporary(answer):
            wait = self.pause(answer, now)
            # A receiver that puts off for ever fails in the end, by the process's retry policy.
            if wait is not None and attempt < _MOST_WAITS:
                return RetryLater(timedelta(seconds=wait), str(error))
            return error
        refusals = self._refusals.pop(delivery_id, 0) + 1
        if refusals >= _MOST_REFUSALS:
            return Reject(f"{error}, {refusals} times")
        self._refusals[delivery_id] = refusals
        if len(self._refusals) > _REMEMBERED:
            self._refusals.popitem(last=False)
        return error
