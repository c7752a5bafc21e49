import CRavine
import CShims

/// How much of a mini-batch gradient is noise: estimates from gradients of two batch sizes, and their
/// running means (McCandlish et al. 2018, "An empirical model of large-batch training", appendix A).
public struct NoiseScale {
  /// What one value of a running mean loses at each later one; 1: a plain mean.
  public var decay = 1.0
  public var count: UInt64 = 0
  /// The last estimates: of the squared norm of the true gradient, and of the trace of the covariance
  /// of one example's gradient. Both are without bias, and the first may be negative.
  public var signal = 0.0
  public var variance = 0.0
  /// Their running means.
  public var meanSignal = 0.0
  public var meanVariance = 0.0
  /// Running sums over (signal, variance): of weights, of their squares, and of what the values are
  /// off their means.
  public var weight = 0.0
  public var weightSquares = 0.0
  public var spread: (signal: Double, both: Double, variance: Double) = (0, 0, 0)

  public init() {}

  /// The batch size at which noise and signal are equal, as a ratio of means: a mean of ratios has a
  /// bias. NaN while the mean signal is not above 0.
  public var scale: Double { meanSignal > 0 ? meanVariance / meanSignal : .nan }

  /// The standard error of `scale`, to first order; NaN for fewer than two estimates.
  public var error: Double {
    let free = weight * weight - weightSquares
    guard count >= 2, free > 0, meanSignal > 0 else { return .nan }
    // Of variance - scale * signal, whose mean is 0; without bias, for weighted means.
    let b = scale
    let squares = max(0, spread.variance - 2 * b * spread.both + b * b * spread.signal)
    return (squares * weightSquares / (weight * free)).squareRoot() / meanSignal
  }

  /// Takes in the norms of the gradients of a small and a large batch. On failure nothing changes.
  public mutating func add(
    small: UInt64, smallNorm: Double, large: UInt64, largeNorm: Double
  ) throws(RavineError) {
    guard smallNorm >= 0, largeNorm >= 0 else {
      throw .argument("norms are \(smallNorm) and \(largeNorm), but must be 0 or more")
    }
    try add(small, smallNorm * smallNorm, large, largeNorm * largeNorm)
  }

  private mutating func add(
    _ small: UInt64, _ smallSquare: Double, _ large: UInt64, _ largeSquare: Double
  ) throws(RavineError) {
    guard small >= 1, small < large else {
      throw .argument(
        "batches of \(small) and \(large): the small one must have 1 or more examples, and the large one more than it"
      )
    }
    guard decay >= 0, decay <= 1 else {
      throw .argument("decay is \(decay); 0 to 1 is allowed, and 1 is a plain mean")
    }
    guard smallSquare.isFinite, largeSquare.isFinite else {
      throw RavineError(
        RVN_ERR_NONFINITE,
        "the squared norms are \(smallSquare) and \(largeSquare); this estimate was left out")
    }
    let b = Double(small), B = Double(large)
    take(
      (B * largeSquare - b * smallSquare) / (B - b), (smallSquare - largeSquare) / (1 / b - 1 / B))
  }

  private mutating func take(_ signal: Double, _ variance: Double) {
    (self.signal, self.variance) = (signal, variance)
    count &+= 1  // the caller's, whatever it was
    weight = decay * weight + 1
    weightSquares = decay * decay * weightSquares + 1
    let s = signal - meanSignal, v = variance - meanVariance
    meanSignal += s / weight
    meanVariance += v / weight
    let (s2, v2) = (signal - meanSignal, variance - meanVariance)
    spread.signal = decay * spread.signal + s * s2
    spread.both = decay * spread.both + s * v2
    spread.variance = decay * spread.variance + v * v2
  }

  /// Takes in gradients of `parts` batches of the same size: those are the small batches, and their
  /// mean is the gradient of the large one.
  public mutating func add(
    _ gradients: UnsafePointer<UnsafeRawPointer?>, parts: Int, tensors: Int,
    counts: UnsafePointer<Int>, type: Int32, batch: UInt64
  ) throws(RavineError) {
    guard type == RVN_F32 || type == RVN_F64 else {
      throw RavineError(
        RVN_ERR_TYPE, "dtype \(type) is not one of RVN_F32 (1), RVN_F64 (2)")
    }
    guard parts >= 2 else {
      throw .argument("parts is \(UInt(bitPattern: parts)); 2 or more batches are needed")
    }
    guard batch >= 1, batch <= 1 << 53 else {
      throw .argument("batch is \(batch), but must be the examples of a batch, 1 or more")
    }
    let (arrays, tooMany) = parts.multipliedReportingOverflow(by: tensors)
    guard tensors >= 0, !tooMany, arrays <= Int.max / 8 else {
      throw .argument("\(UInt(bitPattern: tensors)) tensors are more than memory can hold")
    }
    var small = 0.0, large = 0.0
    for t in 0..<tensors {
      guard counts[t] >= 0, counts[t] <= Int.max / 8 else {
        throw RavineError(
          RVN_ERR_SHAPE,
          "tensor \(t) has \(UInt(bitPattern: counts[t])) elements, more than memory can hold")
      }
      for i in 0..<counts[t] {
        var sum = 0.0
        for p in 0..<parts {
          guard let array = gradients[p * tensors + t] else {
            throw .argument("gradient \(t) of batch \(p) is NULL")
          }
          let g = Reals(array, wide: type == RVN_F64)[i]
          guard g.isFinite else {
            throw RavineError(
              RVN_ERR_NONFINITE,
              "gradient \(t) of batch \(p) is \(g) at index \(i); these batches were left out")
          }
          sum += g
          small += g * g
        }
        let mean = sum / Double(parts)
        large += mean * mean
      }
    }
    let (whole, overflow) = batch.multipliedReportingOverflow(by: UInt64(parts))
    guard !overflow else { throw .argument("\(parts) batches of \(batch) are too many examples") }
    try add(batch, small / Double(parts), whole, large)
  }
}
