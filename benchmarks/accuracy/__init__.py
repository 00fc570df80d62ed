"""What networks learn, and how long that takes: beside the peers (`compare`), and in one long run (`cifar10`)."""
