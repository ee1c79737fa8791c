"""What mends a refusal: the setting or the SQL, told from the server's words.

By the words, since libpq passes on no SQLSTATE when a connection is refused. A server that speaks another language than
English gets the general remedy.
"""

from __future__ import annotations

import re

_REMEDIES = (
    (
        r"Connection refused|No such file or directory",
        "start the server, or correct host and port in connection_string",
    ),
    (r"resolve host|translate host name", "correct the host in connection_string"),
    (
        r'password authentication failed for user "(?P<name>.+?)"',
        "correct user and password in connection_string, or run ALTER ROLE {name} PASSWORD '…'",
    ),
    (r"no password supplied", "put the password into connection_string, or into ~/.pgpass"),
    (r"[Pp]eer authentication failed", "give host=localhost and a password, or map the user in pg_ident.conf"),
    (r"pg_hba\.conf", "add a line that lets it in to pg_hba.conf, and run SELECT pg_reload_conf()"),
    (
        r'database "(?P<name>.+?)" does not exist',
        "correct the database in connection_string, or run CREATE DATABASE {name}",
    ),
    (r'role "(?P<name>.+?)" does not exist', "correct the user in connection_string, or run CREATE ROLE {name} LOGIN"),
    (r'role "(?P<name>.+?)" is not permitted to log in', "run ALTER ROLE {name} LOGIN"),
    (r"too many (clients|connections)|connection slots are reserved", "raise max_connections, or close other sessions"),
    (r'permission denied for database "(?P<name>.+?)"', "run GRANT CONNECT ON DATABASE {name} TO {user}"),
    (r"permission denied for database (?P<name>.+)", "run GRANT CREATE ON DATABASE {name} TO {user}"),
    (r"permission denied for schema (?P<name>.+)", "run GRANT USAGE ON SCHEMA {name} TO {user}"),
    (r"permission denied for table (?P<name>.+)", "run GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {user}"),
    (
        r"permission denied for function (?P<name>.+)",
        "let the role that owns it run `orchestrator postgres install --role {user}`",
    ),
    (r"must be owner of", "use the role that owns it"),
)


def remedy_for(words: str, user: str | None) -> str | None:
    """Return what mends a refusal, ``None`` if its words say nothing known.

    >>> remedy_for('FATAL:  database "shop" does not exist', "app")
    'correct the database in connection_string, or run CREATE DATABASE "shop"'

    Args:
        words: the server's or libpq's message.
        user: the role that was refused, if it is known.
    """
    for pattern, remedy in _REMEDIES:
        if found := re.search(pattern, words):
            names = {"user": f'"{user}"' if user else "that role"}
            return remedy.format(**names, **{name: f'"{value}"' for name, value in found.groupdict().items()})
    return None
