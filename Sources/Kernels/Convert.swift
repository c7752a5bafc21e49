import CShims

/// Conversion between an element type in memory and the type of the arithmetic.
protocol Storage {
  associatedtype Element
  static func toFloat(_ p: UnsafePointer<Element>) -> SIMD16<Float>
  static func toDouble(_ p: UnsafePointer<Element>) -> SIMD16<Double>
  static func from(_ x: SIMD16<Float>, _ p: UnsafeMutablePointer<Element>)
}

extension Storage {
  @inline(__always)
  static func toDouble(_ p: UnsafePointer<Element>) -> SIMD16<Double> { ravine_widen(toFloat(p)) }
}

enum F32: Storage {
  @inline(__always)
  static func toFloat(_ p: UnsafePointer<Float>) -> SIMD16<Float> {
    UnsafeRawPointer(p).loadUnaligned(as: SIMD16<Float>.self)
  }
  @inline(__always)
  static func from(_ x: SIMD16<Float>, _ p: UnsafeMutablePointer<Float>) { storeLanes(x, p) }
}

enum F64: Storage {
  @inline(__always)
  static func toFloat(_ p: UnsafePointer<Double>) -> SIMD16<Float> { ravine_narrow(toDouble(p)) }
  @inline(__always)
  static func toDouble(_ p: UnsafePointer<Double>) -> SIMD16<Double> {
    UnsafeRawPointer(p).loadUnaligned(as: SIMD16<Double>.self)
  }
  @inline(__always)
  static func from(_ x: SIMD16<Float>, _ p: UnsafeMutablePointer<Double>) {
    storeSixteen(ravine_widen(x), p)
  }
}

enum BF16: Storage {
  @inline(__always)
  static func toFloat(_ p: UnsafePointer<UInt16>) -> SIMD16<Float> { ravine_from_bf16(words(p)) }
  @inline(__always)
  static func from(_ x: SIMD16<Float>, _ p: UnsafeMutablePointer<UInt16>) {
    setWords(ravine_to_bf16(x), p)
  }
}

enum F16: Storage {
  @inline(__always)
  static func toFloat(_ p: UnsafePointer<UInt16>) -> SIMD16<Float> { ravine_from_f16(words(p)) }
  @inline(__always)
  static func from(_ x: SIMD16<Float>, _ p: UnsafeMutablePointer<UInt16>) {
    setWords(ravine_to_f16(x), p)
  }
}

@inline(__always)
func storeSixteen(_ x: SIMD16<Double>, _ p: UnsafeMutablePointer<Double>) {
  UnsafeMutableRawPointer(p).storeBytes(of: x, as: SIMD16<Double>.self)
}

@inline(__always)
func words(_ p: UnsafePointer<UInt16>) -> SIMD16<UInt16> {
  UnsafeRawPointer(p).loadUnaligned(as: SIMD16<UInt16>.self)
}

@inline(__always)
func setWords(_ x: SIMD16<UInt16>, _ p: UnsafeMutablePointer<UInt16>) {
  UnsafeMutableRawPointer(p).storeBytes(of: x, as: SIMD16<UInt16>.self)
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
    i &+= 16
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
    storeSixteen(S.toDouble(from + i), to + i)
    i &+= 16
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
    i &+= 16
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
    i &+= 16
  }
}
