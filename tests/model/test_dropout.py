import pytest
import torch

from gptkit.model.dropout import Dropout


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
