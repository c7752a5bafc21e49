import Kernels

/// A recurrent network that cannot learn from what is far back.
enum VanishingThroughTime: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "vanishing_through_time", title: "the gradient vanishes through time",
      summary:
        "the gain of one step back in time (Theil-Sen slope of the logarithm of gradients of a state over time) and the steps after which one hundredth is left, against the length of the sequence",
      needs: "gradients of a state with a time, 8 times or more",
      advice:
        "gates (LSTM with a forget bias of 1, GRU), an orthogonal recurrent matrix, or a loss at more of the steps; if no lag is that long, set vanishing_through_time.lag to the longest one",
      source: "Pascanu et al. 2013, arXiv:1211.5063; the slope is measured, not bounded",
      limits: [
        Limit(
          "lag", 0, "steps that it has to look back; 0: the whole sequence", source: "convention"),
        Limit(
          "warn", 1, "the 1 % horizon as a share of the lag", source: "1 % of the gradient is left"),
        Limit("severe", 0.1, "the same", source: "one decade below"),
        Limit(
          "share", 0.99, from: 0.1, to: 1, "share of the last tenth of the times",
          source: "one hundredth is left for the nine tenths before"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    for i in 0..<q.monitor.subjects.count {
      guard let flow = TimeFlow(i, q) else { continue }
      q.consider()
      let lag = q.limit("lag") > 0 ? q.limit("lag") : flow.length
      let reach = flow.empty ? 0 : flow.horizon / lag
      let crowded = flow.share > q.limit("share")
      guard flow.empty || reach < q.limit("warn") || crowded else { continue }
      var finding = Finding()
      finding.severity = flow.empty || reach < q.limit("severe") ? .severe : .warn
      finding.limitName = finding.severity.word
      finding.limit = q.limit(finding.severity.word)
      finding.value = reach
      if !flow.empty, reach >= q.limit("warn") {
        (finding.value, finding.limit, finding.limitName) = (flow.share, q.limit("share"), "share")
      }
      finding.place = q.monitor.subjects[i].text
      flow.describe(&finding)
      finding.evidence =
        flow.empty
        ? "most of the \(short(flow.length)) times have a gradient of exactly 0"
        : "a gain of \(short(flow.gain)) per step back: half is left after \(short(flow.halfLife)) steps, 1 % after \(short(flow.horizon)), of \(short(lag))"
      if flow.share.isFinite {
        finding.evidence.append(
          "; \(short(100 * flow.share)) % of the gradient is in the last tenth of the sequence")
      }
      var places = q.places()
      try places.append(i, flow.gain)
      try places.publish(q.heap, to: &finding)
      try q.add(finding)
    }
  }
}
