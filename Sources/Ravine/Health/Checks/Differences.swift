/// Compares the slope of a line with differences of the loss, and tells a mistake from a kink and
/// from noise.
///
/// One central difference settles most. What it does not confirm is looked at with eight steps, from
/// sixteen times as long on, each a quarter of the one before: extrapolated (Richardson) they give a derivative with an error
/// estimate, and one-sided differences tell a kink, where the two sides stay apart however short the
/// step, from curvature, where they meet.
struct Differences {
  let tolerance: Double
  /// The relative step of the first look.
  let step: Double
  /// Standard deviation of the noise of the loss.
  let noise: Double
  /// What the analytic gradient may be off by for rounding.
  let rounding: Double
  /// The largest analytic derivative of all tensors: what is hidden by noise is measured by it.
  let largest: Double

  /// How many deviations noise may reach.
  private static var certain: Double { 6 }
  private static var levels: Int { 8 }

  /// Differences at one step; all of the rest, that is with the analytic slope taken off.
  private struct Look: BitwiseCopyable {
    var step = 0.0
    var central = 0.0
    var backward = 0.0
    var forward = 0.0
    /// What noise may add to the central one.
    var noise = Double.infinity
    /// How far the two sides are apart.
    var apart: Double { (forward - backward).magnitude }
    var usable: Bool { noise < .infinity }
  }

  private func look(_ line: Line, _ step: Double) throws(RavineError) -> Look {
    let up = try line.rest(step), down = try line.rest(-step)
    let width = up.moved - down.moved
    guard up.rest.isFinite, down.rest.isFinite, up.moved > 0, down.moved < 0 else { return Look() }
    return Look(
      step: width / 2, central: (up.rest - down.rest) / width, backward: down.rest / down.moved,
      forward: up.rest / up.moved,
      noise: Differences.certain * noise * 2.0.squareRoot() / width)
  }

  func check(_ line: Line) throws(RavineError) -> GradientEntry {
    let first = try look(line, step)
    if line.slope.isFinite, first.usable,
      first.central.magnitude <= allowed(line, first.central, first.noise),
      isKnown(line, first.central, first.noise) == .correct
    {
      return entry(line, first, error: first.noise, .correct)
    }
    return try checkClosely(line, first)
  }

  private func checkClosely(_ line: Line, _ first: Look) throws(RavineError) -> GradientEntry {
    var looks = [Look](repeating: first, count: Differences.levels)
    var length = 16 * step
    for k in 0..<looks.count {
      if k != 2 { looks[k] = try look(line, length) }
      length /= 4
    }
    try checkMemory()
    var (best, error) = refine(looks)
    // Close to the edge of where the loss has values only the shortest steps may be left.
    if error == .infinity, let last = looks.last(where: { $0.usable }) {
      (best, error) = (last, last.noise + last.apart)
    }
    guard best.usable else {
      return entry(line, best, error: error, line.slope.isFinite ? .unresolved : .mistake)
    }
    if !line.slope.isFinite { return entry(line, best, error: error, .mistake) }
    if best.central.magnitude <= allowed(line, best.central, error) {
      return entry(line, best, error: error, isKnown(line, best.central, error))
    }
    if let kink = kink(looks) { return entry(line, kink, error: kink.apart / 2, .kink) }
    return entry(line, best, error: error, .mistake)
  }

  /// The best extrapolation, and what it may be off by. One that a shorter step contradicts came from
  /// steps that were too long: over a kink, or over a whole wave.
  private func refine(_ looks: [Look]) -> (Look, Double) {
    var best = Look(), error = Double.infinity
    var low = -Double.infinity, high = Double.infinity
    for k in looks.indices.dropFirst().reversed() where looks[k].usable && looks[k - 1].usable {
      var refined = looks[k]
      refined.central = (16 * looks[k].central - looks[k - 1].central) / 15
      let doubt = (refined.central - looks[k].central).magnitude + looks[k].noise * 17 / 15
      guard refined.central + doubt >= low, refined.central - doubt <= high else { continue }
      low = max(low, refined.central - 2 * doubt)
      high = min(high, refined.central + 2 * doubt)
      if doubt < error { (best, error) = (refined, doubt) }
    }
    return (best, error)
  }

  /// A look whose two sides are apart by more than noise, if they were no further apart with a step
  /// sixteen times as long, and the analytic derivative is no further from their middle: conventions,
  /// such as a derivative of 0 where ReLU has its kink, need not lie between the two.
  private func kink(_ looks: [Look]) -> Look? {
    let clear = looks.lastIndex { $0.usable && tolerance * $0.apart > $0.noise }
    let visible = looks.lastIndex { $0.usable && $0.apart > 8 * $0.noise }
    guard let k = clear ?? visible, k >= 2, looks[k - 2].usable,
      looks[k].apart > 0.5 * looks[k - 2].apart
    else { return nil }
    let slack = tolerance * looks[k].apart + looks[k].noise + rounding
    return looks[k].central.magnitude <= looks[k].apart + slack ? looks[k] : nil
  }

  private func scale(_ line: Line, _ off: Double) -> Double {
    max(line.size, (line.slope + off).magnitude)
  }

  private func allowed(_ line: Line, _ off: Double, _ error: Double) -> Double {
    tolerance * scale(line, off) + error + rounding
  }

  /// Whether so large an error still says something.
  private func isKnown(_ line: Line, _ off: Double, _ error: Double) -> GradientOutcome {
    if off == 0 && line.size == 0 { return .correct }
    return error + rounding <= tolerance * max(scale(line, off), largest) ? .correct : .unresolved
  }

  private func entry(
    _ line: Line, _ look: Look, error: Double, _ outcome: GradientOutcome
  ) -> GradientEntry {
    let base = line.slope.isFinite ? line.slope : 0
    var entry = GradientEntry()
    entry.outcome = outcome
    entry.analytic = line.slope
    entry.numeric = look.usable ? base + look.central : .nan
    entry.backward = look.usable ? base + look.backward : .nan
    entry.forward = look.usable ? base + look.forward : .nan
    entry.error = error
    entry.step = look.step
    if case .element(let i) = line.course { entry.index = Int64(i) }
    let scale = scale(line, look.central)
    if !line.slope.isFinite {
      entry.relativeError = .infinity
    } else if look.usable, scale > 0 {
      entry.relativeError = look.central.magnitude / scale
    }
    return entry
  }
}
