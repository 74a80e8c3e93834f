"""CoGAN (Liu & Tuzel 2016): GANs of several domains that share layers, so that a latent has an image in each domain."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import NO_CRITIC, Beta, Decay, LatentSize, LearningRate, MaxWidth, Width
from genaug.errors import InputError
from genaug.nn.objectives import OBJECTIVES, labeled_cross_entropy, score_log
from genaug_cogan.networks import CoupledDiscriminator, CoupledGenerator, chosen, pair_distance

_LEAST, _BETA2 = 4, 0.999  # pixels of a side; Adam's

Weight = Annotated[float, Field(ge=0, le=1000)]


class CoGANConfig(BackendConfig):
    """Options of the ``cogan`` backend."""

    latent_size: LatentSize = 100
    width: Width = 32
    max_width: MaxWidth = 256
    discriminator_width: Annotated[
        Width, Field(description="channels of the discriminators' first layer; 2.5 and 25 times as many after it")
    ] = 20
    loss: Annotated[
        Literal["nonsaturating", "least_squares", "hinge", "minimax"],
        NO_CRITIC,
        Field(description="adversarial objective"),
    ] = "nonsaturating"
    pair_weight: Annotated[
        Weight, Field(description="weight of the distance between the discriminator's features of a generated pair")
    ] = 0.01
    class_weight: Annotated[
        Weight, Field(description="weight of the classifier's loss, if images of the first domain have labels")
    ] = 10.0
    lr: LearningRate = 6e-4
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1; beta2 is 0.999")] = 0.5


class CoGAN(Backend):
    """The classes are the domains: the same latent with another label is the same image in another domain.

    If images have labels of their own (``Batch.targets``), a classifier on the discriminators' shared features learns
    them, and recognizes images of all domains.
    """

    Config = CoGANConfig
    takes_unpaired = True
    keeps = ("generator", "discriminator")
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 4, "width": 4, "max_width": 8, "discriminator_width": 4}

    def describe(self, config: CoGANConfig, data: Spec) -> Spec:
        if data.num_classes < 2:
            raise InputError(
                "cogan needs images of two domains. Pass genaug.data.Unpaired(a, b) (--to), or a dataset whose labels "
                "are the domains."
            )
        if min(data.shape[1:]) < _LEAST:
            raise InputError(
                f"cogan needs images with sides of at least {_LEAST} pixels, got {data.sample.describe()}. Pass a "
                "larger image_size=."
            )
        return super().describe(config, data)

    def build(self, config: CoGANConfig, spec: Spec) -> nn.ModuleDict:
        domains, classes = spec.num_classes, 0 if spec.recognized is None else spec.recognized.count
        sizes = config.discriminator_width, config.max_width
        return nn.ModuleDict(
            {
                "generator": CoupledGenerator(domains, spec.shape, config.latent_size, config.width, config.max_width),
                "discriminator": CoupledDiscriminator(domains, classes, spec.shape, *sizes),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        assert inputs.labels is not None
        return chosen(nets["generator"](inputs.latents["z"]), inputs.labels)

    def classify(self, nets: nn.ModuleDict, x: Tensor) -> Tensor:
        """log p(y | x), the sum over the domains of p(d | x) p(y | x, d)."""
        judge = cast(CoupledDiscriminator, nets["discriminator"])
        if judge.classify is None:
            raise InputError(
                "this cogan has no classifier: the images of the first domain had no labels. Train it on "
                "genaug.data.Unpaired(a, b) whose a has (image, label) items."
            )
        of_domain = log_softmax(judge.of_domain(x).float(), 1)
        parts = []
        for domain in range(of_domain.shape[1]):
            _, _, logits = judge(x, torch.full((len(x),), domain, device=x.device))
            parts.append(of_domain[:, domain, None] + log_softmax(logits.float(), 1))
        return torch.stack(parts).logsumexp(0)

    def score(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> Tensor:
        return cast(Tensor, nets["discriminator"](x, labels)[0])

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        judge = cast(CoupledDiscriminator, nets["discriminator"])
        return [judge.first, *judge.convs, judge.hidden]

    def class_shares(self, config: CoGANConfig, counts: Tensor) -> Tensor:
        return torch.ones(len(counts))  # of all domains equally many, as in the paper's algorithm 1

    def players(self, config: CoGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (config.beta1, _BETA2), decay=config.decay)
        return [
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """About as many images as the batch has: those of each latent in all domains, one after the other."""
        domains = step.spec.num_classes
        count = max(1, len(batch.x) // domains)
        latents = step.latents(count)
        labels = torch.arange(domains, device=batch.x.device).repeat(count)
        repeated = {name: values.repeat_interleave(domains, 0) for name, values in latents.items()}
        inputs = Inputs(repeated, labels, lambda *shape: step.normal(len(labels), *shape))
        return Fakes(nets["generator"](latents["z"]).flatten(0, 1), inputs)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The generators' part of eq. 5, as a mean over the domains."""
        fakes = step.fakes(lambda: self._fakes(nets, batch, step))
        score = nets["discriminator"](step.augment(fakes.x), fakes.inputs.labels)[0].float()
        return Loss(OBJECTIVES[step.config.loss].generator(score, score))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The discriminators' part of eq. 5, the distance of pairs, and the classifier's cross entropy."""
        config, judge = step.config, cast(CoupledDiscriminator, nets["discriminator"])
        fakes, real = step.fakes(lambda: self._fakes(nets, batch, step)), step.augment(batch.x)
        real_score, _, logits = judge(real, batch.labels)
        fake_score, features, _ = judge(step.augment(fakes.x.detach()), fakes.inputs.labels)
        distance = pair_distance(features.float().unflatten(0, (-1, step.spec.num_classes)))
        adversarial = OBJECTIVES[config.loss].discriminator(real_score.float(), fake_score.float())
        value = adversarial + config.pair_weight * distance
        pairs = min(len(real_score), len(fake_score))
        log = {**score_log(real_score[:pairs], fake_score[:pairs]), "pair_distance": distance.detach()}
        if logits is not None and batch.targets is not None and batch.labels is not None:
            class_loss = labeled_cross_entropy(logits, batch.targets)
            of_domain = judge.of_domain(batch.x)  # not augmented: sharpness tells domains apart, and augmentation blurs
            value = value + config.class_weight * class_loss + labeled_cross_entropy(of_domain, batch.labels)
            log["class"] = class_loss.detach()
        return Loss(value, log)
