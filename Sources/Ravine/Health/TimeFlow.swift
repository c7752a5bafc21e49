import Kernels

/// What the steps of a sequence say of one gradient.
struct TimeFlow {
  let subject: Int
  /// Factor of one step back in time.
  let gain: Double
  /// Steps of the sequence.
  let length: Double
  /// Share of the last tenth of the times in the sum of the norms; NaN where there are too few.
  let share: Double
  /// Whether most times had no gradient at all in more than half of the steps.
  let empty: Bool
  let window: Int

  init?(_ i: Int, _ q: Inquiry) {
    guard let sequence = q.monitor.subjects[i].gradient?.pointee.sequence,
      sequence.lastLength >= 8, sequence.steps > 0
    else { return nil }
    empty = 2 * sequence.emptySteps > sequence.steps
    guard sequence.gains.count > 0 || empty else { return nil }
    subject = i
    gain = sequence.gains.count > 0 ? Math.exp(sequence.gains.median(q.scratch)) : 0
    length = Double(sequence.lastLength)
    share = sequence.shares.median(q.scratch)
    window = max(1, sequence.gains.count)
  }

  /// Steps back until half of the gradient is left.
  var halfLife: Double { gain < 1 ? 0.6931471805599453 / -Math.log(gain) : .infinity }
  /// Steps back until one hundredth is left.
  var horizon: Double { gain < 1 ? 4.605170185988092 / -Math.log(gain) : .infinity }
  /// The factor over the whole sequence.
  var total: Double { Math.exp(length * Math.log(gain)) }

  func describe(_ finding: inout Finding) {
    finding.window = window
    finding.measured = [
      ("gain_per_step", gain), ("half_life", halfLife), ("horizon", horizon), ("length", length),
      ("share_of_last_tenth", share),
    ]
  }
}
