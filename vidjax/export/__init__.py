"""Trained networks as files for other runtimes; `vidjax.export.stablehlo.load` reads one of them back."""
