"""The pipeline as a drawing."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.cli.render.diagram import Arrow, Diagram, Node, arrange
from orchestrator_core.cli.render.diagram_mermaid import mermaid
from orchestrator_core.cli.render.diagram_svg import svg
from orchestrator_core.cli.render.diagram_text import draw
from orchestrator_core.cli.render.diagram_tree import tree
from orchestrator_core.cli.render.style import PLAIN, Look
from tests.unit.cli.notices import HOSTILE


def _diagram(*links: str, inputs: str = "in", notes: dict[str, str] | None = None) -> Diagram:
    """Make a diagram of links such as ``a>b`` or, for dead letters, ``a!b``; nodes in the order they are named."""
    arrows = [_arrow(link) for link in links]
    names = dict.fromkeys([*inputs.split(), *(name for arrow in arrows for name in (arrow.source, arrow.target))])
    nodes = [
        Node(name, "timer", is_input=True) if name in inputs.split() else Node(name, "sql", (notes or {}).get(name, ""))
        for name in names
    ]
    return Diagram(tuple(nodes), tuple(arrows))


def _arrow(link: str) -> Arrow:
    source, way, target = re.split("([>!])", link)
    return Arrow(source, target, "dead" if way == "!" else "success")


def _drawn(text: str) -> list[str]:
    return text.strip("\n").splitlines()


CHAIN = """
╭───────╮     ┌─────┐     ┌─────┐
│ in    │────▶│ a   │┄┄┄┄▶│ b   │
│ timer │     │ sql │     │ sql │
╰───────╯     └─────┘     └─────┘

a → b  on dead
"""

FAN_OUT = """
              ┌─────┐
          ╭──▶│ a   │
          │   │ sql │
          │   └─────┘
╭───────╮ │   ┌─────┐
│ in    │─┼──▶│ b   │
│ timer │ │   │ sql │
╰───────╯ │   └─────┘
          │   ┌─────┐
          ╰──▶│ c   │
              │ sql │
              └─────┘
"""

DIAMOND = """
              ┌─────┐
          ╭──▶│ a   │─╮
╭───────╮ │   │ sql │ │   ┌────────────────┐
│ in    │─┤   └─────┘ ├──▶│ join           │
│ timer │ │   ┌─────┐ │   │ sql · join any │
╰───────╯ ╰──▶│ b   │─╯   └────────────────┘
              │ sql │
              └─────┘
"""


@pytest.mark.parametrize(
    ("diagram", "expected"),
    [
        pytest.param(_diagram("in>a", "a!b"), CHAIN, id="chain with a dead letter's way"),
        pytest.param(_diagram("in>a", "in>b", "in>c"), FAN_OUT, id="fan-out"),
        pytest.param(_diagram("in>a", "in>b", "a>join", "b>join", notes={"join": "join any"}), DIAMOND, id="diamond"),
    ],
)
def test_boxes_and_lines(diagram: Diagram, expected: str) -> None:
    """Inputs have round corners, lines branch and join, a dead letter's way is dotted."""
    assert draw(diagram, PLAIN) == _drawn(expected)


CROSSING = """
               ┌─────┐
          ╭───▶│ r   │
          │    │ sql │
╭───────╮ │    └─────┘
│ x     │─┤    ┌─────┐
│ timer │ ├┬──▶│ p   │
╰───────╯ ││   │ sql │
╭───────╮ ││   └─────┘
│ y     │─│┤   ┌─────┐
│ timer │ ╰┴──▶│ q   │
╰───────╯      │ sql │
               └─────┘
"""

THREE_TO_THREE = """
╭───────╮       ┌─────┐
│ x     │ ╭┬───▶│ q   │
│ timer │─┤│    │ sql │
╰───────╯ ││    └─────┘
╭───────╮ ││    ┌─────┐
│ y     │ ╰│┬──▶│ p   │
│ timer │──┤│   │ sql │
╰───────╯  ││   └─────┘
╭───────╮  ││   ┌─────┐
│ z     │  ╰┼──▶│ r   │
│ timer │───╯   │ sql │
╰───────╯       └─────┘
"""


@pytest.mark.parametrize(
    ("diagram", "expected"),
    [
        pytest.param(_diagram("x>p", "x>q", "x>r", "y>p", "y>q", inputs="x y"), CROSSING, id="a bridge"),
        pytest.param(
            _diagram("x>p", "x>q", "y>q", "y>r", "z>p", "z>r", inputs="x y z"), THREE_TO_THREE, id="two of three each"
        ),
    ],
)
def test_lines_that_cross_do_not_join(diagram: Diagram, expected: str) -> None:
    """Lines of two sources cross as a bridge, and none runs into the start of another one."""
    assert draw(diagram, PLAIN) == _drawn(expected)


def test_a_terminal_too_narrow_gets_a_tree() -> None:
    """Where the boxes do not fit, each process stands below its first upstream node."""
    diagram = _diagram("in>a", "in>b", "a>join", "b>join", "join>end")
    assert draw(diagram, Look(width=40)) == [
        "in  timer",
        "├─▶ a  sql",
        "│   └─▶ join  sql",
        "│       └─▶ end  sql",
        "└─▶ b  sql",
        "    └─▶ join  see above",
    ]


def test_conditions_stand_below() -> None:
    """What a link lets through is listed below the drawing."""
    link = Arrow("in", "a", condition="create")
    diagram = Diagram((Node("in", is_input=True), Node("a")), (link,))
    assert draw(diagram, PLAIN)[-1] == "in → a  create"


def test_a_large_pipeline_is_a_tree() -> None:
    """A thousand processes are a list, drawn at once and without deep recursion."""
    chain = ["in>p0", *(f"p{n}>p{n + 1}" for n in range(1_000))]
    lines = draw(_diagram(*chain), PLAIN)
    assert len(lines) == 1_002
    assert lines[-1].endswith("└─▶ p1000  sql")


@st.composite
def _diagrams(draw_: st.DrawFn) -> Diagram:
    size = draw_(st.integers(1, 9))
    pairs = [(a, b) for b in range(1, size + 1) for a in range(b)]
    chosen = draw_(st.lists(st.sampled_from(pairs), unique=True, max_size=14))
    return _diagram(*(f"n{a}>n{b}" for a, b in chosen), inputs="n0")


@given(_diagrams())
def test_every_node_and_every_arrow_is_drawn(diagram: Diagram) -> None:
    """Whatever the graph, each node has its box, and each node that something leads to an arrow's head."""
    text = "\n".join(draw(diagram, PLAIN))
    fed = {arrow.target for arrow in diagram.arrows}
    assert all(f" {node.name} " in text for node in diagram.nodes)
    assert text.count("▶") == len(fed)


@given(_diagrams())
def test_arrows_go_right(diagram: Diagram) -> None:
    """Every piece of an arrow leads from one column to the next one."""
    layout = arrange(diagram)
    assert all(start.column + 1 == end.column for start, end, _ in layout.steps)


@given(_diagrams())
def test_boxes_never_overlap(diagram: Diagram) -> None:
    """The boxes of a column stand below each other: every top has its bottom before the next top."""
    for column in zip(*(line.ljust(400) for line in draw(diagram, PLAIN)), strict=True):
        edges = [character for character in column if character in "╭┌╰└"]
        corners = "".join("T" if edge == "┌" else "B" for edge in edges if edge in "┌└")
        assert "TT" not in corners
        assert "BB" not in corners


@given(_diagrams())
def test_the_tree_has_every_node(diagram: Diagram) -> None:
    """The tree leaves no node out."""
    text = "\n".join(tree(diagram, PLAIN))
    assert all(re.search(rf"{node.name}\b", text) for node in diagram.nodes)


def test_svg_is_xml() -> None:
    """The SVG is well-formed, has a box for each node and a line for each link, and needs nothing from outside."""
    text = svg(_diagram("in>a", "a!b", "in>b"), "rain")
    root = ET.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{name}rect")) == 3
    assert [each.get("class") for each in root.findall(f"{name}path")] == ["line", "line dead", "line"]
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []


def test_svg_is_small() -> None:
    """A small pipeline is a small file."""
    assert len(svg(_diagram("in>a", "a>b"), "rain")) < 4_000


def test_e57_svg_and_mermaid_escape_text() -> None:
    """E57: titles, conditions and types are text in a drawing, whatever they hold."""
    hostile = f'</text><script>alert("1")</script>{HOSTILE}'
    diagram = Diagram((Node("in", hostile, is_input=True), Node("a")), (Arrow("in", "a", condition=hostile),))
    drawn = svg(diagram, hostile)
    assert ET.fromstring(drawn).find(".//{*}script") is None
    lines = mermaid(diagram)
    assert len(lines) == 4
    assert all(line.isprintable() for line in [*lines, *drawn.splitlines()])
    assert "<script>" not in "".join(lines)


def test_mermaid_numbers_its_nodes() -> None:
    """A node may have a name that is a word of Mermaid's."""
    assert mermaid(_diagram("in>end", "end!b")) == [
        "flowchart LR",
        '    n0(["in<br/><small>timer</small>"])',
        '    n1["end<br/><small>sql</small>"]',
        '    n2["b<br/><small>sql</small>"]',
        "    n0 --> n1",
        '    n1 -.->|"on dead"| n2',
    ]


def test_columns_keep_inputs_next_to_what_they_feed() -> None:
    """An input that feeds a late process stands beside it rather than at the far left."""
    layout = arrange(_diagram("in>a", "a>b", "b>c", "late>c", inputs="in late"))
    column = {spot.node: spot.column for spots in layout.columns for spot in spots}
    assert (column["late"], column["b"]) == (2, 2)


def test_long_lines_are_straight() -> None:
    """A line that passes several columns bends at its ends only."""
    lines = draw(_diagram("in>a", "a>b", "b>c", "c>d", "in>d"), PLAIN)
    longest = max(lines, key=lambda line: line.count("─"))
    assert re.search("─{30,}", longest)
    assert all(first != "╯" or second != "╭" for first, second in pairwise(longest))
