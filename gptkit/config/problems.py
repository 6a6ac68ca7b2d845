"""What is wrong with a config, in words a user can act on: place, key, value, what is allowed, did you mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from gptkit.config.yaml12 import Path
from gptkit.section import Choices, Section

# The names that other projects gave to our keys; understood here and nowhere else.
_OTHER_NAMES = {
    "accumulate_grad_batches": "micro_batch_size",
    "beta1": "betas",
    "beta2": "betas",
    "block_size": "context_length",
    "d_model": "n_embd",
    "decay_iters": "decay_steps",
    "embed_dim": "n_embd",
    "epochs": "max_epochs",
    "eval_interval": "eval_every",
    "global_batch_size": "batch_size",
    "gradient_accumulation_steps": "micro_batch_size",
    "hidden_size": "n_embd",
    "log_interval": "log_every",
    "lr": "learning_rate",
    "max_iters": "max_steps",
    "max_norm": "grad_clip",
    "max_seq_len": "context_length",
    "max_time": "time_budget",
    "min_lr": "min_factor",
    "n_ctx": "context_length",
    "num_heads": "n_head",
    "num_layers": "n_layer",
    "out_dir": "run_dir",
    "save_interval": "save_every",
    "seq_len": "context_length",
    "warmup_iters": "warmup_steps",
}


def explain(error: ValidationError, root: type[Section], value: Any) -> Iterator[tuple[Path, str]]:
    """Yield the place and the explanation of each problem of `error`, which validating `value` raised."""
    everywhere = tuple(_all_keys(root, value))
    for problem in _flatten(error.errors(), ()):
        yield problem["loc"], _words(problem, root, value, everywhere)


def _flatten(errors: Sequence[Any], prefix: Path) -> Iterator[dict[str, Any]]:
    """Undo the nesting that `Choices.validate` wraps the problems of an inner section in."""
    for error in errors:
        loc = (*prefix, *error["loc"])
        if error["type"] == "nested":
            yield from _flatten(error["ctx"]["errors"], loc)
        else:
            yield {**error, "loc": loc}


def _words(
    problem: Mapping[str, Any], root: type[Section], value: Any, everywhere: Sequence[str]
) -> str:
    loc, got = problem["loc"], problem.get("input")
    context = problem.get("ctx") or {}
    kind = problem["type"]
    if kind == "extra_forbidden":
        return _unknown_key(loc, root, value, everywhere)
    if kind == "missing":
        return "is missing"
    if kind == "choice":
        return _not_among(got, context["allowed"])
    if kind == "literal_error":
        return _not_among(got, re.findall(r"'([^']*)'|\b(True|False)\b", context["expected"]))
    if kind == "value_error":
        return str(context.get("error") or problem["msg"])
    if kind in ("int_from_float", "int_type"):
        return f"must be a whole number{_got(got)}"
    if kind in ("model_type", "dict_type", "mapping_type"):
        return f"must be a section of keys{_got(got)}"
    message = str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    if message == problem["msg"]:
        return message[0].lower() + message[1:] + _got(got)
    return f"must be {message}{_got(got)}"


def _got(value: Any) -> str:
    text = repr(value)
    return f" (got {text if len(text) <= 60 else text[:57] + '...'})"


def _not_among(got: Any, allowed: Sequence[Any]) -> str:
    names = ["".join(name) if isinstance(name, tuple) else str(name) for name in allowed]
    quoted = [f"'{name}'" if name not in ("True", "False") else name.lower() for name in names]
    listing = " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
    return f"must be {listing}{_got(got)}{suggest(str(got), names)}"


def suggest(name: str, known: Sequence[str]) -> str:
    """Return "; did you mean '...'?" with the nearest of `known`, or nothing."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), list(by_fold), n=1, cutoff=0.6)
    return f"; did you mean '{by_fold[near[0]]}'?" if near else ""


def _unknown_key(loc: Path, root: type[Section], value: Any, everywhere: Sequence[str]) -> str:
    key = str(loc[-1])
    here = sorted(_section_at(loc[:-1], root, value).model_fields)
    other = _OTHER_NAMES.get(key, key)
    if other in here:
        return f"unknown key; did you mean '{other}'?"
    near = suggest(key, here)
    elsewhere = [path for path in everywhere if path.rpartition(".")[2] == other]
    if elsewhere and (not near or other == key):
        near = f"; did you mean '{elsewhere[0]}'?"
    return f"unknown key{near or '; allowed here: ' + ', '.join(here)}"


def _section_at(loc: Path, root: type[Section], value: Any) -> type[Section]:
    """Return the section class that stands at `loc` of a config whose raw values are `value`."""
    section = root
    for key in loc:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            value = None
        if isinstance(key, int):
            continue
        section = _section_of(section.model_fields[key], value) or section
    return section


def _section_of(field: FieldInfo, value: Any) -> type[Section] | None:
    """Return the class of the section that `field` holds, picked by the name in `value` where there is a choice."""
    annotation = field.annotation
    if (
        isinstance(annotation, type)
        and issubclass(annotation, Section)
        and annotation is not Section
    ):
        return annotation
    items = value if isinstance(value, list) else [value]
    metadata = (*field.metadata, *(m for arg in get_args(annotation) for m in get_args(arg)))
    for table in (m for m in metadata if isinstance(m, Choices)):
        names = [item.get("name") for item in items if isinstance(item, Mapping)]
        known = next((name for name in names if isinstance(name, str) and name in table), None)
        return table[known or table.default]
    return None


def _all_keys(section: type[Section], value: Any, prefix: str = "") -> Iterator[str]:
    for key, field in section.model_fields.items():
        yield prefix + key
        below = value.get(key) if isinstance(value, Mapping) else None
        inner = _section_of(field, below)
        if inner is not None:
            yield from _all_keys(inner, below, f"{prefix}{key}.")
