"""The SDK's ways: what it needs of its environment, and what the errors mean that come out of it."""

from __future__ import annotations

from http import HTTPStatus
from importlib import metadata
from typing import Any

import requests
import urllib3
from docker import errors

from orchestrator_core import ConfigurationError
from orchestrator_docker._errors import (
    DockerError,
    EngineError,
    EngineUnreachableError,
    ImagePullError,
    NameTakenError,
    NotThereError,
    RegistryBusyError,
)

# While it reads a stream the SDK lets the errors of urllib3 through.
_NO_CONNECTION = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError, IndexError)

FOREIGN = (errors.DockerException, errors.StreamParseError, *_NO_CONNECTION, *_NONSENSE)
"""What a call of the SDK may raise, or the reading of its answer."""


def wrap(error: Exception, what: str, where: str) -> DockerError:
    """Make one of `FOREIGN` one of ours.

    Args:
        error: what was raised.
        what: what was asked.
        where: the engine's address.
    """
    # While it asks for the engine's version, the SDK hides what happened behind an error of its own.
    if type(error) is errors.DockerException and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, errors.APIError):
        return _answered(error, what)
    if isinstance(error, requests.exceptions.JSONDecodeError | errors.DockerException | errors.StreamParseError):
        return EngineError(what, None, str(error))
    if isinstance(error, _NO_CONNECTION):
        return EngineUnreachableError(where, _innermost(error))
    return EngineError(what, None, f"{type(error).__name__}: {error}")


def pull_error(image: str, cause: str) -> ImagePullError:
    """Return the error of a pull, by what the registry said."""
    kind = RegistryBusyError if "toomanyrequests" in cause or "429" in cause else ImagePullError
    return kind(image, cause)


def refuse_replaced_urllib3() -> None:
    """Refuse an environment where another package stands in for urllib3: it breaks a client shared by threads.

    Raises:
        ConfigurationError: this is one.
    """
    try:
        metadata.version("urllib3-future")
    except metadata.PackageNotFoundError:
        return
    raise ConfigurationError(
        "urllib3-future (installed with niquests) replaces urllib3, and its connections can't be shared by threads: "
        "run the Docker plugin in an environment without them"
    )


def _answered(error: Any, what: str) -> EngineError:  # noqa: ANN401 (the SDK has no types)
    status = int(error.response.status_code)
    words = " ".join(str(error.explanation or error).split())[:2_000]
    if status == HTTPStatus.NOT_FOUND:
        return NotThereError(what, status, words)
    if status == HTTPStatus.CONFLICT:
        return NameTakenError(what, status, words)
    return EngineError(what, status, words)


def _innermost(error: BaseException) -> str:
    """Return what the operating system said: the layers above repeat it, each in its own words."""
    for each in (error.__cause__, error.__context__, *error.args):
        if isinstance(each, BaseException):
            return _innermost(each)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
