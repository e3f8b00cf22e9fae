"""vidjax: video action recognition in JAX."""

from vidjax.host_memory import keep_freed_memory

__version__ = "0.1.0"

keep_freed_memory()
