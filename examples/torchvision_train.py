"""Train a classifier on CIFAR-10 with generated images blended in, in the style of torchvision's reference scripts.

    genaug train cgan --data torchvision:CIFAR10 --root data --steps 50000 --out runs/cifar10
    python torchvision_train.py data runs/cifar10

``data`` is the directory with the CIFAR-10 files; nothing is downloaded.
"""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10
from torchvision.models import get_model
from torchvision.transforms import v2

import genaug

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def train_one_epoch(model, criterion, optimizer, loader, batch_transform, device):
    model.train()
    for images, labels in loader:
        images, labels = batch_transform(images.to(device), labels.to(device))
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@torch.inference_mode()
def evaluate(model, loader, device):
    model.eval()
    right = sum(int((model(images.to(device)).argmax(1).cpu() == labels).sum()) for images, labels in loader)
    return 100 * right / len(loader.dataset)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("generator", help="folder of a generator")
    parser.add_argument("--ratio", type=float, default=0.3, help="share of generated images in each training batch")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    flips = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), v2.PILToTensor()])
    train_set = CIFAR10(args.data, train=True, transform=flips)
    plain = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    val_set = CIFAR10(args.data, train=False, transform=plain)
    train_loader = DataLoader(train_set, args.batch_size, shuffle=True, num_workers=args.workers, drop_last=True)
    val_loader = DataLoader(val_set, args.batch_size, num_workers=args.workers)

    augment = genaug.GenerativeAugment(genaug.load(args.generator), ratio=args.ratio)
    mixes = v2.RandomChoice([v2.MixUp(alpha=0.2, num_classes=10), v2.CutMix(alpha=1.0, num_classes=10)])
    batch_transform = v2.Compose([augment, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD), mixes])

    model = get_model(args.model, num_classes=10).to(device)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    for epoch in range(args.epochs):
        loss = train_one_epoch(model, criterion, optimizer, train_loader, batch_transform, device)
        scheduler.step()
        accuracy = evaluate(model, val_loader, device)
        print(f"epoch {epoch}: training loss {loss:.4f}, accuracy {accuracy:.2f}%")
    return accuracy


if __name__ == "__main__":
    main()
