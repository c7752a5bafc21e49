import CShims

/// NaN and infinity: found by looking at every element, told by the place where they were first.
enum NonFinite: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "non_finite", title: "a value is NaN or infinite",
      summary: "elements that are NaN or infinite, in any array and in the loss",
      needs: "any record, or a loss",
      advice:
        "look at the operation that makes this array, and at the step's batch: a logarithm or a root of 0, a division by 0, an exponential that overflows, a number too large for the type; finite_guard before the rule skips such steps",
      source: "none needed: one such value spreads to all parameters", limits: [])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    let m = q.monitor
    if m.steps > 0 || m.open { q.consider() }
    guard let first = m.firstBad else { return }
    var finding = Finding()
    finding.severity = .severe
    finding.limitName = "none is allowed"
    var places = q.places()
    for i in 0..<m.subjects.count {
      var step: UInt64 = 0
      for kind in [RecordKind.gradient, .activation, .weight, .update] {
        guard let t = m.subjects[i].track(kind)?.pointee, t.badStep > 0 else { continue }
        step = step == 0 ? t.badStep : min(step, t.badStep)
      }
      // The first found is the first told, also among those of one step.
      if step > 0 { try places.append(i, Double(step) - (i == first.subject ? 0.5 : 0)) }
    }
    places.sort(largestFirst: false)
    for i in 0..<places.count { places.setValue(i, (places[i].value + 0.5).rounded(.down)) }
    try places.publish(q.heap, to: &finding)
    describe(first, m, &finding)
    try q.add(finding)
  }

  private static func describe(
    _ first: (subject: Int, kind: RecordKind), _ m: Monitor, _ finding: inout Finding
  ) {
    let others = finding.placeCount - 1
    let more: Text =
      others > 0 ? "; \(others) other \(others == 1 ? "array has" : "arrays have") some by now" : ""
    guard first.subject >= 0, let t = m.subjects[first.subject].track(first.kind)?.pointee else {
      finding.place = "the loss"
      finding.value = 1
      finding.window = Int(m.steps)
      finding.measured = [("step", Double(m.badLossStep)), ("steps", Double(m.badLossSteps))]
      finding.evidence = "\(short(m.badLoss)) in step \(m.badLossStep)\(more)"
      return
    }
    finding.place = "the \(first.kind.word) of \(m.subjects[first.subject].text)"
    finding.value = Double(t.badCount)
    finding.window = Int(m.steps)
    finding.measured = [
      ("step", Double(t.badStep)), ("index", Double(t.badIndex)), ("count", Double(t.badCount)),
      ("steps", Double(t.badSteps)),
    ]
    let time: Text = t.badTime >= 0 ? ", time \(t.badTime)" : ""
    finding.evidence =
      "first in step \(t.badStep)\(time): \(short(t.badValue)) at index \(t.badIndex), \(t.badCount) of \(t.count) elements\(more)"
    if t.badTime >= 0 { finding.measured.append(("time", Double(t.badTime))) }
  }
}
