/// The whole course of the loss in a fixed number of means. Plain memory.
struct LossHistory: BitwiseCopyable {
  static var capacity: Int { 256 }

  private let bins: UnsafeMutablePointer<Double>
  /// Steps of a bin: it doubles when all are full.
  private(set) var span = 1
  /// Full bins.
  private(set) var count = 0
  private var sum = 0.0
  private var pending = 0
  private(set) var first = Double.nan
  private(set) var last = Double.nan
  private(set) var steps: UInt64 = 0

  init(_ bins: UnsafeMutablePointer<Double>) { self.bins = bins }

  subscript(_ i: Int) -> Double { bins[i] }
  var start: UnsafePointer<Double> { UnsafePointer(bins) }

  /// A loss that is not finite does not enter.
  mutating func push(_ loss: Double) {
    guard loss.isFinite else { return }
    if steps == 0 { first = loss }
    last = loss
    steps += 1
    sum += loss / Double(span)
    pending += 1
    guard pending == span else { return }
    bins[count] = sum
    count += 1
    (sum, pending) = (0, 0)
    guard count == LossHistory.capacity else { return }
    for i in 0..<count / 2 { bins[i] = 0.5 * bins[2 * i] + 0.5 * bins[2 * i + 1] }
    count /= 2
    span *= 2
  }
}
