"""Tar archives, the form in which the engine takes and gives files of a container."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence

from orchestrator_docker._errors import ContainerOutputError, EngineError

_SLACK = 64 * 1024


def archive_of(folders: Sequence[str], files: Mapping[str, bytes]) -> bytes:
    """Return an archive of folders that any user may write into, and of files that none may.

    Args:
        folders: their paths, outer ones first.
        files: their content by path.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in folders:
            folder = tarfile.TarInfo(path)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(folder)
        for path, content in files.items():
            file = tarfile.TarInfo(path)
            file.size, file.mode = len(content), 0o444
            archive.addfile(file, io.BytesIO(content))
    return buffer.getvalue()


def only_file(chunks: Iterator[bytes], path: str, limit: int) -> bytes:
    """Return the one file of an archive.

    Args:
        chunks: the archive; no more of it is read than `limit` asks for.
        path: where the file was, for messages.
        limit: the most bytes that it may have.

    Raises:
        ContainerOutputError: it is no plain file, or longer.
        EngineError: this is no archive.
    """
    content = b"".join(_up_to(chunks, limit + _SLACK))
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            member = archive.next()
            file = archive.extractfile(member) if member is not None and member.isfile() else None
            if member is None or file is None:
                raise ContainerOutputError(f"{path} is no plain file")
            if member.size > limit:
                raise ContainerOutputError(f"{path} has {member.size:,} bytes, over the limit of {limit:,}")
            return file.read()
    except tarfile.TarError as error:
        raise EngineError(f"reading {path} in the container", None, str(error)) from error


def _up_to(chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        limit -= len(chunk)
        if limit < 0:
            return
