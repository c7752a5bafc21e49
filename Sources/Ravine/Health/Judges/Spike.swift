/// One step that stands out from those before it.
enum Spike: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "spike", title: "one step stands out",
      summary:
        "(ln n - median) / (1.4826 MAD) of the norm over all gradients, and of the loss, against the last 128 steps; the deviation counts as 0.05 at least",
      needs: "gradients or a loss, 32 steps",
      advice:
        "look at the batch of that step: a wrong label, an outlier, a number that was not scaled; clip_norm before the rule bounds what one batch can do",
      source:
        "robust z of Iglewicz and Hoaglin 1993, on logarithms; 6 deviations of 128 steps as in OLMo's SkipStepOptimizer",
      limits: [
        Limit(
          "warn", 6, "robust standard deviations above the median",
          source: "6 as in OLMo-core, on the logarithm: no false alarm in 10^4 lognormal norms"),
        Limit("least", 32, from: 8, to: 128, "steps before anything is judged", source: "convention"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    let m = q.monitor, s = m.spikes
    if s.judged > 0 { q.consider() }
    guard s.count > 0 else { return }
    var finding = Finding()
    finding.severity = .warn
    finding.value = s.z
    finding.limit = q.limit("warn")
    finding.limitName = "warn"
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
      finding.evidence.append("; \(s.count) such values in \(m.steps) steps, this is the largest")
    }
    finding.measured = [
      ("step", Double(s.step)), ("factor", s.factor), ("count", Double(s.count)),
    ]
    try q.add(finding)
  }
}
