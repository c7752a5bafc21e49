/// Gradients that turn around from step to step: from one side of a ravine to the other.
enum Bouncing: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "bouncing", title: "steps bounce from side to side",
      summary:
        "the cosine of the gradients with those of the step before (from up to 512 elements of each array): below -0.3 in 10 steps in a row; a note where the loss falls nevertheless",
      needs: "gradients, 11 steps",
      advice:
        "divide the learning rate by 2 to 3, or use momentum, which goes along the ravine; a loss that falls all the same is training at the edge of stability, and may be left alone",
      source: "edge of stability: Cohen et al. 2021, arXiv:2103.00065; the limit is a convention",
      limits: [
        Limit("cosine", -0.3, from: -1, to: 0, "of two gradients in a row", source: "convention"),
        Limit("steps", 10, from: 2, to: 1e9, "steps in a row", source: "convention"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    let m = q.monitor
    if Double(m.cosines.count) >= q.limit("steps") { q.consider() }
    guard Double(m.longestTurning) >= q.limit("steps") else { return }
    let n = m.losses.copy(to: q.scratch)
    let falls = n >= 16 && Robust.trend(q.scratch, n) < -2
    let over = Double(m.turning) < q.limit("steps")
    var finding = Finding()
    finding.severity = falls || over ? .note : .warn
    finding.place = "all gradients"
    finding.value = m.cosines.median(last: Int(q.limit("steps")), q.scratch)
    finding.limit = q.limit("cosine")
    finding.limitName = "cosine"
    finding.window = m.longestTurning
    finding.evidence =
      over
      ? "for \(m.longestTurning) steps, until step \(m.turnedAt)"
      : "for \(m.turning) steps until now; the cosine with the gradient before is \(short(finding.value))"
    if falls { finding.evidence.append("; the loss falls nevertheless") }
    finding.measured = [("longest", Double(m.longestTurning)), ("step", Double(m.turnedAt))]
    try q.add(finding)
  }
}
