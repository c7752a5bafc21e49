import Kernels

/// chebyshev: the best fixed set of rates for a quadratic, in an order that stays stable.
struct Chebyshev: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "chebyshev", "reciprocal Chebyshev nodes in fractal order, again and again",
      formula: """
        value / ((1 + low) / 2 - (1 - low) / 2 cos(pi (i + 1/2) / n)), n = 2^order
        i is t mod n in the order 0 of one node, (0, 1) of two, (0, 3, 1, 2) of four: behind each of \
        the order before comes its mirror image
        """,
      reference:
        "Agarwal, Goel & Zhang 2021, arXiv:2103.01338; pytorch_optimizer get_chebyshev_schedule",
      difference: """
        Same as the paper, where value is 1 / M and low is m / M. pytorch_optimizer takes the first \
        node three times, and holds the last: it is shift(chebyshev(value, order), steps=2) up to \
        its end.
        """,
      example: "chebyshev(1, order=5)",
      parameters: [
        .value, Parameter("order", .count, nil, to: 30, "2^order nodes, one for each step"),
        Parameter(
          "low", .number, 0.05, to: 1, lowOpen: true,
          "the least curvature as a share of the greatest; the peak is below value / low"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double { 2 * Math.pow(2, a.number(1)) }

  let value, low: Double
  let count: UInt64

  init(_ a: Arguments) throws(RavineError) {
    (value, count, low) = (a.number(0), 1 << UInt64(a.number(1)), a.number(2))
  }

  func value(at t: Double) -> Double {
    let n = Double(count)
    let i = Double(node(UInt64(place(of: t.rounded(.down), inCyclesOf: n)) & (count - 1)))
    return value / ((1 + low) / 2 - (1 - low) / 2 * Math.cos(.pi * ((i + 0.5) / n)))
  }

  /// The node at a place: the order of 2 n nodes is that of n with the mirror image behind each.
  private func node(_ place: UInt64) -> UInt64 {
    var i: UInt64 = 0, n: UInt64 = 1
    while n < count {
      n *= 2
      if place / (count / n) & 1 == 1 { i = n - 1 - i }
    }
    return i
  }
}
