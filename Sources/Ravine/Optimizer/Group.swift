import Kernels

/// Where a hyper-parameter's value comes from.
struct Source {
  /// Where no schedule moves it.
  let number: Double
  let curve: Curve?
  private let parameter: Parameter
  private let owner: StaticText

  init(_ value: Value, _ parameter: Parameter, owner: StaticText) throws(RavineError) {
    self.parameter = parameter
    self.owner = owner
    number = value.constant ?? 0
    if case .schedule(let element, let times) = value {
      curve = scaled(try Ravine.curve(of: element), by: times)
    } else {
      curve = nil
    }
  }

  /// The value at a step. A schedule that leaves its parameter's range is an error.
  func value(at t: Double) throws(RavineError) -> Double {
    guard let curve else { return number }
    let x = try curve(t)
    if x.isNaN {
      throw .argument(
        "\(owner).\(parameter.name) has no value at step \(t): its schedule ended, or overflows 64 bits"
      )
    }
    if let reason = parameter.reject(x) {
      throw .argument("\(owner).\(parameter.name) is \(x) at step \(t), \(reason)")
    }
    return x
  }
}

/// The tensors that the same clauses match, and what holds for them.
struct Group {
  let clauses: [Int]
  var resolved: Resolved
  /// How many stages stand before the rule.
  let before: Int
  /// Of the rule's parameters, then of each stage's.
  var sources: [Source]
  /// The arrays of state that its tensors may have.
  let slots: [GroupSlot]

  init(_ recipe: Recipe, _ clauses: [Int]) throws(RavineError) {
    self.clauses = clauses
    resolved = try recipe.resolve(clauses)
    before = recipe.before
    slots = try Group.slots(of: resolved, before)
    sources = []
    for element in [resolved.rule] + resolved.stages {
      let d = try element.declaration
      for (k, value) in element.values.enumerated() {
        sources.append(try Source(value, d.parameters[k], owner: d.name))
      }
    }
    try checkMemory()
  }

  /// The slots of the rule, then of each stage behind it, then of each before it.
  private static func slots(of resolved: Resolved, _ before: Int) throws(RavineError) -> [GroupSlot]
  {
    var out: [GroupSlot] = []
    if resolved.frozen { return out }
    for slot in try resolved.rule.declaration.slots {
      out.append(try GroupSlot(Text(slot.name), slot, resolved.rule))
    }
    for k in Array(before..<resolved.stages.count) + Array(0..<before) {
      for slot in try resolved.stages[k].declaration.slots {
        // The second of a name says whose it is.
        let taken = out.contains { $0.name == slot.name }
        let full: Text = "\(try stageName(k, in: resolved.stages)).\(slot.name)"
        out.append(
          try GroupSlot(taken ? full : Text(slot.name), slot, resolved.stages[k]))
      }
    }
    return out
  }

  /// Whether another group has the same arrays of state.
  func fits(_ other: Group) throws(RavineError) -> Bool {
    if resolved.frozen || other.resolved.frozen { return resolved.frozen == other.resolved.frozen }
    guard resolved.rule.row == other.resolved.rule.row else { return false }
    for (own, its) in zip(slots, other.slots)
    where own.needed != its.needed || own.start != its.start || own.moments != its.moments {
      return false
    }
    return true
  }
}

/// An array of state that the tensors of a group may have.
struct GroupSlot {
  let name: Text
  /// Whether the values of this group make use of it.
  let needed: Bool
  /// What it starts at.
  let start: Double
  let kind: Slot.Kind
  /// How moments are stored: the number of the word, 0 for what is none.
  let moments: Int

  init(_ name: Text, _ slot: Slot, _ element: Element) throws(RavineError) {
    let d = try element.declaration
    self.name = name
    kind = slot.kind
    let moment = kind == .signed || kind == .positive
    moments = moment ? Int(element.values[element.values.count - 1].constant ?? 0) : 0
    if let when = slot.when, let k = d.index(of: Text(when)) {
      needed = element.values[k].constant != 0
    } else {
      needed = true
    }
    if let initial = slot.initial, let k = d.index(of: Text(initial)) {
      start = try Source(element.values[k], d.parameters[k], owner: d.name).value(at: 0)
    } else {
      start = 0
    }
  }
}

/// A hyper-parameter that a schedule moves, and where its value goes.
struct Moving {
  let source: Source
  let target: UnsafeMutablePointer<Double>

  func move(to t: Double) throws(RavineError) { target.pointee = try source.value(at: t) }
}
