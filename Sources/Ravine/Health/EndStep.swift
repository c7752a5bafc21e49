import CRavine
import CShims
import Kernels

extension Monitor {
  /// Ends a step: what was recorded in it enters the windows. Allocates nothing.
  public func endStep(loss given: Double?) throws(RavineError) {
    guard open || given != nil else {
      throw .state("nothing was recorded since the last step ended")
    }
    if given != nil, loss != nil {
      throw .state("the loss of this step was recorded already: end the step without one")
    }
    end(given)
  }

  /// The same for whoever has checked that, or does not need to.
  func end(_ given: Double?) {
    steps += 1
    var row = FlightRow()
    row.step = steps
    row.lr = stepFacts.lr
    row.clipScale = stepFacts.clipScale
    clips.push(stepFacts.clipScale)
    for i in 0..<subjects.count {
      fetch(after: i)
      endStep(of: i, &row)
    }
    if stepRatioMaximum > -.infinity { row.ratio = stepRatioMaximum }
    row.gradient = stepFacts.gradientNorm.isFinite ? stepFacts.gradientNorm : gradientNorm()
    noteCosine(cosine())
    let bad = endLoss(given ?? loss, &row)
    let level = row.gradient > 0 ? Math.log(row.gradient) : .nan
    recorder.push(row)
    if row.nonfinite > 0 || bad { recorder.freeze(.nonfinite) }
    watch(level, row)
    levels.push(level)
    if let value = given ?? loss {
      losses.push(value)
      history.push(value)
    }
    open = false
    loss = nil
    stepFacts = StepFacts()
    stepRatioMaximum = -.infinity
  }

  /// Whether the loss of this step is not finite.
  private func endLoss(_ value: Double?, _ row: inout FlightRow) -> Bool {
    guard let value else { return false }
    row.loss = value
    guard !value.isFinite else { return false }
    if badLossStep == 0 {
      badLossStep = steps
      badLoss = value
      if firstBad == nil { firstBad = (-1, .loss) }
    }
    badLossSteps += 1
    return true
  }

  @_optimize(speed)
  private func endStep(of i: Int, _ row: inout FlightRow) {
    let s = subject(i)
    endStep(of: s.pointee.gradient, &row)
    endStep(of: s.pointee.activation, &row)
    endStep(of: s.pointee.weight, &row)
    endStep(of: s.pointee.update, &row)
    if let t = s.pointee.gradient, s.pointee.hasParameterGradient, t.pointee.step == steps,
      t.pointee.statistics.largestIndex >= 0, !(t.pointee.statistics.largest <= row.largest)
    {
      row.largest = t.pointee.statistics.largest
      row.subject = i
      row.index = t.pointee.statistics.largestIndex
    }
    guard let weight = s.pointee.weight, let update = s.pointee.update,
      weight.pointee.step == steps, update.pointee.step == steps,
      weight.pointee.count == update.pointee.count, update.pointee.statistics.nonfinite == 0
    else { return }
    let ratio = stepRatio(update.pointee.statistics.rms, weight.pointee.statistics.rms)
    s.pointee.pushRatio(ratio)
    s.pointee.swallowed.push(swallowedShare(weight.pointee, update.pointee))
    if s.pointee.isMatrix, ratio.isFinite { stepRatioMaximum = max(stepRatioMaximum, ratio) }
  }

  /// A subject where it lies: they are large.
  func subject(_ i: Int) -> UnsafeMutablePointer<Subject> {
    precondition(i >= 0 && i < subjects.count)
    return subjects.base.unsafelyUnwrapped + i
  }

  /// Asks for the memory of subjects before their turn: thousands of them are in no near cache.
  @_optimize(speed)
  func fetch(after i: Int) {
    if i + 8 < subjects.count, let track = subject(i + 8).pointee.gradient {
      prefetch(UnsafeRawPointer(track), MemoryLayout<Track>.size)
    }
    if i + 4 < subjects.count, let track = subject(i + 4).pointee.gradient,
      let quiet = track.pointee.quiet, let fired = track.pointee.fired
    {
      prefetch(UnsafeRawPointer(quiet), 4 * min(64, track.pointee.units))
      prefetch(UnsafeRawPointer(fired), min(64, track.pointee.units))
    }
  }

  @_optimize(speed)
  private func endStep(of track: UnsafeMutablePointer<Track>?, _ row: inout FlightRow) {
    guard let track, track.pointee.step == steps else { return }
    let s = track.pointee.statistics
    row.nonfinite += s.nonfinite
    if s.nonfinite > 0 { track.pointee.badSteps += 1 }
    if s.rms > 0 { track.pointee.levels.push(Math.log(s.rms)) }
    track.pointee.zeroSteps =
      s.zeros == s.count && s.count > 0 ? track.pointee.zeroSteps + 1 : 0
    track.pointee.sequence?.endStep(scratch)
    if let fired = track.pointee.fired, let quiet = track.pointee.quiet, s.count > 0 {
      countQuiet(fired, quiet, track.pointee.units)
    }
    if track.pointee.kind == .activation {
      track.pointee.saturation.push(track.pointee.saturatedShare)
    }
  }

  /// The 2-norm over all gradients of parameters; over all gradients where there are none.
  private func gradientNorm() -> Double {
    var parameters = Statistics(), others = Statistics()
    for i in 0..<subjects.count {
      let s = subject(i)
      guard let t = s.pointee.gradient, t.pointee.step == steps else { continue }
      if s.pointee.hasParameterGradient {
        parameters.merge(t.pointee.statistics)
      } else {
        others.merge(t.pointee.statistics)
      }
    }
    let all = parameters.count > 0 ? parameters : others
    // A norm of what happened to be finite would say nothing.
    return all.count > 0 && all.nonfinite == 0 ? all.norm2 : .nan
  }

  /// The cosine of the gradients with those of the step before, from samples of both.
  private func cosine() -> Double {
    var product = 0.0, now = 0.0, before = 0.0
    for i in 0..<subjects.count {
      guard let track = subject(i).pointee.gradient, track.pointee.sampleTaken == steps,
        subject(i).pointee.hasParameterGradient
      else { continue }
      let n = track.pointee.sampleCount
      let x = track.pointee.sample, y = x + n
      if track.pointee.sampleStep + 1 == steps, n > 0 {
        let each = Double(track.pointee.count) / Double(n)
        for k in 0..<n {
          product += each * x[k] * y[k]
          now += each * x[k] * x[k]
          before += each * y[k] * y[k]
        }
      }
      for k in 0..<n { y[k] = x[k] }
      track.pointee.sampleStep = steps
    }
    return product / (now.squareRoot() * before.squareRoot())
  }

  /// How long gradients have turned against those before them, and did so at most.
  private func noteCosine(_ cosine: Double) {
    cosines.push(cosine)
    guard cosine.isFinite else { return }
    turning = cosine < limit("bouncing", "cosine") ? turning + 1 : 0
    if turning > longestTurning { (longestTurning, turnedAt) = (turning, steps) }
  }

  /// The share of an update that is below half of what the weights' type resolves, by 1-norm, from
  /// samples of both.
  private func swallowedShare(_ weight: Track, _ update: Track) -> Double {
    let epsilon = ElementType.halfSpacing(weight.type)
    let least = ElementType.smallestNormal(weight.type)
    var lost = 0.0, total = 0.0
    for k in 0..<weight.sampleCount {
      let w = weight.sample[k].magnitude, u = update.sample[k].magnitude
      guard w < .infinity else { continue }
      total += u
      if u < max(w, least).binade * epsilon { lost += u }
    }
    return lost / total
  }
}

extension ElementType {
  /// Half the distance of neighbours between 1 and 2.
  static func halfSpacing(_ type: Int32) -> Double {
    switch type {
    case RVN_F16: 0x1p-11
    case RVN_BF16: 0x1p-8
    case RVN_F64: 0x1p-53
    default: 0x1p-24
    }
  }
}

extension Track {
  /// The share of saturated elements, where the values look like those of tanh or of a sigmoid; NaN
  /// where they do not.
  var saturatedShare: Double {
    let s = statistics, u = unitStatistics
    guard s.count > 0, s.nonfinite == 0 else { return .nan }
    let n = Double(s.count)
    if s.low >= -1, s.high <= 1, s.low < -0.5, s.high > 0.5 {
      return Double(u.beyondTanh) / n
    }
    // Not a rectifier, whose zeros are exact, and not a softmax, which is meant to be sure.
    let rectified = Double(s.zeros) > 0.01 * n
    let softmax = u.rows > 0 && units > 1 && 10 * u.unitRows > 9 * u.rows
    if s.low >= 0, s.high <= 1, !rectified, !softmax { return Double(u.beyondSigmoid) / n }
    return .nan
  }
}
