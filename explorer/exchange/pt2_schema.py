"""The JSON of an exported program of torch, as far as it is read; what else stands in it is passed over.

Names and numbers: https://github.com/pytorch/pytorch/blob/main/torch/_export/serde/schema.py.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from explorer.exchange.stored import LONGEST_IN_FILE, MOST_NODES

ShortName = Annotated[str, StringConstraints(max_length=LONGEST_IN_FILE)]
_MOST_DIMENSIONS = 16


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Named(_Read):
    """A tensor by its name."""

    name: ShortName


class Symbol(_Read):
    """A number: known, or by its name."""

    as_name: ShortName | None = None
    as_int: int | None = None
    as_float: float | None = None
    as_bool: bool | None = None


class OptionalTensor(_Read):
    """A tensor, or none."""

    as_tensor: Named | None = None


class DeviceName(_Read):
    """Where a tensor was."""

    type: ShortName


class Argument(_Read):
    """One of many kinds of values: the one that is given is not None. A kind that is not here is not read."""

    as_none: bool | None = None
    as_tensor: Named | None = None
    as_tensors: list[Named] | None = None
    as_optional_tensor: OptionalTensor | None = None
    as_optional_tensors: list[OptionalTensor] | None = None
    as_int: int | None = None
    as_ints: list[int] | None = None
    as_float: float | None = None
    as_floats: list[float] | None = None
    as_bool: bool | None = None
    as_bools: list[bool] | None = None
    as_string: ShortName | None = None
    as_sym_int: Symbol | None = None
    as_sym_ints: list[Symbol] | None = None
    as_sym_float: Symbol | None = None
    as_sym_bool: Symbol | None = None
    as_scalar_type: int | None = None
    as_memory_format: int | None = None
    as_layout: int | None = None
    as_device: DeviceName | None = None

    def given(self) -> tuple[str, object]:
        """(kind, value) of the one that is given; ("", None) for a kind that is not read."""
        for kind in self.model_fields_set:
            return kind, getattr(self, kind)
        return "", None


class NamedArgument(_Read):
    """An argument of an operation; kind 2: by name alone."""

    name: ShortName
    arg: Argument
    kind: int | None = None


class ExportedNode(_Read):
    """One operation. metadata: among others the modules around it."""

    target: ShortName
    inputs: list[NamedArgument]
    outputs: list[Argument]
    metadata: dict[str, str] = Field(default_factory=dict)


class Hint(_Read):
    """The value that a number had where the program was made."""

    as_int: int | None = None


class Expression(_Read):
    """A number that the program leaves open."""

    hint: Hint | None = None


class Side(_Read):
    """A number of a shape: known, or left open."""

    as_int: int | None = None
    as_expr: Expression | None = None


class TensorMeta(_Read):
    """What is known of a tensor."""

    dtype: int
    sizes: Annotated[list[Side], Field(max_length=_MOST_DIMENSIONS)]
    strides: Annotated[list[Side], Field(max_length=_MOST_DIMENSIONS)]
    storage_offset: Side = Side(as_int=0)


class Graph(_Read):
    """The operations in order, and what is known of each tensor."""

    nodes: Annotated[list[ExportedNode], Field(max_length=MOST_NODES)]
    tensor_values: dict[ShortName, TensorMeta]


class ParameterInput(_Read):
    """An input that is a parameter."""

    arg: Named
    parameter_name: ShortName


class BufferInput(_Read):
    """An input that is a buffer."""

    arg: Named
    buffer_name: ShortName


class ConstantInput(_Read):
    """An input that is a tensor which the code of the network made."""

    arg: Named
    tensor_constant_name: ShortName


class GivenInput(_Read):
    """An input that is given to the program, or an output that it gives."""

    arg: Argument


class InputSpec(_Read):
    """One input of the program: the one kind that is not None."""

    user_input: GivenInput | None = None
    parameter: ParameterInput | None = None
    buffer: BufferInput | None = None
    tensor_constant: ConstantInput | None = None


class OutputSpec(_Read):
    """One output of the program; one that is none of these is a buffer's new value, as of a count of batches."""

    user_output: GivenInput | None = None


class ProgramSignature(_Read):
    """What the inputs and outputs are."""

    input_specs: list[InputSpec]
    output_specs: list[OutputSpec]


class GraphModule(_Read):
    """The graph with its signature."""

    graph: Graph
    signature: ProgramSignature


class ExportedProgram(_Read):
    """The whole file models/NAME.json."""

    graph_module: GraphModule


class Payload(_Read):
    """Where the bytes of a tensor are."""

    path_name: ShortName
    use_pickle: bool
    tensor_meta: TensorMeta | None = None


class Payloads(_Read):
    """The whole file of the weights, or of the constants: tensors by name."""

    config: dict[ShortName, Payload]
