import CRavine

/// Steps that a question is about.
public struct StepRange {
  public let first, count: UInt64

  /// Every step is looked at, so there is a limit on how many.
  public init(_ first: UInt64, _ count: UInt64) throws(RavineError) {
    guard count >= 1, count <= 1 << 32 else {
      throw .argument("count is \(count), but must be 1 to 4294967296 steps")
    }
    guard first <= UInt64.max - count else {
      throw .argument("first is \(first) and count \(count): steps end at \(UInt64.max - 1)")
    }
    (self.first, self.count) = (first, count)
  }

  /// The step behind the last.
  public var end: UInt64 { first + count }
}

extension StandaloneSchedule {
  /// The values over a range, added.
  public func sum(_ range: StepRange) throws(RavineError) -> Double {
    var sum = 0.0, lost = 0.0  // Neumaier: what rounding took away is added in the end
    for step in range.first..<range.end {
      let x = try known(at: step)
      let next = sum + x
      lost += abs(sum) >= abs(x) ? (sum - next) + x : (x - next) + sum
      sum = next
    }
    return sum.isFinite ? sum + lost : sum
  }

  /// The first step with a value below a limit, or nil.
  public func firstBelow(_ limit: Double, _ range: StepRange) throws(RavineError) -> UInt64? {
    if limit.isNaN { throw .argument("limit is nan") }
    for step in range.first..<range.end where try known(at: step) < limit { return step }
    return nil
  }

  /// The greatest value, and the first step that has it.
  public func peak(_ range: StepRange) throws(RavineError) -> (step: UInt64, value: Double) {
    var best = (step: range.first, value: try known(at: range.first))
    for step in range.first..<range.end {
      let x = try known(at: step)
      if x > best.value { best = (step, x) }
    }
    return best
  }

  private func known(at step: UInt64) throws(RavineError) -> Double {
    let x = try value(at: step)
    if x.isNaN { throw .argument("the schedule has no value at step \(step)") }
    return x
  }
}
