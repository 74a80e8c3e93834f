"""What the tests of all backends use: a batch, a training step, and the loss of each player."""

import torch

from genaug.backends import Batch, Inputs, Spec
from genaug.data.reading import Samples
from genaug.modalities import Image
from genaug.training.distributed import World
from genaug.training.streams import TrainingStep
from genaug.training.trainer import Trainer

CPU = torch.device("cpu")


def batch_of(shape, n=4, classes=3):
    drawn = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % classes if classes else None
    return Batch(torch.rand(n, *shape, generator=drawn) * 2 - 1, labels)


def step_of(config, spec, index=0, policy=(), dtype=torch.float32):
    step = TrainingStep(config, spec, [], seed=0, device=CPU, dtype=dtype, world=World(), policy=policy)
    step.begin(index)
    return step


def generate(backend, nets, latents, labels=None):
    """Samples of these latents and labels, from networks that need no further noise and no conditions."""
    return backend.generate(nets, Inputs(latents, labels, no_noise))


def no_noise(*shape):
    raise AssertionError("these networks draw no noise besides their latents")


def loss_of(name, backend, nets, batch, step):
    """The loss of one player."""
    players = {player.name: player for player in backend.players(step.config, nets)}
    return players[name].loss(nets, batch, step)


def losses_of(backend, config, spec, batch, index=0, policy=()):
    """The losses of all players of a step, and the gradients of their networks, by name; on fresh networks."""
    torch.manual_seed(0)
    nets = backend.build(config, spec)
    step = step_of(config, spec, index, policy)
    losses, gradients = {}, {}
    for player in backend.players(config, nets):
        nets.zero_grad()
        losses[player.name] = player.loss(nets, batch, step)
        losses[player.name].value.backward()
        gradients[player.name] = [parameter.grad for parameter in nets[player.name].parameters()]
    return losses, gradients


def check_losses(backend, config, spec, batch, index=0):
    """Every player's loss is a finite number with finite gradients for all its parameters; their names."""
    losses, gradients = losses_of(backend, config, spec, batch, index)
    for name, loss in losses.items():
        assert loss.value.shape == ()
        assert loss.value.isfinite()
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients[name])
    return list(losses)


def check_labels_are_ignored(backend, config, shape=(1, 8, 8)):
    """Labeled data are trained on as unlabeled ones are."""
    x = torch.randint(0, 256, (12, *shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    logs = []
    for labels in (torch.arange(12) % 3, None):
        spec = Spec(sample=Image(*shape), classes=3 if labels is not None else None)
        trainer = Trainer(backend, config, Samples(x, labels, spec), batch_size=6)
        assert trainer.batches.batch(0).labels is None
        logs.append([trainer.step(index) for index in range(3)])
    for one, other in zip(*logs, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def check_penalties_are_float32(backend, config, spec, last):
    """In bfloat16 the discriminator's loss runs in float32, with its penalties, and the generator's doesn't.

    ``last`` names the discriminator's last layer.
    """
    torch.manual_seed(0)
    nets, types = backend.build(config, spec), []
    getattr(nets["discriminator"], last).register_forward_hook(lambda module, inputs, out: types.append(out.dtype))
    step = step_of(config, spec, dtype=torch.bfloat16)
    with step.networks():
        loss_of("generator", backend, nets, batch_of(spec.shape), step)
        assert set(types) == {torch.bfloat16}
        types.clear()
        loss_of("discriminator", backend, nets, batch_of(spec.shape), step)
    assert set(types) == {torch.float32}
