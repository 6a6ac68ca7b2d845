"""Elements of a page, escaped by construction."""

from __future__ import annotations

import html
from collections.abc import Iterable

Child = str | int | float | None
"""What stands inside an element: `Html` as it is, anything else escaped, None as nothing."""

# HTML has no such characters; a sample may hold them. Each becomes the picture of itself.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_VOID = {"br", "meta", "link", "input", "img", "line", "path", "polyline", "rect", "col"}


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Return any text as HTML that shows it; what UTF-8 cannot hold becomes a question mark.

    >>> escape("<b>")
    '&lt;b&gt;'
    """
    whole = str(text).encode("utf-8", "replace").decode("utf-8")
    return Html(html.escape(whole.replace("\r\n", "\n").translate(_PICTURES)))


def join(children: Iterable[Child]) -> Html:
    """Return children one after another."""
    return Html("".join(_child(child) for child in children))


def element(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """Return <name attributes>children</name>.

    An attribute loses a trailing underscore (class_), its other underscores become hyphens; True stands without a
    value, None and False are left out.

    >>> element("p", "1 < 2", class_="note", hidden=None)
    '<p class="note">1 &lt; 2</p>'
    """
    start = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID and not children:
        return Html(
            f"<{name}{start}/>"
            if name in ("line", "path", "polyline", "rect")
            else f"<{name}{start}>"
        )
    return Html(f"<{name}{start}>{join(children)}</{name}>")


def _child(child: Child) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Html) else escape(child)


def _attribute(key: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
