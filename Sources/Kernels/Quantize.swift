import CShims

/// Dynamic quantization by blocks (Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via
/// block-wise quantization", ICLR 2022): each 256 elements have their largest magnitude as a Float,
/// and each element a code, its place in an ascending map of 256 numbers from -1 or 0 to 1. The map has
/// seven decades below 1; the i-th is cut into n0 2^i equal cells, whose middles are in the map.
public enum Dynamic {
  static var group: Int { @inline(__always) get { Int(RAVINE_QUANTIZED) } }

  /// 0's place in the map, and the cells of the least decade.
  @inline(__always)
  static func layout(_ positive: Bool) -> (zero: Int, cells: Int) { positive ? (0, 2) : (127, 1) }

  #if BASELINE
  public static let size = 256 + 3 * 8

  /// The map of bitsandbytes' create_dynamic_map, to 2 ulp; and behind it, of each decade and of 1, where
  /// it begins (half-way from the number before), how many numbers it has, and how many for each unit.
  public static func map(_ positive: Bool, _ out: UnsafeMutablePointer<Float>) {
    let zero = positive ? 0 : 127
    var n = positive ? 2 : 1, k = 1, unit = 1e-6
    out[zero] = 0
    for decade in 0..<8 {
      for j in 0..<(decade == 7 ? 1 : n) {
        let x = decade == 7 ? 1 : Float(unit * (0.1 + 0.9 * (Double(j) + 0.5) / Double(n)))
        if j == 0 { out[256 + decade] = (out[zero + k - 1] + x) / 2 }
        out[zero + k] = x
        if !positive, decade < 7 { out[zero - k] = -x }
        k += 1
      }
      out[264 + decade] = Float(n)
      out[272 + decade] = Float(Double(n) / (0.9 * unit))
      n *= 2
      unit *= 10
    }
  }
  #endif
}

@inline(never)
func dequantize(
  _ codes: UnsafePointer<UInt8>?, _ scales: UnsafePointer<Float>?, _ map: UnsafePointer<Float>?,
  _ x: UnsafeMutablePointer<Float>?, _ count: Int
) {
  let codes = codes.unsafelyUnwrapped, scales = scales.unsafelyUnwrapped
  let map = map.unsafelyUnwrapped, x = x.unsafelyUnwrapped
  var i = 0
  while i < count {
    storeLanes(scales[i / Dynamic.group] * ravine_look_up(map, codes + i), x + i)
    i &+= Float.Lanes.scalarCount
  }
}

/// To the nearest of the map; a positive number never to 0, which would be a denominator's end. A NaN
/// makes its whole group NaN. What lies behind the first `valid` elements does not count.
@inline(never)
func quantize(
  _ x: UnsafePointer<Float>?, _ codes: UnsafeMutablePointer<UInt8>?,
  _ scales: UnsafeMutablePointer<Float>?, _ map: UnsafePointer<Float>?, _ positive: Bool,
  _ valid: Int
) {
  let x = x.unsafelyUnwrapped, codes = codes.unsafelyUnwrapped
  let cells = Cells(map: map.unsafelyUnwrapped, positive: positive)
  var start = 0
  while start < valid {
    let end = min(start + Dynamic.group, valid)
    let scale = largest(x + start, end - start)
    scales.unsafelyUnwrapped[start / Dynamic.group] = scale
    let divisor = scale == 0 ? 1 : scale
    var i = start
    while i < end {
      let lanes: Float.Lanes = loadLanes(x + i)
      ravine_to_bytes(
        cells.code(Float.first(end - i, of: lanes) / Float.splat(divisor)), codes + i)
      i &+= Float.Lanes.scalarCount
    }
    start = end
  }
}

/// The largest magnitude of so many numbers, where infinity counts as the largest Float; NaN where one
/// is NaN.
@inline(__always)
private func largest(_ x: UnsafePointer<Float>, _ valid: Int) -> Float {
  var bits = ravine_u32.zero
  var i = 0
  while i < valid {
    bits = ravine_larger(bits, Float.first(valid - i, of: loadLanes(x + i)))
    i &+= Float.Lanes.scalarCount
  }
  var most: UInt32 = 0
  for k in 0..<ravine_u32.scalarCount where bits[k] > most { most = bits[k] }
  if most > 0x7f80_0000 { return Float(bitPattern: 0x7fc0_0000) }
  return Float(bitPattern: min(most, 0x7f7f_ffff))
}

/// Finds places in the map by arithmetic.
private struct Cells {
  let map: UnsafePointer<Float>
  let positive: Bool

  @inline(__always)
  func begin(_ decade: Int) -> Float.Lanes { Float.splat(map[256 + decade]) }

  /// The codes of numbers from -1 to 1, as whole Floats; a NaN's is that of 0.
  @inline(__always)
  func code(_ x: Float.Lanes) -> Float.Lanes {
    let zeros = Float.Lanes.zero
    let negative = choose(zeros, greaterThan: x, zeros - x, else: zeros)
    let size = choose(x, greaterThan: zeros, x, else: negative)
    var n = Float.splat(map[264]), slope = Float.splat(map[272])
    ravine_find(size, map + 257, map + 265, map + 273, &n, &slope)
    // The place within the decade, of which rounding must not leave the ends.
    var cell = maximum(size * slope - n * (1 / Float(9)), zeros)
    cell = choose(cell, greaterThan: n - 1, n - 1, else: cell)
    let k = ravine_whole(n + cell)
    if positive {
      let inner = choose(size, greaterThan: zeros, k - 1, else: zeros)
      return choose(x, greaterThan: begin(7), Float.splat(255), else: inner)
    }
    let inner = choose(size, greaterThan: begin(0), k, else: zeros)
    let upper = choose(x, greaterThan: begin(7), Float.splat(128), else: inner)
    return 127 + choose(zeros, greaterThan: x, zeros - inner, else: upper)
  }
}
