"""What became of every file of a preparation: report.json, report.txt and a few lines on the terminal."""

import collections
import dataclasses
import json
import pathlib
from typing import Any

from vidjax.console import legible
from vidjax.data import classes
from vidjax.data.dataset import REPORT


@dataclasses.dataclass(frozen=True)
class Report:
  """What became of every file.

  Attributes:
    kept: file, split, labels, group, clips and frames of every file that is in the data set, the number of frames its
      header states, the name of the first file with the same bytes ("" where it is the first), and its SHA-256, by
      which a run knows what it was trained on. Where there are folds, `folds` has its split in each.
    refused: one sentence for every file that is not, with its name and the reason.
    notes: how a list was read.
    warnings: what may make the splits worth less.
    missing: one sentence for every file that official lists name and that was not there.
  """

  kept: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  refused: list[str] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)
  warnings: list[str] = dataclasses.field(default_factory=list)
  missing: list[str] = dataclasses.field(default_factory=list)

  @property
  def groups(self) -> dict[str, int]:
    """The number of groups in every split; a file that shares its group with no other is one."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for entry in self.kept:
      found[entry["split"]].add(entry["group"])
    return {split: len(groups) for split, groups in found.items()}

  @property
  def overlaps(self) -> list[str]:
    """One sentence for every file that the user's own splits have in two of them."""
    entries = {entry["file"]: entry for entry in self.kept}
    pairs = [(entry, entries[entry["copy_of"]]) for entry in self.kept if entry["copy_of"] in entries]
    told = []
    for entry, other in pairs:
      for fold in entry.get("folds", {"": entry["split"]}):
        here, there = (one["folds"].get(fold) if fold else one["split"] for one in (entry, other))
        if here and there and here != there:
          of = f" of fold {fold}" * bool(fold)
          told.append(f"{entry['file']} ({here}{of}) is the same file as {other['file']} ({there})")
    return told

  def write(self, directory: pathlib.Path) -> None:
    """Writes report.json, and report.txt with one line for every file."""
    ranks = {label: rank for rank, label in enumerate(classes.order({x for one in self.kept for x in one["labels"]}))}
    kept = sorted(self.kept, key=lambda entry: [ranks[label] for label in entry["labels"]])
    lines = [*self.notes, f"groups: {', '.join(f'{count} in {split}' for split, count in self.groups.items())}"]
    lines += [f"warning: {warning}" for warning in (*self.warnings, *self.overlaps)]
    lines += [f"refused: {reason}" for reason in self.refused]
    lines += [f"missing: {reason}" for reason in self.missing]
    for entry in kept:
      label = "; ".join(entry["labels"])
      lines.append("kept: {file} ({split}, {label}), {frames} frames, clips: {clips}".format(label=label, **entry))
      if entry["stated_frames"] not in (0, entry["frames"]):
        lines[-1] += f"; the header states {entry['stated_frames']} frames"
      lines[-1] += "".join(f"; {remark}" for remark in entry["remarks"])
      if entry["copy_of"]:
        lines[-1] += f"; the same file as {entry['copy_of']}"
      if entry["group"] != entry["file"]:
        lines[-1] += f"; group {entry['group']}"
    (directory / "report.txt").write_text("".join(f"{legible(line)}\n" for line in lines), encoding="utf-8")
    (directory / REPORT).write_text(json.dumps(dataclasses.asdict(self) | {"kept": kept}, indent=1), encoding="utf-8")

  @classmethod
  def read(cls, directory: pathlib.Path) -> "Report":
    """What `write` wrote."""
    return cls(**json.loads((directory / REPORT).read_text(encoding="utf-8")))


def summary(report: Report, advice: str = " (see --group)") -> list[str]:
  """Clips of every split, files, and a line of classes.

  Args:
    report: what became of the files.
    advice: where no groups were found.
  """
  clips = collections.Counter()
  for entry in report.kept:
    clips[entry["split"]] += entry["clips"]
  counts = ", ".join(f"{count} clips in {split}" for split, count in clips.items())
  files = collections.Counter(label for entry in report.kept for label in entry["labels"])
  names = [f"{label} ({files[label]})" for label in classes.order(files)]
  copies = sum(bool(entry["copy_of"]) for entry in report.kept) - len(report.overlaps)
  lines = [f"{counts}; {len(report.kept)} files kept, {len(report.refused)} refused", _groups(report, advice)]
  lines.append(f"files by class ({len(names)}): {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}")
  if report.missing:
    lines.append(f"{len(report.missing)} listed files are missing")
  return lines + [f"{copies} equal the bytes of another file and lie in its split"] * bool(copies)


def _groups(report: Report, advice: str) -> str:
  if len(report.kept) == len({entry["group"] for entry in report.kept}):
    return f"groups: none found, so each file counts by itself{advice}"
  return f"groups: {', '.join(f'{count} in {split}' for split, count in report.groups.items())}"
