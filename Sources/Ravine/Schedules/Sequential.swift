import Kernels

/// sequence: schedules one after the other.
struct Sequential: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "sequence", "schedules one after the other, each from its own beginning",
      formula: "s[i](t - at[i - 1]), where i is the number of at <= t",
      reference: "optax.join_schedules; torch.optim.lr_scheduler.SequentialLR",
      difference: "Same as both: the next schedule holds from its boundary on, and begins there.",
      example: "sequence((linear(0.1, 1, steps=30), 1, cosine(1, steps=40)), at=(30, 60))",
      parameters: [
        .schedules("the schedules, in order"),
        Parameter(
          "at", .list, nil, share: "total", "the steps at which the second and later ones begin"),
      ])
  }

  let parts: [Curve]
  let at: [Double]

  init(_ a: Arguments) throws(RavineError) {
    (parts, at) = (a.curves(0), a.numbers(1))
    if parts.count != at.count + 1 {
      throw .recipe(
        "sequence: \(parts.count) schedules need \(parts.count - 1) boundaries, but at has \(at.count)"
      )
    }
    try checkOrder(at, of: "sequence")
  }

  func value(at t: Double) throws(RavineError) -> Double {
    var i = 0
    while i < at.count, at[i] <= t { i += 1 }
    return try parts[i](i == 0 ? t : t - at[i - 1])
  }
}
