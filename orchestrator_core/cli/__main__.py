"""``python -m orchestrator_core.cli``: the command where its script is not on the path."""

from __future__ import annotations

from orchestrator_core.cli import main

if __name__ == "__main__":
    main()
