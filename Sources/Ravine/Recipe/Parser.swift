import CRavine
import Kernels

/// recipe := chain (';' clause)*       chain := element ('|' element)*
/// element := name [ '(' [argument (',' argument)*] ')' ]     argument := [name '='] value
struct Parser {
  var lexer: Lexer
  private var depth = 0
  /// The steps of the `over` around what is read, in the unit that counts there.
  var total: Double?

  init(_ text: [UInt8], _ title: StaticText) throws(RavineError) {
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

  /// Gradients are added up once, and then moved once.
  private func checkAlone(_ element: Element, behind stages: [Element], _ place: Int)
    throws(RavineError)
  {
    let own = try facts(of: element)
    for other in stages where own.accumulates > 0 || own.perturbs {
      let its = try facts(of: other), name = try element.declaration.name
      if own.perturbs ? its.perturbs : its.accumulates > 0 {
        throw lexer.error(place, "\(name) stands behind another of its kind")
      }
      if its.perturbs {
        throw lexer.error(place, "\(name) stands behind \(try other.declaration.name), not before")
      }
    }
  }

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
      try checkAlone(element, behind: stages, place)
      try checkStoring(element, beside: stages, place)
      stages.append(element)
    } while lexer.take("|")
    guard let rule else { throw try withoutRule(stages[stages.count - 1]) }
    return Recipe(stages: stages, before: before, rule: rule, clauses: [])
  }

  @inline(never)
  private func checkStoring(_ element: Element, beside stages: [Element], _ place: Int)
    throws(RavineError)
  {
    if try facts(of: element).storing == .plain { return }
    for other in stages {
      if try facts(of: other).storing == .plain { continue }
      throw lexer.error(
        place,
        "\(try element.declaration.name) is a second way to store parameters"
      )
    }
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

  // MARK: clauses

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
