import CRavine
import CShims
import Kernels

/// What a host says of an entry of any kind.
public struct HostEntry {
  public var name, summary, formula, reference: Text
  public var parameters: [HostParameter]
  /// Names of the arrays of state, separated by spaces.
  public var state: Text

  public init(
    name: Text, summary: Text, formula: Text, reference: Text, parameters: [HostParameter],
    state: Text = ""
  ) {
    (self.name, self.summary, self.formula) = (name, summary, formula)
    (self.reference, self.parameters, self.state) = (reference, parameters, state)
  }

  /// As the catalog has it; the text lies on the heap.
  func declaration(_ kind: Declaration.Kind, _ heap: Heap) throws(RavineError) -> Declaration {
    try checkHostName(name)
    var declared: [Parameter] = []
    for p in parameters {
      if declared.contains(where: { p.name == $0.name }) {
        throw .name("\(name): two parameters are called '\(p.name)'")
      }
      declared.append(try p.declaration(of: name, schedulable: kind != .schedule, heap))
    }
    return Declaration(
      kind, try lasting(name, heap), try lasting(summary, heap),
      formula: try lasting(formula, heap), reference: try lasting(reference, heap),
      difference: "", parameters: declared, slots: try slots(heap))
  }

  private func slots(_ heap: Heap) throws(RavineError) -> [Slot] {
    var out: [Slot] = []
    for part in state.bytes.split(separator: 32) {
      let word = Text(Array(part))
      guard isWord(word), word != "step", !out.contains(where: { word == $0.name }) else {
        throw .name(
          "\(name): '\(word)' is no name of its own for an array of state: letters, digits and _, but no digit first, and not step"
        )
      }
      out.append(Slot(try lasting(word, heap), "state of the host"))
    }
    if out.count > Int(RAVINE_MAX_SLOTS) {
      throw .argument(
        "\(name): it has \(out.count) arrays of state, but at most \(RAVINE_MAX_SLOTS) are allowed")
    }
    return out
  }
}

/// A parameter as the host describes it: as the catalog describes one.
public struct HostParameter {
  public var name, summary, initial, words: Text
  public var kind: Int32
  public var low, high: Double
  public var lowOpen, highOpen: Bool

  public init(
    name: Text, summary: Text, initial: Text, words: Text, kind: Int32, low: Double, high: Double,
    lowOpen: Bool, highOpen: Bool
  ) {
    (self.name, self.summary, self.initial, self.words) = (name, summary, initial, words)
    (self.kind, self.low, self.high) = (kind, low, high)
    (self.lowOpen, self.highOpen) = (lowOpen, highOpen)
  }

  fileprivate func declaration(of owner: Text, schedulable: Bool, _ heap: Heap) throws(RavineError)
    -> Parameter
  {
    guard isWord(name) else {
      throw .name(
        "\(owner): '\(name)' is no name for a parameter: letters, digits and _, but no digit first; at most \(Limits.name) bytes"
      )
    }
    let bare = try ranged(of: owner, schedulable, heap)
    if initial.isEmpty { return bare }
    guard let x = try value(of: initial, bare) else {
      throw .argument("\(owner).\(name): its default '\(initial)' is no \(bare.kindText)")
    }
    if let reason = bare.reject(x) {
      throw .argument("\(owner).\(name): its default is \(x), \(reason)")
    }
    return bare.starting(at: x)
  }

  /// Without its default.
  private func ranged(of owner: Text, _ schedulable: Bool, _ heap: Heap) throws(RavineError)
    -> Parameter
  {
    let name = try lasting(name, heap), summary = try lasting(summary, heap)
    if kind == RVN_PARAMETER_FLAG { return Parameter(name, .flag, to: 1, summary) }
    if kind == RVN_PARAMETER_WORD {
      let list = try splitWords(owner, heap)
      return Parameter(name, .word, to: Double(list.count - 1), words: list, summary)
    }
    guard kind == RVN_PARAMETER_NUMBER || kind == RVN_PARAMETER_COUNT else {
      throw .argument(
        "\(owner).\(name): its kind is \(kind), but those of a host are number (1), flag (2), word (3) and count (4)"
      )
    }
    guard low <= high else {
      throw .argument(
        "\(owner).\(name): low is \(low), which is not at most high, which is \(high)")
    }
    let free = low == 0 && high == 0
    if kind == RVN_PARAMETER_COUNT {
      return Parameter(
        name, .count, from: low, to: free ? 1e15 : high, lowOpen: lowOpen, highOpen: highOpen,
        share: schedulable ? nil : "total", summary)
    }
    if free { return Parameter(name, .number, from: -.infinity, summary) }
    return Parameter(
      name, .number, from: low, to: high, lowOpen: lowOpen, highOpen: highOpen, summary)
  }

  private func splitWords(_ owner: Text, _ heap: Heap) throws(RavineError) -> [StaticText] {
    var out: [StaticText] = []
    for part in words.bytes.split(separator: 32) {
      let word = Text(Array(part))
      guard isWord(word), !out.contains(where: { word == $0 }) else {
        throw .argument("\(owner).\(name): '\(word)' is no word of its own among its words")
      }
      out.append(try lasting(word, heap))
    }
    if out.isEmpty { throw .argument("\(owner).\(name): it is a word, but has no words") }
    return out
  }

  private func value(of text: Text, _ p: Parameter) throws(RavineError) -> Double? {
    for (i, word) in p.words.enumerated() where text == word { return Double(i) }
    if p.kind == .flag, text == "true" || text == "false" { return text == "true" ? 1 : 0 }
    guard p.kind != .word, let parsed = Numbers.parse(text.bytes, suffixes: true),
      parsed.length == text.bytes.count, !parsed.tooLarge
    else { return nil }
    return parsed.value
  }
}

extension Parameter {
  fileprivate var kindText: Text {
    switch kind {
    case .flag: "flag"
    case .word: "word of its own"
    default: "number"
    }
  }

  fileprivate func starting(at x: Double) -> Parameter {
    Parameter(
      name, kind, x, from: low, to: high, lowOpen: lowOpen, highOpen: highOpen, words: words,
      needs: needs, share: share, fits: fits, summary)
  }
}

/// Letters, digits and _, without a digit first.
private func isWord(_ text: Text) -> Bool {
  guard let first = text.bytes.first, isNameStart(first), text.bytes.count <= Limits.name else {
    return false
  }
  return text.bytes.allSatisfy { isNameByte($0) && $0 != UInt8(ascii: ".") }
}

/// A copy that lives as long as the heap, which for what is registered is for good.
private func lasting(_ text: Text, _ heap: Heap) throws(RavineError) -> StaticText {
  if let place = malformedUTF8(text.bytes) {
    throw .argument("a text is not UTF-8 at byte \(place)")
  }
  if text.bytes.count > Limits.text {
    throw .argument("a text is longer than \(Limits.text) bytes, which is the limit")
  }
  let memory = UnsafeRawPointer(try keep(text, heap)).assumingMemoryBound(to: UInt8.self)
  return StaticText(lasting: memory)
}
