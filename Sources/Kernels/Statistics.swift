#if BASELINE
/// What is known of the elements of an array. The statistics of parts merge into those of the whole.
///
/// Values that are not finite are counted, and enter nothing else.
public struct Statistics: BitwiseCopyable, Sendable {
  public var count = 0
  public var nonfinite = 0
  public var nans = 0
  public var zeros = 0
  /// Elements below the smallest normal number of the type that they are stored in.
  public var subnormals = 0
  public var negatives = 0
  /// Index of the first element that is not finite; -1: there is none.
  public var firstNonfinite = -1
  public var sum = 0.0
  public var absolutes = 0.0
  // Sums of squares of what is large, usual and small, the first and the last scaled by 2^-600 and
  // 2^600 before squaring (Blue 1978, ACM TOMS 4, 15-23): no square overflows or is lost.
  private var large = 0.0
  private var usual = 0.0
  private var small = 0.0
  /// The largest magnitude, and the first index that has it; -1: nothing is finite.
  public var largest = 0.0
  public var largestIndex = -1
  /// The smallest magnitude that is not 0.
  public var smallest = Double.infinity
  public var low = Double.infinity
  public var high = -Double.infinity

  public init() {}

  /// From sums over finite elements. Of zeros it knows whether all are; what else sums do not tell is
  /// NaN.
  public init(count: Int, squares: Double, absolutes: Double, largest: Double) {
    self.count = count
    self.absolutes = absolutes
    self.largest = largest
    usual = squares
    zeros = largest == 0 ? count : 0
    (sum, smallest, low, high) = (.nan, .nan, .nan, .nan)
  }

  /// Bins of a histogram of magnitudes: bin i holds 4^(i-32) <= |x| < 4^(i-31), the first and the
  /// last also what is beyond. Zeros and what is not finite are in none.
  public static var binCount: Int { 64 }

  public var finite: Int { count - nonfinite }

  public var norm2: Double {
    if large > 0 { return (large + usual * 0x1p-600 * 0x1p-600).squareRoot() * 0x1p600 }
    if usual > 0 { return (usual + small * 0x1p-600 * 0x1p-600).squareRoot() }
    return small.squareRoot() * 0x1p-600
  }

  /// Root of the mean square of the finite elements; 0 where there are none.
  public var rms: Double { finite > 0 ? norm2 / Double(finite).squareRoot() : 0 }

  /// Adds `count` elements, which stand at `index` of the array.
  @inline(never)
  public mutating func add(
    _ x: UnsafePointer<Double>, _ count: Int, at index: Int, smallestNormal: Double,
    _ bins: UnsafeMutablePointer<UInt64>?
  ) {
    self.count += count
    for i in 0..<count {
      let value = x[i], magnitude = value.magnitude
      if !(magnitude < .infinity) {
        if firstNonfinite < 0 { firstNonfinite = index + i }
        nonfinite += 1
        if value != value { nans += 1 }
        continue
      }
      sum += value
      absolutes += magnitude
      if value < low { low = value }
      if value > high { high = value }
      if value < 0 { negatives += 1 }
      if magnitude > largest || largestIndex < 0 {
        largest = magnitude
        largestIndex = index + i
      }
      if magnitude == 0 {
        zeros += 1
        continue
      }
      if magnitude < smallest { smallest = magnitude }
      if magnitude < smallestNormal { subnormals += 1 }
      addSquare(magnitude)
      if let bins { bins[Statistics.bin(magnitude)] += 1 }
    }
  }

  @inline(__always)
  private mutating func addSquare(_ x: Double) {
    if x > 0x1p480 {
      large += (x * 0x1p-600) * (x * 0x1p-600)
    } else if x < 0x1p-480 {
      small += (x * 0x1p600) * (x * 0x1p600)
    } else {
      usual += x * x
    }
  }

  @inline(__always)
  private static func bin(_ magnitude: Double) -> Int {
    let exponent = Int(magnitude.bitPattern >> 52) - 1023  // -1023 for what is subnormal in Double
    return min(binCount - 1, max(0, (exponent + 64) >> 1))
  }

  /// Adds the statistics of elements that stand behind these.
  public mutating func merge(_ other: Statistics) {
    if firstNonfinite < 0, other.firstNonfinite >= 0 {
      firstNonfinite = count + other.firstNonfinite
    }
    if other.largest > largest || (largestIndex < 0 && other.largestIndex >= 0) {
      largest = other.largest
      largestIndex = count + other.largestIndex
    }
    count += other.count
    nonfinite += other.nonfinite
    nans += other.nans
    zeros += other.zeros
    subnormals += other.subnormals
    negatives += other.negatives
    sum += other.sum
    absolutes += other.absolutes
    large += other.large
    usual += other.usual
    small += other.small
    smallest = min(smallest, other.smallest)
    low = min(low, other.low)
    high = max(high, other.high)
  }
}

/// What is known of the units of a layer beside their statistics. A unit is a place on the last axis.
public struct UnitStatistics: BitwiseCopyable, Sendable {
  /// Elements beyond 0.97 of a tanh, and of a sigmoid brought to the same scale.
  public var beyondTanh = 0
  public var beyondSigmoid = 0
  /// Rows whose sum is 1, as those of a softmax are.
  public var unitRows = 0
  public var rows = 0
  private var rowSum = 0.0
  private var unit = 0

  public init() {}

  /// Adds elements that stand behind those before; marks in `fired` the units that are not 0.
  @inline(never)
  public mutating func add(
    _ x: UnsafePointer<Double>, _ count: Int, units: Int, fired: UnsafeMutablePointer<UInt8>
  ) {
    for i in 0..<count {
      let value = x[i]
      if value != 0 { fired[unit] = 1 }
      if value.magnitude > 0.97 { beyondTanh += 1 }
      if value < 0.015 || value > 0.985 { beyondSigmoid += 1 }
      rowSum += value
      unit += 1
      if unit == units {
        rows += 1
        if (rowSum - 1).magnitude < 0.01 { unitRows += 1 }
        rowSum = 0
        unit = 0
      }
    }
  }

  /// Adds those of another array with the same units.
  public mutating func merge(_ other: UnitStatistics) {
    beyondTanh += other.beyondTanh
    beyondSigmoid += other.beyondSigmoid
    unitRows += other.unitRows
    rows += other.rows
  }
}
#endif
