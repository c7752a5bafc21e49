import CRavine
import Kernels

extension StandaloneSchedule {
  /// A plot in plain ASCII, of so many columns and lines, labels included.
  public func sketch(_ first: UInt64, _ count: UInt64, width: Int, height: Int)
    throws(RavineError) -> Text
  {
    guard (40...400).contains(width) else {
      throw .argument("width is \(width), but must be 40 to 400 columns")
    }
    guard (5...200).contains(height) else {
      throw .argument("height is \(height), but must be 5 to 200 lines")
    }
    guard count >= 1, first <= UInt64.max - (count - 1) else {
      throw .argument(
        "first is \(first) and count \(count): one step at least, up to \(UInt64.max)")
    }
    let columns = try columns(first, count, width - Plot.widestMargin)
    var plot = Plot(Axis(columns, lines: height - 2))
    return try plot.draw(columns, first: first, last: first + (count - 1))
  }

  /// The values of so many columns, each at 16 steps of its share at most.
  private func columns(_ first: UInt64, _ count: UInt64, _ number: Int) throws(RavineError)
    -> [[Double]]
  {
    let n = UInt64(number)
    func begin(_ k: UInt64) -> UInt64 { count / n * k + count % n * k / n }
    var out: [[Double]] = []
    var anything = false
    for k in 0..<n {
      let length = max(1, begin(k + 1) - begin(k)), samples = min(16, length)
      var column: [Double] = []
      for i in 0..<samples {
        let place = samples == 1 ? 0 : (length - 1) / (samples - 1) * i
        let x = try value(at: first + begin(k) + (i == samples - 1 ? length - 1 : place))
        if x.isFinite { column.append(x) }
      }
      anything = anything || !column.isEmpty
      out.append(column)
    }
    try checkMemory()
    guard anything else { throw .argument("the schedule has no value in these steps to draw") }
    return out
  }
}

/// The values that the lines of a plot stand for.
private struct Axis {
  let low, high: Double
  let lines: Int

  /// With 0 at an end, where the values come near enough to it.
  init(_ columns: [[Double]], lines: Int) {
    var low = Double.infinity, high = -Double.infinity
    for column in columns {
      for x in column { (low, high) = (min(low, x), max(high, x)) }
    }
    if low >= 0, low <= high / 2 || low == high { low = 0 }
    if high <= 0, high >= low / 2 || low == high { high = 0 }
    if low == high { high = 1 }
    (self.low, self.high, self.lines) = (low, high, lines)
  }

  /// The line of a value, from 0 at the bottom.
  func line(of x: Double) -> Int {
    let place = (x / 2 - low / 2) / (high / 2 - low / 2)  // halves do not overflow
    return place >= 0 ? Int(place * Double(lines - 1) + 0.5) : 0
  }

  /// What is written beside a line.
  func label(of line: Int) -> Text? {
    if line == 0 { return brief(low) }
    if line == lines - 1 { return brief(high) }
    return 2 * line == lines - 1 ? brief(low / 2 + high / 2) : nil
  }

  var labelWidth: Int {
    var most = 0
    for line in 0..<lines { most = max(most, label(of: line)?.bytes.count ?? 0) }
    return most
  }
}

private struct Plot {
  /// The longest label is -1.234e-308.
  static var widestMargin: Int { 13 }

  private let axis: Axis
  private let margin: Int
  private var out = Text()

  init(_ axis: Axis) { (self.axis, margin) = (axis, axis.labelWidth + 2) }

  mutating func draw(_ columns: [[Double]], first: UInt64, last: UInt64) throws(RavineError) -> Text
  {
    let spans = spans(columns)
    for line in (0..<axis.lines).reversed() {
      let label = axis.label(of: line)
      pad(margin - 2 - (label?.bytes.count ?? 0))
      out.append(label ?? Text())
      out.append(label == nil ? " |" : " +")
      var row: [UInt8] = []
      for span in spans {
        let drawn = span.map { $0.contains(line) } ?? false
        row.append(drawn ? UInt8(ascii: "*") : 32)
      }
      while row.last == 32 { row.removeLast() }
      out.append("\(Text(row))\n")
      try checkMemory()
    }
    pad(margin - 1)
    out.append("+\(Text([UInt8](repeating: UInt8(ascii: "-"), count: columns.count)))\n")
    steps(number(first), number(last), columns.count)
    return out
  }

  /// The lines that each column covers, so that it touches the one before.
  private func spans(_ columns: [[Double]]) -> [ClosedRange<Int>?] {
    var out: [ClosedRange<Int>?] = []
    var before: Int?
    for column in columns {
      var low = Int.max, high = Int.min
      for x in column { (low, high) = (min(low, axis.line(of: x)), max(high, axis.line(of: x))) }
      if let before, low <= high { (low, high) = (min(low, before + 1), max(high, before - 1)) }
      out.append(low <= high ? low...high : nil)
      before = column.last.map { axis.line(of: $0) }
    }
    return out
  }

  /// Both ends have room in the narrowest plot.
  private func number(_ step: UInt64) -> Text {
    step < 1_000_000_000_000 ? "\(step)" : brief(Double(step))
  }

  /// The line of steps: the first, the last, and what they are if there is room.
  private mutating func steps(_ first: Text, _ last: Text, _ width: Int) {
    let room = width - first.bytes.count - last.bytes.count, word: Text = "step"
    pad(margin)
    out.append(first)
    if room >= word.bytes.count + 2 {
      let left = (room - word.bytes.count) / 2
      pad(left)
      out.append(word)
      pad(room - word.bytes.count - left)
    } else {
      pad(max(1, room))
    }
    out.append("\(last)\n")
  }

  private mutating func pad(_ count: Int) {
    out.append(Text([UInt8](repeating: 32, count: max(0, count))))
  }
}
