"""Plans for graphics processors: the same data as for a processor, kernels as source code with their launch sizes."""
