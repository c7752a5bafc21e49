@testable import Kernels
@testable import Ravine

/// Writes random recipes from the catalog: every entry, every parameter, values within their ranges.
struct RecipeWriter {
  var random: Random
  private let declarations: [Declaration]

  init(random: Random) {
    self.random = random
    let catalog = try? Catalog.shared()
    declarations = catalog?.entries.map(\.declaration) ?? []
  }

  mutating func recipe() -> String {
    var before: [String] = [], behind: [String] = [], stages: [Declaration] = []
    for _ in 0..<random.below(4) {
      let stage = pick(.stage), text = element(stage, inClause: false)
      // Where it belongs depends on its arguments, which may not go together.
      if parses((before + ["\(text) | sgd"]).joined(separator: "|")) {
        before.append(text)
      } else if parses((["sgd"] + behind + [text]).joined(separator: "|")) {
        behind.append(text)
      } else {
        continue
      }
      stages.append(stage)
    }
    let rule = pick(.rule)
    let chain = before + [element(rule, inClause: false)] + behind
    var out = chain.joined(separator: random.pick([" | ", "|", " # next\n|"]))
    for _ in 0..<random.below(4) {
      out += random.pick(["; ", ";", "\n; "])
      out += patterns() + ": " + change(rule, stages)
    }
    return out
  }

  private func parses(_ text: String) -> Bool {
    (try? Parser.recipe(Array(text.utf8))) != nil
  }

  private mutating func change(_ rule: Declaration, _ stages: [Declaration]) -> String {
    switch random.below(4) {
    case 0: return "frozen"
    case 1: return element(pick(.rule), inClause: true)
    default: break
    }
    var out = (0...random.below(2)).map { _ in
      let p = random.pick(rule.parameters)
      return
        "\(random.pick(["", "", "\(rule.name)."]))\(p.name)=\(value(p, inSchedule: false, inClause: true))"
    }
    // Stages that measure cannot differ by tensor.
    if let k = stages.firstIndex(where: { $0.name.description == "clip_value" }) {
      let p = stages[k].parameters[0]
      out.append("clip_value.\(p.name)=\(value(p, inSchedule: false, inClause: true))")
    }
    return out.joined(separator: ", ")
  }

  mutating func patterns() -> String {
    (0...random.below(3)).map { _ in
      let pattern: String
      switch random.below(4) {
      case 0:
        pattern =
          random.pick(["@rank", "@size"]) + random.pick(["<", "<=", ">", ">=", "=", "=="])
          + String(random.below(100_000))
      case 1:
        pattern =
          "\"" + random.pick(["a b", "@rank", "#", "", "?", "ß"]) + random.pick(["x", "*", "?"])
          + "\""
      default: pattern = random.pick(["*", "*.bias", "layer.3/w", "ж*", "a*b*c", "[0]", "x.y-z_1"])
      }
      return pattern + random.pick(["", "", "?", " ?"])
    }.joined(separator: random.pick([",", ", "]))
  }

  private mutating func pick(_ kind: Declaration.Kind) -> Declaration {
    random.pick(declarations.filter { $0.kind == kind })
  }

  /// Some leading values without names, then some with names, and what must be given.
  mutating func element(_ d: Declaration, inClause: Bool) -> String {
    var arguments: [String] = [], later: [String] = []
    let positional = random.below(d.parameters.count + 1)
    for (k, p) in d.parameters.enumerated()
    where k < positional || p.initial == nil || random.below(3) == 0 {
      let text = value(p, inSchedule: d.kind == .schedule, inClause: inClause)
      if k < positional {
        arguments.append(text)
      } else {
        later.insert(
          "\(p.name)\(random.pick(["=", " = "]))\(text)", at: random.below(later.count + 1))
      }
    }
    arguments += later
    if arguments.isEmpty, random.below(2) == 0 { return d.name.description }
    return "\(d.name)(\(arguments.joined(separator: random.pick([",", ", ", " ,\n"]))))"
  }

  private mutating func value(_ p: Parameter, inSchedule: Bool, inClause: Bool, depth: Int = 0)
    -> String
  {
    switch p.kind {
    case .word: return random.pick(p.words.map(\.description))
    case .flag: return random.pick(p.needs == nil ? ["0", "1", "true", "false"] : ["0", "false"])
    case .count:
      let most = Int(min(p.high - p.low, 1e15)) + 1
      return String(Int(p.low) + random.below(min(most, random.pick([3, 1000, 100_000_000]))))
    case .list:
      var last = 0
      let numbers = (0...random.below(4)).map { _ in
        last += 1 + random.below(50)
        return String(last)
      }
      return "(\(numbers.joined(separator: ", "))\(random.pick(["", ","])))"
    case .schedule: return random.below(4) == 0 ? "0.5" : schedule(p)
    case .schedules:
      let items = (0...random.below(3)).map { _ in random.below(4) == 0 ? "0.5" : schedule(p) }
      return "(\(items.joined(separator: ", "))\(random.pick(["", ","])))"
    case .number:
      if inClause, random.below(4) == 0 { return "x\(random.pick(["0.1", "10", "1e-3", "0"]))" }
      if !inSchedule, random.below(4) == 0 { return schedule(p) }
      return number(p)
    }
  }

  /// A schedule whose first value is in the range of a parameter.
  private mutating func schedule(_ p: Parameter) -> String {
    let start = number(p)
    switch random.below(8) {
    case 0: return "constant(\(start))"
    case 5:
      return "sequence((\(start), linear(\(start), \(number(p)), 9)), at=(\(1 + random.below(9)),))"
    case 6: return "total((linear(\(start), 1, steps=3),))"
    case 7: return "over(1k, warmup(\(start), steps=\(random.below(100))%), \(past()))"
    case 1: return "linear(\(start), \(number(p)), steps=\(1 + random.below(1000)))"
    case 2: return "warmup(\(start), steps=1)"
    case 3: return "cosine(value=\(start), steps=7, floor=\(start))"
    default: return "multistep(\(start), (\(1 + random.below(9)),), factor=0.5)"
    }
  }

  private mutating func past() -> String {
    random.pick(["hold", "error", "repeat", "past=error"])
  }

  private mutating func number(_ p: Parameter) -> String {
    let low = p.low.isFinite ? p.low : -1000, high = p.high.isFinite ? p.high : 1000
    // Not at the ends, which may be open, and of any size.
    var x = low + (high - low) * (0.001 + 0.998 * random.unit())
    if low == 0, random.below(2) == 0 { x *= 1e-9 }
    return random.pick([
      "\(x)", "\(Float(x))",
      x >= 1 ? String(x.rounded(.down) == high ? x : x.rounded(.down)) : "\(x)",
    ])
  }
}
