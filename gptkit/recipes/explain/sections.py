"""The parts of the explanation as HTML, each with a sentence on how to read it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.model.gpt import GPT
from gptkit.pages import Chart, Html, Series, chart, element, table
from gptkit.pages.html import Child
from gptkit.pages.page import section
from gptkit.pages.picture import picture
from gptkit.recipes.explain.capture import Ablation, Trace, distance_from_rank_one, lens
from gptkit.recipes.explain.tokens import TokenView, shown
from gptkit.tokenizers.base import Tokenizer

_LENS_TOKENS = 48
_NEIGHBOURS = 6
_MOST_NEIGHBOURED = 24


def header(name: str, step: int, views: Sequence[TokenView]) -> Html:
    """Return what is explained, with the loss on it."""
    loss = sum(-math.log(max(view.probability, 1e-45)) for view in views) / len(views)
    return element(
        "header",
        element("h1", name),
        element(
            "p",
            f"gptkit explain of step {step:,}: {len(views)} predicted tokens, {loss:.4f} nats per token"
            f" (perplexity {math.exp(min(loss, 700)):,.4g})",
            class_="soft",
        ),
    )


def reading(first: str, views: Sequence[TokenView]) -> Html:
    """Return the text, each token but the first colored by how much it surprised the model."""
    start = element("span", first, class_="soft", style="--s:0", title="only read, not predicted")
    spans = (
        element("span", view.text, style=f"--s:{_surprise(view):.2f}", title=_in_words(view))
        for view in views
    )
    return section(
        "How surprised was it?",
        element(
            "p",
            "Each token is colored by the probability that the model gave it before it came: clear was"
            " expected, strong was not. The first is only read. Point at one for its numbers.",
        ),
        element("div", start, *spans, class_="sample tokens"),
    )


def alternatives(views: Sequence[TokenView]) -> Html:
    """Return each token's probability, its rank, the entropy, and the likeliest tokens."""
    rows: list[Sequence[Child]] = [
        (
            element("code", view.text),
            f"{view.probability:.4f}",
            view.rank + 1,
            f"{view.entropy_bits:.2f}",
            *(
                element("span", element("code", text), f" {p:.2f}", class_="soft")
                for text, p in view.alternatives
            ),
        )
        for view in views
    ]
    guesses = (f"guess {i + 1}" for i in range(len(views[0].alternatives)))
    head = ("token", "probability", "rank", "entropy, bits", *guesses)
    return section(
        "What else did it think of?",
        element(
            "p",
            "Entropy says how unsure the model was whatever came: 0 bits is certain, 1 a coin flip.",
        ),
        element(
            "details",
            element("summary", f"All {len(rows)} tokens"),
            table(head, rows),
            open=len(rows) < 40,
        ),
    )


def attention_maps(trace: Trace, labels: Sequence[str]) -> Html:
    """Return a map for each head of each layer: rows are queries, columns the keys they look at."""
    found = [
        element(
            "div",
            element("h3", f"layer {number}"),
            element(
                "div",
                *(
                    picture(weights.sqrt().tolist(), f"head {head}", labels)
                    for head, weights in enumerate(layer.weights, start=1)
                ),
                class_="maps",
            ),
        )
        for number, layer in enumerate(trace.layers, start=1)
        if layer.weights is not None
    ]
    text = (
        "A row for each token that looks, a column for each it looks at; only earlier ones can be seen, so"
        " the upper right stays empty. Each row sums to 1; the more a place stands out from the empty part,"
        " the more is taken from there (the square root is drawn, so that little shows too). Point at a"
        " place for its two tokens."
    )
    if not found:
        text = "This model's attention is of a kind that has no maps."
    return section("Where does each head look?", element("p", text), *found)


def logit_lens(model: GPT, trace: Trace, labels: Sequence[str], tokenizer: Tokenizer) -> Html:
    """Return what the model would have said after each layer."""
    assert trace.embedded is not None
    stages = [("embedding", trace.embedded)]
    stages += [(f"layer {i}", layer.output) for i, layer in enumerate(trace.layers, start=1)]
    columns = []
    for _, residual in stages:
        best = lens(model, residual[:_LENS_TOKENS]).max(dim=-1)
        columns.append(
            [
                element("span", shown(tokenizer, token), title=f"{p:.3f}", style=f"--s:{p:.2f}")
                for token, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            ]
        )
    rows = [
        (element("code", label), *cells)
        for label, *cells in zip(labels[:_LENS_TOKENS], *columns, strict=True)
    ]
    return section(
        "When does it make up its mind?",
        element(
            "p",
            "The logit lens: the likeliest next token if the model stopped after each layer. Strong color"
            " is high probability; the last column is what it really says.",
        ),
        element(
            "div", table(("after", *(name for name, _ in stages)), rows, words=99), class_="lens"
        ),
    )


def norms(trace: Trace, gradients: Sequence[float]) -> Html:
    """Return how large the residual stream, what is added to it, and its gradient are, layer by layer."""
    layers = range(1, len(trace.layers) + 1)
    stream = [float(layer.output.float().norm(dim=-1).mean()) for layer in trace.layers]
    activations = [
        Series("residual stream", list(layers), stream, 0, "marked"),
        Series(
            "attention adds", list(layers), [x.attention_norm for x in trace.layers], 1, "marked"
        ),
        Series("MLP adds", list(layers), [x.mlp_norm for x in trace.layers], 2, "marked"),
    ]
    return section(
        "How much does each layer do?",
        element(
            "p",
            "Mean lengths of vectors. Gradients are those of the mean loss with respect to what a layer"
            " passes on: if they vanish towards the first layers, those learn nothing.",
        ),
        element(
            "div",
            chart(Chart("Activations", "layer", activations)),
            chart(
                Chart(
                    "Gradient norm",
                    "layer",
                    [Series("gradient", list(layers), gradients, 3, "marked")],
                )
            ),
            class_="small",
        ),
    )


def collapse(trace: Trace, ablated: Trace | None, ablate: Ablation | None) -> Html | None:
    """Return how different the positions are from each other after each layer, whole and ablated."""
    if ablated is None or trace.embedded is None:
        return None
    layers = list(range(len(trace.layers) + 1))

    def distances(of: Trace) -> list[float]:
        assert of.embedded is not None
        return [
            distance_from_rank_one(x) for x in (of.embedded, *(one.output for one in of.layers))
        ]

    without = "residual connections" if ablate == "residual" else "MLPs"
    return section(
        f"What if it had no {without}?",
        element(
            "p",
            "How different the positions are from each other: 1 is very, 0 means that all hold the same"
            " vector (a matrix of rank 1), so that no layer after it can tell them apart. Attention takes"
            " means, which pulls positions together; residual connections and MLPs work against it"
            " (Dong et al., arXiv:2103.03404).",
        ),
        chart(
            Chart(
                "Distance from rank 1",
                "layer",
                [
                    Series("whole model", layers, distances(trace), 0, "marked"),
                    Series(f"without {without}", layers, distances(ablated), 1, "marked"),
                ],
                from_zero=True,
            )
        ),
    )


def neighbours(weight: Tensor, tokens: Tensor, tokenizer: Tokenizer) -> Html:
    """Return the tokens whose embeddings point the same way, for the tokens of the text."""
    unit = torch.nn.functional.normalize(weight.detach().float(), dim=-1)
    rows = []
    for token in list(dict.fromkeys(tokens.tolist()))[:_MOST_NEIGHBOURED]:
        near = (unit @ unit[token]).topk(min(_NEIGHBOURS + 1, len(unit)))
        pairs = zip(near.indices.tolist(), near.values.tolist(), strict=True)
        others = [pair for pair in pairs if pair[0] != token][:_NEIGHBOURS]
        rows.append(
            (
                element("code", shown(tokenizer, token)),
                *(
                    element("span", element("code", shown(tokenizer, other)), f" {cosine:.2f}")
                    for other, cosine in others
                ),
            )
        )
    return section(
        "Which tokens are alike to it?",
        element(
            "p", "The nearest embeddings by the cosine of their angle: 1 is the same direction."
        ),
        table(("token", "nearest", *("" for _ in range(max(map(len, rows)) - 2))), rows, words=99),
    )


def _surprise(view: TokenView) -> float:
    """Return 0 for a token that was certain, 1 for one that had 1 in 1,000 or less."""
    return min(1.0, -math.log10(max(view.probability, 1e-9)) / 3)


def _in_words(view: TokenView) -> str:
    guesses = ", ".join(f"{text} {p:.2f}" for text, p in view.alternatives)
    return (
        f"{view.text}: probability {view.probability:.4f}, rank {view.rank + 1},"
        f" entropy {view.entropy_bits:.2f} bits; likeliest: {guesses}"
    )
