"""`Sweeper`: removes containers once nobody needs them any more.

A container is the only evidence of an attempt until the journal has committed its outcome, so it must not go before. A
process hears of no commit: `Process.run` has returned by then. It could listen to notices, but an embedder's program
passes its own observers, and no notice tells of what happened before a crash. So the sweeper asks the journal, which
knows both: after an attempt for that one container, and at the start and every minute for all of ours on the host.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import anyio
import attrs

from orchestrator_core import Clock, Delivery, DeliveryQuery, JournalError, JournalReader
from orchestrator_docker._containers import Listed
from orchestrator_docker._engine import Engine
from orchestrator_docker._errors import DockerError, EngineUnreachableError
from orchestrator_docker._fate import Fate, fate_of, is_kept, is_recorded
from orchestrator_docker._naming import DELIVERY, Owner, install_of
from orchestrator_docker._remover import Remover

_LOG = logging.getLogger("orchestrator_docker")

SWEEP_SECONDS = 60.0
_SWEEP_AGAIN_SECONDS = 5.0
_SOON, _LATE = 0.05, 2.0
_PAGE = 500

# The deliveries that attempts of this program work with: a process that takes the place of another (a reload) sweeps
# while that one's attempts are still under way.
_ACTIVE: set[str] = set()


@attrs.frozen
class _Ended:
    """A container whose attempt has an outcome, which the journal may not have yet."""

    container: str
    owner: Owner
    attempt: int


class Sweeper:
    """Removes the containers of one process and what is left of its predecessors.

    Args:
        engine: where they are.
        remover: takes them away.
        clock: the time.
        name: the process's name in the pipeline.
        journal: what knows the fate of deliveries; without one an ended container is removed at once.
    """

    def __init__(
        self, engine: Engine, remover: Remover, clock: Clock, name: str, journal: JournalReader | None
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._name = name
        self._journal = journal
        self._remover = remover
        self._ended: dict[str, _Ended] = {}
        self._suspects: frozenset[str] = frozenset()
        self._bell = anyio.Event()
        self._is_swept = False

    @contextmanager
    def watching(self, delivery_id: str) -> Iterator[None]:
        """Leave a delivery's container alone for as long as an attempt works with it."""
        _ACTIVE.add(delivery_id)
        try:
            yield
        finally:
            _ACTIVE.discard(delivery_id)

    def has_ended(self, container: str, owner: Owner, attempt: int) -> None:
        """Remove a container as soon as the outcome of this attempt is recorded."""
        self._ended[container] = _Ended(container, owner, attempt)
        self._bell.set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self._sweep_safely()
            with anyio.move_on_after(SWEEP_SECONDS if self._is_swept else _SWEEP_AGAIN_SECONDS):
                while True:
                    await self._bell.wait()
                    await self._follow_up()

    async def finish(self, *, is_journal_over: bool) -> None:
        """Remove what can be removed now, at the end.

        Args:
            is_journal_over: the journal ends with this program, so nobody will ask for what it has not recorded.
        """
        await self._remove_recorded()
        if is_journal_over:
            for container in self._ended:
                self._remover.remove(container)
        if not self._is_swept:
            await self._sweep_safely()

    async def _follow_up(self) -> None:
        pause = _SOON
        while self._ended:
            await anyio.sleep(pause)
            before = len(self._ended)
            await self._remove_recorded()
            pause = _SOON if len(self._ended) < before else min(pause * 2, _LATE)
        self._bell = anyio.Event()

    async def _remove_recorded(self) -> None:
        ended = list(self._ended.values())
        try:
            known = await self._ask(each.owner.delivery_id for each in ended)
        except JournalError as error:
            _LOG.info("ended containers stay for now: %s", error)
            return
        for each in ended:
            if self._ended.get(each.container) is not each:
                continue  # the last look may meet one that was under way, and come second
            delivery = known.get(each.owner.delivery_id)
            if self._journal is None or is_recorded(each.attempt, delivery):
                del self._ended[each.container]
                if not is_kept(each.owner, delivery):
                    self._remover.remove(each.container)

    async def _sweep_safely(self) -> None:
        self._is_swept = False
        try:
            await self.sweep()
            self._is_swept = True
        except EngineUnreachableError as error:
            self._engine.report_away(error)
        except (DockerError, JournalError) as error:
            _LOG.warning("can't look for containers that nobody needs now, trying again: %s", error)

    async def sweep(self) -> Sequence[str]:
        """Have every container of ours removed that no delivery needs; return their names.

        Raises:
            DockerError: the engine does not answer.
            JournalError: the journal does not.
        """
        gone = await self.condemned()
        for each in gone:
            _LOG.info("removing the container %s, which no delivery needs any more", each.name)
            self._remover.remove(each.id)
        return [each.name for each in gone]

    async def condemned(self) -> Sequence[Listed]:
        """Return every container of ours that no delivery needs; for the errors see `sweep`."""
        if self._journal is None:
            return ()
        listed = [each for each in await self._engine.owned(DELIVERY) if each.owner is not None]
        known = await self._ask(each.owner.delivery_id for each in listed if each.owner is not None)
        install = await self._install()
        fates = {each.id: self._fate(each, each.owner, known, install) for each in listed if each.owner is not None}
        suspects = frozenset(container for container, fate in fates.items() if fate is Fate.SUSPECT)
        convicted = suspects & self._suspects
        self._suspects = suspects
        return [each for each in listed if fates[each.id] is Fate.REMOVE or each.id in convicted]

    def _fate(self, listed: Listed, owner: Owner, known: Mapping[str, Delivery], install: str | None) -> Fate:
        if owner.delivery_id in _ACTIVE or listed.id in self._ended:
            return Fate.KEEP
        fate = fate_of(
            owner,
            known.get(owner.delivery_id),
            is_running=listed.is_running,
            is_ours=owner.install == install,
            now=self._clock.time(),
        )
        # Whether an attempt is under way, only the program that runs the process knows.
        return Fate.KEEP if fate is Fate.SUSPECT and owner.process != self._name else fate

    async def _ask(self, delivery_ids: Iterable[str]) -> Mapping[str, Delivery]:
        if self._journal is None:
            return {}
        ids = list(dict.fromkeys(delivery_ids))
        found: dict[str, Delivery] = {}
        for begin in range(0, len(ids), _PAGE):
            page = ids[begin : begin + _PAGE]
            for delivery in await self._journal.deliveries(DeliveryQuery(ids=page, limit=len(page))):
                found[delivery.id] = delivery
        return found

    async def _install(self) -> str | None:
        """Return the journal's name as it stands in the ids of its deliveries, ``None`` while it has none."""
        if self._journal is None:
            return None
        newest = await self._journal.deliveries(DeliveryQuery(limit=1, newest_first=True))
        return install_of(newest[0].id) if newest else None
