import pytest
import torch

from gptkit.model import Cache, KVCache
from gptkit.model.cache import RecentTokens
from tests.model.variants import random_tokens, tiny_model

CPU = torch.device("cpu")


def small_cache(batch_size: int = 1, max_length: int = 5) -> KVCache:
    return KVCache(batch_size, 2, max_length, 3, dtype=torch.float32, device=CPU)


def test_what_is_appended_comes_back_in_order() -> None:
    cache = small_cache()
    k, v = torch.randn(1, 2, 5, 3), torch.randn(1, 2, 5, 3)

    cache.append(k[:, :, :2], v[:, :, :2])
    keys, values = cache.append(k[:, :, 2:], v[:, :, 2:])

    assert cache.length == 5
    assert torch.equal(keys, k)
    assert torch.equal(values, v)


def test_a_full_cache_refuses_more() -> None:
    cache = small_cache(max_length=2)

    with pytest.raises(AssertionError, match="3 tokens in a cache of 2"):
        cache.append(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3))


def test_repeated_rows_go_their_own_ways() -> None:
    model = tiny_model()
    prompt, following = random_tokens(1, 4), random_tokens(3, 1)
    one = model.new_cache(1, 12)
    model(prompt, one)

    three = one.repeat(3)
    logits = model(following, three)

    whole = model(torch.cat((prompt.expand(3, -1), following), dim=1))
    torch.testing.assert_close(logits, whole[:, -1:], atol=1e-5, rtol=1e-5)
    assert (one.length, three.length) == (4, 5)


def test_repeated_rows_remember_the_same_recent_tokens() -> None:
    model = tiny_model(embedding_window=4, ngram_rows=50)
    prompt, following = random_tokens(1, 4), random_tokens(3, 1)
    one = model.new_cache(1, 12)
    model(prompt, one)

    logits = model(following, one.repeat(3))

    whole = model(torch.cat((prompt.expand(3, -1), following), dim=1))
    torch.testing.assert_close(logits, whole[:, -1:], atol=1e-5, rtol=1e-5)


def test_no_more_tokens_are_remembered_than_are_looked_back_on() -> None:
    recent = RecentTokens(1, 2, device=CPU)

    read = [recent.append(torch.tensor([ids])).tolist() for ids in ([1], [2, 3, 4], [5])]

    assert read == [[[1]], [[1, 2, 3, 4]], [[3, 4, 5]]]
    assert recent.tokens.tolist() == [[4, 5]]


def test_only_one_row_can_be_repeated() -> None:
    with pytest.raises(AssertionError, match="one row"):
        Cache((small_cache(batch_size=2),), RecentTokens(2, 0, device=CPU)).repeat(2)


def test_grouped_heads_are_stored_once() -> None:
    cache = tiny_model(attention={"n_kv_head": 1}).new_cache(3, 7)

    assert cache.layers[0].keys.shape == (3, 1, 7, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_has_the_dtype_of_the_weights(dtype: torch.dtype) -> None:
    cache = tiny_model().to(dtype).new_cache(1, 7)

    assert cache.layers[0].keys.dtype == dtype


def test_a_cache_made_under_autocast_has_its_dtype() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cache = tiny_model().new_cache(1, 7)

    assert cache.layers[0].keys.dtype == torch.bfloat16
