"""A training step as each program does it: forward, backward, clip, AdamW, gradients dropped.

Every program gets the same random tokens, and no more help than its own settings. torch and the
programs are imported where they run: each has a process of its own (turns.py).
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from common.nanogpt import new_model
from common.shapes import Shape

DType = Literal["float32", "bfloat16", "auto"]
Step = Callable[[int, Any, Any], None]
"""(index, tokens, targets): do it. Tensors are (B, T) int64, on the device."""
_LORA_RANK, _LORA_ALPHA = 8, 16
_PEAK_RATE, _BETAS, _DECAY, _CLIP = 1e-3, (0.9, 0.99), 0.1, 1.0


@dataclass(frozen=True)
class Program:
    """One of the three, as its user would set it."""

    library: Literal["gptkit", "nanoGPT", "transformers"]
    dtype: DType
    compiled: bool | Literal["auto"] = False
    preset: Literal["gpt2", "modern"] = "gpt2"
    lora: bool = False
    """Whether updates beside the linear layers of the blocks learn, and nothing else."""

    def __str__(self) -> str:
        block = ", modern block" if self.preset == "modern" else ""
        compiled = {True: ", compiled", "auto": ", compiled if it pays", False: ""}[self.compiled]
        by = " (peft)" if self.library == "transformers" else ""
        lora = f", LoRA{by}" if self.lora else ""
        return f"{self.library} {self.dtype}{block}{compiled}{lora}"


def like_for_like(device: str, nanogpt: str | None) -> list[Program]:
    """Return the programs in float32, eager, then each as fast as its settings make it."""
    same = [
        Program("nanoGPT", "float32"),
        Program("transformers", "float32"),
        Program("gptkit", "float32"),
        Program("gptkit", "float32", preset="modern"),
    ]
    # nanoGPT leaves bfloat16 to CUDA; gptkit decides by itself.
    theirs: DType = "bfloat16" if device == "cuda" else "float32"
    best = [
        Program("nanoGPT", theirs, compiled=True),
        Program("transformers", "bfloat16", compiled=device == "cuda"),
        Program("gptkit", "auto"),
        Program("gptkit", "auto", compiled="auto"),
        Program("gptkit", "auto", compiled="auto", preset="modern"),
    ]
    return those_here(same + best, nanogpt)


def those_here(programs: Sequence[Program], nanogpt: str | None) -> list[Program]:
    """Return the programs that are installed; nanogpt: a checkout, or None."""
    absent = set() if nanogpt else {"nanoGPT"}
    if not all(importlib.util.find_spec(name) for name in ("transformers", "accelerate")):
        absent.add("transformers")
    if importlib.util.find_spec("peft") is None and any(program.lora for program in programs):
        programs = [p for p in programs if not (p.lora and p.library == "transformers")]
        print("without peft: it is not here", file=sys.stderr)
    for library in sorted(absent & {program.library for program in programs}):
        print(f"without {library}: it is not here", file=sys.stderr)
    return [program for program in programs if program.library not in absent]


def seconds_of_steps(
    program: Program, shape: Shape, device: str, steps: int, nanogpt: Path | None
) -> list[float]:
    """Return the time of each of `steps` training steps."""
    if program.library == "transformers":
        return _trainer(program, shape, device, steps)
    if program.library == "nanoGPT":
        assert nanogpt is not None, "nanoGPT needs a checkout"
        step = _nanogpt(program, shape, device, nanogpt)
    else:
        step = _gptkit(program, shape, device)

    import torch

    seconds = []
    for index, tokens in enumerate(_batches(shape, device, steps)):
        _wait(device)
        start = time.perf_counter()
        step(index, tokens, torch.roll(tokens, -1, 1))
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return seconds


def _gptkit(program: Program, shape: Shape, device: str) -> Step:
    """Return a step of `gptkit train`."""
    from gptkit.runtime.process import share_the_cores

    share_the_cores()
    import torch

    from gptkit.data.batches import Batch
    from gptkit.model import GPT, ModelConfig
    from gptkit.model.adapter_config import LoRAConfig
    from gptkit.model.lora import add_lora
    from gptkit.runtime import Runtime, RuntimeConfig, Workload
    from gptkit.runtime.choose import choose
    from gptkit.training.objective import NextTokenObjective
    from gptkit.training.optimizer_config import OPTIMIZERS, AdamWConfig
    from gptkit.training.step import train_step
    from gptkit.training.update import Update

    block = {"mlp": {"name": "gelu"}, "bias": False} if program.preset == "gpt2" else {}
    config = ModelConfig(
        preset=program.preset,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_embd=shape.n_embd,
        context_length=shape.context_length,
        dropout=shape.dropout,
        **block,
    )
    place = torch.device(device)
    if place.type == "cuda":
        torch.set_float32_matmul_precision("high")
    asked = RuntimeConfig(device=device, dtype=program.dtype, compile=program.compiled)
    # What `auto` means in a run that is long enough for a compiler.
    hour = Workload(n_embd=config.n_embd, seconds=3600.0)
    settings, _ = choose(asked, place, hour)
    runtime = Runtime(place, settings)
    model = GPT(config, shape.vocab_size)
    model.init_weights(1)
    if program.lora:
        add_lora(LoRAConfig(rank=_LORA_RANK, alpha=_LORA_ALPHA), model, seed=1)
    model.to(place)
    adamw = AdamWConfig(learning_rate=_PEAK_RATE, betas=_BETAS, weight_decay=_DECAY)
    update = Update(OPTIMIZERS.build(adamw, model), grad_clip=_CLIP, runtime=runtime)
    example = torch.zeros((shape.batch_size, shape.context_length), dtype=torch.int64)
    replica = runtime.replicate(NextTokenObjective(model).train(), example, warn=_complain)

    def step(index: int, tokens: Any, targets: Any) -> None:
        batch = Batch(tokens, targets)
        train_step(replica, [batch], update, step=index, seed=1, runtime=runtime)

    return step


def _nanogpt(program: Program, shape: Shape, device: str, checkout: Path) -> Step:
    """Return a step in the order of nanoGPT's train.py."""
    from contextlib import nullcontext

    import torch

    if device == "cuda":  # as train.py sets it
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    model = new_model(checkout, shape, dropout=shape.dropout, bias=False).to(device)
    optimizer = model.configure_optimizers(_DECAY, _PEAK_RATE, _BETAS, device)
    if program.compiled:
        model = torch.compile(model)
    half = program.dtype == "bfloat16"
    precision = torch.amp.autocast(device, torch.bfloat16) if half else nullcontext()

    def step(index: int, tokens: Any, targets: Any) -> None:
        with precision:
            _, loss = model(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _trainer(program: Program, shape: Shape, device: str, steps: int) -> list[float]:
    """Return the times from the end of one step of transformers' Trainer to that of the next.

    Its GPT-2 cannot leave out the biases, which are 0.1 % of the weights.
    """
    import torch
    from transformers import (  # type: ignore[import-untyped,unused-ignore]
        GPT2Config,
        GPT2LMHeadModel,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    config = GPT2Config(
        **shape.of_transformers,
        activation_function="gelu",
        resid_pdrop=shape.dropout,
        embd_pdrop=shape.dropout,
        attn_pdrop=shape.dropout,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    rows = torch.cat(list(_batches(shape, "cpu", steps)))
    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc,unused-ignore]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            _wait(device)
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=shape.batch_size,
            max_steps=steps,
            learning_rate=_PEAK_RATE,
            adam_beta1=_BETAS[0],
            adam_beta2=_BETAS[1],
            weight_decay=_DECAY,
            max_grad_norm=_CLIP,
            bf16=program.dtype == "bfloat16",
            tf32=True if device == "cuda" else None,
            torch_compile=program.compiled is True,
            use_cpu=device == "cpu",
            report_to=[],
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )
        model: Any = GPT2LMHeadModel(config)
        if program.lora:
            model = _with_peft(model)
        dataset: Any = [{"input_ids": row, "labels": row} for row in rows]
        Trainer(model, arguments, train_dataset=dataset, callbacks=[Clock()]).train()
    return [after - before for before, after in itertools.pairwise(ends)]


def _with_peft(model: Any) -> Any:
    """Return the model with the updates that gptkit puts beside the same matrices."""
    from peft import LoraConfig, get_peft_model  # type: ignore[import-untyped,unused-ignore]

    layers = ["c_attn", "c_proj", "c_fc"]  # both c_proj: of attention and of the MLP
    settings = LoraConfig(
        r=_LORA_RANK,
        lora_alpha=_LORA_ALPHA,
        target_modules=layers,
        fan_in_fan_out=True,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, settings)


def _batches(shape: Shape, device: str, steps: int) -> Iterator[Any]:
    import torch

    generator = torch.Generator().manual_seed(1)
    size = (shape.batch_size, shape.context_length)
    for _ in range(steps):
        yield torch.randint(shape.vocab_size, size, generator=generator).to(device)


def _wait(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def _complain(words: str) -> None:
    print(words, file=sys.stderr)
