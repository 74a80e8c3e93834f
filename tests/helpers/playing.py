"""What the tests of all backends play with: a batch, a step, and one turn of every player."""

import torch

from genaug.backends import Batch
from genaug.training.distributed import Share
from genaug.training.streams import TrainingStep

CPU = torch.device("cpu")


def batch_of(shape, n=4, classes=3):
    drawn = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % classes if classes else None
    return Batch(torch.rand(n, *shape, generator=drawn) * 2 - 1, labels)


def step_of(config, spec, index=0, policy=(), dtype=torch.float32):
    step = TrainingStep(config, spec, seed=0, device=CPU, dtype=dtype, share=Share(), policy=policy)
    step.begin(index)
    return step


def play(backend, config, spec, batch, index=0, policy=()):
    """The losses of both players' turns and their gradients' sums, on fresh networks."""
    torch.manual_seed(0)
    nets = backend.build(config, spec)
    step = step_of(config, spec, index, policy)
    losses, gradients = {}, {}
    for player in backend.players(config, nets):
        nets.zero_grad()
        losses[player.name] = backend.loss(player.name, nets, batch, step)
        losses[player.name].value.backward()
        gradients[player.name] = [parameter.grad for parameter in nets[player.name].parameters()]
    return losses, gradients


def check_losses(backend, config, spec, batch, index=0):
    """Every player's loss is a finite number with finite gradients for all its parameters; their names."""
    losses, gradients = play(backend, config, spec, batch, index)
    for name, loss in losses.items():
        assert loss.value.shape == ()
        assert loss.value.isfinite()
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients[name])
    return list(losses)


def check_penalties_are_float32(backend, config, spec, last):
    """In bfloat16 the discriminator's turn runs in float32, with its penalties, and the generator's doesn't.

    ``last`` names the discriminator's last layer.
    """
    torch.manual_seed(0)
    nets, types = backend.build(config, spec), []
    getattr(nets["discriminator"], last).register_forward_hook(lambda module, inputs, out: types.append(out.dtype))
    step = step_of(config, spec, dtype=torch.bfloat16)
    with step.networks():
        backend.loss("generator", nets, batch_of(spec.shape), step)
        assert set(types) == {torch.bfloat16}
        types.clear()
        backend.loss("discriminator", nets, batch_of(spec.shape), step)
    assert set(types) == {torch.float32}
