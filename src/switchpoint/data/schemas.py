"""The real data sets of the papers: which columns each has, and where a record's fields stand in them.

A field is SQL on the columns.  A column has a structure, as DuckDB's ``json_transform`` takes it; values of other types
than it says are turned into it where that can be.
"""

import json
from dataclasses import dataclass, field

Structure = str | list | dict

TEXT, NUMBER = "VARCHAR", "DOUBLE"
TURNS: Structure = [{"role": TEXT, "content": TEXT}]


@dataclass(frozen=True)
class Schema:
    """Columns and their structure; record fields; the lists that a study may filter on; columns that may be absent."""

    columns: dict[str, Structure]
    problem: str
    answer: str  # a text, or a list of which any may match
    solution: str | None = None  # None: prompts alone
    origin: str | None = None  # the data set that the row was taken from
    domain: str | None = None
    teacher: str | None = None
    verified: str | None = None  # whether the expert's answer was found right
    win_rates: dict[str, str] = field(default_factory=dict)  # the share, as text or number
    optional: tuple[str, ...] = ()
    # A row without an answer, or without an expert trajectory, is broken; else it is one that the study does not want.
    gold_for_all: bool = True
    solution_for_all: bool = True


def turn(messages: str, role: str) -> str:
    """The first message of a role."""
    return f"list_filter({messages}, lambda message: message.role = '{role}')[1]"


def json_of(text: str) -> str:
    """A text that is JSON; NULL where it is none."""
    return f"CASE WHEN json_valid({text}) THEN {text} END"


def answers(value: str) -> str:
    """A gold that may be a JSON list in a text: all of its elements, else the text alone."""
    every = f"json_extract_string({json_of(value)}, '$[*]')"
    return f"CASE WHEN json_type({json_of(value)}) = 'ARRAY' THEN {every} ELSE [{value}] END"


def first_user(value: str) -> str:
    """A text, or the first user turn of the messages that it is as JSON."""
    turns = f"json_transform({json_of(value)}, '{json.dumps(TURNS)}')"
    return (
        f"CASE WHEN json_type({json_of(value)}) = 'ARRAY' THEN {turn(turns, 'user')}.content ELSE {value} END"
    )


def share_of(failures: str, tries: int) -> str:
    """A win rate by the number of failures; -1, which is none, where that is no number."""
    return f"CASE WHEN {failures} IS NOT NULL THEN coalesce(1 - try_cast({failures} AS DOUBLE) / {tries}, -1) END"


def thought(thinking: str, attempt: str) -> str:
    """An expert trajectory of its thinking and what it then says."""
    return f"'<think>\n' || trim({thinking}) || '\n</think>\n\n' || trim({attempt})"


USER, ASSISTANT = turn("messages", "user"), turn("messages", "assistant")
INFO = {"source": TEXT, "reference_answer": TEXT, "test_case": TEXT}
VERL = {
    "data_source": TEXT, "prompt": TURNS, "ability": TEXT,
    "reward_model": {"ground_truth": TEXT}, "extra_info": {"question": TEXT, "answer": TEXT},
}  # fmt: skip
SKYWORK_SOLVERS = {"1_5b": "DeepSeek-R1-Distill-Qwen-1.5B", "7b": "DeepSeek-R1-Distill-Qwen-7B",
                   "32b": "DeepSeek-R1-Distill-Qwen-32B"}  # fmt: skip
DIFFICULTY = dict.fromkeys(SKYWORK_SOLVERS.values(), TEXT)

SCHEMAS: dict[str, Schema] = {
    # The user turn's source tells maths from the rest, the assistant turn's R1's answers (am-0309) from others'.  Rows
    # other than maths have no gold, and some of maths have none but what the answer boxes.
    "am_1_4m": Schema(
        columns={"messages": [{"role": TEXT, "content": TEXT, "info": INFO}]},
        problem=f"{USER}.content",
        answer=f"coalesce(nullif(trim({USER}.info.reference_answer), ''), boxed({ASSISTANT}.content))",
        solution=f"{ASSISTANT}.content",
        origin=f"{USER}.info.source",
        teacher=f"{ASSISTANT}.info.source",
        gold_for_all=False,
    ),
    # The shares are of four passes of each model (V1's win rates).
    "am_40m": Schema(
        columns={
            "question": TEXT, "answer": TEXT, "question_source": TEXT, "answer_source": TEXT, "category": TEXT,
            "ground_truth": TEXT, "pass_rate_r1": TEXT, "pass_rate_7b": TEXT, "pass_rate_1.5b": TEXT,
            "verify_score": TEXT, "model_name": TEXT,
        },
        problem="question",
        answer="ground_truth",
        solution="answer",
        origin="question_source",
        domain="category",
        teacher="coalesce(model_name, answer_source)",
        verified="try_cast(verify_score AS DOUBLE) >= 1",
        win_rates={"1_5b": '"pass_rate_1.5b"', "7b": "pass_rate_7b", "671b": "pass_rate_r1"},
        optional=("answer_source", "model_name", "question_source"),
    ),
    # `model_difficulty` counts the failures of 16.
    "skywork_or1": Schema(
        columns=VERL | {"extra_info": {"model_difficulty": DIFFICULTY}},
        problem=f"{turn('prompt', 'user')}.content",
        answer=answers("reward_model.ground_truth"),
        origin="data_source",
        domain="ability",
        win_rates={
            name: share_of(f'extra_info.model_difficulty."{solver}"', 16)
            for name, solver in SKYWORK_SOLVERS.items()
        },
        optional=("data_source",),
    ),
    "s1k_1_1": Schema(
        columns={
            "question": TEXT, "solution": TEXT, "source_type": TEXT, "cot_type": TEXT,
            "deepseek_thinking_trajectory": TEXT, "deepseek_attempt": TEXT, "deepseek_grade": TEXT,
        },
        problem="question",
        answer="solution",
        solution=thought("deepseek_thinking_trajectory", "deepseek_attempt"),
        origin="source_type",
        domain="cot_type",
        verified="lower(deepseek_grade) = 'yes'",
        optional=("source_type", "cot_type", "deepseek_grade"),
    ),
    # The authors' published sets: parquet of verl's columns, which may hold JSON texts.
    "retu_sft": Schema(
        columns={"extra_info": VERL["extra_info"], "reward_model": VERL["reward_model"], "data_source": TEXT},
        problem="extra_info.question",
        answer=answers("coalesce(reward_model.ground_truth, boxed(extra_info.answer))"),
        solution="extra_info.answer",
        origin="data_source",
        optional=("reward_model", "data_source"),
    ),
    "retu_rl": Schema(
        columns={name: VERL[name] for name in ("data_source", "prompt", "ability", "reward_model")},
        problem=f"{turn('prompt', 'user')}.content",
        answer=answers("reward_model.ground_truth"),
        origin="data_source",
        domain="ability",
        optional=("data_source", "ability"),
    ),
    "retu_mix": Schema(
        columns={name: VERL[name] for name in ("data_source", "prompt", "reward_model")} | {"target": TURNS},
        problem=f"{turn('prompt', 'user')}.content",
        answer=answers("reward_model.ground_truth"),
        solution="target[1].content",
        origin="data_source",
        optional=("data_source",),
    ),
    # No gold: what the expert's own answer boxes.
    "llama_nemotron": Schema(
        columns={"input": TEXT, "output": TEXT, "category": TEXT, "generator": TEXT, "reasoning": TEXT},
        problem=first_user("input"),
        answer="boxed(output)",
        solution="output",
        domain="category",
        teacher="generator",
        optional=("category", "generator", "reasoning"),
        gold_for_all=False,
    ),
    "acereason": Schema(
        columns={"input": TEXT, "output": TEXT, "category": TEXT, "source": TEXT},
        problem="input",
        answer="boxed(output)",
        solution="output",
        origin="source",
        domain="category",
        optional=("category", "source"),
        gold_for_all=False,
    ),
    # The first generation that is complete and was verified.
    "openr1_math": Schema(
        columns={
            "problem": TEXT, "answer": TEXT, "source": TEXT, "problem_type": TEXT, "generations": [TEXT],
            "correctness_math_verify": ["BOOLEAN"], "is_reasoning_complete": ["BOOLEAN"],
        },
        problem="problem",
        answer="answer",
        solution="list_filter(list_zip(generations, correctness_math_verify, is_reasoning_complete), "
        "lambda one: one[2] AND one[3])[1][1]",
        origin="source",
        domain="problem_type",
        optional=("source", "problem_type"),
        solution_for_all=False,
    ),
    "math_train": Schema(
        columns={"problem": TEXT, "solution": TEXT, "type": TEXT, "level": TEXT},
        problem="problem",
        answer="boxed(solution)",
        solution="solution",
        domain="type",
        optional=("type", "level"),
    ),
    "deepscaler": Schema(
        columns={"problem": TEXT, "answer": TEXT, "solution": TEXT},
        problem="problem",
        answer="answer",
        optional=("solution",),
    ),
    # Anybody's: with an expert trajectory where there is one.
    "records": Schema(
        columns={"problem": TEXT, "answer": TEXT, "solution": TEXT},
        problem="problem",
        answer=answers("answer"),
        solution="solution",
        optional=("solution",),
    ),
}  # fmt: skip


def sql_type(structure: Structure) -> str:
    """A structure as a type of SQL."""
    if isinstance(structure, str):
        return structure
    if isinstance(structure, list):
        return f"{sql_type(structure[0])}[]"
    return "STRUCT(" + ", ".join(f'"{name}" {sql_type(inner)}' for name, inner in structure.items()) + ")"
