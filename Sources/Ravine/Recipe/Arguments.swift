import Kernels

/// What stands in the parentheses behind a name: values, each in the form and the range of its
/// parameter.
extension Parser {
  mutating func arguments(of element: inout Element, _ d: Declaration, inClause: Bool)
    throws(RavineError)
  {
    if lexer.take(")") { return }
    var next = 0, named = false
    repeat {
      let k = try place(of: &next, &named, in: element, d), outer = total
      let whole = whole(of: d.parameters[k], in: element, d)
      total = try inside(element, d)
      element.values[k] = try value(
        for: d.parameters[k], of: Text(d.name), schedules: d.kind == .rule || d.kind == .stage,
        multiples: inClause, whole: whole)
      total = outer
      element.given[k] = true
    } while lexer.take(",")
    try lexer.expect(")", "',' or ')'")
  }

  /// Which parameter comes next, by its name or by its place.
  @inline(never)
  private mutating func place(
    of next: inout Int, _ named: inout Bool, in element: Element, _ d: Declaration
  ) throws(RavineError) -> Int {
    lexer.skipSpace()
    let place = lexer.at
    let k: Int
    if let key = keyword() {
      named = true
      guard let found = d.index(of: key) else {
        throw lexer.error(place, unknown(key, d))
      }
      k = found
    } else {
      if named { throw lexer.error(place, "a value without a name after one with a name") }
      guard next < d.parameters.count else {
        throw lexer.error(place, "\(d.name) takes \(d.parameters.count) values at most")
      }
      k = next
      next += 1
    }
    if element.given[k] {
      throw lexer.error(place, "'\(d.parameters[k].name)' of \(d.name) is given twice")
    }
    return k
  }

  private func unknown(_ key: Text, _ d: Declaration) -> Text {
    let near = suggestion(for: key, among: d.parameterNames)
    return
      "\(d.name) has no parameter '\(key)'\(near.isEmpty ? "; it has \(list(d.parameterNames))" : near)"
  }

  /// A name and '=' behind it; else nothing is read.
  mutating func keyword() -> Text? {
    let place = lexer.at
    if let name = lexer.name(), lexer.take("=") { return name }
    lexer.rewind(place)
    return nil
  }

  /// What 5% is a share of in the schedules inside an element.
  @inline(never)
  private func inside(_ element: Element, _ d: Declaration) throws(RavineError) -> Double? {
    guard d.kind == .schedule else { return total }
    return try Catalog.shared().schedule(element.row).total(element.values, total)
  }

  /// What 5% is a share of, if that is known.
  @inline(never)
  private func whole(of p: Parameter, in element: Element, _ d: Declaration) -> Double? {
    guard let share = p.share, let k = d.index(of: Text(share)) else { return total }
    return element.given[k] ? element.values[k].constant : nil
  }

  /// `schedules`: whether a number may be a schedule; `multiples`: whether it may be x0.1; `whole`:
  /// what 5% is a share of.
  mutating func value(
    for p: Parameter, of owner: Text, schedules: Bool, multiples: Bool, whole: Double? = nil
  ) throws(RavineError) -> Value {
    lexer.skipSpace()
    let place = lexer.at
    switch p.kind {
    case .word: return .number(try word(of: p, owner))
    case .list:
      var numbers: [Double] = []
      for item in try items(for: p, owner, whole) { numbers.append(item.constant ?? .nan) }
      return .list(numbers)
    case .schedules: return .schedules(try items(for: p, owner, whole))
    case .flag:
      if let name = lexer.name() {
        if name == "true" || name == "True" { return .number(1) }
        if name == "false" || name == "False" { return .number(0) }
        lexer.rewind(place)
      }
    default: break
    }
    if multiples, p.kind == .number, let factor = try multiple() { return .times(factor) }
    if let number = try number(for: p, owner, whole) { return .number(number) }
    guard p.kind == .schedule || (p.kind == .number && schedules) else {
      throw lexer.expected("a number for \(owner).\(p.name)")
    }
    return try schedule(for: p, owner)
  }

  private mutating func schedule(for p: Parameter, _ owner: Text) throws(RavineError) -> Value {
    lexer.skipSpace()
    let place = lexer.at
    let element = try element([.schedule], "a number or a schedule for \(owner).\(p.name)")
    try checkStart(of: element, p, owner, place)
    return .schedule(element, times: 1)
  }

  /// A number in its range; 5% of steps is a whole number of them.
  @inline(never)
  private mutating func number(for p: Parameter, _ owner: Text, _ whole: Double?)
    throws(RavineError) -> Double?
  {
    lexer.skipSpace()
    let place = lexer.at
    guard var x = try lexer.number() else { return nil }
    if let share = p.share {
      if lexer.percent {
        guard let whole else { throw noTotal(p, share, owner, place) }
        x = (x * whole + 0.5).rounded(.down)  // to the nearest, without libm
      }
      if p.fits, let whole, x > whole {
        throw lexer.error(
          place, "\(owner).\(p.name) is \(x), longer than the \(whole) steps there are")
      }
    }
    try check(x, p, owner, place)
    return x
  }

  private func noTotal(_ p: Parameter, _ share: StaticText, _ owner: Text, _ place: Int)
    -> RavineError
  {
    let mend: Text =
      Text(share) == "total"
      ? "put over(steps=..., schedule=...) around it" : "give \(share) before it"
    let said = Text(Array(lexer.text[place..<lexer.at]))
    return lexer.error(
      place, "\(owner).\(p.name) is \(said), a share of steps that are not known here; \(mend)")
  }

  /// x0.1
  private mutating func multiple() throws(RavineError) -> Double? {
    let place = lexer.at
    guard lexer.peek() == UInt8(ascii: "x") else { return nil }
    _ = lexer.take("x")
    if let factor = try lexer.number() { return factor }
    lexer.rewind(place)
    return nil
  }

  func check(_ x: Double, _ p: Parameter, _ owner: Text, _ place: Int) throws(RavineError) {
    if let reason = p.reject(x) {
      throw lexer.error(place, "\(owner).\(p.name) is \(x), \(reason)")
    }
  }

  /// A schedule's values are known only when their step comes; the first one is known now.
  private func checkStart(of element: Element, _ p: Parameter, _ owner: Text, _ place: Int)
    throws(RavineError)
  {
    try check(try curve(of: element)(0), p, owner, place)
  }

  @inline(never)
  private mutating func word(of p: Parameter, _ owner: Text) throws(RavineError) -> Double {
    let place = lexer.at
    var known: [Text] = []
    for word in p.words { known.append(Text(word)) }
    var bytes: [UInt8] = []
    if let quoted = try lexer.quoted() {
      bytes = quoted
    } else {
      while lexer.at < lexer.text.count, isNameByte(lexer.text[lexer.at]) {
        bytes.append(lexer.text[lexer.at])
        lexer.rewind(lexer.at + 1)
      }
    }
    for i in 0..<known.count where known[i].bytes == bytes { return Double(i) }
    if bytes.isEmpty { throw lexer.expected("one of \(list(known)) for \(owner).\(p.name)") }
    throw lexer.error(
      place,
      "\(owner).\(p.name) is one of \(list(known)), not '\(Text(bytes))'\(suggestion(for: Text(bytes), among: known))"
    )
  }

  /// What stands in parentheses for a list of numbers, or of schedules and numbers.
  private mutating func items(for p: Parameter, _ owner: Text, _ whole: Double?)
    throws(RavineError) -> [Value]
  {
    let plain = p.kind == .list
    try lexer.expect(
      "(",
      plain
        ? "numbers in parentheses for \(owner).\(p.name), such as (5, 20)"
        : "schedules in parentheses for \(owner).\(p.name), such as (0.1, cosine(0.1, steps=90))")
    let limit = plain ? Limits.list : Limits.parts
    var out: [Value] = []
    while !lexer.take(")") {
      if out.count == limit {
        throw lexer.error(lexer.at, "more than \(limit) \(plain ? "numbers" : "schedules")")
      }
      if let x = try number(for: p, owner, whole) {
        out.append(.number(x))
      } else if plain {
        throw lexer.expected("a number or ')'")
      } else {
        out.append(try schedule(for: p, owner))
      }
      try checkMemory()
      if lexer.take(",") { continue }
      try lexer.expect(")", "',' or ')'")
      break
    }
    if out.isEmpty {
      throw lexer.error(
        lexer.at, "\(owner).\(p.name) needs one \(plain ? "number" : "schedule") at least")
    }
    return out
  }
}
