import Kernels

/// How far the values of a loss are off for other reasons than the parameters: rounding, the order of
/// sums over threads, dropout.
struct LossNoise {
  /// Standard deviation, in units of the loss.
  let deviation: Double
  /// The same as a share of the largest loss that was seen.
  let relative: Double
  /// Whether every loss was a 32-bit float.
  let single: Bool

  /// Differences of high order along a short line, in which a smooth function is nearly 0 and noise
  /// grows by a known factor (Moré and Wild, "Estimating computational noise", SIAM J. Sci. Comput.
  /// 33(3), 2011). The line moves at most 16 elements at once, as a check moves one, and lies beside the
  /// parameters: where one of them is at a kink, such as a bias of 0, it does not cross it.
  ///
  /// `again` is the loss of a second call at the same parameters.
  static func measure(
    _ problem: Problem, _ loss: Double, again: Double, _ random: Philox
  ) throws(RavineError) -> LossNoise {
    var values = [Double](repeating: loss, count: 9)
    for k in 0..<values.count {
      move(problem, Double(k + 1), random)
      values[k] = try problem.loss(gradient: false)
    }
    problem.restore()
    try checkMemory()
    var largest = 0.0, single = true
    for value in values where value.isFinite {
      largest = max(largest, value.magnitude)
      single = single && Double(Float(value)) == value
    }
    // A sum can be no better than its last rounding.
    let floor = largest * (single ? 0x1p-24 : 0x1p-53)
    let repeated = (again - loss).magnitude
    let deviation = max(floor, ofDifferences(values), repeated.isFinite ? repeated : 0)
    return LossNoise(
      deviation: deviation, relative: largest > 0 ? deviation / largest : 0, single: single)
  }

  /// Moves some elements by t small steps. Floats go by powers of two, so that they are where they
  /// should be; Doubles do not, so that a loss is no Float by chance.
  private static func move(_ problem: Problem, _ t: Double, _ random: Philox) {
    for k in 0..<UInt64(16) {
      var place = Int(random.below(UInt64(problem.variables), at: k)), i = 0
      while problem[i].gradient == nil || place >= problem[i].count {
        if problem[i].gradient != nil { place -= problem[i].count }
        i += 1
      }
      let part = problem[i], x = part.was[place]
      let unit = x.magnitude > 1 ? x.binade.magnitude : 1
      part.now[place] = x + t * unit * (part.now.wide ? 0x1.4cccp-20 : 0x1p-19)
    }
  }

  private static func ofDifferences(_ values: [Double]) -> Double {
    // (k!)^2 / (2k)! for k = 4, 5, 6: what noise is multiplied by in the k-th difference, inverted.
    let shrink = [1.0 / 70, 1.0 / 252, 1.0 / 924]
    var differences = values, least = Double.infinity
    for k in 1...6 {
      for i in 0..<(values.count - k) { differences[i] = differences[i + 1] - differences[i] }
      guard k >= 4 else { continue }
      var squares = 0.0
      for i in 0..<(values.count - k) { squares += differences[i] * differences[i] }
      let estimate = (shrink[k - 4] * squares / Double(values.count - k)).squareRoot()
      if estimate < least { least = estimate }
    }
    return least.isFinite ? least : 0
  }
}
