"""What the gates choose, in pictures of validation clips (rtsae Fig. 16-18), and what it is worth (Fig. 10, 12, 13).

`python -m experiments.rtsae.figures --workdir=RUN --out=DIR`, of a run of `configs/rtsae_dscnn.py`. `steps.png` shows
the steps of a few clips, the kept ones framed, over their attention; the key moment is shaded where it is known.
`duration.png` is the accuracy by the length of the key moment, or of the film. `put_back.png` is the accuracy of the
same network with a share of the other steps put back (Fig. 13), beside as many steps as the gates keep, evenly spread
and drawn (Fig. 12). The command also prints w_f, the learnt weight of T-Net (Eq. 16, Fig. 15), and in how many clips
fewer than 6 steps are kept (Fig. 16).

`--workdir=RUN --workdir=OTHER` draws both in `duration.png`, as Fig. 10 does with a run of `configs/arch.py`; the other
pictures are of the first. Of a run without attention there is `duration.png` alone.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import flags
from matplotlib.figure import Figure

from experiments.rtsae.choices import accuracy, at_random, uniform, with_others
from vidjax.analyse.pictures import legible, save_figure
from vidjax.command import run_main
from vidjax.console import say
from vidjax.data.schema import Record
from vidjax.errors import InputError
from vidjax.run.folder import run_folder
from vidjax.run.opened import Run, open_run
from vidjax.tasks.keyframes import kept_by

BINS = 5
FEW = 6
"""Steps, in the text of Fig. 16."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.workdir or not values.out:
    raise InputError("--workdir=RUN and --out=DIR are needed")
  out = pathlib.Path(values.out)
  out.mkdir(parents=True, exist_ok=True)
  runs = [open_run(folder, data_dir=values.data_dir) for folder in values.workdir]
  found = [np.load(run_folder(run.workdir) / "evaluation" / f"{run.data.validation_split}_scores.npz") for run in runs]
  run, stored, clips = runs[0], found[0], [records_of(*one) for one in zip(runs, found, strict=True)]
  for folder, own in zip(values.workdir, clips, strict=True):
    if [record.video_id for record in own] != [record.video_id for record in clips[0]]:
      raise InputError(f"{folder} was validated on other videos than {values.workdir[0]}: draw it by itself")
  names = [pathlib.Path(folder).name for folder in values.workdir]
  names = names if len({*names}) == len(names) else values.workdir
  right = [one["scores"].argmax(1) == one["label"] for one in found]
  draw_durations(out / "duration.png", clips[0], dict(zip(names, right, strict=True)))
  if "attention" not in stored:
    say(f"wrote duration.png in {out}; the other pictures are of a run with attention, of configs/rtsae_dscnn.py")
    return
  draw_steps(out / "steps.png", run, clips[0], stored, values.clips)
  draw_put_back(out / "put_back.png", run)
  weight, kept = temporal_weight(run), kept_by(stored["attention"])[0].sum(1)
  say(f"w_f {weight:.3f} (0.733 in print): S-Net counts {1 / (1 + weight):.3f}, T-Net {weight / (1 + weight):.3f}")
  say(f"fewer than {FEW} steps are kept in {(kept < FEW).sum()} of {len(kept)} clips")
  say(f"wrote steps.png, duration.png and put_back.png in {out}")


def records_of(run: Run, stored: Any) -> list[Record]:
  """The records that the scores of a run are of, in their order."""
  source = run.dataset.source(run.data.validation_split)
  return [Record.parse(source[int(index)]) for index in stored["index"]]


def temporal_weight(run: Run) -> float:
  """w_f of Eq. 16, the weight of T-Net beside S-Net's 1."""
  network: Any = run.network
  return float(network.apply(run.variables, method=lambda it: it.fusion.share()))


def draw_steps(path: pathlib.Path, run: Run, records: list[Record], stored: Any, clips: int) -> None:
  """The steps of clips of different classes, kept ones framed, over bars of their attention."""
  attention = stored["attention"]
  kept, _ = kept_by(attention)
  rows = list({int(label): i for i, label in reversed([*enumerate(stored["label"])])}.values())[:clips]
  steps = attention.shape[1]
  figure = Figure(figsize=(0.62 * steps, 1.25 * len(rows)), dpi=150)
  grid = figure.add_gridspec(2 * len(rows), steps, hspace=0.35, wspace=0.05, height_ratios=(2, 1) * len(rows))
  for place, row in enumerate(rows):
    record = records[row]
    numbers = run.recipe.sampler.test(record.num_frames, 1, record.times)[0].reshape(steps, -1)
    frames = run.test_crops(run.recipe.stream.of(record).decode(numbers[:, 0])[None])[0]
    for step in range(steps):
      axes = figure.add_subplot(grid[2 * place, step])
      axes.imshow(frames[step, ..., :3])
      axes.set_xticks([])
      axes.set_yticks([])
      for spine in axes.spines.values():
        spine.set(color="tab:red" if kept[row, step] else "white", linewidth=2)
    axes = figure.add_subplot(grid[2 * place + 1, :])
    axes.bar(range(steps), attention[row], color=["tab:red" if one else "tab:grey" for one in kept[row]], width=0.8)
    if record.key_frames is not None:
      for step in np.flatnonzero(np.isin(numbers, record.key_frames).any(1)):
        axes.axvspan(step - 0.5, step + 0.5, color="gold", alpha=0.4, zorder=0)
    axes.axhline(0.5, color="black", linewidth=0.5)
    axes.set(xlim=(-0.5, steps - 0.5), ylim=(0, 1), xticks=[], yticks=[0, 1])
    axes.tick_params(labelsize=6)
    right = int(stored["scores"][row].argmax()) == int(stored["label"][row])
    title = f"{run.class_names[record.label]}: {'right' if right else 'wrong'}, {kept[row].sum()} of {steps} steps kept"
    axes.set_xlabel(title, fontsize=7, labelpad=1)
  save_figure(figure, path, bbox_inches="tight")


def draw_durations(path: pathlib.Path, records: list[Record], right: Mapping[str, np.ndarray]) -> None:
  """Accuracy of runs in bins of equal counts of the length of the key moment, or of the video, in frames."""
  keys = [record.key_frames for record in records]
  known = all(key is not None for key in keys)
  lengths = np.array(
    [len(key) if key is not None and known else r.num_frames for key, r in zip(keys, records, strict=True)]
  )
  edges = np.unique(np.quantile(lengths, np.linspace(0, 1, BINS + 1)).astype(int))
  places = np.clip(np.searchsorted(edges, lengths, "right") - 1, 0, max(len(edges) - 2, 0))
  figure = Figure(figsize=(4, 2.6), dpi=150)
  axes = figure.add_subplot()
  found = [place for place in range(max(len(edges) - 1, 1)) if (places == place).any()]
  width = 0.8 / len(right)
  for number, (name, own) in enumerate(right.items()):
    shares = [100 * own[places == place].mean() for place in found]
    middles = np.arange(len(found)) + (number - (len(right) - 1) / 2) * width
    bars = axes.bar(middles, shares, width, label=legible(name))
    axes.bar_label(bars, [f"{share:.0f}" for share in shares], fontsize=7)
  if len(right) > 1:
    axes.legend(fontsize=7)
  ends = [(lengths[places == place].min(), lengths[places == place].max()) for place in found]
  names = [f"{low} to {high}" if low < high else str(low) for low, high in ends]
  axes.set_xticks(range(len(found)), names, fontsize=7)
  axes.set(ylim=(0, 105), ylabel="accuracy in %", xlabel=f"frames of the {'key moment' if known else 'video'}")
  save_figure(figure, path, bbox_inches="tight")


def draw_put_back(path: pathlib.Path, run: Run) -> None:
  """Accuracy against the share of the other steps that are put back, and that of steps chosen blindly."""
  blind = {"as many, evenly spread": uniform, "as many, drawn": at_random}
  found = accuracy(run, {str(share): with_others(share) for share in SHARES} | blind)
  figure = Figure(figsize=(4, 2.8), dpi=150)
  axes = figure.add_subplot()
  axes.plot(
    [100 * share for share in SHARES],
    [100 * found[str(share)] for share in SHARES],
    "o-",
    label="steps kept, and others",
  )
  for name, style in zip(blind, ("--", ":"), strict=True):
    axes.axhline(100 * found[name], color="tab:grey", linestyle=style, label=name)
  axes.set(xlabel="% of the other steps put back", ylabel="accuracy in %")
  axes.set_ylim(bottom=0)
  axes.legend(fontsize=7)
  save_figure(figure, path, bbox_inches="tight")


if __name__ == "__main__":
  flags.DEFINE_multi_string("workdir", None, "Folder of a training run, or several.")
  flags.DEFINE_string("out", None, "Folder of the pictures.")
  flags.DEFINE_integer("clips", 6, "Clips to show, each of another class.", 1)
  flags.DEFINE_string("data_dir", None, "Where data sets lie now, if not where they lay in training.")
  run_main(main)
