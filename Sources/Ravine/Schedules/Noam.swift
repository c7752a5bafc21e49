import Kernels

/// noam: the rate of the Transformer paper.
struct Noam: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "noam", "rises in a line, then falls as one over the square root of the step",
      formula: "value dim^-0.5 min(s^-0.5, s warmup^-1.5), s = t + 1",
      reference: "Vaswani et al. 2017, arXiv:1706.03762, equation 3",
      difference: "None; value is a factor, 1 in the paper.",
      example: "noam(1, dim=512, warmup=20)",
      parameters: [
        Parameter("value", .number, nil, from: -.infinity, "factor of the whole, 1 in the paper"),
        Parameter("dim", .count, nil, from: 1, to: 1e15, "width of the model"),
        Parameter(
          "warmup", .count, 4000, from: 1, to: 1e15, share: "total", fits: true,
          "steps that it rises for"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double { 5 * a.number(2) }

  let peak, warmup: Double

  init(_ a: Arguments) throws(RavineError) {
    warmup = a.number(2)
    peak = a.number(0) / (a.number(1) * warmup).squareRoot()
  }

  func value(at t: Double) -> Double {
    let p = (t + 1) / warmup
    return peak * min(p, 1 / p.squareRoot())
  }
}
