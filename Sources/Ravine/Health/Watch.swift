import Kernels

/// Spikes seen so far. Plain memory.
struct SpikeEvents: BitwiseCopyable {
  /// How many there were, and the last step that belongs to one.
  var count: UInt64 = 0
  var lastStep: UInt64 = 0
  /// The worst: its step, robust z, whether of the loss, and the gradient that stood out most.
  var step: UInt64 = 0
  var z = 0.0
  var ofLoss = false
  var factor = 0.0
  var subject = -1
  /// Steps that could be judged.
  var judged: UInt64 = 0
}

/// Growth seen so far. Plain memory.
struct GrowthEvents: BitwiseCopyable {
  /// The step that it was first seen in; 0: never.
  var step: UInt64 = 0
  var ofLoss = false
  /// Logarithm of the growth per step, and over how many steps.
  var rate = 0.0
  var span = 0
  var judged = false
}

extension Monitor {
  /// What must be seen when it happens: spikes and growth.
  func watch(_ level: Double, _ row: FlightRow) {
    let positive = row.loss > 0 && lossesArePositive
    let own = positive ? Math.log(row.loss) : row.loss
    let (gradientZ, gradientFactor) = z(of: level, in: levels, positive: true)
    let (lossZ, lossFactor) = z(of: own, in: losses, logarithms: positive, positive: positive)
    if gradientZ.isFinite || lossZ.isFinite { spikes.judged += 1 }
    note(gradientZ, gradientFactor, ofLoss: false)
    note(lossZ, lossFactor, ofLoss: true)
    watchGrowth(levels, level, ofLoss: false)
    if positive { watchGrowth(losses, own, ofLoss: true) }
  }

  private var lossesArePositive: Bool {
    for i in 0..<losses.count where losses.base[i] <= 0 { return false }
    return true
  }

  /// By how many robust standard deviations a level lies above those of the window, and the factor
  /// between it and their median. Levels are logarithms, unless not all are positive.
  private func z(
    of level: Double, in window: Window, logarithms: Bool = false, positive: Bool
  ) -> (Double, Double) {
    guard level.isFinite, Double(window.count) >= limit("spike", "least") else {
      return (.nan, .nan)
    }
    // Where half of the window is near, the median is, and nothing stands out.
    if positive {
      let near = level - 0.05 * limit("spike", "note")
      let least = logarithms ? Math.exp(near) : near
      var count = 0
      for i in 0..<window.count where window.base[i] >= least { count += 1 }
      if 2 * count > window.count + 1 { return (0, 1) }
    }
    let n = window.copy(to: scratch)
    if logarithms { for i in 0..<n { scratch[i] = Math.log(scratch[i]) } }
    let median = Robust.median(scratch, n)
    let size = max(scratch[0].magnitude, scratch[n - 1].magnitude)
    // 5 % of a level is no spike, however still it was before.
    let least = positive ? 0.05 : 0.05 * size
    let deviation = max(Robust.deviation(scratch, n, from: median), least)
    guard deviation > 0 else { return (.nan, .nan) }
    return ((level - median) / deviation, positive ? Math.exp(level - median) : .nan)
  }

  private func note(_ z: Double, _ factor: Double, ofLoss: Bool) {
    guard z > limit("spike", "note") else { return }
    // What follows closely is the same one: weights that a spike threw about make others.
    if spikes.count == 0 || steps - spikes.lastStep > 4 { spikes.count += 1 }
    spikes.lastStep = steps
    guard z > spikes.z else { return }
    spikes.z = z
    spikes.step = steps
    spikes.ofLoss = ofLoss
    spikes.factor = factor
    spikes.subject = outstanding()
    recorder.freeze(.spike)
  }

  /// The gradient that is furthest above its own median.
  private func outstanding() -> Int {
    var best = -1, most = 0.0
    for i in 0..<subjects.count {
      guard let track = subjects[i].gradient, track.pointee.step == steps,
        track.pointee.statistics.rms > 0
      else { continue }
      let above =
        Math.log(track.pointee.statistics.rms) - track.pointee.levels.median(scratch)
      if above > most { (best, most) = (i, above) }
    }
    return best
  }

  /// Two signs: the logarithm rises by ln 2 / 8 a step and the medians of eight steps doubled five
  /// times in a row; or, where it goes fast, each of eight steps in a row doubled.
  private func watchGrowth(_ window: Window, _ level: Double, ofLoss: Bool) {
    let log2 = 0.6931471805599453
    guard growths.step == 0 || growths.ofLoss == ofLoss else { return }
    guard level.isFinite else { return }
    let quick = Int(limit("growth", "doublings")) + 3
    let newest = ofLoss && window.count > 0 ? Math.log(window.last) : window.last
    guard window.count == 0 || level - newest >= log2 || steps % 8 == 0 else {
      growths.judged = growths.judged || min(window.count, 63) + 1 > quick
      return
    }
    // The window does not hold this step yet.
    var n = window.copy(last: 63, to: scratch)
    if ofLoss { for i in 0..<n { scratch[i] = Math.log(scratch[i]) } }
    scratch[n] = level
    n += 1
    if n > quick {
      growths.judged = true
      var doubled = true
      for i in (n - quick)..<n where scratch[i] - scratch[i - 1] < log2 { doubled = false }
      if doubled {
        let rate = (scratch[n - 1] - scratch[n - 1 - quick]) / Double(quick)
        return found(rate, quick, ofLoss)
      }
    }
    let medians = Int(limit("growth", "doublings")) + 1
    guard steps % 8 == 0, n >= 8 * medians else { return }
    let from = n - 8 * medians, small = scratch + 64
    var last = -Double.infinity
    for k in 0..<medians {
      for i in 0..<8 { small[i] = scratch[from + 8 * k + i] }
      let median = Robust.median(small, 8)
      if median - last < log2 { return }
      last = median
    }
    let x = scratch + 64
    for i in 0..<n { x[i] = Double(i) }
    let rate = Robust.slope(x, scratch, n, scratch + 128)
    if rate > limit("growth", "rate") { found(rate, n, ofLoss) }
  }

  private func found(_ rate: Double, _ span: Int, _ ofLoss: Bool) {
    if growths.step == 0 { growths.step = steps }
    growths.ofLoss = ofLoss
    growths.rate = max(growths.rate, rate)
    growths.span = span
    recorder.freeze(.growth)
  }
}
