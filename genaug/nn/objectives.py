"""Adversarial objectives as small functions of the discriminator's raw scores, each with its paper.

Scores are logits of any shape; every function returns a scalar to minimize.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu, softplus

Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A pair of losses. If ``pairs``, the generator's loss also needs the scores of real images."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    pairs: bool = False


def cross_entropy_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))), D = sigmoid(score): Goodfellow et al. 2014, eq. 1."""
    return softplus(-real).mean() + softplus(fake).mean()


def minimax_generator(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 - D(G(z))): Goodfellow et al. 2014, eq. 1; its gradient vanishes where D is certain."""
    return -softplus(fake).mean()


def nonsaturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log D(G(z)): Goodfellow et al. 2014, section 3."""
    return softplus(-fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2: Mao et al. 2017, eq. 9."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E (D(G(z)) - 1)^2: Mao et al. 2017, eq. 9."""
    return 0.5 * (fake - 1).square().mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))): Lim & Ye 2017, section 3."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def mean_score_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E D(G(z)): Lim & Ye 2017, section 3; Arjovsky et al. 2017, algorithm 1."""
    return -fake.mean()


def boundary_seeking_generator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E (log D(G(z)) - log(1 - D(G(z))))^2: Hjelm et al. 2018, for continuous samples; it is least where D is
    undecided."""
    return 0.5 * fake.square().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x), minus the estimate of the Wasserstein-1 distance: Arjovsky et al. 2017, eq. 2."""
    return fake.mean() - real.mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(-(D(x) - D(G(z)))), real and fake paired: Huang et al. 2024 (R3GAN), eq. 2."""
    return softplus(fake - real).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(-(D(G(z)) - D(x))): Huang et al. 2024 (R3GAN), section 2.1."""
    return softplus(real - fake).mean()


OBJECTIVES = {
    "minimax": Objective(cross_entropy_discriminator, minimax_generator),
    "nonsaturating": Objective(cross_entropy_discriminator, nonsaturating_generator),
    "least_squares": Objective(least_squares_discriminator, least_squares_generator),
    "boundary_seeking": Objective(cross_entropy_discriminator, boundary_seeking_generator),
    "hinge": Objective(hinge_discriminator, mean_score_generator),
    "wasserstein": Objective(wasserstein_critic, mean_score_generator),
    "relativistic": Objective(relativistic_discriminator, relativistic_generator, pairs=True),
}


def score_log(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """What a discriminator's loss may log: mean scores, and the share of pairs whose real image scores higher.

    The trainer warns if ``real_above_fake`` stays near 1: the discriminator has won.
    """
    real, fake = real.detach(), fake.detach()
    above = (real > fake).float().mean()
    return {"real_score": real.mean(), "fake_score": fake.mean(), "real_above_fake": above}


def labeled_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-E log p(y | x), the loss of a discriminator's classifier, over the rows whose label isn't -1; 0 if there are
    none."""
    total = cross_entropy(logits.float(), labels, ignore_index=-1, reduction="sum")
    return total / (labels >= 0).sum().clamp(min=1)


def zero_centered_penalty(scores: Tensor, images: Tensor) -> Tensor:
    """E ||grad_x D(x)||^2 for scores computed from ``images``: R1 on real, R2 on generated images.

    Mescheder et al. 2018, eq. 9 and 10, without the factor gamma / 2. Scores must be float32, computed with
    autocast off: in bfloat16, the penalty is off by a tenth.

    With differentiable augmentation, ``images`` are the augmented images that D takes; R3GAN's authors take the
    gradient with respect to the images before augmentation. This bounds D's gradient where D is evaluated, so that
    gamma means the same regardless of the augmentation ("color" scales a gradient by 0 to 3, "cutout" drops a quarter
    of it), and ``grid_sample`` ("affine") needn't be differentiated twice, which some versions of torch can't do.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def interpolation_penalty(score: Score, real: Tensor, fake: Tensor, weight: Tensor) -> Tensor:
    """E (||grad D(x)|| - 1)^2 on x = weight * real + (1 - weight) * fake: Gulrajani et al. 2017, eq. 3, without lambda.

    ``weight`` is uniform in [0, 1), shape (N, 1, 1, 1), drawn by the caller. Runs in float32 with autocast off.
    """
    with torch.autocast(real.device.type, enabled=False):
        mixed = torch.lerp(fake.detach().float(), real.detach().float(), weight).requires_grad_()
        (gradient,) = torch.autograd.grad(score(mixed).sum(), mixed, create_graph=True)
        penalty: Tensor = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        return penalty


@torch.no_grad()
def clip_weights(critic: nn.Module, bound: float) -> None:
    """Clamp all parameters to [-bound, bound], as after each update of the critic in Arjovsky et al. 2017, algorithm 1;
    a bound of 0 leaves them."""
    if bound:
        for parameter in critic.parameters():
            parameter.clamp_(-bound, bound)
