import CShims
import Kernels

/// A gradient through the steps of a sequence: one record for each time. Plain memory.
struct Sequence: BitwiseCopyable {
  /// Root mean squares by time in the step in progress; -1: not recorded.
  private(set) var levels: UnsafeMutablePointer<Double>?
  private var capacity = 0
  /// The last time that was recorded in it, and one.
  private(set) var length = 0
  /// The same of the last step that ended.
  private(set) var lastLength = 0
  /// Logarithms of the gain of one step back in time.
  var gains: Window
  /// Shares of the last tenth of the times in the sum of the norms.
  var shares: Window
  /// Steps in which more than half of the times had a gradient of 0, from the end.
  var emptySteps: UInt64 = 0
  var steps: UInt64 = 0

  static var windowCount: Int { 32 }
  static var longest: Int64 { 1 << 20 }
  /// Points that a slope is fitted to.
  static var points: Int { 64 }

  init(gains: Window, shares: Window) {
    self.gains = gains
    self.shares = shares
  }

  func has(_ time: Int) -> Bool { time < length && levels.unsafelyUnwrapped[time] >= 0 }

  mutating func reserve(_ time: Int, _ heap: Heap) throws(RavineError) {
    guard time >= capacity else { return }
    let size = max(64, 2 * capacity, time + 1)
    let memory = try heap.allocate(Double.self, size)
    for i in 0..<length { memory[i] = levels.unsafelyUnwrapped[i] }
    heap.free(levels)
    levels = memory
    capacity = size
  }

  /// Room was reserved.
  mutating func put(_ time: Int, _ level: Double) {
    guard let levels else { return }
    while length <= time {
      levels[length] = -1
      length += 1
    }
    levels[time] = level
  }

  /// What the times of this step say together.
  mutating func endStep(_ scratch: UnsafeMutablePointer<Double>) {
    guard length > 0, let levels else { return }
    lastLength = length
    steps += 1
    var total = 0.0, last = 0.0, present = 0, zeros = 0
    let tenth = length - max(1, length / 10)
    for t in 0..<length where levels[t] >= 0 {
      total += levels[t]
      present += 1
      if t >= tenth { last += levels[t] }
      if levels[t] == 0 { zeros += 1 }
    }
    if total > 0, present >= 10 { shares.push(last / total) }
    if 2 * zeros > present, total > 0 { emptySteps += 1 }
    // Even distances, so that a long sequence costs what a short one does.
    let x = scratch, y = scratch + Sequence.points
    var n = 0
    for i in 0..<min(length, Sequence.points) {
      let t = length <= Sequence.points ? i : i * (length - 1) / (Sequence.points - 1)
      guard levels[t] > 0, levels[t] < .infinity else { continue }
      x[n] = Double(length - 1 - t)
      y[n] = Math.log(levels[t])
      n += 1
    }
    if n >= 4 { gains.push(Robust.slope(x, y, n, scratch + 2 * Sequence.points)) }
    length = 0
  }
}
