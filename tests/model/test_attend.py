import pytest
import torch
from torch.nn import functional as F

from gptkit.model import attend as attend_module
from gptkit.model.attend import attend, attend_by_matmul, causal_mask, matmul_is_faster
from gptkit.model.dropout import Dropout


def heads(num_heads: int, length: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, num_heads, length, 6, generator=generator)


def test_a_window_counts_the_query_itself() -> None:
    mask = causal_mask(3, 4, window=2)

    assert mask.int().tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


def documents_of(batch_size: int, length: int) -> torch.Tensor:
    """Return the same_document mask of documents that end at random places."""
    ends = torch.rand(batch_size, length, generator=torch.Generator().manual_seed(3)) < 0.2
    documents = ends.cumsum(1)
    return documents[:, None, :, None] == documents[:, None, None, :]


@pytest.mark.parametrize("n_kv_head", [4, 2, 1])
@pytest.mark.parametrize("window", [None, 1, 3, 4, 9])
@pytest.mark.parametrize("num_queries", [1, 3, 11])
@pytest.mark.parametrize("by_document", [False, True])
@pytest.mark.parametrize("queries_at_once", [1, 4, 256])
def test_the_product_spelled_out_equals_torchs_kernel(
    n_kv_head: int,
    window: int | None,
    num_queries: int,
    by_document: bool,
    queries_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attend_module, "_QUERIES_AT_ONCE", queries_at_once)
    q, k, v = heads(4, num_queries, 0), heads(n_kv_head, 11, 1), heads(n_kv_head, 11, 2)
    mask = causal_mask(num_queries, 11, window=window)
    same_document = documents_of(2, 11)[:, :, -num_queries:] if by_document else None

    spelled_out = attend_by_matmul(q, k, v, window=window, same_document=same_document)

    if same_document is not None:
        mask = mask & same_document
    kernel = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    torch.testing.assert_close(spelled_out, kernel, atol=1e-6, rtol=1e-5)


def test_blocks_of_queries_have_the_gradients_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for queries_at_once in (4, 256):
        monkeypatch.setattr(attend_module, "_QUERIES_AT_ONCE", queries_at_once)
        qkv = [heads(count, 11, seed).requires_grad_() for seed, count in enumerate((4, 2, 2))]
        attend_by_matmul(*qkv, window=6).square().sum().backward()
        gradients.append([x.grad for x in qkv])

    for blocks, whole in zip(*gradients, strict=True):
        torch.testing.assert_close(blocks, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("num_queries", [1, 2, 5])
def test_a_window_behind_a_cache_sees_what_the_whole_sequence_sees(
    window: int, num_queries: int
) -> None:
    q, k, v = heads(4, 5, 0), heads(2, 5, 1), heads(2, 5, 2)

    whole = attend(q, k, v, window=window)
    end = attend(q[:, :, -num_queries:], k, v, window=window)

    torch.testing.assert_close(end, whole[:, :, -num_queries:], atol=1e-6, rtol=1e-5)


def test_same_document_masks_beside_causality() -> None:
    q, k, v = heads(4, 4, 0), heads(4, 4, 1), heads(4, 4, 2)
    documents = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])
    same_document = documents[:, None, :, None] == documents[:, None, None, :]

    kept_apart = attend(q, k, v, same_document=same_document)

    second = attend(q[:1, :, 2:], k[:1, :, 2:], v[:1, :, 2:])
    torch.testing.assert_close(kept_apart[:1, :, 2:], second, atol=1e-6, rtol=1e-5)


def test_dropout_of_the_weights_keeps_their_mean() -> None:
    q, k, v = heads(4, 8, 0), heads(4, 8, 1), heads(4, 8, 2)
    dropout = Dropout(0.5)
    torch.manual_seed(0)

    mean = torch.stack([attend(q, k, v, dropout=dropout) for _ in range(4000)]).mean(0)

    torch.testing.assert_close(mean, attend(q, k, v), atol=0.15, rtol=0)


@pytest.mark.usefixtures("way")
def test_autocast_multiplies_in_half_precision_and_gradients_come_back_as_what_went_in() -> None:
    q, k, v = (heads(4, 9, seed).requires_grad_() for seed in range(3))

    with torch.autocast("cpu", torch.bfloat16):
        y = attend(q, k, v, dropout=Dropout(1e-9))
    y.sum().backward()

    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), attend(q, k, v), atol=0.02, rtol=0.02)
    assert {x.grad.dtype for x in (q, k, v)} == {torch.float32}


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.usefixtures("way")
def test_dropped_weights_get_the_gradient_of_those_that_were_left(window: int | None) -> None:
    length = heads(1, 1, 0).shape[-1]
    q, k = (heads(4, length, seed).requires_grad_() for seed in (0, 1))
    v = torch.eye(length).expand(2, 4, -1, -1)  # so that what comes out is the weights
    direction = torch.randn(2, 4, length, length, generator=torch.Generator().manual_seed(2))

    dropped = attend(q, k, v, window=window, dropout=Dropout(0.5))
    dropped.backward(direction)

    unseen = ~causal_mask(length, length, window=window)
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(unseen, -torch.inf)
    weights = scores.softmax(dim=-1)
    left = weights * 2 * (dropped != 0)
    torch.testing.assert_close(dropped, left)
    assert 0.3 < (dropped != 0).sum() / (weights != 0).sum() < 0.7
    expected = torch.autograd.grad(left, (q, k), direction)
    torch.testing.assert_close((q.grad, k.grad), expected, atol=1e-6, rtol=1e-4)


def test_the_product_is_spelled_out_only_where_that_is_faster() -> None:
    q = heads(4, 8, 0)

    assert not matmul_is_faster(q, 0.0)
    assert matmul_is_faster(q, 0.1)
    assert matmul_is_faster(q.bfloat16(), 0.0)
    with torch.no_grad():
        assert not matmul_is_faster(q.bfloat16(), 0.0)
