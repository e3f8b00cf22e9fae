"""`python -m vidjax.demo --workdir=DIR|--model=NAME`: a film in, its likeliest classes and why out.

The page is for this machine alone, at http://127.0.0.1:7860, unless --host says otherwise. It loads nothing from
elsewhere, and an uploaded film is deleted once it is answered. One film at a time goes through the network; further
visitors wait in a queue. Ctrl-C ends it. It takes Gradio: pip install -e '.[demo]'.
"""

import errno
import importlib.util
import ipaddress
import os
import pathlib
import socket
import tempfile
import warnings
from typing import Any

import jax
from absl import flags

from vidjax import models
from vidjax.command import define_crop, run_main
from vidjax.console import say
from vidjax.demo import markup
from vidjax.demo.answers import Limits, pictures_of
from vidjax.errors import InputError, tidy_at_sigterm
from vidjax.evaluate.evaluation import parse_views
from vidjax.predict.model import load_model
from vidjax.predict.predictor import make_predictor
from vidjax.run.opened import open_run


def define_flags() -> None:
  """The command's flags."""
  flags.DEFINE_string("workdir", None, "Folder of a training run.")
  flags.DEFINE_string("model", None, "A released model, in place of --workdir; its weights are fetched.")
  flags.DEFINE_string("weights", None, "With --model: the file of its weights, where they are here already.")
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  flags.DEFINE_string("views", "1x1", "CLIPSxCROPS of each film, such as 10x3; crops are 1, 3, 5 or 10.")
  define_crop()
  flags.DEFINE_bool("calibrated", False, "Correct the scores by what vidjax.evaluate --calibrate has fitted.")
  flags.DEFINE_list(
    "pictures", None, "evidence,timeline,attention,representations or some of them (default: all that the run has)."
  )
  flags.DEFINE_string("host", "127.0.0.1", "Address to serve at; 0.0.0.0 serves everyone who reaches this machine.")
  flags.DEFINE_integer("port", 7860, "Port to serve at; 0 takes a free one.", 0, 65535)
  flags.DEFINE_float("max_mb", Limits.mb, "Megabytes (2**20 bytes) of a film at most.", 1e-3)
  flags.DEFINE_float("max_seconds", Limits.seconds, "Seconds of a film at most.", 1e-3)


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if importlib.util.find_spec("gradio") is None:
    raise InputError("the page is made with Gradio, which is not installed: pip install -e '.[demo]'")
  check_subject(values.workdir, values.model, values.weights)
  limits, views = Limits(values.max_mb, values.max_seconds), parse_views(values.views)
  with (
    tidy_at_sigterm(),
    bound(values.host, values.port) as place,
    tempfile.TemporaryDirectory("", "vidjax-demo-") as t,
  ):
    crop = {"size": values.size, "short_side": values.short_side}
    if values.model:
      released = models.find(values.model)
      run, name, data = load_model(values.model, values.weights, **crop).run, values.model, released.data
      weights = f"weights under {released.licence}"
    else:
      run = open_run(values.workdir, values.checkpoint, **crop, trusted=values.trust)
      name, data = pathlib.Path(values.workdir).resolve().name, run.trained_data
      weights = f"checkpoint of step {run.step}"
    predict = make_predictor(run, *views, calibrated=values.calibrated)
    pictures = pictures_of(run, values.pictures, values.calibrated)
    keep_compiled(f"{t}/compiled")
    films = pathlib.Path(t) / "films"
    os.environ |= {"GRADIO_TEMP_DIR": str(films), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    from vidjax.demo.page import make_page, serve  # reads the above when it is imported

    heading = markup.heading(run, name, data, weights)
    page = make_page(heading, f"vidjax: {name}", predict, pictures, limits, films)
    host, port = place.getsockname()[:2]
    if not ipaddress.ip_address(host).is_loopback:
      say("note: everyone who reaches this machine can use the page; there is no password", error=True)
    say(f"the page is at http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C ends it)")
    serve(page, place, limits, films)


def keep_compiled(folder: str) -> None:
  """Keeps what is compiled in a folder, where nothing else is set: drawings compile what others of their size did.

  The folder goes at the end, perhaps while a picture is drawn, and that is no warning.
  """
  settings: Any = jax.config
  if not settings.jax_compilation_cache_dir:
    settings.update("jax_compilation_cache_dir", folder)
    warnings.filterwarnings("ignore", "Error .* persistent compilation cache entry")


def check_subject(workdir: str | None, model: str | None, weights: str | None) -> None:
  """Raises an InputError unless either a run or a released model that has classes is named.

  Args:
    workdir: folder of a run.
    model: name of a released model.
    weights: a file of the model's.
  """
  if bool(workdir) == bool(model):
    what = "both are given" if model else "--workdir=DIR is missing, and so is --model=NAME"
    raise InputError(
      f"{what}: name either the folder of a training run or a released model (python -m vidjax.predict --models lists"
      " them)"
    )
  if weights and not model:
    raise InputError(f"--weights={weights} goes with --model: a run has weights of its own")
  if model and not models.find(model).classes:
    raise InputError(f"--model={model} has no classes: name one that has")


def bound(host: str, port: int) -> socket.socket:
  """A socket at an address.

  Args:
    host: name or address.
    port: 0 for a free one.

  Raises:
    InputError: the port is in use, or it may not be had.
  """
  try:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    place = socket.socket(family, socket.SOCK_STREAM)
  except OSError as error:
    raise InputError(f"--host={host} is no address of this machine ({error.strerror}): try 127.0.0.1") from error
  try:
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind((host, port))
    place.listen(128)
  except OSError as error:
    place.close()
    if error.errno == errno.EADDRINUSE:
      raise InputError(f"--port={port} is in use: choose another one, or --port=0 for a free one") from error
    if error.errno == errno.EACCES:
      raise InputError(f"--port={port} may not be used: choose one above 1023") from error
    raise InputError(f"--host={host} is no address of this machine ({error.strerror}): try 127.0.0.1") from error
  return place


if __name__ == "__main__":
  define_flags()
  run_main(main)
