"""Settings of the model: its size, its presets and the variants of its parts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import model_validator

from gptkit.model.depth import shape_at
from gptkit.section import (
    Choices,
    Flag,
    PathText,
    PositiveFloat,
    PositiveInt,
    Probability,
    Section,
    merge_settings,
)


class MultiHeadConfig(Section):
    """Causal self-attention with any number of key/value heads: MHA, GQA or MQA."""

    name: Literal["multi_head"] = "multi_head"
    n_kv_head: PositiveInt | None = None
    """Key/value heads; null: as many as query heads, 1: multi-query."""
    head_dim: PositiveInt | None = None
    """Channels of a head; null: n_embd / n_head."""
    window: PositiveInt | None = None
    """Tokens a query sees, itself included; null: all before it."""
    qk_norm: Flag = False
    """RMS-normalise each head's queries and keys before the rotation."""


ATTENTIONS = Choices(
    "attention",
    {MultiHeadConfig: "gptkit.model.attention:CausalSelfAttention"},
    default="multi_head",
)


class RotaryConfig(Section):
    """Rotary positions, half-split: channel i turns with channel i + head_dim / 2."""

    name: Literal["rotary"] = "rotary"
    theta: PositiveFloat = 10_000.0
    """Base of the wavelengths."""


class LearnedConfig(Section):
    """A learned vector per position, added to the token embedding (GPT-2)."""

    name: Literal["learned"] = "learned"


class SinusoidalConfig(Section):
    """Fixed sines and cosines added to the token embedding."""

    name: Literal["sinusoidal"] = "sinusoidal"


class NoPositionsConfig(Section):
    """No position signal but the causal mask."""

    name: Literal["none"] = "none"


POSITIONS = Choices(
    "positions",
    {
        RotaryConfig: "gptkit.model.positions:RotaryPositions",
        LearnedConfig: "gptkit.model.positions:LearnedPositions",
        SinusoidalConfig: "gptkit.model.positions:SinusoidalPositions",
        NoPositionsConfig: "gptkit.model.positions:NoPositions",
    },
    default="rotary",
)


class SwiGLUConfig(Section):
    """Gated MLP: down(silu(gate(x)) * up(x))."""

    name: Literal["swiglu"] = "swiglu"
    width: PositiveInt | None = None
    """Hidden channels; null: 8/3 of n_embd, rounded up to a multiple of 32."""


class _PlainMLPConfig(Section):
    width: PositiveInt | None = None
    """Hidden channels; null: 4 x n_embd."""


class GELUConfig(_PlainMLPConfig):
    """down(gelu(up(x))) with the exact GELU (erf)."""

    name: Literal["gelu"] = "gelu"


class GELUTanhConfig(_PlainMLPConfig):
    """down(gelu(up(x))) with the tanh approximation that GPT-2 used."""

    name: Literal["gelu_tanh"] = "gelu_tanh"


class ReLUConfig(_PlainMLPConfig):
    """down(relu(up(x)))."""

    name: Literal["relu"] = "relu"


class ReLU2Config(_PlainMLPConfig):
    """down(relu(up(x)) ** 2)."""

    name: Literal["relu2"] = "relu2"


MLPS = Choices(
    "mlp",
    {
        SwiGLUConfig: "gptkit.model.mlp:SwiGLU",
        GELUConfig: "gptkit.model.mlp:MLP",
        GELUTanhConfig: "gptkit.model.mlp:MLP",
        ReLUConfig: "gptkit.model.mlp:MLP",
        ReLU2Config: "gptkit.model.mlp:MLP",
    },
    default="swiglu",
)

PRESETS: dict[str, dict[str, Any]] = {
    "modern": {
        "attention": {"name": "multi_head", "qk_norm": True},
        "positions": {"name": "rotary"},
        "mlp": {"name": "swiglu"},
        "norm": "rms_norm",
        "bias": False,
        "tie_embeddings": True,
        "init": "scaled",
    },
    "gpt2": {
        "attention": {"name": "multi_head", "qk_norm": False},
        "positions": {"name": "learned"},
        "mlp": {"name": "gelu_tanh"},
        "norm": "layer_norm",
        "bias": True,
        "tie_embeddings": True,
        "init": "gpt2",
    },
    "speedrun": {
        "attention": {"name": "multi_head", "qk_norm": False},
        "positions": {"name": "rotary"},
        "mlp": {"name": "swiglu"},
        "norm": "rms_norm",
        "bias": False,
        "tie_embeddings": False,
        "embedding_window": 4,
        "ngram_rows": 4096,
        "init": "scaled",
    },
}
"""What each preset sets; a key that the user gives wins."""


class ModelConfig(Section):
    """A decoder-only transformer. The vocabulary's size is not a setting: it is the tokenizer's."""

    name: Literal["gpt"] = "gpt"
    preset: Literal["modern", "gpt2", "speedrun"] = "modern"
    """modern: Qwen3's shape (RMSNorm, rotary, QK-norm, SwiGLU); gpt2: GPT-2's; speedrun: learns
    faster, not exportable."""
    depth: PositiveInt | None = None
    """One number for the size: n_layer is depth, n_embd and n_head follow it (64 channels a block), and
    batch, optimizer and length of the run as far as they are not given (docs/dial.md)."""
    n_layer: PositiveInt = 6
    """Transformer blocks; not together with depth."""
    n_head: PositiveInt = 6
    """Query heads of a block."""
    n_embd: PositiveInt = 384
    """Channels of the residual stream."""
    context_length: PositiveInt = 256
    """Longest sequence the model sees, in tokens."""
    dropout: Probability = 0.0
    """Chance that a channel is zeroed in training: embedding, attention weights, block outputs."""
    bias: Flag = False
    """Biases in linear layers and in layer_norm."""
    tie_embeddings: Flag = True
    """Use the token embedding as the output head too."""
    norm: Literal["rms_norm", "layer_norm"] = "rms_norm"
    """Normalisation before attention, before the MLP and before the head."""
    norm_eps: PositiveFloat | None = None
    """Added to the variance; null: 1e-6 for rms_norm, 1e-5 for layer_norm."""
    attention: Annotated[Section, ATTENTIONS] = MultiHeadConfig(qk_norm=True)
    positions: Annotated[Section, POSITIONS] = RotaryConfig()
    embedding_window: PositiveInt = 1
    """Tokens that a position's embedding is made of, its own included; above 1: a short causal
    convolution mixes them."""
    ngram_rows: PositiveInt | None = None
    """Rows of a hashed table of the last 2 to embedding_window tokens, added to the embedding; null:
    no table."""
    mlp: Annotated[Section, MLPS] = SwiGLUConfig()
    logit_softcap: PositiveFloat | None = None
    """c: logits become c * tanh(logits / c); null: as they are."""
    init: Literal["gpt2", "scaled"] = "scaled"
    """gpt2: N(0, 0.02), residual outputs / sqrt(2 n_layer); scaled: N(0, 1/sqrt(fan_in)), same
    residual rule."""
    activation_checkpointing: Flag = False
    """Recompute each block in the backward pass: less memory, about a third more time."""
    init_from: PathText | None = None
    """A run or checkpoint folder whose weights the model starts from."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        preset, depth = value.get("preset", "modern"), value.get("depth")
        if isinstance(preset, str) and preset in PRESETS:
            value = merge_settings(PRESETS[preset], value)
        if isinstance(depth, int) and not isinstance(depth, bool) and depth > 0:
            value = {**shape_at(depth, value), **value}
        return value

    @property
    def head_dim(self) -> int:
        """Channels of one head where attention does not say otherwise."""
        return self.n_embd // self.n_head

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        # Equal ones are what a saved config holds.
        if self.depth is not None and self.n_layer != self.depth:
            raise ValueError(
                f"depth ({self.depth}) and n_layer ({self.n_layer}) say the same thing; give one"
            )
        attention = self.attention
        head_dim = getattr(attention, "head_dim", None)
        if head_dim is None and self.n_embd % self.n_head:
            raise ValueError(f"n_embd ({self.n_embd}) must be a multiple of n_head ({self.n_head})")
        if isinstance(attention, MultiHeadConfig) and self.n_head % (
            attention.n_kv_head or self.n_head
        ):
            raise ValueError(
                f"n_head ({self.n_head}) must be a multiple of "
                f"attention.n_kv_head ({attention.n_kv_head})"
            )
        head_dim = head_dim or self.head_dim
        if isinstance(self.positions, RotaryConfig) and head_dim % 2:
            raise ValueError(
                f"rotary positions turn pairs of channels: head_dim ({head_dim}) must be even"
            )
        if self.ngram_rows is not None and self.embedding_window == 1:
            raise ValueError("ngram_rows needs an embedding_window of 2 or more tokens")
        if isinstance(self.positions, SinusoidalConfig) and self.n_embd % 2:
            raise ValueError(f"sinusoidal positions need an even n_embd, not {self.n_embd}")
        return self
