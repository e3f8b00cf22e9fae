"""README.md and docs/: links, configs and names that exist, and a README that stays short."""

import importlib
import pathlib
import pkgutil
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
EXAMPLE = "vidjax.plugins.mine"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pages
def test_every_relative_link_points_at_a_file(page):
  text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
  links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", link)]
  assert [link for link in links if not (page.parent / link.partition("#")[0]).is_file()] == []


@pages
def test_every_config_and_every_name_exists(page):
  text = page.read_text()
  for name, arg in re.findall(r"\bconfigs/(\w+)\.py(?::([\w,=-]+))?", text):
    importlib.import_module(f"configs.{name}").get_config(*[arg] if arg else [])
  for name in set(re.findall(r"\b(?:vidjax|experiments)(?:\.[a-zA-Z_]\w*)+", text)):
    if not name.startswith(EXAMPLE):
      pkgutil.resolve_name(name)


def flags(module: str) -> set[str]:
  """The flags that a command's package defines, and those of all commands."""
  path = ROOT.joinpath(*module.split("."))
  files = [*path.rglob("*.py"), path.with_suffix(".py"), ROOT / "vidjax" / "command.py"]
  text = "".join(file.read_text() for file in files if file.is_file())
  if "experiments.tables.command" in text:
    text += "".join(file.read_text() for file in (ROOT / "experiments" / "tables").glob("*.py"))
  return {*re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text), *["config"] * ("define_config(" in text)}


@pages
def test_every_flag_of_a_command_exists(page):
  commands = re.findall(r"python -m ((?:vidjax|experiments)[\w.]*)([^\n`|;#>]*)", page.read_text().replace("\\\n", " "))
  for module, arguments in commands:
    for name in re.findall(r"(?<![\w-])--(\w+)", arguments):
      assert {name, name.removeprefix("no")} & flags(module), f"{module} --{name}"


@pages
def test_extras_are_installed_in_one_form(page):
  assert "pip install 'vidjax[" not in page.read_text(), "vidjax is on no index: -e '.[EXTRA]'"


def test_the_readme_is_short():
  assert len((ROOT / "README.md").read_text().splitlines()) <= 150
