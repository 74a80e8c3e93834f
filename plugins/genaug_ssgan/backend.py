"""Semi-supervised GAN (Salimans et al. 2016): its discriminator learns to classify from few labels and many images."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn, no_grad
from torch.nn.functional import cross_entropy

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import Beta, Decay, LatentSize, LearningRate, MaxWidth, Width
from genaug.errors import InputError
from genaug.nn.blocks import ConvGenerator
from genaug.nn.objectives import labeled_cross_entropy
from genaug_ssgan.losses import feature_distance, real_score, representative, unsupervised_loss
from genaug_ssgan.networks import ConvDiscriminator, DenseDiscriminator, DenseGenerator

_BETA2 = 0.999
_USED_BY = {"hidden": "mlp", "generator_hidden": "mlp", "width": "conv", "max_width": "conv"}

Units = Annotated[int, Field(ge=1, le=8192)]
Layers = Annotated[tuple[Units, ...], Field(min_length=1, max_length=16)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Sigma = Annotated[float, Field(ge=0, le=10)]


class SSGANConfig(BackendConfig):
    """Options of the ``ssgan`` backend."""

    kind: Annotated[
        Literal["mlp", "conv"], Field(description="networks: dense layers, for digits, or convolutions")
    ] = "mlp"
    latent_size: LatentSize = 100
    hidden: Annotated[Layers, Field(description="units of the discriminator's dense layers; for kind mlp")] = (
        1000,
        500,
        250,
        250,
        250,
    )
    generator_hidden: Annotated[Layers, Field(description="units of the generator's dense layers; for kind mlp")] = (
        500,
        500,
    )
    width: Annotated[Width, Field(description="channels at the image's side, doubled at each halving; for conv")] = 32
    max_width: Annotated[MaxWidth, Field(description="most channels of any layer; for kind conv")] = 256
    input_noise: Annotated[
        Sigma, Field(description="standard deviation of the noise on the discriminator's images, scaled to [0, 1]")
    ] = 0.3
    hidden_noise: Annotated[
        Sigma, Field(description="standard deviation of the noise after the discriminator's hidden layers")
    ] = 0.5
    unlabelled_weight: Annotated[
        Weight, Field(gt=0, description="weight of the loss that tells real from generated images")
    ] = 1.0
    label_weight: Annotated[
        Weight, Field(gt=0, description="weight of the label in the generator's loss, beside the matched features")
    ] = 0.01
    lr: LearningRate = 3e-3
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1; beta2 is 0.999")] = 0.5

    @model_validator(mode="after")
    def _options_have_an_effect(self) -> "SSGANConfig":
        for name, kind in _USED_BY.items():
            if self.kind != kind and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect with kind {self.kind!r}: leave it out, or set kind to {kind!r}")
        return self


class SSGAN(Backend):
    """A GAN whose discriminator is a classifier, trained with labels for some images and feature matching.

    Of a batch, the images with a label teach the classes, and those without represent the data; if all have a label,
    they do both. The generator takes labels: it makes the images of a batch with the labels that the classifier gives
    the real ones, so that classes are as frequent as in the data.
    """

    Config = SSGANConfig
    keeps = ("generator", "discriminator")
    takes_unlabelled = True
    scores_without_labels = True
    tiny: ClassVar[Mapping[str, Any]] = {"hidden": (16, 8), "generator_hidden": (16,), "latent_size": 4}

    def describe(self, config: SSGANConfig, data: Spec) -> Spec:
        if not data.takes_labels:
            raise InputError(
                "ssgan needs the labels of some images, but none of these has one. Pass a dataset of (image, label) "
                "with the label -1 for images without, or train cgan without labels."
            )
        return super().describe(config, data)

    def build(self, config: SSGANConfig, spec: Spec) -> nn.ModuleDict:
        shape, classes, noise = spec.shape, spec.num_classes, (config.input_noise, config.hidden_noise)
        if config.kind == "conv":
            sizes = config.width, config.max_width
            nets = {
                "generator": ConvGenerator(shape, classes, config.latent_size, *sizes),
                "discriminator": ConvDiscriminator(shape, classes, *sizes, *noise),
            }
        else:
            nets = {
                "generator": DenseGenerator(shape, classes, config.latent_size, config.generator_hidden),
                "discriminator": DenseDiscriminator(shape, classes, config.hidden, *noise),
            }
        return nn.ModuleDict(nets)

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return images

    def classify(self, nets: nn.ModuleDict, x: Tensor) -> Tensor:
        logits: Tensor = nets["discriminator"](x)[0]
        return logits

    def score(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> Tensor:
        """log Z, the logit of D(x); the labels don't matter."""
        return real_score(self.classify(nets, x))

    def players(self, config: SSGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (config.beta1, _BETA2), decay=config.decay)
        return [
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
        ]

    def _fakes(self, nets: nn.ModuleDict, logits: Tensor, step: Step) -> Fakes:
        """One pass of the generator per step, for both players: images with the labels of these logits."""
        count = len(logits)
        if count < 2:
            raise InputError(
                "ssgan's generator normalizes over the batch and needs at least 2 images, or 2 unlabeled ones if some "
                "have labels: use a larger batch_size"
            )
        labels = logits.detach().argmax(1)
        inputs = Inputs(step.latents(count), labels, lambda *shape: step.normal(count, *shape))
        return Fakes(self.generate(nets, inputs), inputs)

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """Salimans et al. 2016, section 5: L_supervised + L_unsupervised."""
        assert batch.labels is not None
        chosen = representative(batch.labels)
        logits, _ = nets["discriminator"](step.augment(batch.x))
        fakes = step.fakes(lambda: self._fakes(nets, logits[chosen], step))
        fake_logits, _ = nets["discriminator"](step.augment(fakes.x.detach()))
        supervised = labeled_cross_entropy(logits, batch.labels)
        unsupervised = unsupervised_loss(logits[chosen], fake_logits)
        log = {
            "supervised": supervised.detach(),
            "real_score": real_score(logits[chosen]).mean().detach(),
            "fake_score": real_score(fake_logits).mean().detach(),
        }
        return Loss(supervised + step.config.unlabelled_weight * unsupervised, log)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """Feature matching (Salimans et al. 2016, section 3.1), and the cross entropy of the requested labels."""
        assert batch.labels is not None
        with no_grad():
            logits, features = nets["discriminator"](step.augment(batch.x[representative(batch.labels)]))
        fakes = step.fakes(lambda: self._fakes(nets, logits, step))
        fake_logits, fake_features = nets["discriminator"](step.augment(fakes.x))
        assert fakes.inputs.labels is not None
        distance = feature_distance(features, fake_features)
        label = cross_entropy(fake_logits.float(), fakes.inputs.labels)
        return Loss(
            distance + step.config.label_weight * label,
            {"feature_distance": distance.detach(), "label": label.detach()},
        )
