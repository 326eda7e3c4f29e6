"""What happens to a file on a bad disk or by a wrong hand."""

import shutil
from pathlib import Path

DAMAGES = ("truncate", "empty", "flip", "delete", "directory")


def damage(path: Path, kind: str, where: float = 0.5) -> None:
    """Damages a file; ``where`` (0..1) is the place of the cut or of the flipped byte.

    Under a new name first, as a published file may be another name of the state's.
    """
    data = bytearray(path.read_bytes())
    at = min(int(where * len(data)), len(data) - 1)
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind != "delete":
        data[at] ^= 0x11
        path.write_bytes(data if kind == "flip" else data[: at if kind == "truncate" else 0])


def copy(source: Path, target: Path) -> Path:
    """A copy of a folder."""
    return Path(shutil.copytree(source, target))
