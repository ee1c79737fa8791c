"""What is wrong with the links, beyond C14 of the catalogue."""

from __future__ import annotations

from tests.configuring import Folder


def pipeline(**after: str) -> str:
    """Return a file with an input ``i`` and processes that follow what is given."""
    processes = "".join(f'{name} = {{ type = "call", after = {each} }}\n' for name, each in after.items())
    return f'version = 1\n[inputs.i]\ntype = "tick"\n[processes]\n{processes}'


def test_every_cycle_is_found(folder: Folder) -> None:
    """Each at one of its entries, and no process on one is called an orphan."""
    text = pipeline(a='["i", "b"]', b='["a"]', c='["d"]', d='["c"]', e='["e", "i"]')
    said = folder.said(text)
    assert 3 == len(said)
    assert {"a", "b"} in [set(each.split("cycle: ")[-1].split(";")[0].split(" → ")) for each in said]
    assert {"c", "d"} in [set(each.split("cycle: ")[-1].split(";")[0].split(" → ")) for each in said]


def test_a_link_of_derived_events_is_a_link(folder: Folder) -> None:
    """A loop of them is a loop."""
    (said,) = folder.said(pipeline(a='["i", { node = "b", on = "event" }]', b='["a"]'))
    assert "cycle" in said


def test_an_input_has_no_outcome(folder: Folder) -> None:
    """Neither dies nor returns anything."""
    text = pipeline(a='[{ node = "i", on = "dead" }, { node = "i", where = { field = "output.x", exists = true } }]')
    assert [
        '5:50: "i" is an input, and on = "dead" is for what follows a process; leave on out',
        '5:82: "i" is an input, which has no output; test a field of data or before',
    ] == folder.said(text)


def test_nobody_is_called_an_orphan_while_links_are_missing(folder: Folder) -> None:
    """What was meant may be what seems to be alone."""
    assert [
        '5:31: there is no input or process "I"; did you mean "i"?',
    ] == folder.said(pipeline(a='["I"]'))
    assert ['5:31: expected text or a table, found 5; put it in quotes: "5"'] == folder.said(pipeline(a="[5]"))


def test_a_badly_named_node_is_a_node(folder: Folder) -> None:
    """Its name is reported; that others follow it is not."""
    (said,) = folder.said(pipeline(A='["i"]', b='["A"]'))
    assert said.startswith("5:1: the name 'A' is not")
