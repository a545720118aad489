"""Models from what others published: tables of blocks, whole networks, lists of operators."""
