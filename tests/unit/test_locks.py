"""The locks: every package pinned, with hashes, once; and every install of the project's own checks them."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "envs").glob("*.lock"))
HASHES = r"(?: --hash=sha256:[0-9a-f]{64})+"
PINNED = re.compile(rf"(?P<name>[a-z0-9-]+)==(?P<version>[\w.!+]+)(?: ; sys_platform == 'linux')?{HASHES}")


def packages(lock: Path) -> dict[str, str]:
    """Name to version of every requirement of a lock; fails at a line that is not pinned with a hash."""
    text = re.sub(r"^#.*\n", "", lock.read_text(), flags=re.MULTILINE)
    lines = re.sub(r" *\\\n *", " ", text).splitlines()
    found = [PINNED.fullmatch(line) for line in lines]
    assert all(found), f"{lock}: {lines[found.index(None)]}"
    return {match["name"]: match["version"] for match in found}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_line_is_pinned_with_hashes(lock):
    assert packages(lock)


def test_no_package_is_locked_twice_and_the_builds_and_torchs_are_there():
    locked = Counter(item for lock in LOCKS for item in packages(lock).items())
    builds = {("torch", "2.13.0"), ("torch", "2.13.0+cpu")}  # one of them is installed
    names = Counter(name for name, _ in locked.keys() - builds)
    assert builds <= locked.keys()
    assert max(locked.values()) == max(names.values()) == 1
    assert len(names) > 200
    torchs = "filelock fsspec jinja2 markupsafe mpmath networkx setuptools sympy typing-extensions"
    assert set(torchs.split()) <= names.keys()


def test_every_install_checks_hashes():
    """Each line that installs names a lock and asks for hashes, or installs the project alone."""
    text = (ROOT / "Makefile").read_text() + (ROOT / "envs/install.sh").read_text()
    text = text.replace("$hashed", re.search('hashed="(.*)"', text)[1])
    commands = re.findall(r"pip install .*", text)
    used = set()
    for command in commands:
        locks = set(re.findall(r"(\w+)\.lock", command))
        used |= locks
        if locks:
            assert "--require-hashes" in command
            assert "--no-deps" in command
        else:
            assert command.endswith(("--no-deps --no-build-isolation -e ..", '--require-hashes"'))
    assert used == {lock.stem for lock in LOCKS}
    assert "https:" not in text + "".join(lock.read_text() for lock in LOCKS)
