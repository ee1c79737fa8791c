"""The project's chores. `nox` alone runs what a change must pass; `nox -l` lists the rest.

Plain pip and uv both do; `lowest` needs uv, which alone can resolve to the lowest versions.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "imports", "tests", "docs"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
PLUGINS = [path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))]
EDITABLE = ["-e.", *(f"-eplugins/{path.name}{'[embedded]' if 'postgres' in path.name else ''}" for path in PLUGINS)]
SERVICES = "needs_postgres or needs_docker"


def _install(session: nox.Session, *groups: str) -> None:
    session.install(*EDITABLE, *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and form: ruff."""
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: mypy over sources and tests, pyright over the pinned public API."""
    _install(session, "test", "lint", "bench")
    session.run("mypy")
    for plugin in PLUGINS:
        # A run for each, since their test folders are no packages and each may have a conftest.py.
        tests = f"plugins/{plugin.name}/tests"
        if any(Path(tests).glob("*.py")):
            session.run("mypy", tests, env={"MYPYPATH": tests})
    session.run("pyright")


@nox.session
def imports(session: nox.Session) -> None:
    """Check who imports whom: the layers of the core, the borders of the plugins."""
    _install(session, "lint")
    session.run("lint-imports", "--no-logo")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests that need no server; arguments go to pytest."""
    _install(session, "test")
    session.run("pytest", "-n", "auto", "-m", f"not chaos and not ({SERVICES})", *session.posargs)


@nox.session
def services(session: nox.Session) -> None:
    """Run the tests that start PostgreSQL and Docker; a missing server is a failure."""
    _install(session, "test")
    session.run("pytest", "-m", f"not chaos and ({SERVICES})", *session.posargs, env={"CI": "true"})


@nox.session
def postgres_versions(session: nox.Session) -> None:
    """Run the PostgreSQL plugin's tests on other servers; each argument is a directory with `initdb` and `postgres`."""
    if not session.posargs:
        session.error("name the servers' directories: nox -s postgres_versions -- /usr/lib/postgresql/*/bin")
    _install(session, "test")
    servers = [f"--postgres={directory}" for directory in session.posargs]
    session.run("pytest", "plugins/orchestrator-postgres/tests", "-m", "not chaos", *servers, env={"CI": "true"})


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill and cut at random, as often as each test says, and look for what was lost; arguments go to pytest."""
    _install(session, "test")
    session.run("pytest", "-m", "chaos", "--share", "1", "--kills", "50", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed, each figure beside what bounds it; arguments choose the benchmarks."""
    _install(session, "bench")
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is a failure."""
    _install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html")
    session.run("towncrier", "build", "--draft", "--version", "unreleased", silent=True)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every distribution, install them where no checkout is, and run a pipeline there."""
    session.install("build")
    with tempfile.TemporaryDirectory() as outside, session.chdir(outside):
        Path(outside).chmod(0o755)  # as root, the pipeline's private server runs as another user
        for source in (ROOT, *PLUGINS):
            session.run("python", "-m", "build", "--outdir", "dist", str(source), silent=True)
        built = [
            f"{wheel}[embedded]" if "postgres" in wheel.name else str(wheel) for wheel in Path("dist").glob("*.whl")
        ]
        session.run("python", "-m", "venv", "venv")
        session.run("venv/bin/python", "-m", "pip", "install", "--quiet", *built, external=True)
        shutil.copytree(ROOT / "examples/rainfall", "rainfall", ignore=shutil.ignore_patterns(".orchestrator"))
        session.run("venv/bin/orchestrator", "plugins", external=True)
        session.run("venv/bin/orchestrator", "run", "rainfall/pipeline.toml", "--until-idle", external=True)


@nox.session(venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the tests on the lowest versions that the distributions say they work with."""
    test = nox.project.dependency_groups(PYPROJECT, "test")
    session.install("--resolution", "lowest-direct", *EDITABLE, *test)
    session.run("pytest", "-n", "auto", "-m", f"not chaos and not ({SERVICES})", *session.posargs)
