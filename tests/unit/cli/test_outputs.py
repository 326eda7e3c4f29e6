"""``--out``: an input, a directory or what cannot be written is refused by every command before it computes."""

import os
import sys
from pathlib import Path

import pytest
from test_malformed import APP, FILES

from switchpoint import files
from switchpoint.cli import commands as cli
from switchpoint.cli import outputs
from switchpoint.errors import InputError
from switchpoint.published import claim_table

# Command, its inputs, what computes in it, and its output.
COMMANDS = {
    "fit points.csv --predict asked.csv --method paper --settings settings.csv --out": (
        ["points.csv", "asked.csv", "settings.csv"], "switchpoint.analysis.ceilings.fit_curves"),
    "phases losses.csv --examples examples.csv --out": (
        ["losses.csv", "examples.csv"], "switchpoint.analysis.phases.label_phases"),
    "rank models.csv --out": (["models.csv"], "switchpoint.analysis.ranking.rank"),
    "predict models.csv --out": (["models.csv"], "switchpoint.analysis.predictors.predict"),
    "advise --curves curves.csv --runs runs.csv --ceilings fits.json --phases phases.json --predictors rank.json --out": (
        ["curves.csv", "runs.csv", "fits.json", "phases.json", "rank.json"], "switchpoint.analysis.advice.advise"),
    "report points.csv runs.csv losses.csv --out": (
        ["points.csv", "runs.csv", "losses.csv"], "switchpoint.report.own.inputs_of"),
    "grade pairs.jsonl --out": (["pairs.jsonl"], "switchpoint.grading.grader.grade_file"),
    "import points.csv asked.csv --out": (["points.csv", "asked.csv"], "switchpoint.importer.points.import_files"),
    "published folder --out": (["folder/rl_points.csv"], "switchpoint.published.claim_table.recompute_claims"),
    "lock pairs.jsonl --out": (["pairs.jsonl"], "switchpoint.data.locks.write_lock"),
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with an input for every command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", APP)
    (tmp_path / "folder").mkdir()
    for name, text in {**FILES, "pairs.jsonl": "{}", "folder/rl_points.csv": "x"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def message(monkeypatch, capsys, command: str, out: str) -> str:
    """What a command that refuses its output says."""
    monkeypatch.setattr(sys, "argv", ["switchpoint", *command.split(), out])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr()
    assert ended.value.code == 2, shown
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith(f"error: --out {out}: ")
    assert shown.err.endswith("; name another file\n")
    return shown.err


def test_every_command_with_an_output_is_here():
    named = {name for name, made in APP.commands.items() if any(one.name == "out" for one in made.params)}
    stages = set(cli.stages.app.registered_commands and [
        one.name or one.callback.__name__.replace("_", "-") for one in cli.stages.app.registered_commands])  # fmt: skip
    assert named - stages - {"decontaminate"} == {command.split()[0] for command in COMMANDS}


def test_the_folder_of_decontaminate(here, monkeypatch, capsys):
    """It is no file, and its files are none of the inputs."""
    monkeypatch.setattr("switchpoint.data.decontaminate.screen_files", lambda *_: pytest.fail("it computed"))
    (here / "folder/kept.jsonl").write_text("{}")
    command = "decontaminate --train pairs.jsonl --benchmarks folder/kept.jsonl --out"
    monkeypatch.setattr(sys, "argv", ["switchpoint", *command.split(), "folder"])
    for out, words in {
        "folder": "is the input folder/kept.jsonl",
        "pairs.jsonl": "cannot be written",
    }.items():
        monkeypatch.setattr(sys, "argv", ["switchpoint", *command.split(), out])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_must_not_be_written(here, monkeypatch, capsys, command):
    inputs, computing = COMMANDS[command]
    monkeypatch.setattr(computing, lambda *_: pytest.fail("it computed"))
    os.symlink(inputs[0], "link")
    os.link(inputs[-1], "hard_link")
    os.mkfifo("pipe")
    whole = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    forms = [*inputs, f"./{inputs[0]}", str(here / inputs[-1]), "link", "hard_link"]
    for out in forms:
        said = message(monkeypatch, capsys, command, out)
        assert ": is the input " in said or ": is there, in the input folder" in said
    for out in (
        ("folder", ".", str(here)) if not command.startswith("import") else ()
    ):  # it writes into folders
        assert ": is a directory;" in message(monkeypatch, capsys, command, out)
    assert ": is no regular file;" in message(monkeypatch, capsys, command, "pipe")
    assert ": is no regular file;" in message(monkeypatch, capsys, command, "/dev/stdout")
    for out in (
        f"{inputs[0]}/out.json",
        f"{inputs[0]}/a/out.json",
        "/proc/none/out.json",
        "x" * 300,
        "x" * 250,
    ):
        assert ": cannot be written (" in message(monkeypatch, capsys, command, out)
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == whole


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_of_others_is_not_replaced(here, monkeypatch, capsys, command):
    """The user's notes, another table, another command's result."""
    computing = COMMANDS[command][1]
    monkeypatch.setattr(computing, lambda *_: pytest.fail("it computed"))
    notes = {
        "notes.txt": "to do\n",
        "mine.csv": "run,acc\na,1\n",
        "other.json": '{\n  "mine": 1\n}\n',
        "my.html": "<!DOCTYPE html>",
    }
    for out, text in notes.items():
        Path(out).write_text(text)
        said = message(monkeypatch, capsys, command, out)
        assert f": is there, and is no earlier output of {command.split()[0]};" in said
        assert Path(out).read_text() == text


AGAIN = [
    "fit points.csv --out x.json", "phases losses.csv --out x.json", "rank models.csv --out x.json",
    "predict models.csv --repeats 5 --out x.json", "report points.csv --out x.html", "lock points.csv --out x.lock",
    "advise --curves curves.csv --runs runs.csv --ceilings fits.json --out x.json", "import points.csv --out x.csv",
    "grade pairs.jsonl --workers 1 --out x.jsonl",
]  # fmt: skip


@pytest.mark.parametrize("command", AGAIN)
def test_the_same_command_again_replaces_its_output(here, monkeypatch, capsys, command):
    (here / "pairs.jsonl").write_text('{"gold": "1", "response": "1"}\n')
    out = Path(command.split()[-1])
    out.touch()  # as mktemp makes one
    monkeypatch.setattr(sys, "argv", ["switchpoint", *command.split()])
    found = []
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0, capsys.readouterr()
        found.append(out.read_bytes())
    assert found[0] == found[1] != b""


def test_another_file_is_replaced_by_an_import_that_is_forced(here, monkeypatch):
    Path("mine.csv").write_text("run,acc\na,1\n")
    monkeypatch.setattr(sys, "argv", ["switchpoint", "import", "points.csv", "--out", "mine.csv", "--force"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert Path("mine.csv").read_text().startswith("run,phase,step,exaflops,")


def test_the_output_of_published_is_known(here):
    claim = {"id": "1", "claim": "c", "source": "s", "recomputation": "r", "verdict": "holds"}
    for name in ("claims.json", "claims.csv", "claims.md"):
        claim_table.write_claims([claim], name)
        assert outputs.is_earlier("published", Path(name))


def test_an_output_without_permission(here, monkeypatch):
    out = here / "old.json"
    out.write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out)
    with pytest.raises(InputError, match=r"old\.json: is write-protected; name another file"):
        outputs.check_out("rank", str(out))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(outputs.tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(InputError, match=r"new\.json: cannot be written \(permission denied\)"):
        outputs.check_out("rank", str(here / "new.json"))


def test_an_output_in_a_folder_that_is_missing_is_made_and_an_old_one_replaced(here, monkeypatch, capsys):
    for out in ("a/b/out.json", "a/b/out.json", "folder/out.json"):
        monkeypatch.setattr(sys, "argv", ["switchpoint", "rank", "models.csv", "--out", out])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        assert files.read_json(out)["predictor"] == "pass_8"
    assert sorted(path.name for path in (here / "a/b").iterdir()) == ["out.json"]
    assert outputs.check_out("rank", None, "models.csv") is None
    assert outputs.check_out("rank", "new/out.json", "models.csv", None, "gone.csv") is None
    assert not Path("new").exists()


def test_an_output_by_another_ending_is_refused(here, monkeypatch, capsys):
    for command, said in (
        ("report points.csv --out page.png", "--out page.png: the page is HTML; name it .html"),
        ("import points.csv --out d/x.json", "--out d/x.json: is no name of a folder; name one, or X.csv"),
    ):
        monkeypatch.setattr(sys, "argv", ["switchpoint", *command.split()])
        with pytest.raises(SystemExit):
            cli.main()
        assert said in capsys.readouterr().err
    assert not (here / "page.png").exists()
    assert not (here / "d").exists()
