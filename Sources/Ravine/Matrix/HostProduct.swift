import CRavine
import CShims

extension MatrixProduct {
  /// The same by a function of the host, which adds up in an order of its own.
  func run(_ product: rvn_product, _ user: UnsafeMutableRawPointer?) throws(RavineError) {
    if beta != 0, d != UnsafeRawPointer(c) { memcpy(c, d, rows * columns * 4) }
    let left = BlasOperand(a, rows: rows, columns: depth)
    let right = BlasOperand(b, rows: depth, columns: columns)
    let failed = product(
      user, left.transposed, right.transposed, rows, columns, depth, Float(alpha), left.base,
      left.stride, right.base, right.stride, Float(beta), c.assumingMemoryBound(to: Float.self),
      columns)
    // It may leave any.
    _ = ravine_default_mode()
    if failed != 0 {
      throw RavineError(RVN_ERR_CALLBACK, "the host's product of matrices returned \(failed)")
    }
  }
}

/// A matrix as BLAS has it: the array, whether it is stored transposed, and from one row to the next.
private struct BlasOperand {
  let base: UnsafePointer<Float>
  let transposed: Int32
  let stride: Int

  init(_ m: Matrix, rows: Int, columns: Int) {
    base = m.base.assumingMemoryBound(to: Float.self)
    transposed = m.columnStride == 1 ? 0 : 1
    stride = max(
      m.columnStride == 1 ? m.rowStride : m.columnStride, transposed == 0 ? columns : rows)
  }
}
