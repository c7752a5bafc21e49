/// Clipping that acts most of the time: a limit of the step size.
enum ClipAlways: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "clip_always", title: "clipping acts most of the time",
      summary: "the share of the last 128 steps in which clipping scaled the gradient down",
      needs: "a monitor that is attached to an optimizer that clips, 32 steps",
      advice:
        "if clipping is meant as a guard, raise its limit to a high percentile of the norms; if it is meant to set the size of steps, say so with the learning rate",
      source: "a guard acts seldom: flood-forecasting issue 298",
      limits: [
        Limit("note", 0.1, from: 0, to: 1, "share of steps", source: "convention"),
        Limit("warn", 0.5, from: 0, to: 1, "share of steps", source: "more often than not"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    let n = q.monitor.clips.copy(to: q.scratch)
    guard n >= 32 else { return }
    q.consider()
    var clipped = 0.0
    for i in 0..<n where q.scratch[i] < 1 { clipped += 1 }
    let share = clipped / Double(n)
    guard share > q.limit("note") else { return }
    let median = Robust.median(q.scratch, n)
    var finding = Finding()
    finding.severity = share > q.limit("warn") ? .warn : .note
    finding.limitName = finding.severity.word
    finding.limit = q.limit(finding.limitName)
    finding.value = share
    finding.window = n
    finding.place = "all gradients"
    finding.evidence =
      "in \(short(100 * share)) % of the last \(n) steps; the median factor is \(short(median))"
    finding.measured = [("median_scale", median)]
    // Adaptive rules undo a factor that is always there.
    if finding.severity == .warn, allNormalize(q) {
      finding.severity = .note
      finding.evidence.append("; the rule steps by the same amount whatever the size of a gradient")
    }
    try q.add(finding)
  }

  private static func allNormalize(_ q: Inquiry) -> Bool {
    for i in 0..<q.monitor.subjects.count
    where q.monitor.subjects[i].hasParameterGradient && q.monitor.subjects[i].normalizes != true {
      return false
    }
    return true
  }
}
