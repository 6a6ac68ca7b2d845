"""What a hostile checkpoint may hold: each case changes a whole one, in place."""

import base64
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

CANARY = Path("canary.txt")
EVIL = f"from pathlib import Path\nPath({CANARY.name!r}).write_text('ran')\n"


def weights(change):
    """Change the weights by name."""

    def apply(checkpoint):
        path = checkpoint / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, {"format": "pt"})

    return apply


def header(content, claim=None, data=b""):
    """Make the weights file of a header of these bytes, which may claim another length."""
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    length = (len(content) if claim is None else claim).to_bytes(8, "little")
    return written("model.safetensors", length + content + data)


def written(name, content):
    """Put these bytes into a file."""

    def apply(checkpoint):
        (checkpoint / name).parent.mkdir(exist_ok=True)
        (checkpoint / name).write_bytes(content)

    return apply


def edited(name, change):
    """Change a JSON file; NaN and Infinity are written as Python does."""

    def apply(checkpoint):
        content = json.loads((checkpoint / name).read_bytes())
        change(content)
        (checkpoint / name).write_text(json.dumps(content), encoding="utf-8")

    return apply


def config(old, new):
    """Replace a text in config.yaml."""

    def apply(checkpoint):
        path = checkpoint / "config.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return apply


def huge(name, num_bytes):
    """Make a file that is nothing but large."""

    def apply(checkpoint):
        with (checkpoint / name).open("wb") as file:
            file.truncate(num_bytes)

    return apply


def tensor(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def bpe(**changes):
    """Put a byte tokenizer with one absurd property in place of the run's."""
    tokens = [base64.b64encode(bytes([value])).decode() for value in range(256)]
    whole = {"kind": "bpe", "encoding": None, "pattern": "gpt2", "special_tokens": {}}
    content = {**whole, "tokens": tokens, **changes}
    return written("tokenizer.json", json.dumps(content).encode())


def names_in_the_file(names):
    return header({name: tensor(offsets=(i * 4, i * 4 + 4)) for i, name in enumerate(names)},
                  data=b"\0" * 4 * len(names))  # fmt: skip


EMBEDDING = "token_embedding.weight"
DEEP = b"[" * 100_000
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
PICKLE = b"\x80\x04cos\nsystem\n(S'touch canary.txt'\ntR."

WEIGHTS = {
    "a pickle": written("model.safetensors", PICKLE),
    "a header of 2^63": header(b"{}", claim=1 << 63),
    "a header of 100 MB": huge("model.safetensors", 100 << 20),
    "a header of 100 MB of JSON": header(b"[" + b"0," * (50 << 20) + b"0]"),
    "a deep header": header(b'{"a":' * 100_000),
    "a header that is a list": header([]),
    "overlapping tensors": header({"a": tensor(), "b": tensor(shape=(2,), offsets=(2, 10))}, None, b"\0" * 10),
    "offsets beyond the file": header({"a": tensor(shape=(1 << 40,), offsets=(0, 1 << 42))}),
    "a shape that overflows": header({"a": tensor(shape=(1 << 32, 1 << 33), offsets=(0, 0))}),
    "a shape that torch refuses": header({"a": tensor(shape=(0, 1 << 63), offsets=(0, 0))}),
    "an unknown dtype": header({"a": tensor(dtype="PICKLE")}, data=b"\0" * 4),
    "a dtype that torch lacks": header({"a": tensor("F6_E2M3", (8,), (0, 6))}, data=b"\0" * 6),
    "numbers of 8 bits": weights(lambda w: w.update({EMBEDDING: w[EMBEDDING].to(torch.float8_e4m3fn)})),
    "complex numbers": weights(lambda w: w.update({EMBEDDING: w[EMBEDDING].to(torch.complex64)})),
    "a weight less": weights(lambda w: w.pop(EMBEDDING)),
    "a weight more": weights(lambda w: w.update(more=torch.zeros(1))),
    "40,000 weights more": names_in_the_file([f"{i}" for i in range(40_000)]),
    "a name of 1 MB": names_in_the_file(["x" * (1 << 20)]),
    "another shape": weights(lambda w: w.update({EMBEDDING: torch.zeros(3, 3)})),
    "NaN": weights(lambda w: w[EMBEDDING].fill_(torch.nan)),
    "infinity": weights(lambda w: w[EMBEDDING].fill_(-torch.inf)),
    "more than float32 holds": weights(lambda w: w.update({EMBEDDING: w[EMBEDDING].double() + 1e300})),
}  # fmt: skip
TOKENIZERS = {
    "no JSON": written("tokenizer.json", b"\x80"),
    "deep JSON": written("tokenizer.json", DEEP),
    "64 MB": huge("tokenizer.json", 64 << 20),
    "an unknown kind": written("tokenizer.json", b'{"kind": ["x"]}'),
    "a kind of 1 MB": written("tokenizer.json", b'{"kind": "%s"}' % (b"x" * (1 << 20))),
    "characters that are a number": edited("tokenizer.json", lambda t: t.update(characters=5)),
    "another vocabulary": edited("tokenizer.json", lambda t: t.update(characters="abc")),
    "a pattern that is no expression": bpe(pattern="(("),
    "a deep pattern": bpe(pattern="(" * 100_000),
    "a pattern of gigabytes": bpe(pattern=r"\p{L}{1000}{1000}"),
    "a pattern that never ends": bpe(pattern=r"(?:(?:\s|\S)+)+(?=\1b)|(x+x+)+y"),
    "a pattern that loses text": bpe(pattern="zzz"),
    "an empty pattern": bpe(pattern=""),
    "a special token without id": bpe(special_tokens={"x": 1e400}),
    "special tokens in a list": bpe(special_tokens=["x"]),
    "no tokens": bpe(tokens=None),
}
CONFIGS = {
    "a YAML bomb": written("config.yaml", BOMB.encode()),
    "deep YAML": written("config.yaml", DEEP[: 1 << 15]),
    "10 MB": huge("config.yaml", 10 << 20),
    "2,000 unknown keys": config("model:", "".join(f"k{i}: 0\n" for i in range(2000)) + "model:"),
    "a python tag": config("model:", f"x: !!python/object/apply:os.system ['touch {CANARY}']\nmodel:"),
    "a list": written("config.yaml", b"- 1\n"),
    "nothing": written("config.yaml", b""),
}  # fmt: skip
CLAIMS = {
    "10^9 blocks": config("n_layer: 2", "n_layer: 1000000000"),
    "10^39 blocks": config("n_layer: 2", f"n_layer: {10**39}"),
    "a width of 10^9": config("n_embd: 16", "n_embd: 1000000000"),
    "a width of 10^39": config("n_embd: 16", f"n_embd: {10**39}"),
    "10^9 tokens of context": config("context_length: 16", "context_length: 1000000000"),
    "10^18 tokens of context": config("context_length: 16", f"context_length: {10**18}"),
    "10^39 tokens of context": config("context_length: 16", f"context_length: {10**39}"),
    "10^18 tokens without positions": lambda checkpoint: [
        config("context_length: 16", f"context_length: {10**18}")(checkpoint),
        config("name: rotary\n    theta: 10000.0", "name: none")(checkpoint),
    ],
    "a hidden width of 10^12": config("width: null", f"width: {10**12}"),
}
PLUGINS = {
    "that it carries": lambda checkpoint: [
        written("plugins/evil.py", EVIL.encode())(checkpoint),
        config("plugins: []", "plugins: [evil.py]")(checkpoint),
    ],
    "in the current folder": lambda checkpoint: [
        Path("evil.py").write_text(EVIL, encoding="utf-8"),
        config("plugins: []", "plugins: [evil.py]")(checkpoint),
    ],
    "by a full path": lambda checkpoint: [
        Path("evil.py").write_text(EVIL, encoding="utf-8"),
        config("plugins: []", f"plugins: ['{Path('evil.py').absolute()}']")(checkpoint),
    ],
    "behind two byte order marks": lambda checkpoint: [
        Path("evil.py").write_text(EVIL, encoding="utf-8"),
        config("plugins: []\n", "")(checkpoint),
        config("data:", "\ufeff\ufeffplugins: [evil.py]\ndata:")(checkpoint),
    ],
}  # fmt: skip
ODD = (1e400, float("nan"), -1, True, "x", 10**30)
ODD_VALUES = {
    "step": ODD,
    "tokens": ODD,
    "best_step": ODD,
    "evaluations_without_gain": ("x", -1, 10**30),
    "best_val_loss": ("x", 1e400, True),
    "last": ("x", 5, {"train_loss": "x"}),
}
STATES = {
    "no JSON": written("state.json", b"\xff"),
    "deep JSON": written("state.json", DEEP),
    "64 MB": huge("state.json", 64 << 20),
    "a list": written("state.json", b"[]"),
    "no optimizer": edited("state.json", lambda s: s.pop("optimizer")),
    "no progress": edited("state.json", lambda s: s.pop("progress")),
    "progress that is a list": edited("state.json", lambda s: s.update(progress=[])),
    **{
        f"{key} = {value!r}"[:40]: edited(
            "state.json", lambda s, key=key, value=value: s["progress"].update({key: value})
        )
        for key, values in ODD_VALUES.items()
        for value in values
    },
    "another step": edited("state.json", lambda s: s["progress"].update(step=4)),
    "an optimizer of another class": edited("state.json", lambda s: s["optimizer"].update({"class": [1]})),
    "an optimizer without a list": edited("state.json", lambda s: s["optimizer"].update(without_state=5)),
    "an optimizer with odd names": edited("state.json", lambda s: s["optimizer"].update(without_state=[[]])),
}  # fmt: skip
OPTIMIZERS = {
    "a pickle": written("optimizer.safetensors", PICKLE),
    "nothing": lambda checkpoint: (checkpoint / "optimizer.safetensors").unlink(),
    "the weights": lambda checkpoint: shutil.copyfile(
        checkpoint / "model.safetensors", checkpoint / "optimizer.safetensors"
    ),
}
