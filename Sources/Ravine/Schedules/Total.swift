import Kernels

/// total: schedules added.
struct Total: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "total", "schedules added", formula: "s[0](t) + s[1](t) + ...",
      reference: "the sum of functions", difference: "None; optax adds callables in Python.",
      example: "total((cosine(1, steps=100), cyclic(0, 0.2, up=5)))",
      parameters: [.schedules("the terms")])
  }

  let parts: [Curve]
  init(_ a: Arguments) throws(RavineError) { parts = a.curves(0) }

  func value(at t: Double) throws(RavineError) -> Double {
    var total = 0.0
    for part in parts { total += try part(t) }
    return total
  }
}
