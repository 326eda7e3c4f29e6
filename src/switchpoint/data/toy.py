"""Generated rows in the schemas of the raw files, for a study at ``scale: tiny``: step-list arithmetic, dressed as each.

The data sets draw from one stock of problems, so that they overlap as the real ones do; benchmarks have their own.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

from switchpoint import files
from switchpoint.data.adapters import ADAPTERS, after_hashes, boxed
from switchpoint.data.schemas import SKYWORK_SOLVERS
from switchpoint.data.step_lists import make_problem
from switchpoint.study.sources import BenchmarkFile, Dataset, Keep

STEPS, TIERS = (2, 4), [1, 2]
STOCK = 3  # problems of the stock to a row of a source
TRIES = 16
Row = Callable[[dict, Keep], dict]


def write_rows(source: Dataset | BenchmarkFile, name: str, path: Path) -> None:
    """Writes ``source.toy`` rows, as JSON lines in the schema of the source of this name."""
    rng = random.Random(f"toy-{name}")
    if source.kind == "benchmark":
        rows = [
            benchmark_row(make_problem(f"toy-{name}-{number}", STEPS, TIERS), source.benchmark)
            for number in range(source.toy)
        ]
    else:
        drawn = rng.sample(range(STOCK * source.toy), source.toy)
        rows = [ROWS[source.dataset](problem(number), source.keep) for number in drawn]
    files.write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def problem(number: int) -> dict:
    """A problem of the stock; ``solved`` says how often of ``TRIES`` a weak solver solves it: the fewer steps, the oftener."""
    made = make_problem(f"toy-{number}", STEPS, TIERS)
    solved = {2: (TRIES,), 3: (4, 8, 12, TRIES), 4: (0, 4, 8)}[made["n_steps"]]
    return made | {"solved": random.Random(number).choice(solved)}


def benchmark_row(made: dict, schema: str) -> dict:
    """A benchmark's row: its problem, and its gold as the schema writes it."""
    [column, *_], [gold, *_], read = ADAPTERS[schema]
    written = {after_hashes: f"So #### {made['answer']}", boxed: f"\\boxed{{{made['answer']}}}"}
    return {column: made["problem"], gold: written.get(read, made["answer"])}


def asked(wanted: list[str] | None, else_: str) -> str:
    """What a row has to say of itself to be kept."""
    return wanted[0] if wanted else else_


def thought(made: dict) -> str:
    """The expert trajectory of a model that thinks first."""
    return f"<think>\n{made['problem']}\n</think>\n\n{made['solution']}"


def verl_row(made: dict, keep: Keep) -> dict:
    """A row of verl's columns."""
    return {
        "data_source": asked(keep.origins, "toy"), "ability": asked(keep.domains, "math"),
        "prompt": [{"role": "user", "content": made["problem"]}], "reward_model": {"ground_truth": made["answer"]},
        "extra_info": {"question": made["problem"], "answer": made["solution"]},
    }  # fmt: skip


def am_1_4m_row(made: dict, keep: Keep) -> dict:
    """A row of AM-DeepSeek-R1-Distilled-1.4M."""
    info = {"source": asked(keep.origins, "toy"), "reference_answer": made["answer"], "test_case": None}
    teacher = {"source": asked(keep.teachers, "am-0309"), "reference_answer": None, "test_case": None}
    return {"messages": [{"role": "user", "content": made["problem"], "info": info},
                         {"role": "assistant", "content": made["solution"], "info": teacher}]}  # fmt: skip


def am_40m_row(made: dict, keep: Keep) -> dict:
    """A row of AM-DeepSeek-Distilled-40M."""
    rate = made["solved"] / TRIES
    return {
        "question": made["problem"], "answer": made["solution"], "ground_truth": made["answer"], "verify_score": 1.0,
        "question_source": asked(keep.origins, "toy"), "answer_source": asked(keep.teachers, "toy"),
        "category": asked(keep.domains, "math"), "model_name": asked(keep.teachers, "toy"),
        "pass_rate_1.5b": rate, "pass_rate_7b": min(1.0, rate + 0.25), "pass_rate_r1": 1.0,
    }  # fmt: skip


def skywork_row(made: dict, keep: Keep) -> dict:
    """A row of Skywork-OR1, which counts failures."""
    failures = dict.fromkeys(SKYWORK_SOLVERS.values(), min(TRIES - made["solved"] + 1, TRIES - 1))
    return verl_row(made, keep) | {"extra_info": {"model_difficulty": failures}}


def s1k_row(made: dict, keep: Keep) -> dict:
    """A row of s1K-1.1."""
    return {
        "question": made["problem"], "solution": made["answer"], "source_type": asked(keep.origins, "toy"),
        "cot_type": asked(keep.domains, "math"), "deepseek_thinking_trajectory": made["problem"],
        "deepseek_attempt": made["solution"], "deepseek_grade": "Yes",
    }  # fmt: skip


def nemotron_row(made: dict, keep: Keep) -> dict:
    """A row of Llama-Nemotron-Post-Training-Dataset, or of AceReason."""
    teacher, origin = asked(keep.teachers, "DeepSeek-R1"), asked(keep.origins, "toy")
    return {"input": made["problem"], "output": thought(made), "category": asked(keep.domains, "math"),
            "generator": teacher, "source": origin, "reasoning": "on"}  # fmt: skip


def openr1_row(made: dict, keep: Keep) -> dict:
    """A row of OpenR1-Math, with one generation."""
    return {
        "problem": made["problem"], "answer": made["answer"], "source": asked(keep.origins, "toy"),
        "problem_type": asked(keep.domains, "Algebra"), "generations": [thought(made)], "correctness_math_verify": [True],
        "is_reasoning_complete": [True],
    }  # fmt: skip


def math_row(made: dict, keep: Keep) -> dict:
    """A row of MATH, or of a data set of its columns."""
    return {"problem": made["problem"], "solution": made["solution"], "answer": made["answer"],
            "type": asked(keep.domains, "Algebra"), "level": "Level 1"}  # fmt: skip


ROWS: dict[str, Row] = {
    "am_1_4m": am_1_4m_row,
    "am_40m": am_40m_row,
    "skywork_or1": skywork_row,
    "s1k_1_1": s1k_row,
    "retu_sft": verl_row,
    "retu_rl": verl_row,
    "retu_mix": lambda made, keep: (
        verl_row(made, keep) | {"target": [{"role": "assistant", "content": made["solution"]}]}
    ),
    "llama_nemotron": nemotron_row,
    "acereason": nemotron_row,
    "openr1_math": openr1_row,
    "math_train": math_row,
    "deepscaler": math_row,
    "records": math_row,
}
