"""What may be built: search spaces, architectures, layers and their static costs. Knows nothing of torch."""

from natdeploy.spaces.arch import Arch
from natdeploy.spaces.blocks import Block, blocks
from natdeploy.spaces.costs import Costs, costs, file_bytes
from natdeploy.spaces.layer import INPUT, Layer
from natdeploy.spaces.network import Network, random_network
from natdeploy.spaces.operators import OperatorSpace
from natdeploy.spaces.space import SPACES, Space, get_space

__all__ = [
    "INPUT",
    "SPACES",
    "Arch",
    "Block",
    "Costs",
    "Layer",
    "Network",
    "OperatorSpace",
    "Space",
    "blocks",
    "costs",
    "file_bytes",
    "get_space",
    "random_network",
]
