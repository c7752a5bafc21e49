import CShims
import Kernels

/// orthogonal: a matrix that turns vectors and keeps their lengths.
struct Orthogonal: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "orthogonal", "a random orthogonal matrix times gain",
      formula: """
        A: normal numbers, rows x columns, the longer way up
        A = Q R, where R has a positive diagonal; p = gain Q or gain Q^T
        """,
      reference: """
        Saxe et al. 2014, arXiv:1312.6120; torch.nn.init.orthogonal_, keras.initializers.Orthogonal, \
        jax.nn.initializers.orthogonal; Stewart 1980, SIAM J. Numer. Anal. 17
        """,
      difference: """
        The same distribution, uniform over all such matrices; A is never made: its Householder vectors \
        are drawn as they are distributed (Stewart). In 64-bit floats, then rounded. With layout=torch \
        rows are the first axis, with layout=keras columns are the last one; the other side is all the \
        other axes. Rows are orthonormal where they are fewer than columns, else columns. Needs 16 bytes \
        for each element while it runs.
        """,
      parameters: [
        Parameter("gain", .number, 1, from: -.infinity, "the length of its rows or columns"),
        Layout.parameter,
      ])
  }

  let gain: Double
  let layout: Int

  init(_ a: Arguments) throws(RavineError) { (gain, layout) = (a.number(0), a.word(1)) }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    guard target.rank >= 2 else { throw target.unsuitable("orthogonal", "two axes or more") }
    let columns =
      layout == 1 ? Int(target.shape[target.rank - 1]) : target.count / Int(target.shape[0])
    let rows = target.count / columns, gain = gain
    let q = try OrthogonalMatrix(max(rows, columns), min(rows, columns), target)
    let upright = rows >= columns
    return { first, count, out in
      for i in 0..<count {
        let (row, column) = (first + i).quotientAndRemainder(dividingBy: columns)
        out[i] = gain * (upright ? q[row, column] : q[column, row])
      }
    }
  }
}

/// Orthonormal columns, uniformly distributed.
struct OrthogonalMatrix {
  /// A tile of RAVINE_TILE columns after the other, each in row-major order.
  private let elements: UnsafeMutablePointer<Double>
  private let rows: Int

  subscript(_ row: Int, _ column: Int) -> Double {
    let (tile, place) = column.quotientAndRemainder(dividingBy: Int(RAVINE_TILE))
    return elements[(tile * rows + row) * Int(RAVINE_TILE) + place]
  }

  /// rows >= columns. The QR decomposition of a matrix of normal numbers reflects, for each k, what is
  /// left of column k (again normal numbers, rows - k of them) to the axis k. So the vectors of the
  /// reflections are drawn, and Q is their product: H_0 H_1 ... applied to the columns of the identity,
  /// with the signs that make the diagonal of R positive.
  init(_ rows: Int, _ columns: Int, _ target: Target) throws(RavineError) {
    let tile = Int(RAVINE_TILE), tiles = (columns + tile - 1) / tile
    let threads = min(target.threads, tiles)
    let elements = try target.heap.zeros(Double.self, tiles * rows * tile)
    // Vector k has rows - k elements, and stands where a triangle of them ends.
    let vectors = try target.heap.allocate(
      Double.self, columns * rows - columns * (columns - 1) / 2)
    let factors = try target.heap.allocate(Double.self, columns)
    let start: (Int) -> Int = { k in k * rows - k * (k - 1) / 2 }
    let random = target.random
    try forEach(columns, threads: threads, target.options) { k, _ in
      let x = vectors + start(k), n = rows - k
      random.child(UInt64(k)).normals(0, n, x)
      var sum = 0.0
      for i in 0..<n { sum += x[i] * x[i] }
      let norm = sum.squareRoot()
      factors[k] = 1 / (norm * (norm + x[0].magnitude))  // 2 / v^T v
      elements[(k / tile * rows + k) * tile + k % tile] = x[0] < 0 ? 1 : -1
      x[0] += x[0] < 0 ? -norm : norm
    }
    let reflect = try Catalog.shared().kernels.reflect.unsafelyUnwrapped
    try forEach(tiles, threads: threads, target.options) { t, _ in
      // The later ones leave these columns alone.
      for k in stride(from: min(columns, (t + 1) * tile) - 1, through: 0, by: -1) {
        reflect(vectors + start(k), rows - k, factors[k], elements + (t * rows + k) * tile)
      }
    }
    target.heap.free(vectors)
    self.elements = elements
    self.rows = rows
  }
}
