"""The plan of a run: sizes by arithmetic, memory by a step without data, time by a few real steps.

config -> data -> sizes and memory -> trial -> time, loss, advice
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.data.prepare import prepare_dataset
from gptkit.data.progress import Progress
from gptkit.errors import ConfigError
from gptkit.insight.baselines import MOST_TRAIN_TOKENS, Scored, all_tokens, ngram_baselines
from gptkit.insight.footprint import StepShape, footprint
from gptkit.insight.size import parameters_by_part
from gptkit.interchange.architectures import choose_architecture
from gptkit.model.ladder import MODELS
from gptkit.recipes.plan.advice import advice
from gptkit.recipes.plan.facts import LossBand, Memory, Plan
from gptkit.recipes.plan.trial import Trial, run_trial
from gptkit.recipes.train.check import min_train_tokens
from gptkit.recipes.train.dialled import turn_dial
from gptkit.recipes.train.parts import build_parts
from gptkit.recipes.train.train import workload
from gptkit.runtime.capacity import device_memory, forget_peak, peak_bytes, resident_bytes
from gptkit.runtime.runtime import Runtime
from gptkit.training.limits import Limits

_USUAL_PROCESS = 350_000_000
"""Bytes of Python with torch, where the system does not say."""
_KERNELS = 60_000_000
"""Bytes that torch's threads and the first products add to a process."""
_BESIDE = 20_000_000
"""Bytes of a run that come neither before its steps nor with them: preflight, lines, the threads of autograd."""
_MOST_VAL_TOKENS = 200_000


def make_plan(
    config: RunConfig, *, progress: Progress, note: Callable[[str], None] = lambda text: None
) -> Plan:
    """Return the plan of a config; its data is prepared, unless that was done before.

    Raises: GptkitError.
    """
    with Runtime.start(config.runtime, workload(config)) as runtime:
        dataset = prepare_dataset(
            config.data, min_train_tokens=min_train_tokens(config), progress=progress
        )
        choice = turn_dial(config, dataset, runtime)
        config = choice.config
        # Also loads what a first product loads, so that it counts as the process's.
        reach = runtime.peak_flops()
        loaded = resident_bytes()
        memory = _memory(config, dataset, runtime, loaded)
        trial = None
        before = resident_bytes()
        forget_peak()
        if memory.device is None or memory.total < memory.device:
            trial = run_trial(config, dataset, build_parts(config, dataset, runtime, None), runtime)
            if runtime.device.type == "cpu":
                memory = replace(memory, measured=_measured(loaded, before, peak_bytes()))
        else:
            note("no step was tried: there is not enough memory for one")
        plan = _put_together(config, dataset, memory, trial, runtime, reach)
    return _with_advice(config, replace(plan, chosen=choice.reasons))


def _measured(loaded: int | None, before: int | None, peak: int | None) -> int | None:
    """Return what a run takes: what was loaded first, and what a trial added.

    Not what came between, which only a plan loads to do its arithmetic: about 100 MB.
    """
    if loaded is None or before is None or peak is None:
        return None
    return loaded + _BESIDE + peak - before


def _memory(config: RunConfig, dataset: Dataset, runtime: Runtime, loaded: int | None) -> Memory:
    rows = config.training.micro_batch_size
    assert rows is not None
    on_cpu = runtime.device.type == "cpu"
    shape = StepShape(
        rows=rows * _rows_together(dataset),
        context_length=config.model.context_length,
        micro_batches=config.training.accumulation(runtime.world_size),
        dtype=runtime.dtype,
    )
    process = (loaded or _USUAL_PROCESS) + _KERNELS if on_cpu else 0
    run = footprint(config.model, dataset.tokenizer.vocab_size, config.optimizer, shape)
    return Memory(run, process, device_memory(runtime.device))


def _put_together(
    config: RunConfig,
    dataset: Dataset,
    memory: Memory,
    trial: Trial | None,
    runtime: Runtime,
    reach: float | None,
) -> Plan:
    vocab_size = dataset.tokenizer.vocab_size
    with torch.device("meta"):
        model = MODELS.build(config.model, vocab_size)
    splits = dataset.manifest.splits
    training, context_length = config.training, config.model.context_length
    window_tokens = _rows_together(dataset) * context_length
    tokens_per_step = training.batch_size * window_tokens
    num_windows = max(1, (splits["train"].tokens - 1) // window_tokens)
    limits = Limits.of(training, context_length=window_tokens, num_windows=num_windows)
    steps = _steps(limits, trial, training.eval_every)
    seconds = evaluations = None
    if trial is not None and steps is not None:
        saves = _times(
            steps, min(training.save_every, training.eval_every)
        )  # as evaluated, so saved
        evaluations = _times(steps, training.eval_every) * (trial.evaluation + trial.sample)
        seconds = steps * trial.step + evaluations + saves * trial.save
    rate = None if trial is None else tokens_per_step / trial.step
    flops = model.flops_per_token()
    export, export_problem = _exported_as(config)
    return Plan(
        parameters=parameters_by_part(model),
        flops_per_token=flops,
        memory=memory,
        vocab_size=vocab_size,
        train_tokens=splits["train"].tokens,
        val_tokens=splits["val"].tokens,
        tokens_per_step=tokens_per_step,
        steps=steps,
        epochs=None if steps is None else steps * training.batch_size / num_windows,
        step_seconds=None if trial is None else trial.step,
        evaluation_seconds=evaluations,
        seconds=seconds,
        tokens_per_second=rate,
        mfu=None if rate is None or reach is None else rate * flops / reach,
        loss=None if steps is None else _loss_band(dataset, flops * steps * tokens_per_step),
        reasons=runtime.reasons,
        export=export,
        export_problem=export_problem,
    )


def _rows_together(dataset: Dataset) -> int:
    """Return how many rows of tokens make a sequence of a batch."""
    return 2 if dataset.are_pairs else 1


def _exported_as(config: RunConfig) -> tuple[str, str]:
    """Return the class of transformers that holds the model, or why there is none."""
    try:
        return choose_architecture(config.model).class_name, ""
    except ConfigError as error:
        return "", str(error).partition("\n")[0]


def _steps(limits: Limits, trial: Trial | None, eval_every: int) -> int | None:
    """Return the steps of a run: of its first limit."""
    if limits.time_budget is None:
        return limits.max_steps
    if trial is None:
        return None
    beside = (trial.evaluation + trial.sample + trial.save) / eval_every
    steps = max(1, int(limits.time_budget / (trial.step + beside)))
    return min(steps, limits.max_steps or steps)


def _times(steps: int, every: int) -> float:
    """Return how often something happens that is due every so many steps and at the end."""
    return float(math.ceil(steps / every))


def _loss_band(dataset: Dataset, flops: float) -> LossBand | None:
    """Return where the loss may end: from counting, the cheapest model, and from the work put in.

    Over our own runs, from 1e11 to 1e16 FLOP, the loss was near (1.5 - 0.115 (log10 FLOP - 11)) times that of the
    best n-gram model; the band is 12 % to each side. Text much larger than what is counted here is learned better.
    """
    if not dataset.manifest.splits["val"].tokens or dataset.are_pairs:
        return None
    scored = Scored(
        all_tokens(dataset.split("val"), _MOST_VAL_TOKENS), dataset.tokenizer.token_bytes()
    )
    found = ngram_baselines(
        all_tokens(dataset.split("train"), MOST_TRAIN_TOKENS),
        scored,
        vocab_size=dataset.tokenizer.vocab_size,
    )
    best = min(one.loss for one in found)
    middle = best * (1.5 - 0.115 * (math.log10(max(flops, 1.0)) - 11))
    most = math.log(dataset.tokenizer.vocab_size)
    return LossBand(max(0.0, 0.88 * middle), min(most, 1.12 * middle), best)


def _with_advice(config: RunConfig, plan: Plan) -> Plan:
    return replace(plan, warnings=tuple(advice(config, plan)))
