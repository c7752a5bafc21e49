import CShims
import Kernels

/// Metrics averaged: what a reactive schedule looks at in place of each alone.
struct Average {
  enum Kind: Int { case moving, block, exponential }

  let kind: Kind
  let window: Int

  init(_ kind: Int, window: Double) {
    self.kind = Kind(rawValue: kind) ?? .moving
    self.window = Int(window)
  }

  /// A count, an accumulated mean, and the metrics of a moving window, oldest first.
  var size: Int { 2 + (kind == .moving ? window : 0) }

  /// The average once x was added to the memory; NaN where it is not finite, nil where a block is
  /// not full. A metric that is not finite spoils its block, and is left out of the other kinds.
  func add(_ x: Double, to memory: UnsafeMutablePointer<Double>) -> Double? {
    guard x.isFinite || kind == .block else { return .nan }
    let mean =
      switch kind {
      case .moving: move(x, memory)
      case .block: fill(x.isFinite ? x : .infinity, memory)
      case .exponential: decay(x, memory)
      }
    return mean.map { $0.isFinite ? $0 : .nan }
  }

  private func move(_ x: Double, _ memory: UnsafeMutablePointer<Double>) -> Double? {
    let values = memory + 2
    var count = Int(memory[0])
    if count == window {
      memmove(values, values + 1, 8 * (window - 1))
      count -= 1
    }
    values[count] = x
    memory[0] = Double(count + 1)
    // Added up anew each time: a running sum would keep what a spike rounded away.
    var sum = 0.0
    for i in 0...count { sum += values[i] }
    return sum / Double(count + 1)
  }

  private func fill(_ x: Double, _ memory: UnsafeMutablePointer<Double>) -> Double? {
    let count = memory[0] + 1
    let mean = (memory[0] * memory[1] + x) / count
    let full = count >= Double(window)
    (memory[0], memory[1]) = full ? (0, 0) : (count, mean)
    return full ? mean : nil
  }

  private func decay(_ x: Double, _ memory: UnsafeMutablePointer<Double>) -> Double? {
    let weight = 1 / Double(window)
    memory[0] += 1
    memory[1] += weight * (x - memory[1])
    return memory[1] / (1 - Math.pow(1 - weight, memory[0]))
  }
}
