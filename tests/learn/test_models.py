"""The networks and forests by themselves: size, reach, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from landshift.errors import ConfigError
from landshift.learn.dataset import Normalisation
from landshift.learn.models.forest import RandomForest, session
from landshift.learn.models.unet import UNet, save


def test_the_unet_has_the_size_it_says() -> None:
    net = UNet().network(10, 10)
    assert sum(weight.numel() for weight in net.parameters()) == 451_642


@pytest.mark.parametrize(("widths", "reach"), [((4, 4), 10), ((4, 4, 4), 26), ((4, 4, 4, 4), 54)])
def test_a_tile_depends_on_nothing_beyond_its_halo(
    widths: tuple[int, ...], reach: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = UNet(widths=widths)
    averaged = torch.nn.functional.avg_pool2d  # so that every pixel gets a gradient
    monkeypatch.setattr(torch.nn.functional, "max_pool2d", averaged)
    net = model.network(1, 2).eval().double()
    for weight in net.parameters():
        weight.data = torch.rand_like(weight) + 0.1
    stride, side = model.stride, 24 * model.stride
    x = torch.rand(1, 1, side, 2 * stride, dtype=torch.float64, requires_grad=True)
    net(x)[0, 0, side // 2 : side // 2 + stride].sum().backward()
    seen = (x.grad[0, 0].abs().sum(dim=1) > 0).nonzero().ravel() if x.grad is not None else torch.empty(0)
    found = (side // 2 - int(seen.min()), int(seen.max()) - (side // 2 + stride - 1))
    assert found == (reach, reach)
    assert model.halo >= reach
    assert model.halo % stride == 0


def test_nothing_in_the_unet_looks_at_a_whole_tile() -> None:
    kinds = {type(part) for part in UNet().network(3, 2).modules()}
    assert nn.BatchNorm2d in kinds
    assert not kinds & {nn.GroupNorm, nn.InstanceNorm2d, nn.AdaptiveAvgPool2d, nn.LayerNorm}


def test_a_missing_value_counts_as_the_training_mean() -> None:
    net = UNet(widths=(4, 4)).network(2, 2, Normalisation(mean=(0.3, 0.5), std=(0.1, 0.2))).eval()
    x = torch.rand(1, 2, 8, 8)
    gap, mean = x.clone(), x.clone()
    gap[0, 1, 2, 2], mean[0, 1, 2, 2] = torch.nan, 0.5
    torch.testing.assert_close(net(gap), net(mean))


@pytest.mark.parametrize("widths", [(4,), (4, 8), (4, 8, 6, 5)])
def test_the_onnx_network_says_the_same(widths: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = UNet(widths=widths)
    net = model.network(3, 2, Normalisation(mean=(0.1, 0.2, 0.3), std=(0.1, 0.2, 0.1)))
    net(torch.rand(4, 3, 16, 24))  # moves the running statistics of BatchNorm
    net.eval()
    save(net, tmp_path, model)
    raw = (tmp_path / "model.onnx").read_bytes()
    save(net, tmp_path, model)
    assert (tmp_path / "model.onnx").read_bytes() == raw
    x = torch.rand(3, 3, 3 * 8, 5 * 8)
    x[0, 0, 3, 3] = torch.nan
    x[1, 1, 3, 3] = 99.0
    runner = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = runner.run(["logits"], {"features": x.numpy()})[0]
    np.testing.assert_allclose(found, net(x).detach().numpy(), atol=2e-5)


def test_the_onnx_forest_is_the_forest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 600).astype(np.uint8)
    x = (rng.normal(size=(600, 7)) + y[:, None] * 0.5).astype(np.float32)
    step = RandomForest(trees=20)
    raw = step.fit(x, y, threads=2)
    assert raw == step.fit(x, y, threads=1)
    (tmp_path / "model.onnx").write_bytes(raw)
    runner = session(tmp_path / "model.onnx")
    plain = RandomForestClassifier(n_estimators=20, min_samples_leaf=3, random_state=1).fit(x, y)
    found = runner.run(["probabilities"], {"features": x})[0]
    np.testing.assert_allclose(found, plain.predict_proba(x), atol=1e-5)
    gap, mean = x[:1].copy(), x[:1].copy()
    gap[0, 2], mean[0, 2] = np.nan, x[:, 2].mean()
    np.testing.assert_array_equal(
        *(runner.run(["probabilities"], {"features": one})[0] for one in (gap, mean))
    )


def test_models_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        UNet(epochs=0)
    with pytest.raises(ConfigError, match="1 or more"):
        RandomForest(trees=0)
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        UNet(epoch=3)  # type: ignore[call-arg] # the point of the test
