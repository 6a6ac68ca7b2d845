"""Every shipped config loads (tests/config/test_load.py); the small ones train two steps."""

import pytest

import gptkit
from gptkit.config import shipped_configs

TOO_LARGE = {"gpt2_small", "shakespeare_char", "own_text", "chinese", "shakespeare_char_best_cpu"}
NEEDS_A_RUN = {"demo_chat", "demo_preference"}
"""Tried in tests/scripts/test_demo_chat.py."""
TEXT = "".join(f"Line {i}: what is it that {i * 7 % 13} of them said?\n" for i in range(4000))


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("GPTKIT_RUNS", "GPTKIT_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(shipped_configs()) - TOO_LARGE - NEEDS_A_RUN))
def test_a_small_config_trains_two_steps(name, here):
    run = gptkit.train(
        name,
        set={
            "data.source": {"name": "text", "paths": ["text.txt"]},
            "schedule": {"name": "constant"},
            "training.max_steps": 2,
            "training.sample_tokens": 8,
            "training.sample_prompt": None,
        },
    )

    assert run.metrics[-1]["step"] == 2


@pytest.mark.parametrize("name", sorted(TOO_LARGE))
def test_a_large_config_trains_two_steps_when_made_small(name, here):
    run = gptkit.train(
        name,
        set={
            "data.source": {"name": "text", "paths": ["text.txt"]},
            "data.tokenizer": {"name": "bpe", "vocab_size": 300},
            "data.val_fraction": 0.1,
            "model.n_layer": 1,
            "model.n_embd": 48,
            "model.context_length": 32,
            "schedule": {"name": "constant"},
            "training.max_steps": 2,
            "training.batch_size": 4,
            "training.micro_batch_size": 2,
            "training.sample_tokens": 8,
        },
    )

    assert run.metrics[-1]["step"] == 2
