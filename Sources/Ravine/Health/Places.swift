import CShims

extension Inquiry {
  /// Judges subjects by a number: those above the limit named as a severity become one finding of
  /// it. `number` gives it with the steps it is from, or nil where there is nothing to judge by.
  func judgeShares(
    least: Int, severities: [Severity],
    _ number: (Subject, UnsafeMutablePointer<Double>) -> (value: Double, steps: Int)?,
    words: (Double, Text) -> Text
  ) throws(RavineError) {
    var above = Double.infinity
    for severity in severities {
      let limit = self.limit(severity.word)
      var list = places(), window = 0
      for i in 0..<monitor.subjects.count {
        guard let found = number(monitor.subjects[i], scratch), found.steps >= least else {
          continue
        }
        consider()
        guard found.value > limit, found.value <= above else { continue }
        window = max(window, found.steps)
        try list.append(i, found.value)
      }
      above = limit
      guard list.count > 0 else { continue }
      list.sort(largestFirst: true)
      var finding = Finding()
      finding.severity = severity
      finding.limitName = severity.word
      finding.limit = limit
      finding.value = list[0].value
      finding.window = window
      finding.place = try placesText(list)
      let worst = monitor.subjects[list[0].subject].text
      finding.evidence =
        "\(words(list[0].value, worst)), median of \(window) \(window == 1 ? "step" as Text : "steps")"
      try list.publish(heap, to: &finding)
      try add(finding)
    }
  }

  /// The places of a list that was sorted: up to three by name, more of them by depth, or the worst
  /// three and a number.
  func placesText(_ list: borrowing PlaceList) throws(RavineError) -> Text {
    var names: [Text] = []
    for i in 0..<min(3, list.count) { names.append(monitor.subjects[list[i].subject].text) }
    if list.count <= 3 { return Ravine.list(names) }
    if let layers = try layersText(list) { return "\(layers) (\(list.count) arrays)" }
    return "\(Ravine.list(names)) and \(list.count - 3) more"
  }

  /// "layers 0 to 3, 5, 7 to 9"; nil where not all have a depth, or they are too scattered.
  private func layersText(_ list: borrowing PlaceList) throws(RavineError) -> Text? {
    let depths = try heap.allocate(Double.self, list.count)
    for i in 0..<list.count {
      let depth = monitor.subjects[list[i].subject].depth
      if depth < 0 { return nil }
      depths[i] = Double(depth)
    }
    Robust.sort(depths, list.count)
    var out = Text(), ranges = 0, i = 0
    while i < list.count {
      var last = i
      while last + 1 < list.count, depths[last + 1] - depths[last] <= 1 { last += 1 }
      if ranges > 0 { out.append(", ") }
      out.append("\(Int(depths[i]))")
      if depths[last] > depths[i] { out.append(" to \(Int(depths[last]))") }
      ranges += 1
      if ranges > 4 { return nil }
      i = last + 1
    }
    return depths[0] == depths[list.count - 1] ? "layer \(out)" : "layers \(out)"
  }
}
