import CShims
import Kernels

/// The matrix nearest to being orthogonal, up to singular values that are left between about 0.7 and
/// 1.2: Newton-Schulz iteration with the quintic polynomial of Muon.
///
///     X = G / (|G| + 1e-7);  five times:  A = X X^T,  X = a X + (b A + c A A) X
///
/// Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; torch.optim.Muon. These
/// compute in bfloat16, this in Float. A matrix with more rows than columns takes X^T X, and the polynomial
/// behind X: the same as transposing it, to the last bit.
struct NewtonSchulz {
  static let steps = 5
  static let coefficients = (a: 3.4445, b: -4.7750, c: 2.0315)
  static let eps = 1e-7

  let rows, columns, threads: Int
  private let kernels: ravine_kernels

  init(rows: Int, columns: Int, threads: Int, _ kernels: ravine_kernels) {
    (self.rows, self.columns, self.threads, self.kernels) = (rows, columns, threads, kernels)
  }

  private var short: Int { min(rows, columns) }
  private var long: Int { max(rows, columns) }
  /// Whole groups of lanes; what is behind the matrix is 0.
  private var padded: Int { (rows * columns + 15) & ~15 }
  private var squares: Int { (short * short + 15) & ~15 }
  private var blocks: Int { (rows * columns + RAVINE_BLOCK - 1) / RAVINE_BLOCK }

  /// Bytes that `run` needs: X twice, two square matrices, what the products need, sums of blocks.
  var workspace: Int {
    let products = max(
      MatrixProduct.workspace(columns: columns, depth: short, wide: 0, threads: threads, kernels),
      MatrixProduct.workspace(columns: short, depth: long, wide: 0, threads: threads, kernels))
    return 4 * (2 * padded + 2 * squares) + (products + 15) & ~15 + 8 * blocks
  }

  /// From `gradient` to `out`, row-major matrices without gaps, which may be the same.
  func run(
    _ gradient: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>,
    _ workspace: UnsafeMutableRawPointer, _ options: Options
  ) throws(RavineError) {
    let count = rows * columns
    if count == 0 { return }
    var x = workspace.assumingMemoryBound(to: Float.self), y = x + padded
    let square = y + padded, polynomial = square + squares
    let rest = UnsafeMutableRawPointer(polynomial + squares)
    x.update(from: gradient, count: count)
    (x + count).update(repeating: 0, count: padded - count)
    let sums = (workspace + self.workspace - 8 * blocks).assumingMemoryBound(to: Double.self)
    let factor = Float(1 / (norm(x, sums) + NewtonSchulz.eps))
    for i in 0..<count { x[i] *= factor }

    let (a, b, c) = NewtonSchulz.coefficients
    let lying = rows <= columns, s = Matrix(square, columns: short)
    let p = Matrix(polynomial, columns: short)
    for _ in 0..<NewtonSchulz.steps {
      let m = Matrix(x, columns: columns)
      let (left, right) = lying ? (m, m.transposed) : (m.transposed, m)
      try product(short, short, long, left, right, 1, 0, square, square, true, rest, options)
      try product(short, short, short, s, s, c, b, square, polynomial, true, rest, options)
      if lying {
        try product(rows, columns, short, p, m, 1, a, x, y, false, rest, options)
      } else {
        try product(rows, columns, short, m, p, 1, a, x, y, false, rest, options)
      }
      (x, y) = (y, x)
    }
    out.update(from: x, count: count)
  }

  private func product(
    _ rows: Int, _ columns: Int, _ depth: Int, _ a: Matrix, _ b: Matrix, _ alpha: Double,
    _ beta: Double, _ d: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>, _ symmetric: Bool,
    _ workspace: UnsafeMutableRawPointer, _ options: Options
  ) throws(RavineError) {
    try MatrixProduct(
      rows: rows, columns: columns, depth: depth, wide: 0, alpha: alpha, beta: beta,
      symmetric: symmetric, a: a, b: b, d: d, c: c, workspace: workspace, kernels: kernels
    ).run(threads: threads, options)
  }

  /// Sums of squares of blocks in Float64, added up in their order.
  private func norm(_ x: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>) -> Double {
    let block = RAVINE_BLOCK, whole = padded / block
    let measure = kernels.measure[2 * Int(Measurement.squares.rawValue)].unsafelyUnwrapped
    measure(x, whole, block, sums)
    if whole < blocks { measure(x + whole * block, 1, padded - whole * block, sums + whole) }
    var total = 0.0
    for i in 0..<blocks { total += sums[i] }
    return total.squareRoot()
  }
}
