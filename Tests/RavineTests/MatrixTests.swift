import CShims
import Kernels
import Testing

@testable import Ravine

/// Products of matrices, to the last bit, on every instruction set of this machine; Newton-Schulz.
struct MatrixTests {
  struct Shape: CustomTestStringConvertible {
    let rows, columns, depth: Int
    var testDescription: String { "\(rows) x \(depth) times \(depth) x \(columns)" }
  }

  static let shapes = [
    (1, 1, 1), (1, 17, 5), (17, 1, 257), (13, 31, 256), (24, 64, 64), (97, 18, 300),
    (37, 34, 513),
    (5, 515, 3), (2, 1030, 3), (3, 4, 0), (12, 32, 256), (101, 67, 41), (96, 512, 3),
  ].map { Shape(rows: $0.0, columns: $0.1, depth: $0.2) }

  /// The kernels of each instruction set.
  nonisolated(unsafe) private static let sets: [ravine_kernels] = (try? Sets().all) ?? []

  private struct Sets {
    var all: [ravine_kernels] = []

    init() throws {
      let heap = Heap(ravine_allocator())
      _ = Unmanaged.passRetained(heap)  // the tables live as long as the process
      for level: Int32 in [0, 3, 4] where level <= ravine_isa_level() {
        all.append(try makeKernels(level, heap))
      }
    }
  }

  // MARK: products

  /// The definition, one number at a time.
  private func definition<T: BinaryFloatingPoint>(
    _ s: Shape, _ a: [T], _ b: [T], _ d: [T], _ alpha: Double, _ beta: Double
  ) -> [T] {
    var c = [T](repeating: 0, count: s.rows * s.columns)
    for i in 0..<s.rows {
      for j in 0..<s.columns {
        var first = 0, value = beta == 0 ? 0 : T(beta) * d[i * s.columns + j]
        repeat {
          var sum: T = 0
          for k in first..<min(first + MatrixProduct.depthOfPart, s.depth) {
            sum += a[i * s.depth + k] * b[k * s.columns + j]
          }
          value = first == 0 && beta == 0 ? T(alpha) * sum : T(alpha) * sum + value
          first += MatrixProduct.depthOfPart
        } while first < s.depth
        c[i * s.columns + j] = value
      }
    }
    return c
  }

  private func product<T: BinaryFloatingPoint>(
    _ s: Shape, _ a: [T], _ b: [T], _ d: [T], _ alpha: Double, _ beta: Double, threads: Int,
    transposed: (Bool, Bool) = (false, false), symmetric: Bool = false, _ kernels: ravine_kernels
  ) throws -> [T] {
    let wide = MemoryLayout<T>.size == 8 ? 1 : 0
    let size = MatrixProduct.workspace(
      columns: s.columns, depth: s.depth, wide: wide, threads: threads, kernels)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size + 64, alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0xff, count: size + 64)
    var c = [T](repeating: .nan, count: s.rows * s.columns)
    var options = Options()
    options.threads = threads
    try a.withUnsafeBytes { a in
      try b.withUnsafeBytes { b in
        try d.withUnsafeBytes { d in
          try c.withUnsafeMutableBytes { c in
            func matrix(_ base: UnsafeRawPointer, _ rows: Int, _ columns: Int, _ flip: Bool)
              -> Matrix
            {
              flip ? Matrix(base, columns: rows).transposed : Matrix(base, columns: columns)
            }
            let none = UnsafeRawPointer(memory)
            let out = c.baseAddress ?? memory
            // d may be c.
            if beta != 0, alpha == 1, let from = d.baseAddress { memcpy(out, from, d.count) }
            try MatrixProduct(
              rows: s.rows, columns: s.columns, depth: s.depth, wide: wide, alpha: alpha,
              beta: beta, symmetric: symmetric,
              a: matrix(a.baseAddress ?? none, s.rows, s.depth, transposed.0),
              b: matrix(b.baseAddress ?? none, s.depth, s.columns, transposed.1),
              d: alpha == 1 ? UnsafeRawPointer(out) : d.baseAddress ?? none, c: out,
              workspace: memory, kernels: kernels
            ).run(threads: threads, options)
          }
        }
      }
    }
    for i in size..<size + 64 { #expect(memory.load(fromByteOffset: i, as: UInt8.self) == 0xff) }
    return c
  }

  private func flipped<T>(_ x: [T], columns: Int) -> [T] {
    (0..<x.count).map {
      x[$0 % max(1, x.count / columns) * columns + $0 / max(1, x.count / columns)]
    }
  }

  private func numbers<T: BinaryFloatingPoint>(_ count: Int, _ seed: UInt64) -> [T] {
    var random = Random(state: seed)
    return (0..<count).map { _ in T(random.unit() - 0.5) }
  }

  private func check<T: BinaryFloatingPoint>(_: T.Type, _ s: Shape) throws {
    let a: [T] = numbers(s.rows * s.depth, 1), b: [T] = numbers(s.depth * s.columns, 2)
    let d: [T] = numbers(s.rows * s.columns, 3)
    let (turnedA, turnedB) = (flipped(a, columns: s.depth), flipped(b, columns: s.columns))
    for (alpha, beta) in [(1.0, 0.0), (0.3, -1.7), (1, 0.5)] {
      let wanted = definition(s, a, b, d, alpha, beta)
      for kernels in Self.sets {
        for (threads, flips) in [
          (1, (false, false)), (3, (false, false)), (2, (true, false)), (1, (false, true)),
          (2, (true, true)),
        ] {
          let c = try product(
            s, flips.0 ? turnedA : a, flips.1 ? turnedB : b, d, alpha, beta, threads: threads,
            transposed: flips, kernels)
          #expect(c == wanted, "\(alpha) \(beta) \(threads) \(flips)")
        }
      }
    }
  }

  @Test(arguments: shapes) func productsAreTheDefinitionInFloat(_ s: Shape) throws {
    try check(Float.self, s)
  }

  @Test(arguments: shapes) func productsAreTheDefinitionInDouble(_ s: Shape) throws {
    try check(Double.self, s)
  }

  @Test(arguments: [1, 2, 31, 96, 97, 200, 530]) func symmetricOnesNeedHalf(_ n: Int) throws {
    let s = Shape(rows: n, columns: n, depth: 9)
    let a: [Float] = numbers(n * 9, 4)
    let wanted = definition(s, a, flipped(a, columns: 9), [], 0.7, 0)
    for kernels in Self.sets {
      let c = try product(
        s, a, flipped(a, columns: 9), [Float](), 0.7, 0, threads: 2, symmetric: true, kernels)
      #expect(c == wanted)
    }
  }

  /// What is not a number goes through; where beta is 0, d does not count.
  @Test func specialNumbersGoThrough() throws {
    let s = Shape(rows: 3, columns: 40, depth: 2)
    let a: [Float] = [1, .infinity, 0, 1, .nan, 1], b = [Float](repeating: 2, count: 80)
    for kernels in Self.sets {
      let d = [Float](repeating: .nan, count: 120)
      let c = try product(s, a, b, d, 0.5, 0, threads: 1, kernels)
      #expect(c[0] == .infinity && c[39] == .infinity && c[40] == 1 && c[80].isNaN)
    }
  }

  // MARK: Newton-Schulz

  private static let muon = Orthogonalization(
    steps: 5, a: 3.4445, b: -4.7750, c: 2.0315, eps: 1e-7, floored: false)

  private func orthogonalized<T: BinaryFloatingPoint>(
    _ g: [T], _ rows: Int, _ columns: Int, threads: Int, _ kernels: ravine_kernels,
    _ options: Options = Options(), _ settings: Orthogonalization = Self.muon
  ) throws -> [T] {
    let iteration = NewtonSchulz(
      settings, rows: rows, columns: columns, wide: T.self == Double.self ? 1 : 0,
      threads: threads, kernels)
    let size = iteration.workspace
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size + 64, alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0xff, count: size + 64)
    var out = [T](repeating: .nan, count: g.count)
    let bytes = g.count * MemoryLayout<T>.size
    g.withUnsafeBytes { if let from = $0.baseAddress { memcpy(memory, from, bytes) } }
    let result = try iteration.run(memory, options)
    out.withUnsafeMutableBytes { if let to = $0.baseAddress { memcpy(to, result, bytes) } }
    for i in size..<size + 64 { #expect(memory.load(fromByteOffset: i, as: UInt8.self) == 0xff) }
    return out
  }

  /// The same in Double, plainly.
  private func reference<T: BinaryFloatingPoint>(_ g: [T], _ rows: Int, _ columns: Int) -> [Double]
  {
    func times(_ a: [Double], _ b: [Double], _ m: Int, _ k: Int, _ n: Int) -> [Double] {
      var c = [Double](repeating: 0, count: m * n)
      for i in 0..<m {
        for l in 0..<k { for j in 0..<n { c[i * n + j] += a[i * k + l] * b[l * n + j] } }
      }
      return c
    }
    let norm = g.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() + 1e-7
    let turned = rows > columns
    let (m, n) = turned ? (columns, rows) : (rows, columns)
    var x = (turned ? flipped(g, columns: columns) : g).map { Double($0) / norm }
    for _ in 0..<5 {
      let a = times(x, flipped(x, columns: n), m, n, m)
      let b = zip(a, times(a, a, m, m, m)).map { -4.7750 * $0 + 2.0315 * $1 }
      x = zip(x, times(b, x, m, m, n)).map { 3.4445 * $0 + $1 }
    }
    return turned ? flipped(x, columns: n) : x
  }

  @Test(arguments: [
    (1, 1), (1, 40), (40, 1), (2, 3), (3, 2), (7, 7), (13, 101), (101, 13), (53, 49), (32, 32),
    (98, 130),
  ])
  func newtonSchulzIsTheIteration(_ rows: Int, _ columns: Int) throws {
    let g: [Float] = numbers(rows * columns, 7)
    let wanted = reference(g, rows, columns)
    let first = try orthogonalized(g, rows, columns, threads: 1, Self.sets[0])
    for (ours, theirs) in zip(first, wanted) { #expect(abs(Double(ours) - theirs) < 2e-4) }
    for kernels in Self.sets {
      for threads in [1, 3] {
        let again = try orthogonalized(g, rows, columns, threads: threads, kernels)
        #expect(again == first)
      }
      if rows == columns { continue }
      // A matrix on its side is worked on as if it were upright.
      let side = try orthogonalized(
        flipped(g, columns: columns), columns, rows, threads: 2, kernels)
      #expect(side == flipped(first, columns: columns))
    }
  }

  @Test func inDoubleItIsTheIterationToTheLastDigits() throws {
    for (rows, columns) in [(1, 1), (3, 40), (40, 3), (33, 33)] {
      let g: [Double] = numbers(rows * columns, 7)
      let wanted = reference(g, rows, columns)
      let first = try orthogonalized(g, rows, columns, threads: 1, Self.sets[0])
      for (ours, theirs) in zip(first, wanted) { #expect(abs(ours - theirs) < 1e-13) }
      for kernels in Self.sets {
        #expect(try orthogonalized(g, rows, columns, threads: 3, kernels) == first)
      }
    }
  }

  /// The divisor, the number of steps and the coefficients are what they are told to be.
  @Test func settingsHold() throws {
    let kernels = try Catalog.shared().kernels
    func run(_ g: [Double], _ steps: Int, _ eps: Double, _ floored: Bool) throws -> [Double] {
      try orthogonalized(
        g, 1, 2, threads: 1, kernels, Options(),
        Orthogonalization(steps: steps, a: 2, b: -1, c: 0, eps: eps, floored: floored))
    }
    #expect(try run([3, 4], 0, 1, true) == [3 * (1 / 5), 4 * (1 / 5)])
    #expect(try run([3, 4], 0, 10, true) == [3 * (1 / 10), 4 * (1 / 10)])
    #expect(try run([3, 4], 0, 3, false) == [3.0 / 8, 4.0 / 8])
    // x (2 - |x|^2)
    #expect(try run([3, 4], 1, 3, false) == [0.375 * (2 - 0.390625), 0.5 * (2 - 0.390625)])
    #expect(try run([.nan, 4], 1, 3, true).allSatisfy { $0.isNaN })
    #expect(try run([0, 0], 5, 1e-30, true) == [0, 0])
  }

  /// The host's product gets what BLAS wants, and its numbers come out.
  @Test(arguments: [(1, 1), (1, 9), (9, 1), (5, 12), (12, 5), (20, 20)])
  func theProductOfTheHostIsUsed(_ rows: Int, _ columns: Int) throws {
    let kernels = try Catalog.shared().kernels
    let g: [Float] = numbers(rows * columns, 8)
    var options = Options(), calls = 0
    options.product = { user, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc in
      guard let user, let a, let b, let c else { return 1 }
      user.assumingMemoryBound(to: Int.self).pointee += 1
      if lda < max(1, ta == 1 ? m : k) || ldb < max(1, tb == 1 ? k : n) || ldc < n { return 2 }
      for i in 0..<m {
        for j in 0..<n {
          var sum: Float = 0
          for l in (0..<k).reversed() {
            sum +=
              (ta == 1 ? a[l * lda + i] : a[i * lda + l])
              * (tb == 1 ? b[j * ldb + l] : b[l * ldb + j])
          }
          c[i * ldc + j] = alpha * sum + (beta == 0 ? 0 : beta * c[i * ldc + j])
        }
      }
      return 0
    }
    let own = try orthogonalized(g, rows, columns, threads: 1, kernels)
    try withUnsafeMutablePointer(to: &calls) {
      options.productUser = UnsafeMutableRawPointer($0)
      let hosts = try orthogonalized(g, rows, columns, threads: 2, kernels, options)
      for (x, y) in zip(own, hosts) { #expect(abs(x - y) < 2e-4) }
    }
    #expect(calls == 15)
  }

  /// The author's function in Float64 (numpy), on the first prime numbers.
  @Test func newtonSchulzHasTheAuthorsNumbers() throws {
    let primes: [Float] = [2, 3, 5, 7, 11, 13]
    for kernels in Self.sets {
      for (shape, wanted) in Self.known {
        let ours = try orthogonalized(
          Array(primes.prefix(shape.0 * shape.1)), shape.0, shape.1, threads: 1, kernels)
        for (x, y) in zip(ours, wanted) { #expect(abs(Double(x) - y) < 2e-5, "\(shape)") }
      }
    }
  }

  private static let known: [((Int, Int), [Double])] = [
    ((1, 1), [0.6964364609132279]),
    (
      (1, 5),
      [
        0.09657835423711347, 0.1448675313556702, 0.24144588559278346, 0.3380242398298967,
        0.5311809483041237,
      ]
    ),
    (
      (5, 1),
      [
        0.09657835423711347, 0.1448675313556702, 0.24144588559278346, 0.3380242398298967,
        0.5311809483041237,
      ]
    ),
    ((2, 2), [-0.4514190352391043, 0.6488042240988228, 0.6251054394911635, 0.34477450450463665]),
    (
      (2, 3),
      [
        -0.14638215818245892, -0.3329961538752444, 0.6548508539578588, 0.32415645629787115,
        0.5417952646399562, 0.31034591900633046,
      ]
    ),
    (
      (3, 2),
      [
        -0.3074390551730372, 0.41593692755586964, -0.4162273892469195, 0.7356059985065804,
        0.7756769373480075, 0.15799885887562803,
      ]
    ),
  ]

  @Test func singularValuesComeNearOne() throws {
    // Diagonal: the singular values are what stands there.
    let n = 50
    var g = [Float](repeating: 0, count: n * n)
    for i in 0..<n { g[i * n + i] = 1 + Float(i) / 10 }
    let kernels = try Catalog.shared().kernels
    let x = try orthogonalized(g, n, n, threads: 2, kernels)
    for i in 0..<n { #expect(x[i * n + i] > 0.65 && x[i * n + i] < 1.25) }
    #expect((0..<n * n).allSatisfy { $0 % (n + 1) == 0 || abs(x[$0]) < 1e-5 })
  }

  @Test func zerosStayZeroAndScaleDoesNotCount() throws {
    let kernels = try Catalog.shared().kernels
    let zeros = try orthogonalized([Float](repeating: 0, count: 12), 3, 4, threads: 1, kernels)
    #expect(zeros.allSatisfy { $0 == 0 })
    let g: [Float] = numbers(35, 9)
    let one = try orthogonalized(g, 5, 7, threads: 1, kernels)
    let large = try orthogonalized(g.map { $0 * 0x1p80 }, 5, 7, threads: 1, kernels)
    for (x, y) in zip(one, large) { #expect(abs(x - y) < 1e-5) }
    #expect(try orthogonalized([Float](), 0, 4, threads: 1, kernels).isEmpty)
  }
}
