import pytest
import torch

from gptkit.training import orthogonal
from gptkit.training.orthogonal import orthogonalise


@pytest.fixture
def in_float32(monkeypatch):
    monkeypatch.setattr(orthogonal, "_fastest_dtype", lambda device: torch.float32)


def test_singular_values_come_near_one_and_singular_vectors_stay(in_float32):
    matrices = torch.randn(3, 24, 64, generator=torch.Generator().manual_seed(1))
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)

    result = u.mT @ orthogonalise(matrices, steps=5) @ vh.mT

    values = result.diagonal(dim1=-2, dim2=-1)
    assert values.min() > 0.65 and values.max() < 1.25
    assert (result - torch.diag_embed(values)).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("coefficients", "lowest", "highest"),
    [("original", 0.65, 1.25), ("polar_express", 0.84, 1.13)],
)
def test_even_small_singular_values_come_near_one(in_float32, coefficients, lowest, highest):
    # The division by the norm makes them 0.003 to 0.3.
    matrix = torch.logspace(-2, 0, 40).diag()[None]

    values = orthogonalise(matrix, steps=5, coefficients=coefficients).diagonal(dim1=-2, dim2=-1)

    assert values.min() > lowest and values.max() < highest


def test_bfloat16_ends_near_float32(monkeypatch):
    matrices = torch.randn(3, 24, 64, generator=torch.Generator().manual_seed(1))
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(orthogonal, "_fastest_dtype", lambda device, dtype=dtype: dtype)
        results.append(orthogonalise(matrices, steps=5))

    assert [result.dtype for result in results] == [torch.float32, torch.bfloat16]
    cosine = torch.cosine_similarity(*(r.float().flatten(1) for r in results))
    assert cosine.min() > 0.999


def test_the_scale_of_a_matrix_does_not_count(in_float32):
    matrix = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(1))

    small, large = (orthogonalise(scale * matrix, steps=5) for scale in (1e-3, 1e3))

    torch.testing.assert_close(small, large)


def test_zeros_stay_zeros():
    assert not orthogonalise(torch.zeros(1, 4, 8), steps=5).any()


def test_a_stack_gives_what_its_matrices_give_alone(in_float32):
    matrices = torch.randn(5, 16, 32, generator=torch.Generator().manual_seed(1))

    alone = torch.cat([orthogonalise(matrix[None], steps=5) for matrix in matrices])

    torch.testing.assert_close(orthogonalise(matrices, steps=5), alone, rtol=0, atol=1e-5)
