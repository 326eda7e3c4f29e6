"""A study's file that is not what it seems: one line that names the place and the fix, and no bomb goes off."""

import contextlib
import gzip
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study import yaml_file

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "config.yaml").read_text()
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MERGES = "m0: &m0 {k: 1}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
)
STUDY = "study: quickstart"
FILES = {
    "empty": ("", "holds no study (no keys); start from config.yaml"),
    "a comment": ("# none\n", "holds no study (no keys)"),
    "a list": ("- a\n", "holds no study (no keys)"),
    "a word": ("hello\n", "holds no study (no keys)"),
    "Latin-1": ((TEXT + "# \xe9\n").encode("latin-1"), "is not UTF-8; save the YAML file as UTF-8"),
    "UTF-16": (TEXT.encode("utf-16"), "binary, or UTF-16; save the YAML file as UTF-8"),
    "binary": (bytes(range(256)), "binary, or UTF-16"),
    "gzip": (gzip.compress(TEXT.encode()), "is gzip-compressed; decompress it"),
    "a NUL": (TEXT + "x: \0\n", "binary, or UTF-16"),
    "a key twice": (TEXT + "seed: 5\n", "the key 'seed' stands twice; keep one"),
    "a key twice, below": (TEXT.replace("rl:\n", "rl:\n  steps: 3\n"), "the key 'steps' stands twice"),
    "a key twice, as JSON": ('{"study": "a", "study": "b"}', "line 1: the key 'study' stands twice"),
    "a date": (TEXT.replace(STUDY, "study: 2020-01-01"), ": study has the YAML tag 'timestamp'; write text in quotes"),
    "a binary tag": (TEXT.replace(STUDY, "study: !!binary aGk="), ": study has the YAML tag 'binary'"),
    "a set": (TEXT.replace(STUDY, "study: !!set {a}"), ": study has the YAML tag 'set'"),
    "an object": (TEXT.replace(STUDY, "study: !!python/object/apply:os.getcwd []"), "python/object/apply:os.getcwd"),
    "an unknown tag": (TEXT.replace(STUDY, "study: !mine x"), ": study has the YAML tag '!mine'"),
    "a template": (TEXT + "__use_yte__: true\n", "has the key __use_yte__; a study is no template"),
    "a directive": ("%TAG ! x\n---\n" + TEXT, "% directive; start from config.yaml"),
    "deep lists": (TEXT + "x: " + "[" * 100_000, "nested more than 30 deep; write it flat"),
    "deep sections": (TEXT + "x: " + "{a: " * 5000, "nested more than 30 deep"),
    "deep blocks": (TEXT + "x:\n" + "".join(" " * i + "-\n" for i in range(1, 500)), "nested more than 30 deep"),
    "laughs": (LAUGHS + TEXT, "more than 100000 values, with what aliases stand for"),
    "laughs in merges": (MERGES + TEXT, "more than 100000 values, with what aliases stand for"),
    "an alias in itself": (TEXT + "x: &x [*x]\n", "more than 30 levels of nesting"),
    "an alias in itself, doubled": (TEXT + "x: &x [*x, *x]\n", "more than 30 levels of nesting"),
    "an alias of nothing": (TEXT + "x: *none\n", "not valid YAML (found undefined alias); mend the line"),
    "many values": (TEXT + "x: [" + "1," * 200_000 + "]\n", "more than 100000 values"),
    "much text": (TEXT + "# " + "x" * 3_000_000, "longer than 2097152 characters"),
    "a long text": (TEXT.replace(STUDY, "study: " + "a" * 10**6), ": study is 1000000 characters long; write at most"),
    "a long key": (TEXT + "? " + "a" * 100_000 + "\n: 1\n", "the key 'aaa"),
    "a long number": (TEXT.replace("seed: 0", "seed: " + "9" * 5000, 1), ": seed is 5000 characters long"),
    "an octal number": (TEXT.replace("seed: 0", "seed: 010", 1), ": seed is '010', which YAML reads as another"),
    "a time of day": (TEXT.replace("steps: 100", "steps: 1:30", 1), ": rl.steps is '1:30', which YAML reads as another"),
    "a number as key": (TEXT + "1: 2\n", "the key '1' is no text; put it in quotes"),
    "no key": (TEXT + "~: 2\n", "the key '~' is no text"),
    "a list as key": (TEXT + "? [a, b]\n: 2\n", "is no text; put it in quotes"),
    "two documents": (TEXT + "---\nstudy: b\n", "not valid YAML (but found another document)"),
    "a tab": (TEXT + "x:\n\t- a\n", "not valid YAML (found character that cannot start any token)"),
    "an open bracket": (TEXT + "x: [1, 2\n", "not valid YAML (did not find expected ',' or ']')"),
    "a merge of a number": (TEXT + "x: {<<: 3}\n", "not valid YAML (expected a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("how", FILES)
def test_a_file_that_holds_no_plain_study(tmp_path, how):
    content, words = FILES[how]
    path = tmp_path / "study.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    started = time.process_time()
    with pytest.raises(InputError) as refused:
        studies.load(path)
    assert time.process_time() - started < 5
    assert str(refused.value).startswith(str(path))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "; " in str(refused.value)
    assert len(str(refused.value)) < 300 + len(str(path))


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: no such file; give a YAML file"):
        studies.load(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a directory; give a YAML file"):
        studies.load(tmp_path)


def test_anchors_merges_and_odd_but_plain_forms_are_taken(tmp_path):
    path = tmp_path / "study.yaml"
    plain = studies.load(ROOT / "config.yaml")
    path.write_text(yaml.safe_dump(yaml.safe_load(TEXT) | {"seed": 0}))
    assert studies.load(path) == plain
    defaults = "model: &model\n  base: {kind: tiny}\n"
    merged = TEXT.replace("model:\n  base: {kind: tiny}\n", defaults) + "x: {<<: *model, base: other}\n"
    path.write_bytes(b"\xef\xbb\xbf" + merged.encode())
    assert yaml_file.read_yaml(path)["x"] == {"base": "other"}
    path.write_text(TEXT.replace("seed: 0", "seed: 1_000", 1))
    assert studies.load(path).seed == 1000


def changed(path: str, value) -> dict:
    """The default study with one key (dotted) set."""
    config = yaml.safe_load(TEXT)
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[last] = value
    return config


VALUES = [
    ("data.prompts.win_rate", [1.0, 0.0], "data.prompts.win_rate: [1.0, 0.0]: give two numbers with 0 <= low <= high"),
    ("data.prompts.win_rate", [0.0, 1.5], "data.prompts.win_rate: [0.0, 1.5]: give two numbers"),
    ("data.prompts.win_rate", [-0.5, 1.0], "data.prompts.win_rate: [-0.5, 1.0]: give two numbers"),
    ("data.prompts.size", 100_000, "data.prompts.size is 100000, but its sources have"),
    ("data.prompts.sources", ["pool", "pool"], "data.prompts.sources: ['pool', 'pool'] repeats a value"),
    ("data.pool", ["pool", "pool"], "data.pool: ['pool', 'pool'] repeats a value; list each once"),
    ("data.validation", 5000, "data.validation is 5000, but the pool has"),
    ("data.sources.solver.solutions", False, "data.solver.source is 'solver', which has no expert trajectories"),
    ("data.sources.pool.size", 10**15, "data.sources.pool.step_lists.size: Input should be less than or equal to"),
    ("data.solver.source", "nowhere", "data.solver.source names the source 'nowhere'"),
    ("evaluation.parts", 1_000_000, "evaluation.parts: Input should be less than or equal to 1000"),
    ("evaluation.parts", 1000, "models are evaluated in 1000 parts each; the product may be 20000"),
    ("evaluation.pass_at", [1, 1], "evaluation.pass_at: [1, 1] repeats a value"),
    ("rl.steps", 10**30, "rl.steps: Input should be less than or equal to 10000000"),
    ("rl.steps", True, "rl.steps: Input should be a valid integer, but it is True"),
    ("rl.learning_rate", float("inf"), "rl.learning_rate: Input should be a finite number, but it is inf"),
    ("rl.preset", "x" * 4000, "rl.preset: Input should be"),
    ("rl", None, "rl: Input should be an object, but it is None"),
    ("study", "a" * 200, "study: String should have at most 100 characters, but it is 'aaa"),
    ("seed", -1, "seed: Input should be greater than or equal to 0"),
    ("seed", 10**4000, "seed: Input should be less than or equal to 4294967295, but it is 1000"),
    ("my key", 1, "my key: unknown key; remove it"),
    ("arms", [{"algorithm": "grpo", "starts": ["base"], "seeds": list(range(30_000))}], "models are evaluated"),
    ("arms", [{"algorithm": "grpo", "starts": ["all"] * 5_000}], "models are evaluated in 1 parts each"),
    ("model.pretrain", [{"steps": 1, "learning_rate": 1.0, "facts_share": 0.5, "n_steps": [6, 2]}], "n_steps: [6, 2]: give"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "words"), VALUES, ids=[f"{v[0]}-{str(v[1])[:20]}" for v in VALUES])
def test_a_value_that_no_study_has(path, value, words):
    started = time.process_time()
    with pytest.raises(InputError) as refused:
        studies.parse(changed(path, value))
    assert time.process_time() - started < 5
    assert str(refused.value).startswith("the study's configuration is wrong: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


# As YAML 1.1 has them: without a point or the exponent's sign they are text.
NUMBERS = {
    "learning_rate: 1e-4": ("rl.learning_rate", "'1e-4'", "1.0e-4, with a point and a signed exponent"),
    "learning_rate: 1E-4": ("rl.learning_rate", "'1E-4'", "1.0e-4"),
    "learning_rate: 2.2e4": ("rl.learning_rate", "'2.2e4'", "2.2e+4"),
    "learning_rate: -1e4": ("rl.learning_rate", "'-1e4'", "-1.0e+4"),
    "learning_rate: .5e4": ("rl.learning_rate", "'.5e4'", "0.5e+4"),
    "learning_rate: 5.e4": ("rl.learning_rate", "'5.e4'", "5.0e+4"),
    "importance_cap: 1e0": ("rl.importance_cap", "'1e0'", "1.0e+0"),
    "betas: [9e-1, 0.99]": ("rl.betas.0", "'9e-1'", "9.0e-1"),
    "steps: 1e5": ("rl.steps", "'1e5'", "100000, in digits"),
    "steps: 1.5e3": ("rl.steps", "'1.5e3'", "1500, in digits"),
    "generation_batch: 2e1": ("rl.generation_batch", "'2e1'", "20, in digits"),
}


@pytest.mark.parametrize("line", NUMBERS)
def test_a_number_that_yaml_takes_for_text(tmp_path, line):
    key, given_text, wanted = NUMBERS[line]
    path = tmp_path / "study.yaml"
    name = line.partition(":")[0]
    rl = {k: v for k, v in yaml.safe_load(TEXT)["rl"].items() if k != name}
    path.write_text(yaml.safe_dump(yaml.safe_load(TEXT) | {"rl": None}).replace("rl: null", "rl: {X}"))
    path.write_text(
        path.read_text().replace("{X}", f"{{{line}, {yaml.safe_dump(rl, default_flow_style=True)[1:-2]}}}")
    )
    with pytest.raises(InputError) as refused:
        studies.load(path)
    assert str(refused.value).startswith(
        f"the study's configuration is wrong: {key}: YAML takes {given_text} for text; write {wanted}"
    )
    # What it says is taken, or refused for its size alone.
    number = yaml.safe_load(wanted.partition(",")[0])
    assert isinstance(number, int if "digits" in wanted else float)
    assert number == float(given_text.strip("'"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("40", "rl.steps: '40' is text; write it without quotes"),
        ("1e-1", "rl.steps: '1e-1' is no whole number of at most 15 digits; write one in digits"),
        ("1e999999999", "rl.steps: '1e999999999' is no whole number of at most 15 digits"),
        ("many", "rl.steps: Input should be a valid integer, but it is 'many'"),
        ("e5", "rl.steps: Input should be a valid integer, but it is 'e5'"),
        (1.0e5, "rl.steps: Input should be a valid integer, but it is 100000.0"),
    ],
)
def test_what_else_stands_for_a_whole_number(value, words):
    with pytest.raises(InputError) as refused:
        studies.parse(changed("rl.steps", value))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_sources_without_expert_trajectories():
    """Benchmarks have none, which is known before any is read; of files it is not."""
    benchmark = {"kind": "benchmark", "benchmark": "gsm8k", "path": "gsm8k.jsonl", "lock": "gsm8k.lock"}
    with pytest.raises(InputError, match="'solver', which has no expert trajectories"):
        studies.parse(changed("data.sources.solver", benchmark))
    config = changed("data.sources.pool", benchmark)
    config["data"]["sources"]["prompts"]["solutions"] = False
    with pytest.raises(InputError, match="has no expert trajectories; add a source of kind file"):
        studies.parse(config)
    file = {"kind": "file", "path": "mine.jsonl", "lock": "mine.lock"}
    assert studies.parse(changed("data.sources.solver", file))


def test_many_wrong_keys_are_counted():
    with pytest.raises(InputError) as refused:
        studies.parse(yaml.safe_load(TEXT) | {f"key_{i}": i for i in range(5000)})
    assert len(str(refused.value).split("\n")) == 22
    assert "and 4980 more" in str(refused.value)


def test_what_the_command_line_makes_of_a_date():
    with pytest.raises(InputError, match="date is not JSON serializable; write text in quotes"):
        studies.parse(changed("study", yaml.safe_load("2020-01-01")))


@given(st.text(max_size=60) | st.text("{}[]&*!%:,-?|>'\"#~<\n\t 01ab", max_size=60))
def test_any_text_is_taken_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    for content in (text, f"{TEXT}\nx: {text}"):
        path.write_text(content, encoding="utf-8")
        with contextlib.suppress(InputError):
            studies.load(path)
