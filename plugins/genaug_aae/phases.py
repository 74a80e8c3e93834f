"""What the phases of a training step share: the encoder's inputs, the rows that count, and what is judged."""

import torch
from torch import Tensor

from genaug.backends import Batch, Fakes, Step
from genaug.errors import InputError
from genaug_aae.losses import category_prior, known_or_predicted, representative


def encoder_inputs(batch: Batch, step: Step) -> Tensor:
    """What the encoder sees: the images, augmented, with noise."""
    x, noise = step.augment(batch.x), step.config.input_noise
    return x + 2 * noise * step.normal(*x.shape) if noise else x


def representative_rows(batch: Batch) -> Tensor:
    """The rows that are reconstructed and judged. Raises ``InputError`` if they are too few to normalize over."""
    unknown = torch.ones(len(batch.x), dtype=torch.bool, device=batch.x.device)
    rows = unknown if batch.labels is None else representative(batch.labels)
    if int(rows.sum()) < 2:
        raise InputError(
            "aae's encoder normalizes over the batch and needs at least 2 images, or 2 unlabeled ones if some have "
            "labels: use a larger batch_size"
        )
    return rows


def judged(encoded: Fakes, batch: Batch, step: Step) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Real and encoded inputs of the discriminators, of the images that represent the data.

    That of the code also sees the class, the same one for both: codes follow the prior in each class.
    """
    rows, size = representative_rows(batch), step.config.latent_size
    code, prior = encoded.x[rows, :size], encoded.inputs.latents["z"][rows]
    if batch.labels is None:
        return {"code": prior}, {"code": code}
    logits = encoded.x[rows, size:]
    category = known_or_predicted(batch.labels[rows], logits.detach())
    labels = category_prior(batch.labels, step.spec.num_classes, step.uniform(len(batch.x)))
    return (
        {"code": torch.cat([prior, category], dim=1), "category": labels},
        {"code": torch.cat([code, category], dim=1), "category": logits.softmax(1)},
    )
