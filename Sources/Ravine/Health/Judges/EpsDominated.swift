/// An adaptive rule whose denominator is mostly eps: plain descent with the rate lr / eps.
enum EpsDominated: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "eps_dominated", title: "eps dominates the denominator",
      summary: "the share of coordinates whose root of v is below eps",
      needs: "a monitor that is attached to an optimizer with eps",
      advice: "a smaller eps, or a loss multiplied by a constant: there the rule does not adapt",
      source: "arithmetic: where sqrt(v) < eps the step is about lr m / eps",
      limits: [
        Limit("note", 0.1, from: 0, to: 1, "share of coordinates", source: "convention"),
        Limit("warn", 0.5, from: 0, to: 1, "share of coordinates", source: "most of the tensor"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    try q.judgeShares(least: 1, severities: [.warn, .note]) { s, scratch in
      (s.epsDominated.median(scratch), s.epsDominated.count)
    } words: { share, name in
      "\(short(100 * share)) % of the coordinates of \(name)"
    }
  }
}
