/// Reads JSON from bytes that nobody vouches for: one token after another, nothing built.
struct JSONReader {
  let text: UnsafeBufferPointer<UInt8>
  private(set) var at = 0
  /// Unescaped strings go here; it has room for all of the text.
  let strings: UnsafeMutablePointer<UInt8>
  private var used = 0

  init(_ text: UnsafeBufferPointer<UInt8>, strings: UnsafeMutablePointer<UInt8>) {
    self.text = text
    self.strings = strings
  }

  func damaged(_ what: Text) -> RavineError {
    .format("the header is damaged at byte \(at): expected \(what)")
  }

  mutating func peek() -> UInt8 {
    while at < text.count, text[at] == 32 || text[at] == 9 || text[at] == 10 || text[at] == 13 {
      at += 1
    }
    return at < text.count ? text[at] : 0
  }

  mutating func take(_ c: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: c) else { return false }
    at += 1
    return true
  }

  mutating func expect(_ c: Unicode.Scalar, _ what: Text) throws(RavineError) {
    if !take(c) { throw damaged(what) }
  }

  mutating func end() throws(RavineError) {
    if peek() != 0 || at < text.count { throw damaged("the end") }
  }

  /// A string without its escapes.
  mutating func string() throws(RavineError) -> UnsafeBufferPointer<UInt8> {
    try expect("\"", "a string")
    let start = used
    while true {
      guard at < text.count else { throw damaged("the end of a string") }
      let c = text[at]
      at += 1
      if c == UInt8(ascii: "\"") { break }
      if c < 32 { throw damaged("a string without control characters") }
      if c == UInt8(ascii: "\\") { try escape() } else { put(c) }
    }
    let string = UnsafeBufferPointer(start: strings + start, count: used - start)
    guard malformedUTF8(string) == nil else { throw damaged("UTF-8 before it") }
    return string
  }

  private mutating func put(_ c: UInt8) {
    strings[used] = c
    used += 1
  }

  private mutating func escape() throws(RavineError) {
    guard at < text.count else { throw damaged("an escape") }
    let c = text[at]
    at += 1
    switch c {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): put(c)
    case UInt8(ascii: "b"): put(8)
    case UInt8(ascii: "f"): put(12)
    case UInt8(ascii: "n"): put(10)
    case UInt8(ascii: "r"): put(13)
    case UInt8(ascii: "t"): put(9)
    case UInt8(ascii: "u"):
      var scalar = try hex()
      if scalar >= 0xd800, scalar < 0xdc00 {
        guard at + 1 < text.count, text[at] == UInt8(ascii: "\\"), text[at + 1] == UInt8(ascii: "u")
        else {
          throw damaged("the second half of a surrogate pair")
        }
        at += 2
        let low = try hex()
        guard low >= 0xdc00, low < 0xe000 else { throw damaged("a surrogate pair") }
        scalar = 0x10000 + (scalar - 0xd800) << 10 + (low - 0xdc00)
      }
      guard scalar != 0, scalar < 0xdc00 || scalar >= 0xe000 else { throw damaged("a character") }
      // At most as long as its escape, so there is room.
      if scalar < 0x80 {
        put(UInt8(scalar))
      } else if scalar < 0x800 {
        put(UInt8(0xc0 | scalar >> 6))
        put(UInt8(0x80 | scalar & 0x3f))
      } else {
        if scalar < 0x10000 {
          put(UInt8(0xe0 | scalar >> 12))
        } else {
          put(UInt8(0xf0 | scalar >> 18))
          put(UInt8(0x80 | (scalar >> 12) & 0x3f))
        }
        put(UInt8(0x80 | (scalar >> 6) & 0x3f))
        put(UInt8(0x80 | scalar & 0x3f))
      }
    default: throw damaged("an escape")
    }
  }

  private mutating func hex() throws(RavineError) -> UInt32 {
    guard at + 4 <= text.count else { throw damaged("four hexadecimal digits") }
    var x: UInt32 = 0
    for _ in 0..<4 {
      let c = text[at]
      at += 1
      switch c {
      case 48...57: x = x << 4 | UInt32(c - 48)
      case 97...102: x = x << 4 | UInt32(c - 87)
      case 65...70: x = x << 4 | UInt32(c - 55)
      default: throw damaged("four hexadecimal digits")
      }
    }
    return x
  }

  /// A whole number from 0.
  mutating func integer() throws(RavineError) -> Int {
    guard isDigit(peek()) else { throw damaged("a whole number") }
    var x = 0
    while at < text.count, isDigit(text[at]) {
      let (shifted, a) = x.multipliedReportingOverflow(by: 10)
      let (sum, b) = shifted.addingReportingOverflow(Int(text[at] - 48))
      if a || b { throw damaged("a smaller number") }
      x = sum
      at += 1
    }
    return x
  }
}
