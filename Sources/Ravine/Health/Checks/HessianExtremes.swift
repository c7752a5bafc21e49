import CRavine
import CShims
import Kernels

public struct HessianOptions {
  /// How many products with the Hessian at most; 0: 32.
  public var iterations: UInt64 = 0
  /// When to stop: the residual as a share of the largest eigenvalue in size; 0: 1e-3.
  public var tolerance = 0.0
  /// Length of the step to each side, as a share of 1 + |x|; 0: from the types.
  public var step = 0.0
  public var seed: UInt64 = 0
  /// One array for each tensor, of its type: P of P^-1/2 H P^-1/2; nil: ones.
  public var preconditioner: UnsafePointer<UnsafeRawPointer?>?
  /// Receive the eigenvectors: one array for each tensor, of its type.
  public var largestVector: UnsafePointer<UnsafeMutableRawPointer?>?
  public var smallestVector: UnsafePointer<UnsafeMutableRawPointer?>?

  public init() {}
}

public struct HessianReport {
  public var largest = 0.0
  public var smallest = 0.0
  /// An eigenvalue is no further off than this, if products with the Hessian are exact.
  public var largestResidual = 0.0
  public var smallestResidual = 0.0
  /// How far products with the Hessian are from being those of a symmetric matrix: rounding, kinks.
  public var asymmetry = 0.0
  public var loss = 0.0
  public var gradientNorm = 0.0
  public var iterations: UInt64 = 0
  public var evaluations: UInt64 = 0
  /// Bytes that were taken for vectors, the copy of the parameters included.
  public var bytes: UInt64 = 0
  public var converged = false
}

/// The largest and the smallest eigenvalue of the Hessian of a loss, or of P^-1/2 H P^-1/2, by the
/// Lanczos method with full re-orthogonalisation. Products with the Hessian are differences of the
/// gradient.
public final class HessianExtremes {
  private let problem: Problem
  private let options: HessianOptions
  private let count: Int
  private let step: Double
  /// The Lanczos vectors.
  private var basis: Table<UnsafeMutablePointer<Double>>
  private var diagonal: [Double] = []
  private var offDiagonal: [Double] = []
  private var report = HessianReport()

  static var mostIterations: UInt64 { 1000 }

  public static func run(
    _ problem: Problem, _ options: HessianOptions
  ) throws(RavineError) -> HessianReport {
    try check(problem, options)
    defer { problem.restore() }
    let run = HessianExtremes(problem, options)
    try checkMemory()
    try run.solve()
    return run.report
  }

  private static func check(_ problem: Problem, _ o: HessianOptions) throws(RavineError) {
    guard o.iterations <= mostIterations else {
      throw .argument(
        "iterations is \(o.iterations); 1 to \(mostIterations) are allowed, and 0 is 32")
    }
    guard o.tolerance >= 0, o.tolerance < 1 else {
      throw .argument("tolerance is \(o.tolerance); above 0 to below 1 is allowed, and 0 is 0.001")
    }
    guard o.step >= 0, o.step <= 1 else {
      throw .argument("step is \(o.step); above 0 to 1 is allowed, and 0 chooses it")
    }
    try problem.needGradients()
    for k in 0..<problem.count where problem[k].gradient != nil && problem[k].count > 0 {
      let part = problem[k]
      if let given = o.preconditioner {
        guard let array = given[k] else {
          throw .argument("the preconditioner of tensor '\(part.tensor.text)' is NULL")
        }
        let p = Reals(array, wide: part.now.wide)
        for i in 0..<part.count where !(p[i] > 0 && p[i] < .infinity) {
          throw .argument(
            "the preconditioner of tensor '\(part.tensor.text)' is \(p[i]) at index \(i), but must be above 0"
          )
        }
      }
      if lacks(o.largestVector, k) || lacks(o.smallestVector, k) {
        throw .argument("the array for the eigenvector of tensor '\(part.tensor.text)' is NULL")
      }
    }
  }

  private static func lacks(
    _ arrays: UnsafePointer<UnsafeMutableRawPointer?>?, _ k: Int
  ) -> Bool {
    guard let arrays else { return false }
    return arrays[k] == nil
  }

  private init(_ problem: Problem, _ options: HessianOptions) {
    self.problem = problem
    self.options = options
    count = problem.variables
    basis = Table(problem.heap)
    var single = false, squares = 0.0
    for k in 0..<problem.count {
      let part = problem[k]
      report.bytes += UInt64(part.bytes)
      guard part.gradient != nil else { continue }
      single = single || part.single
      for i in 0..<part.count { squares += part.was[i] * part.was[i] }
    }
    // The cube root of the rounding error: where truncation and rounding weigh about the same.
    let share = options.step > 0 ? options.step : single ? 0x1p-8 : 0x1p-17
    step = share * (1 + squares.squareRoot())
  }

  // MARK: vectors

  private func vector() throws(RavineError) -> UnsafeMutablePointer<Double> {
    let memory = try problem.heap.allocate(Double.self, count)
    report.bytes += UInt64(8 * count)
    return memory
  }

  private func dot(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>) -> Double {
    var sum = 0.0
    for i in 0..<count { sum += a[i] * b[i] }
    return sum
  }

  private func add(
    _ factor: Double, _ a: UnsafePointer<Double>, to b: UnsafeMutablePointer<Double>
  ) {
    for i in 0..<count { b[i] += factor * a[i] }
  }

  private func scale(_ a: UnsafeMutablePointer<Double>, by factor: Double) {
    for i in 0..<count { a[i] *= factor }
  }

  // MARK: products with the Hessian

  /// 1 / sqrt(p), where there is a preconditioner.
  private func inverseRoot(_ k: Int, _ i: Int) -> Double {
    guard let array = options.preconditioner?[k] else { return 1 }
    return 1 / Reals(array, wide: problem[k].now.wide)[i].squareRoot()
  }

  /// Calls body with the part, its number, the element, and the element's place in vectors.
  private func each(_ body: (Part, Int, Int, Int) -> Void) {
    for k in 0..<problem.count {
      let part = problem[k]
      guard part.gradient != nil else { continue }
      for i in 0..<part.count { body(part, k, i, part.first + i) }
    }
  }

  private func gradient(at factor: Double, along v: UnsafePointer<Double>) throws(RavineError) {
    each { part, k, i, place in
      part.now[i] = part.was[i] + factor * inverseRoot(k, i) * v[place]
    }
    _ = try problem.loss(gradient: true)
    try needFinite()
  }

  private func needFinite() throws(RavineError) {
    for k in 0..<problem.count {
      let part = problem[k]
      guard let g = part.gradient, let i = g.firstNonfinite(part.count) else { continue }
      throw RavineError(
        RVN_ERR_NONFINITE, "the gradient of tensor '\(part.tensor.text)' is \(g[i]) at index \(i)")
    }
  }

  /// out = P^-1/2 H P^-1/2 v for a v of length 1.
  private func multiply(
    _ v: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Double>
  ) throws(RavineError) {
    var squares = 0.0
    each { _, k, i, place in
      let u = inverseRoot(k, i) * v[place]
      squares += u * u
    }
    let length = step / squares.squareRoot()
    try gradient(at: length, along: v)
    each { part, _, i, place in out[place] = part.gradient.unsafelyUnwrapped[i] }
    try gradient(at: -length, along: v)
    each { part, k, i, place in
      let difference = out[place] - part.gradient.unsafelyUnwrapped[i]
      out[place] = difference / (2 * length) * inverseRoot(k, i)
    }
    problem.restore()
  }

  // MARK: Lanczos

  private func solve() throws(RavineError) {
    report.loss = try problem.firstLoss(gradient: true)
    try needFinite()
    var squares = 0.0
    each { part, _, i, _ in
      let g = part.gradient.unsafelyUnwrapped[i]
      squares += g * g
    }
    report.gradientNorm = squares.squareRoot()
    try basis.append(try start())
    let most = min(Int(options.iterations == 0 ? 32 : options.iterations), count)
    while !report.converged && diagonal.count < most { try iterate() }
    try checkMemory()
    try writeVectors()
    report.evaluations = problem.evaluations
  }

  /// A random direction. Signs are as good as normal numbers here, and have length 1 for certain.
  private func start() throws(RavineError) -> UnsafeMutablePointer<Double> {
    let v = try vector(), random = Philox(seed: options.seed, .hessianStart)
    let size = 1 / Double(count).squareRoot()
    for i in 0..<count {
      // In 0.5 to 1.5 times a sign: signs alone could be orthogonal to an eigenvector of signs.
      let bits = random.block(UInt64(i)).low
      let sign = bits & 1 == 0 ? size : -size
      v[i] = sign * (0.5 + Double(bits >> 11) * 0x1p-53)
    }
    scale(v, by: 1 / dot(v, v).squareRoot())
    return v
  }

  private func iterate() throws(RavineError) {
    let k = diagonal.count, w = try vector()
    try multiply(basis[k], w)
    var expected = 0.0
    for round in 0..<2 {  // twice is enough
      for j in 0...k {
        let share = dot(basis[j], w)
        add(-share, basis[j], to: w)
        if j == k {
          if round == 0 { diagonal.append(share) } else { diagonal[k] += share }
        } else if round == 0 {
          expected = j == k - 1 ? offDiagonal[j] : 0
          report.asymmetry = max(report.asymmetry, (share - expected).magnitude)
        }
      }
    }
    let rest = dot(w, w).squareRoot()
    try judge(rest)
    if rest == 0 { report.converged = true }  // the vectors so far span all that there is
    if report.converged { return }
    offDiagonal.append(rest)
    scale(w, by: 1 / rest)
    try basis.append(w)
    try checkMemory()
  }

  /// What the vectors so far tell.
  private func judge(_ rest: Double) throws(RavineError) {
    let k = diagonal.count
    let t = try Tridiagonal(diagonal: diagonal, offDiagonal: offDiagonal, rows: (k - 1)..<k)
    let (high, low) = t.extremes
    report.iterations = UInt64(k)
    report.largest = t.values[high]
    report.smallest = t.values[low]
    let whole = k == count
    report.largestResidual = whole ? 0 : rest * t.rows[high].magnitude
    report.smallestResidual = whole ? 0 : rest * t.rows[low].magnitude
    let size = max(report.largest.magnitude, report.smallest.magnitude)
    let enough = (options.tolerance > 0 ? options.tolerance : 1e-3) * size
    // Few vectors may not have met the extremes yet.
    report.converged =
      whole || k >= 5 && max(report.largestResidual, report.smallestResidual) <= enough
  }

  private func writeVectors() throws(RavineError) {
    guard options.largestVector != nil || options.smallestVector != nil else { return }
    let k = diagonal.count
    let t = try Tridiagonal(diagonal: diagonal, offDiagonal: offDiagonal, rows: 0..<k)
    let (high, low) = t.extremes
    write(t, high, options.largestVector)
    write(t, low, options.smallestVector)
  }

  private func write(
    _ t: borrowing Tridiagonal, _ column: Int,
    _ arrays: UnsafePointer<UnsafeMutableRawPointer?>?
  ) {
    guard let arrays else { return }
    let k = diagonal.count
    for p in 0..<problem.count where problem[p].gradient != nil && problem[p].count > 0 {
      let part = problem[p], out = Reals(arrays[p].unsafelyUnwrapped, wide: part.now.wide)
      for i in 0..<part.count {
        var sum = 0.0
        for j in 0..<k { sum += t.rows[j * k + column] * basis[j][part.first + i] }
        out[i] = sum
      }
    }
  }
}
