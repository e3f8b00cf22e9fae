"""vidjax: video action recognition in JAX.

`vidjax.open_run(DIR).predict("film.mp4")`, `vidjax.load_model(NAME)` of a released model, `vidjax.load_model(CONFIG,
WEIGHTS)`, and the rooms `vidjax.networks`, `vidjax.backbones`, `vidjax.plugins`, `vidjax.inputs`, `vidjax.losses`,
`vidjax.train`, `vidjax.evaluate`, `vidjax.summarize` and `vidjax.timeline`. All are imported when they are first used.
"""

import signal
import sys

from vidjax.host_memory import keep_freed_memory
from vidjax.lazy import lazily

__version__ = "0.1.0"

_is_command = sys.argv[:1] == ["-m"] and any(word.partition(".")[0] == "vidjax" for word in sys.orig_argv)
if _is_command and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
  signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `run_main`: Ctrl-C during imports is no traceback

keep_freed_memory()

_ROOMS = ("backbones", "evaluate", "inputs", "losses", "networks", "plugins", "summarize", "timeline", "train")
_FUNCTIONS = dict.fromkeys(("open_run", "load_model"), "vidjax.predict.model")
__getattr__ = lazily(__name__, _FUNCTIONS | {name: f"vidjax.{name}" for name in _ROOMS})


def __dir__() -> list[str]:
  return sorted([*globals(), *_FUNCTIONS, *_ROOMS])
