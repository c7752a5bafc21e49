import CRavine

/// Limits on recipes, so that hostile text costs little and small objects stay small.
public enum Limits {
  public static let text = 65_536
  static let depth = 10
  static let stages = 32
  static let clauses = 1_024
  static let list = 4_096
  static let parts = 64
  /// Bytes of a name that a host registers, names it may register, and parameters of one of them.
  static let name = 63
  static let registered = 256
  public static let parameters = 16
}

/// Bytes of a recipe with a position, and the complaints about them.
struct Lexer {
  let text: [UInt8]
  /// What the text is called in errors.
  let title: StaticText
  private(set) var at = 0
  /// Whether the last number was written with a percent sign.
  private(set) var percent = false

  init(_ text: [UInt8], _ title: StaticText) throws(RavineError) {
    self.text = text
    self.title = title
    if text.count > Limits.text {
      throw RavineError(
        RVN_ERR_RECIPE, "\(title):1:1: longer than \(Limits.text) bytes, which is the limit")
    }
    if let place = malformedUTF8(text) { throw error(place, "the text is not UTF-8") }
  }

  /// An error at a place: "recipe:1:27: ...".
  func error(_ place: Int, _ message: Text) -> RavineError {
    var line = 1, column = 1
    for c in text[0..<min(place, text.count)] {
      if c == UInt8(ascii: "\n") {
        line += 1
        column = 1
      } else if c & 0xc0 != 0x80 {
        column += 1
      }
    }
    return RavineError(RVN_ERR_RECIPE, "\(title):\(line):\(column): \(message)")
  }

  func expected(_ what: Text) -> RavineError { error(at, "expected \(what), found \(found)") }

  private var found: Text {
    guard at < text.count else { return "the end" }
    guard text[at] > 32, text[at] != 127 else { return "byte \(text[at])" }
    var end = at + 1
    while end < text.count, isNameByte(text[end]) || text[end] >= 0x80,
      end < at + 16 || text[end] & 0xc0 == 0x80
    { end += 1 }
    return "'\(Text(Array(text[at..<end])))'"
  }

  mutating func skipSpace() {
    while at < text.count {
      if text[at] == UInt8(ascii: "#") {
        while at < text.count, text[at] != UInt8(ascii: "\n") { at += 1 }
      } else if text[at] == 32 || (text[at] >= 9 && text[at] <= 13) {
        at += 1
      } else {
        return
      }
    }
  }

  /// The next byte that is not space; 0 at the end.
  mutating func peek() -> UInt8 {
    skipSpace()
    return at < text.count ? text[at] : 0
  }

  mutating func take(_ c: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: c), at < text.count else { return false }
    at += 1
    return true
  }

  mutating func expect(_ c: Unicode.Scalar, _ what: Text) throws(RavineError) {
    if !take(c) { throw expected(what) }
  }

  var atEnd: Bool {
    mutating get {
      skipSpace()
      return at >= text.count
    }
  }

  /// A name: letters, digits, '_' and '.', and '#2' behind it for the second of that name.
  mutating func name() -> Text? {
    guard isNameStart(peek()) else { return nil }
    let start = at
    while at < text.count, isNameByte(text[at]) { at += 1 }
    if at + 1 < text.count, text[at] == UInt8(ascii: "#"), isDigit(text[at + 1]) {
      at += 1
      while at < text.count, isNameByte(text[at]) { at += 1 }
    }
    return Text(Array(text[start..<at]))
  }

  /// Goes back to a place that was seen.
  mutating func rewind(_ place: Int) { at = place }

  /// A number with its suffix: 1e-3, inf, 1k, 10%.
  mutating func number() throws(RavineError) -> Double? {
    skipSpace()
    let start = at
    guard let parsed = Numbers.parse(text, from: at, suffixes: true) else { return nil }
    at += parsed.length
    percent = text[at - 1] == UInt8(ascii: "%")
    if parsed.tooLarge { throw error(start, "the number is too large for 64 bits") }
    if at < text.count, isNameByte(text[at]) {
      throw error(start, "a number ends in letters that mean nothing; k, M, G and % are known")
    }
    return parsed.value
  }

  /// Up to a closing quote.
  mutating func quoted() throws(RavineError) -> [UInt8]? {
    guard peek() == UInt8(ascii: "\"") else { return nil }
    let start = at
    at += 1
    while at < text.count, text[at] != UInt8(ascii: "\"") { at += 1 }
    guard at < text.count else { throw error(start, "the quote is not closed") }
    at += 1
    return Array(text[(start + 1)..<(at - 1)])
  }

  mutating func patternBytes() -> [UInt8] {
    skipSpace()
    let start = at
    while at < text.count, isPatternByte(text[at]) { at += 1 }
    return Array(text[start..<at])
  }
}

func isDigit(_ c: UInt8) -> Bool { c >= UInt8(ascii: "0") && c <= UInt8(ascii: "9") }

func isNameStart(_ c: UInt8) -> Bool {
  (c >= UInt8(ascii: "a") && c <= UInt8(ascii: "z"))
    || (c >= UInt8(ascii: "A") && c <= UInt8(ascii: "Z"))
    || c == UInt8(ascii: "_")
}

func isNameByte(_ c: UInt8) -> Bool { isNameStart(c) || isDigit(c) || c == UInt8(ascii: ".") }
