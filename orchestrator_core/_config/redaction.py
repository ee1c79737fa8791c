"""Passwords written into URLs and DSNs: noticed, and never shown."""

from __future__ import annotations

import re

HIDDEN = "********"

# scheme://user:password@host. A password may hold what should have been escaped, so everything up to the last @ of the
# word goes; digits that end at a slash are a port, and what follows them is a path.
_IN_URL = re.compile(r"(?<=://)([^\s/:@?#]*):(?!\d{1,5}(?:[/?#]|$))([^\s\"'<>]+)@")
# password=… in a DSN or in a URL's query. libpq quotes with ' and escapes with \.
_IN_DSN = re.compile(
    r"(?<![A-Za-z0-9])((?:ssl|pg)?(?:password|passwd|pwd))(\s*=\s*)('(?:[^'\\]|\\.)*'?|[^\s&;'\"]+)", re.IGNORECASE
)


def has_password(text: str) -> bool:
    """Tell whether a URL or DSN in the text carries a password."""
    return redact(text) != text


def redact(text: str) -> str:
    """Return the text with every password in a URL or DSN hidden.

    >>> redact("postgresql://app:hunter2@db/shop")
    'postgresql://app:********@db/shop'
    >>> redact("host=db password='hunter 2' dbname=shop")
    'host=db password=******** dbname=shop'
    """
    if "://" in text:
        text = _IN_URL.sub(rf"\1:{HIDDEN}@", text)
    return _IN_DSN.sub(rf"\1\2{HIDDEN}", text) if "=" in text else text
