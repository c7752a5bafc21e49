import CShims

/// One tile: c = alpha a b + beta d, from packed panels; without d the last term is left out.
///
/// Each element adds up its products one after the other, in lanes that run over columns: the order
/// does not depend on how wide registers are.
@inline(never)
func productTile<T: Scalar>(
  _: T.Type, _ a: UnsafePointer<T>, _ b: UnsafePointer<T>, _ depth: Int, _ alpha: T,
  _ d: UnsafePointer<T>?, _ beta: T, _ c: UnsafeMutablePointer<T>, _ stride: Int
) {
  var sums = Tile<T>()
  var a = a, b = b, k = 0
  while k < depth {
    sums.add(a, Tile<T>.Right(b))
    a += Tile<T>.rows
    b += Tile<T>.Right.columns
    k &+= 1
  }
  if let d {
    sums.store(alpha, d, beta, c, stride)
  } else {
    sums.store(alpha, c, stride)
  }
}

/// All tiles of some rows of a product, from packed rows and packed columns.
@inline(__always)
func productRows<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_product_call>?) {
  let call = call.unsafelyUnwrapped
  let a = call.pointee.a.assumingMemoryBound(to: T.self)
  let b = call.pointee.b.assumingMemoryBound(to: T.self)
  let c = call.pointee.c.assumingMemoryBound(to: T.self)
  let edge = call.pointee.edge.assumingMemoryBound(to: T.self)
  let rows = call.pointee.rows, columns = call.pointee.columns, stride = call.pointee.stride
  let depth = call.pointee.depth
  let alpha = T(call.pointee.alpha), beta = T(call.pointee.beta)
  let d = beta == 0 ? nil : call.pointee.d?.assumingMemoryBound(to: T.self)
  let high = Tile<T>.rows, wide = Tile<T>.Right.columns
  var j = 0
  while j < columns {
    var i = 0
    while i < rows {
      let at = i &* stride &+ j
      let m = min(high, rows &- i), n = min(wide, columns &- j)
      let left = a + i &* depth, right = b + j &* depth
      if m == high, n == wide {
        productTile(T.self, left, right, depth, alpha, d.map { $0 + at }, beta, c + at, stride)
      } else {
        // A tile that sticks out is worked on aside.
        if let d { copyRows(d + at, stride, edge, wide, m, n) }
        let aside = d == nil ? nil : UnsafePointer(edge)
        productTile(T.self, left, right, depth, alpha, aside, beta, edge, wide)
        copyRows(edge, wide, c + at, stride, m, n)
      }
      i &+= high
    }
    j &+= wide
  }
}

@inline(__always)
func copyRows<T>(
  _ from: UnsafePointer<T>, _ fromStride: Int, _ to: UnsafeMutablePointer<T>, _ toStride: Int,
  _ rows: Int, _ columns: Int
) {
  for r in 0..<rows { (to + r &* toStride).update(from: from + r &* fromStride, count: columns) }
}

/// A panel: for each of `depth` steps `width` elements, of which `valid` are there and the rest is 0.
/// Elements lie `minor` apart, steps `major`.
@inline(__always)
func packPanel<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_pack_call>?) {
  let call = call.unsafelyUnwrapped
  let from = call.pointee.from.assumingMemoryBound(to: T.self)
  let to = call.pointee.to.assumingMemoryBound(to: T.self)
  let minor = call.pointee.minor, major = call.pointee.major
  let valid = call.pointee.valid, width = call.pointee.width, depth = call.pointee.depth
  if valid < width { to.update(repeating: 0, count: depth &* width) }
  if minor == 1 {
    copyRows(from, major, to, width, depth, valid)
    return
  }
  for i in 0..<valid {
    for k in 0..<depth { to[k &* width &+ i] = from[i &* minor &+ k &* major] }
  }
}

@inline(__always)
func fillProduct(_ kernels: UnsafeMutablePointer<ravine_kernels>) {
  kernels.pointee.tile_rows = Tile<Float>.rows
  kernels.pointee.tile_columns = (Tile<Float>.Right.columns, Tile<Double>.Right.columns)
  kernels.pointee.product = ({ productRows(Float.self, $0) }, { productRows(Double.self, $0) })
  kernels.pointee.pack = ({ packPanel(Float.self, $0) }, { packPanel(Double.self, $0) })
}
