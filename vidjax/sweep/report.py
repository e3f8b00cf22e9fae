"""What a sweep found: a table of its trials as text and CSV, a picture, and the command that trains the best one."""

import csv
import math
import pathlib
import shlex
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.analyse.pictures import save_figure
from vidjax.console import counted
from vidjax.files import cell
from vidjax.sweep.space import Dimension, text
from vidjax.sweep.study import Study, optuna

SHOWN = 20
"""Trials of the printed table, the best ones; the files have all."""
WORDS = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "not finished", "WAITING": "waiting"}
ENOUGH = 4
"""Finished trials from which on it is told how much each key matters."""


def trials(study: Study) -> list[dict[str, Any]]:
  """The trials, each as trial, state, metric, validations, seconds, a column for each key, and why it ended early.

  Args:
    study: of the sweep.
  """
  found = []
  for one in study.load().get_trials(deepcopy=False):
    seconds = (one.datetime_complete - one.datetime_start).total_seconds() if one.datetime_complete else None
    row = {"trial": one.number, "state": WORDS[one.state.name], study.metric: one.value}
    row |= {"validations": len(one.intermediate_values), "seconds": None if seconds is None else round(seconds, 1)}
    row |= {dimension.key: one.params.get(dimension.key) for dimension in study.space}
    found.append(row | {"why": one.user_attrs.get("why", "")})
  return found


def best_first(rows: Sequence[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
  """The trials in the order of their values: those that are done, then pruned ones, then the rest.

  Args:
    rows: of `trials`.
    metric: see `Study`.
  """
  sign = 1 if metric.startswith("-") else -1

  def order(row: Mapping[str, Any]) -> tuple[bool, bool, float]:
    value = row[metric]
    return row["state"] != "done", row["state"] != "pruned" or value is None, sign * (value or 0.0)

  return sorted(rows, key=order)


def write_report(study: Study, config: str, flags: Sequence[str]) -> list[str]:
  """Writes `trials.csv`, `trials.txt` and, once a trial is done, `trials.png`; returns the lines to print.

  Args:
    study: of the sweep.
    config: "FILE.py[:argument]".
    flags: of the config that all trials share.
  """
  rows = trials(study)
  ordered = best_first(rows, study.metric)
  with (study.out / "trials.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, list(rows[0]) if rows else ["trial"])
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
  lines = table(ordered)
  (study.out / "trials.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
  counts = {word: sum(row["state"] == word for row in rows) for word in WORDS.values()}
  said = [
    *lines[: SHOWN + 1],
    *[f"... and {len(rows) - SHOWN} more in {study.out / 'trials.txt'}"] * (len(rows) > SHOWN),
  ]
  said.append(
    f"{counted(len(rows), 'trial')}: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count)
  )
  if not counts["done"]:
    return said
  shares = importances(study)
  if shares:
    said.append("importance: " + ", ".join(f"{key} {share:.0%}" for key, share in shares.items()))
  draw(rows, study.space, study.metric, shares, study.out / "trials.png")
  best = ordered[0]
  own = [dimension.flag(best[dimension.key]) for dimension in study.space]
  command = ["python", "-m", "vidjax.train", f"--config={config}", *flags, *own, "--workdir=runs/best"]
  said.append(f"best: trial {best['trial']}, {study.metric} {best[study.metric]:.4g}; its run is")
  said.append(f"  {study.out / 'trials' / format(best['trial'], '04d')}, and trained again by")
  said.append(f"  {shlex.join(command)}")
  return said


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  """The trials as lines of text, heads first."""
  if not rows:
    return ["no trials"]
  cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
  return "" if value is None else f"{value:.4g}" if isinstance(value, float) else text(value)[:60]


def importances(study: Study) -> dict[str, float]:
  """Key -> how much it matters for the metric, 1 in all, by Optuna's PED-ANOVA; nothing where that cannot be told.

  Args:
    study: of the sweep.
  """
  loaded = study.load()
  done = [one for one in loaded.get_trials(deepcopy=False) if one.state.name == "COMPLETE"]
  if len(done) < ENOUGH or len({one.value for one in done}) < 2:
    return {}
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # of what it is going to compute otherwise
      return dict(optuna().importance.get_param_importances(loaded))
  except (ValueError, RuntimeError):  # too few values of a key
    return {}


def draw(
  rows: Sequence[Mapping[str, Any]],
  space: Sequence[Dimension],
  metric: str,
  shares: Mapping[str, float],
  path: pathlib.Path,
) -> None:
  """Draws the metric over every key: done trials filled, the later the darker, pruned ones as crosses, the best ringed.

  Args:
    rows: of `trials`.
    space: what was tried.
    metric: see `Study`.
    shares: of `importances`.
    path: of the PNG.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure
  from matplotlib.ticker import MaxNLocator

  shown = [row for row in rows if row[metric] is not None]
  done, pruned = ([row for row in shown if row["state"] == state] for state in ("done", "pruned"))
  best = best_first(done, metric)[0]
  columns = min(len(space), 4)
  lines = math.ceil(len(space) / columns)
  figure = Figure(figsize=(3.2 * columns + 1, 2.8 * lines + 0.6), layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
  dots = None
  for axis, dimension in zip(axes, space, strict=False):
    names = [text(value) for value in dimension.values]

    def place(row: Mapping[str, Any], dimension: Dimension = dimension, names: Sequence[str] = names) -> float:
      value = row[dimension.key]
      if dimension.kind != "choice":
        return value
      spread = np.random.default_rng(row["trial"]).uniform(-0.15, 0.15)  # so that equal values do not hide each other
      return names.index(text(value)) + spread

    if pruned:
      axis.scatter(
        [place(row) for row in pruned], [row[metric] for row in pruned], s=24, c="0.6", marker="x", linewidths=1
      )
    dots = axis.scatter(
      [place(row) for row in done],
      [row[metric] for row in done],
      s=28,
      c=[row["trial"] for row in done],
      cmap="viridis_r",
      vmin=0,
      vmax=max(len(rows) - 1, 1),
      zorder=2,
    )
    axis.scatter(
      [place(best)], [best[metric]], s=110, facecolors="none", edgecolors="tab:red", linewidths=1.5, zorder=3
    )
    if dimension.kind == "log":
      axis.set_xscale("log")
      _label_log(axis.xaxis, [place(row) for row in shown])
    if dimension.kind == "choice":
      axis.set_xticks(range(len(names)), [name[-16:] for name in names])
      axis.set_xlim(-0.5, len(names) - 0.5)
    axis.set_xlabel(dimension.key)
    axis.set_title(f"importance {shares[dimension.key]:.0%}" if dimension.key in shares else "", fontsize=9)
    axis.grid(alpha=0.3)
  for axis in axes[len(space) :]:
    axis.set_axis_off()
  for axis in axes[::columns]:
    axis.set_ylabel(metric.removeprefix("-") + " (less is better)" * metric.startswith("-"))
  if dots is not None:
    figure.colorbar(dots, ax=list(axes[: len(space)]), label="trial", ticks=MaxNLocator(6, integer=True))
  save_figure(figure, path, dpi=120)


def _label_log(axis: Any, values: Sequence[float]) -> None:
  """Puts few numbers on a logarithmic axis: over less than two decades, those of Matplotlib overlap."""
  from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

  decades = math.log10(max(values) / min(values))
  if decades < 2:
    axis.set_major_locator(LogLocator(subs=(1, 3)) if decades >= 1 else MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
  axis.set_minor_formatter(NullFormatter())
