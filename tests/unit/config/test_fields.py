"""The documentation of a component's fields."""

from __future__ import annotations

import attrs

from orchestrator_core._config.fields import help_of, summary_of


@attrs.frozen
class Base:
    """A base.

    Attributes:
        first: said by the base.
        second: said by the base, too.
    """

    first: int = 1
    second: int = 2


@attrs.frozen
class Documented(Base):
    """A component: with a colon.

    More text.

    Attributes:
        second: said again, over
            two ``lines``: with a colon.
        third: of `no` field of its own.

    Raises:
        fourth: not an attribute.
    """

    fourth: int = attrs.field(default=4, metadata={"help": "said by metadata"})
    _private: int = 5
    computed: int = attrs.field(init=False, default=6)


@attrs.frozen
class Silent:
    """Nothing but this."""

    field: int = 1


def test_a_field_s_help() -> None:
    """From metadata, else the class's docstring, else its base's; what is no option is not there."""
    assert {
        "first": "said by the base.",
        "second": "said again, over two lines: with a colon.",
        "fourth": "said by metadata",
    } == help_of(Documented)


def test_a_class_s_summary() -> None:
    """The first line."""
    assert "A component: with a colon." == summary_of(Documented)


def test_a_class_that_says_nothing() -> None:
    """Has nothing to be shown."""
    assert {"field": ""} == help_of(Silent)
    assert "" == summary_of(type("Mute", (), {}))
