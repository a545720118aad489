"""Labelled images: digits, folders, archives, Hugging Face data sets; divided, resized and normalised in one way."""

from natdeploy.data.dataset import Dataset, Split, load_dataset
from natdeploy.data.images import read_image
from natdeploy.data.preprocess import Preprocessing, normalise, resize_image
from natdeploy.data.source import SOURCES, is_downloaded

__all__ = [
    "SOURCES",
    "Dataset",
    "Preprocessing",
    "Split",
    "is_downloaded",
    "load_dataset",
    "normalise",
    "read_image",
    "resize_image",
]
