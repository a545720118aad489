"""One file per source of labelled images; chosen through :data:`natdeploy.data.source.SOURCES`."""
