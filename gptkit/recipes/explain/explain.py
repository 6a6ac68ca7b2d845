"""gptkit explain: from a model and a text to one page.

text -> tokens -> one watched forward pass -> probabilities, maps, lens, norms -> explain.html
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gptkit.atomic import write_text
from gptkit.errors import ConfigError, PromptError
from gptkit.model.gpt import GPT
from gptkit.pages import page
from gptkit.recipes.explain import sections
from gptkit.recipes.explain.capture import Ablation, Trace, gradient_norms, watch
from gptkit.recipes.explain.tokens import TokenView, shown, views
from gptkit.recipes.journal import say
from gptkit.recipes.load import Run, load_run
from gptkit.runs import run_of

_MOST_TOKENS = 256  # more would not be read, and maps grow with the square


@dataclass(frozen=True)
class Explanation:
    """A model reading a text."""

    name: str
    step: int
    loaded: Run
    tokens: Tensor
    """(T,)."""
    labels: list[str]
    """Of the tokens, as they are shown."""
    cut: bool
    """Whether the text was longer."""
    trace: Trace
    views: list[TokenView]
    gradients: list[float]
    ablate: Ablation | None
    ablated: Trace | None


def run(
    path: Path | None,
    *,
    text: str,
    ablate: str | None,
    checkpoint: str | None,
    as_json: bool,
    allow_plugins: bool,
) -> None:
    """Write the page beside the run's files and print where it is.

    Raises: ConfigError, PromptError, CheckpointError.
    """
    if ablate not in (None, "residual", "mlp"):
        raise ConfigError(f"--ablate {ablate}: must be residual or mlp")
    loaded = load_run(
        path, checkpoint=checkpoint, dtype="float32", allow_plugins=allow_plugins, say=say
    )
    say(f"{loaded.run_dir}, step {loaded.step}")
    found = explain(loaded, text, "residual" if ablate == "residual" else "mlp" if ablate else None)
    if found.cut:
        say(f"the text is longer than {len(found.tokens)} tokens: its beginning is explained")
    target = _target(loaded)
    try:
        write_text(target, html(found))
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror or error}") from None
    if as_json:
        print(json.dumps({"page": str(target), **to_json(found)}, ensure_ascii=False))
    else:
        print(target)


def explain(loaded: Run, text: str, ablate: Ablation | None = None) -> Explanation:
    """Return what the model does while it reads `text`.

    Raises: PromptError, also for a text of fewer than two tokens; ConfigError where there is nothing to ablate.
    """
    model, tokenizer = loaded.model, loaded.tokenizer
    ids = tokenizer.encode(text)
    if tokenizer.end_of_text is not None:
        ids = [tokenizer.end_of_text, *ids]  # what the first token is predicted from
    if len(ids) < 2:
        raise PromptError("--text: give two tokens or more: the first is only read")
    if ablate is not None and not isinstance(model, GPT):
        raise ConfigError(f"--ablate {ablate}: this model has no blocks")
    most = min(loaded.config.model.context_length, _MOST_TOKENS)
    tokens = torch.tensor(ids[:most], device=next(model.parameters()).device)
    trace = watch(model, tokens)
    return Explanation(
        name=loaded.run_dir.absolute().name,
        step=loaded.step,
        loaded=loaded,
        tokens=tokens,
        labels=[shown(tokenizer, token) for token in tokens.tolist()],
        cut=len(ids) > most,
        trace=trace,
        views=views(trace.logits, tokens, tokenizer),
        gradients=gradient_norms(model, tokens),
        ablate=ablate,
        ablated=None if ablate is None else watch(model, tokens, ablate),
    )


def html(found: Explanation) -> str:
    """Return the whole page."""
    model = found.loaded.model
    inside = isinstance(model, GPT) and found.trace.embedded is not None
    parts: list[Any] = [
        sections.header(found.name, found.step, found.views),
        sections.reading(found.labels[0], found.views),
        sections.alternatives(found.views),
    ]
    if inside and isinstance(model, GPT):
        parts += [
            sections.collapse(found.trace, found.ablated, found.ablate),
            sections.attention_maps(found.trace, found.labels),
            sections.logit_lens(model, found.trace, found.labels, found.loaded.tokenizer),
            sections.norms(found.trace, found.gradients),
            sections.neighbours(model.token_embedding.weight, found.tokens, found.loaded.tokenizer),
        ]
    return page(f"{found.name}: gptkit explain", *parts)


def to_json(found: Explanation) -> dict[str, Any]:
    """Return what the model said about each token as plain values."""
    return {
        "run": str(found.loaded.run_dir),
        "step": found.step,
        "loss": sum(-math.log(max(view.probability, 1e-45)) for view in found.views)
        / len(found.views),
        "tokens": [
            {
                "id": view.token,
                "text": view.text,
                "probability": view.probability,
                "rank": view.rank,
                "entropy_bits": view.entropy_bits,
                "alternatives": [{"text": text, "probability": p} for text, p in view.alternatives],
            }
            for view in found.views
        ],
    }


def _target(loaded: Run) -> Path:
    run_dir = run_of(loaded.checkpoint)
    if run_dir is not None:
        return run_dir / "explain.html"
    alone = loaded.checkpoint.absolute()
    return alone.with_name(f"{alone.name}-explain.html")
