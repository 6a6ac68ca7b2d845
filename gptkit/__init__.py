"""gptkit: train, evaluate and sample small GPT language models from one YAML file.

>>> import gptkit
>>> run = gptkit.train("quickstart", set={"training.max_steps": 200})       # doctest: +SKIP
>>> run = gptkit.load("runs/quickstart")                                    # doctest: +SKIP
>>> run.generate("def ", max_new_tokens=200, temperature=0.8, seed=1)       # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gptkit.recipes.load import Run

__version__ = "0.1.0"
__all__ = ["__version__", "load", "train"]


def train(
    config: str | Path,
    set: Mapping[str, Any] | None = None,
    *,
    resume: str | None = None,
    run_dir: str | Path | None = None,
) -> Run:
    """Train a config to its end, as `gptkit train` does, and return the run's best checkpoint.

    config: a YAML file, or the name of a shipped config. set: settings to change, by dotted key. resume, run_dir: as on
    the command line.

    Raises: GptkitError.
    """
    from gptkit.runtime.process import share_the_cores

    share_the_cores()
    from gptkit.recipes.train.start import start

    wanted = Path(run_dir) if run_dir is not None else None
    folder = start(str(config), set or {}, resume=resume, run_dir=wanted)
    # Its plugins have just been run.
    return load(folder, dtype="float32", allow_plugins=True)


def load(
    run: str | Path | None = None,
    *,
    checkpoint: str | None = None,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto",
    allow_plugins: bool = False,
) -> Run:
    """Load a trained model: a run folder, a checkpoint folder, or nothing for the newest run.

    checkpoint: best, last or a step of a run folder. dtype "auto": bfloat16 where the hardware multiplies it, else
    float32; "int8": weights of eight bits, for speed on CPUs. allow_plugins: run the Python files that the checkpoint
    carries.

    Raises: ConfigError when there is no such run; CheckpointError when none of its checkpoints is usable.
    """
    from gptkit.recipes.ahead import get_ready_to_write
    from gptkit.runtime.process import share_the_cores

    share_the_cores()
    get_ready_to_write()
    from gptkit.recipes.load import load_run

    return load_run(
        run, checkpoint=checkpoint, device=device, dtype=dtype, allow_plugins=allow_plugins
    )
