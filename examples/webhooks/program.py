"""A web program with a pipeline inside: its own server receives the webhooks. Run it with `uvicorn program:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from orchestrator_core import AttemptContext, Event, Orchestrator, SqliteJournal
from orchestrator_webhook import WebhookInput, asgi

SECRET = "It's a Secret to Everybody"  # noqa: S105 (of an example)
TITLES: list[str] = []


class Remember:
    """A process: keeps the titles of issues."""

    async def run(self, event: Event, context: AttemptContext) -> None:
        """Remember one."""
        context.log(f"{event.location} {event.id}")
        TITLES.append(f"{event.location}: {event.id}")


orchestrator = Orchestrator(journal=SqliteJournal(Path(".orchestrator/journal.db")))
github = WebhookInput(
    path="/github",
    auth="github",
    secret=SECRET,
    serve=False,  # the program's own server does that
    location="{header.x-github-event}",
    id="{body.issue.title}",
)
orchestrator.add_input("github", github)
orchestrator.add_process("remember", Remember())
orchestrator.add_link("github", "remember")


async def home(_: Request) -> PlainTextResponse:
    """The program's own page."""
    return PlainTextResponse("\n".join(TITLES))


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Run the pipeline for as long as the program runs."""
    async with orchestrator, anyio.create_task_group() as tasks:
        tasks.start_soon(orchestrator.run)
        yield
        orchestrator.stop()


app = Starlette(routes=[Route("/", home), Mount("/hooks", asgi(orchestrator))], lifespan=lifespan)
