import Kernels

/// UTF-8 bytes, and sentences made from them. `String` stays out of the core: comparing or hashing
/// one pulls Unicode tables into the link.
public struct Text: Sendable, Equatable {
  public var bytes: [UInt8]

  public init(_ bytes: [UInt8] = []) { self.bytes = bytes }
  public init(_ text: StaticString) {
    bytes = [UInt8](UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
  @_disfavoredOverload
  public init(_ text: StaticText) { self.init(text.start, count: text.count) }
  init(_ start: UnsafePointer<UInt8>, count: Int) {
    bytes = [UInt8](UnsafeBufferPointer(start: start, count: count))
  }

  public var isEmpty: Bool { bytes.isEmpty }

  mutating func append(_ other: Text) { bytes.append(contentsOf: other.bytes) }
  @_disfavoredOverload
  mutating func append(_ text: StaticString) {
    bytes.append(
      contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  static func == (a: Text, b: StaticString) -> Bool { a == StaticText(stringLiteral: b) }
  @_disfavoredOverload
  static func == (a: Text, b: StaticText) -> Bool {
    guard a.bytes.count == b.count else { return false }
    for i in 0..<a.bytes.count where a.bytes[i] != b.start[i] { return false }
    return true
  }
}

extension Text: ExpressibleByStringInterpolation {
  public init(stringLiteral value: StaticString) { self.init(value) }
  public init(stringInterpolation s: Interpolation) { bytes = s.bytes }

  public struct Interpolation: StringInterpolationProtocol {
    var bytes: [UInt8] = []
    public init(literalCapacity: Int, interpolationCount: Int) {
      bytes.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }
    public mutating func appendLiteral(_ text: StaticString) { appendInterpolation(text) }
    public mutating func appendInterpolation(_ text: Text) { bytes.append(contentsOf: text.bytes) }
    @_disfavoredOverload
    public mutating func appendInterpolation(_ text: StaticString) {
      bytes.append(
        contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
    @_disfavoredOverload
    public mutating func appendInterpolation(_ text: StaticText) {
      bytes.append(contentsOf: UnsafeBufferPointer(start: text.start, count: text.count))
    }
    public mutating func appendInterpolation(_ value: Double) {
      Numbers.print(value, into: &bytes)
    }
    public mutating func appendInterpolation<I: BinaryInteger>(_ value: I) {
      var digits: [UInt8] = []
      var rest = value.magnitude
      repeat {
        let (q, r) = rest.quotientAndRemainder(dividingBy: 10)
        digits.append(48 + UInt8(truncatingIfNeeded: r))
        rest = q
      } while rest != 0
      if value < 0 { digits.append(45) }
      bytes.append(contentsOf: digits.reversed())
    }
  }
}

/// Names joined as "a, b, c".
func list(_ names: [Text]) -> Text {
  var out = Text()
  for (i, name) in names.enumerated() {
    if i > 0 { out.append(", ") }
    out.append(name)
  }
  return out
}
