"""Prompt templates by name: how a problem becomes the messages that the tokenizer's chat template renders.

One renderer for SFT, RL and evaluation.  A job's configuration slice holds the template's
name and the hash of its text, so a changed text runs again all that depends on it.
"""

import hashlib
import json

# {problem} is the problem's text.  ``retu``: the question alone (RETU gives no instruction);
# ``qwen_boxed``: Qwen2.5-Math's; ``quagmires``: think step by step, and box the answer.
TEMPLATES: dict[str, list[dict[str, str]]] = {
    "retu": [{"role": "user", "content": "{problem}"}],
    "qwen_boxed": [
        {
            "role": "system",
            "content": "Please reason step by step, and put your final answer within \\boxed{}.",
        },
        {"role": "user", "content": "{problem}"},
    ],
    "quagmires": [
        {
            "role": "user",
            "content": "{problem}\nLet's think step by step and output the final answer within \\boxed{}.",
        }
    ],
}


def messages(template: str, problem: str) -> list[dict[str, str]]:
    """The messages of a problem (its braces are left alone)."""
    return [
        message | {"content": message["content"].replace("{problem}", problem)}
        for message in TEMPLATES[template]
    ]


def template_hash(name: str) -> str:
    """The hash of a template's text."""
    text = json.dumps(TEMPLATES[name], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
