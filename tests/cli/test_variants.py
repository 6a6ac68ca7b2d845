"""Every choice of the config trains, evaluates, resumes where it stands and samples."""

import json

import pytest

JSONL = "".join(
    json.dumps({"text": f"document {i} says hello {i % 3} times. " * 3}) + "\n" for i in range(60)
)
VARIANTS = {
    "gpt2": ["model.preset=gpt2"],
    "speedrun": ["model.preset=speedrun"],
    "multi-query": ["model.attention={n_kv_head: 1}"],
    "window": ["model.attention={window: 5}"],
    "head_dim": ["model.attention={head_dim: 6}"],
    "learned": ["model.positions={name: learned}"],
    "sinusoidal": ["model.positions={name: sinusoidal}"],
    "no positions": ["model.positions={name: none}"],
    "gelu": ["model.mlp={name: gelu}"],
    "relu2": ["model.mlp={name: relu2}"],
    "layer_norm": ["model.norm=layer_norm", "model.bias=true"],
    "softcap": ["model.logit_softcap=15"],
    "untied": ["model.tie_embeddings=false"],
    "checkpointing": ["model.activation_checkpointing=true"],
    "bfloat16": ["runtime.dtype=bfloat16"],
    "deterministic": ["runtime.deterministic=true"],
    "bpe": ["data.tokenizer={name: bpe, vocab_size: 300}"],
    "mask": [
        "data.source={name: jsonl, paths: [my.jsonl]}",
        "data.tokenizer={name: bpe, vocab_size: 300}",
        "data.documents=mask",
    ],
    "jsonl": ["data.source={name: jsonl, paths: [my.jsonl]}"],
    "no validation": ["data.val_fraction=0"],
    "test split": ["data.test_fraction=0.1"],
    "sgd": ["optimizer={name: SGD, learning_rate: 0.1, momentum: 0.9}"],
    "adafactor": ["optimizer={name: adafactor}"],
    "cosine": ["schedule={name: cosine, warmup_steps: 2}"],
    "one_cycle": ["schedule.name=one_cycle"],
    "restarts": ["schedule.name=cosine_restarts"],
    "tokens": ["training={max_tokens: 300, batch_size: 4, sample_tokens: 4}"],
    "epochs": ["training={max_epochs: 0.05, batch_size: 4, sample_tokens: 4}"],
    "clock": ["training={time_budget: 0.3s, batch_size: 4, sample_tokens: 4}"],
    "patience": ["training.patience=1", "training.eval_every=1", "optimizer.learning_rate=1e-9"],
    "no clipping": ["training.grad_clip=null"],
    "accumulation": ["training.micro_batch_size=1"],
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_trains_samples_and_is_evaluated(variant, project, gptkit):
    (project / "my.jsonl").write_text(JSONL, encoding="utf-8")
    settings = [part for setting in VARIANTS[variant] for part in ("--set", setting)]

    trained = gptkit("train", "my.yaml", *settings)
    assert trained.code == 0, trained.err
    sampled = gptkit("sample", "--max-new-tokens", "40")
    evaluated = gptkit("eval", "--split", "train", "--json")

    assert (sampled.code, evaluated.code) == (0, 0), sampled.err + evaluated.err
    assert json.loads(evaluated.out)["loss"] > 0


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("training={max_tokens: 300, batch_size: 4}", "max_tokens (300)"),
        ("training={time_budget: 0.2s, batch_size: 4, sample_tokens: 0}", "time_budget (0.2 s)"),
        ("training.max_steps=2", "max_steps (2) reached"),
    ],
)
def test_why_a_run_ended_is_said(setting, word, project, gptkit):
    assert word in gptkit("train", "my.yaml", "--set", setting).err


def test_weights_are_taken_from_another_run(project, gptkit):
    gptkit("train", "my.yaml")

    result = gptkit("train", "my.yaml", "--set", "model.init_from=runs/my")
    other = gptkit(
        "train", "my.yaml", "--set", "model.init_from=runs/my", "--set", "model.n_embd=32"
    )

    assert result.code == 0
    assert other.code == 2 and "has the shape" in other.err


def test_a_moved_prepared_folder_is_a_source(project, gptkit):
    facts = json.loads(gptkit("prepare", "my.yaml", "--json").out)
    (project / facts["folder"]).rename(project / "moved")
    (project / "tokens.yaml").write_text(
        "data: {source: {name: tokens, path: moved}}\n"
        "model: {n_layer: 1, n_head: 2, n_embd: 16, context_length: 16}\n"
        "training: {max_steps: 2, batch_size: 4, sample_tokens: 4}\n",
        encoding="utf-8",
    )

    assert gptkit("train", "tokens.yaml").code == 0
    assert gptkit("eval").code == 0


def test_a_diverging_run_ends_with_4_and_keeps_its_last_good_checkpoint(project, gptkit):
    result = gptkit(
        "train", "my.yaml", "--set", "optimizer={name: sgd, learning_rate: 1e30}", "--set", "schedule.name=constant",
        "--set", "training.grad_clip=null", "--set", "training.save_every=1",
    )  # fmt: skip

    assert result.code == 4
    assert "lower optimizer.learning_rate" in result.err and "Traceback" not in result.err
    assert (project / "runs/my/checkpoints/last").read_text(encoding="utf-8") == "step_00000001\n"


def test_another_optimizer_is_refused_on_resume(project, gptkit):
    gptkit("train", "my.yaml")

    result = gptkit("train", "my.yaml", "--resume", "auto", "--set", "optimizer.name=sgd")

    assert result.code == 2
    assert "optimizer.name: adamw -> sgd" in result.err


def test_chinese_text_just_works(project, gptkit):
    poem = "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n" * 80
    (project / "my.txt").write_text(poem, encoding="utf-8")

    for tokenizer in ("{name: char}", "{name: bpe, vocab_size: 300}"):
        trained = gptkit("train", "my.yaml", "--set", f"data.tokenizer={tokenizer}")
        sampled = gptkit("sample", "--prompt", "床前", "--max-new-tokens", "12", "--json")

        assert trained.code == 0, trained.err
        assert json.loads(sampled.out)["prompt"] == "床前"
