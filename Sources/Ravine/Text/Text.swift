// StaticText is wherever a literal is.
@_exported import Kernels

/// UTF-8 bytes, and sentences made from them. `String` stays out of the core: comparing or hashing
/// one pulls Unicode tables into the link.
///
/// There are a thousand sentences, and few are ever made: what makes them is out of line.
public struct Text: Sendable, Equatable {
  public var bytes: [UInt8]

  public init(_ bytes: [UInt8] = []) { self.bytes = bytes }
  @inline(never)
  public init(_ text: StaticText) { self.init(text.start, count: text.count) }
  @inline(never)
  init(_ start: UnsafePointer<UInt8>, count: Int) {
    bytes = [UInt8](UnsafeBufferPointer(start: start, count: count))
  }

  public var isEmpty: Bool { bytes.isEmpty }

  @inline(never)
  mutating func append(_ other: __owned Text) { bytes.append(contentsOf: other.bytes) }
  @inline(never) @_disfavoredOverload
  mutating func append(_ text: StaticText) {
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.start, count: text.count))
  }

  @inline(never)
  static func == (a: Text, b: StaticText) -> Bool {
    for i in 0..<a.bytes.count where a.bytes[i] != b.start[i] || a.bytes[i] == 0 { return false }
    return b.start[a.bytes.count] == 0
  }

  func starts(with prefix: StaticText) -> Bool {
    let n = prefix.count
    if bytes.count < n { return false }
    for i in 0..<n where bytes[i] != prefix.start[i] { return false }
    return true
  }
}

extension Text: ExpressibleByStringInterpolation {
  @inline(__always)
  public init(stringLiteral text: StaticString) { self.init(StaticText(stringLiteral: text)) }
  @inline(__always)
  public init(stringInterpolation s: Interpolation) { bytes = s.text.bytes }

  public struct Interpolation: StringInterpolationProtocol {
    var text = Text()

    @inline(never)
    public init(literalCapacity: Int, interpolationCount: Int) {
      text.bytes.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }
    @inline(__always)
    public mutating func appendLiteral(_ part: StaticString) {
      if part.utf8CodeUnitCount > 0 { appendInterpolation(StaticText(stringLiteral: part)) }
    }
    @inline(__always)
    public mutating func appendInterpolation(_ part: __owned Text) { text.append(part) }
    @inline(__always) @_disfavoredOverload
    public mutating func appendInterpolation(_ part: StaticText) { text.append(part) }
    @inline(never)
    public mutating func appendInterpolation(_ value: Double) {
      Numbers.print(value, into: &text.bytes)
    }
    @inline(__always)
    public mutating func appendInterpolation<I: BinaryInteger>(_ value: I) {
      append(UInt64(value.magnitude), negative: value < 0)
    }
    @inline(never)
    private mutating func append(_ magnitude: UInt64, negative: Bool) {
      var digits: [UInt8] = []
      var rest = magnitude
      repeat {
        digits.append(48 + UInt8(rest % 10))
        rest /= 10
      } while rest != 0
      if negative { digits.append(45) }
      text.bytes.append(contentsOf: digits.reversed())
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

/// Whether a byte is one of these.
func isOneOf(_ these: StaticText, _ byte: UInt8) -> Bool {
  for i in 0..<these.count where these.start[i] == byte { return true }
  return false
}
