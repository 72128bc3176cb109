"""What runs is what the recipe asks for, whatever stands in the environment; what cannot run is refused."""

import json
import re

import pytest
from conftest import settings_of
from test_job import command, in_a_process

from manyexits import cli
from manyexits.cli import EXIT_BAD_INPUT
from manyexits.files.provenance import sha256

pytestmark = pytest.mark.usefixtures("handlers")

SAYINGS = {
    "accelerate's": {
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
        "ACCELERATE_TORCH_DEVICE": "meta",
        "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_USE_MEGATRON_LM": "true",
        "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    },
    "torch's": {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29571"},
    "MPI's": {"PMI_SIZE": "2", "PMI_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "MV2_COMM_WORLD_SIZE": "2"},
}


@pytest.fixture(scope="module")
def plain(prepared, tmp_path_factory):
    """Checksum of what a training gives without any of them."""
    folder = tmp_path_factory.mktemp("plain")
    assert cli.main(command(settings_of("all", epochs=1), prepared, folder)) == 0
    return sha256(folder / "run/model.safetensors")


@pytest.mark.parametrize(
    "saying",
    [SAYINGS["accelerate's"] | SAYINGS["MPI's"], SAYINGS["torch's"]],
    ids=["accelerate's and MPI's", "torch's"],
)
def test_what_launchers_leave_in_the_environment_has_no_say(prepared, tmp_path, plain, saying):
    process = in_a_process(command(settings_of("all", epochs=1), prepared, tmp_path), **saying)
    try:
        _, said = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert re.match(r"device cpu: .*; precision fp32; ranks 1\n", said)
    assert sha256(tmp_path / "run/model.safetensors") == plain


def test_what_an_operator_tells_torchs_launcher_has_no_say(prepared, tmp_path):
    told = command(settings_of("all", epochs=1, devices=2), prepared, tmp_path)
    process = in_a_process(told, PET_NNODES="2", PET_NPROC_PER_NODE="4", PET_MAX_RESTARTS="3", RANK="0", WORLD_SIZE="2")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert json.loads((tmp_path / "run/run.json").read_text())["hardware"]["ranks"] == 2
    assert re.match(r"device cpu: .*; precision fp32; ranks 2\n", said)


@pytest.mark.parametrize("verb", ["train", "pretrain"])
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_fp16_without_a_gpu_is_refused_and_not_run_as_another_precision(prepared, tmp_path, capsys, verb, device):
    settings = settings_of("all", precision="fp16")
    told = [verb, *command(settings, prepared, tmp_path, "--device", device)[1:]]
    assert cli.main(told) == EXIT_BAD_INPUT
    assert "asks for fp16, which needs a GPU, and none is used here; set precision to bf16" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_bf16_is_bf16_on_the_cpu_too(fitted, monkeypatch):
    import torch

    from manyexits.models.network import MultiExit

    types, fold = set(), MultiExit.fold

    def watched(*given):
        outputs, memory = fold(*given)
        types.update(each.dtype for each in outputs)
        return outputs, memory

    monkeypatch.setattr(MultiExit, "fold", watched)
    fitted(settings_of("all", precision="bf16", epochs=1))
    assert types == {torch.bfloat16}
