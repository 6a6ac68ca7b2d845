"""Parts of a model on a CPU, forward and backward, in one pass each: C++, compiled on this machine.

    norm       RMSNorm                                            gptkit/model/norm.py
    heads      from one product to queries, keys and values       gptkit/model/heads.py
    weigh      softmax of attention, with its mask and dropout    gptkit/model/attend.py
    drop       dropout                                            gptkit/model/dropout.py
    bend       activations, SwiGLU's gate among them              gptkit/model/activations.py

torch has slow kernels for these or none, and then makes 3 to 20 operations of each: in a small model they take
as long as the matrix products (benchmarks/model_parts.py). Where nothing is compiled, torch's operations do the same;
`torch.compile` fuses them itself.
"""

from __future__ import annotations

from pathlib import Path

from gptkit.native.build import Source

# Its loops say themselves that they are to be vectors; -O3 takes a second more before the first step.
PARTS = Source(Path(__file__).with_name("parts.cpp"), ("-O2",))
