"""Writing text: gptkit beside transformers, nanoGPT and llama.cpp, on this machine, in one run.

    pip install transformers gguf xllamacpp; python benchmarks/generation.py --nanogpt ../nanoGPT
    python benchmarks/generation.py --device cuda --only 124M --batches 1 8 64

Weights are random, in the shape of GPT-2 (124M) and of nanoGPT's Shakespeare model (10.65M): speed does not depend on
them. The programs take turns, each figure is the median of the rounds. Prints a table in Markdown.

    tokens/s      after the first token, all rows together; every program draws from its whole distribution
    first token   from the prompt's token ids to the first new one
    bound         the share of what memory allows: bytes of weights and of keys and values that a token needs,
                  over the fastest of three streaming reads, which take their turn among the programs
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from gptkit.runtime.process import share_the_cores, use_large_pages

# As the command line does, before torch is imported; all programs here have the same.
share_the_cores()
use_large_pages()

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import gptkit  # noqa: E402
from gptkit.generation.config import SamplingConfig  # noqa: E402
from gptkit.generation.engine import Engine, Sample  # noqa: E402
from gptkit.generation.int8 import quantise_model  # noqa: E402
from gptkit.interchange.gguf import write_gguf  # noqa: E402
from gptkit.model import GPT, ModelConfig  # noqa: E402
from gptkit.runtime.choose import choose_dtype  # noqa: E402
from gptkit.tokenizers.char import CharTokenizer  # noqa: E402

_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1, "f16": 2, "q8_0": 1.0625}
_READ_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Shape:
    """A model of GPT-2's kind."""

    name: str
    n_layer: int
    n_head: int
    n_embd: int
    vocab_size: int
    context_length: int

    @property
    def matrix_weights(self) -> int:
        """Weights that each token is multiplied with; the head's are the embedding's."""
        return 12 * self.n_layer * self.n_embd**2 + self.vocab_size * self.n_embd

    def bytes_per_step(self, dtype: str, batch: int, length: int) -> float:
        """Return what a step reads: all matrices once, and each row's keys and values."""
        cache = 2 * self.n_layer * self.n_embd * length * (4 if dtype == "float32" else 2)
        return self.matrix_weights * _BYTES[dtype] + batch * cache


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("10.65M", 6, 6, 384, 65, 256),
        Shape("124M", 12, 12, 768, 50257, 1024),
    )
}


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
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_embd=shape.n_embd,
        vocab_size=shape.vocab_size,
        n_positions=shape.context_length,
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


def nanogpt(shape: Shape, checkout: Path, device: torch.device) -> Program:
    """Return nanoGPT's generate, which reads the whole text again for each token."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", checkout / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module
    spec.loader.exec_module(module)
    config = module.GPTConfig(
        block_size=shape.context_length,
        vocab_size=shape.vocab_size,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_embd=shape.n_embd,
        dropout=0.0,
    )
    model: nn.Module = module.GPT(config).eval().to(device)

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
    path = folder / f"{shape.name}-{number_type}.gguf"
    model = random_model(shape)
    weights = dict(model.state_dict())
    write_gguf(path, model.config, weights, tokenizer, number_type=number_type, name=shape.name)
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


def measured_bandwidth(device: torch.device) -> float:
    """Return the bytes a second of the fastest of three streaming reads of 512 MB, medians of some."""
    matrix = torch.ones(_READ_BYTES // 4 // 4096, 4096, device=device)
    narrow = torch.ones(4096, _READ_BYTES // 4 // 4096, device=device)
    vector = torch.ones(4096, device=device)
    reads: list[Callable[[], object]] = [
        lambda: float(matrix.sum()),
        lambda: float(torch.mv(matrix, vector)[0]),
        lambda: float(torch.mv(narrow.t(), vector)[0]),
    ]
    return max(_READ_BYTES / _median_seconds(read) for read in reads)


def _median_seconds(work: Callable[[], object], times: int = 7) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def programs(
    shape: Shape, options: argparse.Namespace, folder: Path
) -> Iterator[tuple[str, str, Program]]:
    """Yield name, dtype and program of all that are here."""
    device = torch.device(options.device)
    auto = choose_dtype("auto", device, None)[0]
    for dtype in dict.fromkeys(("float32", auto, "int8")):
        note = " (auto)" if dtype == auto else ""
        yield f"gptkit {dtype}{note}", dtype, ours(shape, dtype, device)
    if importlib.util.find_spec("transformers") is not None:
        for dtype in dict.fromkeys(("float32", auto)):
            yield f"transformers {dtype}", dtype, transformers_gpt2(shape, dtype, device)
    if options.nanogpt is not None:
        yield "nanoGPT float32", "float32", nanogpt(shape, options.nanogpt, device)
    if importlib.util.find_spec("xllamacpp") is not None and device.type == "cpu":
        for kind in ("f16", "q8_0"):
            yield f"llama.cpp {kind}", kind, llama_cpp(shape, kind, folder)


def main() -> None:
    """Run all programs in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=SHAPES, help="one of the two models")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--prompts", type=int, nargs="*", default=[16, 512])
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, Python"
        f" {platform.python_version()}, torch {torch.__version__}, gptkit {gptkit.__version__}"
    )
    for shape in SHAPES.values():
        if options.only in (None, shape.name):
            compare(shape, options)


def compare(shape: Shape, options: argparse.Namespace) -> None:
    """Print the table of one model."""
    with tempfile.TemporaryDirectory() as folder:
        take_turns(shape, options, list(programs(shape, options, Path(folder))))


def take_turns(
    shape: Shape, options: argparse.Namespace, here: Sequence[tuple[str, str, Program]]
) -> None:
    """Time all programs on all sizes and print what they took."""
    device = torch.device(options.device)
    print(f"\n| {shape.name}: program | rows | prompt | tokens/s | first token, ms | bound |")
    print("|---|---:|---:|---:|---:|---:|")
    for batch in options.batches:
        for prompt in options.prompts:
            if prompt + options.new_tokens > shape.context_length:
                continue
            found: dict[str, list[Timing]] = {name: [] for name, _, _ in here}
            for name, _, run in here:
                if batch == 1 or "llama.cpp" not in name:
                    run(batch, prompt, 2)  # packs, compiles, allocates
            reads = []
            for _ in range(options.rounds):
                reads.append(measured_bandwidth(device))
                for name, _, run in here:
                    if batch == 1 or "llama.cpp" not in name:
                        found[name].append(run(batch, prompt, options.new_tokens))
            bandwidth = statistics.median(reads)
            for name, dtype, _ in here:
                if not found[name]:
                    continue
                rate = statistics.median(t.rate for t in found[name])
                first = statistics.median(t.first for t in found[name])
                length = prompt + options.new_tokens // 2
                bound = batch * bandwidth / shape.bytes_per_step(dtype, batch, length)
                print(
                    f"| {name} | {batch} | {prompt} | {rate:,.1f} | {1000 * first:,.1f}"
                    f" | {100 * rate / bound:.0f} % |",
                    flush=True,
                )
            print(f"| (streaming read: {bandwidth / 1e9:.1f} GB/s) | {batch} | {prompt} | | | |")


if __name__ == "__main__":
    main()
