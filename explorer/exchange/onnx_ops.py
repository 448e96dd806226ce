"""The operations of ONNX in torch's words: one function each. https://onnx.ai/onnx/operators"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F

from explorer.exchange.onnx_call import TRANSLATIONS, OnnxCall, Value, meta, operation
from explorer.exchange.onnx_file import STORED_TYPES
from explorer.exchange.stored import StoredTensor

# -- one tensor in, one out -------------------------------------------------------------------------------------------

_POINTWISE: dict[str, Callable[..., Any]] = {
    "Relu": F.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Exp": torch.exp, "Log": torch.log,
    "Sqrt": torch.sqrt, "Neg": torch.neg, "Abs": torch.abs, "Erf": torch.erf, "Floor": torch.floor,
    "Round": torch.round, "Reciprocal": torch.reciprocal, "Sign": torch.sign, "Sin": torch.sin, "Cos": torch.cos,
    "HardSwish": F.hardswish, "Softplus": F.softplus, "Softsign": F.softsign, "Mish": F.mish,
    "Not": torch.logical_not,
}  # fmt: skip
for _name, _function in _POINTWISE.items():
    TRANSLATIONS[_name] = lambda call, function=_function: call.emit(function, call.tensor(0))


@operation("Identity", "Dropout")
def _same(call: OnnxCall) -> Value:
    return call.value(0)


@operation("LeakyRelu")
def _leaky_relu(call: OnnxCall) -> Value:
    return call.emit(F.leaky_relu, call.tensor(0), call.attribute("alpha", 0.01))


@operation("Elu")
def _elu(call: OnnxCall) -> Value:
    return call.emit(F.elu, call.tensor(0), call.attribute("alpha", 1.0))


@operation("Selu")
def _selu(call: OnnxCall) -> Value:
    return call.emit(F.selu, call.tensor(0))


@operation("Gelu")
def _gelu(call: OnnxCall) -> Value:
    return call.emit(F.gelu, call.tensor(0), approximate=call.attribute("approximate", "none"))


@operation("PRelu")
def _prelu(call: OnnxCall) -> Value:
    return call.emit(F.prelu, call.tensor(0), call.emit(torch.flatten, call.tensor(1)))


@operation("HardSigmoid")
def _hard_sigmoid(call: OnnxCall) -> Value:
    slope, offset = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if math.isclose(slope, 1 / 6, rel_tol=1e-6) and offset == 0.5:
        return call.emit(F.hardsigmoid, call.tensor(0))
    line = call.emit(operator.add, call.emit(operator.mul, call.tensor(0), slope), offset)
    return call.emit(torch.clamp, line, 0, 1)


@operation("Clip")
def _clip(call: OnnxCall) -> Value:
    if call.opset < 11:
        low, high = call.attribute("min"), call.attribute("max")
    else:
        low, high = (call.number(place) for place in (1, 2))
        if (low is None and call.has(1)) or (high is None and call.has(2)):
            call.refuse("has bounds that are computed")
    if (low, high) == (0, 6):
        return call.emit(F.relu6, call.tensor(0))
    return call.emit(torch.clamp, call.tensor(0), low, high)


@operation("Softmax", "LogSoftmax")
def _softmax(call: OnnxCall) -> Value:
    function = F.softmax if call.node.op == "Softmax" else F.log_softmax
    axis = call.attribute("axis", -1 if call.opset >= 13 else 1)
    if call.opset < 13 and axis not in (-1, len(call.shape(0)) - 1):
        call.refuse(f"is over all axes from {axis} on, which is not known here")
    return call.emit(function, call.tensor(0), dim=axis)


@operation("Cast", "CastLike")
def _cast(call: OnnxCall) -> Value:
    if call.node.op == "CastLike":
        wanted = meta(call.tensor(1)).dtype
    else:
        wanted = STORED_TYPES.get(call.attribute("to", 0), (None, ""))[0]
    value = call.value(0)
    given = value.dtype if isinstance(value, StoredTensor) else meta(call.tensor(0)).dtype
    if wanted == given:
        return value
    return call.emit(torch.Tensor.to, call.tensor(0), wanted) if wanted else call.refuse("has a type that is not read")


# -- arithmetic -------------------------------------------------------------------------------------------------------

_BINARY: dict[str, Callable[..., Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": operator.truediv, "Pow": torch.pow,
}  # fmt: skip


@operation(*_BINARY)
def _binary(call: OnnxCall) -> Value:
    return _with_bias(call) or _gated(call) or call.emit(_BINARY[call.node.op], _operand(call, 0), _operand(call, 1))


def _operand(call: OnnxCall, place: int) -> Any:
    """A constant of one element as a number, where the other operand is a tensor; else the tensor."""
    value, other = call.value(place), call.value(1 - place)
    number = call.number(place) if isinstance(value, StoredTensor) and not value.shape else None
    return call.tensor(place) if number is None or not isinstance(other, fx.Node) else number


def _with_bias(call: OnnxCall) -> Value | None:
    """A product with weights to which a bias is added, as the linear layer that it is."""
    for product, bias in ((0, 1), (1, 0)):
        made, value = call.value(product), call.value(bias)
        if call.node.op != "Add" or not isinstance(made, fx.Node) or not isinstance(value, StoredTensor):
            continue
        is_bare = made.target is F.linear and len(made.args) == 2 and _is_used_once(call, product)
        if is_bare and value.shape == meta(made).shape[-1:]:
            own = call.builder.as_tensor(replace(value, is_weight=True))
            return _again(call, made, F.linear, (*made.args, own))
    return None


def _gated(call: OnnxCall) -> Value | None:
    """x · sigmoid(x), as the SiLU that it is."""
    for place, gate in ((0, 1), (1, 0)):
        made = call.value(gate)
        if call.node.op != "Mul" or not isinstance(made, fx.Node) or made.target is not torch.sigmoid:
            continue
        if made.args[0] is call.value(place) and _is_used_once(call, gate):
            return _again(call, made, F.silu, made.args)
    return None


def _is_used_once(call: OnnxCall, place: int) -> bool:
    return call.builder.uses[call.node.inputs[place]] == 1


def _again(call: OnnxCall, made: Any, target: Callable[..., Any], args: tuple[Any, ...]) -> fx.Node:
    """The operation in place of one that is a part of it, and stays where that was among the modules."""
    found = call.emit(target, *args)
    found.meta["nn_module_stack"] = made.meta["nn_module_stack"]
    return found


@operation("Max", "Min")
def _extreme(call: OnnxCall) -> Value:
    function = torch.maximum if call.node.op == "Max" else torch.minimum
    found = call.tensor(0)
    for place in range(1, len(call.values)):
        found = call.emit(function, found, call.tensor(place))
    return found


_COMPARISONS: dict[str, Callable[..., Any]] = {
    "And": torch.logical_and, "Or": torch.logical_or, "Equal": torch.eq, "Greater": torch.gt, "Less": torch.lt,
    "GreaterOrEqual": torch.ge, "LessOrEqual": torch.le,
}  # fmt: skip


@operation(*_COMPARISONS)
def _compare(call: OnnxCall) -> Value:
    return call.emit(_COMPARISONS[call.node.op], call.tensor(0), call.tensor(1))


@operation("Where")
def _where(call: OnnxCall) -> Value:
    return call.emit(torch.where, call.tensor(0), call.tensor(1), call.tensor(2))


# -- products with weights --------------------------------------------------------------------------------------------


@operation("MatMul")
def _matmul(call: OnnxCall) -> Value:
    weight = call.value(1)
    if isinstance(weight, StoredTensor) and len(weight.shape) == 2 and _is_used_once(call, 1):
        return call.emit(F.linear, call.tensor(0), call.builder.as_tensor(_transposed(call, weight)))
    if isinstance(weight, fx.Node) and weight.target is torch.permute and tuple(weight.args[1]) == (1, 0):  # pyright: ignore
        (kept,) = weight.all_input_nodes
        if kept.op == "get_attr":
            return call.emit(F.linear, call.tensor(0), kept)
    return call.emit(torch.matmul, call.tensor(0), call.tensor(1))


def _transposed(call: OnnxCall, weight: StoredTensor) -> StoredTensor:
    """A matrix [inputs, outputs] as torch's linear layers hold it, and under the name that it has there."""
    rows, columns = weight.shape
    values = None if weight.values is None else weight.values.reshape(rows, columns).T.reshape(-1)
    is_named = "." in weight.name or not call.node.stack
    name = weight.name if is_named else f"{call.node.stack[-1][0]}.weight".lstrip(".")
    return StoredTensor(name, (columns, rows), weight.dtype, values)


@operation("Gemm")
def _gemm(call: OnnxCall) -> Value:
    x, bias, held = call.tensor(0), call.optional(2), call.value(1)
    if call.attribute("transA", 0):
        x = call.emit(torch.t, x)
    if call.attribute("transB", 0):
        weight = call.tensor(1)
    elif isinstance(held, StoredTensor) and len(held.shape) == 2 and _is_used_once(call, 1):
        weight = call.builder.as_tensor(_transposed(call, held))
    else:
        weight = call.emit(torch.t, call.tensor(1))
    scale, share = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    if (scale, share) == (1, 1) and (bias is None or meta(bias).dim() == 1):
        return call.emit(F.linear, x, weight, *([] if bias is None else [bias]))
    product = call.emit(operator.mul, call.emit(F.linear, x, weight), scale)
    return product if bias is None else call.emit(operator.add, product, call.emit(operator.mul, bias, share))


@operation("CumSum")
def _cumulative_sum(call: OnnxCall) -> Value:
    if call.attribute("exclusive", 0) or call.attribute("reverse", 0):
        call.refuse("sums from behind, or without the value itself, which is not known here")
    if len(axes := call.whole(1)) != 1:
        call.refuse("is over several axes, or none")
    return call.emit(torch.cumsum, call.tensor(0), axes[0])


@operation("Einsum")
def _einsum(call: OnnxCall) -> Value:
    return call.emit(torch.einsum, call.attribute("equation", ""), *(call.tensor(i) for i in range(len(call.values))))


# -- norms ------------------------------------------------------------------------------------------------------------


@operation("BatchNormalization")
def _batch_norm(call: OnnxCall) -> Value:
    if call.attribute("training_mode", 0):
        call.refuse("is one of training, with statistics of the batch")
    x, weight, bias = (call.tensor(place) for place in range(3))
    mean, variance = (call.builder.as_tensor(call.value(place), is_trained=False) for place in (3, 4))
    return call.emit(F.batch_norm, x, mean, variance, weight, bias, False, 0.1, call.attribute("epsilon", 1e-5))


@operation("InstanceNormalization")
def _instance_norm(call: OnnxCall) -> Value:
    x, weight, bias = (call.tensor(place) for place in range(3))
    return call.emit(F.instance_norm, x, weight=weight, bias=bias, eps=call.attribute("epsilon", 1e-5))


@operation("LayerNormalization")
def _layer_norm(call: OnnxCall) -> Value:
    over = call.shape(0)[call.attribute("axis", -1) :]
    return call.emit(
        F.layer_norm, call.tensor(0), over, call.tensor(1), call.optional(2), call.attribute("epsilon", 1e-5)
    )


@operation("GroupNormalization")
def _group_norm(call: OnnxCall) -> Value:
    if call.opset < 21:
        call.refuse(f"of opset {call.opset} has one scale a group, which is not known here")
    groups, eps = call.attribute("num_groups", 1), call.attribute("epsilon", 1e-5)
    return call.emit(F.group_norm, call.tensor(0), groups, call.tensor(1), call.tensor(2), eps)


@operation("LRN")
def _local_response_norm(call: OnnxCall) -> Value:
    alpha, beta, k = call.attribute("alpha", 1e-4), call.attribute("beta", 0.75), call.attribute("bias", 1.0)
    return call.emit(F.local_response_norm, call.tensor(0), call.attribute("size", 1), alpha, beta, k)


# -- reductions -------------------------------------------------------------------------------------------------------

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceMean": torch.mean, "ReduceSum": torch.sum, "ReduceMax": torch.amax, "ReduceMin": torch.amin,
    "ReduceL2": torch.linalg.vector_norm,
}  # fmt: skip


@operation(*_REDUCTIONS)
def _reduce(call: OnnxCall) -> Value:
    rank = len(call.shape(0))
    axes = call.whole(1) if call.has(1) else call.attribute("axes", [])
    if not axes and call.attribute("noop_with_empty_axes", 0):
        return call.value(0)
    dims = sorted(axis % rank for axis in axes) or list(range(rank))
    keep = bool(call.attribute("keepdims", 1))
    if call.node.op == "ReduceMean" and dims == [2, 3] and keep and rank == 4:
        return call.emit(F.adaptive_avg_pool2d, call.tensor(0), 1)
    return call.emit(_REDUCTIONS[call.node.op], call.tensor(0), dim=tuple(dims), keepdim=keep)


@operation("ArgMax")
def _argmax(call: OnnxCall) -> Value:
    return call.emit(torch.argmax, call.tensor(0), call.attribute("axis", 0), bool(call.attribute("keepdims", 1)))


@operation("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(call: OnnxCall) -> Value:
    if len(call.shape(0)) != 4:
        call.refuse("is not over the rows and columns of a map")
    function = F.adaptive_avg_pool2d if call.node.op == "GlobalAveragePool" else F.adaptive_max_pool2d
    return call.emit(function, call.tensor(0), 1)
