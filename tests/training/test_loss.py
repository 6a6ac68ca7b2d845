import math

import torch

from gptkit.data.batches import IGNORE_INDEX
from gptkit.training.loss import next_token_loss


def test_uniform_logits_cost_the_log_of_the_vocabulary_per_target():
    logits = torch.zeros(2, 3, 11)
    targets = torch.randint(11, (2, 3))

    nats, count = next_token_loss(logits, targets)

    torch.testing.assert_close(nats, torch.tensor(6 * math.log(11)))
    assert count == 6


def test_masked_targets_neither_cost_nor_count():
    logits = torch.zeros(1, 3, 11)
    targets = torch.tensor([[4, IGNORE_INDEX, IGNORE_INDEX]])

    nats, count = next_token_loss(logits, targets)

    torch.testing.assert_close(nats, torch.tensor(math.log(11)))
    assert count == 1


def test_the_loss_is_float32_whatever_the_logits_are():
    logits = torch.zeros(1, 3, 11, dtype=torch.bfloat16)

    nats, _ = next_token_loss(logits, torch.zeros(1, 3, dtype=torch.int64))

    assert nats.dtype == torch.float32
