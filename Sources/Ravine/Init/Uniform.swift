import Kernels

/// uniform: between two numbers.
struct Uniform: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "uniform", "uniform between two numbers", formula: "p ~ U(low, high)",
      reference: "torch.nn.init.uniform_, keras.initializers.RandomUniform",
      difference: """
        Neither end is drawn, but rounding to the element type may give one. The defaults are torch's; \
        Keras has -0.05 and 0.05.
        """,
      parameters: [
        Parameter("low", .number, 0, from: -.infinity, "the lower end"),
        Parameter("high", .number, 1, from: -.infinity, "the upper end"),
      ])
  }

  let low, high: Double

  init(_ a: Arguments) throws(RavineError) {
    (low, high) = (a.number(0), a.number(1))
    if low > high { throw .recipe("uniform: low is \(low), above high, which is \(high)") }
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    let random = target.random, middle = 0.5 * low + 0.5 * high
    let half = 0.5 * high - 0.5 * low
    return { first, count, out in
      random.uniforms(first, count, out)
      for i in 0..<count { out[i] = middle + half * (2 * out[i]) }
    }
  }
}
