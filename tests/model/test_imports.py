import subprocess
import sys

import pytest

import gptkit.model


def test_settings_of_the_model_need_no_torch() -> None:
    code = (
        "import sys, gptkit.model.config, gptkit.generation.config; print('torch' in sys.modules)"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.stdout.strip() == "False", result.stderr


def test_the_door_offers_what_it_names() -> None:
    assert [getattr(gptkit.model, name).__name__ for name in gptkit.model.__all__] == [
        "GPT",
        "Cache",
        "KVCache",
        "ModelConfig",
    ]


def test_the_door_knows_nothing_else() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Bert'"):
        _ = gptkit.model.Bert
