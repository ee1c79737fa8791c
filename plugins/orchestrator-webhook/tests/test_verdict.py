"""What answers mean: retries, refusals, ``Retry-After`` and the breaker."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from receiving import EVENT, OK, Receiver, answer

from orchestrator_core import RetryLater
from orchestrator_core.testing import FakeAttemptContext, SimulatedClock
from orchestrator_webhook import BadStatusError, WebhookConfigurationError, WebhookProcess
from orchestrator_webhook._breaker import Breaker
from orchestrator_webhook._verdict import retry_after, statuses

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 1.0),
        ("1", 1.0),
        (" 17 ", 17.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("9999999999", 3600.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Friday, 15-Jan-27 08:00:30 GMT", 30.0),
        ("Fri Jan 15 08:00:30 2027", 30.0),
        ("Fri, 15 Jan 2027 10:00:30 +0200", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
    ],
)
def test_retry_after_has_two_forms(value: str, seconds: float) -> None:
    """Seconds, or a date in any of HTTP's spellings; never at once, and never beyond the limit."""
    assert seconds == retry_after(value, NOW, 3600.0)


@pytest.mark.parametrize(
    "value",
    [None, "", " ", "-1", "+5", "1.5", "1e3", "0x10", "١٧", "soon", "99999999999", "17, 18", "Fri, 99 Jan 2027", "NaN"],  # noqa: RUF001
)
def test_retry_after_that_makes_no_sense_is_none(value: str | None) -> None:
    """The process's retry policy decides, as without it."""
    assert None is retry_after(value, NOW, 3600.0)


def test_statuses_may_be_classes() -> None:
    """One by one, or a hundred at a time."""
    assert frozenset([404, *range(500, 600)]) == statuses([404, "5xx"])


@pytest.mark.parametrize("status", [200, 99, 600, "2xx", "xx", "500 ", "5XX", "", -1])
def test_other_statuses_are_refused(status: int | str) -> None:
    """A success is nothing to try again."""
    with pytest.raises(WebhookConfigurationError, match="retry_on"):
        WebhookProcess(url="https://hooks.example/", retry_on=[status])


def test_the_breaker_opens_after_failures_in_a_row() -> None:
    """And closes at the first success."""
    breaker = Breaker(threshold=3, first=1.0)
    for _ in range(2):
        breaker.failed(0.0)
    assert 0.0 == breaker.wait(0.0)
    breaker.failed(0.0)
    assert 1.0 == breaker.wait(0.0)
    breaker.succeeded()
    assert 0.0 == breaker.wait(0.0)


def test_the_breaker_lets_one_try_at_a_time() -> None:
    """The others wait for what it comes to; each pause is twice as long, up to a limit."""
    breaker = Breaker(threshold=1, first=1.0, longest=8.0)
    breaker.failed(0.0)
    pauses = []
    now = 0.0
    for _ in range(5):
        now += breaker.wait(now)
        assert 0.0 == breaker.wait(now)
        pauses.append(breaker.wait(now))
        breaker.failed(now)
    assert [2.0, 4.0, 8.0, 8.0, 8.0] == pauses


def test_failures_of_requests_already_sent_do_not_lengthen_the_pause() -> None:
    """Thirty that fail together are one failure of the receiver."""
    breaker = Breaker(threshold=3, first=1.0)
    for _ in range(30):
        breaker.failed(0.0)
    assert 1.0 == breaker.wait(0.0)


@pytest.mark.anyio
async def test_the_breaker_delays_and_never_drops(receiver: Receiver) -> None:
    """What comes while it is open is put off without counting as a failure, and without being sent."""
    clock = SimulatedClock()
    receiver.script = [answer("500 Odd"), answer("500 Odd"), OK]
    async with receiver.process(breaker=2, clock=clock, rng=Random(1)) as process:
        for _ in range(2):
            with pytest.raises(BadStatusError):
                await process.run(EVENT, FakeAttemptContext())
        with pytest.raises(RetryLater) as put_off:
            await process.run(EVENT, FakeAttemptContext())
        assert 2 == len(receiver.requests)
        assert timedelta(seconds=1) <= put_off.value.after <= timedelta(seconds=2)
        await clock.advance(put_off.value.after.total_seconds())
        await process.run(EVENT, FakeAttemptContext())
        await process.run(EVENT, FakeAttemptContext())
    assert 4 == len(receiver.requests)


@pytest.mark.anyio
async def test_a_receiver_that_asks_to_wait_is_left_alone(receiver: Receiver) -> None:
    """Retry-After holds for every delivery to it."""
    receiver.script = [answer("429 Too Many", retry_after="17")]
    async with receiver.process(clock=SimulatedClock()) as process:
        for _ in range(3):
            with pytest.raises(RetryLater):
                await process.run(EVENT, FakeAttemptContext())
    assert 1 == len(receiver.requests)


@pytest.mark.anyio
async def test_a_receiver_that_always_asks_to_wait_fails_in_the_end(receiver: Receiver) -> None:
    """Otherwise a delivery would wait for ever, and never be seen among the dead letters."""
    receiver.script = [answer("503 Later", retry_after="1")]
    async with receiver.process() as process:
        with pytest.raises(BadStatusError):
            await process.run(EVENT, FakeAttemptContext(attempt=50))


@pytest.mark.anyio
async def test_the_statuses_to_try_again_can_be_chosen(receiver: Receiver) -> None:
    """Here 404 is temporary, ever again."""
    receiver.script = [answer("404 Not Found")]
    async with receiver.process(retry_on=[404]) as process:
        for _ in range(4):
            with pytest.raises(BadStatusError):
                await process.run(EVENT, FakeAttemptContext())


@pytest.mark.anyio
async def test_what_the_receiver_says_is_logged(receiver: Receiver) -> None:
    """So that whoever looks at the dead letter knows why."""
    receiver.script = [answer("422 Unprocessable", b'{"error":"no such customer"}')]
    context = FakeAttemptContext()
    async with receiver.process() as process:
        with pytest.raises(BadStatusError):
            await process.run(EVENT, context)
    assert ['{"error":"no such customer"}'] == context.lines
