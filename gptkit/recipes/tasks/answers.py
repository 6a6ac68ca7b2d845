"""What a trained model answers to the requests of lm-evaluation-harness.

    (context, continuation)  -> log-probability, and whether it is the likeliest
    (text,)                  -> log-probability of all of it
    (context, settings)      -> the text that the model writes

Knows the harness's requests by their `args` alone, and needs none of its code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tqdm import tqdm

from gptkit.errors import ConfigError
from gptkit.generation.engine import Sample
from gptkit.insight.continuations import Continuation, Likelihood, likelihoods
from gptkit.recipes.load import Run
from gptkit.recipes.writing import Writing, WritingOptions, prompt_tokens
from gptkit.runtime.runtime import Runtime

_MOST_NEW_TOKENS = 256
"""The harness's own, where a task does not say."""
_NAMES_OF_MOST_NEW_TOKENS = (
    "max_gen_toks",
    "max_new_tokens",
    "max_tokens",
    "max_completion_tokens",
)


class Request(Protocol):
    """One question of the harness."""

    @property
    def args(self) -> tuple[Any, ...]:
        """What is asked; see the module."""


class Answers:
    """Answers lists of requests, each in the order of its list."""

    def __init__(self, run: Run, *, note: Callable[[str], None] = lambda text: None) -> None:
        """note: is told once of each setting of a task that is passed over."""
        self._run = run
        self._tokenizer = run.tokenizer
        self._context_length: int = run.config.model.context_length
        self._runtime = Runtime(device=next(run.model.parameters()).device)
        self._note = note
        self._passed_over: set[str] = set()
        self._start = prompt_tokens(run.tokenizer, None)[0]
        """What stands before a text that follows nothing: end-of-text, or a newline."""

    def loglikelihood(self, requests: Sequence[Request]) -> list[tuple[float, bool]]:
        """Return log-probability and greediness of each continuation of a context, both text.

        A context that is too long loses its beginning.

        Raises: PromptError for characters that the tokenizer does not know.
        """
        found = self._score([self._continuation(*request.args) for request in requests])
        return [(one.log_prob, one.is_greedy) for one in found]

    def loglikelihood_rolling(self, requests: Sequence[Request]) -> list[float]:
        """Return the log-probability of each text, as a document of its own; each token is scored once.

        Raises: PromptError for characters that the tokenizer does not know.
        """
        asked = []
        for request in requests:
            (text,) = request.args
            tokens = [*self._start, *self._tokenizer.encode(text)]
            asked.append(Continuation(tokens, len(self._start)))
        return [one.log_prob for one in self._score(asked)]

    def generate_until(self, requests: Sequence[Request]) -> list[str]:
        """Return what the model writes after each context, up to a stop string or end-of-text.

        Raises: ConfigError for settings out of range; PromptError for characters that the tokenizer does
        not know.
        """
        texts = [""] * len(requests)
        groups: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault(repr(request.args[1]), []).append(i)
        with tqdm(total=len(requests), desc="writing", disable=None) as bar:
            for places in groups.values():
                options = self._options(requests[places[0]].args[1])
                prompts = [
                    self._prompt(requests[i].args[0], options["max_new_tokens"]) for i in places
                ]
                samples = [Sample(prompt, i) for prompt, i in zip(prompts, places, strict=True)]
                writing = Writing(self._run.engine, self._tokenizer, samples, **options)
                for k, i in enumerate(places):
                    texts[i] = writing.text(k)
                    bar.update()
        return texts

    def _score(self, asked: Sequence[Continuation]) -> list[Likelihood]:
        with tqdm(desc="scoring", unit=" windows", disable=None) as bar:
            return likelihoods(self._run.model, asked, self._runtime, advance=bar.update)

    def _continuation(self, context: str, continuation: str) -> Continuation:
        """Return both as tokens, as the model would have met them in one text.

        Spaces at the end of a context belong to the next word. Where a token would reach over the border,
        the two are encoded apart, so that what is scored is the continuation and all of it.
        """
        stem = context.rstrip()
        continuation = context[len(stem) :] + continuation
        before = self._tokenizer.encode(stem)
        whole = self._tokenizer.encode(stem + continuation)
        if whole[: len(before)] != before:
            whole = before + self._tokenizer.encode(continuation)
        if not before:
            whole, before = self._start + whole, self._start
        return Continuation(whole, len(before))

    def _prompt(self, context: str, max_new_tokens: int) -> list[int]:
        """Return the end of a context that leaves room for what is written, half of the window at most."""
        tokens = self._tokenizer.encode(context) or self._start
        room = max(self._context_length - max_new_tokens, self._context_length // 2, 1)
        return tokens[-room:]

    def _options(self, settings: Mapping[str, Any]) -> WritingOptions:
        """Return the harness's settings of a text as ours."""
        left = dict(settings)
        lengths = [left.pop(name, None) for name in _NAMES_OF_MOST_NEW_TOKENS]
        length = next((given for given in lengths if given is not None), _MOST_NEW_TOKENS)
        until = left.pop("until", None) or []
        stops = [until] if isinstance(until, str) else list(until)
        temperature = float(left.pop("temperature", None) or 0.0)
        samples = left.pop("do_sample", None)
        if samples is None:
            samples = temperature > 0
        options: WritingOptions = {
            "max_new_tokens": int(length),
            "temperature": (temperature or 1.0) if samples else 0.0,
            "stop": [stop for stop in stops if stop],
        }
        if (k := left.pop("top_k", None)) is not None:
            options["top_k"] = int(k)
        if (p := left.pop("top_p", None)) is not None:
            options["top_p"] = float(p)
        if (p := left.pop("min_p", None)) is not None:
            options["min_p"] = float(p)
        if int(left.get("num_beams") or 1) > 1:
            raise ConfigError("--tasks: a task asks for beam search, which there is none of here")
        for name in sorted(set(left) - {"num_beams"} - self._passed_over):
            self._passed_over.add(name)
            self._note(f"the tasks' setting {name} is passed over")
        return options
