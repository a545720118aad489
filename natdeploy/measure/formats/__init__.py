"""Readers of published measurements, chosen through :data:`natdeploy.measure.publications.FORMATS`."""
