"""What vLLM asks beyond what transformers does: a folder is right without it, and not served there."""

from __future__ import annotations

from gptkit.interchange.architectures import ARCEE, Architecture, head_dim, setting
from gptkit.model.config import ModelConfig

_HEAD_DIMS = (64, 80, 96, 112, 120, 128, 192, 256)


def vllm_notes(architecture: Architecture, config: ModelConfig) -> list[str]:
    """Return a sentence for each thing about a model that vLLM cannot do, or not in every version."""
    notes = []
    if head_dim(config) not in _HEAD_DIMS:
        sizes = ", ".join(map(str, _HEAD_DIMS))
        notes.append(f"vLLM wants heads of {sizes} channels; these have {head_dim(config)}")
    if architecture is ARCEE and setting(config, "mlp.name") != "relu2":
        notes.append(
            f"vLLM knows {architecture.class_name} with mlp.name relu2 only, not"
            f" {setting(config, 'mlp.name')}"
        )
    if architecture.is_gpt2 and not config.tie_embeddings:
        notes.append(
            f"older versions of vLLM pass over the head of a {architecture.class_name} that is not"
            " tied to its embedding"
        )
    return notes
