/// Floats or Doubles in memory, read and written as Double.
struct Reals: BitwiseCopyable {
  let start: UnsafeMutableRawPointer
  let wide: Bool

  init(_ start: UnsafeMutableRawPointer, wide: Bool) {
    self.start = start
    self.wide = wide
  }

  /// To be read only.
  init(_ start: UnsafeRawPointer, wide: Bool) {
    self.init(UnsafeMutableRawPointer(mutating: start), wide: wide)
  }

  subscript(_ i: Int) -> Double {
    @inline(__always)
    get {
      wide
        ? start.load(fromByteOffset: 8 * i, as: Double.self)
        : Double(start.load(fromByteOffset: 4 * i, as: Float.self))
    }
    @inline(__always)
    nonmutating set {
      if wide {
        start.storeBytes(of: newValue, toByteOffset: 8 * i, as: Double.self)
      } else {
        start.storeBytes(of: Float(newValue), toByteOffset: 4 * i, as: Float.self)
      }
    }
  }

  /// The first of `count` elements that is NaN or infinite.
  func firstNonfinite(_ count: Int) -> Int? {
    for i in 0..<count where !self[i].isFinite { return i }
    return nil
  }
}
