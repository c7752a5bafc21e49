import Kernels

/// A learning rate, and an interval around it that does nearly as well. NaN where there is none.
public struct Suggestion {
  public var rate = Double.nan
  public var low = Double.nan
  public var high = Double.nan
}

/// Losses over rising rates, and what three methods make of them.
public struct LossCurve {
  private let rates, losses: UnsafePointer<Double>
  private let count: Int

  public init(_ rates: UnsafePointer<Double>, _ losses: UnsafePointer<Double>, _ count: Int) {
    self.rates = rates
    self.losses = losses
    self.count = count
  }

  private func slope(_ i: Int) -> Double {
    (losses[i + 1] - losses[i]) / (Math.log(rates[i + 1]) - Math.log(rates[i]))
  }

  /// Where the loss falls fastest over the logarithm of the rate; around it, where it falls at least
  /// half as fast. fastai's `steep`.
  public var steepest: Suggestion {
    var at = 0, least = 0.0
    for i in 0..<max(0, count - 1) where slope(i) < least { (at, least) = (i, slope(i)) }
    if least == 0 { return Suggestion() }
    var low = at, high = at + 1
    while low > 0, slope(low - 1) <= least / 2 { low -= 1 }
    while high < count - 1, slope(high) <= least / 2 { high += 1 }
    return Suggestion(rate: rates[at], low: rates[low], high: rates[high])
  }

  /// The middle of the longest valley, which is the longest falling subsequence of losses; the
  /// interval is the valley. fastai's `valley`, which takes the length of the subsequence for that of
  /// the valley.
  public func valley(_ lengths: UnsafeMutablePointer<Int>) -> Suggestion {
    if count == 0 { return Suggestion() }
    var end = 0
    for i in 0..<count {
      lengths[i] = 1
      for j in 0..<i where losses[i] < losses[j] && lengths[i] <= lengths[j] {
        lengths[i] = lengths[j] + 1
      }
      if lengths[i] > lengths[end] { end = i }
    }
    let length = lengths[end]
    if length < 3 { return Suggestion() }
    // The start is -1 where all of the curve falls.
    let start = end - length, middle = max(0, start + length / 3 + length / 6)
    return Suggestion(rate: rates[middle], low: rates[max(0, start)], high: rates[end])
  }

  /// A tenth of the rate with the least loss; the interval is from where a tenth of the fall was made
  /// to that rate. fastai's `minimum`.
  public var minimum: Suggestion {
    var at = 0
    for i in 0..<count where losses[i] < losses[at] { at = i }
    if at == 0 { return Suggestion() }
    var start = 0
    while losses[start] > losses[0] - (losses[0] - losses[at]) / 10 { start += 1 }
    let rate = rates[at] / 10
    return Suggestion(rate: rate, low: min(rate, rates[start]), high: rates[at])
  }
}
