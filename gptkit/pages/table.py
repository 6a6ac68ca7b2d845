"""Tables, lists of facts, and the large figures at the top of a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gptkit.pages.html import Child, Html, element, join


def table(head: Sequence[Child], rows: Iterable[Sequence[Child]], *, words: int = 1) -> Html:
    """Return a table that scrolls by itself where it is too wide.

    words: so many columns from the left hold words; the others hold figures and are aligned to the right.
    """

    def cells(tag: str, row: Sequence[Child]) -> Html:
        return element(
            "tr",
            *(
                element(tag, cell, class_=None if index < words else "figure")
                for index, cell in enumerate(row)
            ),
        )

    body = element("tbody", *(cells("td", row) for row in rows))
    return element(
        "div", element("table", element("thead", cells("th", head)), body), class_="wide"
    )


def facts(pairs: Mapping[str, Child]) -> Html:
    """Return names with what is known of each; what is None is left out."""
    known = ((name, value) for name, value in pairs.items() if value is not None)
    return element(
        "dl", join(join((element("dt", name), element("dd", value))) for name, value in known)
    )


def tiles(figures: Iterable[tuple[str, Child, Child]]) -> Html:
    """Return large figures: (name, value, remark) each."""
    return element(
        "div",
        *(
            element(
                "div",
                element("span", name, class_="name"),
                element("span", value, class_="value"),
                element("span", remark, class_="remark"),
                class_="tile",
            )
            for name, value, remark in figures
        ),
        class_="tiles",
    )
