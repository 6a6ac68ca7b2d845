"""Settings from a file and from the command line; every problem at once, with its place."""

import re
import subprocess
import sys

import pytest

from gptkit.config import dump_config, load_config, parse_override, shipped_configs
from gptkit.errors import ConfigError
from gptkit.model.config import MultiHeadConfig
from gptkit.training.schedules import CosineConfig, WSDConfig

BASE = "data: {source: {name: text, paths: [a.txt]}}\n"


@pytest.fixture
def load(tmp_path):
    def load_text(text, *settings):
        path = tmp_path / "c.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, [parse_override(setting) for setting in settings])

    return load_text


def problems_of(load, text, *settings):
    with pytest.raises(ConfigError) as caught:
        load(text, *settings)
    return [re.sub(r"^.*c\.yaml", "c.yaml", line) for line in str(caught.value).splitlines()]


def test_every_problem_is_reported_at_once_with_its_place(load):
    text = BASE + "model:\n  n_layers: 3\n  dropout: '0.1'\noptimizer: {name: adma}\ntrainin: {}\n"

    problems = problems_of(load, text)

    assert [problem[:30] for problem in problems] == [
        "c.yaml:3:3: model.n_layers: un",
        "c.yaml:4:3: model.dropout: mus",
        "c.yaml:5:13: optimizer.name: m",
        "c.yaml:6:1: trainin: unknown k",
    ]


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        ("lr: 1", "lr", "did you mean 'optimizer.learning_rate'?"),
        ("optimizer: {lr: 1}", "optimizer.lr", "did you mean 'learning_rate'?"),
        ("model: {block_size: 8}", "model.block_size", "did you mean 'context_length'?"),
        ("model: {batch_size: 8}", "model.batch_size", "did you mean 'training.batch_size'?"),
        ("model: null", "model", "must be a section of keys (got None)"),
        ("model: []", "model", "must be a section"),
        ("model: {n_layer: 1.5}", "model.n_layer", "must be a whole number (got 1.5)"),
        ("model: {n_layer: 0}", "model.n_layer", "must be greater than 0 (got 0)"),
        ("model: {n_layer: true}", "model.n_layer", "must be a number (got True)"),
        ("model: {n_layer: '6'}", "model.n_layer", "must be a number (got '6')"),
        ("model: {bias: 1}", "model.bias", "must be a valid boolean (got 1)"),
        ("model: {preset: gtp2}", "model.preset", "did you mean 'gpt2'?"),
        ("model: {preset: [a]}", "model.preset", "must be 'modern', 'gpt2' or 'speedrun'"),
        ("model: {n_embd: 10, n_head: 3}", "model", "n_embd (10) must be a multiple of n_head (3)"),
        ("model: {attention: {name: linear}}", "model.attention.name", "must be 'multi_head'"),
        ("model: {attention: 3}", "model.attention", "must be a section of keys"),
        ("model: {mlp: {name: swiglu, hidden: 3}}", "model.mlp.hidden", "unknown key"),
        ("schedule: {name: cosine, decay: 0.5}", "schedule.decay", "unknown key"),
        (
            "schedule: {warmup_steps: 9}\ntraining: {max_steps: 9}",
            "schedule.warmup_steps",
            "less than",
        ),
        ("schedule: {warmup: 0.6, decay: 0.6}", "schedule", "at most 1 together"),
        ("training: {batch_size: 10, micro_batch_size: 3}", "training", "must be a multiple of"),
        ("training: {max_steps: null}", "training", "needs an end"),
        ("training: {time_budget: 10x}", "training.time_budget", "must be a duration"),
        ("runtime: {dtype: fp16}", "runtime.dtype", "must be"),
        ("loggers: [{name: tensorbord}]", "loggers.0.name", "did you mean 'tensorboard'?"),
        ('run_dir: "a\\0b"', "run_dir", "must be a path"),
        (f"run_dir: {'a' * 300}", "run_dir", "must be a path"),
        ("optimizer: {betas: [0.9]}", "optimizer.betas.1", "missing"),
        ("optimizer: {learning_rate: .nan}", "optimizer.learning_rate", "finite"),
    ],
)
def test_a_problem_says_what_is_wrong_and_what_is_allowed(load, text, key, what):
    problems = problems_of(load, BASE + text)

    assert len(problems) == 1
    assert f": {key}: " in problems[0]
    assert what in problems[0]


@pytest.mark.parametrize("text", ["[1, 2]", "3", "text"])
def test_a_config_that_is_no_mapping_is_refused(load, text):
    assert "a config is a mapping" in problems_of(load, text)[0]


def test_an_empty_config_misses_its_data(load):
    assert problems_of(load, "") == ["c.yaml: data: is missing"]


def test_a_preset_sets_keys_and_explicit_keys_win(load):
    model = load(BASE + "model: {preset: gpt2, norm: rms_norm, attention: {n_kv_head: 2}}").model

    assert model.positions.name == "learned"
    assert model.bias is True
    assert model.norm == "rms_norm"
    assert model.attention == MultiHeadConfig(n_kv_head=2, qk_norm=False)


def test_a_section_without_name_keeps_its_variant_and_a_new_name_drops_the_old_keys(load):
    kept = load(BASE + "schedule: {decay: 0.5}", "schedule.warmup=0.1").schedule
    changed = load(
        BASE + "schedule: {decay: 0.5}", "schedule.min_factor=0.2", "schedule.name=cosine"
    ).schedule

    assert kept == WSDConfig(decay=0.5, warmup=0.1)
    assert changed == CosineConfig(min_factor=0.2)


def test_a_setting_takes_any_yaml_value(load):
    config = load(
        BASE,
        "data.source={name: jsonl, paths: [b.jsonl]}",
        "optimizer.learning_rate=3e-4",
        "training.max_tokens=1e6",
        "loggers=[{name: tensorboard}]",
    )

    assert config.data.source.name == "jsonl"
    assert config.optimizer.learning_rate == 3e-4
    assert config.training.max_tokens == 1_000_000
    assert config.training.max_steps is None
    assert config.loggers[0].name == "tensorboard"


def test_a_problem_of_a_setting_names_the_setting(load):
    assert problems_of(load, BASE, "model.n_layers=3") == [
        "--set model.n_layers: model.n_layers: unknown key; did you mean 'n_layer'?"
    ]
    assert problems_of(load, BASE, "model.n_layer.x=3") == [
        "--set model.n_layer.x: model.n_layer: must be a number (got {'x': 3})"
    ]
    assert problems_of(load, BASE + "model: {n_layer: 3}", "model.n_layer.x=3") == [
        "--set model.n_layer.x: 'model.n_layer' is not a section"
    ]


@pytest.mark.parametrize("setting", ["model.n_layer", "=3", "a..b=1", "a=[1"])
def test_a_setting_that_is_no_key_and_value_is_refused(setting):
    with pytest.raises(ConfigError, match="--set"):
        parse_override(setting)


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_config_loads_and_survives_writing(name, tmp_path):
    config = load_config(shipped_configs()[name])
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_config(config), encoding="utf-8")

    assert load_config(copy) == config


def test_own_text_shows_every_default_truly(load, tmp_path):
    shown = load_config(shipped_configs()["own_text"])
    default = load("data: {source: {name: text, paths: [my.txt]}}")

    assert shown == default


def test_checking_a_config_imports_no_torch():
    code = (
        "import sys; from gptkit.config import load_config, shipped_configs\n"
        "for path in shipped_configs().values(): load_config(path)\n"
        "assert 'torch' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
