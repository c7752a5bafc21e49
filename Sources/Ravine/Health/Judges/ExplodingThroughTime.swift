import Kernels

/// A recurrent network whose gradient grows with each step back.
enum ExplodingThroughTime: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "exploding_through_time", title: "the gradient explodes through time",
      summary:
        "the gain of one step back in time (Theil-Sen slope of the logarithm of gradients of a state over time) to the power of the length of the sequence",
      needs: "gradients of a state with a time, 8 times or more",
      advice:
        "clip_norm(1) before the rule; a recurrent matrix whose spectral radius is 1 or a little below; shorter sequences (truncated back-propagation)",
      source: "Pascanu et al. 2013, arXiv:1211.5063",
      limits: [
        Limit("warn", 1000, from: 1, "times larger over the sequence", source: "three decades"),
        Limit("severe", 1e6, from: 1, "times larger over the sequence", source: "six decades"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    for i in 0..<q.monitor.subjects.count {
      guard let flow = TimeFlow(i, q) else { continue }
      q.consider()
      guard flow.total > q.limit("warn") else { continue }
      var finding = Finding()
      finding.severity = flow.total > q.limit("severe") ? .severe : .warn
      finding.limitName = finding.severity.word
      finding.limit = q.limit(finding.severity.word)
      finding.value = flow.total
      finding.place = q.monitor.subjects[i].text
      flow.describe(&finding)
      finding.evidence =
        "a gain of \(short(flow.gain)) per step back, a factor of \(short(flow.total)) over \(short(flow.length)) steps"
      var places = q.places()
      try places.append(i, flow.gain)
      try places.publish(q.heap, to: &finding)
      try q.add(finding)
    }
  }
}
