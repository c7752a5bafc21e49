import Kernels

/// A loss that does not fall, or not any more.
enum LossPlateau: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "plateau", title: "the loss does not fall",
      summary:
        "the Mann-Kendall trend of the loss, in standard deviations: over the whole run (as 128 to 256 means), a warning where it is above -2.33; over the last 128 steps, a note where it is above -2",
      needs: "a loss, 100 steps",
      advice:
        "where steps are too small or too large, see those findings; where the gradient is far smaller than at the start it is a flat place or the end of the way; where it is not, the noise of the batches decides: a smaller learning rate or larger batches",
      source: "Mann 1945 and Kendall 1975: sees the order of losses only, so no scale matters",
      limits: [
        Limit(
          "steps", 100, from: 16, to: 1e9, "steps before anything is judged", source: "convention"),
        Limit(
          "warn", -2.33, from: -100, to: 100, "deviations, over the whole run",
          source: "1 % of trendless series are below"),
        Limit(
          "note", -2, from: -100, to: 100, "deviations, over the last 128 steps",
          source: "2.3 % of trendless series are below"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    let m = q.monitor
    guard Double(m.history.steps) >= q.limit("steps") else { return }
    q.consider()
    let whole = Robust.trend(m.history.start, m.history.count)
    let n = m.losses.copy(to: q.scratch)
    let recent = Robust.trend(q.scratch, n)
    var finding = Finding()
    finding.place = "the loss"
    finding.measured = [
      ("trend", whole), ("recent_trend", recent), ("first", m.history.first),
      ("last", m.history.last),
    ]
    if whole > q.limit("warn") {
      finding.severity = .warn
      (finding.value, finding.limit, finding.limitName) = (whole, q.limit("warn"), "warn")
      finding.window = Int(m.history.steps)
      finding.title = whole > 2.33 ? "the loss rises" : "the loss has not fallen since the start"
      finding.evidence =
        "from \(short(m.history.first)) to \(short(m.history.last)) in \(m.history.steps) steps, a trend of \(short(whole)) deviations"
    } else if recent > q.limit("note"), n >= Monitor.windowCount {
      (finding.value, finding.limit, finding.limitName) = (recent, q.limit("note"), "note")
      finding.window = n
      finding.title = "the loss has stopped falling"
      finding.evidence =
        "a trend of \(short(recent)) deviations over the last \(n) steps; it fell before"
    } else {
      return
    }
    try q.add(finding)
  }
}
