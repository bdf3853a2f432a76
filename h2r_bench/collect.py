"""Record paired demonstrations: `python -m h2r_bench.collect --out DIR`.

Episode `i` follows from the seed and `i` alone, so workers, interruptions and order change nothing. The
folder is a LeRobotDataset v3.0. Instead of recording, `--show DIR` draws a page about a dataset, `--replay
DIR` plays its actions again, and `--import-hdf5 DIR` reads the H&R recordings of the paper's authors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from h2r_bench.cli import INTERRUPTED, parse, refused
from h2r_bench.datasets.collection import CollectConfig, collect, import_hdf5, replay, report, show


def run(config: CollectConfig) -> str:
    """Do what was asked; returns what to tell the user."""
    if config.show is not None:
        return show(config.show)
    if config.replay is not None:
        return replay(config.replay, config.sample, config.workers)
    if config.import_hdf5 is not None:
        return import_hdf5(config)
    from h2r_bench.envs import WORLD_VERSION

    return report(collect(config, WORLD_VERSION))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    try:
        config = parse(CollectConfig, prog="python -m h2r_bench.collect", description=__doc__, args=argv)
        print(run(config))
    except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
        return refused(error)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
