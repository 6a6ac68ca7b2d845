"""HTML pages that are one file: text, tables, curves and heat maps; no template, no dependency, no request.

    element(...) -> Html --+
    table(...)   -> Html --+--> page(title, ...) -> the whole file, with page.css and chart.js inside
    chart(...)   -> Html --+

Any text that is not `Html` already is escaped when it becomes part of an element: names, samples and
settings may hold anything. Knows nothing of runs and models.
"""

from gptkit.pages.chart import Chart, Level, Series, chart
from gptkit.pages.html import Html, element, join
from gptkit.pages.page import page
from gptkit.pages.table import facts, table, tiles

__all__ = [
    "Chart",
    "Html",
    "Level",
    "Series",
    "chart",
    "element",
    "facts",
    "join",
    "page",
    "table",
    "tiles",
]
