"""Keyframes of films, and how well they agree with those that people chose.

`python -m vidjax.summarize [--workdir=RUN] FILE... --out=DIR` writes keyframes, a contact sheet with times, a curve and
summary.json. Without a run VSUMM's method chooses by colour; with one, the frames that its network pays attention to.
`python -m vidjax.summarize evaluate --source=DIR --out=DIR` measures a method on films with summaries of people, such
as the OVP and YouTube sets of VSUMM: F, CUS_A and CUS_E.

A film is read twice, frame by frame, so that the memory does not grow with its length.
"""

import functools
import os
import pathlib
from collections.abc import Callable, Sequence

from absl import flags

from vidjax.analyse.pictures import explain_paths
from vidjax.command import run_main
from vidjax.console import clock, counted, say
from vidjax.errors import EXIT_BAD_INPUT, InputError
from vidjax.summarize import evaluation, sets
from vidjax.summarize.choosers import METHODS
from vidjax.summarize.descriptors import SIDE, SIMILAR, SIMILAR_COLOURS, colour_histogram, hue_histogram
from vidjax.summarize.film import Candidates, Describe, scan
from vidjax.summarize.summary import Summary, choose, write

EVALUATE, RUN = ("source", "set", "f"), ("span", "checkpoint", "trust")
"""Flags that go with evaluate alone, and with --workdir alone."""
SETTINGS = ("source", "set", "f", "max_frames", "rate", "workdir", "checkpoint", "span", "max_corrupt", "seed")
"""What the numbers of evaluate depend on, beside the method and what is similar."""


def define_flags() -> None:
  """The command's flags; they may stand after the files."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_string("workdir", None, "Folder of a training run whose network pays attention to frames.")
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  flags.DEFINE_string("out", None, "Folder for what is made. Several films: a folder summary-STEM in it for each.")
  flags.DEFINE_enum(
    "method", None, [*METHODS, "attention"], "How keyframes are chosen (default: vsumm1; with --workdir attention)."
  )
  flags.DEFINE_integer("max_frames", None, "Keyframes of a film at most.", 1)
  flags.DEFINE_float(
    "rate", 1.0, "Frames a second that are looked at; with --workdir, keyframes a second at most.", 1e-6
  )
  flags.DEFINE_integer("span", None, "With --workdir: frames of the film that a clip spans (default: the run's).", 1)
  flags.DEFINE_float(
    "similar",
    None,
    f"Frames nearer than that to each other, 0 to 2, are similar (default: {SIMILAR_COLOURS}; evaluate {SIMILAR}).",
    0,
    2,
  )
  flags.DEFINE_integer("max_corrupt", 0, "Refuse a film with more damaged frames and packets.", 0)
  flags.DEFINE_integer("seed", 0, "Of --method=random.", 0)
  flags.DEFINE_string(
    "source", None, "evaluate: folder of films, and for each a folder of its name with user*/Frame<N>.jpeg."
  )
  flags.DEFINE_enum("set", None, [*sets.SETS], "evaluate: only the films of this set; youtube has no cartoons.")
  flags.DEFINE_enum(
    "f", "users", ["users", "means"], "evaluate: the mean of the users' F, or F of mean precision and recall."
  )


def main(argv: list[str]) -> None:
  """The command: broken films are named on stderr, the others still done, and the exit code is 2."""
  values, files = flags.FLAGS, argv[1:]
  evaluates = files == ["evaluate"]
  if not files or (files[0] == "evaluate" and not evaluates):
    raise InputError(
      "say which films: python -m vidjax.summarize FILE... --out=DIR, or evaluate --source=DIR --out=DIR"
    )
  idle = [name for name in (() if evaluates else EVALUATE) + (() if values.workdir else RUN) if values[name].present]
  if idle:
    goes = "evaluate" if idle[0] in EVALUATE else "--workdir=RUN"
    raise InputError(f"--{idle[0]} goes with {goes}: leave it out")
  if evaluates and not values.source:
    raise InputError("--source=DIR is missing: name the folder of the films and their summaries")
  if not values.out:
    raise InputError("--out=DIR is missing: name a folder for what is made")
  method = values.method or ("attention" if values.workdir else "vsumm1")
  if (method == "attention") != bool(values.workdir):
    raise InputError(f"--method={method}: --workdir=RUN and --method=attention take each other, or leave both out")
  out = pathlib.Path(values.out)
  if out.exists() and not out.is_dir():
    raise InputError(f"--out={out} is a file: name a folder")
  out.mkdir(parents=True, exist_ok=True)
  if not os.access(out, os.W_OK):
    raise InputError(f"--out={out} cannot be written: choose another place")
  look = _looker(hue_histogram if evaluates else colour_histogram, None if evaluates else SIDE)
  failed = _evaluate(look, method, out) if evaluates else _summarize(look, method, files, out)
  if failed:
    raise SystemExit(EXIT_BAD_INPUT)


def _looker(describe: Describe, short_side: int | None) -> Callable[[str], Candidates]:
  """What looks at a film: by the run's network, where one is named."""
  values = flags.FLAGS
  if not values.workdir:
    return lambda file: scan(file, describe, values.rate, short_side, values.max_corrupt)
  from vidjax.run.opened import open_run  # slow to import, with JAX
  from vidjax.summarize.attention import run_attention, scan_attention, windows_of

  run = open_run(values.workdir, values.checkpoint, trusted=values.trust)
  windows = windows_of(run, values.span)
  say(f"clips of {run.clip_shape[0]} frames, each from {windows.span} of the film")
  return functools.partial(
    scan_attention,
    attend=run_attention(run),
    windows=windows,
    describe=describe,
    max_corrupt=values.max_corrupt,
  )


def _summarize(look: Callable[[str], Candidates], method: str, files: Sequence[str], out: pathlib.Path) -> int:
  """Writes the summary of each film; returns how many failed."""
  values, failed = flags.FLAGS, 0
  similar = SIMILAR_COLOURS if values.similar is None else values.similar
  folders = explain_paths(out / "summary", files) if len(files) > 1 else [out]
  for file, folder in zip(files, folders, strict=True):
    try:
      summary = choose(look(file), method, values.max_frames, similar, 1 / values.rate, values.seed)
      write(summary, folder, values.max_corrupt)
    except InputError as error:
      say(f"error: {error}", error=True)
      failed += 1
      continue
    say(f"{file}: {summary.line}")
    _remark(summary)
    for number, time in zip(summary.numbers.tolist(), summary.times.tolist(), strict=True):
      say(f"  {clock(time):>10}  frame {number}")
    say(f"wrote {folder}")
  return failed


def _evaluate(look: Callable[[str], Candidates], method: str, out: pathlib.Path) -> int:
  """Measures the summary of each film; returns how many failed."""
  values, rows = flags.FLAGS, []
  videos, wrong = sets.find(pathlib.Path(values.source), values.set)
  for text in wrong:
    say(f"error: {text}", error=True)
  absent = [name for name in sets.SETS.get(values.set, ()) if name not in {video.name for video in videos}]
  if absent:
    say(f"note: {len(absent)} of the films of {values.set} are not there, such as {absent[0]}", error=True)
  similar = SIMILAR if values.similar is None else values.similar
  for video in videos:
    try:
      summary = choose(
        look(str(video.file)), method, values.max_frames, similar, 1 / values.rate, values.seed, plain=True
      )
      rows.append(evaluation.measure(video, summary, values.f))
    except InputError as error:
      say(f"error: {error}", error=True)
      continue
    _remark(summary)
    say(_line(video.name, rows[-1].scores) + f"  {rows[-1].keyframes} keyframes")
  if rows:
    settings = {name: values[name].value for name in SETTINGS}
    settings |= {"method": method, "similar": similar, "absent": absent, "failed": len(videos) + len(wrong) - len(rows)}
    evaluation.write_report(rows, out, settings)
    say(_line("mean", evaluation.means(rows)) + f"  {len(rows)} of {counted(len(videos) + len(wrong), 'film')}")
    say(f"wrote {out}")
  return len(videos) + len(wrong) - len(rows)


def _line(name: str, scores: evaluation.Scores) -> str:
  return f"{name:>8}  F {scores.f:6.1%}  CUS_A {scores.cus_a:5.3f}  CUS_E {scores.cus_e:5.3f}"


def _remark(summary: Summary) -> None:
  """Says what is worth knowing of a summary."""
  damaged = summary.candidates.damaged
  what = counted(damaged, "damaged frame or packet", "damaged frames or packets")
  what += ": neither such a frame nor one that builds on it is a keyframe"
  for note in (*[what] * bool(damaged), *summary.notes):
    say(f"note: {summary.candidates.file}: {note}", error=True)


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
