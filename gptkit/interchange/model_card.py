"""README.md of an exported model: what it is, what it learned from, how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CardFacts:
    """What a model card says."""

    name: str
    version: str
    """Of gptkit."""
    class_name: str
    parameters: int
    dtype: str
    context_length: int
    vocab_size: int
    tokenizer: str
    chats: bool
    """Whether it answers by a chat template, whose special tokens transformers finds in a text."""
    data: str
    """What it learned from, in a line."""
    step: int
    metrics: Mapping[str, float]
    config: str
    """The run's settings, as YAML."""


def model_card(facts: CardFacts) -> str:
    """Return the card as Markdown; the licence is the user's to choose."""
    metrics = "\n".join(f"| {name} | {value:.4f} |" for name, value in facts.metrics.items())
    table = f"| figure | value |\n|---|---|\n{metrics}" if metrics else "None was recorded."
    special = (
        "special tokens in a text are taken for them: keep them out of what users say"
        if facts.chats
        else "the text of special tokens stays text"
    )
    return f"""\
---
license: unknown  # yours to choose: the weights and the text they learned from
library_name: transformers
pipeline_tag: text-generation
tags: [gptkit]
---
# {facts.name}

A small GPT language model, written by gptkit {facts.version} as `{facts.class_name}`.

- {facts.parameters:,} parameters, {facts.dtype}, context of {facts.context_length:,} tokens
- tokenizer: {facts.tokenizer}, {facts.vocab_size:,} tokens; {special}
- data: {facts.data}
- {facts.step:,} optimizer steps

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("PATH OF THIS FOLDER")
tokenizer = AutoTokenizer.from_pretrained("PATH OF THIS FOLDER")
```

## Figures

{table}

## Settings

```yaml
{facts.config.rstrip()}
```
"""
