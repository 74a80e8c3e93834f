"""Adversarial autoencoders (Makhzani et al. 2015): codes that follow a prior, and classes learned from few labels."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from genaug.backends import Backend, Batch, Fakes, Inputs, Loss, Mixture, Normal, Player, Spec, Step, SwissRoll, adam
from genaug.errors import InputError
from genaug.nn.objectives import cross_entropy_discriminator, labeled_cross_entropy, nonsaturating_generator
from genaug_aae.losses import known_or_predicted
from genaug_aae.networks import Decoder, code_discriminator, conv_networks, dense_networks
from genaug_aae.options import AAEConfig
from genaug_aae.phases import encoder_inputs, judged, representative_rows

_BETA2 = 0.999
_PRIORS = {"gaussian": Normal, "mixture": Mixture, "swiss_roll": SwissRoll}


class AAE(Backend):
    """An autoencoder whose codes a discriminator compares with draws from the prior.

    With labels, the encoder also gives the probabilities of the classes, which a second discriminator compares with
    labels, and the class enters the decoder besides the code: the label, or the probabilities for an image without
    one. The first discriminator sees it too, so that codes follow the prior within each class, which leaves them only
    what differs within it: the style. Of a batch, images without a label are reconstructed and judged, or all if all
    have one.
    """

    Config = AAEConfig
    keeps = ("generator", "encoder")
    takes_unlabelled = True
    tiny: ClassVar[Mapping[str, Any]] = {"hidden": (16, 8), "discriminator_hidden": (16, 8), "latent_size": 4}
    after_classes: ClassVar[Mapping[str, int]] = {  # the class enters after the code
        "generator.body.0.weight": 0,
        "generator.body.stem.project.weight": 0,
        "discriminator.code.0.weight": 0,
    }

    def describe(self, config: AAEConfig, data: Spec) -> Spec:
        prior = _PRIORS[config.prior](size=config.latent_size)
        return super().describe(config, data).model_copy(update={"latents": (prior,)})

    def build(self, config: AAEConfig, spec: Spec) -> nn.ModuleDict:
        size, classes = config.latent_size, spec.num_classes
        if config.kind == "conv":
            nets = conv_networks(spec.shape, config.width, config.max_width, size, classes)
        else:
            nets = dense_networks(spec.shape, config.hidden, size, classes)
        inputs = {"code": size + classes, "category": classes} if classes else {"code": size}
        judges = {name: code_discriminator(count, config.discriminator_hidden) for name, count in inputs.items()}
        return nn.ModuleDict({**nets, "discriminator": nn.ModuleDict(judges)})

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return images

    def encode(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The code, in which the class has no part if there are classes; the labels don't matter."""
        return {"z": nets["encoder"](x)[0]}

    def classify(self, nets: nn.ModuleDict, x: Tensor) -> Tensor:
        logits: Tensor | None = nets["encoder"](x)[1]
        if logits is None:
            raise InputError("this aae was trained without labels, so it can't classify: train it with some labels.")
        return logits

    def players(self, config: AAEConfig, nets: nn.ModuleDict) -> list[Player]:
        encoder, decay = list(nets["encoder"].parameters()), config.decay
        both = [*nets["generator"].parameters(), *encoder]
        reconstructing = adam(config.lr, (0.9, _BETA2), decay=decay)
        adversarial = adam(config.adversarial_lr, (config.beta1, _BETA2), decay=decay)
        return [
            Player("autoencoder", both, self.reconstruction_loss, reconstructing),
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, adversarial),
            Player("encoder", encoder, self.encoder_loss, adversarial),
        ]

    def reconstruction_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """Reconstruction phase: the cross entropy of a pixel, of images without the noise and the augmentation."""
        rows = representative_rows(batch)
        code, logits = nets["encoder"](encoder_inputs(batch, step)[rows])
        category = None if batch.labels is None else known_or_predicted(batch.labels[rows], logits)
        output = cast("Decoder", nets["generator"]).log_odds(code, category)
        return Loss(binary_cross_entropy_with_logits(output, (batch.x[rows] + 1) / 2))

    def _encoded(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One pass of the encoder per step, for both sides: codes, followed by logits, and draws of the prior."""
        code, logits = nets["encoder"](encoder_inputs(batch, step))
        return Fakes(code if logits is None else torch.cat([code, logits], dim=1), step.inputs(batch))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """Regularization phase: draws of the priors are real, codes and probabilities aren't."""
        encoded = step.fakes(lambda: self._encoded(nets, batch, step))
        real, fake = judged(encoded, batch, step)
        losses = {}
        for name, values in real.items():
            scores = _score(nets, name, values), _score(nets, name, fake[name].detach())
            losses[f"discriminator/{name}"] = cross_entropy_discriminator(*scores)
        return _sum(losses)

    def encoder_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """Regularization phase, where codes and probabilities should look like draws of the priors, and the
        classification phase, the cross entropy of the images that have a label."""
        encoded = step.fakes(lambda: self._encoded(nets, batch, step))
        losses = {}
        for name, values in judged(encoded, batch, step)[1].items():
            score = _score(nets, name, values)
            losses[f"encoder/{name}"] = nonsaturating_generator(score, score)
        if batch.labels is not None:
            losses["label"] = labeled_cross_entropy(encoded.x[:, step.config.latent_size :], batch.labels)
        return _sum(losses)


def _score(nets: nn.ModuleDict, name: str, values: Tensor) -> Tensor:
    score: Tensor = cast("nn.ModuleDict", nets["discriminator"])[name](values)
    return score.float()


def _sum(losses: Mapping[str, Tensor]) -> Loss:
    return Loss(torch.stack([*losses.values()]).sum(), {name: loss.detach() for name, loss in losses.items()})
