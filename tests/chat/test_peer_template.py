"""The same tokens, answers and loss as transformers, for templates as models have them."""

import pytest
import torch

from gptkit.chat.encoding import ChatEncoder
from gptkit.chat.template import CHATML, CHATML_TOKENS
from gptkit.data.batches import IGNORE_INDEX
from gptkit.data.packing import EvaluationConversations
from gptkit.data.shards import InMemoryTokens
from gptkit.interchange.tokenizer_json import to_tokenizer_json
from gptkit.model import GPT
from gptkit.model.config import ModelConfig
from gptkit.training.objective import NextTokenObjective
from tests.model.test_parity import load, modern_settings, modern_weights

# {% generation %} is how transformers is told what the assistant says; we find it by ourselves.
MARKED_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ m['content'] + '<|im_end|>' + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HEADERS = """\
{{ bos_token }}
{%- for m in messages %}
    {%- if m['role'] not in ['system', 'user', 'assistant'] %}
        {{- raise_exception('what a role') }}
    {%- endif %}
    {{- '<|start|>' + m['role'] + '<|end|>\\n\\n' }}
    {%- if m['role'] == 'assistant' %}
        {%- generation %}{{- m['content'] | trim + '<|eot|>' }}{%- endgeneration %}
    {%- else %}
        {{- m['content'] | trim + '<|eot|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\\n\\n' }}
{%- endif %}
"""
BRACKETS = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ ' ' + m['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endif %}{% endfor %}"
)
TEMPLATES = {
    "chatml": (MARKED_CHATML, CHATML_TOKENS),
    "headers": (HEADERS, ("<|start|>", "<|end|>", "<|eot|>")),
    "brackets": (BRACKETS, ()),
}
TALKS = [
    [("user", "hello there"), ("assistant", "the assistant says 你好 🙂"), ("user", "and?"),
     ("assistant", "  def f():\n\treturn 1\n")],
    [("system", "be kind to them"), ("user", "it's 12345\r\n"), ("assistant", "no")],
]  # fmt: skip


def messages_of(talk):
    return [{"role": role, "content": content} for role, content in talk]


def peer(tokenizer, template):
    """The transformers tokenizer of the same files."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    import json

    data = to_tokenizer_json(tokenizer)
    data["added_tokens"] = [
        {"id": token, "content": name, "special": True, "normalized": False, "lstrip": False,
         "rstrip": False, "single_word": False}
        for name, token in sorted(tokenizer.special_tokens.items(), key=lambda item: item[1])
    ]  # fmt: skip
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(data)),
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
    )
    fast.chat_template = template
    return fast


@pytest.fixture(params=sorted(TEMPLATES))
def case(request, plain):
    template, names = TEMPLATES[request.param]
    tokenizer = plain.with_chat(template, names)
    return tokenizer, peer(tokenizer, template)


@pytest.mark.parametrize("talk", TALKS)
def test_tokens_and_answers_are_those_of_transformers(case, talk):
    tokenizer, theirs = case
    messages = messages_of(talk)
    if talk[0][0] == "system" and "[INST]" in tokenizer.chat.template:
        messages = messages[1:]

    ours = ChatEncoder(tokenizer).encode(messages)

    expected = theirs.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    assert ours.tokens == expected["input_ids"]
    assert [int(target) for target in ours.targets] == expected["assistant_masks"]
    asked = theirs.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=True)
    assert ChatEncoder(tokenizer).prompt(messages[:-1]) == asked["input_ids"]


def test_the_loss_is_that_of_transformers(case):
    tokenizer, theirs = case
    model = GPT(
        ModelConfig(n_layer=2, n_head=2, n_embd=32, context_length=128, dropout=0.0),
        tokenizer.vocab_size,
    )
    model.init_weights(1)
    transformers = pytest.importorskip("transformers")
    their_model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**modern_settings(model)))
    load(their_model.eval(), modern_weights(model))
    encoder = ChatEncoder(tokenizer)
    talks = [messages_of(talk) for talk in TALKS]
    encoded = [encoder.encode(talk) for talk in talks]
    tokens = torch.tensor([t for e in encoded for t in e.tokens]).numpy().astype("uint32")
    starts = torch.tensor([0, len(encoded[0].tokens)]).numpy()
    is_target = torch.tensor([t for e in encoded for t in e.targets]).numpy()
    packed = EvaluationConversations(InMemoryTokens(tokens, starts), is_target, 128).batch(0)

    with torch.no_grad():
        nats = NextTokenObjective(model)(packed.tokens, packed.targets, packed.documents)
        ours = nats / (packed.targets != IGNORE_INDEX).sum()
        total, count = 0.0, 0
        for talk in talks:
            given = theirs.apply_chat_template(
                talk, return_dict=True, return_assistant_tokens_mask=True, return_tensors="pt"
            )
            ids = given["input_ids"]
            labels = torch.where(
                torch.as_tensor(given["assistant_masks"]).view_as(ids) == 1, ids, -100
            )
            answered = (labels[:, 1:] != -100).sum()
            total += their_model(ids, labels=labels).loss * answered  # a mean over the answers
            count += answered

    assert torch.allclose(ours, total / count, atol=1e-4, rtol=0)


def test_our_own_template_writes_chatml(plain):
    marked = plain.with_chat(MARKED_CHATML, CHATML_TOKENS)
    own = plain.with_chat(CHATML, CHATML_TOKENS)

    for talk in TALKS:
        assert ChatEncoder(own).encode(messages_of(talk)) == ChatEncoder(marked).encode(
            messages_of(talk)
        )
