"""What the compiler has to know of ONNX's operators besides their names."""

from __future__ import annotations


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


#: Each number of the output depends on the numbers at the same place of the inputs alone.
ELEMENTWISE = _named(
    "Abs Add And Cast Ceil Clip Cos Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish "
    "LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign "
    "Sin Softplus Softsign Sqrt Sub Sum Tanh ThresholdedRelu Where Xor"
)
#: Elementwise operators of any number of tensors; of a single one they are that one.
VARIADIC = _named("Max Mean Min Sum")
#: Sums of products; elementwise operators that follow may join them in one kernel.
CONTRACTIONS = _named("Conv Gemm MatMul")
#: They only give memory another shape.
RESHAPES = _named("Reshape Flatten Squeeze Unsqueeze")
#: They work on images ``[n, c, h, w]``.
SPATIAL = _named(
    "Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool Resize DepthToSpace SpaceToDepth "
    "InstanceNormalization LRN"
)
#: Their outputs are best stored as the first image that they read is.
KEEPING = _named("Concat Pad Slice Split ReduceMean ReduceMax ReduceSum Tile")
#: Their constants beyond the first input say what to do rather than what to compute with.
CONFIGURED = _named(
    "Clip CumSum Expand OneHot Pad ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
    "ReduceProd ReduceSum ReduceSumSquare Reshape Resize Slice Split Squeeze Tile TopK Trilu Unsqueeze Upsample"
)
#: They take a number alone as an immediate.
IMMEDIATE = _named("Add Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mul Pow Sub Sum")
#: Their outputs differ from run to run.
RANDOM = _named("RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli Multinomial")
