/// One step that stands out from those before it.
enum Spike: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "spike", title: "one step stands out",
      summary:
        "(ln n - median) / (1.4826 MAD) of the norm over all gradients, and of the loss, against the last 128 steps; the deviation counts as 0.05 at least. A warning where it is 10 times the median and such steps are rare",
      needs: "gradients or a loss, 32 steps",
      advice:
        "look at the batch of that step: a wrong label, an outlier, a number that was not scaled; clip_norm before the rule bounds what one batch can do",
      source:
        "robust z of Iglewicz and Hoaglin 1993, on logarithms; 6 deviations of 128 steps as in OLMo's SkipStepOptimizer",
      limits: [
        Limit(
          "note", 6, "robust standard deviations above the median",
          source: "6 as in OLMo-core, on the logarithm"),
        Limit(
          "warn", 10, "the same", source: "healthy trainings reach 9, on a last batch of few items"),
        Limit("factor", 10, from: 1, "times the median, for a warning", source: "one decade"),
        Limit(
          "share", 0.01, from: 0, to: 1,
          "spikes per step, above which they are the noise of batches",
          source: "a last batch of few items comes once an epoch"),
        Limit(
          "least", 32, from: 8, to: 128, "steps before anything is judged", source: "convention"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    let m = q.monitor, s = m.spikes
    if s.judged > 0 { q.consider() }
    guard s.count > 0 else { return }
    var finding = Finding()
    let seldom = Double(s.count) <= max(3, q.limit("share") * Double(s.judged))
    // Losses below 0 have no factor: it is NaN.
    let large = s.z > q.limit("warn") && !(s.factor < q.limit("factor"))
    finding.severity = seldom && large ? .warn : .note
    finding.value = s.z
    finding.limitName = finding.severity.word
    finding.limit = q.limit(finding.limitName)
    finding.window = Monitor.windowCount
    finding.place = "the \(s.ofLoss ? "loss" : "gradient" as Text) in step \(s.step)"
    if s.subject >= 0 {
      finding.place.append(", most in \(m.subjects[s.subject].text)")
      var places = q.places()
      try places.append(s.subject, s.z)
      try places.publish(q.heap, to: &finding)
    }
    let factor: Text = s.factor.isFinite ? "\(short(s.factor)) times the median, " : ""
    finding.evidence = "\(factor)\(short(s.z)) deviations above it"
    if s.count > 1 {
      finding.evidence.append("; it is the largest of \(s.count) in \(m.steps) steps")
    }
    finding.measured = [
      ("step", Double(s.step)), ("factor", s.factor), ("count", Double(s.count)),
    ]
    try q.add(finding)
  }
}
