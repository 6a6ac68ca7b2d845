"""The decoder-only transformer.

    tokens -> token_embedding (+ look_back, positions) -> n_layer x Block -> final_norm -> lm_head
           -> logits

    Block:  x = x + attention(norm(x))      positions exchange
            x = x + mlp(norm(x))            each position thinks for itself

Shapes, here and everywhere in gptkit: B batch, T positions in this call, S positions attended to
(cached + T), C n_embd, H query heads, G key/value heads, D head_dim, F MLP width, V vocabulary.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from gptkit.model.attention import Attention
from gptkit.model.cache import Cache, LayerCache, RecentTokens
from gptkit.model.config import ATTENTIONS, MLPS, POSITIONS, ModelConfig
from gptkit.model.dropout import Dropout
from gptkit.model.init import empty_embedding, init_weights
from gptkit.model.lookback import LookBack, tokens_read
from gptkit.model.norm import build_norm
from gptkit.model.positions import Positions, Rotation


class Block(nn.Module):
    """Attention between positions, then an MLP at each, both added to the residual stream."""

    attention: Attention

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = build_norm(config)
        self.attention = ATTENTIONS.build(config.attention, config)
        self.mlp_norm = build_norm(config)
        self.mlp = MLPS.build(config.mlp, config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None,
        cache: LayerCache | None,
        same_document: Tensor | None,
    ) -> Tensor:
        """x: (B, T, C) -> (B, T, C); the rest as in `Attention`."""
        attended = self.attention(self.attention_norm(x), rotation, cache, same_document)
        x = x + self.dropout(attended)
        y: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return y


class GPT(nn.Module):
    """A transformer that reads tokens and says at each position what may come next.

    Its weights mean nothing before `init_weights` or `load_state_dict`.
    """

    positions: Positions

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.token_embedding = empty_embedding(vocab_size, config.n_embd)
        if config.embedding_window > 1:
            self.look_back = LookBack(config)
        self.positions = POSITIONS.build(config.positions, config)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.final_norm = build_norm(config)
        if not config.tie_embeddings:
            self.lm_head = nn.Linear(config.n_embd, vocab_size, bias=False)

    def forward(
        self, tokens: Tensor, cache: Cache | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Return the logits of the token that follows each position: (B, T) -> (B, T, V).

        cache: what was read before; `tokens` are added. The logits are those of one call with all.
        documents: (B, T) int64, the document that each token belongs to. Documents do not see each
            other, and each starts at position 0. Not together with a cache.
        """
        return self.unembed(self.hidden(tokens, cache, documents))

    def hidden(
        self, tokens: Tensor, cache: Cache | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Return the normalised residual stream at the end: (B, T) -> (B, T, C)."""
        assert cache is None or documents is None, "a cache holds one document"
        start = 0 if cache is None else cache.length
        end = start + tokens.shape[1]
        assert end <= self.config.context_length, f"{end} tokens in {self.config.context_length}"

        if documents is None:
            positions = torch.arange(start, end, device=tokens.device)
            same_document = None
        else:
            positions = positions_in_documents(documents)
            same_document = (documents.unsqueeze(2) == documents.unsqueeze(1)).unsqueeze(1)

        rotation = self.positions.rotation(positions)
        embedded = self._embed(tokens, positions, cache)
        x = self.dropout(self.positions.embed(embedded, positions))
        recompute = (
            self.config.activation_checkpointing and torch.is_grad_enabled() and cache is None
        )
        for index, block in enumerate(self.blocks):
            if recompute:
                x = checkpoint(block, x, rotation, None, same_document, use_reentrant=False)
            else:
                layer_cache = None if cache is None else cache.layers[index]
                x = block(x, rotation, layer_cache, same_document)
        hidden: Tensor = self.final_norm(x)
        return hidden

    def _embed(self, tokens: Tensor, positions: Tensor, cache: Cache | None) -> Tensor:
        """Return what each position starts from: (B, T) -> (B, T, C)."""
        if self.config.embedding_window == 1:
            embedded: Tensor = self.token_embedding(tokens)
            return embedded
        num_tokens = tokens.shape[1]
        if cache is not None:
            tokens = cache.recent.append(tokens)
            end = cache.length + num_tokens
            positions = torch.arange(end - tokens.shape[1], end, device=tokens.device)
        mixed: Tensor = self.look_back(self.token_embedding(tokens), tokens, positions)
        return mixed if cache is None else mixed[:, -num_tokens:]

    def unembed(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden vectors: (..., C) -> (..., V)."""
        return self.soft_capped(F.linear(hidden, self.head_weight))

    def soft_capped(self, logits: Tensor) -> Tensor:
        """Return softcap * tanh(logits / softcap), any shape -> the same (Gemma 2, arXiv:2408.00118, section 2)."""
        softcap = self.logit_softcap
        return logits if softcap is None else softcap * torch.tanh(logits / softcap)

    @property
    def head_weight(self) -> Tensor:
        """The matrix of the last product, (V, C): the embedding's own where the two are tied."""
        head = self.token_embedding if self.config.tie_embeddings else self.lm_head
        return head.weight

    @property
    def logit_softcap(self) -> float | None:
        """What bounds the logits; None: nothing does."""
        return self.config.logit_softcap

    def new_cache(self, batch_size: int, max_length: int) -> Cache:
        """Return an empty cache for `max_length` tokens in each of `batch_size` rows."""
        weight = self.token_embedding.weight
        autocast = torch.is_autocast_enabled(weight.device.type)
        dtype = torch.get_autocast_dtype(weight.device.type) if autocast else weight.dtype
        parts = [cast(Block, block).attention for block in self.blocks]
        layers = tuple(
            part.new_cache(batch_size, max_length, dtype=dtype, device=weight.device)
            for part in parts
        )
        recent = RecentTokens(batch_size, tokens_read(self.config), device=weight.device)
        return Cache(layers, recent)

    def init_weights(self, seed: int) -> None:
        """Fill the weights from `seed`, the same on any device."""
        init_weights(self, self.config, seed=seed)

    def num_parameters(self) -> int:
        """Return the number of trained numbers; a tied embedding counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def flops_per_token(self) -> int:
        """Return the floating-point operations of training on one token, at full context.

        Each weight of a matrix product costs a multiplication and an addition forward, and twice
        that backward: 6. Attention costs the same per query, key and channel, twice (scores,
        weighted values). Causality is not discounted, so that figures compare with others'; a
        window is.

        Reference: PaLM, arXiv:2204.02311, appendix B.
        """
        config, attention = self.config, self.config.attention
        weights = sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Linear))
        if config.tie_embeddings:
            weights += self.token_embedding.weight.numel()
        channels = config.n_head * (getattr(attention, "head_dim", None) or config.head_dim)
        window = getattr(attention, "window", None) or config.context_length
        keys = min(window, config.context_length)
        return 6 * weights + 12 * config.n_layer * channels * keys


def positions_in_documents(documents: Tensor) -> Tensor:
    """Return each token's distance from the start of its document: (B, T) -> (B, T).

    >>> positions_in_documents(torch.tensor([[7, 7, 7, 8, 8, 9]]))
    tensor([[0, 1, 2, 0, 1, 0]])
    """
    index = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    is_start = torch.ones_like(documents, dtype=torch.bool)
    is_start[:, 1:] = documents[:, 1:] != documents[:, :-1]
    starts = torch.where(is_start, index, 0).cummax(dim=1).values
    return index - starts
