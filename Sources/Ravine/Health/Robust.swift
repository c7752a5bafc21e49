import Kernels

/// Statistics that a few wild values do not move. All sort in place, or write to the scratch they are
/// given; nothing here allocates.
enum Robust {
  /// Sorts, by insertion: arrays here have a few dozen elements, at most a few thousand.
  static func sort(_ x: UnsafeMutablePointer<Double>, _ n: Int) {
    // Shell's method with Ciura's gaps, so that thousands stay quick.
    var gap = 1
    while gap < n / 9 { gap = 3 * gap + 1 }
    while gap > 0 {
      for i in stride(from: gap, to: n, by: 1) {
        let value = x[i]
        var j = i
        while j >= gap, x[j - gap] > value {
          x[j] = x[j - gap]
          j -= gap
        }
        x[j] = value
      }
      gap /= 3
    }
  }

  /// The median; leaves x sorted. NaN of nothing.
  static func median(_ x: UnsafeMutablePointer<Double>, _ n: Int) -> Double {
    guard n > 0 else { return .nan }
    sort(x, n)
    return n % 2 == 1 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2])
  }

  /// 1.4826 times the median distance from `center`: the standard deviation, for normal numbers.
  static func deviation(_ x: UnsafeMutablePointer<Double>, _ n: Int, from center: Double) -> Double
  {
    for i in 0..<n { x[i] = (x[i] - center).magnitude }
    return 1.4826 * median(x, n)
  }

  /// The median of the slopes between all pairs of points (Theil 1950, Sen 1968). scratch has room
  /// for n (n - 1) / 2.
  static func slope(
    _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>, _ n: Int,
    _ scratch: UnsafeMutablePointer<Double>
  ) -> Double {
    var pairs = 0
    for i in 0..<n {
      for j in 0..<i where x[i] != x[j] {
        scratch[pairs] = (y[i] - y[j]) / (x[i] - x[j])
        pairs += 1
      }
    }
    return median(scratch, pairs)
  }

  /// How surely a series rises or falls, in standard deviations (Mann 1945, Kendall 1975). It sees
  /// the order of values only.
  static func trend(_ x: UnsafePointer<Double>, _ n: Int) -> Double {
    guard n > 2 else { return 0 }
    var sum = 0.0
    for i in 0..<n {
      for j in 0..<i {
        if x[i] > x[j] { sum += 1 } else if x[i] < x[j] { sum -= 1 }
      }
    }
    let m = Double(n)
    return sum / (m * (m - 1) * (2 * m + 5) / 18).squareRoot()
  }
}

/// The last numbers of a series, in memory of its owner.
struct Window: BitwiseCopyable {
  let base: UnsafeMutablePointer<Double>
  let capacity: Int
  private(set) var count = 0
  private var next = 0

  init(_ base: UnsafeMutablePointer<Double>, _ capacity: Int) {
    self.base = base
    self.capacity = capacity
  }

  /// A number that is not finite does not enter.
  mutating func push(_ x: Double) {
    guard x.isFinite else { return }
    base[next] = x
    next = (next + 1) % capacity
    count = min(count + 1, capacity)
  }

  /// The newest; NaN where there is none.
  var last: Double { count > 0 ? base[(next + capacity - 1) % capacity] : .nan }

  /// The last `n` numbers, oldest first, into `out`; gives how many there were.
  func copy(last n: Int = .max, to out: UnsafeMutablePointer<Double>) -> Int {
    let n = min(n, count)
    for i in 0..<n { out[i] = base[(next - n + i + 2 * capacity) % capacity] }
    return n
  }

  func median(last n: Int = .max, _ scratch: UnsafeMutablePointer<Double>) -> Double {
    Robust.median(scratch, copy(last: n, to: scratch))
  }

  func mean(last n: Int = .max, _ scratch: UnsafeMutablePointer<Double>) -> Double {
    let n = copy(last: n, to: scratch)
    var sum = 0.0
    for i in 0..<n { sum += scratch[i] }
    return n > 0 ? sum / Double(n) : .nan
  }
}
