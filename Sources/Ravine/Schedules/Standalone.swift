/// A schedule by itself, for callers that want its values.
public final class StandaloneSchedule {
  private let element: Element
  private let curve: Curve

  public init(_ text: [UInt8]) throws(RavineError) {
    element = try Parser.schedule(text)
    curve = try Ravine.curve(of: element)
    try checkMemory()
  }

  public func value(at step: UInt64) -> Double { curve(Double(step)) }
  public func text() throws(RavineError) -> Text { try print(element) }
}
