"""Snakemake's own report of a finished study: what the page shows, and no network."""

import json
import re
from zipfile import ZipFile

from study import snakemake


def test_it_has_every_figure_and_table_of_the_page_with_its_caption(finished, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    snakemake(finished, "--report", str(tmp_path / "study.zip"))
    page = (finished / "results/tiny/report.html").read_text(encoding="utf-8")
    shown = re.findall(
        r'<figure id="(.*?)"><figcaption><h3>(.*?)</h3><p>(.*?)</p>.*?tabindex="0".*?><(svg|table)',
        page,
        re.DOTALL,
    )
    assert len(shown) > 15
    with ZipFile(tmp_path / "study.zip") as archive:
        report = archive.read("study/report.html").decode()
        there = {name.partition("/data/raw/")[2].partition("/")[2] for name in archive.namelist()} - {""}
    kinds = {"svg": "figures/{}.svg", "table": "tables/{}.html"}
    assert there == {kinds[kind].format(name) for name, _, _, kind in shown} | {"report.html"}
    results = json.loads(re.search(r"results = (\{.*\})", report)[1])
    for name, title, caption, kind in shown:
        result = results[f"results/tiny/report/{kinds[kind].format(name)}"]
        assert f"<strong>{title}</strong>" in result["caption"]
        assert f"<p>{caption}</p>" in result["caption"]
    categories = json.loads(re.search(r"categories = (\{.*\})", report)[1])
    assert {"0. All on one page", "1. The answer", "2. Compute and scores"} <= set(categories)
