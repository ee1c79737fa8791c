"""`Secret`: a configuration value that never shows itself."""

from __future__ import annotations

import attrs


@attrs.frozen(repr=False, str=False)
class Secret:
    """Text that stays out of every repr, error, log and status.

    >>> password = Secret("hunter2")
    >>> print(password, repr(password), password.reveal())
    ******** Secret('********') hunter2
    """

    _value: str

    def reveal(self) -> str:
        """Return the text itself, for the one call that needs it."""
        return self._value

    def __str__(self) -> str:
        return "********"

    def __repr__(self) -> str:
        return "Secret('********')"

    def __bool__(self) -> bool:
        return bool(self._value)
