import CShims

/// 16 random bits for each of the elements of a block. Element e of a tensor has those of the
/// counters (e / 128 * 16 + e % 16, step): the words of 128 elements are drawn together. `first` is a
/// multiple of 128.
@inline(never)
func draw(
  _ key: UInt64, _ first: UInt64, _ step: UInt64, _ y: UnsafeMutablePointer<UInt16>?, _ count: Int
) {
  var i = 0
  while i < count {
    ravine_draw(key, (first &+ UInt64(i)) >> 3, step, y.unsafelyUnwrapped + i)
    i &+= 128
  }
}

/// Rounds Floats to one of their two neighbours in a type of 16 bits, as Floats, so that the mean of
/// many roundings is the number itself.
@inline(never)
func dither(
  _ x: UnsafePointer<Float>?, _ random: UnsafePointer<UInt16>?, _ isF16: Bool,
  _ y: UnsafeMutablePointer<Float>?, _ count: Int
) {
  // Half precision has 10 bits behind the point, numbers below 2^-14 on a grid, and 65504 as its end.
  let dropped: UInt32 = isF16 ? 13 : 16, least: UInt32 = isF16 ? 0x3880_0000 : 0
  let most: UInt32 = isF16 ? 0x477f_e000 : 0x7f7f_0000
  var i = 0
  while i < count {
    let bits = words(random.unsafelyUnwrapped + i)
    storeLanes(
      ravine_dither(loadLanes(x.unsafelyUnwrapped + i), bits, dropped, least, most),
      y.unsafelyUnwrapped + i)
    i &+= Float.Lanes.scalarCount
  }
}

/// a + factor b
@inline(never)
func combine(
  _ a: UnsafePointer<Float>?, _ b: UnsafePointer<Float>?, _ factor: Float,
  _ y: UnsafeMutablePointer<Float>?, _ count: Int
) {
  var i = 0
  while i < count {
    let b: Float.Lanes = loadLanes(b.unsafelyUnwrapped + i)
    storeLanes(loadLanes(a.unsafelyUnwrapped + i) + factor * b, y.unsafelyUnwrapped + i)
    i &+= Float.Lanes.scalarCount
  }
}

/// p becomes x, where what was made of x (`seen`) is still p.
@inline(never)
func recall(
  _ x: UnsafePointer<Float>?, _ seen: UnsafePointer<Float>?, _ p: UnsafeMutablePointer<Float>?,
  _ count: Int
) {
  let p = p.unsafelyUnwrapped
  var i = 0
  while i < count {
    let old: Float.Lanes = loadLanes(p + i)
    let x: Float.Lanes = loadLanes(x.unsafelyUnwrapped + i)
    storeLanes(choose(loadLanes(seen.unsafelyUnwrapped + i), equalTo: old, x, else: old), p + i)
    i &+= Float.Lanes.scalarCount
  }
}
