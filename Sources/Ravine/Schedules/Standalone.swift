import CShims

/// A schedule by itself, for callers that want its values.
public final class StandaloneSchedule {
  private let element: Element
  private let curve: Curve
  private let reactions: [Reaction]

  public static func make(_ text: [UInt8]) throws(RavineError) -> StandaloneSchedule {
    var element = try Parser.schedule(text)
    var reactions = Reactions(ravine_allocator())
    try reactions.bind(&element)
    let schedule = StandaloneSchedule(element, try Ravine.curve(of: element), reactions.all)
    try checkMemory()
    return schedule
  }

  private init(_ element: Element, _ curve: @escaping Curve, _ reactions: [Reaction]) {
    self.element = element
    self.curve = curve
    self.reactions = reactions
  }

  public func value(at step: UInt64) throws(RavineError) -> Double { try curve(Double(step)) }

  /// Hands a metric to its reactive parts.
  public func metric(_ x: Double) throws(RavineError) -> MetricReport {
    guard !reactions.isEmpty else {
      throw .state(
        "the schedule does not listen to metrics; put plateau(...) or greedy(...) around it")
    }
    return MetricReport(x, reactions)
  }

  /// About how many steps show what it does; 100 where any number does.
  public func span() throws(RavineError) -> UInt64 {
    let steps = try Ravine.span(of: element)
    return steps >= 1 && steps <= 0x1p62 ? UInt64(steps) : 100
  }

  public func text() throws(RavineError) -> Text { try print(element) }
}
