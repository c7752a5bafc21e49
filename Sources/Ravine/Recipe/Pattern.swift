/// Which tensors a clause is for: a glob on the name, or a test of rank or size.
struct Pattern {
  enum Test {
    case name([UInt8])
    case rank(Comparison, Int)
    case size(Comparison, Int)
  }

  let test: Test
  /// Written with a question mark: may match nothing.
  let optional: Bool
}

enum Comparison {
  case less, lessOrEqual, greater, greaterOrEqual, equal

  func holds(_ a: Int, _ b: Int) -> Bool {
    switch self {
    case .less: a < b
    case .lessOrEqual: a <= b
    case .greater: a > b
    case .greaterOrEqual: a >= b
    case .equal: a == b
    }
  }

  var word: StaticText {
    switch self {
    case .less: "<"
    case .lessOrEqual: "<="
    case .greater: ">"
    case .greaterOrEqual: ">="
    case .equal: "="
    }
  }
}

extension Pattern {
  func matches(_ tensor: Tensor) -> Bool {
    switch test {
    case .name(let glob):
      return glob.withUnsafeBufferPointer {
        Ravine.matches($0, UnsafeBufferPointer(start: tensor.name, count: tensor.nameCount))
      }
    case .rank(let comparison, let n): return comparison.holds(tensor.rank, n)
    case .size(let comparison, let n): return comparison.holds(tensor.fullCount, n)
    }
  }
}

/// Whether a name matches a glob, in which '*' stands for any bytes.
func matches(_ glob: UnsafeBufferPointer<UInt8>, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
  let star = UInt8(ascii: "*")
  var g = 0, n = 0, lastStar = -1, resume = 0
  while n < name.count {
    if g < glob.count, glob[g] == star {
      lastStar = g
      resume = n
      g += 1
    } else if g < glob.count, glob[g] == name[n] {
      g += 1
      n += 1
    } else if lastStar >= 0 {
      resume += 1
      n = resume
      g = lastStar + 1
    } else {
      return false
    }
  }
  while g < glob.count, glob[g] == star { g += 1 }
  return g == glob.count
}

func print(_ patterns: [Pattern]) -> Text {
  var out = Text()
  for (i, pattern) in patterns.enumerated() {
    if i > 0 { out.append(", ") }
    switch pattern.test {
    case .rank(let comparison, let n): out.append("@rank\(comparison.word)\(n)")
    case .size(let comparison, let n): out.append("@size\(comparison.word)\(n)")
    case .name(let glob):
      let plain =
        !glob.isEmpty && glob.allSatisfy { isPatternByte($0) } && glob[0] != UInt8(ascii: "@")
      out.append(plain ? Text(glob) : "\"\(Text(glob))\"")
    }
    if pattern.optional { out.append("?") }
  }
  return out
}

extension Parser {
  static func patterns(_ text: [UInt8]) throws(RavineError) -> [Pattern] {
    var parser = try Parser(text, "patterns")
    let patterns = try parser.patterns()
    if !parser.lexer.atEnd { throw parser.lexer.expected("',' or the end of the patterns") }
    return patterns
  }

  mutating func patterns() throws(RavineError) -> [Pattern] {
    var out: [Pattern] = []
    repeat {
      let place = lexer.at
      let quoted = try lexer.quoted()
      let bytes = quoted ?? lexer.patternBytes()
      if bytes.isEmpty { throw lexer.expected("a pattern for tensor names, such as *.bias") }
      let test: Pattern.Test =
        quoted == nil && bytes[0] == UInt8(ascii: "@") ? try property(bytes, place) : .name(bytes)
      out.append(Pattern(test: test, optional: lexer.take("?")))
      try checkMemory()
      if out.count > Limits.stages {
        throw lexer.error(place, "more than \(Limits.stages) patterns")
      }
    } while lexer.take(",")
    return out
  }

  /// @rank<2 or @size>=1000
  private func property(_ bytes: [UInt8], _ place: Int) throws(RavineError) -> Pattern.Test {
    var i = 1
    while i < bytes.count, isNameByte(bytes[i]) { i += 1 }
    let name = Text(Array(bytes[1..<i]))
    let start = i
    while i < bytes.count, isOneOf("<>=", bytes[i]) { i += 1 }
    let sign = Text(Array(bytes[start..<i]))
    let comparison: Comparison? =
      sign == "<"
      ? .less
      : sign == "<="
        ? .lessOrEqual
        : sign == ">"
          ? .greater
          : sign == ">=" ? .greaterOrEqual : sign == "=" || sign == "==" ? .equal : nil
    var n = 0
    let digits = bytes[i...]
    guard let comparison, !digits.isEmpty, digits.count < 19, digits.allSatisfy(isDigit),
      name == "rank" || name == "size"
    else {
      throw lexer.error(
        place, "'\(Text(bytes))' is not a test such as @rank<2 or @size>=1000")
    }
    for d in digits { n = 10 * n + Int(d - UInt8(ascii: "0")) }
    return name == "rank" ? .rank(comparison, n) : .size(comparison, n)
  }
}

/// What a pattern may hold without quotes.
func isPatternByte(_ c: UInt8) -> Bool {
  switch c {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...0xff:
    true
  default: isOneOf(".*_-/[]@<>=+$", c)
  }
}
