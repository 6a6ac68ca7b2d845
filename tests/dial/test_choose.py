"""What the dial makes of a config: all that is open, nothing that was given, each with a reason."""

from dataclasses import replace

import pytest

from gptkit.config import dump_config, load_config, parse_override
from gptkit.dial import Facts, Speed, choose, keep_choices, open_keys
from gptkit.dial.formulas import flops_per_token, num_weights
from gptkit.errors import ConfigError

DATA = "data: {source: {name: text, paths: [a.txt]}}\n"
LAPTOP = 1e11  # FLOP/s
GPU = 2e14


@pytest.fixture
def load(tmp_path):
    def load_text(text, *settings):
        path = tmp_path / "c.yaml"
        path.write_text(DATA + text, encoding="utf-8")
        return load_config(path, [parse_override(setting) for setting in settings])

    return load_text


def facts(flops=LAPTOP, *, vocab_size=65, train_tokens=1_000_000, **others):
    def speed(model):
        each = flops_per_token(model.n_layer, model.n_embd, model.context_length, vocab_size)
        return Speed(flops / each)

    return Facts(vocab_size=vocab_size, train_tokens=train_tokens, speed=speed, **others)


def test_without_depth_and_time_nothing_is_open(load):
    config = load("training: {max_steps: 7}")

    choice = choose(config, facts())

    assert open_keys(config) == frozenset()
    assert choice.config is config and choice.reasons == ()


def test_depth_sets_the_shape_when_the_config_is_read(load):
    model = load("model: {depth: 4}").model

    assert (model.n_layer, model.n_embd, model.n_head, model.context_length) == (4, 256, 4, 256)


@pytest.mark.parametrize("preset", ["modern", "gpt2", "speedrun"])
def test_depth_goes_with_every_preset(load, preset):
    model = load(f"model: {{depth: 2, preset: {preset}}}").model

    assert (model.preset, model.n_layer, model.n_embd) == (preset, 2, 128)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ("n_embd: 96", (96, 2)),
        ("n_head: 5", (200, 5)),
        ("n_embd: 256, n_head: 8", (256, 8)),
        ("attention: {n_kv_head: 2}", (192, 4)),
        ("attention: {head_dim: 32}", (192, 6)),
    ],
)
def test_beside_depth_a_given_width_or_number_of_heads_stands(load, given, shape):
    model = load(f"model: {{depth: 3, {given}}}").model

    assert (model.n_embd, model.n_head) == shape


def test_depth_and_n_layer_together_are_an_error_that_says_so(load):
    with pytest.raises(ConfigError, match=r"depth \(4\) and n_layer \(6\) say the same thing"):
        load("model: {depth: 4, n_layer: 6}")


@pytest.mark.parametrize("depth", ["0", "-1", "2.5", "true", "'4'", "[4]"])
def test_a_depth_that_is_no_count_is_refused(load, depth):
    with pytest.raises(ConfigError, match=r"model\.depth"):
        load(f"model: {{depth: {depth}}}")


@pytest.mark.parametrize(
    ("flops", "vocab_size", "train_tokens"),
    [(LAPTOP, 65, 90_000), (LAPTOP, 4096, 3_000_000), (GPU, 32768, 10**10), (1e8, 65, 300)],
)
@pytest.mark.parametrize("text", ["model: {depth: 2}", "training: {time_budget: 1m}"])
def test_the_choice_has_nothing_open_and_reads_back(
    load, tmp_path, text, flops, vocab_size, train_tokens
):
    known = facts(flops, vocab_size=vocab_size, train_tokens=train_tokens)

    config = choose(load(text), known).config
    written = tmp_path / "written.yaml"
    written.write_text(dump_config(config), encoding="utf-8")
    again = load_config(written)

    assert again == config
    assert open_keys(again) == frozenset()
    assert config.model.context_length < max(train_tokens, 129)


def test_more_time_and_a_faster_machine_choose_larger_models(load):
    def depth(seconds, flops):
        config = load(f"training: {{time_budget: {seconds}}}")
        return choose(config, facts(flops)).config.model.depth

    laptop = [depth(seconds, LAPTOP) for seconds in (1, 30, 300, 3600, 8 * 3600)]

    assert laptop == sorted(laptop) and laptop[0] == 1 and laptop[-1] > 3
    assert depth(300, GPU) > depth(300, LAPTOP)


def test_the_chosen_model_sees_tokens_enough_in_its_time(load):
    known = facts(vocab_size=1024)

    model = choose(load("training: {time_budget: 10m}"), known).config.model

    assert known.speed is not None
    tokens = 600 * known.speed(model).tokens_per_second
    assert tokens > num_weights(model.n_layer, model.n_embd, 1024)


def test_what_an_optimizer_step_takes_counts_once_for_each_batch(load):
    config = load("training: {time_budget: 100, batch_size: 8}", "model.context_length=100")
    each = 0.1  # as long as 800 tokens take

    def steps_between_evaluations(step_seconds):
        known = replace(facts(), speed=lambda model: Speed(8000.0, step_seconds))
        return choose(config, known).config.training.eval_every

    assert steps_between_evaluations(0.0) == 2 * steps_between_evaluations(each)


def test_depth_alone_chooses_how_long_to_train(load):
    training = choose(load("model: {depth: 3}"), facts()).config.training

    assert training.time_budget is None
    assert training.max_steps is not None and 100 < training.max_steps < 5000


@pytest.mark.parametrize("text", ["model: {depth: 5}", "training: {time_budget: 8h}"])
def test_a_small_text_is_not_read_for_ever(load, text):
    known = facts(train_tokens=20_000)

    config = choose(load(text), known).config

    tokens = 40 * 20_000
    batch = config.training.batch_size * config.model.context_length
    assert config.training.max_epochs == 40 or config.training.max_steps * batch < 1.1 * tokens


@pytest.mark.parametrize("limit", ["max_epochs=null", "max_epochs=100", "max_tokens=4000000"])
def test_a_user_may_read_a_small_text_for_longer(load, limit):
    config = load("training: {time_budget: 8h}", f"training.{limit}")

    training = choose(config, facts(train_tokens=20_000)).config.training

    assert training.max_epochs == config.training.max_epochs
    assert training.max_tokens == config.training.max_tokens


@pytest.mark.parametrize(
    "given",
    [
        "model.dropout=0.3",
        "model.context_length=48",
        "training.batch_size=12",
        "training.eval_every=33",
        "training.save_every=44",
        "training.max_steps=123",
        "optimizer.learning_rate=0.5",
        "optimizer.weight_decay=0.7",
        "optimizer={name: muon, learning_rate: 0.5}",
        "optimizer={name: sgd}",
    ],
)
@pytest.mark.parametrize("text", ["model: {depth: 2}", "training: {time_budget: 1m}"])
def test_what_was_given_wins(load, text, given):
    before = load(text, given)
    key, _, _ = given.partition("=")
    section, _, name = key.partition(".")
    names = [name] if name else ["name", "learning_rate"]

    after = choose(before, facts()).config

    for name in names:
        assert getattr(getattr(after, section), name) == getattr(getattr(before, section), name)


def test_a_learning_rate_alone_is_that_of_the_default_optimizer(load):
    config = load("model: {depth: 2}", "optimizer.learning_rate=0.001")

    optimizer = choose(config, facts()).config.optimizer

    assert optimizer.model_dump()["name"] == "adamw"


def test_a_given_shape_is_kept_under_a_time_budget(load):
    config = load("model: {n_embd: 96, n_head: 3}\ntraining: {time_budget: 1m}")

    model = choose(config, facts()).config.model

    assert (model.n_layer, model.n_embd, model.n_head) == (6, 96, 3)


def test_the_batch_is_whole_micro_batches_on_every_device(load):
    config = load("model: {depth: 2}", "training.micro_batch_size=4", "training.max_steps=50")

    training = choose(config, facts(devices=3)).config.training

    assert training.accumulation(3) >= 1


def test_every_choice_is_named_with_its_value_and_a_reason(load):
    choice = choose(load("training: {time_budget: 1m}"), facts())

    lines = "\n".join(choice.reasons)
    for key in ("n_layer", "n_embd", "n_head", "batch_size", "learning_rate", "dropout"):
        assert f"{key} " in lines
    assert all(": " in reason for reason in choice.reasons)


def test_a_long_validation_split_is_not_scored_again_and_again(load):
    config = load("training: {time_budget: 1m}")

    short = choose(config, facts(val_tokens=10_000)).config.training
    long = choose(config, facts(val_tokens=10**8)).config.training

    assert long.eval_every > short.eval_every


def test_a_resumed_run_keeps_what_was_chosen_for_it(load):
    config = load("training: {time_budget: 1m}")
    before = choose(config, facts(GPU)).config

    kept = keep_choices(load("training: {time_budget: 2m}"), before)

    assert kept.model == before.model
    assert kept.optimizer == before.optimizer
    assert kept.training.batch_size == before.training.batch_size
    assert kept.training.time_budget == 120
