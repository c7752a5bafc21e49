import CShims
import Kernels

/// The state of a reactive schedule: its slots, and the metrics that are averaged.
final class Reaction {
  let declaration: Declaration
  /// Its arguments but the schedule that it moves. Reactive schedules with the same ones see the same
  /// metrics, and so they share one state.
  let arguments: Text
  private let heap: Heap
  private let reflex: Reflex
  /// The slots as declared, and behind them what the average keeps.
  private let memory: UnsafeMutablePointer<Double>

  private init(
    _ declaration: Declaration, _ arguments: Text, _ heap: Heap, _ reflex: Reflex,
    _ memory: UnsafeMutablePointer<Double>
  ) {
    self.declaration = declaration
    self.arguments = arguments
    self.heap = heap
    self.reflex = reflex
    self.memory = memory
  }

  /// The state of a reactive schedule, at its beginning; nil for any other.
  static func make(_ element: Element, _ allocator: ravine_allocator) throws(RavineError)
    -> Reaction?
  {
    let entry = try Catalog.shared().schedule(element.row)
    guard let reflex = entry.reflex else { return nil }
    let made = try reflex(try Ravine.arguments(of: element)), heap = Heap(allocator)
    let slots = entry.declaration.slots.count
    let memory = try heap.zeros(Double.self, slots + made.average.size)
    made.start(memory)
    return Reaction(
      entry.declaration, try Reaction.arguments(element, entry.declaration), heap, made, memory)
  }

  static func arguments(_ element: Element, _ d: Declaration) throws(RavineError) -> Text {
    var out = Text()
    for (k, p) in d.parameters.enumerated() where p.kind != .schedule {
      out.append("\(out.isEmpty ? "" : ", ")\(p.name)=\(try print(element.values[k], as: p))")
    }
    return out
  }

  /// Every reactive schedule declares these three first.
  var scale: Double { memory[0] }
  var best: Double { memory[1] }
  var bad: Double { memory[2] }

  func slot(_ name: Text) -> Double? {
    for (k, slot) in declaration.slots.enumerated() where name == slot.name { return memory[k] }
    return nil
  }

  private var kept: UnsafeMutablePointer<Double> { memory + declaration.slots.count }

  /// Answers a metric. Returns what it was compared as: NaN where it is not finite, or a block of
  /// metrics is not full.
  func react(to metric: Double) -> Double {
    guard let compared = reflex.average.add(metric, to: kept) else { return .nan }
    if reflex.react(memory, compared) { memset(kept, 0, 8 * reflex.average.size) }
    return compared
  }

  // MARK: in checkpoints and plans

  /// "scale 0.1, best 0.25, bad 3, waiting 0"
  var description: Text {
    var out = Text()
    for (k, slot) in declaration.slots.enumerated() {
      out.append("\(k == 0 ? "" : ", ")\(slot.name) \(memory[k])")
    }
    return out
  }

  /// The slots, then of the average its kind and what it keeps, as numbers between spaces.
  var saved: Text {
    var out = Text()
    for k in 0..<declaration.slots.count { out.append("\(memory[k]) ") }
    out.append("\(reflex.average.kind.rawValue) \(kept[0]) \(kept[1])")
    if reflex.average.kind == .moving {
      for i in 0..<Int(kept[0]) { out.append(" \(kept[2 + i])") }
    }
    return out
  }

  /// The state that `saved` gave, as memory of this reaction in a heap; nil where the text is damaged.
  /// A shorter window takes the newest metrics, another kind of average begins anew.
  func restored(_ text: Text, _ heap: Heap) throws(RavineError) -> UnsafeMutablePointer<Double>? {
    var numbers = Table<Double>(heap)
    try read(text, into: &numbers)
    let slots = declaration.slots.count, head = slots + 3
    guard numbers.count >= head, numbers[0] >= 0, numbers[0].isFinite else { return nil }
    for k in 2..<slots where !isCount(numbers[k]) { return nil }
    guard let kind = Average.Kind(exactly: numbers[slots]), isCount(numbers[slots + 1]) else {
      return nil
    }
    let held = numbers.count - head
    guard kind != .moving ? held == 0 : Double(held) == numbers[slots + 1] else { return nil }
    for k in head..<numbers.count where !numbers[k].isFinite { return nil }
    let out = try heap.zeros(Double.self, slots + reflex.average.size)
    for k in 0..<slots { out[k] = numbers[k] }
    guard kind == reflex.average.kind else { return out }
    (out[slots], out[slots + 1]) = (numbers[slots + 1], numbers[slots + 2])
    if kind == .moving {
      let newest = min(held, reflex.average.window)
      out[slots] = Double(newest)
      for i in 0..<newest { out[slots + 2 + i] = numbers[numbers.count - newest + i] }
    }
    return out
  }

  private func read(_ text: Text, into numbers: inout Table<Double>) throws(RavineError) {
    var at = 0
    while at < text.bytes.count, let parsed = Numbers.parse(text.bytes, from: at) {
      try numbers.append(parsed.value)
      at += parsed.length
      if at == text.bytes.count { return }
      guard text.bytes[at] == 32 else { break }
      at += 1
    }
    numbers.removeAll()
  }

  private func isCount(_ x: Double) -> Bool { x >= 0 && x < 0x1p53 && x == x.rounded(.down) }

  func adopt(_ other: UnsafePointer<Double>) {
    memory.update(from: other, count: declaration.slots.count + reflex.average.size)
  }

  /// A copy of the state.
  func copy(_ heap: Heap) throws(RavineError) -> UnsafeMutablePointer<Double> {
    let count = declaration.slots.count + reflex.average.size
    let out = try heap.allocate(Double.self, count)
    out.update(from: memory, count: count)
    return out
  }
}

extension Average.Kind {
  init?(exactly number: Double) {
    guard number == 0 || number == 1 || number == 2 else { return nil }
    self.init(rawValue: Int(number))
  }
}
