import Kernels

/// lecun: signals keep their size through linear layers.
struct LeCun: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "lecun", "variance 1 / fan in; for SELU and linear layers",
      formula: "std = g(nonlinearity) gain / sqrt(in); uniform: within sqrt(3) std",
      reference: """
        LeCun et al. 1998, Efficient BackProp; Klambauer et al. 2017, arXiv:1706.02515; truncated: \
        keras.initializers.LecunNormal, jax.nn.initializers.lecun_normal; uniform: LecunUniform
        """,
      difference:
        "lecun(normal) is not truncated; for that of Keras and jax take lecun(truncated).",
      parameters: [.distribution(.normal)] + Gain.parameters(0) + [Layout.parameter])
  }

  let distribution: Distribution
  let gain: Gain
  let layout: Int

  init(_ a: Arguments) throws(RavineError) {
    distribution = a.distribution(0)
    gain = try Gain(a, at: 1, for: "lecun")
    layout = a.word(4)
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    let fan = try Layout(target, layout, for: "lecun").fan(.inputs)
    return distribution.fill(target.random, std: gain.value / fan.squareRoot())
  }
}
