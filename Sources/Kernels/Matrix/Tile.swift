// The sums of a product that registers hold: made of rows by types, so that each is a variable.

/// Part of a row of the right matrix.
protocol RightRow {
  associatedtype T: Scalar
  static var columns: Int { get }
  init(_ from: UnsafePointer<T>)
}

/// Some rows of sums.
protocol Sums {
  associatedtype T
  associatedtype Right: RightRow where Right.T == T
  static var rows: Int { get }
  init()
  /// Adds the products of a column of the left matrix and a row of the right one.
  mutating func add(_ left: UnsafePointer<T>, _ right: Right)
  /// c = alpha sums
  func store(_ alpha: T, _ c: UnsafeMutablePointer<T>, _ stride: Int)
  /// c = alpha sums + beta d
  func store(
    _ alpha: T, _ d: UnsafePointer<T>, _ beta: T, _ c: UnsafeMutablePointer<T>, _ stride: Int)
}

// What fits: the sums, a row of the right matrix, an element of the left one and its products.
#if AVX512
typealias Tile<T: Scalar> = Twice<Twice<Thrice<WideRow<T>>>>  // 24 of 32 registers
#elseif AVX2
typealias Tile<T: Scalar> = Twice<Thrice<Row<T>>>  // 12 of 16, two for a group of lanes
#elseif arch(x86_64)
typealias Tile<T: Scalar> = Twice<Thrice<WideRow<T>>>  // 12 of 16
#else
typealias Tile<T: Scalar> = Twice<Twice<Thrice<WideRow<T>>>>  // 24 of 32
#endif

/// A group of lanes.
struct Row<T: Scalar>: Sums {
  struct Right: RightRow {
    let lanes: T.Lanes
    @inline(__always)
    static var columns: Int { T.Lanes.scalarCount }
    @inline(__always)
    init(_ from: UnsafePointer<T>) { lanes = loadLanes(from) }
  }

  private var sum: T.Lanes

  @inline(__always)
  static var rows: Int { 1 }
  @inline(__always)
  init() { sum = .zero }
  @inline(__always)
  mutating func add(_ left: UnsafePointer<T>, _ right: Right) { sum += left[0] * right.lanes }
  @inline(__always)
  func store(_ alpha: T, _ c: UnsafeMutablePointer<T>, _ stride: Int) {
    storeLanes(alpha * sum, c)
  }
  @inline(__always)
  func store(
    _ alpha: T, _ d: UnsafePointer<T>, _ beta: T, _ c: UnsafeMutablePointer<T>, _ stride: Int
  ) {
    storeLanes(alpha * sum + beta * loadLanes(d), c)
  }
}

/// Two groups of lanes.
struct WideRow<T: Scalar>: Sums {
  struct Right: RightRow {
    let low, high: T.Lanes
    @inline(__always)
    static var columns: Int { 2 &* T.Lanes.scalarCount }
    @inline(__always)
    init(_ from: UnsafePointer<T>) {
      low = loadLanes(from)
      high = loadLanes(from + T.Lanes.scalarCount)
    }
  }

  private var low, high: T.Lanes

  @inline(__always)
  static var rows: Int { 1 }
  @inline(__always)
  init() { (low, high) = (.zero, .zero) }
  @inline(__always)
  mutating func add(_ left: UnsafePointer<T>, _ right: Right) {
    let x = T.splat(left[0])
    low += x * right.low
    high += x * right.high
  }
  @inline(__always)
  func store(_ alpha: T, _ c: UnsafeMutablePointer<T>, _ stride: Int) {
    storeLanes(alpha * low, c)
    storeLanes(alpha * high, c + T.Lanes.scalarCount)
  }
  @inline(__always)
  func store(
    _ alpha: T, _ d: UnsafePointer<T>, _ beta: T, _ c: UnsafeMutablePointer<T>, _ stride: Int
  ) {
    let width = T.Lanes.scalarCount
    storeLanes(alpha * low + beta * loadLanes(d), c)
    storeLanes(alpha * high + beta * loadLanes(d + width), c + width)
  }
}

struct Twice<Part: Sums>: Sums {
  typealias T = Part.T
  typealias Right = Part.Right
  private var upper = Part(), lower = Part()

  @inline(__always)
  static var rows: Int { 2 &* Part.rows }
  @inline(__always)
  init() {}
  @inline(__always)
  mutating func add(_ left: UnsafePointer<T>, _ right: Right) {
    upper.add(left, right)
    lower.add(left + Part.rows, right)
  }
  @inline(__always)
  func store(_ alpha: T, _ c: UnsafeMutablePointer<T>, _ stride: Int) {
    upper.store(alpha, c, stride)
    lower.store(alpha, c + Part.rows &* stride, stride)
  }
  @inline(__always)
  func store(
    _ alpha: T, _ d: UnsafePointer<T>, _ beta: T, _ c: UnsafeMutablePointer<T>, _ stride: Int
  ) {
    let next = Part.rows &* stride
    upper.store(alpha, d, beta, c, stride)
    lower.store(alpha, d + next, beta, c + next, stride)
  }
}

struct Thrice<Part: Sums>: Sums {
  typealias T = Part.T
  typealias Right = Part.Right
  private var two = Twice<Part>(), third = Part()

  @inline(__always)
  static var rows: Int { 3 &* Part.rows }
  @inline(__always)
  init() {}
  @inline(__always)
  mutating func add(_ left: UnsafePointer<T>, _ right: Right) {
    two.add(left, right)
    third.add(left + 2 &* Part.rows, right)
  }
  @inline(__always)
  func store(_ alpha: T, _ c: UnsafeMutablePointer<T>, _ stride: Int) {
    two.store(alpha, c, stride)
    third.store(alpha, c + 2 &* Part.rows &* stride, stride)
  }
  @inline(__always)
  func store(
    _ alpha: T, _ d: UnsafePointer<T>, _ beta: T, _ c: UnsafeMutablePointer<T>, _ stride: Int
  ) {
    let next = 2 &* Part.rows &* stride
    two.store(alpha, d, beta, c, stride)
    third.store(alpha, d + next, beta, c + next, stride)
  }
}
