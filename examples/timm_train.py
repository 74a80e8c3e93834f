"""Train a timm model on class folders with generated images blended in.

    genaug train cgan --data folder:photos --image-size 64 --out runs/photos
    python timm_train.py photos runs/photos --model resnet18 --img-size 224

``photos`` contains ``train/`` and ``val/``, each with one folder per class.
"""

import argparse

import timm
import torch
from timm.data import Mixup, create_loader
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, accuracy
from torchvision.datasets import ImageFolder

import genaug


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("generator", help="folder of a generator")
    parser.add_argument("--ratio", type=float, default=0.3, help="share of generated images in the training set")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--img-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    train_set, val_set = ImageFolder(f"{args.data}/train"), ImageFolder(f"{args.data}/val")
    train_set = genaug.MixedDataset(train_set, genaug.load(args.generator), ratio=args.ratio)
    size = (3, args.img_size, args.img_size)
    shared = {"num_workers": args.workers, "persistent_workers": args.workers > 0, "device": device}
    train_loader = create_loader(train_set, size, args.batch_size, is_training=True, **shared)
    val_loader = create_loader(val_set, size, args.batch_size, **shared)

    classes = len(val_set.classes)
    model = timm.create_model(args.model, num_classes=classes).to(device)
    mixup = Mixup(mixup_alpha=0.2, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=classes)
    criterion = SoftTargetCrossEntropy()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=args.lr, weight_decay=0.05)
    scheduler, epochs = create_scheduler_v2(optimizer, num_epochs=args.epochs, warmup_epochs=args.epochs // 10)

    for epoch in range(epochs):
        train_set.set_epoch(epoch)  # new generated images; omit this to use the same ones in every epoch
        model.train()
        losses = AverageMeter()
        for images, labels in train_loader:
            images, labels = mixup(images, labels)
            loss = criterion(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.update(loss.item(), len(images))
        scheduler.step(epoch + 1)
        model.eval()
        top1 = AverageMeter()
        with torch.inference_mode():
            for images, labels in val_loader:
                top1.update(accuracy(model(images), labels)[0].item(), len(images))
        print(f"epoch {epoch}: training loss {losses.avg:.4f}, accuracy {top1.avg:.2f}%")
    return top1.avg


if __name__ == "__main__":
    main()
