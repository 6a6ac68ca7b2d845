"""Models, tokenizers and texts for benchmarks/interchange.py."""

from __future__ import annotations

import random
import sysconfig
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gptkit.model import GPT, ModelConfig
from gptkit.tokenizers import bpe
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.config import BPEConfig
from gptkit.tokenizers.patterns import PATTERNS

TEXT_BYTES = 5_000_000
CHINESE = "汉字和标点，还有空格。一个语言模型读了很多书，才会写字！“引号”、数字２０２６。"


def architectures() -> Iterator[dict[str, Any]]:
    """Yield 12 random shapes: 4 for each kind of MLP, all head counts, biases, ties and QK-norms."""
    generator = random.Random(5)
    mlps = ["swiglu"] * 4 + ["relu2"] * 2 + ["gelu"] * 2 + ["gpt2"] * 4
    for i, mlp in enumerate(mlps):
        n_head, head_dim = generator.choice([2, 4, 8]), generator.choice([8, 16, 24])
        groups = (1, 2, 4)[i % 3]
        shape: dict[str, Any] = {
            "n_layer": generator.randint(1, 3),
            "n_head": n_head * groups,
            "n_embd": n_head * groups * head_dim,
            "context_length": generator.randint(20, 90),
            "tie_embeddings": i % 2 == 0,
            "norm_eps": generator.choice([None, 1e-4]),
        }
        if mlp == "gpt2":
            activation = generator.choice(["gelu_tanh", "gelu", "relu"])
            yield {**shape, "preset": "gpt2", "bias": i % 3 != 0, "mlp": {"name": activation}}
            continue
        qk_norm = mlp == "swiglu" and i < 2
        attention = {"n_kv_head": n_head, "qk_norm": qk_norm, "head_dim": head_dim + 2 * (i % 2)}
        yield {
            **shape,
            "attention": attention,
            "mlp": {"name": mlp, "width": 8 * generator.randint(3, 20)},
            "bias": not qk_norm and i % 2 == 1,
            "positions": {"name": "rotary", "theta": generator.choice([500.0, 1e4, 1e6])},
        }


def models() -> Iterator[tuple[GPT, BPETokenizer]]:
    """Yield a random model of each shape, with a tokenizer of an odd vocabulary."""
    text = corpus()[:300_000]
    for i, settings in enumerate(architectures()):
        pattern = list(PATTERNS)[i % 3]
        tokenizer = train_tokenizer(text, 301 + 37 * i, pattern)
        model = GPT(ModelConfig.model_validate(settings), tokenizer.vocab_size).eval()
        generator = torch.Generator().manual_seed(i)
        for parameter in model.parameters():
            parameter.data.normal_(0.0, 0.2, generator=generator)
        yield model, tokenizer


def train_tokenizer(text: str, vocab_size: int, pattern: str) -> BPETokenizer:
    """Return a tokenizer that was trained on a text."""
    section = BPEConfig.model_validate({"vocab_size": vocab_size, "pattern": pattern})
    return bpe.train(
        section, lambda: [text], total_bytes=len(text), progress=lambda num_bytes: None
    )


def corpus() -> str:
    """Return 5 MB of Python's own sources, with Chinese between."""
    texts, length = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        content = path.read_bytes().decode("utf-8", "replace") + CHINESE
        texts.append(content)
        length += len(content.encode())
        if length > TEXT_BYTES:
            break
    return "".join(texts)


def fuzz(count: int) -> list[str]:
    """Return strings of assigned code points, white space, digits and special text."""
    generator = random.Random(11)
    assigned = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")
    ]
    alphabets = [
        assigned,
        [*CHINESE],
        [*"aB é汉ß\u0301'’sStTlLdDrReEvVmM\u200d🙂👩🚀"],
        [*" \t\n\r\x0b\x0c\x85\xa0\u2003\u3000\u200b\ufeff"],
        [*"0123456789٣Ⅷ½x. \n/,-"],
        ["<|endoftext|>", "<|", "|>", "def ", "(x):\n    ", "return ", "\x00"],
    ]
    return [
        "".join(
            "".join(generator.choices(alphabet, k=generator.randint(0, 9)))
            for alphabet in generator.choices(alphabets, k=generator.randint(1, 6))
        )
        for _ in range(count)
    ]
