"""A trained model with all that belongs to it: what `gptkit.load` and `gptkit.train` return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, Unpack, overload

import torch

from gptkit.checkpoint import saved_step
from gptkit.checkpoint.store import (
    TOKENIZER_NAME,
    plugin_files,
)
from gptkit.config import RunConfig
from gptkit.errors import ConfigError
from gptkit.generation.engine import Engine, Sample
from gptkit.generation.int8 import Int8Weights, quantise_model
from gptkit.loggers.metrics import METRICS_NAME, Row, read_metrics
from gptkit.model import GPT, ModelConfig
from gptkit.recipes.trust import trusted_config, trusted_model
from gptkit.recipes.writing import Writing, WritingOptions, prompt_tokens
from gptkit.runs import resolve, run_of
from gptkit.runtime.choose import choose_device, choose_dtype
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.store import load_tokenizer

DType = Literal["auto", "float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True)
class Run:
    """A model from a checkpoint, in eval mode, with its tokenizer and settings."""

    model: GPT
    """(B, T) int64 token ids -> (B, T, V) logits."""
    tokenizer: Tokenizer
    config: RunConfig
    checkpoint: Path
    """The checkpoint folder it came from."""
    step: int
    """Optimizer steps behind it."""
    int8: Int8Weights = field(default_factory=dict)
    """The matrices that were rounded to eight bits."""

    @property
    def run_dir(self) -> Path:
        """The run folder; the checkpoint folder itself where it stands alone."""
        return run_of(self.checkpoint) or self.checkpoint

    @property
    def metrics(self) -> list[Row]:
        """The lines of the run's metrics.jsonl, oldest first."""
        return read_metrics(self.run_dir / METRICS_NAME)

    def stream(self, prompt: str | None = None, **options: Unpack[WritingOptions]) -> Iterator[str]:
        """Yield the continuation of `prompt` piece by piece; without a prompt, a document from its start.

        Raises: PromptError for characters that the tokenizer does not know; ConfigError for a bad option.
        """
        yield from self.write(prompt, **options).pieces(0)

    @overload
    def generate(
        self,
        prompt: str | None = None,
        *,
        num_samples: Literal[1] = 1,
        **options: Unpack[WritingOptions],
    ) -> str: ...
    @overload
    def generate(
        self, prompt: str | None = None, *, num_samples: int, **options: Unpack[WritingOptions]
    ) -> str | list[str]: ...
    def generate(
        self, prompt: str | None = None, *, num_samples: int = 1, **options: Unpack[WritingOptions]
    ) -> str | list[str]:
        """Return the continuation of `prompt`; with num_samples above 1 a list of them.

        Raises: as `stream`.
        """
        writing = self.write(prompt, num_samples=num_samples, **options)
        texts = [writing.text(i) for i in range(num_samples)]
        return texts[0] if num_samples == 1 else texts

    def write(
        self, prompt: str | None = None, *, num_samples: int = 1, **options: Unpack[WritingOptions]
    ) -> Writing:
        """Return the samples of a prompt, to be read as streams, with their tokens and why they ended."""
        tokens, _ = prompt_tokens(self.tokenizer, prompt)
        samples = [Sample(tokens, i) for i in range(num_samples)]
        return Writing(self.engine, self.tokenizer, samples, **options)

    @cached_property
    def engine(self) -> Engine:
        """The model made ready to write: done when it is first asked to, in a second at most."""
        return Engine(self.model, self.int8)


def load_run(
    run: str | Path | None = None,
    *,
    checkpoint: str | None = None,
    device: str = "auto",
    dtype: DType = "auto",
    allow_plugins: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """Load a trained model.

    run: a run folder, whose best checkpoint counts unless `checkpoint` says best, last or a step; a checkpoint folder;
    None: the newest run. dtype "auto": bfloat16 where the hardware multiplies it, else float32; "int8": the weights of
    matrix products in eight bits, the rest in bfloat16. allow_plugins: run the
    Python files that the checkpoint carries. say: is told what was passed over.

    Raises: ConfigError when there is no such run, or it needs plugins; CheckpointError when none is usable.
    """
    folder = resolve(Path(run) if run is not None else None, checkpoint, say=say)
    config = checkpoint_config(folder, allow_plugins=allow_plugins)
    tokenizer = load_tokenizer(folder / TOKENIZER_NAME)
    place = choose_device(device)
    model = trusted_model(folder, config, tokenizer.vocab_size).eval()
    if dtype == "int8":
        if not isinstance(config.model, ModelConfig):
            raise ConfigError(f"--dtype int8: is made for gpt, and this is a {config.model.name}")
        return Run(
            model, tokenizer, config, folder, saved_step(folder), quantise_model(model.to(place))
        )
    model.to(device=place, dtype=getattr(torch, choose_dtype(dtype, place, None)[0]))
    return Run(model, tokenizer, config, folder, saved_step(folder))


def checkpoint_config(checkpoint: Path, *, allow_plugins: bool) -> RunConfig:
    """Return the settings of a verified checkpoint, after running the plugins that it carries.

    Raises: ConfigError when it needs plugins and they are not allowed; CheckpointError.
    """
    carried = [file.name for file in plugin_files(checkpoint)]
    if carried and not allow_plugins:
        names = ", ".join(carried[:5])
        raise ConfigError(
            f"{checkpoint}: needs the plugins that it carries ({names}); they are Python code: read them,"
            " then give --allow-plugins"
        )
    return trusted_config(checkpoint, run_plugins=True)
