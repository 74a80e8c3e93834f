"""Checks of what fine-tuning needs: blocks to freeze, and classes that can be matched with others."""

from dataclasses import replace
from unittest import SkipTest

import torch
from torch import Tensor, nn

from genaug.backends.class_axes import class_axes, reordered
from genaug.errors import PluginError
from genaug.testing.listing import check, offering
from genaug.testing.subject import CLASSES, Case, Subject, require


@check(offering("discriminator_blocks"))
def check_discriminator_blocks(subject: Subject) -> None:
    """The discriminator's blocks are different modules of a network, and players train their parameters."""
    case = subject.case()
    nets = case.build()
    blocks = list(case.backend.discriminator_blocks(nets))
    groups = [list(block.parameters()) for block in blocks]
    parameters = [parameter for group in groups for parameter in group]
    require(
        bool(blocks) and all(groups) and len(set(parameters)) == len(parameters),
        "expected at least one block, each with parameters of its own.",
    )
    trained = {parameter for player in case.backend.players(case.config, nets) for parameter in player.parameters}
    require(set(parameters) <= trained, "the blocks must be parts of a network from build that a player trains.")
    require(trained != set(parameters), "the layers that give the discriminator's outputs aren't blocks to freeze.")


@check()
def check_classes_can_be_matched(subject: Subject) -> None:
    """After a permutation of the classes, samples and losses of the same classes are the same."""
    case = subject.case()
    if not case.spec.takes_labels:
        raise SkipTest("its spec takes no labels")
    try:
        axes = class_axes(case.backend, case.config, case.spec)
    except PluginError as error:
        raise SkipTest(str(error)) from error
    nets, classes = case.networks, torch.arange(CLASSES)
    if not _same(case, nets, nets, classes):
        raise SkipTest("its samples or losses aren't reproducible")
    order = classes.roll(1)  # the old class of each new one
    permuted = case.build()
    permuted.load_state_dict(reordered(nets.state_dict(), axes, order.tolist()))
    require(_same(case, nets, permuted.eval(), order.argsort()), _REMEDY)


_REMEDY = (
    "a permutation of the classes in the tensors that have an entry per class changes samples or losses, so "
    "fine-tuning on other classes would mix them up. If such a tensor has further entries along that dimension, "
    "declare in after_classes how many of them come after those of the classes."
)


def _same(case: Case, nets: nn.ModuleDict, permuted: nn.ModuleDict, new: Tensor) -> bool:
    """Whether samples and losses are the same if class i is called ``new[i]`` in the permuted networks."""
    inputs = case.inputs(6)
    assert inputs.labels is not None
    samples = case.generate(nets, inputs), case.generate(permuted, replace(inputs, labels=new[inputs.labels]))
    if not torch.allclose(*samples, atol=1e-5):
        return False
    if not case.is_trainable:
        return True
    batch, values = case.batch(), []
    assert batch.labels is not None
    for networks, labels in ((nets, batch.labels), (permuted, new[batch.labels])):
        losses = case.losses(networks, case.step(networks), replace(batch, labels=labels))
        values.append(torch.stack([loss.value.detach() for _, loss, _ in losses]))
    return torch.allclose(values[0], values[1], rtol=1e-4, atol=1e-5)
