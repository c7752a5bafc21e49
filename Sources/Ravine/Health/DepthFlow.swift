import CShims
import Kernels

/// How large something is at a depth. Plain memory.
struct DepthLevel: BitwiseCopyable {
  var depth: Int64
  /// Logarithm of the root mean square over all arrays of that depth.
  var level: Double
  var count: Double
}

/// How gradients (toward the input) or activations (toward the output) change from layer to layer.
struct DepthFlow: ~Copyable {
  /// What stands for the size of a layer's signal.
  enum Measure { case layerGradient, biasGradient, weightGradient, activation }

  let measure: Measure
  private(set) var layers: Table<DepthLevel>
  /// Steps that the levels are medians of, at most.
  private(set) var window = 0
  /// Logarithm of the factor of one layer, in the direction of the flow.
  private(set) var gain = 0.0
  /// The same of the whole way.
  private(set) var total = 0.0
  /// The layer behind which (from the input) the level changes most, and the logarithm of that.
  private(set) var jump = 0
  private(set) var jumpSize = 0.0

  var words: Text {
    switch measure {
    case .layerGradient: "gradients of the layers' outputs"
    case .biasGradient: "bias gradients"
    case .weightGradient: "weight gradients, which say least: give gradients of biases or outputs"
    case .activation: "activations"
    }
  }

  /// The best measure of gradients that is there for every layer; nil: less than three layers.
  static func gradients(_ q: Inquiry) throws(RavineError) -> DepthFlow? {
    var all = DepthFlow(.weightGradient, q.heap)
    try all.gather(q)
    let layers = all.layers.count
    guard layers >= 3 else { return nil }
    for measure in [Measure.layerGradient, .biasGradient] {
      var flow = DepthFlow(measure, q.heap)
      try flow.gather(q)
      if flow.layers.count == layers {
        flow.fit(q)
        return flow
      }
    }
    all.fit(q)
    return all
  }

  static func activations(_ q: Inquiry) throws(RavineError) -> DepthFlow? {
    var flow = DepthFlow(.activation, q.heap)
    try flow.gather(q)
    guard flow.layers.count >= 3 else { return nil }
    flow.fit(q)
    return flow
  }

  private init(_ measure: Measure, _ heap: Heap) {
    self.measure = measure
    layers = Table(heap)
  }

  /// The track of a subject that counts.
  static func track(_ s: Subject, _ measure: Measure) -> UnsafeMutablePointer<Track>? {
    if measure == .activation { return s.activation }
    guard let gradient = s.gradient, !gradient.pointee.timed else { return nil }
    switch measure {
    case .layerGradient: return s.activation == nil ? nil : gradient
    case .biasGradient:
      return s.activation == nil && gradient.pointee.rank <= 1 ? gradient : nil
    default: return gradient
    }
  }

  private mutating func gather(_ q: Inquiry) throws(RavineError) {
    let subjects = q.monitor.subjects.count
    for i in 0..<subjects {
      let s = q.monitor.subjects[i]
      guard s.depth >= 0, let track = DepthFlow.track(s, measure)?.pointee, track.levels.count > 0
      else { continue }
      window = max(window, track.levels.count)
      let level = track.levels.median(q.scratch)
      try add(DepthLevel(depth: s.depth, level: level, count: Double(track.count)))
    }
  }

  /// Keeps layers in order, one for each depth: they come in order, mostly.
  private mutating func add(_ new: DepthLevel) throws(RavineError) {
    var at = layers.count
    while at > 0, layers[at - 1].depth >= new.depth { at -= 1 }
    if at < layers.count, layers[at].depth == new.depth {
      let old = layers[at], most = max(old.level, new.level)
      let squares =
        old.count * Math.exp(2 * (old.level - most)) + new.count * Math.exp(2 * (new.level - most))
      let count = old.count + new.count
      layers[at] = DepthLevel(
        depth: new.depth, level: most + 0.5 * Math.log(squares / count), count: count)
      return
    }
    try layers.append(new)
    for i in stride(from: layers.count - 1, to: at, by: -1) { layers[i] = layers[i - 1] }
    layers[at] = new
  }

  private mutating func fit(_ q: Inquiry) {
    let n = layers.count, points = min(n, Sequence.points)
    let x = q.scratch, y = q.scratch + Sequence.points
    for i in 0..<points {
      let k = n <= points ? i : i * (n - 1) / (points - 1)
      x[i] = Double(k)
      y[i] = layers[k].level
    }
    let sign = measure == .activation ? 1.0 : -1.0
    gain = sign * Robust.slope(x, y, points, q.scratch + 2 * Sequence.points)
    let ends = max(1, n / 8)
    total = sign * (end(from: n - ends, ends) - end(from: 0, ends))
    for i in 1..<n {
      let change = sign * (layers[i].level - layers[i - 1].level)
      if change * (total < 0 ? -1 : 1) > jumpSize * (total < 0 ? -1 : 1) {
        (jump, jumpSize) = (i - 1, change)
      }
    }
  }

  private func end(from first: Int, _ n: Int) -> Double {
    var sum = 0.0
    for i in 0..<n { sum += layers[first + i].level }
    return sum / Double(n)
  }

  /// The layers at the end of the flow that differ from its start by more than a factor.
  func affected(beyond logarithm: Double) -> ClosedRange<Int> {
    let n = layers.count, back = measure != .activation
    let start = back ? layers[n - 1].level : layers[0].level
    func beyond(_ i: Int) -> Bool {
      let change = layers[i].level - start
      return logarithm < 0 ? change < logarithm : change > logarithm
    }
    if back {
      var last = 0
      while last + 1 < n - 1, beyond(last + 1) { last += 1 }
      return 0...last
    }
    var first = n - 1
    while first - 1 > 0, beyond(first - 1) { first -= 1 }
    return first...(n - 1)
  }
}

extension Inquiry {
  /// Judges a flow whose total is below -limit (sign -1) or above it (sign 1).
  func judge(_ flow: borrowing DepthFlow, sign: Double) throws(RavineError) {
    consider()
    let total = sign * flow.total
    let severity: Severity =
      total > Math.log(limit("severe"))
      ? .severe : total > Math.log(limit("warn")) ? .warn : .note
    guard total > Math.log(limit("note")) else { return }
    var finding = Finding()
    finding.severity = severity
    finding.limitName = severity.word
    finding.limit = limit(severity.word)
    finding.value = Math.exp(total)
    finding.window = flow.window
    let mild: StaticText = severity == .note ? "note" : "warn"
    let range = flow.affected(beyond: sign * Math.log(limit(mild)))
    let first = flow.layers[range.lowerBound].depth, last = flow.layers[range.upperBound].depth
    finding.place = layersText(first, last)
    let activations = flow.measure == .activation
    let backward: StaticText =
      sign < 0 ? "the gradient vanishes toward the input" : "the gradient explodes toward the input"
    let forward: StaticText =
      sign < 0
      ? "activations vanish toward the output" : "activations explode toward the output"
    finding.title = activations ? forward : backward
    finding.evidence =
      "a gain of \(short(Math.exp(flow.gain))) per layer, \(short(Math.exp(flow.total))) over \(flow.layers.count) layers; \(flow.words), median of \(flow.window) \(flow.window == 1 ? "step" : "steps")"
    if flow.jumpSize * sign > 0.6 * total, flow.layers.count > 3 {
      let from = flow.layers[flow.jump].depth, to = flow.layers[flow.jump + 1].depth
      finding.evidence.append(
        "; most of it between layers \(from) and \(to), a factor of \(short(Math.exp(flow.jumpSize)))"
      )
    }
    finding.measured = [
      ("gain_per_layer", Math.exp(flow.gain)), ("total", Math.exp(flow.total)),
      ("first_layer", Double(first)), ("last_layer", Double(last)),
      ("largest_jump", Math.exp(flow.jumpSize)),
      ("jump_after", Double(flow.layers[flow.jump].depth)),
    ]
    try place(&finding, flow.measure, first, last)
    try add(finding)
  }

  /// The arrays of these layers, and whether their optimizer makes the size of a gradient irrelevant.
  private func place(
    _ finding: inout Finding, _ measure: DepthFlow.Measure, _ first: Int64, _ last: Int64
  ) throws(RavineError) {
    var list = places(), normalized = measure != .activation
    for i in 0..<monitor.subjects.count {
      let s = monitor.subjects[i]
      guard s.depth >= first, s.depth <= last, let track = DepthFlow.track(s, measure),
        track.pointee.levels.count > 0
      else { continue }
      try list.append(i, Math.exp(track.pointee.levels.median(scratch)))
      let eps = s.epsDominated.median(scratch)
      if s.normalizes != true || eps > monitor.limit("eps_dominated", "note") { normalized = false }
    }
    list.sort(largestFirst: false)
    try list.publish(heap, to: &finding)
    guard normalized, finding.severity.rawValue > Severity.note.rawValue else { return }
    finding.severity = .note
    finding.evidence.append(
      "; the rule steps by the same amount whatever the size of a gradient, so this alone does no harm"
    )
  }
}

/// "layers 0 to 7"
func layersText(_ first: Int64, _ last: Int64) -> Text {
  first == last ? "layer \(first)" : "layers \(first) to \(last)"
}
