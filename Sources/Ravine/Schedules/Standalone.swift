/// A schedule by itself, for callers that want its values.
public final class StandaloneSchedule {
  private let element: Element
  private let curve: Curve

  public static func make(_ text: [UInt8]) throws(RavineError) -> StandaloneSchedule {
    let element = try Parser.schedule(text)
    let schedule = StandaloneSchedule(element, try Ravine.curve(of: element))
    try checkMemory()
    return schedule
  }

  private init(_ element: Element, _ curve: @escaping Curve) {
    self.element = element
    self.curve = curve
  }

  public func value(at step: UInt64) -> Double { curve(Double(step)) }
  public func text() throws(RavineError) -> Text { try print(element) }
}
