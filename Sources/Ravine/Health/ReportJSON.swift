import CShims
import Kernels

/// Text as JSON, piece by piece; each piece is out of line.
struct JSONWriter {
  let out: Document
  private var needsComma = false

  init(_ out: Document) { self.out = out }

  @inline(never)
  mutating func begin(_ bracket: StaticText, _ key: StaticText? = nil) throws(RavineError) {
    try separate(key)
    try out.append(Text(bracket))
    needsComma = false
  }

  @inline(never)
  mutating func end(_ bracket: StaticText) throws(RavineError) {
    try out.append(Text(bracket))
    needsComma = true
  }

  @inline(never)
  mutating func put(_ key: StaticText?, _ text: Text) throws(RavineError) {
    try separate(key)
    try out.append(quoted(text))
  }

  /// JSON has no NaN and no infinity: they become strings.
  @inline(never)
  mutating func put(_ key: StaticText?, _ x: Double) throws(RavineError) {
    try separate(key)
    try out.append(x.isFinite ? "\(x)" : quoted(x.isNaN ? "nan" : x < 0 ? "-inf" : "inf"))
  }

  @inline(never)
  mutating func put(_ key: StaticText?, _ n: Int) throws(RavineError) {
    try separate(key)
    try out.append("\(n)")
  }

  @inline(never)
  private mutating func separate(_ key: StaticText?) throws(RavineError) {
    if needsComma { try out.append(",") }
    needsComma = true
    if let key { try out.append("\(quoted(Text(key))):") }
  }
}

extension Monitor {
  /// The number of the layout below: it grows when something changes its meaning or goes away.
  public static var schema: Int { 1 }
  /// Places of a finding that are listed; `place_count` says how many there are.
  static var mostPlaces: Int { 16 }

  /// The same report for programs, with the text in it.
  public func reportJSON() throws(RavineError) -> Document {
    let inquiry = try Inquiry.make(self)
    try inquiry.run()
    let out = Document(allocator)
    var json = JSONWriter(out)
    try json.begin("{")
    try json.put("schema", "ravine.health")
    try json.put("version", Monitor.schema)
    try json.put("steps", Int(steps))
    try json.begin("[", "findings")
    for finding in inquiry.findings { try write(finding, &json) }
    try json.end("]")
    try writeSummary(&json)
    try writeRecorder(&json)
    try writeCodes(inquiry, &json)
    try writeText(inquiry, &json)
    try json.end("}")
    try out.append("\n")
    return out
  }

  private func write(_ f: Finding, _ json: inout JSONWriter) throws(RavineError) {
    try json.begin("{")
    try json.put("code", Text(f.code))
    try json.put("severity", Text(f.severity.word))
    try json.put("title", Text(f.title))
    try json.put("where", f.place)
    try json.put("value", f.value)
    try json.put("limit", f.limit)
    try json.put("limit_name", Text(f.limitName))
    try json.put("window", f.window)
    try json.put("evidence", f.evidence)
    try json.put("advice", f.advice)
    try json.put("source", Text(f.source))
    try json.begin("{", "measured")
    for (name, value) in f.measured { try json.put(name, value) }
    try json.end("}")
    try json.put("place_count", f.placeCount)
    try json.begin("[", "places")
    for i in 0..<min(f.placeCount, Monitor.mostPlaces) {
      guard let place = f.places?[i] else { break }
      let subject = subjects[place.subject]
      try json.begin("{")
      try json.put("name", subject.text)
      if subject.depth >= 0 { try json.put("depth", Int(subject.depth)) }
      try json.put("value", place.value)
      try json.end("}")
    }
    try json.end("]")
    try json.end("}")
  }

  /// Names of which something was seen.
  private var recorded: Int {
    var count = 0
    for i in 0..<subjects.count {
      if subjects[i].wasSeen { count += 1 }
    }
    return count
  }

  private func writeSummary(_ json: inout JSONWriter) throws(RavineError) {
    try json.begin("{", "summary")
    try json.put("names", recorded)
    if history.steps > 0 {
      try json.put("first_loss", history.first)
      try json.put("last_loss", history.last)
    }
    if levels.count > 0 {
      try json.put("gradient_norm", Math.exp(levels.median(last: 32, scratch)))
    }
    if cosines.count > 0 { try json.put("cosine", cosines.mean(last: 64, scratch)) }
    if watched.step > 0 {
      try json.begin("{", "watched")
      try json.put("every", Int(setting(.every)))
      try json.put("updates", Int(watched.updates))
      try json.put("sampled", Int(watched.sampled))
      try json.put("clipped", Int(watched.clipped))
      try json.put("guarded", Int(watched.guarded))
      try json.put("accumulated", Int(watched.accumulated))
      try json.put("idle", Int(watched.idle))
      try json.end("}")
    }
    try json.end("}")
  }

  private func writeRecorder(_ json: inout JSONWriter) throws(RavineError) {
    let event: Text =
      switch recorder.frozenEvent {
      case .none: ""
      case .spike: "spike"
      case .growth: "growth"
      case .nonfinite: "non_finite"
      }
    try json.begin("{", "recorder")
    try json.put("event", event)
    try json.begin("[", "steps")
    for i in 0..<recorder.frozenCount {
      let row = recorder.frozenRow(i)
      try json.begin("{")
      try json.put("step", Int(row.step))
      try json.put("loss", row.loss)
      try json.put("gradient_norm", row.gradient)
      try json.put("largest", row.largest)
      if row.subject >= 0 { try json.put("name", subjects[row.subject].text) }
      try json.put("index", row.index)
      try json.put("ratio", row.ratio)
      try json.put("lr", row.lr)
      try json.put("clip_scale", row.clipScale)
      try json.put("nonfinite", row.nonfinite)
      try json.end("}")
    }
    try json.end("]")
    try json.end("}")
  }

  private func writeCodes(_ inquiry: Inquiry, _ json: inout JSONWriter) throws(RavineError) {
    try json.begin("[", "codes")
    for (i, entry) in judges.enumerated() {
      let d = entry.declaration
      try json.begin("{")
      try json.put("code", Text(d.code))
      try json.put("judged", inquiry.unjudged.contains(i) ? 0 : 1)
      try json.put("title", Text(d.title))
      try json.put("summary", Text(d.summary))
      try json.put("needs", Text(d.needs))
      try json.put("advice", Text(d.advice))
      try json.put("source", Text(d.source))
      try json.begin("[", "limits")
      for limit in d.limits { try write(limit, i, &json) }
      try json.end("]")
      try json.end("}")
    }
    try json.end("]")
  }

  private func write(_ limit: Limit, _ judge: Int, _ json: inout JSONWriter) throws(RavineError) {
    try json.begin("{")
    try json.put("name", Text(limit.name))
    try json.put("value", self.limit(judge, limit.name))
    try json.put("default", limit.initial)
    try json.put("low", limit.low)
    try json.put("high", limit.high)
    try json.put("summary", Text(limit.summary))
    try json.put("source", Text(limit.source))
    try json.end("}")
  }

  /// Line by line: a line has a bounded length, the text has not.
  private func writeText(_ inquiry: Inquiry, _ json: inout JSONWriter) throws(RavineError) {
    let text = try text(inquiry)
    try json.begin("[", "text")
    var line: [UInt8] = []
    for i in 0..<text.count {
      guard let byte = text.start?[i] else { break }
      if byte == 10 {
        try json.put(nil, Text(line))
        line = []
      } else {
        line.append(byte)
      }
    }
    try json.end("]")
  }
}
