"""The nodes that Easel ships: one module per family, each node one thin typed function."""
