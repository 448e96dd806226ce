"""The table of operations: what a module, function, method or aten overload is called here, and its window.

One canonical kind stands for nn.ReLU, F.relu, Tensor.relu_ and aten.relu alike, so that receptive fields, costs and
rules are written once per kind. An operation that is in no table has the kind "unknown": it is reported, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload

from explorer.graph import own_ops
from explorer.graph.layers import Window
from explorer.types import Pair, is_sequence

# Kinds of activations: pointwise and without parameters that matter here.
ACTIVATIONS = [
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardsigmoid",
    "hardtanh", "sigmoid", "tanh", "softplus", "softsign", "prelu", "logsigmoid", "rrelu", "threshold",
    "hardshrink", "softshrink", "tanhshrink", "own_activation",
]  # fmt: skip
POINTWISE = [
    "neg", "abs", "exp", "log", "log1p", "sqrt", "rsqrt", "square", "pow", "clamp", "sign", "floor", "round",
    "reciprocal", "erf", "sin", "cos", "dropout", "identity", "contiguous", "cast", "where", "masked_fill",
    "scale_by_constant",
]  # fmt: skip
ARITHMETIC = ["add", "sub", "mul", "div", "maximum", "minimum", "addcmul", "lerp", "compare", "copy", "own_pointwise"]
REDUCTIONS = ["mean", "sum", "amax", "amin", "max", "min", "std", "var", "logsumexp", "norm", "argmax"]

# Names of functions, methods and aten packets → kind; names that equal their kind are added below.
_ALIASES = {
    "conv1d": "conv1d", "conv3d": "conv3d", "conv2d": "conv", "linear": "linear",
    "conv_transpose1d": "conv_transpose1d", "conv_transpose2d": "conv_transpose",
    "conv_transpose3d": "conv_transpose3d",
    "max_pool2d": "max_pool", "avg_pool2d": "avg_pool", "max_pool2d_with_indices": "max_pool",
    "max_pool3d_with_indices": "pool3d", "max_pool1d_with_indices": "pool1d",
    "adaptive_max_pool2d_with_indices": "adaptive_max_pool", "index": "select",
    "lp_pool2d": "lp_pool", "adaptive_avg_pool2d": "adaptive_avg_pool", "adaptive_max_pool2d": "adaptive_max_pool",
    "local_response_norm": "local_response_norm",
    "swish": "silu", "clip": "clamp", "clamp_min": "clamp", "clamp_max": "clamp", "_threshold": "threshold",
    "alpha_dropout": "dropout", "dropout2d": "dropout", "feature_dropout": "dropout",
    "stochastic_depth": "dropout", "drop_path": "dropout",
    "iadd": "add", "isub": "sub", "rsub": "sub", "imul": "mul", "truediv": "div", "itruediv": "div",
    "floordiv": "div", "multiply": "mul", "divide": "div", "subtract": "sub",
    "cat": "concat", "concat": "concat", "concatenate": "concat", "stack": "stack",
    "view": "reshape", "reshape": "reshape", "_unsafe_view": "reshape", "flatten": "flatten", "unflatten": "reshape",
    "view_as": "reshape", "reshape_as": "reshape",
    "permute": "permute", "transpose": "transpose", "swapaxes": "transpose", "t": "transpose",
    "movedim": "movedim", "squeeze": "squeeze", "unsqueeze": "unsqueeze", "expand": "expand", "expand_as": "expand",
    "broadcast_to": "expand",
    "repeat": "repeat", "repeat_interleave": "repeat",
    "chunk": "chunk", "split": "chunk", "split_with_sizes": "chunk", "tensor_split": "chunk",
    "unbind": "unbind", "getitem": "select", "narrow": "slice", "slice": "slice", "select": "index",
    "unfold": "unfold", "im2col": "unfold", "fold": "fold", "col2im": "fold",
    "max_pool3d": "pool3d", "avg_pool3d": "pool3d", "max_unpool2d": "unpool",
    "sort": "sort", "argsort": "sort", "topk": "sort", "cumsum": "sort",
    "avg_pool1d": "pool1d", "max_pool1d": "pool1d",
    "adaptive_avg_pool1d": "pool1d", "roll": "roll", "flip": "flip", "pad": "pad", "constant_pad_nd": "pad",
    "interpolate": "interpolate", "upsample": "interpolate", "upsample_nearest2d": "interpolate",
    "upsample_bilinear2d": "interpolate", "upsample_bicubic2d": "interpolate",
    "_upsample_bilinear2d_aa": "interpolate",
    "pixel_shuffle": "pixel_shuffle", "pixel_unshuffle": "pixel_unshuffle", "channel_shuffle": "channel_shuffle",
    "native_channel_shuffle": "channel_shuffle",
    "matmul": "matmul", "bmm": "matmul", "mm": "matmul", "einsum": "einsum",
    "scaled_dot_product_attention": "attention", "softmax": "softmax", "_softmax": "softmax",
    "log_softmax": "softmax", "normalize": "normalize",
    "batch_norm": "batch_norm", "layer_norm": "layer_norm", "group_norm": "group_norm", "rms_norm": "rms_norm",
    "instance_norm": "instance_norm", "linalg_vector_norm": "norm",
    "to": "cast", "float": "cast", "half": "cast", "type_as": "cast", "_to_copy": "cast", "clone": "contiguous",
    "detach": "contiguous", "detach_": "contiguous", "contiguous": "contiguous", "alias": "contiguous",
    "lift_fresh_copy": "contiguous", "new_zeros": "constant", "new_ones": "constant", "zeros_like": "constant",
    "ones_like": "constant", "new_empty": "constant", "new_full": "constant", "fill": "constant",
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or"), "compare"),
}  # fmt: skip
_NAMES: dict[str, str] = {
    **{name: name for name in (*ACTIVATIONS, *POINTWISE, *ARITHMETIC, *REDUCTIONS)},
    **_ALIASES,
}

_MODULES: dict[type[nn.Module], str] = {
    nn.Conv1d: "conv1d", nn.Conv3d: "conv3d", nn.Conv2d: "conv",
    nn.ConvTranspose1d: "conv_transpose1d", nn.ConvTranspose2d: "conv_transpose",
    nn.ConvTranspose3d: "conv_transpose3d", nn.Linear: "linear",
    nn.Bilinear: "unknown", nn.MaxPool2d: "max_pool", nn.AvgPool2d: "avg_pool", nn.LPPool2d: "lp_pool",
    nn.AdaptiveAvgPool2d: "adaptive_avg_pool", nn.AdaptiveMaxPool2d: "adaptive_max_pool",
    nn.BatchNorm2d: "batch_norm", nn.BatchNorm1d: "batch_norm", nn.SyncBatchNorm: "batch_norm",
    nn.LayerNorm: "layer_norm", nn.RMSNorm: "rms_norm", nn.GroupNorm: "group_norm", nn.InstanceNorm2d: "instance_norm",
    nn.LocalResponseNorm: "local_response_norm", nn.Flatten: "flatten", nn.Unflatten: "reshape",
    nn.Identity: "identity", nn.Softmax: "softmax", nn.LogSoftmax: "softmax", nn.Softmax2d: "softmax",
    nn.Upsample: "interpolate", nn.UpsamplingNearest2d: "interpolate", nn.UpsamplingBilinear2d: "interpolate",
    nn.PixelShuffle: "pixel_shuffle", nn.PixelUnshuffle: "pixel_unshuffle", nn.ChannelShuffle: "channel_shuffle",
    nn.ZeroPad2d: "pad", nn.ConstantPad2d: "pad", nn.ReflectionPad2d: "pad", nn.ReplicationPad2d: "pad",
    nn.CircularPad2d: "pad",
    nn.MultiheadAttention: "attention", nn.Dropout: "dropout", nn.Dropout2d: "dropout", nn.AlphaDropout: "dropout",
    nn.FeatureAlphaDropout: "dropout", nn.Unfold: "unfold", nn.Fold: "fold",
    nn.MaxPool3d: "pool3d", nn.AvgPool3d: "pool3d", nn.MaxUnpool2d: "unpool",
    nn.AvgPool1d: "pool1d", nn.MaxPool1d: "pool1d", nn.AdaptiveAvgPool1d: "pool1d",
    nn.RNN: "recurrent", nn.LSTM: "recurrent", nn.GRU: "recurrent",
}  # fmt: skip
_ACTIVATION_MODULES = {
    getattr(nn, name).__name__: kind
    for name, kind in {
        "ReLU": "relu", "ReLU6": "relu6", "LeakyReLU": "leaky_relu", "ELU": "elu", "SELU": "selu", "CELU": "celu",
        "GELU": "gelu", "SiLU": "silu", "Mish": "mish", "Hardswish": "hardswish", "Hardsigmoid": "hardsigmoid",
        "Hardtanh": "hardtanh", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus",
        "Softsign": "softsign", "PReLU": "prelu", "LogSigmoid": "logsigmoid", "RReLU": "rrelu",
        "Threshold": "threshold", "Hardshrink": "hardshrink", "Softshrink": "softshrink",
        "Tanhshrink": "tanhshrink",
    }.items()
}  # fmt: skip

# Order of the arguments, shared by torch.nn.functional and aten, for the kinds whose arguments we read.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "conv": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    **dict.fromkeys(("conv1d", "conv3d"), ("input", "weight", "bias", "stride", "padding", "dilation", "groups")),
    **dict.fromkeys(
        ("conv_transpose", "conv_transpose1d", "conv_transpose3d"),
        ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    ),
    "linear": ("input", "weight", "bias"),
    "max_pool": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool": ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "lp_pool": ("input", "norm_type", "kernel_size", "stride", "ceil_mode"),
    "concat": ("tensors", "dim"),
    "stack": ("tensors", "dim"),
    "flatten": ("input", "start_dim", "end_dim"),
    "transpose": ("input", "dim0", "dim1"),
    "movedim": ("input", "source", "destination"),
    "squeeze": ("input", "dim"),
    "unsqueeze": ("input", "dim"),
    "chunk": ("input", "sizes", "dim"),
    "unbind": ("input", "dim"),
    "select": ("input", "index"),
    "index": ("input", "dim", "index"),
    "slice": ("input", "dim", "start", "end", "step"),
    "pad": ("input", "pad", "mode", "value"),
    "roll": ("input", "shifts", "dims"),
    "flip": ("input", "dims"),
    "softmax": ("input", "dim"),
    "normalize": ("input", "p", "dim"),
    "matmul": ("input", "other"),
    "attention": ("query", "key", "value"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
    "unfold": ("input", "kernel_size", "dilation", "padding", "stride"),
    "fold": ("input", "output_size", "kernel_size", "dilation", "padding", "stride"),
    "windows": ("input", "dim", "size", "step"),
    "pool1d": ("input", "kernel_size", "stride", "padding"),
    "pool3d": ("input", "kernel_size", "stride", "padding"),
    "unpool": ("input", "indices", "output_size"),
    "sort": ("input", "dim"),
    "copy": ("input", "source"),
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "training"),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "pixel_shuffle": ("input", "upscale_factor"),
    "pixel_unshuffle": ("input", "downscale_factor"),
    "channel_shuffle": ("input", "groups"),
    "interpolate": (
        "input",
        "size",
        "scale_factor",
        "mode",
        "align_corners",
        "recompute_scale_factor",
        "antialias",
    ),
    **dict.fromkeys(REDUCTIONS, ("input", "dim", "keepdim")),
    "norm": ("input", "p", "dim", "keepdim"),
}
_KEPT = frozenset([
    "stride", "padding", "dilation", "groups", "output_padding", "ceil_mode", "count_include_pad", "norm_type",
    "dim", "start_dim", "end_dim", "dim0", "dim1", "source", "destination", "keepdim", "sizes", "index", "start",
    "end", "step", "pad", "mode", "shifts", "dims", "normalized_shape", "num_groups", "upscale_factor",
    "downscale_factor", "align_corners", "batch_first", "size", "scale_factor", "recompute_scale_factor",
    "antialias", "training", "p",
    "negative_slope", "alpha", "approximate", "padding_mode",
])  # fmt: skip

# Functions whose order differs from that of others of their kind, aten overloads among them.
_AMBIGUOUS = {
    "upsample_bilinear2d": ("input", "size", "align_corners", "scale_factor"),
    "upsample_bicubic2d": ("input", "size", "align_corners", "scale_factor"),
    "_upsample_bilinear2d_aa": ("input", "size", "align_corners", "scale_factor"),
    "upsample_nearest2d": ("input", "size", "scale_factor"),
    "topk": ("input", "k", "dim"),
    "repeat_interleave": ("input", "repeats", "dim"),
}

Arguments = dict[str, Any]


def kind_of_module(module: nn.Module) -> str:
    """The kind of a leaf module, by its class or the nearest base class in the table."""
    own = own_ops.of_class(type(module))
    return own.kind if own else _kind_of_class(type(module))


@lru_cache(maxsize=1024)
def _kind_of_class(found: type[nn.Module]) -> str:
    for base in found.__mro__:
        if base in _MODULES:
            return _MODULES[base]
        if base.__module__.startswith("torch.nn") and base.__name__ in _ACTIVATION_MODULES:
            return _ACTIVATION_MODULES[base.__name__]
    return "unknown"


def kind_of_function(target: Any) -> str:
    """The kind of a function, operator, aten overload, or method (given by name)."""
    if own := own_ops.of_target(target):
        return own.kind
    name = function_name(target)
    if name == "unfold" and (isinstance(target, str | OpOverload)):
        return "windows"  # Tensor.unfold, along one dimension; F.unfold takes out patches
    return _NAMES.get(name, "unknown")


_ATTRIBUTES = {"values": "select", "indices": "select", "T": "permute", "mT": "transpose"}


def kind_of_attribute(name: str) -> str:
    """The kind of an attribute of a tensor, or of a named tuple of tensors, that is one itself."""
    return _ATTRIBUTES.get(name, "unknown")


def function_name(target: Any) -> str:
    """The bare name: F.relu, torch.relu, Tensor.relu_ and aten.relu_.default are all "relu"."""
    if isinstance(target, str):
        name = target
    elif isinstance(target, OpOverload):
        name = target.name().partition("::")[2].partition(".")[0]
    else:
        name = getattr(target, "__name__", str(target))
    return name.rstrip("_") if not name.startswith("__") else name.strip("_")


def module_arguments(module: nn.Module) -> Arguments:
    """The hyperparameters that a leaf module keeps as attributes, under the names of the functional form."""
    own = vars(module)  # getattr would search parameters and buffers for each of the many names
    found = {name: value for name, value in own.items() if name in _KEPT}
    for name in ("kernel_size", "output_size", "size", "scale_factor"):
        if own.get(name) is not None:
            found[name] = own[name]
    is_scripted = isinstance(module, torch.jit.ScriptModule)  # which keeps them elsewhere
    weight: Any = None if is_scripted else own["_parameters"].get("weight")
    weight = getattr(module, "weight", None) if weight is None else weight  # one that is computed, as by weight_norm
    if weight is not None:
        found["weight"] = weight
    return found | _special_arguments(module) if _is_special(type(module)) else found


def _special_arguments(module: nn.Module) -> Arguments:
    """What few kinds of modules keep under other names than the functional form, or not at all."""
    if isinstance(module, nn.Upsample):
        return {"align_corners": bool(module.align_corners)}
    if isinstance(module, nn.ChannelShuffle):
        return {"groups": module.groups}
    if isinstance(module, _BATCH_NORMS):  # one that keeps no statistics computes them at inference too
        return {"training": True} if module.running_mean is None else {}
    border = next(border for bases, border in _PADS.items() if isinstance(module, bases))
    return {"mode": border, "pad": tuple(vars(module)["padding"])}


@lru_cache(maxsize=4096)
def _is_special(cls: type[nn.Module]) -> bool:
    return issubclass(cls, (nn.Upsample, nn.ChannelShuffle, *_BATCH_NORMS, *chain(*_PADS)))


_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_PADS: dict[tuple[type[nn.Module], ...], str] = {
    (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d): "constant",  # those with zeros are made of these
    (nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d): "reflect",
    (nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d): "replicate",
    (nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d): "circular",
}


def call_arguments(kind: str, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """The arguments of a functional call by name; tensors among them stay tensors."""
    if name == "getattr":
        return {"input": args[0], **({"dim0": -2, "dim1": -1} if args[1] == "mT" else {})}
    names = _AMBIGUOUS.get(name, _ARGUMENTS.get(kind, ("input",)))
    if kind in ("permute", "expand", "repeat", "flip") and name not in _AMBIGUOUS:
        dims = args[1] if len(args) == 2 and is_sequence(args[1]) else args[1:]
        return {"input": args[0], "dims": tuple(dims) or kwargs.get("dims"), **kwargs}
    found = dict(zip(names, args, strict=False)) | dict(kwargs)
    if kind == "select" and found["index"] is None:
        found["index"] = (None,)  # alone, it would read as an index that is not plain data
    if name.startswith(("upsample_", "_upsample_")):
        found["mode"] = name.strip("_").split("_")[1].removesuffix("2d")
    return found


def plain_attributes(arguments: Arguments) -> dict[str, Any]:
    """The arguments worth keeping in the layer graph: plain data only."""
    return {
        name: value if type(value) in _NUMBERS else _plain(value)
        for name, value in arguments.items()
        if name in _KEPT and (type(value) in _NUMBERS or _is_plain(value))
    }


def _is_plain(value: Any) -> bool:
    if type(value) in _PLAIN:
        return True
    if is_sequence(value):
        return all([item is None or _is_plain(item) for item in value])  # noqa: C419  (a generator is slower)
    return value is Ellipsis or isinstance(value, _PLAIN)


_PLAIN = (int, float, str, bool, slice)
_NUMBERS = frozenset((int, float, str, bool))  # what most arguments are


def _plain(value: Any) -> Any:
    return tuple([_plain(item) for item in value]) if is_sequence(value) else value


def kernel_size(kind: str, arguments: Arguments) -> dict[str, Any]:
    """The size of a window that is not along two dimensions, or that takes out patches."""
    if kind in ("conv1d", "conv3d", "conv_transpose1d", "conv_transpose3d"):
        return {"kernel_size": tuple(arguments["weight"].shape[2:])}
    known = kind in ("pool1d", "pool3d", "unfold", "fold") and "kernel_size" in arguments
    return {"kernel_size": _plain(arguments["kernel_size"])} if known else {}


def window(kind: str, arguments: Arguments) -> Window | None:
    """The window of a convolution or pool (for a transposed convolution, that of its gradient); else None."""
    if kind in ("conv", "conv_transpose"):
        kernel = _pair(tuple(arguments["weight"].shape[-2:]))
    elif kind == "own_window":
        return arguments["window"]
    elif kind in ("max_pool", "avg_pool", "lp_pool", "unpool"):
        if "kernel_size" not in arguments:
            return None
        kernel = _pair(arguments["kernel_size"])
    else:
        return None
    pooled = kind.endswith("pool")
    stride = _pair(arguments.get("stride") or (kernel if pooled else 1))
    dilation = _pair(arguments.get("dilation") or 1)
    return Window(kernel, stride, dilation, _padding(arguments.get("padding", 0), kernel, dilation))


def _padding(padding: Any, kernel: Pair, dilation: Pair) -> Pair:
    """Padding before the first position; "same" puts the odd pixel behind (as torch does)."""
    if padding == "valid":
        return (0, 0)
    if padding == "same":
        return ((kernel[0] - 1) * dilation[0] // 2, (kernel[1] - 1) * dilation[1] // 2)
    return _pair(padding)


def _pair(value: Any) -> Pair:
    if is_sequence(value):
        return (int(value[0]), int(value[-1]))
    return (int(value), int(value))
