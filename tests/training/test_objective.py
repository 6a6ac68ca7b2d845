import pytest
import torch
from torch.nn import functional as F

from gptkit.data.batches import IGNORE_INDEX
from gptkit.training import loss as loss_module
from gptkit.training import objective as objective_module
from gptkit.training.objective import NextTokenObjective


@pytest.fixture
def batch():
    torch.manual_seed(3)
    tokens, targets = torch.randint(11, (3, 8)), torch.randint(11, (3, 8))
    targets[0, :5] = IGNORE_INDEX
    return tokens, targets


@pytest.fixture
def small_chunks(monkeypatch):
    """Let the loss of a tiny model be taken in chunks of two rows; return what it was called with."""
    calls = []

    def chunked_loss(*args, **settings):
        calls.append(args)
        return original(*args, **settings, max_logits=2 * 11)

    original = objective_module.chunked_loss
    monkeypatch.setattr(objective_module, "chunked_loss", chunked_loss)
    monkeypatch.setattr(objective_module, "chunk_logits", lambda device: 2 * 11)
    return calls


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def loss_of_logits(model, tokens, targets, documents=None):
    logits = model(tokens, documents=documents)
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")


@pytest.mark.parametrize("softcap", [None, 0.5])
@pytest.mark.parametrize("tied", [True, False])
def test_chunks_give_the_loss_and_the_gradients_of_the_logits(
    make_model, batch, small_chunks, tied, softcap
):
    plain, model = (make_model(tie_embeddings=tied, logit_softcap=softcap) for _ in range(2))
    expected = loss_of_logits(plain, *batch)
    expected.backward()

    found = NextTokenObjective(model)(*batch)
    found.backward()

    assert len(small_chunks) == 1
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradients(model), gradients(plain), rtol=1e-5, atol=2e-6)


def test_a_frozen_head_changes_no_other_gradient(make_model, batch, small_chunks, monkeypatch):
    plain, model = (make_model(tie_embeddings=False) for _ in range(2))
    NextTokenObjective(plain)(*batch).backward()
    model.lm_head.weight.requires_grad_(False)
    monkeypatch.setattr(loss_module, "_add_product", None)  # nothing is multiplied for it

    NextTokenObjective(model)(*batch).backward()

    assert len(small_chunks) == 2
    found, expected = gradients(model), gradients(plain)
    assert found.pop("lm_head.weight") is None
    del expected["lm_head.weight"]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_documents_reach_the_model(make_model, batch, small_chunks):
    model = make_model()
    documents = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2]]).expand(3, 8)

    found = NextTokenObjective(model)(*batch, documents=documents)

    torch.testing.assert_close(found, loss_of_logits(model, *batch, documents))
    assert not torch.allclose(found, loss_of_logits(model, *batch))


def test_half_precision_chunks_are_close_to_the_plain_way(make_model, batch, monkeypatch, request):
    plain, model = make_model(), make_model()
    with torch.autocast("cpu", torch.bfloat16):
        expected = NextTokenObjective(plain)(*batch)
    expected.backward()
    calls = request.getfixturevalue("small_chunks")

    with torch.autocast("cpu", torch.bfloat16):
        found = NextTokenObjective(model)(*batch)
    found.backward()

    assert len(calls) == 1
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)
    torch.testing.assert_close(gradients(model), gradients(plain), rtol=0.05, atol=0.05)


def test_small_logits_take_the_plain_way(make_model, batch, monkeypatch):
    monkeypatch.setattr(objective_module, "chunked_loss", None)
    model = make_model()

    found = NextTokenObjective(model)(*batch)

    torch.testing.assert_close(found, loss_of_logits(model, *batch))
    assert found.shape == () and found.dtype == torch.float32


def test_what_is_compiled_or_not_trained_takes_the_plain_way(
    make_model, batch, small_chunks, monkeypatch
):
    objective = NextTokenObjective(make_model())

    with torch.no_grad():
        objective(*batch)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    objective(*batch)

    assert small_chunks == []


def test_the_parameters_are_those_of_the_model(make_model):
    model = make_model(tie_embeddings=False)

    parameters = list(NextTokenObjective(model).parameters())

    assert [id(p) for p in parameters] == [id(p) for p in model.parameters()]
