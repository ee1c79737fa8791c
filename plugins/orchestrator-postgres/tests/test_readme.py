"""The README takes somebody from an existing database to a running pipeline, and out again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from servers import Database

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_the_way_from_an_existing_database_to_a_running_pipeline(database: Database, tmp_path: Path) -> None:
    """Its table, its file and its commands, in its order; afterwards the database holds nothing of ours."""
    file, table, change = (
        re.findall(pattern, README, re.DOTALL)[0]
        for pattern in (r"```toml\n(.*?)```", r'"(CREATE TABLE order_changes .*?)"', r'"(UPDATE orders .*?)"')
    )
    (tmp_path / "pipeline.toml").write_text(file)
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, status text)", "INSERT INTO orders VALUES (42, 'new')")
    database.execute(table)

    def orchestrator(*arguments: str) -> str:
        command = [sys.executable, "-m", "orchestrator_core.cli", *arguments]
        environment = {**os.environ, "SHOP_DSN": database.dsn}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    assert re.search(r"^reached +orders ", orchestrator("check", "--connect"), re.MULTILINE)
    assert "CREATE TRIGGER" in orchestrator("postgres", "sql")
    orchestrator("run", "--until-idle")
    database.execute(change)
    orchestrator("run", "--until-idle")
    assert "public.orders/42" in orchestrator("events", "list")
    assert "all as they should be" in orchestrator("postgres", "doctor")
    assert [(42, "update", "paid")] == database.execute("SELECT order_id, what, status FROM order_changes")
    orchestrator("postgres", "uninstall", "--applied")
    assert [] == database.execute("SELECT FROM pg_namespace WHERE nspname = 'orchestrator'")
