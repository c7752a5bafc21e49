/// Eigenvalues of a symmetric tridiagonal matrix by implicit QL (Bowdler, Martin, Reinsch and Wilkinson
/// 1968, `tql2`), with the rows of the eigenvector matrix that are asked for.
struct Tridiagonal: ~Copyable {
  private(set) var values: [Double]
  private var below: [Double]
  /// Rows of the matrix whose columns are eigenvectors; one after the other.
  private(set) var rows: [Double]
  private let size: Int

  /// `offDiagonal[i]` stands between i and i + 1. `wanted` are rows of the eigenvector matrix.
  init(diagonal: [Double], offDiagonal: [Double], rows wanted: Range<Int>) throws(RavineError) {
    size = diagonal.count
    values = diagonal
    below = offDiagonal
    while below.count < size { below.append(0) }
    rows = [Double](repeating: 0, count: wanted.count * size)
    for (k, row) in wanted.enumerated() { rows[k * size + row] = 1 }
    try checkMemory()
    for l in 0..<size { solve(l) }
  }

  /// The places of the largest and of the smallest eigenvalue.
  var extremes: (largest: Int, smallest: Int) {
    var largest = 0, smallest = 0
    for i in 1..<max(1, size) {
      if values[i] > values[largest] { largest = i }
      if values[i] < values[smallest] { smallest = i }
    }
    return (largest, smallest)
  }

  /// Makes the element below the diagonal at l vanish.
  private mutating func solve(_ l: Int) {
    // Two or three rounds do; a bound keeps NaN from going round for ever.
    for _ in 0..<60 {
      var m = l
      while m < size - 1 {
        let scale = values[m].magnitude + values[m + 1].magnitude
        if below[m].magnitude <= 0x1p-53 * scale { break }
        m += 1
      }
      if m == l { return }
      round(l, m)
    }
  }

  private mutating func round(_ l: Int, _ m: Int) {
    var g = (values[l + 1] - values[l]) / (2 * below[l])
    var r = Tridiagonal.hypotenuse(g, 1)
    g = values[m] - values[l] + below[l] / (g + (g < 0 ? -r : r))
    var s = 1.0, c = 1.0, p = 0.0
    var i = m - 1
    while i >= l {
      let f = s * below[i], b = c * below[i]
      r = Tridiagonal.hypotenuse(f, g)
      below[i + 1] = r
      if r == 0 {
        values[i + 1] -= p
        below[m] = 0
        return
      }
      s = f / r
      c = g / r
      g = values[i + 1] - p
      r = (values[i] - g) * s + 2 * c * b
      p = s * r
      values[i + 1] = g + p
      g = c * r - b
      var row = 0
      while row < rows.count {
        let y = rows[row + i + 1]
        rows[row + i + 1] = s * rows[row + i] + c * y
        rows[row + i] = c * rows[row + i] - s * y
        row += size
      }
      i -= 1
    }
    values[l] -= p
    below[l] = g
    below[m] = 0
  }

  private static func hypotenuse(_ a: Double, _ b: Double) -> Double {
    let (large, small) = (max(a.magnitude, b.magnitude), min(a.magnitude, b.magnitude))
    if large == 0 { return 0 }
    let share = small / large
    return large * (1 + share * share).squareRoot()
  }
}
