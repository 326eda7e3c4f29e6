"""``scale: tiny``: a study in miniature, to try all of its jobs on any machine before they cost anything.

Every rule runs and every run is there, with two seeds where that is enough: tiny models of the same architectures, generated
rows in the schemas of the raw files, as many SFT steps as there are checkpoints, two RL steps.  Its numbers say nothing of the
study's.
"""

from switchpoint.study.names import Start

RL = {
    "steps": 2, "batch_size": 2, "rollouts": 4, "max_rounds": 2, "microbatch_size": 8, "max_new_tokens": 64, "eval_every": 1,
    "save_every": 1, "learning_rate": 1.5e-4,
}  # fmt: skip
ROWS, HELD_OUT = 800, 24  # rows of a data set, and of a benchmark
DRAWN = 16, 100  # examples of a set at least, and at most
SFT = {"batch_size": 8, "microbatch_size": 8, "learning_rate": 1e-3}
SAMPLES, MAX_LENGTH, MONITOR = 4, 512, 6


def tiny(study: dict) -> dict:
    """The configuration of a valid study (as JSON has it, with the keys that are given) in miniature."""
    model, data = study["model"], study["data"]
    model |= {"rollouts": "torch", "engine": "torch", "dtype": "float32", "max_length": MAX_LENGTH}
    is_toy = isinstance(model.get("base"), dict)
    if is_toy and model["base"]["kind"] != "tiny":
        # A template's special tokens are its own tokenizer's.
        model["base"] |= {"toy": True, "chat_template": None}
    for source in data["sources"].values():
        if source["kind"] in ("dataset", "benchmark"):
            source["toy"] = ROWS if source["kind"] == "dataset" else HELD_OUT
        elif "size" in source:
            source["size"] = min(source["size"], ROWS)
        if source["kind"] == "word_problems" and is_toy:  # whose words the tiny model does not know
            for key in ("lock", "operations"):
                source.pop(key, None)
            source |= {"kind": "step_lists", "n_steps": [2, 4], "tiers": [1, 2]}
    shrink_data(data)
    keep_few_seeds([*study["sft"].values(), *study["arms"]])
    steps = {name: shrink_sft(run) for name, run in study["sft"].items()}
    study["rl"] |= RL | ({"generation_batch": 4} if study["rl"].get("generation_batch") else {})
    for arm in study["arms"]:
        arm["starts"] = [renamed(start, steps) for start in arm["starts"]]
        arm.pop("learning_rate", None)
    shrink_evaluation(study["evaluation"])
    return study | {"study": f"{study['study']}_tiny", "resources": {}}


def shrink_data(data: dict) -> None:
    """Draws that generated sources have rows for, and an embedder that is here."""
    data["validation"] = min(data.get("validation", HELD_OUT), HELD_OUT)
    measured = data.get("solver") and not data["solver"].get("given")
    for one in data["sets"].values():
        if measured and one.get("stratum") in ("easy", "hard"):
            one["stratum"] = "uniform"  # a solver in miniature may leave those empty
        if one.get("size"):
            one["size"] = min(one["size"], max(one["size"] // 1000, DRAWN[0]), DRAWN[1])
    if data["prompts"].get("size"):
        data["prompts"]["size"] = min(data["prompts"]["size"], DRAWN[1])
    if data.get("solver"):
        data["solver"] |= {
            "steps": 2,
            "batch_size": 8,
            "samples": SAMPLES,
            "max_new_tokens": RL["max_new_tokens"],
        }
    for bench in data["benchmarks"].values():
        bench["monitor"] = min(bench["monitor"], MONITOR)
        if bench.get("samples"):
            bench["samples"] = min(bench["samples"], SAMPLES)
    # Generated problems differ by their numbers alone.
    similar = {"embedder": "all-MiniLM-L6-v2", "match_numbers": True}
    data["decontamination"] = data.get("decontamination", {}) | similar


def keep_few_seeds(runs: list[dict]) -> None:
    """Leaves two seeds to runs and arms, or as many as it takes for each to have one."""
    seeds = [set(run.get("seeds", [0])) for run in runs]
    kept: set[int] = set()
    for one in sorted(seeds, key=len):
        if not kept & one:
            kept.add(min(one))
    for seed in sorted(set().union(*seeds)):
        if len(kept) < 2:
            kept.add(seed)
    for run in runs:
        run["seeds"] = [seed for seed in run.get("seeds", [0]) if seed in kept]


def shrink_sft(run: dict) -> dict[int, int]:
    """A run with a step for each checkpoint; returns the new step of each old one."""
    saved = sorted(run["save_steps"])
    steps = max(2, len(saved) + (saved[-1] != run["steps"]))
    first = steps - len(saved) + 1 if saved[-1] == run["steps"] else 1
    new = {old: first + number for number, old in enumerate(saved)}
    run |= SFT | {"steps": steps, "save_steps": [new[step] for step in run["save_steps"]]}
    return new


def renamed(start: str, steps: dict[str, dict[int, int]]) -> str:
    """The name of a start after its checkpoint got another step."""
    if start == "all":
        return start
    parsed = Start.parse(start)
    return start if parsed.step is None else f"{parsed.set}-{steps[parsed.set][parsed.step]}"


def shrink_evaluation(evaluation: dict) -> None:
    """Few and short samples."""
    from switchpoint.study.config import PROFILES  # which parses by this

    given = {key: value for key, value in evaluation.items() if value is not None}
    values = PROFILES[evaluation.get("profile", "retu")] | given
    evaluation |= {
        "test_samples": min(values["test_samples"], SAMPLES), "pass_at": [k for k in values["pass_at"] if k <= SAMPLES],
        "max_new_tokens": RL["max_new_tokens"], "monitor_samples": 1,
    }  # fmt: skip
