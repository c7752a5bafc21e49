import Kernels

/// linear: a straight line from one value to another.
struct Linear: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "linear", "a straight line from value to end, then end",
      formula: "value + (end - value) min(t, steps) / steps",
      reference: "optax.linear_schedule; torch.optim.lr_scheduler.LinearLR",
      difference: "Same as optax. torch gives factors of the rate in place of values.",
      example: "linear(1, 0.1, steps=80)",
      parameters: [
        .value, Parameter("end", .number, nil, from: -.infinity, "the value that it ends at"),
        .steps("steps from value to end"),
      ])
  }

  let start, end, steps: Double

  init(_ a: Arguments) throws(RavineError) {
    (start, end, steps) = (a.number(0), a.number(1), a.number(2))
  }

  func value(at t: Double) -> Double {
    t >= steps ? end : start + (end - start) * (t / steps)
  }
}
