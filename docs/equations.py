"""From each equation of the five sources to the code that is it, as the docstrings of `vidjax/` say.

`python docs/equations.py` prints the list; docs/pages.py makes a page of it. A docstring names an equation as in
`thesis Eq. 3.7` or `rtsae Eq. 1-4 and 6`. Further down the file `Eq. 8` is enough: the source is the last one named.
The equations of other papers (`TDN Eq. 3-5`) are not counted.
"""

import ast
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]

SOURCES = {
  "thesis": "Huang, PhD thesis, 2022, chapters 3 to 5",
  "TTSN": "Temporal Transformer Network with Self-supervision",
  "TDRL": "Temporal Distinct Representation Learning",
  "rtsae": "Recurrent Temporal Sparse Autoencoder, RTSAE-DSCNN",
  "dte": "Deep temporal embedding, the appendix",
}

EQUATIONS = {
  "thesis": {
    "3.1": "squeeze: the mean of each frame",
    "3.2": "excitation: two layers make the projection",
    "3.3": "columns that are linearly independent",
    "3.4": "projection of a segment onto them",
    "3.5": "mean absolute error of the projection",
    "3.6": "the loss of a network with TSP",
    "3.7": "projection of each pixel's course",
    "3.8": "convolution before frames are compared",
    "3.9": "dot products of pairs of frames",
    "3.10": "the perceptron that makes the projection",
    "3.11": "residual of the projection",
    "3.12": "dynamic appearance, the residual's mean over time",
    "3.13": "ENoPR, the mean squared residual",
    "3.14": "its mean over clips",
    "3.15": "two losses, weighed by alpha",
    "3.16": "Pareto-stationary parameters",
    "3.17": "the shortest combination of two gradients",
    "3.18": "its closed form",
    "3.19": "scale scheduler",
    "4.1": "non-local operation",
    "4.2": "regions in place of positions",
    "4.3": "what a region is summarised by",
    "4.4": "region-based non-local operation",
    "4.5": "its Gaussian form",
    "4.6": "its dot product form",
    "4.7": "its cosine form",
    "4.8": "RNL block: residual connection",
    "4.9": "RNL block: attention",
    "4.10": "convolution pyramid attention",
    "4.11": "convolution pyramid",
    "4.12": "squeeze over space-time",
    "4.13": "excitation",
    "4.14": "what is added to the features",
    "5.1": "Busy: second difference over time of the Laplacian of Gaussian",
    "5.2": "Laplacian of Gaussian",
    "5.3": "MBPM, both as convolutions",
    "5.4": "Quiet, its complement",
    "5.5": "band-pass lateral connections",
  },
  "TTSN": {
    "1": "frames as tokens",
    "2": "their embeddings and positions",
    "3": "attention over frames",
    "4": "relation of frames",
    "5": "what is reversed, of which clips",
    "6": "classification loss, behind the residual connection",
    "7": "self-supervised loss",
    "8": "their sum",
  },
  "TDRL": {
    "1": "a block as a function of the frames",
    "2": "loss with its regularisation",
    "3": "frames times their enhancement",
    "4": "difference of neighbouring frames",
    "5": "memory",
    "6": "enhancement",
    "7": "Temporal Diversity loss",
  },
  "rtsae": {
    "1": "LSTM: input gate",
    "2": "LSTM: forget gate",
    "3": "LSTM: cell",
    "4": "LSTM: output gate",
    "5": "LSTM: hidden state",
    "6": "attention gate",
    "7": "its activation, p-psi",
    "8": "output gates of all steps",
    "9": "nuclear norm",
    "10": "singular value decomposition, for Eq. 11",
    "11": "its subgradient",
    "12": "the loss",
    "13": "features times attention",
    "14": "which steps are kept",
    "15": "features over their largest",
    "16": "fusion of two streams",
    "17": "measurement of the features",
    "18": "sparse measurement matrix",
    "19": "F",
    "20": "precision and recall",
    "21": "attention score",
  },
  "dte": {
    "14": "LSTM",
    "15": "likelihood of what comes next",
    "16": "encoder and context",
    "17": "decoder",
    "18": "KL(P||Q)",
    "19": "soft assignment to clusters",
    "20": "target distribution",
  },
}
"""What each equation says."""

NOT_CODE = {
  ("TDRL", "1"): "none: it names a block and its parameters",
  ("rtsae", "10"): "none: the eigenvalues of the Gram matrix take its place in the nuclear norm",
}
"""Why an equation has no code of its own."""

_NUMBER = r"\d+(?:\.\d+)?"
_RANGE = rf"{_NUMBER}(?:-{_NUMBER})?"
_NAMED = re.compile(
  rf"(?P<source>\b(?:{'|'.join(SOURCES)})\b)"
  rf"|(?P<other>\b[A-Z]\w*[A-Z]\w*\s+)?\bEqs?\.\s+(?P<numbers>{_RANGE}(?:(?:,|\s+and|,\s+and)\s+{_RANGE}\b)*)"
)


class Reference(NamedTuple):
  """A docstring that names an equation.

  Attributes:
    source: short name of the source, "" where it is none of the five.
    number: of the equation.
    module: whose docstring it is, or that of something in it.
    name: dotted name of the public object in it, "" for the module itself.
    path: of the file, from the root of the repository.
  """

  source: str
  number: str
  module: str
  name: str
  path: str

  @property
  def full(self) -> str:
    """Dotted name of the module, or of the object in it."""
    return f"{self.module}.{self.name}".rstrip(".")


def references() -> list[Reference]:
  """All of them, by file and line."""
  found = []
  for path in sorted(ROOT.glob("vidjax/**/*.py")):
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")
    if "Eq" in text:
      found += [
        Reference(source, number, module, name, path.relative_to(ROOT).as_posix())
        for name, source, number in read(text)
      ]
  return found


def read(text: str) -> Iterator[tuple[str, str, str]]:
  """Public name, source and number of each equation that the docstrings of a file's text name."""
  source = ""
  for _, name, docstring in sorted(_docstrings(ast.parse(text), "", "")):
    for match in _NAMED.finditer(docstring):
      if match["source"]:
        source = match["source"]
      for number in _numbers(match["numbers"] or ""):
        foreign = match["other"] and match["other"].strip() not in SOURCES
        yield name, "thesis" if "." in number else "" if foreign else source, number


def _numbers(text: str) -> Iterator[str]:
  """`"3.5, 3.7-3.9 and 4"` to each number."""
  for first, last in re.findall(rf"({_NUMBER})(?:-({_NUMBER}))?", text):
    chapter, dot, low = first.rpartition(".")
    high = (last or first).rpartition(".")[2]
    yield from (f"{chapter}{dot}{number}" for number in range(int(low), int(high) + 1))


def _docstrings(node: ast.AST, name: str, public: str) -> Iterator[tuple[int, str, str]]:
  """Line, public name and text of every docstring, those of variables included."""
  body = getattr(node, "body", [])
  for before, child in zip([None, *body], body, strict=False):
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant) and isinstance(child.value.value, str):
      yield child.lineno, _variable(before, public) if before else public, child.value.value
    elif isinstance(child, ast.ClassDef | ast.FunctionDef):
      inner = f"{name}.{child.name}".strip(".")
      seen = public == name and not child.name.startswith("_") and not isinstance(node, ast.FunctionDef)
      yield from _docstrings(child, inner, inner if seen else public)


def _variable(node: ast.AST, public: str) -> str:
  target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
  name = target.id if isinstance(target, ast.Name) else "_"
  return public if name.startswith("_") else f"{public}.{name}".strip(".")


def index() -> dict[tuple[str, str], list[Reference]]:
  """Source and number of each equation, with the objects that name it; an object makes its module superfluous."""
  named = defaultdict(list)
  for one in dict.fromkeys(references()):
    named[one.source, one.number].append(one)
  return {(source, number): _sharpest(named[source, number]) for source, known in EQUATIONS.items() for number in known}


def _sharpest(found: list[Reference]) -> list[Reference]:
  objects = {one.module for one in found if one.name}
  return [one for one in found if one.name or one.module not in objects]


def page(pages: Mapping[str, str]) -> str:
  """The index in Markdown, with links to the reference: the page of each module in `pages`."""
  lines = [
    "# Equations",
    "",
    "Where each equation of the five sources is: the docstrings say so. This page is made of them.",
    "",
  ]
  found = index()
  for source, title in SOURCES.items():
    lines += [f"## {title}", "", "| equation | what it says | where |", "|---|---|---|"]
    for number, text in EQUATIONS[source].items():
      where = [f"[`{one.full}`]({pages[one.module]}{one.name and f'#{one.full}'})" for one in found[source, number]]
      lines.append(f"| {number} | {text} | {'<br>'.join(where) or NOT_CODE[source, number]} |")
    lines.append("")
  return "\n".join(lines)


if __name__ == "__main__":
  for (source, number), found in index().items():
    where = ", ".join(f"{one.path}{one.name and f':{one.name}'}" for one in found) or NOT_CODE.get(
      (source, number), "?"
    )
    print(f"{source} {number}: {EQUATIONS[source][number]}: {where}")
