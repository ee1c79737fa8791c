"""What the drain is measured beside: pgqueuer, a job queue in Postgres, with as many jobs that do nothing."""

from __future__ import annotations

import time
from pathlib import Path

from tests.bench.measuring import Figures
from tests.bench.postgres.server import serving

JOBS = 100_000
_BATCH = 500  # as many as our input claims


def drain(folder: Path) -> Figures:
    """Work off what waits, from the start of a run until nothing is left; over asyncpg and on uvloop, as it comes."""
    # Heavy libraries, which the memory of other measures must not have in it.
    import asyncpg  # noqa: PLC0415
    import uvloop  # noqa: PLC0415
    from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries  # noqa: PLC0415
    from pgqueuer.types import QueueExecutionMode  # noqa: PLC0415

    async def main(host: str) -> float:
        driver = AsyncpgDriver(await asyncpg.connect(host=host, user="postgres", database="postgres"))
        queue, queries = PgQueuer(driver), Queries(driver)
        await queries.install()

        @queue.entrypoint("work")
        async def work(job: Job) -> None:
            pass

        for _ in range(0, JOBS, 20_000):
            await queries.enqueue(["work"] * 20_000, [None] * 20_000, [0] * 20_000)
        began = time.perf_counter()
        await queue.run(batch_size=_BATCH, mode=QueueExecutionMode.drain)
        return JOBS / (time.perf_counter() - began)

    with serving(folder) as server:
        return {"rate": uvloop.run(main(str(server.home)))}
