"""From a source to the files of its timeline."""

import contextlib
import dataclasses
import difflib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vidjax.console import clock, counted, say
from vidjax.errors import InputError
from vidjax.files import whole
from vidjax.predict.predictor import check_classifies, thresholds_of
from vidjax.run.opened import Run
from vidjax.timeline import write
from vidjax.timeline.labelled import LabelledFilm
from vidjax.timeline.live import Reader, stopped_by_signals
from vidjax.timeline.picture import save_timeline
from vidjax.timeline.source import Source
from vidjax.timeline.spans import Rule, Span, find_spans, smoothed
from vidjax.timeline.track import Score, Track, follow_film, follow_live, make_score
from vidjax.timeline.windows import Cut, looped

LINES = 4
"""Labels drawn at once; a further line says how many more there are."""


@dataclasses.dataclass(frozen=True)
class Options:
  """How a timeline is made.

  Attributes:
    cut: how the film becomes windows.
    rule: how scores become spans.
    short_side: to which larger frames are shrunk before they are cut.
    batch: windows that go through the network at once; live, one does.
    seconds: of the film that are read.
    video: write the film with its labels.
    calibrated: correct the scores by what `python -m vidjax.evaluate --calibrate` has fitted.
  """

  cut: Cut
  rule: Rule
  short_side: int
  batch: int = 8
  seconds: float = np.inf
  video: bool = True
  calibrated: bool = False


@dataclasses.dataclass(frozen=True)
class Ended:
  """How the reading ended.

  Attributes:
    how: "at its end", "stopped", "after --seconds" or "broke off".
    reason: what broke it off.
    dropped: frames.
    missed: those dropped before time counted.
  """

  how: str
  reason: str = ""
  dropped: int = 0
  missed: int = 0


def rule_of(
  run: Run,
  smooth: float,
  at_least: float,
  on: float | None,
  off: float | None,
  idle: Sequence[str] = (),
  calibrated: bool = False,
) -> Rule:
  """The rule for a run's task: one class at a time, or each by itself where a video may have several.

  Args:
    run: the run.
    smooth: see `Rule`, as the next one.
    at_least: see there.
    on: the same (default: .5, or the task's threshold).
    off: the same (default: .6 of `on`).
    idle: names of classes that mean no action.
    calibrated: without `on`, each class begins at its own threshold, where `vidjax.evaluate --calibrate` found some.

  Raises:
    InputError: there is no such class, the thresholds cannot be, or nothing was fitted.
  """
  task: Any = run.recipe.task
  several = bool(getattr(task, "several", False))
  fitted = thresholds_of(run) if calibrated and on is None else ()
  on = on if on is not None else float(getattr(task, "threshold", 0.5))
  own = tuple((each, 0.6 * each if off is None else min(off, each)) for each in fitted)
  for name in idle:
    if name not in run.class_names:
      near = difflib.get_close_matches(name, run.class_names, 1, 0) or run.class_names[:1]
      raise InputError(
        f"--no_action={name}: the run has no such class; the nearest of its {len(run.class_names)} is {near[0]}"
      )
  numbers = tuple(run.class_names.index(name) for name in idle)
  return Rule(on, 0.6 * on if off is None else off, smooth, at_least, not several, numbers, own)


def make_timeline(source: Source, run: Run, options: Options, out: pathlib.Path, stack: contextlib.ExitStack) -> None:
  """Reads a source and writes its timeline into a folder.

  Args:
    source: what is read.
    run: that reads frames, with its variables.
    options: how.
    out: the folder, which is there.
    stack: closes the source.

  Raises:
    InputError: there is not one window; or the source broke off, which is raised once all else is written.
  """
  check_classifies(run)
  if not run.class_names:
    raise InputError(f"{run.called} has no classes, and a timeline is made of their scores: name a classifier")
  if not source.is_file:
    say(f"reading {source.shown}" + ", live: Ctrl-C ends it" * source.live)
  track = Track(source.fps)
  score = make_score(run, 1 if source.live else options.batch, options.calibrated)
  ended = _read(source, run, track, score, options, out, stack)
  _write(source, run, track, options, out, ended)
  if ended.reason:
    raise InputError(f"{ended.reason}; the results up to {track.ends[-1]:.1f} s are in {out}")


def labels_at(scores: np.ndarray, rule: Rule) -> list[int]:
  """The classes of one window, by their score: those from `on` on, of which `rule.one` takes the best.

  Args:
    scores: `[K]`.
    rule: how.
  """
  order = np.argsort(-scores, kind="stable").tolist()
  found = [label for label in (order[:1] if rule.one else order) if scores[label] >= rule.of(label)[0]]
  return [label for label in found if label not in rule.idle]


def _read(
  source: Source, run: Run, track: Track, score: Score, options: Options, out: pathlib.Path, stack: contextlib.ExitStack
) -> Ended:
  """Scores the whole source; what cannot be read again is drawn meanwhile, with the label of the newest window."""
  if source.is_file and not source.live:
    try:
      for _ in follow_film(
        source.frames(options.short_side), track, options.cut, score, options.batch, options.seconds
      ):
        pass
      ended = Ended("after --seconds" if track.seconds >= options.seconds else "at its end")
    except InputError as error:
      ended = _broken(error, track)
    _begin_writing(source, track, options, ended, out)
    return ended
  reader = Reader(
    lambda: source.frames(options.short_side),
    options.cut.every if source.live else None,
    source.paced,
    source.timeout,
  )
  with contextlib.ExitStack() as own:
    film = None
    if options.video:
      film = own.enter_context(LabelledFilm(own.enter_context(whole(out / write.FILM)), source.fps))
    if source.live:
      own.enter_context(stopped_by_signals(reader.stop))
    try:
      reader.start()
      score(np.zeros((1, *run.clip_shape), np.uint8))  # compiled before time counts
      reader.fresh()
      for image, since, lines in _drawn(source, run, reader, track, score, options):
        if film is not None:
          film.add(image, since, lines)
      how = "stopped" if reader.stop.is_set() else "at its end"
      ended = Ended("after --seconds" if track.seconds >= options.seconds else how, "", reader.dropped, reader.missed)
    except InputError as error:
      ended = dataclasses.replace(_broken(error, track), dropped=reader.dropped)
    finally:
      if not reader.close():
        stack.pop_all()  # the thread still reads: what it reads closes with the process
    _begin_writing(source, track, options, ended, out)
  return ended


def _begin_writing(source: Source, track: Track, options: Options, ended: Ended, out: pathlib.Path) -> None:
  """Removes the report of an older timeline; raises an InputError where not one window has ended."""
  if not track.rows:
    lost = ended.dropped + ended.missed
    if lost and ended.how == "at its end" and not source.paced:
      raise InputError(
        f"{source.shown} came faster than in real time: {counted(lost, 'frame was', 'frames were')} dropped, and what"
        f" is left is less than --window={options.cut.window:g}; --nolive reads all"
      )
    when = "was stopped after" if ended.how in ("stopped", "after --seconds") else "lasts"
    raise InputError(
      f"{source.shown} {when} {track.seconds:.2f} s, less than --window={options.cut.window:g}: choose a shorter window"
    )
  (out / write.REPORT).unlink(missing_ok=True)


def _broken(error: InputError, track: Track) -> Ended:
  """The end of a film that broke off; raises the error again where nothing is known yet."""
  if not track.rows:
    raise error
  return Ended("broke off", str(error))


def _drawn(
  source: Source, run: Run, reader: Reader, track: Track, score: Score, options: Options
) -> Iterator[tuple[np.ndarray, float, list[str]]]:
  """Frames of a stream, their seconds, and what is drawn into them."""
  if not source.live:
    frames = ((one.frame, one.time) for one in reader)
    for frame, since in follow_film(frames, track, options.cut, score, options.batch, options.seconds):
      yield frame.image, since, _lines(run, track.rows[-1], options.rule) if track.rows else []
    return
  for now in follow_live(reader, track, options.cut, score, options.seconds):
    lines = [] if now.scores is None else _lines(run, now.scores, options.rule)
    if now.fresh:
      told = ", ".join(lines) or "no action"
      say(f"{clock(now.time):>10}  {told}  (latency {track.latencies[-1] * 1000:.0f} ms, {reader.dropped} dropped)")
    yield now.frame.image, now.time, lines


def _lines(run: Run, scores: np.ndarray, rule: Rule) -> list[str]:
  return first_lines([f"{run.class_names[label]} {scores[label]:.0%}" for label in labels_at(scores, rule)])


def first_lines(lines: list[str]) -> list[str]:
  """At most LINES of them, and how many more there are."""
  more = len(lines) - LINES
  return lines if more <= 0 else [*lines[:LINES], f"and {more} more"]


def _write(source: Source, run: Run, track: Track, options: Options, out: pathlib.Path, ended: Ended) -> None:
  """All files but the film of a stream, which is there already."""
  cut, rule, names = options.cut, options.rule, run.class_names
  seconds = min(track.seconds, options.seconds)
  scores, times = track.scores, track.times
  spans = find_spans(times, scores, rule, 0.0, seconds, max(cut.window, cut.every))
  live = None
  if source.live:
    low, high = np.percentile(track.latencies, (50, 95))
    live = {
      "latency_seconds": {
        "median": round(float(low), 4),
        "p95": round(float(high), 4),
        "largest": round(max(track.latencies), 4),
      },
      "dropped_frames": ended.dropped,
      "skipped_windows": track.skipped,
    }
    came = track.frames + ended.dropped
    say(
      f"latency {low * 1000:.0f} ms (95%: {high * 1000:.0f} ms), {ended.dropped} of {counted(came, 'frame')} dropped,"
      f" {counted(track.skipped, 'window')} skipped"
    )
  report = {
    "film": source.identity(),
    "seconds": round(seconds, 3),
    "first_frame_seconds": round(track.first, 6),
    "frames": track.frames,
    **({"times_from_rate": {"frames": track.untimed, "rate": round(source.fps, 4)}} if track.untimed else {}),
    "damaged": source.damaged,
    "ended": ended.how,
    **({"reason": ended.reason} if ended.reason else {}),
    **({"live": live} if live else {}),
    "run": {"name": run.called, "step": run.step, "data": run.trained_data, **run.crop_sizes},
    "settings": {
      "window": cut.window,
      "every": cut.every,
      **{name: value for name, value in dataclasses.asdict(rule).items() if name not in ("one", "idle", "own")},
      **({"on_of_classes": {name: on for name, (on, _) in zip(names, rule.own, strict=True)}} if rule.own else {}),
      "one_class_at_a_time": rule.one,
      "no_action": [names[label] for label in rule.idle],
      "sampler": f"{cut.sampler}, over each window's time",
      "stored_short_side": options.short_side,
      "calibrated": options.calibrated,
    },
    "class_names": names,
    "spans": write.described(spans, names),
    "scores": {
      "start": np.round(track.starts, 3).tolist(),
      "end": np.round(track.ends, 3).tolist(),
      "scores": write.rounded(scores),
    },
  }
  write.write_scores(out / write.SCORES, track.starts, track.ends, scores, names)
  write.write_spans(out / write.SPANS, spans, names)
  write.write_subtitles(out / write.SUBTITLES, spans, names)
  title = f"{pathlib.Path(source.shown).name}: {counted(len(spans), 'span')} in {clock(seconds)}"
  save_timeline(out / write.PICTURE, times, smoothed(times, scores, rule.smooth), spans, names, seconds, rule, title)
  if options.video and source.is_file and not source.live:
    _write_film(source, track, spans, names, seconds, out)
  elif not options.video:
    (out / write.FILM).unlink(missing_ok=True)
  write.write_report(out / write.REPORT, report)  # last: where it is, the others are
  _tell(source, track, spans, names, cut, out)


def _write_film(
  source: Source, track: Track, spans: Sequence[Span], names: Sequence[str], seconds: float, out: pathlib.Path
) -> None:
  """Reads a file again and draws the spans; one that breaks off does so again."""
  rate = track.frames / track.seconds
  with whole(out / write.FILM) as partial, LabelledFilm(partial, rate) as film, contextlib.suppress(InputError):
    again = dataclasses.replace(source)  # so that damage is not counted twice
    for _, (frame, own) in zip(range(track.frames), again.frames(480), strict=False):
      since = own - track.first
      if since >= seconds:
        break
      shown = [span for span in spans if span.start <= since < span.end]
      shown = sorted(shown, key=lambda span: -span.score)
      film.add(frame.image, since, first_lines([f"{names[span.label]} {span.score:.0%}" for span in shown]))


def _tell(
  source: Source, track: Track, spans: Sequence[Span], names: Sequence[str], cut: Cut, out: pathlib.Path
) -> None:
  """Prints the spans, and what is odd."""
  span = looped(cut, track.sampled)
  if span:
    say(
      f"note: a clip of the run spans {counted(span, 'frame')} and the shortest window has {track.sampled}: some are"
      f" repeated; --window={span * track.seconds / track.frames:.2g} has as many",
      error=True,
    )
  if source.damaged:
    say(
      f"note: {source.shown}: {counted(source.damaged, 'damaged frame or packet', 'damaged frames or packets')}",
      error=True,
    )
  if track.untimed:
    say(f"note: {source.shown} states no times: they follow from its {source.fps:g} frames a second", error=True)
  if track.reshaped:
    have = counted(track.reshaped, "frame has", "frames have")
    say(f"note: {have} another size than the first: all are shown in its size", error=True)
  say(f"{source.shown}: {counted(len(spans), 'span')} in {clock(track.seconds)}, {counted(len(track.rows), 'window')}")
  for one in spans:
    say(f"  {clock(one.start):>10} - {clock(one.end):>10}  {one.score:6.1%}  {names[one.label]}")
  say(f"wrote {out}")
