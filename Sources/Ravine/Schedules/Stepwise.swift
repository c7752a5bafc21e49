import Kernels

/// step: multiplied by a factor at regular intervals.
struct Stepwise: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "step", "multiplied by factor every so many steps",
      formula: "value factor^floor(t / every)",
      reference: "torch.optim.lr_scheduler.StepLR", difference: "None.",
      example: "step(1, every=25, factor=0.5)",
      parameters: [
        .value, Parameter("every", .count, nil, from: 1, to: 1e15, "steps between drops"),
        Parameter("factor", .number, 0.1, "what each drop multiplies by"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double { 4 * a.number(1) }

  let start, every, factor: Double

  init(_ a: Arguments) throws(RavineError) {
    (start, every, factor) = (a.number(0), a.number(1), a.number(2))
  }

  func value(at t: Double) -> Double { start * Math.pow(factor, (t / every).rounded(.down)) }
}
