import Kernels

/// What can be set of how an attached optimizer is watched: "attached.every".
enum Setting: Int {
  case every, cosines

  static var all: [Setting] { [.every, .cosines] }

  var limit: Limit {
    var limit =
      switch self {
      case .every:
        Limit(
          "every", 16, from: 1, to: 1e9, "steps from one that is looked at closely to the next",
          source: "one in 16: the cost stays below 15 %")
      case .cosines:
        Limit(
          "cosines", 0, from: 0, to: 1,
          "1: the cosine of gradients in each step, and not only from a sampled one to the next",
          source: "costs a look at 512 elements of each tensor")
      }
    limit.whole = true
    return limit
  }
}

/// What is known of a step over all tensors. Plain memory.
public struct StepTotals: BitwiseCopyable {
  /// Of the gradient before clipping, and as the rule received it.
  public internal(set) var gradient = Statistics()
  public internal(set) var rule = Statistics()
  public internal(set) var update = 0.0
  /// What clipping made of the norm, and whether there is any.
  public internal(set) var clipScale = 1.0
  public internal(set) var clips = false
  public internal(set) var nonfinite = 0
  /// The first that is not finite: its tensor's subject and index.
  public internal(set) var badSubject = -1
  public internal(set) var badIndex = -1
}

/// What a monitor saw of an optimizer. Plain memory.
public struct Watched: BitwiseCopyable {
  /// Whether it ever was attached to one.
  public internal(set) var attached = false
  /// Updates, and those of them that were looked at closely or that clipping made smaller.
  public internal(set) var updates: UInt64 = 0
  public internal(set) var sampled: UInt64 = 0
  public internal(set) var clipped: UInt64 = 0
  /// Calls that a guard skipped, that only accumulated, and without a gradient.
  public internal(set) var guarded: UInt64 = 0
  public internal(set) var accumulated: UInt64 = 0
  public internal(set) var idle: UInt64 = 0
  /// The last step, and its number.
  public internal(set) var last = StepTotals()
  public internal(set) var step: UInt64 = 0
}

/// What a sampled step says of a tensor. NaN: not measured, or there is none.
public struct TensorHealth: BitwiseCopyable {
  /// The monitor's step; 0: none was sampled.
  public internal(set) var step: UInt64 = 0
  public internal(set) var weightNorm = Double.nan
  public internal(set) var updateNorm = Double.nan
  /// Root mean square of the update over that of the weights.
  public internal(set) var ratio = Double.nan
  /// Share of the update's 1-norm that rounding swallowed.
  public internal(set) var swallowed = Double.nan
  /// Share of the elements with a gradient where eps is larger than the root of the square.
  public internal(set) var epsDominated = Double.nan
  /// The squared mean of gradients over their variance, from the rule's own averages.
  public internal(set) var signalToNoise = Double.nan
  /// Of the gradient and the update.
  public internal(set) var cosine = Double.nan
  var weightRMS = Double.nan
}

extension StepTotals {
  mutating func add(_ t: TensorSums) {
    gradient.merge(t.gradient)
    rule.merge(t.rule)
    update += t.update
  }

  /// What the clipping stages did: those that scale say their factor, those that change elements are
  /// seen by the norm.
  mutating func clip(_ report: StepReport, _ plan: Plan) {
    var elements = false
    for k in 0..<plan.before {
      let facts = plan.facts(k)
      clips = clips || facts.clips
      elements = elements || (facts.clips && facts.transforms)
    }
    clipScale = elements ? min(1, rule.norm2 / gradient.norm2) : report.clipScale
  }
}

extension Monitor {
  /// Whether elements of gradients are kept in this step, to be compared with those of the next.
  var takesSample: Bool {
    setting(.cosines) != 0 || steps % UInt64(setting(.every)) <= 1
  }
}
