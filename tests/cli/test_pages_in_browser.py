"""Pages in a real browser: quiet, quick, and readable in both schemes at both widths."""

import json
import math

import pytest

import gptkit
from gptkit.pages import page
from gptkit.recipes.compare import compare
from gptkit.recipes.explain import explain
from gptkit.recipes.report import report
from gptkit.recipes.sweep import sections
from gptkit.recipes.sweep.trials import Result, Trial
from tests.cli.browser import IS_THERE, WHY_NOT, browser
from tests.cli.conftest import CONFIG, TEXT
from tests.recipes.compare.test_findings import arm

pytestmark = pytest.mark.skipif(not IS_THERE, reason=WHY_NOT)

LOOKS = [(width, scheme) for width in (400, 1400) for scheme in ("light", "dark")]
STEPS = 100_000

CONTRAST = """(() => {
  const rgb = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (color) => rgb(color).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!/^rgba\\(.*, 0\\)$/.test(color) && !color.startsWith("color(")) return color;
    }
  };
  let worst = 99;
  for (const node of document.querySelectorAll("main *")) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !node.getClientRects().length) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
    worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return worst;
})()"""
SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll("main *")]
  .filter((n) => n.getClientRects().length && n.innerText?.trim())
  .map((n) => parseFloat(getComputedStyle(n).fontSize)))"""
FIRST_FRAME = """(() => {
  const r = document.querySelector(".frame").getBoundingClientRect();
  return [r.x, r.y, r.width];
})()"""
TICKS = """[...document.querySelectorAll(".chart")[0].querySelectorAll(".tick.x")]
  .map((t) => t.textContent)"""
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def long_report(tmp_path_factory):
    """The report of a run of 100,000 steps that logged each of them."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "my.txt").write_text(TEXT, encoding="utf-8")
    (folder / "my.yaml").write_text(CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        gptkit.train("my.yaml")
        lengthen(folder / "runs/my")
        report.run(None, format="html", checkpoint=None, as_json=False)
    return folder / "runs/my/report.html"


def lengthen(run):
    """Make it look as if the run had had 100,000 steps."""
    for step in range(2000, STEPS + 1, 2000):
        sample = run / f"samples/step_{step:08d}.txt"
        sample.write_text(f"<b>step</b> {step} 日本語 🙂\n" + "word " * 300, encoding="utf-8")
    with (run / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for step in range(1, STEPS + 1):
            row = {"step": step, "tokens": 64 * step, "learning_rate": 1e-3 / step**0.5,
                   "train_loss": 1.5 + 2.7 * math.exp(-step / 9000) + 0.2 * math.sin(step * 1.7),
                   "grad_norm": 1 + math.sin(step), "tokens_per_second": 1e5,
                   "elapsed_seconds": step / 10}  # fmt: skip
            if step % 250 == 0:
                row["val_loss"] = 1.6 + 2.7 * math.exp(-step / 9000)
            file.write(json.dumps(row) + "\n")


def test_a_report_of_100_000_steps_is_small_quick_quiet_and_readable(long_report, chromium):
    assert long_report.stat().st_size < 3_000_000
    for width, scheme in LOOKS:
        seconds = chromium.open(long_report, width=width, scheme=scheme)

        assert seconds < 2
        check_looks(chromium)


def test_an_explanation_is_quiet_and_readable(long_report, chromium):
    run = long_report.parent
    explain.run(
        run, text="the lazy dogs", ablate="mlp", checkpoint=None, as_json=False, allow_plugins=False
    )
    for width, scheme in LOOKS:
        chromium.open(run / "explain.html", width=width, scheme=scheme)

        check_looks(chromium)


def test_a_comparison_is_quiet_and_readable(chromium, tmp_path):
    target = tmp_path / "compare.html"
    found = compare.compare([*arm(32, 2.0, 2.01, 1.99), *arm(16, 2.1, 2.11, 2.09)])
    target.write_text(compare.html(found), encoding="utf-8")
    for width, scheme in LOOKS:
        chromium.open(target, width=width, scheme=scheme)

        check_looks(chromium)


@pytest.fixture
def sweep_page(tmp_path):
    rates = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    rows = [[{"step": 1, "val_loss": 4.0}, {"step": 2, "val_loss": 3 + n / 9}] for n in range(5)]
    trials = [Trial(n, {"optimizer.learning_rate": r}, 0) for n, r in enumerate(rates, start=1)]
    results = [Result(*pair) for pair in zip(trials, rows, strict=True)]
    target = tmp_path / "sweep.html"
    target.write_text(page("s", *sections.all_of("my-sweep", results)), encoding="utf-8")
    return target


def test_a_sweep_is_quiet_and_readable(chromium, sweep_page):
    for width, scheme in LOOKS:
        chromium.open(sweep_page, width=width, scheme=scheme)

        check_looks(chromium)


def test_zooming_into_factors_shows_values(chromium, sweep_page):
    chromium.open(sweep_page)
    x, y, width = chromium.value(FIRST_FRAME)

    chromium.drag((x + width * 0.4, y + 50), (x + width * 0.8, y + 60))

    assert chromium.value(TICKS) == ["0.001", "0.002"]


def check_looks(chromium):
    """Nothing wrong in the console, no request that leaves the page, all text readable."""
    assert chromium.complaints() == []
    assert {url.partition(":")[0] for url in chromium.requests()} <= {"file", "data"}
    assert chromium.value(TOO_WIDE) <= 0
    assert chromium.value(CONTRAST) > 4.5  # WCAG 2.2, level AA
    assert chromium.value(SMALLEST_TEXT) >= 12


def test_dragging_zooms_and_a_button_goes_back(long_report, chromium):
    chromium.open(long_report)
    x, y, width = chromium.value(FIRST_FRAME)
    before = chromium.value(TICKS)

    chromium.drag((x + width * 0.2, y + 50), (x + width * 0.4, y + 60))
    zoomed = chromium.value(TICKS)
    tip = chromium.value("document.querySelector('.unzoom').textContent")
    chromium.value("document.querySelector('.unzoom').click()")

    assert before[0] == "20,000" and before[-1] == "100,000"
    assert all(20_000 <= int(tick.replace(",", "")) <= 41_000 for tick in zoomed)
    assert tip == "show all"
    assert chromium.value(TICKS) == before


def test_values_under_the_pointer_are_shown(long_report, chromium):
    chromium.open(long_report)
    x, y, width = chromium.value(
        "(() => { const r = document.querySelector('.frame').getBoundingClientRect();"
        " return [r.x, r.y, r.width]; })()"
    )

    chromium.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + width / 2, y=y + 40)

    shown = chromium.value("document.querySelector('.tip').innerText").split("\n")
    step = int(shown[0].removeprefix("step ").replace(",", ""))
    assert abs(step - STEPS / 2) < STEPS / 100
    values = dict(line.rsplit(" ", 1) for line in shown[1:])
    assert float(values["validation"]) == pytest.approx(
        1.6 + 2.7 * math.exp(-step / 9000), abs=0.01
    )


def test_a_script_in_a_sample_does_not_run(project, chromium):
    gptkit.train("my.yaml")
    run = project / "runs/my"
    (run / "samples/step_00000003.txt").write_text(
        "</div><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">",
        encoding="utf-8",
    )
    report.run(run, format="html", checkpoint=None, as_json=False)

    chromium.open(run / "report.html")

    assert chromium.value("document.title") == "my: gptkit report"
    assert chromium.complaints() == []
