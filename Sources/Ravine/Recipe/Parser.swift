import CRavine
import Kernels

/// recipe := chain (';' clause)*       chain := element ('|' element)*
/// element := name [ '(' [argument (',' argument)*] ')' ]     argument := [name '='] value
struct Parser {
  var lexer: Lexer
  private var depth = 0
  /// The steps of the `over` around what is read, in the unit that counts there.
  private var total: Double?

  init(_ text: [UInt8], _ title: StaticString) throws(RavineError) {
    lexer = try Lexer(text, title)
  }

  static func recipe(_ text: [UInt8]) throws(RavineError) -> Recipe {
    var parser = try Parser(text, "recipe")
    var recipe = try parser.chain()
    while parser.lexer.take(";") {
      if parser.lexer.atEnd { break }
      if recipe.clauses.count == Limits.clauses {
        throw parser.lexer.error(parser.lexer.at, "more than \(Limits.clauses) clauses")
      }
      let patterns = try parser.patterns()
      try parser.lexer.expect(":", "':' after the patterns of a clause")
      recipe.clauses.append(Clause(patterns: patterns, change: try parser.change(recipe)))
    }
    if !parser.lexer.atEnd { throw parser.lexer.expected("'|', ';' or the end") }
    try recipe.checkLength()
    return recipe
  }

  /// A clause given as two texts.
  static func clause(_ patterns: [UInt8], _ change: [UInt8], for recipe: Recipe) throws(RavineError)
    -> Clause
  {
    let patterns = try Parser.patterns(patterns)
    var parser = try Parser(change, "clause")
    let change = try parser.change(recipe)
    if !parser.lexer.atEnd { throw parser.lexer.expected("the end of the clause") }
    try checkMemory()
    return Clause(patterns: patterns, change: change)
  }

  static func patterns(_ text: [UInt8]) throws(RavineError) -> [Pattern] {
    var parser = try Parser(text, "patterns")
    let patterns = try parser.patterns()
    if !parser.lexer.atEnd { throw parser.lexer.expected("',' or the end of the patterns") }
    return patterns
  }

  /// A schedule alone, or a number, which is the constant one.
  static func schedule(_ text: [UInt8]) throws(RavineError) -> Element {
    var parser = try Parser(text, "schedule")
    let element: Element
    parser.lexer.skipSpace()
    let place = parser.lexer.at
    if let number = try parser.lexer.number() {
      let entry = try parser.entry("constant", .schedule, at: place)
      let declaration = entry.entry.declaration
      try parser.check(number, declaration.parameters[0], Text(declaration.name), place)
      element = Element(
        entry: entry.index, row: entry.entry.row, values: [.number(number)], given: [true])
    } else {
      element = try parser.element([.schedule], "a schedule or a number")
    }
    if !parser.lexer.atEnd { throw parser.lexer.expected("the end of the schedule") }
    try checkMemory()
    return element
  }

  /// How a tensor begins: one initializer.
  static func initializer(_ text: [UInt8]) throws(RavineError) -> Element {
    var parser = try Parser(text, "initializer")
    let element = try parser.element([.initializer], "an initializer")
    if !parser.lexer.atEnd { throw parser.lexer.expected("the end of the initializer") }
    try checkMemory()
    return element
  }

  // MARK: chains

  private mutating func chain() throws(RavineError) -> Recipe {
    var stages: [Element] = [], rule: Element?, before = 0
    repeat {
      lexer.skipSpace()
      let place = lexer.at
      if stages.count > Limits.stages {
        throw lexer.error(place, "more than \(Limits.stages) stages")
      }
      let element = try element([.stage, .rule], "a stage or a rule")
      let declaration = try element.declaration
      if declaration.kind == .rule {
        if let rule {
          throw lexer.error(
            place, "\(declaration.name) is a second rule, after \(try rule.declaration.name)")
        }
        rule = element
        before = stages.count
        continue
      }
      let follows = try facts(of: element).follows
      if follows, rule == nil {
        throw lexer.error(
          place, "\(declaration.name) stands behind the rule, as in sgd | \(declaration.name)")
      }
      if !follows, let rule {
        throw lexer.error(
          place,
          "\(declaration.name) changes the gradient, and stands before the rule \(try rule.declaration.name)"
        )
      }
      if try facts(of: element).accumulates > 0 {
        for other in stages where other.row == element.row {
          throw lexer.error(place, "\(declaration.name) stands twice")
        }
      }
      stages.append(element)
    } while lexer.take("|")
    guard let rule else { throw try withoutRule(stages[stages.count - 1]) }
    return Recipe(stages: stages, before: before, rule: rule, clauses: [])
  }

  /// The complaint about a chain that ends in a stage.
  private mutating func withoutRule(_ stage: Element) throws(RavineError) -> RavineError {
    let name = try stage.declaration.name
    if !lexer.atEnd, lexer.peek() != UInt8(ascii: ";") {
      return lexer.expected("'|' and a rule after the stage \(name)")
    }
    return lexer.error(
      lexer.at, "the chain ends in the stage \(name), but needs a rule: \(list(try rules))")
  }

  private var rules: [Text] { get throws(RavineError) { try Catalog.shared().names([.rule]) } }

  private func entry(_ name: Text, _ kind: Declaration.Kind, at place: Int) throws(RavineError)
    -> (index: Int, entry: Catalog.Entry)
  {
    let catalog = try Catalog.shared()
    guard let index = catalog.find(name) else {
      throw lexer.error(
        place,
        "no \(kind.word) is called '\(name)'\(hint(for: name, among: catalog.names([kind])))")
    }
    return (index, catalog[index])
  }

  /// An element of one of these kinds.
  mutating func element(_ kinds: [Declaration.Kind], _ what: Text) throws(RavineError) -> Element {
    depth += 1
    defer { depth -= 1 }
    if depth > Limits.depth { throw lexer.error(lexer.at, "nested deeper than \(Limits.depth)") }
    lexer.skipSpace()
    let place = lexer.at
    let index = try name(of: kinds, what), catalog = try Catalog.shared()
    var element = blank(index, catalog[index])
    let declaration = catalog[index].declaration
    if lexer.take("(") { try arguments(of: &element, declaration, inClause: false) }
    try complete(element, declaration, place)
    return element
  }

  /// The number of the entry that is named next. As with the others that are never inlined: what
  /// nests keeps its stack small.
  @inline(never)
  private mutating func name(of kinds: [Declaration.Kind], _ what: Text) throws(RavineError) -> Int
  {
    let place = lexer.at
    guard let name = lexer.name() else { throw lexer.expected(what) }
    let catalog = try Catalog.shared()
    guard let index = catalog.find(name) else {
      throw lexer.error(
        place, "there is no '\(name)'\(hint(for: name, among: catalog.names(kinds)))")
    }
    let kind = catalog[index].declaration.kind
    guard kinds.contains(where: { $0 == kind }) else {
      throw lexer.error(place, "expected \(what), but \(name) is \(kind.phrase)")
    }
    return index
  }

  private func blank(_ index: Int, _ entry: Catalog.Entry) -> Element {
    var values: [Value] = [], given: [Bool] = []
    for p in entry.declaration.parameters {
      values.append(p.initial.map { .number($0) } ?? .missing)
      given.append(false)
    }
    return Element(entry: index, row: entry.row, values: values, given: given)
  }

  private func complete(_ element: Element, _ d: Declaration, _ place: Int) throws(RavineError) {
    for (k, value) in element.values.enumerated() {
      if case .missing = value {
        throw lexer.error(
          place, "\(d.name) needs '\(d.parameters[k].name)': \(d.parameters[k].summary)")
      }
    }
    if let reason = try element.conflict() { throw lexer.error(place, reason) }
    if d.kind == .schedule || d.kind == .initializer {
      do throws(RavineError) {
        if d.kind == .schedule { _ = try curve(of: element) } else { _ = try plan(of: element) }
      } catch {
        if error.status == RVN_ERR_MEMORY { throw error }
        throw lexer.error(place, error.message)
      }
    }
    try checkMemory()
  }

  // MARK: arguments

  private mutating func arguments(of element: inout Element, _ d: Declaration, inClause: Bool)
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
  private mutating func keyword() -> Text? {
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
  private mutating func value(
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

  private func check(_ x: Double, _ p: Parameter, _ owner: Text, _ place: Int) throws(RavineError) {
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

  // MARK: clauses

  mutating func patterns() throws(RavineError) -> [Pattern] {
    var out: [Pattern] = []
    repeat {
      let place = lexer.at
      let quoted = try lexer.quoted()
      let bytes = quoted ?? lexer.patternBytes()
      if bytes.isEmpty { throw lexer.expected("a pattern for tensor names, such as *.bias") }
      let test: Pattern.Test =
        quoted == nil && bytes[0] == UInt8(ascii: "@") ? try property(bytes, place) : .name(bytes)
      out.append(Pattern(test: test, optional: lexer.take("?")))
      try checkMemory()
      if out.count > Limits.stages {
        throw lexer.error(place, "more than \(Limits.stages) patterns")
      }
    } while lexer.take(",")
    return out
  }

  /// @rank<2 or @size>=1000
  private func property(_ bytes: [UInt8], _ place: Int) throws(RavineError) -> Pattern.Test {
    var i = 1
    while i < bytes.count, isNameByte(bytes[i]) { i += 1 }
    let name = Text(Array(bytes[1..<i]))
    let start = i
    while i < bytes.count, "<>=".utf8.contains(bytes[i]) { i += 1 }
    let sign = Text(Array(bytes[start..<i]))
    let comparison: Comparison? =
      sign == "<"
      ? .less
      : sign == "<="
        ? .lessOrEqual
        : sign == ">"
          ? .greater
          : sign == ">=" ? .greaterOrEqual : sign == "=" || sign == "==" ? .equal : nil
    var n = 0
    let digits = bytes[i...]
    guard let comparison, !digits.isEmpty, digits.count < 19, digits.allSatisfy(isDigit),
      name == "rank" || name == "size"
    else {
      throw lexer.error(
        place, "'\(Text(bytes))' is not a test such as @rank<2 or @size>=1000")
    }
    for d in digits { n = 10 * n + Int(d - UInt8(ascii: "0")) }
    return name == "rank" ? .rank(comparison, n) : .size(comparison, n)
  }

  mutating func change(_ recipe: Recipe) throws(RavineError) -> Clause.Change {
    lexer.skipSpace()
    let place = lexer.at
    if let name = lexer.name(), name == "frozen" { return .frozen }
    lexer.rewind(place)
    guard keyword() == nil else {
      lexer.rewind(place)
      return .arguments(try assignments(recipe))
    }
    return .rule(try rule())
  }

  private mutating func rule() throws(RavineError) -> Element {
    lexer.skipSpace()
    let place = lexer.at
    guard let name = lexer.name() else {
      throw lexer.expected("'frozen', parameter=value, or a rule")
    }
    if try Catalog.shared().find(name) == nil, let near = nearFrozen(name) {
      throw lexer.error(place, near)
    }
    let (index, entry) = try entry(name, .rule, at: place)
    guard entry.declaration.kind == .rule else {
      throw lexer.error(
        place, "\(name) is \(entry.declaration.kind.phrase); a clause can change the rule only")
    }
    var element = blank(index, entry)
    depth += 1
    defer { depth -= 1 }
    if lexer.take("(") { try arguments(of: &element, entry.declaration, inClause: true) }
    try complete(element, entry.declaration, place)
    if lexer.take("|") {
      throw lexer.error(place, "a clause can change the rule, but not the stages")
    }
    return element
  }

  private mutating func assignments(_ recipe: Recipe) throws(RavineError) -> [Assignment] {
    var out: [Assignment] = []
    depth += 1
    defer { depth -= 1 }
    repeat {
      lexer.skipSpace()
      let place = lexer.at
      guard let key = keyword() else { throw lexer.expected("parameter=value") }
      let (stage, parameter): (Int?, Parameter)
      do { (stage, parameter) = try find(key, in: recipe, forClause: true) } catch {
        throw lexer.error(place, error.message)
      }
      let value = try value(for: parameter, of: "clause", schedules: true, multiples: true)
      if out.count == Limits.stages {
        throw lexer.error(place, "more than \(Limits.stages) assignments in one clause")
      }
      out.append(Assignment(stage: stage, parameter: parameter.name, value: value))
      try checkMemory()
    } while lexer.take(",")
    return out
  }
}

/// What to do about a name that is not known. Those of the host have a dot, the library's own none.
private func hint(for name: Text, among known: [Text]) -> Text {
  let dot = UInt8(ascii: ".")
  guard name.bytes.contains(dot) else { return suggestion(for: name, among: known) }
  let near = suggestion(for: name, among: known.filter { $0.bytes.contains(dot) })
  return near.isEmpty ? "; the host is to register names with a dot before it uses them" : near
}

/// The sentence for a misspelt "frozen".
private func nearFrozen(_ name: Text) -> Text? {
  let near = suggestion(for: name, among: ["frozen"])
  return near.isEmpty ? nil : "no rule is called '\(name)'\(near)"
}

/// What a stage does with the values that it has.
func facts(of stage: Element) throws(RavineError) -> StageFacts {
  var values = [0.0]
  for value in stage.values { values.append(value.constant ?? 0) }
  let entry = try Catalog.shared().stages[stage.row]
  return values.withUnsafeBufferPointer { entry.facts($0.baseAddress.unsafelyUnwrapped + 1) }
}

/// Finds `[stage.]parameter` in a recipe: the stage's place (nil: the rule) and the parameter.
func find(_ key: Text, in recipe: Recipe, forClause: Bool) throws(RavineError) -> (Int?, Parameter)
{
  var known: [Text] = []
  for i in 0..<recipe.stages.count {
    let name = try stageName(i, in: recipe.stages), d = try recipe.stages[i].declaration
    for p in d.parameters {
      let full: Text = "\(name).\(p.name)"
      if full == key {
        let facts = try facts(of: recipe.stages[i])
        if forClause, facts.measures != nil || facts.scales {
          throw .name("\(name) is one for all tensors, so '\(p.name)' cannot differ by tensor")
        }
        if forClause, p.kind == .word {
          throw .name("'\(full)' is a word, and the same for all tensors")
        }
        return (i, p)
      }
      known.append(full)
    }
  }
  for rule in forClause ? recipe.rules : [recipe.rule] {
    let d = try rule.declaration
    for p in d.parameters {
      let full: Text = "\(d.name).\(p.name)"
      if key == p.name || key == full { return (nil, p) }
      known.append(Text(p.name))
    }
  }
  let own = try recipe.rule.declaration.name
  let near = suggestion(for: key, among: known)
  throw .name(
    "\(own) has no parameter '\(key)'\(near.isEmpty ? "; there are \(list(known))" : near)")
}
