import copy
import weakref

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import costs, get_space
from natdeploy.supernets import MobileNetV3Supernet, build_supernet, calibrate, extract, sort_channels, to_network
from natdeploy.supernets.elastic import activated
from natdeploy.supernets.subnet import DepthwiseConv2d

SPACE = get_space("mbv3-micro")


@pytest.fixture(scope="module")
def supernet() -> MobileNetV3Supernet:
    """A supernet whose statistics, scales and kernel transforms are all different from their start."""
    torch.manual_seed(0)
    net = build_supernet(SPACE, 7)
    for name, parameter in net.named_parameters():
        if "transforms" in name or ".bn." in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def archs() -> list:
    rng = np.random.default_rng(1)
    return [SPACE.smallest(), SPACE.largest(), *(SPACE.sample(rng) for _ in range(6))]


@pytest.mark.parametrize("arch", archs(), ids=lambda arch: arch.id)
@torch.no_grad()
def test_subnet_gives_the_supernets_outputs_and_the_layers_parameters(supernet, arch) -> None:
    x = torch.randn(2, 3, arch.r, arch.r)
    subnet = extract(supernet, arch)
    supernet.set_active(arch)
    torch.testing.assert_close(subnet(x), supernet(x), rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in subnet.parameters()) == costs(SPACE.layers(arch, 7)).params


@pytest.mark.parametrize(
    ("name", "plain"),
    [("none", lambda y: y), ("relu", F.relu), ("hswish", F.hardswish), ("hsigmoid", F.hardsigmoid)],
)
def test_an_activation_takes_its_inputs_place_unless_gradients_need_it(name: str, plain) -> None:
    y = torch.randn(2, 3, 4, 4)
    kept, wanted = y.clone(), plain(y)
    torch.testing.assert_close(activated(y, name), wanted)
    torch.testing.assert_close(y, kept)
    with torch.no_grad():
        assert activated(y, name) is y
    torch.testing.assert_close(y, wanted)


@pytest.mark.parametrize("gradients", [False, True])
def test_what_no_layer_reads_any_more_is_freed(gradients: bool, supernet) -> None:
    """Unless gradients need it: a block's entry and what its squeeze-excite scales are what outlives the next layer."""
    subnet = extract(supernet, SPACE.largest())
    made: list[weakref.ref] = []
    alive: list[int] = []

    def note(module, inputs, output) -> None:
        made.append(weakref.ref(output.untyped_storage()))
        alive.append(sum(one() is not None for one in made))

    for layer in subnet.layers:
        if layer.op == "conv":
            subnet.get_submodule(layer.name).register_forward_hook(note)
    with torch.set_grad_enabled(gradients):
        x = torch.randn(2, 3, 32, 32)
        supernet.set_active(SPACE.largest())
        torch.testing.assert_close(subnet(x), supernet(x), rtol=1e-5, atol=1e-5)
    assert (max(alive) <= 4) == (not gradients)


@torch.no_grad()
def test_layers_have_the_shapes_and_macs_that_torch_computes(supernet) -> None:
    arch = SPACE.sample(np.random.default_rng(2))
    subnet = extract(supernet, arch)
    macs = 0

    def count(module, _, output) -> None:
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    for module in subnet.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(count)
    shapes = {layer.name: layer for layer in subnet.layers if layer.op == "conv"}
    found = {}
    for name in shapes:
        subnet.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: found.update({name: o.shape[1:]}))
    subnet(torch.randn(1, 3, arch.r, arch.r))
    assert macs == costs(subnet.layers).macs
    assert {n: tuple(s) for n, s in found.items()} == {n: (s.out_c, s.out_h, s.out_w) for n, s in shapes.items()}


@torch.no_grad()
def test_sorting_channels_keeps_the_largest_network_and_orders_importance() -> None:
    torch.manual_seed(3)
    net = build_supernet(SPACE).eval()
    x = torch.randn(2, 3, 32, 32)
    before = net(x)
    sort_channels(net)
    torch.testing.assert_close(net(x), before, rtol=1e-4, atol=1e-5)
    importance = net.blocks[5].point_linear.conv.weight.abs().sum((0, 2, 3))
    assert (importance.diff() <= 0).all()


@torch.no_grad()
def test_calibration_gives_the_statistics_of_its_batches(supernet) -> None:
    arch = SPACE.smallest()
    subnet = extract(supernet, arch)
    batches = [torch.randn(16, 3, arch.r, arch.r) * 3 + 1 for _ in range(2)]
    calibrate(subnet, batches)
    features = torch.stack([subnet.first_conv.conv(batch).mean((0, 2, 3)) for batch in batches])
    torch.testing.assert_close(subnet.first_conv.bn.running_mean, features.mean(0), rtol=1e-4, atol=1e-5)
    assert not subnet.training


@torch.no_grad()
def test_a_batch_that_fails_leaves_nothing_of_a_calibration_behind(supernet) -> None:
    subnet = extract(supernet, SPACE.smallest())
    norms = [module for module in subnet.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta, images = [norm.momentum for norm in norms], torch.randn(16, 3, 24, 24)
    with pytest.raises(RuntimeError, match="expected input"):
        calibrate(subnet, [images, torch.randn(16, 5, 24, 24)])
    assert [norm.momentum for norm in norms] == momenta and not any(module.training for module in norms)
    assert not any(norm._forward_pre_hooks for norm in norms)
    again = extract(supernet, SPACE.smallest())
    for network in (subnet, again):
        calibrate(network, [images])
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in subnet.state_dict().items())


@torch.no_grad()
def test_folded_weights_give_the_same_first_layer(supernet) -> None:
    subnet = extract(supernet, SPACE.smallest())
    network = to_network(subnet)
    x = torch.randn(1, 3, 24, 24)
    weight, bias = (torch.from_numpy(network.weights[f"first_conv.{part}"]) for part in ("weight", "bias"))
    folded = torch.nn.functional.hardswish(torch.nn.functional.conv2d(x, weight, bias, stride=2, padding=1))
    torch.testing.assert_close(folded, torch.nn.functional.hardswish(subnet.first_conv(x)), rtol=1e-5, atol=1e-6)
    assert network.output_shape == (1, 7)


def test_an_architecture_of_another_space_is_refused(supernet) -> None:
    with pytest.raises(BadInput, match="space mbv3-micro: field 'space'"):
        supernet.set_active(get_space("ofa-mbv3-w1.0").smallest())


def test_a_subnet_in_training_has_torchs_gradients_and_in_evaluation_torchs_very_outputs(supernet) -> None:
    subnet = extract(supernet, SPACE.largest())
    plain = copy.deepcopy(subnet)
    for module in plain.modules():
        if isinstance(module, DepthwiseConv2d):
            module.__class__ = torch.nn.Conv2d
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(subnet(x), plain(x))
    for net in (subnet, plain):
        net.train()(x).square().sum().backward()
    named = dict(plain.named_parameters())
    assert any(isinstance(module, DepthwiseConv2d) for module in subnet.modules())
    for name, parameter in subnet.named_parameters():
        expected = named[name].grad
        assert (parameter.grad - expected).norm() <= 1e-3 * expected.norm() + 1e-5, name
