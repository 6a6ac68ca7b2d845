import pytest
import torch
from torch.utils.checkpoint import checkpoint

from gptkit.model.dropout import Dropout

pytestmark = pytest.mark.usefixtures("way")


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_share_p_is_zeroed_and_the_rest_scaled_up(p: float) -> None:
    torch.manual_seed(0)

    y = Dropout(p)(torch.ones(100_003))

    assert (y == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    torch.testing.assert_close(y[y != 0].unique(), torch.tensor([1 / (1 - p)]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    assert Dropout(0.5)(torch.ones(3, 5, dtype=dtype)).dtype == dtype


def test_the_gradient_passes_where_the_value_did() -> None:
    x = torch.ones(1000, requires_grad=True)

    y = Dropout(0.5)(x)
    y.sum().backward()

    assert torch.equal(x.grad, y.detach())


def test_nothing_is_dropped_in_evaluation_or_at_zero() -> None:
    x = torch.ones(7)

    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)

    kept = (Dropout(0.5)(torch.ones(200_000)) != 0).float().view(-1, 4)

    torch.testing.assert_close(torch.corrcoef(kept.T), torch.eye(4), atol=0.02, rtol=0)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_compiled_step_draws_a_mask_for_each_place_and_goes_back_through_it(checkpointed):
    dropout = Dropout(0.5)

    def twice(x):
        return torch.stack((dropout(x), dropout(x * 1.0)))

    def run(x):
        return checkpoint(twice, x, use_reentrant=False) if checkpointed else twice(x)

    compiled = torch.compile(run, backend="aot_eager_decomp_partition", fullgraph=True)
    x = torch.ones(1000, requires_grad=True)
    torch.manual_seed(1)

    first = compiled(x)
    first.sum().backward()
    second = compiled(x)
    torch.manual_seed(1)
    again = compiled(x)

    assert first.unique().tolist() == [0, 2]
    assert torch.equal(x.grad, first.detach().sum(0))
    assert not torch.equal(first[0], first[1]) and not torch.equal(first, second)
    assert torch.equal(first, again)
