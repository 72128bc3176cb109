"""Two ranks of one training against one process. The checks run inside two ranks that this file starts of itself."""

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch
from conftest import NETWORK, READER, ROOT, settings_of, told_phases
from torch import nn

from manyexits.batches.views import Views, blanks
from manyexits.data import prepared as dataset
from manyexits.models import build
from manyexits.models.cost import count_network
from manyexits.training import ranks, train
from manyexits.training.checkpoint import Checkpoints
from manyexits.training.console import Console
from manyexits.training.phase import Phase

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5)
    )


def check_a_joined_norm_is_that_of_the_whole_batch(rank: int, folder: Path) -> None:
    batch = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1)) * 3 + 50  # a mean far from 0
    weights = torch.randn(8, 5, generator=torch.Generator().manual_seed(2))
    mine = slice(4 * rank, 4 * rank + 4)
    whole, joined = network(), network()
    ranks.join_norms(joined, CPU)
    for _ in range(2):
        inputs = [batch.clone().requires_grad_(), batch[mine].clone().requires_grad_()]
        outputs = [whole(inputs[0]), joined(inputs[1])]
        torch.testing.assert_close(outputs[1], outputs[0][mine])
        (outputs[0] * weights).sum().backward()
        (outputs[1] * weights[mine]).sum().backward()
        torch.testing.assert_close(inputs[1].grad, inputs[0].grad[mine])
    for name, buffer in whole.named_buffers():
        torch.testing.assert_close(joined.get_buffer(name), buffer)
    for name, parameter in whole.named_parameters():  # each rank has its own part of the sum
        total = joined.get_parameter(name).grad
        torch.distributed.all_reduce(total)
        torch.testing.assert_close(total, parameter.grad, rtol=1e-4, atol=1e-4)


def check_only_what_learns_is_joined_and_all_of_it_can_be_undone(rank: int, folder: Path) -> None:
    model = network()
    model[5].eval()
    before = {**model.state_dict(keep_vars=True)}
    part = ranks.join_norms(model, CPU)
    assert (type(model[1]), type(model[5])) == (ranks.Joined, nn.BatchNorm1d)
    assert all(before[name] is value for name, value in model.state_dict(keep_vars=True).items())
    part()
    assert (type(model[1]), type(model[5])) == (nn.BatchNorm2d, nn.BatchNorm1d)


def check_a_norm_that_does_more_is_refused(rank: int, folder: Path) -> None:
    from timm.layers import BatchNormAct2d

    with pytest.raises(ValueError, match="BatchNormAct2d cannot be trained on several devices; set devices: 1"):
        ranks.join_norms(nn.Sequential(BatchNormAct2d(4)), CPU)


def check_what_goes_wrong_in_the_first_rank_goes_wrong_in_all(rank: int, folder: Path) -> None:
    def work():
        assert rank == 0
        raise OSError("no space left")

    with pytest.raises(OSError, match=r"^no space left$"):
        ranks.first(work)
    ranks.first(lambda: None)


def fit(settings: dict, data: Path, folder: Path, dropout: float = 0.5) -> nn.Module:
    """A training whose heads may drop out, in as many ranks as there are."""
    from accelerate import Accelerator

    read = dataset.read(data, network=settings["network"])
    model = build.network(settings["network"], blanks(read), seed=1)
    model.heads["1"] = nn.Sequential(nn.Dropout(dropout), model.heads["1"])
    accelerator = Accelerator(cpu=True)
    costs = count_network(build.network(settings["network"], blanks(read), seed=1), blanks(read))
    upkeep = train.Upkeep(Checkpoints(folder), 60.0, lambda: False, Console(quiet=True))
    views = Views(read, accelerator.device)
    phases, seed = told_phases(settings), settings["seed"]
    train.fit(model, costs, phases, seed, views, accelerator, upkeep, train.Progress())
    return model


DROPOUT = {"epochs": 2, "optimizer": "sgd", "lr": 0.1, "mixup": 0.5, "clip": 0.5}


def check_two_ranks_drop_what_one_process_does_in_two_passes(rank: int, folder: Path) -> None:
    model = fit(settings_of("heads", devices=2, **DROPOUT), folder / "prepared", folder / "two")
    if rank == 0:
        torch.save(model.state_dict(), folder / "dropout.pt")


def taught(devices: int) -> dict:
    """A training beside which a weight network learns, whose weights are 1 in the mean of the whole batch."""
    settings = settings_of("all", devices=devices, epochs=2, optimizer="sgd", lr=0.1, clip=0.5)
    settings["network"]["method"] = {"kind": "l2w", "centred": "batch"}
    return settings


def check_a_weight_network_learns_from_all_ranks(rank: int, folder: Path) -> None:
    model = fit(taught(2), folder / "prepared", folder / "taught", dropout=0.0)
    if rank == 0:
        torch.save(model.state_dict(), folder / "taught.pt")


def of_texts(devices: int) -> dict:
    """A training on texts of several lengths."""
    steps = {"batch": 8, "per_device_batch": 4, "crop_padding": 0}  # slices of four, so that dropout is the same
    settings = settings_of("backbone", "all", devices=devices, epochs=2, optimizer="sgd", lr=0.1, **steps)
    settings["network"]["backbone"] = READER
    return settings


def check_texts_are_learned_from_by_all_ranks(rank: int, folder: Path) -> None:
    model = fit(of_texts(2), folder / "texts", folder / "of_texts", dropout=0.0)
    if rank == 0:
        torch.save(model.state_dict(), folder / "texts.pt")


def check_a_loss_that_is_no_number_in_one_rank_stops_all(rank: int, folder: Path) -> None:
    from accelerate import Accelerator

    settings, data = settings_of("all", devices=2), dataset.read(folder / "prepared")
    model = build.network(NETWORK, blanks(data), seed=1)
    accelerator, costs = Accelerator(cpu=True), count_network(model, blanks(data))
    phase = Phase(model, costs, told_phases(settings)[0], (1, 0), Views(data, accelerator.device), accelerator)
    phase.check_finite(1)
    phase.sums += float("nan") if rank == 1 else 0.0
    with pytest.raises(ValueError, match="no longer a number in phase all, epoch 1"):
        phase.check_finite(1)


CHECKS = {name: check for name, check in list(globals().items()) if name.startswith("check_")}


@pytest.fixture(scope="module")
def checked(prepared, prepared_texts, tmp_path_factory) -> Path:
    """A folder in which each rank has left what went wrong in each check."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "prepared").symlink_to(prepared)
    (folder / "texts").symlink_to(prepared_texts)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, folder]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "tests")},
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("rank", [0, 1])
def test_in_two_ranks(checked, name, rank):
    assert (checked / f"{name}.{rank}").read_text() == ""


def test_dropout_is_that_of_one_process_in_two_passes(checked, prepared, tmp_path):
    settings = settings_of("heads", per_device_batch=12, **DROPOUT)
    one, two = fit(settings, prepared, tmp_path).state_dict(), torch.load(checked / "dropout.pt", weights_only=True)
    for name, value in one.items():
        assert (value - two[name]).abs().max() < 1e-6, name
    other = fit(settings_of("heads", **DROPOUT), prepared, tmp_path).state_dict()  # in one pass: other draws
    assert any((value - two[name]).abs().max() > 1e-3 for name, value in other.items())


def test_a_weight_network_learns_as_in_one_process(checked, prepared, tmp_path):
    two = torch.load(checked / "taught.pt", weights_only=True)
    one, other = (
        fit(told, prepared, tmp_path / name, dropout=0.0).state_dict()
        for name, told in (
            ("one", taught(1)),
            ("plain", settings_of("all", epochs=2, optimizer="sgd", lr=0.1, clip=0.5)),
        )
    )
    for name, value in one.items():
        assert (value - two[name]).abs().max() < 1e-4, name
    assert any((value - two[name]).abs().max() > 1e-3 for name, value in other.items())


def test_texts_are_learned_from_as_in_one_process(checked, prepared_texts, tmp_path):
    two = torch.load(checked / "texts.pt", weights_only=True)
    one = fit(of_texts(1), prepared_texts, tmp_path / "one", dropout=0.0).state_dict()
    moved = build.network(of_texts(1)["network"], blanks(dataset.read(prepared_texts)), seed=1).state_dict()
    for name, value in one.items():
        assert (value - two[name]).abs().max() < 1e-5, name
    assert max((one[name] - value).abs().max() for name, value in moved.items() if name in one) > 1e-2


def main(folder: Path) -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    for name, check in CHECKS.items():
        try:
            check(rank, folder)
        except (Exception, pytest.fail.Exception):
            (folder / f"{name}.{rank}").write_text(traceback.format_exc())
        else:
            (folder / f"{name}.{rank}").write_text("")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
