import Kernels

/// glorot: signals and gradients keep their size, if both count the same.
struct Glorot: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "glorot",
      "variance 2 / (fan in + fan out); for tanh and sigmoid; also called Xavier",
      formula: "std = g(nonlinearity) gain sqrt(2 / (in + out)); uniform: within sqrt(3) std",
      reference: """
        Glorot & Bengio 2010; torch.nn.init.xavier_uniform_, xavier_normal_; truncated: \
        keras.initializers.GlorotNormal, jax.nn.initializers.glorot_normal
        """,
      difference: "glorot(normal) is torch's; for that of Keras and jax take glorot(truncated).",
      parameters: [.distribution(.uniform)] + Gain.parameters(0) + [Layout.parameter])
  }

  let distribution: Distribution
  let gain: Gain
  let layout: Int

  init(_ a: Arguments) throws(RavineError) {
    distribution = a.distribution(0)
    gain = try Gain(a, at: 1, for: "glorot")
    layout = a.word(4)
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    let fan = try Layout(target, layout, for: "glorot").fan(.average)
    return distribution.fill(target.random, std: gain.value / fan.squareRoot())
  }
}
