import CRavine
import CShims
import Testing

@testable import Kernels
@testable import Ravine

/// The numerical parts of the checks on demand, apart from the functions that they are for.
struct ChecksTests {
  // MARK: eigenvalues

  @Test func theSecondDifferenceHasItsKnownEigenvalues() throws {
    for n in 1...40 {
      let t = try Tridiagonal(
        diagonal: [Double](repeating: 2, count: n),
        offDiagonal: [Double](repeating: -1, count: n - 1), rows: 0..<n)
      let found = t.values.sorted()
      for k in 0..<n {
        let wanted = 2 - 2 * Math.cos(Double(k + 1) * .pi / Double(n + 1))
        #expect(abs(found[k] - wanted) < 1e-14 * 8, "\(n) \(k)")
      }
      #expect(orthogonality(t.rows, n) < 1e-13)
      #expect(t.values[t.extremes.largest] == found[n - 1])
      #expect(t.values[t.extremes.smallest] == found[0])
    }
  }

  @Test func graduatedAndSplitMatricesKeepSmallEigenvalues() throws {
    let diagonal = [1e6, 1, 1e-6, 3, 3], off = [1e-3, 1e-9, 0, 0]
    let t = try Tridiagonal(diagonal: diagonal, offDiagonal: off, rows: 4..<5)
    #expect(abs(t.values.sorted()[0] - 1e-6) < 1e-12)
    #expect(t.rows.reduce(0) { $0 + $1 * $1 } == 1)
    let nothing = try Tridiagonal(diagonal: [0, 0], offDiagonal: [0], rows: 0..<0)
    #expect(nothing.values == [0, 0])
  }

  /// How far rows are from orthonormal.
  private func orthogonality(_ rows: [Double], _ n: Int) -> Double {
    var worst = 0.0
    for i in 0..<n {
      for j in 0...i {
        var dot = 0.0
        for k in 0..<n { dot += rows[i * n + k] * rows[j * n + k] }
        worst = max(worst, abs(dot - (i == j ? 1 : 0)))
      }
    }
    return worst
  }

  // MARK: noise of a loss

  @Test func theNoiseOfALossIsMeasured() throws {
    for (noise, low, high) in [(0.0, 1e-16, 1e-14), (1e-9, 1e-10, 3e-9), (1e-4, 1e-5, 3e-4)] {
      let model = Noisy(noise)
      let found = try model.measure()
      #expect(found > low && found < high, "\(noise) is told as \(found)")
    }
  }

  /// sum of sin(x), with noise of a given standard deviation.
  private final class Noisy {
    var x: [Double] = (0..<20).map { 0.1 * Double($0) }
    var g = [Double](repeating: 0, count: 20)
    let size: Double
    var random = Random(state: 1)

    init(_ size: Double) { self.size = size }

    func measure() throws -> Double {
      try x.withUnsafeMutableBytes { x in
        try g.withUnsafeMutableBytes { g in
          let function = LossFunction(
            { user, _, loss in
              Unmanaged<Noisy>.fromOpaque(user!).takeUnretainedValue().value(loss!)
            }, Unmanaged.passUnretained(self).toOpaque(), mode: ravine_default_mode())
          let problem = Problem(function, ravine_allocator())
          data = x.bindMemory(to: Double.self)
          let shape: [Int64] = [20]
          try shape.withUnsafeBufferPointer { shape in
            try "x".withCString { name in
              try problem.add(
                TensorDescription(
                  name: name, data: x.baseAddress, grad: g.baseAddress, type: RVN_F64, gradType: 0,
                  rank: 1, shape: shape.baseAddress))
            }
          }
          let first = try problem.loss(gradient: true)
          return try LossNoise.measure(problem, first, again: first, Philox(key: 1)).deviation
        }
      }
    }

    private var data = UnsafeMutableBufferPointer<Double>(start: nil, count: 0)

    private func value(_ loss: UnsafeMutablePointer<Double>) -> Int32 {
      var sum = 0.0
      for value in data { sum += Math.sin(value) }
      // Uniform: the deviation is the range by the root of 12.
      loss.pointee = sum + size * 12.0.squareRoot() * (random.unit() - 0.5)
      return 0
    }
  }
}
