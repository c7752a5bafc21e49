import CShims

/// A Householder reflection of 32 columns: tile -= factor v (v^T tile), in row-major order.
/// Each column adds up its products row by row, so that the width of lanes does not show.
@inline(never)
func reflect(
  _ v: UnsafePointer<Double>?, _ rows: Int, _ factor: Double, _ tile: UnsafeMutablePointer<Double>?
) {
  let v = v.unsafelyUnwrapped, tile = tile.unsafelyUnwrapped
  let columns = Int(RAVINE_TILE)
  var s0 = SIMD8<Double>.zero, s1 = s0, s2 = s0, s3 = s0
  var i = 0
  while i < rows {
    let row = tile + i &* columns, x = Double.splat(v[i])
    s0 += x * loadLanes(row)
    s1 += x * loadLanes(row + 8)
    s2 += x * loadLanes(row + 16)
    s3 += x * loadLanes(row + 24)
    i &+= 1
  }
  s0 = factor * s0
  s1 = factor * s1
  s2 = factor * s2
  s3 = factor * s3
  i = 0
  while i < rows {
    let row = tile + i &* columns, x = Double.splat(v[i])
    storeLanes(loadLanes(row) - x * s0, row)
    storeLanes(loadLanes(row + 8) - x * s1, row + 8)
    storeLanes(loadLanes(row + 16) - x * s2, row + 16)
    storeLanes(loadLanes(row + 24) - x * s3, row + 24)
    i &+= 1
  }
}
