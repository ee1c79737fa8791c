"""`Observer`: an observer that can fail nobody."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator_core._plugins._hooks import describe

if TYPE_CHECKING:
    from orchestrator_core._notices import Notice

_log = logging.getLogger("orchestrator_core.plugins")


class Observer:
    """Calls an observer until it raises: that is logged once, and from then on it is muted.

    Args:
        observe: called with each notice.
        name: who it is, for the log.
    """

    def __init__(self, observe: Callable[[Notice], object], name: str) -> None:
        self._observe: Callable[[Notice], object] | None = observe
        self._name = name

    def __call__(self, notice: Notice) -> None:
        """Tell the observer."""
        if self._observe is None:
            return
        try:
            result = self._observe(notice)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (foreign code: even its sys.exit() must not fail a delivery)
            self._mute(f"raised {describe(error)}", error)
        else:
            if inspect.iscoroutine(result):
                result.close()
                self._mute("returned a coroutine, but an observer is a plain function")

    def _mute(self, cause: str, error: BaseException | None = None) -> None:
        self._observe = None
        _log.error("observer %s %s; it is told nothing more until the next start", self._name, cause, exc_info=error)

    def __repr__(self) -> str:
        return f"<Observer {self._name}>"
