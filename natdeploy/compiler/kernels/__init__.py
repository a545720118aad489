"""natdeploy's own kernels: one small generator per kind, written for a vector width, a register count and a tile."""
