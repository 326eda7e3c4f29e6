"""Points from other people's logs and tables, as ``curves.csv``.

One path is one run, or as many as the file itself names; with ``one_run`` the paths are parts of one.  A score logged
at step n is that of the model after n steps; compute counts from the run's own start, step 0.  What is read and not
used is counted in the summary, and what is guessed or may surprise is a sentence there, in ``said``.
"""

import pandas as pd

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.importer import curves
from switchpoint.importer.gathering import gather, prepared, summary_of
from switchpoint.importer.options import Options, with_runs


def import_files(paths: list[str], out: str, file_format: str | None, options: Options) -> dict:
    """Writes the points of ``paths`` to the csv file ``out``; returns the summary of ``import_points``."""
    points, summary = import_points(paths, file_format, options)
    files.write_text(out, points.to_csv(index=False))
    return summary | {"written": [out]}


def import_points(paths: list[str], file_format: str | None, options: Options) -> tuple[pd.DataFrame, dict]:
    """Points of the files, checked, with a summary of what was read and left.

    ``file_format`` is one of ``FORMATS``; without it each path's is found in its content.

    Returns the points (the columns of ``curves.csv``, sorted by run, compute and benchmark) and a summary:
    ``format``; ``unit``; ``runs`` and ``benchmarks``, with their numbers of points; ``counts`` of what was read and
    left; ``not_fittable``: benchmarks that ``check_points`` refuses, and why; ``said``.  InputError names the file, the
    row or step, and the fix.
    """
    formats, found = gather(paths, file_format, options)
    options = with_runs(found.phases, options)
    if not found.rows:
        raise InputError(f"{paths[0]}: no scores there; map the tags or columns that hold them")
    rows = prepared(found, options)
    rows = curves.with_overall(rows, found.weights, found.counts)
    points = curves.curves_table(rows, found.weights, options.sft_exaflops)
    summary = summary_of(formats, found, points)
    reasons = summary["not_fittable"]
    if len(reasons) == points["benchmark"].nunique():
        raise InputError(f"{next(iter(reasons.values()))}, or give --p-start, or its set's SFT sweep with it")
    return curves.in_unit(points, found.unit), summary
