"""The shards of a data set made by Apache Beam, on whatever runs its pipelines: Dataflow, Flink, Spark, this machine.

The workers read the videos and write the shards (`vidjax.prepare.shards`) by the paths that this machine uses, so that
all of them need a shared disk. A shard that Beam makes twice, as it may, is the same shard.
"""

import shlex
from collections.abc import Sequence

from vidjax.errors import InputError
from vidjax.prepare import shards


def make(work: shards.Work, missing: Sequence[shards.Shard], timeout: float, options: str) -> None:
  """Makes shards.

  Args:
    work: what they are made with.
    missing: the shards to be made.
    timeout: seconds a file may take from one frame to the next before it is refused.
    options: Beam's flags, as "--runner=DirectRunner --direct_num_workers=4".

  Raises:
    InputError: Beam is not installed, or cannot run the pipeline.
  """
  try:
    import apache_beam as beam  # pyright: ignore[reportMissingImports]
    from apache_beam.options.pipeline_options import PipelineOptions  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise InputError(f"--beam: Apache Beam is not installed ({error}): pip install -e '.[beam]'") from error
  with beam.Pipeline(options=PipelineOptions(shlex.split(options))) as pipeline:
    each = pipeline | beam.Create(list(missing)) | beam.Reshuffle()
    _ = each | beam.Map(_make_one, work, timeout)


def _make_one(shard: shards.Shard, work: shards.Work, timeout: float) -> None:
  if shards.read(work, shard[0]) is None:
    shards.make(work, [shard], timeout)
