import Kernels

/// variance_scaling: the family that glorot, he and lecun belong to.
struct VarianceScaling: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "variance_scaling",
      "variance scale / fan: what glorot, he and lecun are cases of",
      formula: "std = sqrt(scale / fan); uniform: within sqrt(3) std",
      reference: "keras.initializers.VarianceScaling, jax.nn.initializers.variance_scaling",
      difference: """
        Their fan_in is in, their truncated_normal is truncated, and Keras's untruncated_normal is normal. \
        Their layout is keras; the default here is torch, as everywhere.
        """,
      parameters: [
        Parameter("scale", .number, 1, lowOpen: true, "factor of the variance"),
        .fan(.inputs), .distribution(.truncated), Layout.parameter,
      ])
  }

  let scale: Double
  let fan: Layout.Fan
  let distribution: Distribution
  let layout: Int

  init(_ a: Arguments) throws(RavineError) {
    (scale, fan, distribution, layout) = (a.number(0), a.fan(1), a.distribution(2), a.word(3))
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    let fan = try Layout(target, layout, for: "variance_scaling").fan(fan)
    return distribution.fill(target.random, std: (scale / fan).squareRoot())
  }
}
