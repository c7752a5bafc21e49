import CShims
import Kernels

/// The matrix nearest to being orthogonal, with singular values that the iteration leaves near 1 (by the
/// coefficients of Muon, between about 0.7 and 1.2). In Float, or in Double: torch and the author of Muon
/// compute in bfloat16.
///
/// A matrix with more rows than columns takes X^T X, and the polynomial behind X: the same as transposing
/// it, to the last bit.
struct NewtonSchulz {
  let iteration: Orthogonalization
  let rows, columns: Int
  /// 1 for Double, 0 for Float.
  let wide: Int
  let threads: Int
  private let kernels: ravine_kernels

  init(
    _ iteration: Orthogonalization, rows: Int, columns: Int, wide: Int, threads: Int,
    _ kernels: ravine_kernels
  ) {
    self.iteration = iteration
    (self.rows, self.columns, self.wide) = (rows, columns, wide)
    (self.threads, self.kernels) = (threads, kernels)
  }

  private var size: Int { 4 << wide }
  private var short: Int { min(rows, columns) }
  private var long: Int { max(rows, columns) }
  /// Whole groups of lanes; what is behind the matrix is 0.
  private var padded: Int { (rows * columns + 15) & ~15 }
  private var squares: Int { (short * short + 15) & ~15 }
  private var blocks: Int { blockCount(rows * columns) }

  /// Bytes that `run` needs: X twice, two square matrices, sums of blocks, what the products need.
  var workspace: Int {
    let products = max(
      MatrixProduct.workspace(
        columns: columns, depth: short, wide: wide, threads: threads, kernels),
      MatrixProduct.workspace(columns: short, depth: long, wide: wide, threads: threads, kernels))
    return size * 2 * (padded + squares) + (8 * blocks + 63) & ~63 + products
  }

  /// From the row-major matrix without gaps at the beginning of the workspace; where in it the result lies.
  func run(_ workspace: UnsafeMutableRawPointer, _ options: Options) throws(RavineError)
    -> UnsafeMutableRawPointer
  {
    var x = workspace, y = x + padded * size
    let square = y + padded * size, polynomial = square + squares * size
    let sums = (polynomial + squares * size).assumingMemoryBound(to: Double.self)
    let rest = UnsafeMutableRawPointer(sums) + (8 * blocks + 63) & ~63
    memset(x + rows * columns * size, 0, (padded - rows * columns) * size)
    let length = norm(x, sums), eps = iteration.eps
    scale(x, 1 / (iteration.floored ? length < eps ? eps : length : length + eps))

    let lying = rows <= columns, s = Matrix(square, columns: short)
    let p = Matrix(polynomial, columns: short)
    for _ in 0..<iteration.steps {
      let m = Matrix(x, columns: columns)
      let (left, right) = lying ? (m, m.transposed) : (m.transposed, m)
      try product(short, short, long, left, right, 1, 0, square, square, true, rest, options)
      try product(
        short, short, short, s, s, iteration.c, iteration.b, square, polynomial, true, rest, options
      )
      let (first, second) = lying ? (p, m) : (m, p)
      try product(
        rows, columns, short, first, second, 1, iteration.a, x, y, false, rest, options)
      (x, y) = (y, x)
    }
    return x
  }

  @inline(never)
  private func product(
    _ rows: Int, _ columns: Int, _ depth: Int, _ a: Matrix, _ b: Matrix, _ alpha: Double,
    _ beta: Double, _ d: UnsafeRawPointer, _ c: UnsafeMutableRawPointer, _ symmetric: Bool,
    _ workspace: UnsafeMutableRawPointer, _ options: Options
  ) throws(RavineError) {
    try MatrixProduct(
      rows: rows, columns: columns, depth: depth, wide: wide, alpha: alpha, beta: beta,
      symmetric: symmetric, a: a, b: b, d: d, c: c, workspace: workspace, kernels: kernels
    ).run(threads: threads, options)
  }

  @inline(never)
  private func scale(_ x: UnsafeMutableRawPointer, _ factor: Double) {
    if wide == 1 {
      let x = x.assumingMemoryBound(to: Double.self)
      for i in 0..<padded { x[i] *= factor }
    } else {
      let x = x.assumingMemoryBound(to: Float.self), factor = Float(factor)
      for i in 0..<padded { x[i] *= factor }
    }
  }

  /// Sums of squares of blocks in Float64, added up in their order.
  private func norm(_ x: UnsafeRawPointer, _ sums: UnsafeMutablePointer<Double>) -> Double {
    let block = RAVINE_BLOCK, whole = padded / block
    let measure = kernels.measure[2 * Int(Measurement.squares.rawValue) + wide].unsafelyUnwrapped
    measure(x, whole, block, sums)
    if whole < blocks { measure(x + whole * block * size, 1, padded - whole * block, sums + whole) }
    var total = 0.0
    for i in 0..<blocks { total += sums[i] }
    return total.squareRoot()
  }
}
