import Kernels

/// exponential: multiplied by a factor each step, smoothly.
struct Exponential: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "exponential", "multiplied by factor over each `every` steps, smoothly",
      formula: "value factor^(t / every)",
      reference: "torch.optim.lr_scheduler.ExponentialLR; optax.exponential_decay",
      difference: """
        Same as both; every is optax's transition_steps, its staircase is step, its end_value clamp, \
        its transition_begin shift.
        """,
      example: "exponential(1, factor=0.95)",
      parameters: [
        .value, Parameter("factor", .number, nil, lowOpen: true, "what `every` steps multiply by"),
        Parameter("every", .number, 1, lowOpen: true, "steps over which factor acts"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double {
    abs(4 * a.number(2) / Math.log(a.number(1)))
  }

  let start, factor, every: Double

  init(_ a: Arguments) throws(RavineError) {
    (start, factor, every) = (a.number(0), a.number(1), a.number(2))
  }

  func value(at t: Double) -> Double { start * Math.pow(factor, t / every) }
}
