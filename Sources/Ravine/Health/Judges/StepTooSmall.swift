/// Steps that get nowhere.
enum StepTooSmall: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "step_too_small", title: "steps are too small",
      summary:
        "the root mean square of an update over that of its weights (1e-3 where those are smaller), for arrays of rank 2 and more: the median of the last 64 steps; a warning where no step was ever larger",
      needs: "weights and updates of the same name, 16 steps",
      advice: "multiply the learning rate by 10 until steps are near 1e-3 of the weights",
      source: "a decade below TheDeepChecker's 1e-4 (arXiv:2204.00694), for rates that decayed",
      limits: [Limit("limit", 1e-5, "update / weight", source: "see the code")])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    var now = q.places(), ever = q.places()
    var window = 0
    for i in 0..<q.monitor.subjects.count {
      let s = q.monitor.subjects[i]
      guard s.isMatrix, s.ratios.count >= 16 else { continue }
      q.consider()
      let ratio = s.ratios.median(q.scratch)
      // A step of 0 is no small step: the array is frozen, or dead.
      guard ratio > 0, ratio < q.limit("limit") else { continue }
      window = max(window, s.ratios.count)
      if s.ratioPeak < q.limit("limit") {
        try ever.append(i, ratio)
      } else {
        try now.append(i, ratio)
      }
    }
    try add(q, &ever, .warn, window, "; no step was larger since the start")
    try add(q, &now, .note, window, "; they were larger before")
  }

  private static func add(
    _ q: Inquiry, _ places: inout PlaceList, _ severity: Severity, _ window: Int, _ more: Text
  ) throws(RavineError) {
    guard places.count > 0 else { return }
    places.sort(largestFirst: false)
    var finding = Finding()
    finding.severity = severity
    finding.limitName = "limit"
    finding.limit = q.limit("limit")
    finding.value = places[0].value
    finding.window = window
    finding.place = try q.placesText(places)
    finding.evidence =
      "an update of \(q.monitor.subjects[places[0].subject].text) is \(short(places[0].value)) times its weights, median of \(window) steps\(more)"
    try places.publish(q.heap, to: &finding)
    try q.add(finding)
  }
}
