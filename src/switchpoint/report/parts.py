"""The figures and tables of a study's page one by one, as Snakemake's own report has them."""

import html
from pathlib import Path

from switchpoint import files
from switchpoint.report import page


def write(content: dict[str, list[str]], folder: str | Path) -> None:
    """Writes what stands on a page, ``content`` as of ``page.content_of``, into a folder, which is emptied before.

    ``figures/<name>.svg``; ``tables/<name>.html``, which sorts as on the page, and ``.csv``; ``captions/<name>.html``, title and
    caption of either; ``contents.json``, {name: {"category": the page's section, "labels": {"finding": the title}}}.
    """
    folder, contents = Path(folder), {}
    files.remove(folder)
    for number, (section, blocks) in enumerate(content.items(), start=1):
        for block in (one for one in blocks if isinstance(one, page.Block)):
            contents[block.name] = {"category": f"{number}. {section}", "labels": {"finding": block.title}}
            if block.svg is None:
                files.write_text(folder / f"tables/{block.name}.html", alone(block))
                files.write_text(folder / f"tables/{block.name}.csv", block.csv)
            else:
                files.write_text(folder / f"figures/{block.name}.svg", block.svg)
            caption = (
                f"<p><strong>{html.escape(block.title)}</strong></p><p>{html.escape(block.caption)}</p>\n"
            )
            files.write_text(folder / f"captions/{block.name}.html", caption)
    files.write_json(folder / "contents.json", contents)


def alone(block: page.Block) -> str:
    """A page of one table, which needs no other file."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(block.title)}</title>'
        f"<style>{page.part('page.css')}</style></head><body>{block}<script>{page.script()}</script></body></html>\n"
    )
