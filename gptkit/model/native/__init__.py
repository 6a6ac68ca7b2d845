"""Parts of a model on a CPU, forward and backward, in one pass each: C++, compiled on this machine.

    norm       RMSNorm                                            gptkit/model/norm.py
    heads      from one product to queries, keys and values       gptkit/model/heads.py
    gate       of SwiGLU                                          gptkit/model/mlp.py

torch has no kernel for any of them and makes 3 to 20 operations of each: in a small model they take as long
as the matrix products (benchmarks/model_parts.py). Where nothing is compiled, torch's operations do the same;
`torch.compile` fuses them itself.
"""

from __future__ import annotations

from pathlib import Path

from gptkit.native.build import Source

PARTS = Source(Path(__file__).with_name("parts.cpp"))
