"""On-disk formats: data directories, scp and ark, trn."""
