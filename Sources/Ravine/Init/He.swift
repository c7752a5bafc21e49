import Kernels

/// he: signals keep their size through rectified layers.
struct He: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "he", "variance 2 / fan in; for ReLU and its kin; also called Kaiming",
      formula:
        "std = g(nonlinearity) gain / sqrt(fan), where g = sqrt(2) for relu; uniform: within sqrt(3) std",
      reference: """
        He et al. 2015, arXiv:1502.01852; torch.nn.init.kaiming_normal_, kaiming_uniform_; truncated: \
        keras.initializers.HeNormal, jax.nn.initializers.he_normal
        """,
      difference: """
        he(normal) is torch's; for that of Keras and jax take he(truncated). torch's own layers begin \
        with kaiming_uniform_(a=sqrt(5)), which is he(uniform, leaky_relu, slope=2.23606797749979).
        """,
      parameters: [.distribution(.normal)] + Gain.parameters(3) + [.fan(.inputs), Layout.parameter])
  }

  let distribution: Distribution
  let gain: Gain
  let fan: Layout.Fan
  let layout: Int

  init(_ a: Arguments) throws(RavineError) {
    distribution = a.distribution(0)
    gain = try Gain(a, at: 1, for: "he")
    fan = a.fan(4)
    layout = a.word(5)
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    let fan = try Layout(target, layout, for: "he").fan(fan)
    return distribution.fill(target.random, std: gain.value / fan.squareRoot())
  }
}
