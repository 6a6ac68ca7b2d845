"""The decode step compiled on this machine: one call for all layers, where torch makes a hundred.

    model    pointers to a model's weights -> one step of all rows (step.cpp, products.h)
    draw     from the logits to a token each (draw.h)

Taken by every model that gptkit/generation/rows.py knows, on a CPU in float32, bfloat16 and int8. Where
nothing is compiled (gptkit/native), torch's operations do the same: the logits differ by rounding alone.
Which of the two it is depends on the machine, never on the prompt or the number of rows, so that a
sample is the same whatever it is written with.
"""

from __future__ import annotations

from pathlib import Path

from gptkit.native.build import Source

# Where a compiler may fuse a product with a sum, it does so in one place and not in another: rows would differ.
STEP = Source(Path(__file__).with_name("step.cpp"), ("-O3", "-ffp-contract=off"))
