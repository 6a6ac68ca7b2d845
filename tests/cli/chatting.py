"""A small model to fine-tune, and conversations for it."""

import json

BASE = """\
data:
  source: {name: text, paths: [my.txt]}
  tokenizer: {name: bpe, vocab_size: 290}
model: {n_layer: 2, n_head: 2, n_embd: 16, context_length: 64, dropout: 0.1}
optimizer: {learning_rate: 1e-2}
training: {max_steps: 2, batch_size: 2, eval_every: 2, save_every: 2, sample_tokens: 4}
runtime: {device: cpu, dtype: float32, compile: false}
"""
FINETUNE = """\
data: {source: {name: chat, paths: [chat.jsonl]}}
model: {init_from: runs/base, dropout: 0.1}
optimizer: {learning_rate: 1e-2}
training: {max_steps: 6, batch_size: 4, log_every: 2, eval_every: 3, save_every: 3, sample_tokens: 4}
runtime: {device: cpu, dtype: float32, compile: false}
"""


PREFER = (
    FINETUNE.replace(
        "{name: chat, paths: [chat.jsonl]}", "{name: preference, paths: [pairs.jsonl]}"
    )
    + "objective: {name: dpo, beta: 0.5}\n"
)


def pair(i):
    return {"prompt": f"fox {i % 9}?", "chosen": f"dogs {i % 9}", "rejected": f"lazy {i % 7} foxes"}


def conversation(i):
    turns = [
        ("user", f"fox {i % 9}?"),
        ("assistant", f"dogs {i % 9}"),
        ("user", "你好"),
        ("assistant", "好"),
    ]
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def write_chat(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
