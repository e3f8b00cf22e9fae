"""What all commands share: flags, errors as one line, exit codes."""

import contextlib
import importlib.util
import io
import json
import logging as standard_logging
import os
import pathlib
import re
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags

from vidjax.build import _with_config_dicts
from vidjax.console import say
from vidjax.errors import (
  EXIT_BAD_INPUT,
  EXIT_INTERRUPTED,
  EXIT_NO_READER,
  EXIT_SIGTERM,
  ConfigError,
  InputError,
  Terminated,
  TrainingStopped,
  deliver_lost_signals,
  of_system,
)

WORDS = {
  r"invalid literal for int\(\).*": "must be an int",
  r"could not convert string to float.*": "must be a number",
  r"\('Non-boolean argument .*\)": "must be True or False",
  r"Failed to parse .* as a ConfigDict.*": "must be a mapping; other flags set its keys",
}
"""What absl says of a flag's value, as a pattern, and plainer words."""


def no_config(error: OSError) -> ConfigError:
  """The error for a config file that cannot be read, from what ml_collections raised."""
  reason = re.split(r"\] |load: ", str(error))[-1].rstrip(".")  # the rest says how far ml_collections came
  return ConfigError(
    f"--config: {reason} in {os.getcwd()}: run from the repository root, or name a config by its path, such as"
    " configs/quickstart.py"
  )


@contextlib.contextmanager
def one_line() -> Iterator[None]:
  """Turns errors a user can mend into one line on stderr and exit code 2.

  Set VIDJAX_TRACEBACK=1 to see the traceback as well. Errors of any other kind are bugs and keep theirs.
  """
  try:
    yield
  except InputError as error:
    _stop(str(error))
  except TrainingStopped as error:
    _stop(str(error), error.code)
  except Terminated:
    _stop("stopped by SIGTERM; nothing half-made is left", EXIT_SIGTERM)
  except KeyboardInterrupt:
    if "jax" in sys.modules and not os.environ.get("VIDJAX_TRACEBACK"):  # XLA may compile: unwinding would crash it
      say("error: interrupted", error=True)
      os._exit(EXIT_INTERRUPTED)
    _stop("interrupted", EXIT_INTERRUPTED)
  except OSError as error:
    known = of_system(error, _written())
    if known is None:
      raise
    _stop(str(known))


def _written() -> str:
  """What a command writes to, as its flags name it, for errors of the system that name no file."""
  from absl import flags

  names = [name for name in ("workdir", "out", "explain", "features", "data_dir") if name in flags.FLAGS]
  given = [f"--{name}={flags.FLAGS[name].value}" for name in names if flags.FLAGS[name].value]
  return f"while writing below {' or '.join(given)}" if given else "while writing"


def _stop(message: str, code: int = EXIT_BAD_INPUT) -> NoReturn:
  if os.environ.get("VIDJAX_TRACEBACK"):
    raise
  say("error: " + " ".join(line.strip() for line in message.splitlines()), error=True)
  raise SystemExit(code) from None


def _close_unread() -> bool:
  """Turns stdout and stderr to /dev/null where they are pipes that nobody reads any more; whether one was."""
  poll = select.poll()
  for stream in (sys.stdout, sys.stderr):
    poll.register(stream.fileno(), 0)
  unread = [number for number, event in poll.poll(0) if event & (select.POLLERR | select.POLLHUP)]
  for number in unread:
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
  return bool(unread)


@contextlib.contextmanager
def flag_errors() -> Iterator[None]:
  """Turns what flags and the code of config files raise into an InputError."""
  try:
    yield
  except flags.Error as error:
    first, *rest = str(error).strip().splitlines()  # the rest: a traceback, where a config file raised
    text = " ".join([first.strip(), *rest[-1:]])
    for python, words in WORDS.items():
      text = re.sub(python, words, text)
    raise InputError(f"{text} ({_config_hint(error)}--help lists the flags)") from error
  except (AttributeError, KeyError, TypeError, IndexError) as error:  # ml_collections: no such key in the config
    message = re.sub(r"\\+n|\n", ": ", str(error))
    message = re.sub(r"\\|'", "", message).strip('"')  # the text of a KeyError comes quoted, of a nested one twice
    remedy = "" if " " in message else ": the config has no such key"
    raise ConfigError(f"--config does not fit: {message}{remedy}") from error
  except SyntaxError as error:
    raise ConfigError(f"--config: {error}") from error
  except BrokenPipeError:  # nobody reads --help
    raise
  except Exception as error:  # whatever else the code of a config file raises
    if isinstance(error, OSError) and "Failed loading config file" in str(error):
      raise no_config(error) from error
    place = traceback.extract_tb(error.__traceback__)[-1]
    raise ConfigError(f"--config: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})") from error


def _config_hint(error: flags.Error) -> str:
  """Words for a flag of a config where a command has none."""
  name = str(getattr(error, "flagname", ""))
  if not name.startswith("config.") or "config" in flags.FLAGS:
    return ""
  if name == "config.data.dir" and "data_dir" in flags.FLAGS:
    return "--data_dir=DIR says where the data sets lie; "
  return "a run has its own config, which no flag changes here; "


def run_main(main: Callable[[list[str]], object], arguments: bool = False) -> None:
  """`absl.app.run` for a command: wrong flags, configs and inputs end in one line and exit code 2.

  A command whose output is no longer read, as of `... | head`, ends without a word.

  Args:
    main: the command.
    arguments: whether it takes arguments other than flags.
  """
  from absl import app, logging

  logging.set_verbosity(logging.FATAL)  # Orbax and TFDS tell much on this channel, and raise what they log as errors
  standard_logging.getLogger("vidjax").setLevel(standard_logging.WARNING)

  def parse(argv: list[str]) -> list[str]:
    if {"--help", "-h", "-help", "--helpshort"} & set(argv[1:]):
      show_help()
    with one_line(), flag_errors():
      return flags.FLAGS(argv)

  def guarded(argv: list[str]) -> object:
    with one_line():
      if len(argv) > 1 and not arguments:
        raise InputError(f"unexpected argument {argv[1]!r}: flags start with --")
      return main(argv)

  deliver_lost_signals()
  if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as vidjax/__init__.py left it
    signal.signal(signal.SIGINT, signal.default_int_handler)
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files may hold what the terminal cannot show
  try:
    try:
      app.run(guarded, flags_parser=parse)
    except SystemExit:
      sys.stdout.flush()  # here, not when Python ends, where it cannot fail quietly
      raise
  except BrokenPipeError:
    if not _close_unread():
      raise  # a pipe of the command's own
    raise SystemExit(EXIT_NO_READER) from None


def show_help() -> NoReturn:
  """Prints what the command does and its own flags, `--config` among them."""
  from absl import flags

  lines = str(sys.modules["__main__"].__doc__ or "").strip().splitlines()
  for module in sorted(flags.FLAGS.flags_by_module_dict()):
    if module == sys.argv[0] or module.startswith(("vidjax", "experiments")):  # not those of libraries
      lines += flags.FLAGS.module_help(module).splitlines()[1:]
  for line in lines:
    say(line)
  raise SystemExit(0)


def define_config(values: flags.FlagValues = flags.FLAGS) -> Any:
  """Defines the flag `--config=FILE[:argument]` of a command; returns its holder, whose value is for `read_config`.

  As `config_flags.DEFINE_config_file`, with two differences. What the file itself raises stands alone in the message.
  And every attribute has a flag, whether the file sets it or not: see `vidjax.settable`. Where a flag sets what there
  is not, that names the section and its keys.

  Args:
    values: the flags to define it among.
  """
  from ml_collections import ConfigDict, FrozenConfigDict, config_flags

  text = "File with get_config, as configs/quickstart.py[:argument]."
  holder = config_flags.DEFINE_config_file("config", None, text, values)
  parser: Any = values["config"].parser
  read, added = parser.parse, []

  def parse(path: str) -> Any:
    config = parse_file(path)
    if isinstance(config, ConfigDict) and not isinstance(config, FrozenConfigDict):
      from vidjax.settable import open_up

      with one_line():
        added[:] = open_up(config, values.read_flags_from_files(sys.argv, force_gnu=False))
    return config

  def parse_file(path: str) -> Any:
    folder = str(pathlib.Path(path.partition(":")[0]).absolute().parent)
    if folder not in sys.path:  # behind all others: a config imports what lies beside it
      sys.path.append(folder)
    try:
      return _with_config_dicts(read(path))
    except (TypeError, ValueError) as error:  # ml_collections wraps these, in the text of a traceback
      cause = error.__context__ or error
      known = isinstance(cause, ValueError) and os.path.basename(path.partition(":")[0]) in str(cause)
      with one_line():
        raise ConfigError(str(cause) if known else f"--config={path}: {type(cause).__name__}: {cause}") from cause

  def tidied(config: Any) -> bool:
    if added:
      from vidjax.settable import tidy

      tidy(added)
    return True

  parser.parse = parse
  flags.register_validator("config", tidied, flag_values=values)  # these run once all flags are parsed
  return holder


def read_config(config: Any) -> dict[str, Any]:
  """The ConfigDict of a command's `--config` as plain nested dicts; ConfigError where there is none to read."""
  if config is None:
    raise ConfigError("--config=FILE is missing: name a config, such as configs/quickstart.py")
  try:
    return json.loads(config.to_json())  # config_flags puts off the error of a file it cannot read until its first use
  except AttributeError as error:
    raise ConfigError(f"--config does not hold a ConfigDict: {error}") from error
  except OSError as error:
    raise no_config(error) from error


def config_with(config: str, given: Sequence[str]) -> dict[str, Any]:
  """A config as `python -m vidjax.train --config=... --config.key=value` reads it, as plain nested dicts.

  Args:
    config: "FILE.py[:argument]".
    given: flags of its keys, such as "--config.train.epochs=2".
  """
  values = flags.FlagValues()
  before, sys.argv = sys.argv, ["config", f"--config={config}", *given]  # ml_collections reads its flags there
  try:
    holder = define_config(values)
    with flag_errors():
      values(sys.argv)
    return read_config(holder.value)
  finally:
    sys.argv = before


def define_crop() -> None:
  """The flags of the test crop, which `predict` has, too."""
  flags.DEFINE_integer("size", None, "Side of the test crop in pixels (default: the run's config.test.size).", 1)
  flags.DEFINE_integer(
    "short_side", None, "Frames are resized to it before that crop (default: the run's config.test.short_side).", 1
  )


def plain_config(config: Any) -> dict[str, Any]:
  """A config as plain nested dicts.

  Args:
    config: a ConfigDict, nested dicts, or "FILE.py[:argument]" as `--config` takes it.

  Raises:
    ConfigError: there is no such file, or it holds no config.
  """
  if isinstance(config, str):
    path, _, argument = config.partition(":")
    name = f"vidjax_config_{pathlib.Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not pathlib.Path(path).is_file():
      raise ConfigError(f"there is no config {path} in {os.getcwd()}: name it by its path, as configs/quickstart.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(pathlib.Path.cwd()))  # as `python -m` does: configs import each other
    try:
      spec.loader.exec_module(module)
    finally:
      sys.path.pop(0)
    config = module.get_config(*([argument] if argument else []))
  if isinstance(config, Mapping):
    return json.loads(json.dumps(config))
  return read_config(config)
