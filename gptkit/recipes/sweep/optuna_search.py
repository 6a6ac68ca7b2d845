"""Trials that learn from those before them: optuna's tree-structured Parzen estimator.

Reference: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gptkit.errors import ConfigError
from gptkit.recipes.sweep.space import Range, Space


def suggestions(
    space: Space, trials: int, losses: Callable[[], Sequence[float | None]]
) -> Iterator[dict[str, Any]]:
    """Yield the settings of one trial after another; `losses` has those of the trials so far.

    With the same losses it yields the same: a sweep that is taken up again goes on where it was.

    Raises: ConfigError where optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError("--search optuna needs it: pip install 'gptkit[optuna]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1337))
    for index in range(trials):
        trial = study.ask()
        yield {key: _suggest(trial, key, values) for key, values in space.items()}
        loss = losses()[index]
        if loss is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, loss)


def _suggest(trial: Any, key: str, values: Range | tuple[Any, ...]) -> Any:
    if not isinstance(values, Range):
        # optuna takes plain values only: a place in the list stands for any.
        return values[trial.suggest_categorical(key, list(range(len(values))))]
    if values.is_whole:
        return trial.suggest_int(key, values.low, values.high, log=values.is_log)
    return float(f"{trial.suggest_float(key, values.low, values.high, log=values.is_log):.4g}")
