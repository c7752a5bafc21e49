import CRavine
import CShims
import Kernels

/// How a range test runs.
public struct RangeOptions {
  public var low = 1e-7
  public var high = 10.0
  public var steps = 100
  /// How far the average of losses reaches back; nil: a tenth of the steps.
  public var window: Double?
  public var divergence = 4.0
  public var linear = false
  public init() {}

  func check() throws(RavineError) {
    guard low > 0, low < high, high.isFinite else {
      throw .argument("low is \(low) and high is \(high); 0 < low < high < inf is needed")
    }
    guard steps >= 2, steps <= 10_000 else {
      throw .argument("steps is \(UInt(bitPattern: steps)); 2 to 10000 are allowed")
    }
    if let window, !(window >= 1 && window.isFinite) {
      throw .argument("window is \(window); 1 (no smoothing) or more is needed")
    }
    guard divergence > 1 else {
      throw .argument("divergence is \(divergence); more than 1 is needed, inf for never")
    }
  }
}

/// A range test: steps at rates from low to high, after which the optimizer is what it was.
///
/// Smith 2017, arXiv:1506.01186, as fastai runs it: exponential rates, losses smoothed, an end where
/// they diverge.
public final class RangeTest {
  public let optimizer: Optimizer
  private let heap: Heap
  private let options: RangeOptions
  private let snapshot: Snapshot
  /// The rate of the recipe's own rule before the test, which others keep their ratio to.
  private let own: Double
  private let plan: Plan
  public let rates: UnsafeMutablePointer<Double>
  public let losses: UnsafeMutablePointer<Double>
  public let smoothed: UnsafeMutablePointer<Double>
  public private(set) var count = 0
  public private(set) var diverged = false
  /// Of the newest loss in the average.
  private let weight: Double
  private var mean = 0.0
  private var best = Double.infinity

  private init(
    _ optimizer: Optimizer, _ options: RangeOptions, _ heap: Heap, _ snapshot: Snapshot,
    _ own: Double, _ plan: Plan, _ memory: UnsafeMutablePointer<Double>
  ) {
    self.optimizer = optimizer
    self.options = options
    self.heap = heap
    self.snapshot = snapshot
    self.own = own
    self.plan = plan
    weight = 1 / (options.window ?? max(1, Double(options.steps) / 10))
    rates = memory
    losses = memory + options.steps
    smoothed = memory + 2 * options.steps
  }

  /// Prepares the optimizer, if that was not done, and takes a copy of all that steps change.
  public static func begin(_ optimizer: Optimizer, _ options: RangeOptions) throws(RavineError)
    -> RangeTest
  {
    try options.check()
    if optimizer.isSharded { throw optimizer.needsWhole("a range test") }
    try optimizer.checkPoison()
    return try optimizer.preparing { () throws(RavineError) in
      let heap = Heap(optimizer.allocator)
      let memory = try heap.zeros(Double.self, 3 * options.steps)
      let recipe = optimizer.recipe
      let own = try rate(recipe.rule.values[0], optimizer.step)
      let snapshot = try optimizer.snapshot()
      let plan = try Plan.make(
        recipe, optimizer.tensors, optimizer.allocator, checked: recipe.clauses.count)
      let test = RangeTest(optimizer, options, heap, snapshot, own, plan, memory)
      for i in 0..<options.steps { memory[i] = test.rate(i) }
      try checkMemory()
      optimizer.tests += 1
      return test
    }
  }

  /// Puts everything back; the measurements stay.
  public func end() {
    optimizer.restore(snapshot)
    optimizer.tests -= 1
  }

  private func rate(_ i: Int) -> Double {
    let p = Double(i) / Double(options.steps - 1)
    if options.linear { return options.low + (options.high - options.low) * p }
    if i == options.steps - 1 { return options.high }
    return options.low * Math.pow(options.high / options.low, p)
  }

  // MARK: steps

  public var isOver: Bool { count == options.steps || diverged }

  /// Sets the rate of the next step, and returns it. What the step before set otherwise is undone.
  public func prepareStep() throws(RavineError) -> Double {
    let recipe = try recipe(at: rates[count])
    _ = try plan.update(recipe)
    try checkMemory()
    optimizer.adopt(plan, recipe, snapshot.reactions)
    return rates[count]
  }

  /// Takes what the step function returned.
  public func take(_ status: Int32, _ loss: Double, _ sentence: Text) throws(RavineError) {
    guard status == RVN_OK || status == RVN_ERR_NONFINITE else {
      let told: Text = status > -13 && status < 0 && !sentence.isEmpty ? ": \(sentence)" : ""
      throw RavineError(
        status == RVN_ERR_CANCELLED ? RVN_ERR_CANCELLED : RVN_ERR_CALLBACK,
        "the step function returned \(status) in step \(count + 1) of \(options.steps), at rate \(rates[count])\(told)"
      )
    }
    record(status == RVN_OK ? loss : .nan)
  }

  private func record(_ loss: Double) {
    mean += weight * (loss - mean)
    let smooth = weight == 1 ? loss : mean / (1 - Math.pow(1 - weight, Double(count + 1)))
    losses[count] = loss
    smoothed[count] = smooth
    count += 1
    if smooth < best { best = smooth }
    // Of a loss below 0 the factor is of its magnitude: 4 times -1 would be better, not worse.
    diverged = !smooth.isFinite || smooth - best > (options.divergence - 1) * best.magnitude
  }

  // MARK: rates

  /// The recipe with another rate; those that clauses give keep their ratio to it.
  private func recipe(at rate: Double) throws(RavineError) -> Recipe {
    var recipe = snapshot.recipe
    recipe.rule.values[0] = .number(rate)
    let name = Text(try recipe.rule.declaration.parameters[0].name)
    for c in 0..<recipe.clauses.count {
      switch recipe.clauses[c].change {
      case .frozen: break
      case .rule(var element):
        element.values[0] = try scaled(element.values[0], rate)
        recipe.clauses[c].change = .rule(element)
      case .arguments(var assignments):
        for i in 0..<assignments.count
        where assignments[i].stage == nil && Text(assignments[i].parameter) == name {
          assignments[i].value = try scaled(assignments[i].value, rate)
        }
        recipe.clauses[c].change = .arguments(assignments)
      }
    }
    return recipe
  }

  private func scaled(_ value: Value, _ rate: Double) throws(RavineError) -> Value {
    if case .times = value { return value }
    let before = try RangeTest.rate(value, snapshot.step)
    guard own > 0, own.isFinite else {
      throw .argument(
        "the recipe's own rate is \(own) at step \(snapshot.step), so the rate \(before) of a clause has no ratio to it; write that as a multiple, lr=x0.1"
      )
    }
    return .number(before * (rate / own))
  }

  private static func rate(_ value: Value, _ step: UInt64) throws(RavineError) -> Double {
    if case .schedule(let element, let times) = value {
      return times * (try curve(of: element)(Double(step)))
    }
    return value.constant ?? .nan
  }

  // MARK: suggestions

  /// The part of the curve that suggestions look at: without the first tenth, where the average is of
  /// few losses, and the last five, where it may diverge. As in fastai.
  public func suggestions() throws(RavineError)
    -> (steepest: Suggestion, valley: Suggestion, minimum: Suggestion)
  {
    var end = 0
    while end < count, smoothed[end].isFinite { end += 1 }
    let first = min(options.steps / 10, end)
    let curve = LossCurve(rates + first, smoothed + first, max(0, end - 5 - first))
    return (curve.steepest, curve.valley(try heap.allocate(Int.self, count)), curve.minimum)
  }
}
