import Kernels

/// A value that changes over steps: a pure function of the step, which counts from 0.
protocol Schedule {
  static var declaration: Declaration { get }
  /// Arguments are in range already; what only they know together is checked here.
  init(_ a: Arguments) throws(RavineError)
  func value(at t: Double) -> Double
}

typealias Curve = (Double) -> Double

struct ScheduleEntry {
  let declaration: Declaration
  let make: (Arguments) throws(RavineError) -> Curve
}

/// The arguments of a schedule, by place in its declaration.
struct Arguments {
  let values: [Value]
  let inner: [Curve?]

  func number(_ i: Int) -> Double { values[i].constant ?? .nan }

  func numbers(_ i: Int) -> [Double] {
    if case .list(let numbers) = values[i] { return numbers }
    return []
  }

  /// A nested schedule, or a number as a constant one.
  func curve(_ i: Int) -> Curve {
    if let curve = inner[i] { return curve }
    let constant = number(i)
    return { _ in constant }
  }
}

/// Every schedule, in the order that users see. Adding a schedule adds its line here.
func allSchedules() -> [ScheduleEntry] {
  [
    entry(Constant.self),
    entry(Linear.self),
    entry(Stepwise.self),
    entry(Multistep.self),
    entry(Exponential.self),
    entry(Cosine.self),
    entry(Warmup.self),
  ]
}

private func entry<S: Schedule>(_: S.Type) -> ScheduleEntry {
  ScheduleEntry(
    declaration: S.declaration,
    make: { (a: Arguments) throws(RavineError) -> Curve in
      let schedule = try S(a)
      return { schedule.value(at: $0) }
    })
}

extension Parameter {
  static var value: Parameter {
    Parameter("value", .number, nil, from: -.infinity, "the value that it starts from")
  }
  static func steps(_ summary: StaticString) -> Parameter {
    Parameter("steps", .count, nil, from: 1, to: 1e15, summary)
  }
}

/// The function that a schedule in a recipe stands for.
func curve(of element: Element) throws(RavineError) -> Curve {
  var inner: [Curve?] = []
  for value in element.values {
    if case .schedule(let nested, let times) = value {
      let curve = try curve(of: nested)
      inner.append(times == 1 ? curve : { times * curve($0) })
    } else {
      inner.append(nil)
    }
  }
  let entry = try Catalog.shared().schedules[element.row]
  return try entry.make(Arguments(values: element.values, inner: inner))
}
