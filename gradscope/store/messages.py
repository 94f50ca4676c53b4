"""The protobuf messages that an event file is made of, and the tensors in them.

They come from TensorBoard, whose copies of TensorFlow's messages load no TensorFlow.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    event_pb2,
    summary_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)

# Any: the classes of a generated module come into being when it is imported, so that no type is known.
_events: Any = event_pb2
_summaries: Any = summary_pb2
_tensors: Any = tensor_pb2
_shapes: Any = tensor_shape_pb2
_types: Any = types_pb2

Event: Any = _events.Event
SessionLog: Any = _events.SessionLog
Value: Any = _summaries.Summary.Value

_FLOATS = {np.dtype(np.float32): _types.DT_FLOAT, np.dtype(np.float64): _types.DT_DOUBLE}
_DTYPES = {code: dtype.newbyteorder("<") for dtype, code in _FLOATS.items()}


def mark_as(plugin: str, value: Any) -> None:
    """Say in the metadata of ``value`` which plugin of TensorBoard shows it."""
    value.metadata.CopyFrom(_metadata(plugin))


def scalar_tensor(value: float) -> Any:
    """Return a float of shape ``[]``: TensorBoard's data server drops scalars of shape ``[1]`` without a word."""
    return _tensors.TensorProto(dtype=_types.DT_FLOAT, tensor_shape=_shape(()), float_val=(value,))


def integer_tensor(value: int) -> Any:
    """Return an int64 of shape ``[]``."""
    return _tensors.TensorProto(dtype=_types.DT_INT64, tensor_shape=_shape(()), int64_val=(value,))


def string_tensor(text: str | bytes) -> Any:
    """Return a string of shape ``[]``; TensorFlow's strings are bytes."""
    content = text.encode() if isinstance(text, str) else text
    return _tensors.TensorProto(dtype=_types.DT_STRING, tensor_shape=_shape(()), string_val=(content,))


def tensor_of(array: NDArray[Any]) -> Any:
    """Return the tensor that holds ``array``, float32 or float64.

    Example:
        >>> array_of(tensor_of(np.eye(2))).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    code = _FLOATS[array.dtype]
    content = array.astype(_DTYPES[code], copy=False).tobytes()
    return _tensors.TensorProto(dtype=code, tensor_shape=_shape(array.shape), tensor_content=content)


def array_of(tensor: Any) -> NDArray[Any]:
    """Return the array that `tensor_of` put into ``tensor``; it is read-only.

    Raises:
        ValueError: If the content does not fill the shape.
        KeyError: If it is of another dtype.
    """
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    return np.frombuffer(tensor.tensor_content, _DTYPES[tensor.dtype]).reshape(shape)


@cache
def _metadata(plugin: str) -> Any:
    data_class = _summaries.DATA_CLASS_SCALAR if plugin == "scalars" else _summaries.DATA_CLASS_TENSOR
    plugin_data = _summaries.SummaryMetadata.PluginData(plugin_name=plugin)
    return _summaries.SummaryMetadata(plugin_data=plugin_data, data_class=data_class)


@cache
def _shape(shape: tuple[int, ...]) -> Any:
    return _shapes.TensorShapeProto(dim=[_shapes.TensorShapeProto.Dim(size=size) for size in shape])
