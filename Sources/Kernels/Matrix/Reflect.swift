import CShims

/// A Householder reflection of 32 columns: tile -= factor v (v^T tile), in row-major order.
/// Each column adds up its products row by row, so that the width of lanes does not show.
@inline(never)
func reflect(
  _ v: UnsafePointer<Double>?, _ rows: Int, _ factor: Double, _ tile: UnsafeMutablePointer<Double>?
) {
  let v = v.unsafelyUnwrapped, width = Double.Lanes.scalarCount
  var tile = tile.unsafelyUnwrapped, c = 0
  while c < Int(RAVINE_TILE) {
    var s0 = Double.Lanes.zero, s1 = s0, s2 = s0, s3 = s0
    var i = 0
    while i < rows {
      let row = tile + i &* Int(RAVINE_TILE), x = Double.splat(v[i])
      s0 += x * loadLanes(row)
      s1 += x * loadLanes(row + width)
      s2 += x * loadLanes(row + 2 &* width)
      s3 += x * loadLanes(row + 3 &* width)
      i &+= 1
    }
    s0 = factor * s0
    s1 = factor * s1
    s2 = factor * s2
    s3 = factor * s3
    i = 0
    while i < rows {
      let row = tile + i &* Int(RAVINE_TILE), x = Double.splat(v[i])
      storeLanes(loadLanes(row) - x * s0, row)
      storeLanes(loadLanes(row + width) - x * s1, row + width)
      storeLanes(loadLanes(row + 2 &* width) - x * s2, row + 2 &* width)
      storeLanes(loadLanes(row + 3 &* width) - x * s3, row + 3 &* width)
      i &+= 1
    }
    tile += 4 &* width
    c &+= 4 &* width
  }
}
