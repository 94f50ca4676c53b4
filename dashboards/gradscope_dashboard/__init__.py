"""The package of gradscope's TensorBoard tab. Empty so far: see `dashboards/README.md`."""
