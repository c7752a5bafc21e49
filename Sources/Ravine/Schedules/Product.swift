import Kernels

/// product: schedules multiplied.
struct Product: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "product", "schedules multiplied", formula: "s[0](t) s[1](t) ...",
      reference: "torch.optim.lr_scheduler.ChainedScheduler",
      difference: """
        The factors are functions of the step; torch chains recursive updates, which for schedules \
        with a floor is something else.
        """,
      example: "product((exponential(1, factor=0.98), cosine_restarts(1, steps=25)))",
      parameters: [.schedules("the factors")])
  }

  let parts: [Curve]
  init(_ a: Arguments) throws(RavineError) { parts = a.curves(0) }

  func value(at t: Double) throws(RavineError) -> Double {
    var product = 1.0
    for part in parts { product *= try part(t) }
    return product
  }
}
