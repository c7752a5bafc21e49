#if BASELINE
/// What a rule makes of the estimates of the Hessian's diagonal that the caller gives: a mean of them, in
/// a slot of its own. The engine does it, so that a rule only reads the mean.
public struct Curvature: BitwiseCopyable, Sendable {
  /// An exact slot, and the parameter that says which share of the mean stays at each estimate.
  public let slot, decay: StaticText
  /// Whether the estimates are squared.
  public let squared: Bool
  /// Whether the bias of the start is taken out of the mean: the n-th estimate then counts
  /// (1 - decay) / (1 - decay^n).
  public let corrected: Bool

  public init(
    slot: StaticText, decay: StaticText, squared: Bool = false, corrected: Bool = false
  ) {
    self.slot = slot
    self.decay = decay
    self.squared = squared
    self.corrected = corrected
  }

  /// How much of the mean stays, and how much of estimate n, from 1, comes to it.
  public func shares(_ beta: Double, _ n: Double) -> (kept: Double, fresh: Double) {
    guard corrected else { return (beta, 1 - beta) }
    let fresh = (1 - beta) / biasCorrection(beta, n)
    return (1 - fresh, fresh)
  }
}

extension Curvature {
  /// mean <- kept mean + fresh x, where x is d or its square; with `signs` they multiply d.
  ///
  /// Compiled once, not for each instruction set: reading the memory takes longer.
  public func take(
    wide: Int, _ d: UnsafeRawPointer, signs: UnsafeRawPointer?, kept: Double, fresh: Double,
    _ mean: UnsafeMutableRawPointer, _ count: Int
  ) {
    if wide == 1 {
      takeMean(Double.self, d, signs, squared, kept, fresh, mean, count)
    } else {
      takeMean(Float.self, d, signs, squared, kept, fresh, mean, count)
    }
  }
}

@inline(never)
private func takeMean<T: Scalar>(
  _: T.Type, _ d: UnsafeRawPointer, _ signs: UnsafeRawPointer?, _ squared: Bool, _ kept: Double,
  _ fresh: Double, _ mean: UnsafeMutableRawPointer, _ count: Int
) {
  let d = d.assumingMemoryBound(to: T.self)
  let signs = signs.map { $0.assumingMemoryBound(to: T.self) }
  let mean = mean.assumingMemoryBound(to: T.self)
  let kept = T(kept), fresh = T(fresh)
  var i = 0
  while i < count {
    var x: T.Lanes = loadLanes(d + i)
    if let signs { x = x * loadLanes(signs + i) }
    if squared { x = x * x }
    storeLanes(kept * loadLanes(UnsafePointer(mean + i)) + fresh * x, mean + i)
    i &+= T.Lanes.scalarCount
  }
}
#endif
