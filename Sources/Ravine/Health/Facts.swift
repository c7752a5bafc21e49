import Kernels

/// What an optimizer that a monitor is attached to tells of a whole step, before `endStep`.
struct StepFacts: BitwiseCopyable {
  var lr = Double.nan
  /// The factor that clipping multiplied the gradient by; 1: it did not act.
  var clipScale = Double.nan
  /// 2-norm of all gradients before clipping; NaN: take that of what was recorded.
  var gradientNorm = Double.nan
}

/// What it tells of one tensor. A number that was not measured is NaN.
struct TensorFacts {
  /// Whether the rule makes the size of a step independent of that of the gradient.
  var normalizes = false
  var rank = 2
  var count = 0
  var weightRMS = Double.nan
  var updateRMS = Double.nan
  /// Share of the update's 1-norm that rounding swallowed.
  var swallowed = Double.nan
  /// Share of coordinates whose denominator is mostly eps.
  var epsDominated = Double.nan
}

extension Monitor {
  /// Takes an optimizer's facts about the step in progress.
  func take(_ facts: StepFacts) {
    stepFacts = facts
    open = true
  }

  /// Takes its facts about a tensor. `gradient`: of the gradient as it was given; nil: not measured. What
  /// the host recorded in this step itself stands.
  @_optimize(speed)
  func take(
    _ facts: TensorFacts, _ gradient: UnsafePointer<Statistics>?, _ index: Int,
    _ track: UnsafeMutablePointer<Track>
  ) {
    let s = subject(index)
    s.pointee.normalizes = facts.normalizes
    s.pointee.swallowed.push(facts.swallowed)
    s.pointee.epsDominated.push(facts.epsDominated)
    if s.pointee.update?.pointee.step != steps + 1 {
      let ratio = stepRatio(facts.updateRMS, facts.weightRMS)
      s.pointee.pushRatio(ratio)
      if ratio.isFinite, facts.rank >= 2 { stepRatioMaximum = max(stepRatioMaximum, ratio) }
    }
    if let gradient, track.pointee.step != steps + 1 {
      track.pointee.begin(steps + 1)
      track.pointee.statistics = gradient.pointee
    }
    open = true
  }

  /// The size of a step against the weights, which count as 1e-3 where they are smaller, as in the
  /// adaptive clipping of NFNets: weights that start at 0 are no reason to worry.
  func stepRatio(_ update: Double, _ weight: Double) -> Double { update / max(weight, 1e-3) }
}
