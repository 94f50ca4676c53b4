"""The package of gradscope's TensorBoard tab: see `dashboards/README.md` and `http_api.md`."""
