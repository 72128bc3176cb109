"""A multi-exit network in fifteen lines of use: train it jointly on handwritten digits, then let it answer early.

python examples/quickstart.py
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from manyexits.batches import augment
from manyexits.batches.views import blanks
from manyexits.data import prepare, prepared
from manyexits.exits.policies import Policy
from manyexits.models import build

SETTINGS = {
    "classes": 10,
    "backbone": {"family": "resnet", "groups": [2, 2, 2], "width": 8},
    "method": {"kind": "sdn"},
    "placement": {"shares": [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]},
}


def main() -> None:
    """Train for five epochs and compare early answers with the last exit's."""
    with tempfile.TemporaryDirectory() as folder:
        told = {"dataset": "digits", "source": "digits", "classes": 10, "validation": 0.2, "split_seed": 42}
        prepare.prepare(told, Path("datasets"), False, Path(folder))
        data = prepared.read(Path(folder))
        model = build.network(SETTINGS, blanks(data), seed=1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        mean, std = torch.from_numpy(data.mean), torch.from_numpy(data.std)
        for epoch in range(5):
            for chosen in np.random.default_rng(epoch).permutation(len(data.train))[:1024].reshape(-1, 64):
                images, labels = map(torch.from_numpy, data.train.take(chosen))
                logits = model(augment.normalise(images, mean, std))
                losses = [torch.nn.functional.cross_entropy(each, labels) for each in logits]
                torch.stack(losses).mean().backward()
                optimizer.step()
                optimizer.zero_grad()

        images, labels = map(torch.from_numpy, data.test.take(np.arange(len(data.test))))
        policy = Policy("confidence", (0.8,) * (model.n_exits - 1))
        answers, left_at = model.eval().forward_until(augment.normalise(images, mean, std), policy)
        print(f"accuracy {(answers.argmax(1) == labels).float().mean():.3f} on {len(labels)} test images")
        print("left at exit 1 to 6:", np.bincount(left_at, minlength=7)[1:].tolist())


if __name__ == "__main__":
    main()
