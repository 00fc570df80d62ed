"""CIFAR-10 with ResNet-19 or VGG, PSG and PDA, at T = 4 steps.

    python examples/08_cifar10.py --data FOLDER [--net vgg] [--width 128] [--epochs N] [--device cuda]

FOLDER holds cifar-10-batches-bin, the content of cifar-10-binary.tar.gz; data_prep/cifar10.py makes a store of it once
(cifar10.h5 in --out). Pictures are flipped, shifted and partly covered at random in every epoch. A part of the training
pictures is set apart and chooses the epoch whose network is tested. ResNet-19 begins with --width channels: 128 in the
papers (12.7 million parameters), or 32 by default (0.8 million), which is meant for a CPU. The run is stored in --out.
If it is stopped, the same command continues it.

This takes long: on two cores about 9 minutes per epoch of 50,000 pictures by default, and 40 minutes at full width,
which needs a GPU. Prints one progress bar per epoch, and (here for two epochs with the first 400 pictures of every
file, to check that everything works)

    resnet19, 823,484 parameters: 2000 + 400 pictures
    epoch 2: validation accuracy 0.1625, 94 pictures per second
    test accuracy 0.2525 by epoch 2 of 2, seed 0
    surrogate widths from 1.00 to 3.42
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numsnn as snn

PREPARE = Path(__file__).resolve().parents[1] / "data_prep" / "cifar10.py"
STEPS = 4


def opened(folder, out):
    """Return the store of the files in a folder, and make it if it does not exist."""
    store = out / "cifar10.h5"
    if not store.exists():
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, PREPARE, folder, store], check=True)
    return snn.data.open(store)


def network(name, width):
    neuron = snn.LIF(tau=2.0, surrogate=snn.PSG("triangle", width=1.0), pda=snn.PDA(momentum=0.1))
    if name == "vgg":
        return snn.models.vgg_snn(channels=3, classes=10, size=32, steps=STEPS, neuron=neuron)
    widths = width, 2 * width, 4 * width
    return snn.models.resnet19(channels=3, classes=10, steps=STEPS, neuron=neuron, widths=widths)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar-10-batches-bin, or its files")
    parser.add_argument("--net", default="resnet19", choices=("resnet19", "vgg"))
    parser.add_argument("--width", type=int, default=32, help="number of channels of ResNet-19's first stage")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/08_cifar10"), help="folder for the store and the run")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "reference"))
    options = parser.parse_args()

    store = opened(options.data, options.out)
    augment = snn.data.augment
    changes = [augment.RandomFlipLR(), augment.RandomCrop(padding=4), augment.Cutout(8)]
    train, valid = store.train.split(0.96)
    train = snn.data.Augmented(train, changes, seed=options.seed)

    net = network(options.net, options.width).build((1, 32, 32, 3), seed=options.seed)
    parameters = snn.models.count_parameters(net)
    print(f"{options.net}, {parameters:,} parameters: {len(store.train)} + {len(store.test)} pictures")

    def report(trainer, metrics):
        rate = len(train) / metrics["seconds"]
        accuracy = metrics["valid_accuracy"]
        print(f"epoch {metrics['epoch']}: validation accuracy {accuracy:.4f}, {rate:.0f} pictures per second")

    trainer = snn.Trainer(
        net,
        loss=snn.losses.RateCrossEntropy(label_smoothing=0.1),
        optimizer=snn.optim.AdamW(2e-3, weight_decay=0.02),
        schedule=snn.schedules.Cosine(),
        device=options.device,
        seed=options.seed,
        out=options.out / options.net,
        on_epoch=report,
    )
    trainer.fit(train, valid, epochs=options.epochs, resume=True, test=store.test)
    best = trainer.best.epoch
    print(f"test accuracy {trainer.test.accuracy:.4f} by epoch {best} of {options.epochs}, seed {options.seed}")
    widths = trainer.widths().values()
    print(f"surrogate widths from {min(widths):.2f} to {max(widths):.2f}")


if __name__ == "__main__":
    main()
