"""How long does a training take on this machine? So many steps are timed after a warm-up, and a full run extrapolated.

Only the steps are timed, not the reading of the data, nor the sample sheets and checkpoints in between. The processor's
time is that of all threads together; other load on the machine lengthens the time on the clock, but hardly this one.

    OMP_NUM_THREADS=1 python benchmarks/speed/training_time.py --root MNIST_ROOT --json
    OMP_NUM_THREADS=1 python benchmarks/speed/training_time.py --data folder:CIFAR_ROOT --image-size 64 --backend r3gan
"""

import json
import time
from typing import Any

from benchmarks.common.console import arguments, say
from benchmarks.common.machine import machine
from benchmarks.common.pairs import finish
from genaug.backends import registry
from genaug.data import load_data
from genaug.data.reading import Samples, read_samples
from genaug.device import compute_dtype, pick_device
from genaug.training.trainer import Trainer

BATCH = 64  # the default of ``genaug train``


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST")
    parser.add_argument("--backend", default="cgan")
    parser.add_argument("--image-size", type=int, help="the side of the images, if it isn't that of the data")
    parser.add_argument("--steps", type=int, default=200, help="that are timed")
    parser.add_argument("--warm-up", type=int, default=20, help="steps before these")
    parser.add_argument("--run", type=int, default=3000, help="steps of the run that is extrapolated to")
    options = parser.parse_args(argv)
    described = machine()
    data = read_samples(load_data(options.data, split="train", root=options.root), options.image_size)
    clock, processor = timed(options.backend, data, options.steps, options.warm_up)
    result: dict[str, Any] = {
        "script": "training_time",
        "backend": options.backend,
        "data": options.data,
        "shape": list(data.spec.shape),
        "batch_size": BATCH,
        "steps": options.steps,
        "warm_up": options.warm_up,
        "images_per_second": round(BATCH * options.steps / clock, 1),
        "images_per_processor_second": round(BATCH * options.steps / processor, 1),
        "run_steps": options.run,
        "run_minutes_extrapolated": round(clock / options.steps * options.run / 60, 1),
        "run_processor_minutes_extrapolated": round(processor / options.steps * options.run / 60, 1),
        "device": str(pick_device(None)),
        "precision": str(compute_dtype("auto", pick_device(None), data.spec.sample.in_bfloat16)).removeprefix("torch."),
        **described,
    }
    say(
        f"{options.steps} steps took {clock:.0f} s, {processor:.0f} s of the processor; {options.run:,} take about "
        f"{result['run_minutes_extrapolated']:.0f} minutes here, {result['run_processor_minutes_extrapolated']:.0f} of "
        f"the processor (extrapolated)"
    )
    print(json.dumps(result) if options.json else result)


def timed(backend_name: str, data: Samples, steps: int, warm_up: int) -> tuple[float, float]:
    """Seconds on the clock, and of the processor, that so many steps of a training take after a warm-up."""
    backend, device = registry.resolve(backend_name), pick_device(None)
    dtype, steps_of_run = compute_dtype("auto", device, data.spec.sample.in_bfloat16), 10 * (warm_up + steps)
    trainer = Trainer(backend, backend.Config(), data, batch_size=BATCH, device=device, dtype=dtype, steps=steps_of_run)
    for index in range(warm_up):
        trainer.step(index)
    finish(device)
    clock, processor = time.perf_counter(), time.process_time()
    for index in range(warm_up, warm_up + steps):
        trainer.step(index)
    finish(device)
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main()
