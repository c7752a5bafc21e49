/// How many units there are of a kind. Plain memory.
private struct UnitCount: BitwiseCopyable {
  var depth: Int64
  var dead: Double
  var all: Double
}

/// Units by layer. The last layers are looked at first: arrays come layer by layer, mostly.
private struct Layers: ~Copyable {
  private var table: Table<UnitCount>

  init(_ heap: Heap) { table = Table(heap) }

  private func index(_ depth: Int64) -> Int? {
    var i = table.count - 1
    while i >= 0, table[i].depth != depth { i -= 1 }
    return i >= 0 ? i : nil
  }

  func find(_ depth: Int64) -> UnitCount? { depth < 0 ? nil : index(depth).map { table[$0] } }

  mutating func add(_ depth: Int64, _ units: UnitCount) throws(RavineError) {
    if let i = index(depth) {
      table[i].dead += units.dead
      table[i].all += units.all
    } else {
      try table.append(UnitCount(depth: depth, dead: units.dead, all: units.all))
    }
  }
}

/// Units that never fire, and arrays that get no gradient.
enum Dead: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "dead", title: "units are dead",
      summary:
        "the share of units (places on the last axis of an activation, elements of a bias gradient) that were exactly 0 in each of the last 100 steps; gradients of rank 2 and more that were 0 altogether",
      needs: "activations or gradients, 100 steps",
      advice:
        "a smaller learning rate, He initialisation, a leaky rectifier or GELU, biases that start above 0; for an array without any gradient: look whether it is part of the loss",
      source: "SageMaker Debugger's DeadRelu and TheDeepChecker: half of the units of a layer",
      limits: [
        Limit("steps", 100, from: 1, to: 1e9, "steps in a row", source: "convention"),
        Limit("note", 0.1, from: 0, to: 1, "share of units", source: "convention"),
        Limit("warn", 0.5, from: 0, to: 1, "share of units", source: "SageMaker Debugger"),
        Limit("severe", 1, from: 0, to: 1, "share of units", source: "nothing passes the layer"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    var all = q.places(), most = q.places(), some = q.places(), cut = q.places()
    let steps = q.limit("steps")
    let layers = try biasesByLayer(q, steps)
    for i in 0..<q.monitor.subjects.count {
      let s = q.monitor.subjects[i]
      if let t = s.gradient?.pointee, t.rank >= 2, !t.timed {
        if Double(t.records) >= steps { q.consider() }
        if Double(t.zeroSteps) >= steps { try cut.append(i, 1) }
      }
      guard let t = (s.activation ?? s.gradient)?.pointee, Double(t.records) >= steps,
        let units = deadUnits(t, steps)
      else { continue }
      let layer = s.activation == nil ? layers.find(s.depth) ?? units : units
      let share = layer.dead / layer.all
      q.consider()
      if share >= q.limit("severe") {
        try all.append(i, share)
      } else if share > q.limit("warn") {
        try most.append(i, share)
      } else if share > q.limit("note") {
        try some.append(i, share)
      }
    }
    try add(q, &all, .severe, "severe", "no unit of the layer fires")
    try add(q, &most, .warn, "warn", "most units of the layer are dead")
    try add(q, &cut, .warn, "steps", "the array gets no gradient", cut: true)
    try add(q, &some, .note, "note", "some units of the layer are dead")
  }

  private static func deadUnits(_ t: Track, _ steps: Double) -> UnitCount? {
    guard let quiet = t.quiet, t.units > 0, t.count > 0 else { return nil }
    var dead = 0.0
    for u in 0..<t.units where Double(quiet[u]) >= steps { dead += 1 }
    return UnitCount(depth: -1, dead: dead, all: Double(t.units))
  }

  /// The biases of a layer count together, however they are cut.
  private static func biasesByLayer(
    _ q: Inquiry, _ steps: Double
  ) throws(RavineError) -> Layers {
    var layers = Layers(q.heap)
    for i in 0..<q.monitor.subjects.count {
      let s = q.monitor.subjects[i]
      guard s.depth >= 0, s.activation == nil, let t = s.gradient?.pointee,
        Double(t.records) >= steps, let units = deadUnits(t, steps)
      else { continue }
      try layers.add(s.depth, units)
    }
    return layers
  }

  private static func add(
    _ q: Inquiry, _ places: inout PlaceList, _ severity: Severity, _ limit: StaticText,
    _ title: StaticText, cut: Bool = false
  ) throws(RavineError) {
    guard places.count > 0 else { return }
    places.sort(largestFirst: true)
    var finding = Finding()
    finding.severity = severity
    finding.title = title
    finding.limitName = limit
    finding.value = cut ? q.limit("steps") : places[0].value
    finding.limit = q.limit(limit)
    finding.window = Int(q.limit("steps"))
    finding.place = try q.placesText(places)
    finding.evidence =
      cut
      ? "every element was exactly 0 in each of the last \(finding.window) steps"
      : "\(short(100 * places[0].value)) % of the units of \(q.monitor.subjects[places[0].subject].text) were exactly 0 in each of the last \(finding.window) steps"
    try places.publish(q.heap, to: &finding)
    try q.add(finding)
  }
}
