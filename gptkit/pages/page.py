"""The shell of a page: head, style and script in one file that asks for nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from gptkit.pages.html import Child, Html, element, join


def page(title: str, *sections: Child) -> str:
    """Return a whole HTML file.

    A content policy forbids every request, and every script but the page's own, whatever a sample holds.
    """
    style, script = _file("page.css"), _file("chart.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline';"
        f" script-src 'sha256-{digest}'"
    )
    head = join(
        (
            element("meta", charset="utf-8"),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
            element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name_="color-scheme", content="light dark"),
            Html('<link rel="icon" href="data:,">'),  # a browser asks the server for one otherwise
            element("title", title),
            Html(f"<style>{style}</style>"),
        )
    )
    body = element("main", *sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n'
        f"<body>{body}\n<script>{script}</script></body>\n</html>\n"
    )


def section(heading: str, *children: Child) -> Html:
    """Return a part of a page under a heading."""
    return element("section", element("h2", heading), *children)


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
