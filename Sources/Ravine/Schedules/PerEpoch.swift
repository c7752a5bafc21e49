import Kernels

/// per_epoch: a schedule whose steps are epochs.
struct PerEpoch: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "per_epoch", "a schedule whose steps are epochs",
      formula: "s(floor(t / steps_per_epoch)); smooth: s(t / steps_per_epoch)",
      reference: "torch.optim.lr_scheduler, stepped once in an epoch",
      difference: """
        smooth is torch's scheduler.step(epoch + i / n). Inside an over, shares are of its epochs.
        """,
      example: "per_epoch(10, exponential(1, factor=0.7))",
      parameters: [
        Parameter(
          "steps_per_epoch", .count, nil, from: 1, to: 1e15, "how many updates an epoch has"),
        .schedule("a schedule in epochs"),
        Parameter("smooth", .flag, 0, to: 1, "move within an epoch too"),
      ])
  }

  static func total(_ values: [Value], _ outer: Double?) -> Double? {
    guard let outer, let length = values[0].constant else { return nil }
    return outer / length
  }

  static func span(_ a: Arguments, inner: Double) -> Double { a.number(0) * max(4, inner) }

  let inner: Curve
  let length: Double
  let smooth: Bool

  init(_ a: Arguments) throws(RavineError) {
    (length, inner, smooth) = (a.number(0), a.curve(1), a.flag(2))
  }

  func value(at t: Double) throws(RavineError) -> Double {
    try inner(smooth ? t / length : (t / length).rounded(.down))
  }
}
