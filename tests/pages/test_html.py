"""Elements: whatever a text holds, a page shows it and does nothing else."""

import html.parser

import pytest

from gptkit.pages import Html, element, facts, join, table

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a & b",
    "</pre>",
    "日本語 🙂",
    "'",
]


def text_of(markup):
    class Reader(html.parser.HTMLParser):
        found, tags = "", ()

        def handle_starttag(self, tag, attributes):
            self.tags = (*self.tags, (tag, dict(attributes)))

        def handle_data(self, data):
            self.found += data

    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader.found, reader.tags


@pytest.mark.parametrize("text", HOSTILE)
def test_text_and_attributes_come_out_as_they_went_in(text):
    shown, tags = text_of(element("p", text, title=text))

    assert shown == text
    assert tags == (("p", {"title": text}),)


@pytest.mark.parametrize("text", HOSTILE)
def test_tables_and_facts_escape_every_cell(text):
    shown, tags = text_of(join([table((text, text), [(text, text)]), facts({text: text})]))

    assert shown == text * 6
    assert {tag for tag, _ in tags} <= {
        "div", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd"
    }  # fmt: skip


def test_markup_made_here_is_not_escaped_again():
    assert element("p", element("b", "1 < 2")) == "<p><b>1 &lt; 2</b></p>"


def test_control_characters_become_pictures_of_themselves():
    assert element("p", "a\x00\x1b[31m\tb\r\nc") == "<p>a␀␛[31m\tb\nc</p>"


def test_what_utf8_cannot_hold_does_not_stop_a_page():
    element("p", "run-\udcff").encode("utf-8")


def test_attributes_that_are_none_or_false_are_left_out():
    made = element("details", class_="a", open=True, hidden=False, title=None, data_x0=1.5)

    assert made == '<details class="a" open data-x0="1.5"></details>'


def test_joined_parts_are_markup():
    assert isinstance(join(["<", Html("<br>")]), Html)
    assert join(["<", None, Html("<br>"), 3]) == "&lt;<br>3"
