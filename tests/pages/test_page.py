"""The whole file: alone, quiet, and unmoved by what it shows."""

import base64
import hashlib
import re

import numpy as np
import pytest

from gptkit.pages import Chart, Level, Series, chart, element, page


def test_a_page_names_no_address():
    text = page("t", chart(Chart("c", "step", [Series("a", [1, 2], [3, 4])])))

    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:)[\w./]""", text) == []
    assert "http" not in text.replace("http-equiv", "")


def test_only_the_pages_own_script_may_run():
    text = page("t", element("p", "<script>alert(1)</script>"))

    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_a_chart_shows_each_name_escaped():
    made = chart(
        Chart(
            "<t>", "<x>", [Series("<a>", [1, 2], [3, 4]), Series("b", [1], [2])], [Level("<l>", 3)]
        )
    )

    assert "&lt;t&gt;" in made and "&lt;a&gt;" in made and "&lt;l&gt; 3.000" in made
    assert "<a>" not in made and "<x>" not in made


def test_a_single_point_is_a_dot():
    made = chart(Chart("t", "step", [Series("a", [5], [2.0])]))

    assert 'class="dots"' in made


def test_values_that_are_not_finite_are_left_out():
    made = chart(Chart("t", "step", [Series("a", [1, 2, 3], [1.0, np.inf, 2.0])]))

    (points,) = re.findall(r'points="([^"]*)"', made)
    assert len(points.split()) == 2
    assert "inf" not in made and "nan" not in made


def test_equal_factors_are_equally_far_apart():
    made = chart(Chart("t", "rate", [Series("a", [1e-4, 1e-3, 1e-2], [1, 1, 1])], log_x=True))

    (points,) = re.findall(r'points="([^"]*)"', made)
    left, middle, right = (float(point.split(",")[0]) for point in points.split())
    assert middle - left == pytest.approx(right - middle, abs=0.2)
    assert ">0.001<" in made


def test_an_axis_from_zero_shows_zero():
    made = chart(Chart("t", "layer", [Series("a", [0, 1], [0.8, 0.7])], from_zero=True))

    assert 'style="top:100.00%">0.0<' in made


def test_nothing_to_draw_is_said():
    assert "Nothing to draw yet" in chart(Chart("t", "step", [Series("a", [1], [np.nan])]))
