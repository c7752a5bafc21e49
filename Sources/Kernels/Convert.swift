import CShims

/// Conversion between an element type in memory and the type of the arithmetic.
protocol Storage {
  associatedtype Element
  static func toFloat(_ p: UnsafePointer<Element>) -> Float.Lanes
  static func toDouble(_ p: UnsafePointer<Element>) -> ravine_wide
  static func from(_ x: Float.Lanes, _ p: UnsafeMutablePointer<Element>)
}

extension Storage {
  @inline(__always)
  static func toDouble(_ p: UnsafePointer<Element>) -> ravine_wide { ravine_widen(toFloat(p)) }
}

enum F32: Storage {
  @inline(__always)
  static func toFloat(_ p: UnsafePointer<Float>) -> Float.Lanes {
    UnsafeRawPointer(p).loadUnaligned(as: Float.Lanes.self)
  }
  @inline(__always)
  static func from(_ x: Float.Lanes, _ p: UnsafeMutablePointer<Float>) { storeLanes(x, p) }
}

enum F64: Storage {
  @inline(__always)
  static func toFloat(_ p: UnsafePointer<Double>) -> Float.Lanes { ravine_narrow(toDouble(p)) }
  @inline(__always)
  static func toDouble(_ p: UnsafePointer<Double>) -> ravine_wide {
    UnsafeRawPointer(p).loadUnaligned(as: ravine_wide.self)
  }
  @inline(__always)
  static func from(_ x: Float.Lanes, _ p: UnsafeMutablePointer<Double>) {
    storeWide(ravine_widen(x), p)
  }
}

enum BF16: Storage {
  @inline(__always)
  static func toFloat(_ p: UnsafePointer<UInt16>) -> Float.Lanes { ravine_from_bf16(words(p)) }
  @inline(__always)
  static func from(_ x: Float.Lanes, _ p: UnsafeMutablePointer<UInt16>) {
    setWords(ravine_to_bf16(x), p)
  }
}

enum F16: Storage {
  @inline(__always)
  static func toFloat(_ p: UnsafePointer<UInt16>) -> Float.Lanes { ravine_from_f16(words(p)) }
  @inline(__always)
  static func from(_ x: Float.Lanes, _ p: UnsafeMutablePointer<UInt16>) {
    setWords(ravine_to_f16(x), p)
  }
}

@inline(__always)
func storeWide(_ x: ravine_wide, _ p: UnsafeMutablePointer<Double>) {
  UnsafeMutableRawPointer(p).storeBytes(of: x, as: ravine_wide.self)
}

@inline(__always)
func words(_ p: UnsafePointer<UInt16>) -> ravine_u16 {
  UnsafeRawPointer(p).loadUnaligned(as: ravine_u16.self)
}

@inline(__always)
func setWords(_ x: ravine_u16, _ p: UnsafeMutablePointer<UInt16>) {
  UnsafeMutableRawPointer(p).storeBytes(of: x, as: ravine_u16.self)
}

@inline(never)
func loadFloats<S: Storage>(
  _: S.Type, _ x: UnsafeRawPointer?, _ y: UnsafeMutableRawPointer?, _ count: Int
) {
  let from = x.unsafelyUnwrapped.assumingMemoryBound(to: S.Element.self)
  let to = y.unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
  var i = 0
  while i < count {
    storeLanes(S.toFloat(from + i), to + i)
    i &+= Float.Lanes.scalarCount
  }
}

@inline(never)
func loadDoubles<S: Storage>(
  _: S.Type, _ x: UnsafeRawPointer?, _ y: UnsafeMutableRawPointer?, _ count: Int
) {
  let from = x.unsafelyUnwrapped.assumingMemoryBound(to: S.Element.self)
  let to = y.unsafelyUnwrapped.assumingMemoryBound(to: Double.self)
  var i = 0
  while i < count {
    storeWide(S.toDouble(from + i), to + i)
    i &+= Float.Lanes.scalarCount
  }
}

@inline(never)
func storeFloats<S: Storage>(
  _: S.Type, _ x: UnsafeRawPointer?, _ y: UnsafeMutableRawPointer?, _ count: Int
) {
  let from = x.unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
  let to = y.unsafelyUnwrapped.assumingMemoryBound(to: S.Element.self)
  var i = 0
  while i < count {
    S.from(loadLanes(from + i), to + i)
    i &+= Float.Lanes.scalarCount
  }
}

/// From Double; the 16-bit types round twice, by way of Float.
@inline(never)
func storeDoubles<S: Storage>(
  _: S.Type, _ x: UnsafeRawPointer?, _ y: UnsafeMutableRawPointer?, _ count: Int
) {
  let from = x.unsafelyUnwrapped.assumingMemoryBound(to: Double.self)
  let to = y.unsafelyUnwrapped.assumingMemoryBound(to: S.Element.self)
  var i = 0
  while i < count {
    S.from(ravine_narrow(F64.toDouble(from + i)), to + i)
    i &+= Float.Lanes.scalarCount
  }
}
