import CRavine
import CShims
import Kernels

public struct GradientCheckOptions {
  /// How many elements of each tensor; 0: all.
  public var entries: UInt64 = 0
  /// How many random directions of each tensor, in place of elements.
  public var directions: UInt64 = 0
  public var seed: UInt64 = 0
  /// Relative step; 0: from the noise of the loss.
  public var step = 0.0
  /// Relative; 0: from the types.
  public var tolerance = 0.0

  public init() {}
}

/// Compares the gradient that a function gives with differences of its loss.
public struct GradientCheck {
  private let problem: Problem
  private let options: GradientCheckOptions
  private let loss, repeated: Double
  private let noise: LossNoise
  /// The analytic gradient, of all tensors that have one.
  private let gradient: UnsafeMutablePointer<Double>
  /// Its largest element.
  private var largest = 0.0

  /// What was found in all tensors, and in each. The parameters are put back whatever happens.
  public static func run(
    _ problem: Problem, _ options: GradientCheckOptions
  ) throws(RavineError) -> (all: GradientReport, each: UnsafeBufferPointer<GradientReport>) {
    try check(options)
    try problem.needGradients()
    defer { problem.restore() }
    return try GradientCheck(problem, options).all()
  }

  private static func check(_ o: GradientCheckOptions) throws(RavineError) {
    guard o.step >= 0, o.step <= 1 else {
      throw .argument("step is \(o.step); above 0 to 1 is allowed, and 0 chooses it")
    }
    guard o.tolerance >= 0, o.tolerance < 1 else {
      throw .argument("tolerance is \(o.tolerance); 0 to below 1 is allowed, and 0 chooses it")
    }
    guard o.entries == 0 || o.directions == 0 else {
      throw .argument("entries and directions: a check goes by elements or along directions")
    }
  }

  private init(_ problem: Problem, _ options: GradientCheckOptions) throws(RavineError) {
    self.problem = problem
    self.options = options
    gradient = try problem.heap.allocate(Double.self, problem.variables)
    loss = try problem.firstLoss(gradient: true)
    for k in 0..<problem.count {
      guard let given = problem[k].gradient else { continue }
      for i in 0..<problem[k].count { gradient[problem[k].first + i] = given[i] }
    }
    let again = try problem.loss(gradient: false)
    repeated = (again - loss).magnitude
    noise = try LossNoise.measure(
      problem, loss, again: again, Philox(seed: options.seed, .checkedEntries).child(UInt64.max))
    for k in 0..<problem.count { largest = max(largest, largest(problem[k])) }
  }

  /// The memory of the second result is the problem's.
  private func all() throws(RavineError) -> (
    all: GradientReport, each: UnsafeBufferPointer<GradientReport>
  ) {
    var total = GradientReport()
    let each = try problem.heap.allocate(GradientReport.self, problem.count)
    for k in 0..<problem.count {
      var report = problem[k].gradient == nil ? GradientReport() : try tensor(k)
      report.worst.tensor = k
      total.take(report)
      each[k] = finished(report)
    }
    try checkMemory()
    return (finished(total), UnsafeBufferPointer(start: each, count: problem.count))
  }

  private func finished(_ report: GradientReport) -> GradientReport {
    var report = report
    report.loss = loss
    report.noise = noise.deviation
    report.repeated = repeated
    report.evaluations = problem.evaluations
    return report
  }

  private func tensor(_ k: Int) throws(RavineError) -> GradientReport {
    let part = problem[k], gradient = UnsafePointer(gradient + part.first)
    let differences = differences(part)
    var report = GradientReport()
    func take(_ course: Line.Course) throws(RavineError) {
      let line = Line(problem, part, gradient, course, loss: loss)
      report.take(try differences.check(line))
    }
    if options.directions > 0, part.count > 0 {
      // A direction through NaN says nothing; the element that is NaN says all.
      if let i = Reals(UnsafeRawPointer(gradient), wide: true).firstNonfinite(part.count) {
        try take(.element(i))
        return report
      }
      let random = Philox(seed: options.seed, .checkedDirections).child(UInt64(k))
      for d in 0..<options.directions { try take(.direction(random.child(d))) }
      return report
    }
    let count = UInt64(part.count)
    if options.entries == 0 || options.entries >= count {
      for i in 0..<part.count { try take(.element(i)) }
    } else {
      let random = Philox(seed: options.seed, .checkedEntries).child(UInt64(k))
      let order = Permutation(count, random)
      for i in 0..<options.entries { try take(.element(Int(order[i]))) }
    }
    return report
  }

  /// Steps and limits for one tensor.
  private func differences(_ part: Part) -> Differences {
    // Whoever computes the loss in Floats has no better gradient.
    let single = part.single || noise.single || noise.relative > 1e-10
    let unit = max(single ? 0x1p-24 : 0x1p-53, noise.relative)
    // The step at which a third derivative of the size of the loss and noise weigh the same, if the
    // parameters can hold it.
    let balanced = Math.pow(3 * noise.relative, 1.0 / 3)
    let least = part.now.wide ? 0x1p-40 : 0x1p-16
    return Differences(
      tolerance: options.tolerance > 0 ? options.tolerance : single ? 1e-3 : 1e-6,
      step: options.step > 0 ? options.step : min(0.1, max(balanced, least)),
      noise: noise.deviation, rounding: 8 * unit * largest(part), largest: largest)
  }

  /// The largest analytic derivative of a tensor.
  private func largest(_ part: Part) -> Double {
    var largest = 0.0
    guard part.gradient != nil else { return 0 }
    for i in part.first..<(part.first + part.count) where gradient[i].isFinite {
      largest = max(largest, gradient[i].magnitude)
    }
    return largest
  }
}
