"""Settings of the machine: where and in which precision a run computes."""

from __future__ import annotations

from typing import Literal

from gptkit.section import Flag, Section


class RuntimeConfig(Section):
    """Device, precision, compiler. The run's config.yaml holds what `auto` chose for a resume."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto: cuda, else mps, else cpu."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of matrix products, weights stay float32; auto: bfloat16 where the hardware has it."""
    compile: Literal["auto"] | Flag = "auto"
    """torch.compile; auto: on CUDA, for runs of some minutes. Where it fails, the run is eager."""
    deterministic: Flag = False
    """Only deterministic kernels on CUDA (slower); on CPU a run repeats bit for bit in any case."""
