"""What is promised on the way from an input to a process."""

from __future__ import annotations

import pytest

from orchestrator_core import Input, InputType, Link, Pipeline, Process, ProcessOptions, ProcessType
from orchestrator_core._config.guarantees import guarantees
from tests.configuring import VALID, Call, Folder, Tick

INPUT: type[Input] = Tick
PROCESS: type[Process] = Call


def promised(
    kind: InputType | None = None, runs: ProcessType | None = None, options: ProcessOptions | None = None
) -> tuple[str, str, str]:
    """Return what is promised from an input of that kind to a process of that kind."""
    pipeline = Pipeline(["i"], {"p": options or ProcessOptions()}, [Link("i", "p")])
    kinds = {"i": kind or InputType("i", INPUT)}, {"p": runs or ProcessType("p", PROCESS)}
    (found,) = guarantees(pipeline, *kinds, durable=True)
    return found.source, found.effect, found.order


@pytest.mark.parametrize(
    ("replayable", "durable_ack", "source"),
    [
        (True, True, "at-least-once"),
        (True, False, "may lose at source"),
        (False, True, "may lose at source"),
        (False, False, "may lose at source"),
    ],
)
def test_the_source(replayable: bool, durable_ack: bool, source: str) -> None:
    """Nothing is lost if it is emitted again until it is accepted, and acknowledged only then."""
    assert source == promised(InputType("i", INPUT, replayable=replayable, durable_ack=durable_ack))[0]


@pytest.mark.parametrize(
    ("idempotent", "reconciles", "effect"),
    [
        (True, False, "effect once"),
        (True, True, "effect once"),
        (False, True, "asked before a second run"),
        (False, False, "may run more than once"),
    ],
)
def test_the_effect(idempotent: bool, reconciles: bool, effect: str) -> None:
    """Once, if a second run changes nothing."""
    assert effect == promised(runs=ProcessType("p", PROCESS, idempotent=idempotent, reconciles=reconciles))[1]


@pytest.mark.parametrize(
    ("ordered", "by_key", "order"),
    [(True, True, "in order by key"), (True, False, "in any order"), (False, True, "in any order")],
)
def test_the_order(ordered: bool, by_key: bool, order: str) -> None:
    """Kept if the input has it and the process asks for it."""
    options = ProcessOptions(ordered_by="key" if by_key else None)
    assert order == promised(InputType("i", INPUT, ordered=ordered), options=options)[2]


def test_a_process_that_only_derived_events_reach_has_no_order() -> None:
    """They come in the order in which attempts end."""
    ordered = ProcessOptions(ordered_by="key")
    links = [Link("i", "a"), Link("a", "b"), Link("a", "c", on="event")]
    pipeline = Pipeline(["i"], {"a": ordered, "b": ordered, "c": ordered}, links)
    kinds = {"i": InputType("i", INPUT, ordered=True)}, dict.fromkeys("abc", ProcessType("p", PROCESS))
    assert {"a": "in order by key", "b": "in order by key", "c": "in any order"} == {
        each.process: each.order for each in guarantees(pipeline, *kinds, durable=True)
    }


def test_each_input_and_each_process_it_reaches() -> None:
    """One promise for each pair, however many ways there are."""
    links = [Link("i", "a"), Link("i", "b"), Link("a", "c"), Link("b", "c"), Link("j", "c")]
    pipeline = Pipeline(["i", "j"], dict.fromkeys("abc", ProcessOptions()), links)
    kinds = dict.fromkeys("ij", InputType("i", INPUT)), dict.fromkeys("abc", ProcessType("p", PROCESS))
    assert [("i", "a"), ("i", "b"), ("i", "c"), ("j", "c")] == [
        (each.input, each.process) for each in guarantees(pipeline, *kinds, durable=True)
    ]


def test_the_promises_of_a_file(folder: Folder) -> None:
    """By the kinds that it names, as text for `check`."""
    assert ["rows → job: at-least-once, asked before a second run, in any order"] == [
        str(each) for each in folder.load(VALID).guarantees()
    ]


def test_a_journal_in_memory(folder: Folder) -> None:
    """What was accepted is gone with the process."""
    (found,) = folder.load(f'{VALID}[journal]\nurl = "memory:"\n').guarantees()
    assert str(found).endswith(", lost with the engine's process")
