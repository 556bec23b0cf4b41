"""Both TensorRT runtimes: engines built from exported graphs, kept on disk, and run."""
