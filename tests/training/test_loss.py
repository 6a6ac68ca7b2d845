import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gptkit.data.batches import IGNORE_INDEX
from gptkit.training import loss as loss_module
from gptkit.training.loss import chunked_loss, token_losses, whole_logits

ROWS, CHANNELS, VOCAB_SIZE = 37, 8, 50


@pytest.fixture
def make_head():
    """Hidden vectors, a head and targets, 6 of which do not count."""

    def make(dtype=torch.float32):
        generator = torch.Generator().manual_seed(3)
        hidden = torch.randn(ROWS, CHANNELS, generator=generator, dtype=dtype)
        head = torch.randn(VOCAB_SIZE, CHANNELS, generator=generator, dtype=dtype)
        targets = torch.randint(VOCAB_SIZE, (ROWS,), generator=generator)
        targets[::7] = IGNORE_INDEX
        return hidden.requires_grad_(), head.requires_grad_(), targets

    return make


def plain_loss(hidden, head, targets, *, softcap=None):
    logits = F.linear(hidden, head)
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    precise = torch.promote_types(logits.dtype, torch.float32)
    return F.cross_entropy(logits.to(precise), targets, ignore_index=IGNORE_INDEX, reduction="sum")


def loss_and_gradients(loss, hidden, head, targets, *, scale=1.0, **settings):
    nats = loss(hidden, head, targets, **settings)
    return nats, *torch.autograd.grad(nats * scale, (hidden, head))


def test_uniform_logits_cost_the_log_of_the_vocabulary_per_target():
    losses = token_losses(torch.zeros(2, 3, 11), torch.randint(11, (2, 3)))

    torch.testing.assert_close(losses, torch.full((6,), math.log(11)))


def test_masked_targets_cost_nothing():
    targets = torch.tensor([[4, IGNORE_INDEX, IGNORE_INDEX]])

    losses = token_losses(torch.zeros(1, 3, 11), targets)

    torch.testing.assert_close(losses, torch.tensor([math.log(11), 0.0, 0.0]))


def test_the_loss_is_float32_whatever_the_logits_are():
    logits = torch.zeros(1, 3, 11, dtype=torch.bfloat16)

    assert token_losses(logits, torch.zeros(1, 3, dtype=torch.int64)).dtype == torch.float32


@pytest.mark.parametrize("softcap", [None, 2.0])
def test_chunks_give_the_plain_loss_and_gradients(make_head, softcap):
    problem = make_head()

    expected = loss_and_gradients(plain_loss, *problem, softcap=softcap)
    found = loss_and_gradients(chunked_loss, *problem, softcap=softcap, max_logits=5 * VOCAB_SIZE)

    assert found[0].shape == () and found[0].dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("multiple", [7, 50, 64])
def test_a_head_that_is_filled_up_changes_nothing(make_head, softcap, multiple, monkeypatch):
    monkeypatch.setattr(loss_module, "_VOCABULARY_MULTIPLE", {"cpu": multiple})
    hidden, head, targets = make_head()

    expected = loss_and_gradients(plain_loss, hidden, head, targets, softcap=softcap)
    chunked = loss_and_gradients(
        chunked_loss, hidden, head, targets, softcap=softcap, max_logits=5 * VOCAB_SIZE
    )
    logits = whole_logits(hidden.unsqueeze(0), head)
    capped = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    nats = token_losses(capped, targets).sum()

    assert logits.shape == (1, ROWS, VOCAB_SIZE)
    torch.testing.assert_close(chunked, expected, rtol=1e-6, atol=2e-6)
    whole = (nats, *torch.autograd.grad(nats, (hidden, head)))
    torch.testing.assert_close(whole, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("max_logits", [1, 3 * VOCAB_SIZE, 36 * VOCAB_SIZE, 10**6])
def test_the_size_of_a_chunk_only_rounds_differently(make_head, max_logits):
    problem = make_head(torch.float64)

    expected = loss_and_gradients(plain_loss, *problem)
    found = loss_and_gradients(chunked_loss, *problem, max_logits=max_logits)

    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("softcap", [None, 2.0])
def test_gradients_are_the_slopes_of_the_loss(make_head, softcap):
    hidden, head, targets = make_head(torch.float64)
    settings = {"softcap": softcap, "max_logits": 5 * VOCAB_SIZE}
    _, *gradients = loss_and_gradients(chunked_loss, hidden, head, targets, **settings)
    generator = torch.Generator().manual_seed(4)

    for tensor, gradient in zip((hidden, head), gradients, strict=True):
        direction = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                tensor += step * direction
                values.append(chunked_loss(hidden, head, targets, **settings))
                tensor -= step * direction
        slope = (values[0] - values[1]) / 2e-6
        torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-7, atol=0)


def test_a_target_that_does_not_count_moves_nothing(make_head):
    hidden, head, targets = make_head()
    counted = targets != IGNORE_INDEX

    with_rest = loss_and_gradients(chunked_loss, hidden, head, targets, max_logits=VOCAB_SIZE)
    loss = chunked_loss(hidden[counted], head, targets[counted])
    alone = (loss, *torch.autograd.grad(loss, (hidden, head)))

    torch.testing.assert_close(with_rest, alone)
    assert not with_rest[1][~counted].any()


def test_rows_without_any_target_give_a_loss_of_zero(make_head):
    hidden, head, targets = make_head()

    found = loss_and_gradients(chunked_loss, hidden, head, targets.fill_(IGNORE_INDEX))

    assert not any(part.any() for part in found)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_exact_as_the_plain_way_with_it(make_head, dtype, softcap):
    problem = make_head()
    exact = loss_and_gradients(plain_loss, *problem, softcap=softcap)

    with torch.autocast("cpu", dtype):
        plain = loss_and_gradients(plain_loss, *problem, softcap=softcap)
        chunked = loss_and_gradients(
            chunked_loss, *problem, softcap=softcap, max_logits=5 * VOCAB_SIZE
        )

    torch.testing.assert_close(chunked[0], exact[0], rtol=2e-4, atol=0)
    for mine, theirs, truth in zip(chunked[1:], plain[1:], exact[1:], strict=True):
        assert mine.dtype == torch.float32
        assert (mine - truth).norm() <= 1.2 * (theirs - truth).norm()


def test_a_head_of_many_rows_gets_its_half_precision_gradient_in_parts():
    torch.manual_seed(5)
    hidden = torch.randn(6, 4, requires_grad=True)
    head = torch.randn(20_000, 4, requires_grad=True)
    targets = torch.tensor([0, 8191, 8192, 16_384, 19_999, IGNORE_INDEX])

    with torch.autocast("cpu", torch.bfloat16):
        plain = loss_and_gradients(plain_loss, hidden, head, targets)
        chunked = loss_and_gradients(chunked_loss, hidden, head, targets, max_logits=60_000)

    torch.testing.assert_close(chunked, plain, rtol=1e-2, atol=1e-2)


def test_a_loss_scale_meets_float32_sums_alone(make_head):
    problem = make_head()

    with torch.autocast("cpu", torch.float16):
        _, *plain = loss_and_gradients(chunked_loss, *problem)
        _, *large = loss_and_gradients(chunked_loss, *problem, scale=2.0**20)
        _, *small = loss_and_gradients(chunked_loss, *problem, scale=2.0**-20)

    for one, much, little in zip(plain, large, small, strict=True):
        torch.testing.assert_close(much / 2**20, one, rtol=0, atol=0)
        torch.testing.assert_close(little * 2**20, one, rtol=0, atol=0)


def test_large_logits_do_not_overflow(make_head):
    hidden, head, targets = make_head()
    problem = ((hidden * 100).detach().requires_grad_(), head, targets)

    expected = loss_and_gradients(plain_loss, *problem)
    found = loss_and_gradients(chunked_loss, *problem, max_logits=5 * VOCAB_SIZE)

    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-3)


def test_the_gradient_is_given_away_once(make_head):
    hidden, head, targets = make_head()
    nats = chunked_loss(hidden, head, targets)
    nats.backward(retain_graph=True)

    with pytest.raises(RuntimeError, match="only once"):
        nats.backward()


class Largest(TorchDispatchMode):
    """Notes the most elements that any new float tensor has."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.is_floating_point():
            self.numel = max(self.numel, out.numel())
        return out


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_one_chunk_are_the_largest_tensor(dtype, softcap):
    hidden = torch.randn(400, CHANNELS, requires_grad=True)
    head = torch.randn(VOCAB_SIZE, CHANNELS, requires_grad=True)
    targets = torch.randint(VOCAB_SIZE, (400,))

    with Largest() as largest, torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        nats = chunked_loss(hidden, head, targets, softcap=softcap, max_logits=100 * VOCAB_SIZE)
        nats.backward()

    assert largest.numel == 100 * VOCAB_SIZE
