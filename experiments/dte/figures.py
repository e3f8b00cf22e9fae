"""What the clusters of windows are, in pictures: where they lie, when they come, and how they look (dte).

`python -m experiments.dte.figures --workdir=RUN --out=DIR`, of a run of `configs/deep_residual.py` on features of every
frame or every few (`--per=frame`) of a data set with `frame_labels`. All is of its validation split:

- `embedding.png`: the embeddings of windows in two dimensions (t-SNE), coloured by motion and by cluster;
- `assignments.png`: the motion and the cluster of each window of a few clips, along time;
- `centres.png`: of each cluster, the frames of the window whose embedding is nearest to the centre.
"""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.dte.motions import outputs
from vidjax.analyse.pictures import save_figure
from vidjax.command import run_main
from vidjax.console import say
from vidjax.data.dataset import open_dataset
from vidjax.data.schema import Record
from vidjax.data.streams import Frames
from vidjax.data.synthetic_clips import MOTIONS
from vidjax.errors import InputError
from vidjax.run.opened import Run, open_run

SHOWN = 2000
"""Windows in `embedding.png`, drawn at random."""
MOTION_COLOURS, CLUSTER_COLOURS = colormaps["Dark2"], colormaps["tab20"]


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.workdir or not values.out:
    raise InputError("--workdir=RUN and --out=DIR are needed")
  run = open_run(values.workdir, data_dir=values.data_dir)
  check(run)
  output, motions, records = outputs(run)
  out = pathlib.Path(values.out)
  out.mkdir(parents=True, exist_ok=True)
  names = MOTIONS if motions.max() < len(MOTIONS) else [f"motion {k}" for k in range(motions.max() + 1)]
  z, places = np.asarray(output.aux["embedding"]), np.asarray(output.aux["places"][0])
  clusters = np.asarray(output.aux["assignment"]).argmax(-1)
  draw_embedding(out / "embedding.png", z, motions, clusters, names)
  draw_assignments(out / "assignments.png", run, records, motions, clusters, names, values.clips)
  centres = np.asarray(run.variables["params"]["clusters"]["centres"])
  nearest = np.linalg.norm(z[:, :, None] - centres, axis=-1).reshape(-1, len(centres)).argmin(0)
  chosen = [divmod(int(place), z.shape[1]) for place in nearest]
  films = [(records[video], places[window]) for video, window in chosen]
  titles = [_title(k, names[motions[one]], motions, clusters, names) for k, one in enumerate(chosen)]
  draw_centres(out / "centres.png", run, films, titles)
  say(f"wrote embedding.png, assignments.png and centres.png to {out}")


def check(run: Run) -> None:
  """Raises an InputError for a run that has nothing to draw, before anything is computed."""
  if "clusters" not in run.variables["params"]:
    raise InputError(f"{run.workdir} has no clusters: name a run of configs/deep_residual.py")
  if "frame_labels" not in run.dataset.holds:
    raise InputError(f"{run.data.name} holds no frame_labels: take features of synthetic_actions/repeat")
  _stride(run)


def draw_embedding(
  path: pathlib.Path, z: np.ndarray, motions: np.ndarray, clusters: np.ndarray, names: Sequence[str]
) -> None:
  """Windows in two dimensions, twice."""
  from sklearn.manifold import TSNE

  z, motions, clusters = z.reshape(-1, z.shape[-1]), motions.ravel(), clusters.ravel()
  shown = np.random.default_rng(0).permutation(len(z))[:SHOWN]
  flat = TSNE(2, perplexity=min(30, len(shown) // 3), init="pca", random_state=0).fit_transform(z[shown])
  figure = Figure(figsize=(9, 4.6), dpi=130, layout="constrained")
  left, right = figure.subplots(1, 2)
  used = np.unique(clusters)
  for axes, kinds, labels, colours, title in (
    (left, motions[shown], dict(enumerate(names)), MOTION_COLOURS, "by motion"),
    (right, clusters[shown], {int(k): f"cluster {k}" for k in used}, CLUSTER_COLOURS, "by cluster"),
  ):
    for kind, label in labels.items():
      axes.scatter(*flat[kinds == kind].T, s=4, color=colours(kind % colours.N), label=label, linewidths=0)
    axes.set(title=title, xticks=[], yticks=[])
    axes.legend(markerscale=3, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4, frameon=False)
  save_figure(figure, path)


def draw_assignments(
  path: pathlib.Path,
  run: Run,
  records: Sequence[Record],
  motions: np.ndarray,
  clusters: np.ndarray,
  names: Sequence[str],
  clips: int,
) -> None:
  """Two rows of coloured cells for clips of different classes: motions above, the numbers of clusters below."""
  rows = list({record.label: number for number, record in reversed([*enumerate(records)])}.values())[:clips]
  windows = motions.shape[1]
  figure = Figure(figsize=(0.36 * windows + 1.2, 0.95 * len(rows) + 0.5), dpi=130, layout="constrained")
  for axes, row in zip(np.atleast_1d(figure.subplots(len(rows), 1)), rows, strict=True):
    _cells(axes, 1, motions[row], MOTION_COLOURS, [names[k] for k in motions[row]])
    _cells(axes, 0, clusters[row], CLUSTER_COLOURS, [str(k) for k in clusters[row]])
    axes.set(xlim=(0, windows), ylim=(0, 2), xticks=[], yticks=[0.5, 1.5], yticklabels=["cluster", "motion"])
    axes.set_title(run.class_names[records[row].label], fontsize=8, loc="left", pad=2)
    axes.tick_params(labelsize=7, length=0)
  figure.supxlabel("windows of a clip, in their order", fontsize=8)
  save_figure(figure, path)


def _cells(axes: Axes, height: int, kinds: np.ndarray, colours: Any, texts: Sequence[Any]) -> None:
  """A row of cells; a run of the same kind bears its text once."""
  ends = np.flatnonzero(np.diff(kinds, append=-1)) + 1
  for start, end in zip([0, *ends[:-1]], ends, strict=True):
    colour = colours(kinds[start] % colours.N)
    axes.broken_barh([(float(start), float(end - start))], (height, 1), color=colour, edgecolor="white")
    axes.text((start + end) / 2, height + 0.5, texts[start], ha="center", va="center", fontsize=7)


def _title(cluster: int, own: str, motions: np.ndarray, clusters: np.ndarray, names: Sequence[str]) -> str:
  """What the window nearest to a centre shows, and what most windows of its cluster do."""
  counts = np.bincount(motions[clusters == cluster], minlength=len(names))
  if not counts.any():
    return f"{cluster}: {own}\nof no window"
  most = int(counts.argmax())
  return f"{cluster}: {own}\n{counts.sum()} windows,\n{counts[most] / counts.sum():.0%} {names[most]}"


def draw_centres(
  path: pathlib.Path, run: Run, films: Sequence[tuple[Record, np.ndarray]], titles: Sequence[str]
) -> None:
  """A strip of frames a row, of the data set that the features were made of."""
  data, stride = _stride(run)
  source = open_dataset(data, run.data.dir).source(run.data.validation_split)
  originals = [Record.parse(source[number]) for number in range(len(source))]
  found = {record.video_id: record for record in originals}
  steps = len(films[0][1])
  figure = Figure(figsize=(0.95 * steps + 1.6, 0.95 * len(films)), dpi=130)
  grid = figure.add_gridspec(
    len(films), steps, wspace=0.03, hspace=0.05, left=0.17, right=0.995, top=0.995, bottom=0.005
  )
  for row, ((record, window), title) in enumerate(zip(films, titles, strict=True)):
    numbers = run.recipe.sampler.test(record.num_frames, 1, record.times)[0][window] * stride
    frames = Frames().of(found[record.video_id]).decode(numbers)
    for step, frame in enumerate(frames):
      axes = figure.add_subplot(grid[row, step])
      axes.imshow(frame)
      axes.set(xticks=[], yticks=[])
      if not step:
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8, labelpad=6)
  save_figure(figure, path)


def _stride(run: Run) -> tuple[str, int]:
  """The data set that the features were made of, and its frames from one feature to the next."""
  report = json.loads(run.dataset.report.read_text(encoding="utf-8")) if run.dataset.report else {}
  if report.get("settings", {}).get("per") != "frame":
    raise InputError(f"{run.data.name} has no feature of each frame: prepare it by --per=frame")
  return report["data"], report["settings"]["stride"] or 1


if __name__ == "__main__":
  flags.DEFINE_string("workdir", None, "Folder of a training run.")
  flags.DEFINE_string("out", None, "Folder of the pictures.")
  flags.DEFINE_integer("clips", 6, "Clips to show, each of another class.", 1)
  flags.DEFINE_string("data_dir", None, "Where data sets lie now, if not where they lay in training.")
  run_main(main)
