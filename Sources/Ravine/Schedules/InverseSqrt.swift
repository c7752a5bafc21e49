import Kernels

/// inverse_sqrt: falls as one over the square root of the step.
struct InverseSqrt: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "inverse_sqrt", "falls as one over the square root of the step",
      formula: "value / sqrt(1 + t / steps)",
      reference: "Raffel et al. 2020, arXiv:1910.10683; transformers get_inverse_sqrt_schedule",
      difference: """
        transformers' is warmup(inverse_sqrt(value, steps=timescale), steps=W, compat=optax). This \
        alone begins at value, without a warm-up.
        """,
      example: "inverse_sqrt(1, steps=20)",
      parameters: [.value, .steps("after so many steps it is 1 / sqrt(2) of value")])
  }

  static func span(_ a: Arguments, inner: Double) -> Double { 5 * a.number(1) }

  let start, steps: Double
  init(_ a: Arguments) throws(RavineError) { (start, steps) = (a.number(0), a.number(1)) }
  func value(at t: Double) -> Double { start / (1 + t / steps).squareRoot() }
}
