"""How Sphinx builds the documentation."""

from importlib.metadata import version as distribution_version

from pygments.lexers.data import JsonLexer
from sphinx.application import Sphinx

project = "orchestrator-engine"
author = "The orchestrator-engine contributors"
release = version = distribution_version("orchestrator-engine")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
default_role = "code"
exclude_patterns = ["_build"]

autodoc_typehints = "none"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = "orchestrator"


def setup(app: Sphinx) -> None:
    """Colour JSON Lines as JSON."""
    app.add_lexer("jsonl", JsonLexer)
