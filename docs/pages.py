"""What mkdocs adds to this folder: pages of the root, a reference of each module, and the equations."""

import pathlib
import re
from typing import Any

import equations  # beside this file
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[1]
COPIED = {
  "README.md": "index.md",
  "CONTRIBUTING.md": "contributing.md",
  "CHANGELOG.md": "changelog.md",
  "experiments/results/tables.md": "mini.md",
}


def modules() -> dict[str, str]:
  """Names of all modules but commands, with their pages."""
  pages = {}
  for path in sorted(ROOT.glob("vidjax/**/*.py")):
    *folders, stem = path.relative_to(ROOT).with_suffix("").parts
    if stem == "__init__":
      pages[".".join(folders)] = "/".join(["api", *folders[1:], "index.md"])
    elif stem != "__main__":
      pages[".".join([*folders, stem])] = "/".join(["api", *folders[1:], f"{stem}.md"])
  return pages


def on_config(config: MkDocsConfig) -> MkDocsConfig:
  """Puts the modules into the navigation, those of a package in a section of its own."""
  reference: list[Any] = []
  sections = {"vidjax": reference}
  for name, page in modules().items():
    package, _, stem = name.rpartition(".")
    if page.endswith("index.md") and package:
      sections[name] = []
      sections[package].append({stem: sections[name]})
    sections.get(name, sections.get(package, reference)).append({stem: page})
  config.nav = [*config.nav, {"Reference": reference}]
  return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
  """Adds the pages."""
  for name, page in COPIED.items():
    files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
  for name, page in modules().items():
    files.append(File.generated(config, page, content=f"# {name}\n\n::: {name}\n"))
  files.append(File.generated(config, "equations.md", content=equations.page(modules())))
  return files


def on_page_markdown(markdown: str, **_: Any) -> str:
  """What GitHub reads and MkDocs does not: links between the root and `docs/`, and a list right below its sentence."""
  for name, page in COPIED.items():
    markdown = re.sub(rf"\]\((\.\./)?{re.escape(name)}", f"]({page}", markdown)
  return re.sub(r":\n(?=- )", ":\n\n", markdown.replace("](docs/", "]("))
