"""Pure kernels on tensors: what is counted and summed in the graph, on whichever backend Keras runs on."""
