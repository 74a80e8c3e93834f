"""Class folders of existing images, as ``genaug sample`` would write them."""

import torch

from genaug.backends.spec import Spec
from genaug.modalities.image import Image
from genaug.sources.export import claim_samples, fill


class Existing:
    """A source of given images: one call returns all of them, in their order."""

    def __init__(self, images, labels, classes):
        self.spec = Spec(sample=Image(*images.shape[1:]), classes=None if labels is None else classes)
        self.images, self.labels, self.batch_size = images, labels, len(images)

    def sample(self, n=None, *, labels=None, seed=None):
        assert (n or len(labels)) == len(self.images)
        return self.images, self.labels


def write_class_folders(out, images, labels, classes, **options):
    request = len(images) if labels is None else torch.as_tensor(labels)
    settings = {"source": "existing", "seed": options.pop("seed", 0)}
    with claim_samples(out, settings, options.get("overwrite", False)) as place:
        fill(place, Existing(images, labels, classes), request, settings, progress=False, **options)
