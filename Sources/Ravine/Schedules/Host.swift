import CRavine
import CShims
import Kernels

/// A schedule that is a function of the host.
public struct HostSchedule {
  /// Writes the value at a step for these parameters; anything but 0 is a failure.
  public typealias Function =
    @convention(c) (
      _ user: UnsafeMutableRawPointer?, _ step: Double, _ parameters: UnsafePointer<Double>?,
      _ value: UnsafeMutablePointer<Double>?
    ) -> Int32

  let declaration: Declaration
  /// Holds the text of the declaration.
  let heap: Heap
  private let function: Function
  private let user: UnsafeMutableRawPointer?

  public init(
    name: Text, summary: Text, formula: Text, reference: Text, parameters: [HostParameter],
    function: @escaping Function, user: UnsafeMutableRawPointer?
  ) throws(RavineError) {
    try checkHostName(name)
    let heap = Heap(ravine_allocator())
    var declared: [Parameter] = []
    for p in parameters {
      if declared.contains(where: { p.name == $0.name }) {
        throw .name("\(name): two parameters are called '\(p.name)'")
      }
      declared.append(try p.declaration(of: name, heap))
    }
    declaration = Declaration(
      .schedule, try lasting(name, heap), try lasting(summary, heap),
      formula: try lasting(formula, heap), reference: try lasting(reference, heap),
      difference: "", parameters: declared)
    (self.heap, self.function, self.user) = (heap, function, user)
    try checkMemory()
  }

  var entry: ScheduleEntry {
    let name = declaration.name, declared = declaration.parameters
    let function = function, user = user
    return ScheduleEntry(
      declaration: declaration,
      make: { (a: Arguments) throws(RavineError) -> Curve in
        var values: [Double] = []
        for k in 0..<a.values.count { values.append(a.number(k)) }
        return { (t: Double) throws(RavineError) -> Double in
          try call(function, user, name, values, at: t)
        }
      },
      total: { $1 },
      span: { Ravine.span(declared, $0, $1) })
  }
}

private func call(
  _ function: HostSchedule.Function, _ user: UnsafeMutableRawPointer?, _ name: StaticText,
  _ values: [Double], at t: Double
) throws(RavineError) -> Double {
  var value = Double.nan
  let failure = values.withUnsafeBufferPointer {
    function(user, t, $0.isEmpty ? nil : $0.baseAddress, &value)
  }
  _ = ravine_default_mode()  // whatever the host did to it
  if failure == 0 { return value }
  throw RavineError(RVN_ERR_CALLBACK, "\(name) failed with \(failure) at step \(t)")
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

  fileprivate func declaration(of owner: Text, _ heap: Heap) throws(RavineError) -> Parameter {
    guard isWord(name) else {
      throw .name(
        "\(owner): '\(name)' is no name for a parameter: letters, digits and _, but no digit first; at most \(Limits.name) bytes"
      )
    }
    let bare = try ranged(of: owner, heap)
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
  private func ranged(of owner: Text, _ heap: Heap) throws(RavineError) -> Parameter {
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
        share: "total", summary)
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
  return StaticText(lasting: memory, count: text.bytes.count)
}
