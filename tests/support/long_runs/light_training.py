"""train.py with two of the eight discriminators: `python -m tests.support.long_runs.light_training ARGUMENTS`.

The steps of long runs then take a quarter of the time, with spectral norm and weight norm, images and signals.
"""

import functools

import train
from common.cli import run
from hifigan import discriminators


def keep_first(build):
    @functools.wraps(build)
    def build_light(*args, **kwargs):
        built = build(*args, **kwargs)
        for module in built.values():
            del module.discriminators[1:]
        return built

    return build_light


if __name__ == "__main__":
    import hifigan.training.state

    hifigan.training.state.build_discriminators = keep_first(discriminators.build_discriminators)
    run(train.main, "train.py")
