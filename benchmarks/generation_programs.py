"""The programs that generation.py compares: gptkit, transformers, nanoGPT and llama.cpp, each behind one call."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import torch
from common.nanogpt import new_model
from common.shapes import SHAPES, Shape
from torch import Tensor, nn

from gptkit.generation.config import SamplingConfig
from gptkit.generation.engine import Engine, Sample
from gptkit.generation.int8 import quantise_model
from gptkit.interchange.gguf import write_gguf
from gptkit.model import GPT, ModelConfig
from gptkit.runtime.choose import choose_dtype
from gptkit.tokenizers.char import CharTokenizer

_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1, "f16": 2, "q8_0": 1.0625}


MODELS = {
    "10.65M": SHAPES["10.65M"].with_batch(1, 256),
    "124M": SHAPES["124M"].with_batch(1, 1024),
}
"""With the context that they write in; rows are given to a program."""


def bytes_per_step(shape: Shape, dtype: str, batch: int, length: int) -> float:
    """Return what a step reads: all matrices once, and each row's keys and values."""
    cache = 2 * shape.n_layer * shape.n_embd * length * (4 if dtype == "float32" else 2)
    return shape.matrix_weights * _BYTES[dtype] + batch * cache


@dataclass(frozen=True)
class Timing:
    """One run of one program."""

    first: float
    """Seconds to the first token."""
    rate: float
    """Tokens a second after it, of all rows."""


Program = Callable[[int, int, int], Timing]
"""(rows, prompt tokens, new tokens) -> how long it took."""


def timing(moments: Sequence[float], start: float, batch: int) -> Timing:
    """Return the figures of a run whose steps ended at `moments`."""
    rest = moments[-1] - moments[0]
    return Timing(moments[0] - start, batch * (len(moments) - 1) / rest if rest else float("nan"))


def random_model(shape: Shape) -> GPT:
    """Return GPT-2 in a shape, with the weights that training starts from."""
    sizes = {key: getattr(shape, key) for key in ("n_layer", "n_head", "n_embd", "context_length")}
    model = GPT(ModelConfig.model_validate({"preset": "gpt2", **sizes}), shape.vocab_size).eval()
    model.init_weights(0)
    return model


def ours(shape: Shape, dtype: str, device: torch.device) -> Program:
    """Return gptkit's engine."""
    model = random_model(shape)
    int8 = None
    if dtype == "int8":
        int8 = quantise_model(model.to(device))
    else:
        model.to(device, getattr(torch, dtype))
    engine = Engine(model, int8)

    def run(batch: int, prompt: int, new: int) -> Timing:
        samples = [Sample(random_prompt(shape, prompt, row)) for row in range(batch)]
        sampling = SamplingConfig(max_new_tokens=new, temperature=1.0)
        start = time.perf_counter()
        return timing([time.perf_counter() for _ in engine.run(samples, sampling)], start, batch)

    return run


def transformers_gpt2(shape: Shape, dtype: str, device: torch.device) -> Program:
    """Return transformers' generate with its default cache."""
    from transformers import GPT2Config, GPT2LMHeadModel, StoppingCriteria, StoppingCriteriaList

    config = GPT2Config(
        **shape.of_transformers,
        bos_token_id=0,
        eos_token_id=None,
    )
    model: Any = GPT2LMHeadModel(config).eval().to(device, getattr(torch, dtype))

    class Clock(StoppingCriteria):  # type: ignore[misc]
        def __init__(self) -> None:
            self.moments: list[float] = []

        def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
            done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
            _ = input_ids[0, -1].item()  # the token is there: a GPU may still be at work
            self.moments.append(time.perf_counter())
            return done

    def run(batch: int, prompt: int, new: int) -> Timing:
        rows = [random_prompt(shape, prompt, row) for row in range(batch)]
        clock = Clock()
        start = time.perf_counter()
        tokens = torch.tensor(rows, device=device)
        model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=new,
            do_sample=True,
            top_k=0,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([clock]),
        )
        return timing(clock.moments, start, batch)

    return run


def nanogpt_generate(shape: Shape, checkout: Path, device: torch.device) -> Program:
    """Return nanoGPT's generate, which reads the whole text again for each token."""
    model: nn.Module = new_model(checkout, shape, dropout=0.0).eval().to(device)

    def run(batch: int, prompt: int, new: int) -> Timing:
        tokens = torch.tensor([random_prompt(shape, prompt, row) for row in range(batch)])
        moments = []
        start = time.perf_counter()
        with torch.no_grad():
            tokens = tokens.to(device)
            for _ in range(new):
                tokens = model.generate(tokens, 1)  # type: ignore[operator]
                _ = tokens[0, -1].item()
                moments.append(time.perf_counter())
        return timing(moments, start, batch)

    return run


def llama_cpp(shape: Shape, number_type: str, folder: Path) -> Program:
    """Return llama.cpp, one row at a time, on gptkit's weights (the wheel `xllamacpp`)."""
    import xllamacpp

    # A token for each row of the embedding; which ones does not matter.
    tokenizer = CharTokenizer("".join(map(chr, range(0x100, 0x100 + shape.vocab_size))))
    path = folder / f"{number_type}.gguf"
    model = random_model(shape)
    weights = dict(model.state_dict())
    write_gguf(path, model.config, weights, tokenizer, number_type=number_type, name="random")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx = shape.context_length
    settings.n_parallel = 1
    settings.warmup = False
    settings.port = 0
    settings.cpuparams.n_threads = torch.get_num_threads()
    settings.cpuparams_batch.n_threads = torch.get_num_threads()

    def run(batch: int, prompt: int, new: int) -> Timing:
        assert batch == 1
        # For this run only: a server that waits takes time from the other programs.
        server = xllamacpp.Server(settings)
        asked = {
            "prompt": random_prompt(shape, prompt, 0),
            "n_predict": new,
            "ignore_eos": True,
            "cache_prompt": False,
            "temperature": 1.0,
            "samplers": ["temperature"],
        }
        request = Request(
            f"{server.listening_address}/completion",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request) as reply:
            found = json.load(reply)["timings"]
        first = (found["prompt_ms"] + found["predicted_per_token_ms"]) / 1000
        return Timing(first, found["predicted_per_second"])

    return run


def random_prompt(shape: Shape, length: int, row: int) -> list[int]:
    """Return the same random tokens for every program."""
    generator = torch.Generator().manual_seed(row)
    return torch.randint(shape.vocab_size, (length,), generator=generator).tolist()


def programs(
    shape: Shape, device: torch.device, nanogpt: Path | None, folder: Path
) -> Iterator[tuple[str, str, Program]]:
    """Yield name, dtype and program of all that are here.

    nanogpt: a checkout; folder: for files that a program reads.
    """
    auto = choose_dtype("auto", device, None)[0]
    for dtype in dict.fromkeys(("float32", auto, "int8")):
        note = " (auto)" if dtype == auto else ""
        yield f"gptkit {dtype}{note}", dtype, ours(shape, dtype, device)
    if importlib.util.find_spec("transformers") is not None:
        for dtype in dict.fromkeys(("float32", auto)):
            yield f"transformers {dtype}", dtype, transformers_gpt2(shape, dtype, device)
    if nanogpt is not None:
        yield "nanoGPT float32", "float32", nanogpt_generate(shape, nanogpt, device)
    if importlib.util.find_spec("xllamacpp") is not None and device.type == "cpu":
        for kind in ("f16", "q8_0"):
            yield f"llama.cpp {kind}", kind, llama_cpp(shape, kind, folder)
