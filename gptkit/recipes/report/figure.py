"""The loss curves as a picture for a paper, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gptkit.errors import ConfigError
from gptkit.recipes.report.facts import RunFacts
from gptkit.recipes.report.sections import loss_series, loss_unit

_INCHES = (5.5, 3.4)  # a column and a half
_DOTS_PER_INCH = 200


def save_figure(target: Path, run: RunFacts, baselines: Mapping[str, float]) -> None:
    """Write the curves as PNG or SVG, after the target's suffix; the same bytes for the same run.

    Raises: ConfigError where matplotlib is not installed; OSError.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            f"--format {target.suffix[1:]} needs matplotlib: pip install 'gptkit[plots]'"
        ) from None
    # Text as text: it can be searched, and set in the paper's own font.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gptkit"}):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.add_subplot()
        for one in loss_series(run):
            x, y = np.asarray(one.x, np.float64), np.asarray(one.y, np.float64)
            faint = one.style == "faint"
            axes.plot(
                x,
                y,
                color=f"C{one.color}",
                label=None if faint else one.name,
                alpha=0.3 if faint else 1.0,
                linewidth=0.8 if faint else 1.5,
                marker="o" if one.style == "marked" else None,
                markersize=3,
            )
        for name, value in baselines.items():
            axes.axhline(value, color="0.5", linewidth=0.8, linestyle="--")
            axes.annotate(
                name,
                (1, value),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=7,
            )
        axes.set_xlabel("step")
        axes.set_ylabel(f"loss, {loss_unit(run)}")
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False)
        # No date inside: equal runs give equal files.
        metadata = {"Date": None} if target.suffix == ".svg" else {"Software": None}
        figure.savefig(target, dpi=_DOTS_PER_INCH, metadata=metadata)
