"""vidjax: video action recognition in JAX."""

import signal
import sys

from vidjax.host_memory import keep_freed_memory

__version__ = "0.1.0"

_is_command = sys.argv[:1] == ["-m"] and any(word.partition(".")[0] == "vidjax" for word in sys.orig_argv)
if _is_command and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
  signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `run_main`: Ctrl-C during imports is no traceback

keep_freed_memory()
