"""Spans found in films whose actions are placed at known times: average precision at IoU .5.

`python -m experiments.timeline --workdir=RUN --out=DIR` makes films of `synthetic_actions`: actions of 2, 4 or 6 s with
pauses of 1 to 3 s, in which the last frame stands still under the camera's noise. A run of the quickstart finds the
spans through `vidjax.timeline`. Beside them stand plain windows: one after the other, each with its best class.

The defaults of the flags were chosen on the films of another seed (`--seed=1`); the test films are those of seed 0.
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from experiments.pedestrians import write_video
from vidjax.command import run_main
from vidjax.console import say
from vidjax.data.synthetic_actions import FPS
from vidjax.data.synthetic_clips import ACTIONS, NOISE, draw_action
from vidjax.errors import InputError
from vidjax.run.opened import Run, open_run
from vidjax.timeline.accuracy import Films, average_precision
from vidjax.timeline.make import rule_of
from vidjax.timeline.source import Source
from vidjax.timeline.spans import Rule, Span, find_spans
from vidjax.timeline.track import Track, follow_film, make_score
from vidjax.timeline.windows import cut_of

PLAIN = Rule(1e-6, 1e-6, 0.0, 0.0)
"""Each window's best class, whatever its score."""


def draw_film(actions: int, rng: np.random.Generator, pauses: bool = True) -> tuple[np.ndarray, list[Span]]:
  """A film uint8 `[T, H, W, 3]` and its true spans.

  Args:
    actions: that it holds.
    rng: draws classes, lengths, pauses and clips. No action comes twice in a row.
    pauses: whether there are any.
  """
  lead = draw_action(int(rng.integers(len(ACTIONS))), rng).video[:1]
  parts = [_stand(lead, int(rng.integers(2, 2 * FPS)), rng)]  # so that actions do not begin where windows do
  truth: list[Span] = []
  count, last = len(parts[0]), -1
  for _ in range(actions):
    label = int(rng.choice([x for x in range(len(ACTIONS)) if x != last]))
    clips = [draw_action(label, rng).video for _ in range(rng.integers(1, 4))]
    frames = sum(map(len, clips))
    truth.append(Span(count / FPS, (count + frames) / FPS, label, 1.0))
    parts += clips
    count, last = count + frames, label
    if pauses:
      parts.append(_stand(clips[-1][-1:], int(rng.integers(FPS, 3 * FPS)), rng))
      count += len(parts[-1])
  return np.concatenate(parts), truth


def _stand(frame: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
  """A frame `[1, H, W, 3]` that stands still, under the noise of a camera."""
  still = frame.astype(float).repeat(frames, axis=0)
  return np.clip(still + rng.normal(0, NOISE, still.shape), 0, 255).astype(np.uint8)


def make_films(out: pathlib.Path, films: int, actions: int, seed: int, pauses: bool) -> Films:
  """Writes films, lossy as any; returns their true spans by path.

  Args:
    out: folder for them.
    films: how many.
    actions: of each.
    seed: of the draws.
    pauses: whether there are any between actions.
  """
  truth: dict[str, Sequence[Span]] = {}
  for number in range(films):
    frames, spans = draw_film(actions, np.random.default_rng([seed, number]), pauses)
    path = out / f"seed{seed}_{'pauses' if pauses else 'dense'}_{number}.mp4"
    write_video(path, frames, int(FPS), "cpu-independent=1:threads=1")  # the same bytes each time
    truth[str(path)] = spans
  return truth


def score_films(run: Run, files: Sequence[str], window: float, every: float, batch: int = 16) -> dict[str, Track]:
  """The scores of each film over time.

  Args:
    run: of the quickstart.
    files: paths.
    window: seconds.
    every: seconds.
    batch: windows that go through the network at once.
  """
  cut, score, tracks = cut_of(run, window, every), make_score(run, batch), {}
  for file in files:
    tracks[file] = Track(FPS)
    for _ in follow_film(Source(file, False).frames(48), tracks[file], cut, score, batch):
      pass
  return tracks


def spans_of(tracks: dict[str, Track], rule: Rule, window: float) -> Films:
  """The spans that a rule finds in each film.

  Args:
    tracks: from `score_films`.
    rule: how.
    window: seconds of a window.
  """
  return {
    file: find_spans(track.times, track.scores, rule, 0.0, track.seconds, window) for file, track in tracks.items()
  }


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.workdir or not values.out:
    raise InputError("--workdir=RUN and --out=DIR are needed: python -m vidjax.train --config=configs/quickstart.py")
  run, out = open_run(values.workdir), pathlib.Path(values.out)
  if run.class_names != list(ACTIONS):
    raise InputError(f"{values.workdir} does not know the classes of synthetic_actions/order: name a quickstart's run")
  rule = rule_of(run, values.smooth, values.at_least, values.on, values.off)
  report = {}
  for pauses in (True, False):
    truth = make_films(out / "films", values.films, values.actions, values.seed, pauses)
    overlapping = score_films(run, [*truth], values.window, values.every)
    apart = score_films(run, [*truth], values.window, values.window)
    found = {
      "timeline": spans_of(overlapping, rule, values.window),
      "without smoothing": spans_of(overlapping, dataclasses.replace(rule, smooth=0.0), values.window),
      "plain windows": spans_of(apart, PLAIN, values.window),
    }
    kind = "with pauses" if pauses else "without pauses"
    for name, spans in found.items():
      precisions = average_precision(spans, truth)
      row = {
        "map": float(np.mean([*precisions.values()])),
        "per_class": {ACTIONS[label]: x for label, x in precisions.items()},
        "found": sum(map(len, spans.values())),
        "true": sum(map(len, truth.values())),
      }
      report[f"{kind}, {name}"] = row
      say(f"{kind:>15}  {name:<18} mAP at IoU .5 {row['map']:6.1%}  {row['found']} spans, {row['true']} true")
  settings = {name: values[name].value for name in ("films", "actions", "seed", "window", "every")}
  report = {"settings": settings | dataclasses.asdict(rule), "step": run.step, "results": report}
  (out / "timeline.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
  flags.DEFINE_string("workdir", None, "Folder of a run of the quickstart.")
  flags.DEFINE_string("out", None, "Folder for the films and timeline.json.")
  flags.DEFINE_integer("films", 8, "Films of each kind.", 1)
  flags.DEFINE_integer("actions", 12, "Actions of a film.", 1)
  flags.DEFINE_integer("seed", 0, "Of the films.", 0)
  flags.DEFINE_float("window", 2.0, "See vidjax.timeline, as the next ones.")
  flags.DEFINE_float("every", 0.5, "See there.")
  flags.DEFINE_float("smooth", 1.0, "See there.")
  flags.DEFINE_float("on", None, "See there.")
  flags.DEFINE_float("off", None, "See there.")
  flags.DEFINE_float("at_least", 1.0, "See there.")
  run_main(main)
