"""What embeddings take from the tokens before; the laws of a whole model are in test_gpt.py."""

from collections import defaultdict

import pytest
import torch
from torch import Tensor

from gptkit.model.gpt import positions_in_documents
from gptkit.model.lookback import LookBack, ngram_rows
from tests.model.variants import random_tokens, tiny_config, tiny_model

DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 2]])
ONE_DOCUMENT = torch.arange(7)
positions_of = pytest.mark.parametrize(
    "positions",
    [ONE_DOCUMENT, positions_in_documents(DOCUMENTS)],
    ids=["one document", "documents"],
)


def convolution(window: int) -> LookBack:
    part = LookBack(tiny_config(n_embd=4, n_head=1, embedding_window=window)).double()
    torch.nn.init.normal_(part.convolution, generator=torch.Generator().manual_seed(0))
    return part


def spelled_out(x: Tensor, weight: Tensor, positions: Tensor) -> Tensor:
    y = x.clone()
    for row, t in torch.cartesian_prod(torch.arange(len(x)), torch.arange(x.shape[1])):
        for offset, scale in enumerate(weight, start=1):
            if positions.expand(x.shape[:2])[row, t] >= offset:
                y[row, t] += scale * x[row, t - offset]
    return y


@positions_of
@pytest.mark.parametrize("window", [2, 4, 9])
@pytest.mark.parametrize("trains", [True, False])
def test_each_position_gets_weighted_vectors_of_those_before(
    window: int, positions: Tensor, trains: bool
) -> None:
    part, x = convolution(window), torch.randn(2, 7, 4, dtype=torch.float64)

    with torch.set_grad_enabled(trains):
        y = part(x, random_tokens(2, 7), positions)

    torch.testing.assert_close(y, spelled_out(x, part.convolution, positions))


@positions_of
@pytest.mark.parametrize("window", [2, 4, 9])
def test_the_gradient_by_hand_is_the_true_one(window: int, positions: Tensor) -> None:
    part, tokens = convolution(window), random_tokens(2, 7)
    x = torch.randn(2, 7, 4, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(
        lambda x, _: part(x, tokens, positions), (x, part.convolution), check_batched_grad=False
    )


@positions_of
def test_equal_ngrams_and_only_they_share_a_row_of_a_large_table(positions: Tensor) -> None:
    tokens = torch.tensor([[3, 4, 3, 4, 3, 4, 3], [4, 3, 4, 3, 3, 3, 4]])

    rows = ngram_rows(tokens, positions, window=4, num_rows=2**31)

    ngrams_of_row = defaultdict(set)
    for row in range(2):
        for t in range(7):
            at = int(positions.expand(2, 7)[row, t])
            for n in (2, 3, 4):
                seen = tokens[row, max(t - min(at, n - 1), 0) : t + 1].tolist()
                ngrams_of_row[int(rows[row, t, n - 2])].add((n, *seen))
    assert all(len(ngrams) == 1 for ngrams in ngrams_of_row.values())
    assert len(ngrams_of_row) == len(set().union(*ngrams_of_row.values()))


def test_ngrams_spread_over_the_rows() -> None:
    pairs = torch.cartesian_prod(torch.arange(65), torch.arange(65))

    rows = ngram_rows(pairs, torch.arange(2), window=2, num_rows=4096)[:, 1, 0]

    # 4225 balls thrown into 4096 boxes at random leave about exp(-4225 / 4096) of them empty.
    assert rows.unique().numel() > 0.6 * 4096


def test_a_position_gets_the_rows_of_its_ngrams() -> None:
    part = LookBack(tiny_config(n_embd=4, n_head=1, embedding_window=3, ngram_rows=50))
    torch.nn.init.normal_(part.ngrams)
    tokens, x = random_tokens(2, 7), torch.randn(2, 7, 4)

    y = part(x, tokens, ONE_DOCUMENT)

    rows = ngram_rows(tokens, ONE_DOCUMENT, window=3, num_rows=50)
    torch.testing.assert_close(y, x + part.ngrams[rows[..., 0]] + part.ngrams[rows[..., 1]])


def test_a_new_one_adds_nothing() -> None:
    part = LookBack(tiny_config(n_embd=4, n_head=1, embedding_window=3, ngram_rows=50))
    for parameter in part.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.randn(2, 7, 4)

    part.reset_parameters()

    assert torch.equal(part(x, random_tokens(2, 7), ONE_DOCUMENT), x)


def test_no_window_means_no_weights() -> None:
    assert not [name for name in tiny_model().state_dict() if "look_back" in name]


def test_its_weights_have_stable_names_and_shapes() -> None:
    weights = tiny_model(embedding_window=3, ngram_rows=50).state_dict()

    assert weights["look_back.convolution"].shape == (2, 16)
    assert weights["look_back.ngrams"].shape == (50, 16)


def test_a_table_without_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="ngram_rows needs an embedding_window"):
        tiny_config(ngram_rows=50)
