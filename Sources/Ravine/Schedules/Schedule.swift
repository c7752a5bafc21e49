import Kernels

/// A value that changes over steps: a pure function of the step, which counts from 0. It fails only
/// where a schedule of the host inside it does.
protocol Schedule {
  static var declaration: Declaration { get }
  /// Arguments are in range already; what only they know together is checked here.
  init(_ a: Arguments) throws(RavineError)
  func value(at t: Double) throws(RavineError) -> Double
  /// What `5%` is a share of inside, given what it is a share of outside.
  static func total(_ values: [Value], _ outer: Double?) -> Double?
  /// About how many steps show what it does, given how many do for what is inside it; 0: any number.
  static func span(_ a: Arguments, inner: Double) -> Double
}

extension Schedule {
  static func total(_ values: [Value], _ outer: Double?) -> Double? { outer }
  static func span(_ a: Arguments, inner: Double) -> Double {
    Ravine.span(declaration.parameters, a, inner)
  }
}

typealias Curve = (Double) throws(RavineError) -> Double

struct ScheduleEntry {
  let declaration: Declaration
  let make: (Arguments) throws(RavineError) -> Curve
  let total: ([Value], Double?) -> Double?
  let span: (Arguments, Double) -> Double
  /// How it answers metrics; nil for a pure function of the step.
  var reflex: ((Arguments) throws(RavineError) -> Reflex)?
}

/// The arguments of a schedule, by place in its declaration.
struct Arguments {
  let values: [Value]
  /// Nested schedules, and the numbers beside them as constant ones.
  let inner: [[Curve]]
  var reaction: Reaction?

  func number(_ i: Int) -> Double { values[i].constant ?? .nan }
  func flag(_ i: Int) -> Bool { number(i) != 0 }
  func word(_ i: Int) -> Int { Int(number(i)) }
  func curves(_ i: Int) -> [Curve] { inner[i] }
  func curve(_ i: Int) -> Curve { inner[i][0] }

  func numbers(_ i: Int) -> [Double] {
    if case .list(let numbers) = values[i] { return numbers }
    return []
  }
}

/// Every schedule, in the order that users see. Adding a schedule adds its line here.
func allSchedules() -> [ScheduleEntry] {
  [
    entry(Constant.self),
    entry(Linear.self),
    entry(Stepwise.self),
    entry(Multistep.self),
    entry(Piecewise.self),
    entry(Exponential.self),
    entry(InverseTime.self),
    entry(InverseSqrt.self),
    entry(Noam.self),
    entry(Polynomial.self),
    entry(Cosine.self),
    entry(CosineRestarts.self),
    entry(KDecay.self),
    entry(TanhDecay.self),
    entry(REX.self),
    entry(WSD.self),
    entry(OneCycle.self),
    entry(Cyclic.self),
    entry(Chebyshev.self),
    entry(Warmup.self),
    entry(Sequential.self),
    entry(Product.self),
    entry(Total.self),
    entry(Scale.self),
    entry(Clamp.self),
    entry(Shift.self),
    entry(Cycle.self),
    entry(Mirrored.self),
    entry(Over.self),
    entry(PerEpoch.self),
    entry(Plateau.self),
    entry(Greedy.self),
  ]
}

private func entry<S: Schedule>(_: S.Type) -> ScheduleEntry {
  ScheduleEntry(
    declaration: S.declaration,
    make: { (a: Arguments) throws(RavineError) -> Curve in
      let schedule = try S(a)
      return { (t: Double) throws(RavineError) in try schedule.value(at: t) }
    },
    total: { S.total($0, $1) },
    span: { S.span($0, inner: $1) })
}

private func entry<S: Reactive>(_: S.Type) -> ScheduleEntry {
  ScheduleEntry(
    declaration: S.declaration,
    make: { (a: Arguments) throws(RavineError) -> Curve in
      let schedule = try S(a)
      guard let reaction = a.reaction else {
        return { (t: Double) throws(RavineError) in try schedule.value(at: t) }
      }
      return { (t: Double) throws(RavineError) in reaction.scale * (try schedule.value(at: t)) }
    },
    total: { S.total($0, $1) }, span: { S.span($0, inner: $1) }, reflex: reflex(S.self))
}

extension Parameter {
  static var value: Parameter {
    Parameter("value", .number, nil, from: -.infinity, "the value that it starts from")
  }
  static var floor: Parameter {
    Parameter("floor", .number, 0, from: -.infinity, "the value that it ends at")
  }
  static func steps(_ summary: StaticText) -> Parameter {
    Parameter("steps", .count, nil, from: 1, to: 1e15, share: "total", summary)
  }
  static func schedule(_ summary: StaticText) -> Parameter {
    Parameter("schedule", .schedule, nil, from: -.infinity, summary)
  }
  static func schedules(_ summary: StaticText) -> Parameter {
    Parameter("schedules", .schedules, nil, from: -.infinity, summary)
  }
}

/// The lengths of a schedule, one after the other, what is inside it, and some steps behind the last
/// boundary.
func span(_ parameters: [Parameter], _ a: Arguments, _ inner: Double) -> Double {
  var length = inner
  for (k, p) in parameters.enumerated() {
    guard let share = p.share, Text(share) == "total" else { continue }
    length += p.kind == .list ? 1.25 * (a.numbers(k).last ?? 0) : a.number(k)
  }
  return max(0, length)
}

/// About how many steps show what a schedule in a recipe does.
func span(of element: Element) throws(RavineError) -> Double {
  let entry = try Catalog.shared().schedule(element.row)
  var inner = 0.0
  for value in element.values {
    var items = [value]
    if case .schedules(let several) = value { items = several }
    for case .schedule(let nested, _) in items { inner = max(inner, try span(of: nested)) }
  }
  return entry.span(Arguments(values: element.values, inner: []), inner)
}

/// The function that a schedule in a recipe stands for.
func curve(of element: Element) throws(RavineError) -> Curve {
  try Catalog.shared().schedule(element.row).make(try arguments(of: element))
}

func arguments(of element: Element) throws(RavineError) -> Arguments {
  let entry = try Catalog.shared().schedule(element.row)
  var inner: [[Curve]] = []
  for (k, value) in element.values.enumerated() {
    var curves: [Curve] = []
    if case .schedules(let items) = value {
      for item in items { curves.append(try curve(of: item)) }
    } else if entry.declaration.parameters[k].kind == .schedule {
      curves.append(try curve(of: value))
    }
    inner.append(curves)
  }
  try checkMemory()
  return Arguments(values: element.values, inner: inner, reaction: element.reaction)
}

/// Of a nested schedule, or of a number as a constant one.
private func curve(of value: Value) throws(RavineError) -> Curve {
  if case .schedule(let nested, let times) = value {
    return scaled(try curve(of: nested), by: times)
  }
  let constant = value.constant ?? .nan
  return { _ in constant }
}

func scaled(_ curve: @escaping Curve, by times: Double) -> Curve {
  if times == 1 { return curve }
  return { (t: Double) throws(RavineError) in try times * curve(t) }
}

/// Boundaries that go back are a mistake; equal ones make a part of no length, which is never seen.
func checkOrder(_ at: [Double], of name: StaticText) throws(RavineError) {
  for i in 1..<max(1, at.count) where at[i] < at[i - 1] {
    throw .recipe("\(name): at must not fall, but \(at[i]) follows \(at[i - 1])")
  }
}

/// The step within a cycle, in 0..<length.
func place(of t: Double, inCyclesOf length: Double) -> Double {
  // Past 2^53 steps are rounded, and the difference too.
  min(max(0, t - length * (t / length).rounded(.down)), length)
}
