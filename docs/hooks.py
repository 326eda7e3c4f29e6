"""What the site has beside the pages of ``docs``: the files that explain their own folder, and the commands.

A page keeps its place in the repository, so that a link leads to the same page in both.
"""

import re
from pathlib import Path

import typer.cli
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from switchpoint.cli.commands import PANELS, app

ROOT = Path(__file__).parents[1]
FOLDERS = ("config", "envs", "profiles", "results")
PAGES = ("README.md", "CHANGELOG.md", *(f"{name}/README.md" for name in FOLDERS), "docs/*.md", "docs/*.svg")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the site, by their path in the repository."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for path in (path for pattern in PAGES for path in ROOT.glob(pattern)):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    files.append(File.generated(config, "commands.md", content=commands()))
    return files


def on_page_content(html: str, **_) -> str:
    """The search finds words, not source code."""
    return html.replace(
        '<details class="mkdocstrings-source"', '<details data-search-exclude class="mkdocstrings-source"'
    )


def commands() -> str:
    """The reference of every command."""
    group = typer.main.get_command(app)
    context = typer.Context(group)
    text = f"# Commands\n\n{group.help}\n\n"
    for panel in PANELS:
        text += f"## {panel}\n\n"
        for command in group.commands.values():
            if command.rich_help_panel == panel:
                text += typer.cli.get_docs_for_click(
                    obj=command, ctx=context, indent=2, call_prefix="switchpoint"
                )
    # What is no code and yet no Markdown.
    return re.sub("(`[^`]*`)|[[<]", lambda found: found[1] or f"&#{ord(found[0])};", text)
