"""Networks as files: modules go out as Python, ONNX, .pt2 and safetensors, and .onnx and .pt2 come in, unexecuted."""
