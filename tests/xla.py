"""How the tests, and the commands they start, have XLA compile."""

import importlib.metadata
import os

GIVEN = os.environ.get("XLA_FLAGS", "")
QUICK = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
if importlib.metadata.version("jaxlib").startswith("0.10."):  # 0.11 has one kind of emitters left, and no such flag
  QUICK += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_opt_preset=fast_compile"]


def xla_flags(devices: int = 1) -> str:
  """`XLA_FLAGS` for so many faked CPU devices.

  Most of the suite's time would be the compiler making code fast that runs once, on arrays of a few numbers.
  """
  return " ".join([GIVEN, *QUICK, f"--xla_force_host_platform_device_count={devices}"])
