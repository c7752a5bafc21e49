import CRavine
import Kernels
import Testing

@testable import Ravine

/// The normal distribution, and what initializers make of it.
struct InitTests {
  // MARK: the normal distribution (values of mpmath)

  @Test func quantilesAreThoseOfMpmath() {
    let known: [(p: Double, x: Double)] = [
      (0x1p-54, -8.2923610758135955382), (1e-12, -7.0344838253011319326),
      (1e-05, -4.2648907939228246102), (0.001, -3.0902323061678135354),
      (0.02425, -1.9729610513118848376), (0.074, -1.4466320671589785099),
      (0.0751, -1.4388253927525399824), (0.2, -0.84162123357291416552),
      (0.4999, -0.00025066283008800749239), (0.5000001, 2.5066282733116483012e-7),
      (0.6, 0.25334710313579974132), (0.9, 1.2815515655446005935),
      (0.975, 1.9599639845400538556), (1 - 0x1p-30, 6.0093535655307438932),
      (1e-300, -37.047096299361199237),
    ]
    for (p, x) in known {
      // The probability itself has a last bit, which weighs more where x hardly depends on it.
      let given = p.ulp / (2 * Math.normalDensity(x)) * (p > 0.5 ? 1 : 0)
      #expect(abs(Math.normalQuantile(p) - x) <= 4e-15 * abs(x) + given, "\(p)")
    }
  }

  @Test func centredQuantilesAreSymmetric() {
    for k in 0..<2000 {
      let q = (Double(k) + 0.5) / 4000
      let x = Math.normalQuantile(centred: q)
      #expect(x > 0 && Math.normalQuantile(centred: -q) == -x)
    }
    #expect(Math.normalQuantile(centred: 0.5 - 0x1p-54) == -Math.normalQuantile(0x1p-54))
  }

  @Test func cumulativeProbabilitiesAreThoseOfMpmath() {
    let known: [(x: Double, p: Double)] = [
      (-37.5, 4.6053530095819548438e-308), (-10, 7.619853024160526066e-24),
      (-5.5, 1.8989562465887719384e-8), (-3.0001, 0.0013494549132607171712),
      (-3, 0.0013498980316300945267), (-2.999, 0.0013543365337271061616),
      (-1, 0.15865525393145705141), (-0.1, 0.46017216272297101633), (0, 0.5),
      (1e-09, 0.5000000003989422804), (0.5, 0.69146246127401310364),
      (2, 0.9772498680518207928), (3.5, 0.99976737092096447496), (8, 0.9999999999999993779),
    ]
    for (x, p) in known {
      #expect(abs(Math.normalCumulative(x) - p) <= (x < -3 ? 2e-13 * p : 5e-16), "\(x)")
    }
  }

  // MARK: numbers

  @Test func numbersDependOnTheirPlaceAlone() {
    let random = Philox(key: 5)
    var whole = [Double](repeating: 0, count: 100)
    whole.withUnsafeMutableBufferPointer { random.normals(0, 100, $0.baseAddress!) }
    for (first, count) in [(0, 1), (1, 1), (1, 2), (3, 50), (98, 2), (99, 1)] {
      var part = [Double](repeating: 0, count: count)
      part.withUnsafeMutableBufferPointer { random.normals(first, count, $0.baseAddress!) }
      #expect(part == Array(whole[first..<first + count]))
    }
  }

  /// Moments of n numbers, in standard deviations of what chance makes of them: those of the k-th
  /// power of a normal number are known.
  @Test func normalNumbersHaveTheirMoments() throws {
    let n = 2_000_000
    let x = try filled("normal", [Int64(n)])
    for (k, moment, variance) in [(1, 0.0, 1.0), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)]
    {
      let mean = x.reduce(0.0) { sum, x in sum + (0..<k).reduce(1.0) { p, _ in p * x } } / Double(n)
      #expect(abs(mean - moment) < 4 * (variance / Double(n)).squareRoot(), "moment \(k): \(mean)")
    }
    let tails = x.filter { abs($0) > 4 }.count  // 126.7 are expected
    #expect(tails > 80 && tails < 175)
    let neighbours = (1..<n).reduce(0.0) { $0 + x[$1] * x[$1 - 1] } / Double(n)
    #expect(abs(neighbours) < 4 / Double(n).squareRoot())
  }

  @Test func uniformNumbersAreEverywhereEquallyOften() throws {
    let n = 200_000
    var counts = [Int](repeating: 0, count: 100)
    for x in try filled("uniform(-3, 1)", [Int64(n)]) {
      #expect(x > -3 && x < 1)
      counts[Int((x + 3) * 25)] += 1
    }
    let chi = counts.reduce(0.0) { $0 + (Double($1) - 2000) * (Double($1) - 2000) / 2000 }
    #expect(abs(chi - 99) < 4 * (2.0 * 99).squareRoot())
  }

  @Test(arguments: [(-2.0, 2.0), (-0.5, 3), (2, 5), (-6, -2), (-8, 8), (4, 4.5)])
  func correctedTruncationHasMeanAndDeviation(_ low: Double, _ high: Double) throws {
    let x = try filled("truncated_normal(2, 1, \(low), \(high), corrected=true)", [300_000])
    let (mean, deviation) = moments(x)
    #expect(abs(mean - 1) < 5 * 2 / 300_000.0.squareRoot(), "\(mean)")
    #expect(abs(deviation - 2) < 0.02, "\(deviation)")
    let plain = try filled("truncated_normal(2, 1, \(low), \(high))", [300_000])
    #expect(plain.allSatisfy { $0 >= 1 + 2 * low && $0 <= 1 + 2 * high })
    let truncated = Truncated(low, high)
    #expect(abs(moments(plain).mean - (1 + 2 * truncated.mean)) < 0.02)
  }

  // MARK: matrices

  @Test(arguments: [(1, 1), (1, 7), (7, 1), (31, 32), (33, 32), (100, 65), (65, 100), (127, 127)])
  func orthogonalMatricesAreOrthogonal(_ rows: Int, _ columns: Int) throws {
    let q = try filled("orthogonal", [Int64(rows), Int64(columns)])
    let short = min(rows, columns), long = max(rows, columns)
    func at(_ vector: Int, _ i: Int) -> Double {
      rows >= columns ? q[i * columns + vector] : q[vector * columns + i]
    }
    for a in 0..<short {
      for b in 0...a {
        let product = (0..<long).reduce(0.0) { $0 + at(a, $1) * at(b, $1) }
        #expect(abs(product - (a == b ? 1 : 0)) < 1e-14, "\(a) \(b)")
      }
    }
  }

  /// Over all orthogonal matrices alike: each element has mean 0 and mean square 1/n, the trace of a
  /// square one mean 0 and mean square 1, and both signs of the determinant come equally often.
  @Test func orthogonalMatricesAreUniform() throws {
    let n = 3, draws = 4000
    var squares = [Double](repeating: 0, count: 9), means = squares, traces = 0.0, positive = 0
    for seed in 0..<draws {
      let q = try filled("orthogonal", [3, 3], seed: UInt64(seed))
      for i in 0..<9 { (means[i], squares[i]) = (means[i] + q[i], squares[i] + q[i] * q[i]) }
      traces += (q[0] + q[4] + q[8]) * (q[0] + q[4] + q[8])
      let determinant =
        q[0] * (q[4] * q[8] - q[5] * q[7]) - q[1] * (q[3] * q[8] - q[5] * q[6])
        + q[2] * (q[3] * q[7] - q[4] * q[6])
      #expect(abs(abs(determinant) - 1) < 1e-14)
      positive += determinant > 0 ? 1 : 0
    }
    let noise = 4.5 / Double(draws).squareRoot()
    for i in 0..<9 {
      #expect(abs(means[i] / Double(draws)) < noise / Double(n).squareRoot(), "\(i)")
      #expect(abs(squares[i] / Double(draws) - 1 / Double(n)) < noise * 0.3, "\(i)")
    }
    #expect(abs(traces / Double(draws) - 1) < noise * 2)
    #expect(abs(Double(positive) / Double(draws) - 0.5) < noise / 2)
  }

  @Test func fansCountTheKernel() throws {
    func std(_ recipe: String, _ shape: [Int64]) throws -> Double {
      moments(try filled(recipe, shape)).deviation
    }
    let shape: [Int64] = [40, 50, 3, 7]
    #expect(abs(try std("lecun", shape) * (50 * 21).squareRoot() - 1) < 0.02)
    #expect(abs(try std("lecun(layout=keras)", shape) * (3 * 2000).squareRoot() - 1) < 0.02)
    #expect(abs(try std("variance_scaling(1, out)", shape) * (40 * 21).squareRoot() - 1) < 0.02)
    #expect(abs(try std("glorot", shape) * (45 * 21).squareRoot() - 1) < 0.02)
    #expect(
      abs(try std("variance_scaling(1, geo)", shape) * (2000.0.squareRoot() * 21).squareRoot() - 1)
        < 0.02)
  }

  @Test func sparseZeroesThePromisedShareOfEachInput() throws {
    for (layout, inputFirst) in [("torch", false), ("keras", true)] {
      let (outputs, inputs) = (11, 7)
      let shape = inputFirst ? [Int64(inputs), Int64(outputs)] : [Int64(outputs), Int64(inputs)]
      let x = try filled("sparse(0.5, layout=\(layout))", shape)
      for i in 0..<inputs {
        let zeros = (0..<outputs).filter { o in
          x[inputFirst ? i * outputs + o : o * inputs + i] == 0
        }
        #expect(zeros.count == 6)
      }
    }
  }

  // MARK: helpers

  private func filled(_ recipe: String, _ shape: [Int64], seed: UInt64 = 1) throws -> [Double] {
    var out = [Double](repeating: .nan, count: Int(shape.reduce(1, *)))
    try out.withUnsafeMutableBytes { out in
      try shape.withUnsafeBufferPointer { shape in
        try "w".withCString { name in
          try initialize(
            Array(recipe.utf8), seed: seed,
            TensorDescription(
              name: name, data: out.baseAddress, grad: nil, type: RVN_F64, gradType: 0,
              rank: Int32(shape.count), shape: shape.baseAddress), Options())
        }
      }
    }
    return out
  }

  private func moments(_ x: [Double]) -> (mean: Double, deviation: Double) {
    let mean = x.reduce(0, +) / Double(x.count)
    let square = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
    return (mean, square.squareRoot())
  }
}
