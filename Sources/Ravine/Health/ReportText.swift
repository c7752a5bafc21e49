import CShims
import Kernels

extension Monitor {
  /// What is wrong, where, how that is known and what to try, for a terminal: the worst first.
  public func report() throws(RavineError) -> Document {
    let inquiry = try Inquiry.make(self)
    try inquiry.run()
    return try text(inquiry)
  }

  /// Findings that the text tells; the others are in the JSON.
  static var mostFindings: Int { 20 }

  func text(_ inquiry: Inquiry) throws(RavineError) -> Document {
    let out = Document(allocator)
    try out.append(headline(inquiry))
    let findings = inquiry.findings
    for (i, finding) in findings.enumerated() where i < Monitor.mostFindings {
      var again = false
      for earlier in findings[..<i] where earlier.judge == finding.judge { again = true }
      try write(finding, again: again, to: out)
    }
    if findings.count > Monitor.mostFindings {
      try out.append("\nand \(findings.count - Monitor.mostFindings) more findings\n")
    }
    try writeRecorder(to: out)
    try writeNumbers(to: out)
    try writeUnjudged(inquiry, to: out)
    return out
  }

  private func headline(_ inquiry: Inquiry) -> Text {
    var counts = [0, 0, 0]
    for finding in inquiry.findings { counts[finding.severity.rawValue] += 1 }
    let all: Text = "Gradient health after \(steps) \(steps == 1 ? "step" : "steps")"
    if inquiry.findings.isEmpty {
      return steps == 0 && !open
        ? "\(all): nothing was recorded\n" : "\(all): nothing found\n"
    }
    return
      "\(all): \(counts[2]) severe, \(counts[1]) \(counts[1] == 1 ? "warning" : "warnings"), \(counts[0]) \(counts[0] == 1 ? "note" : "notes")\n"
  }

  /// `again`: a finding of the same code was told above, with its advice. Notes are told in short.
  private func write(_ f: Finding, again: Bool, to out: Document) throws(RavineError) {
    let word: Text =
      switch f.severity {
      case .severe: "SEVERE"
      case .warn: "WARN  "
      case .note: "note  "
      }
    try out.append("\n\(word)  \(f.code): \(f.title)\n")
    try line("where", shown(f.place), to: out)
    try line("seen", shown(f.evidence), to: out)
    let note = f.severity == .note
    if !note, !f.limitName.isEmpty, !f.limit.isZero {
      try line(
        "limit", "\(short(f.value)) passes \(f.code).\(f.limitName) = \(short(f.limit))", to: out)
    }
    guard !again else { return }
    try line("try", f.advice, to: out)
    if !note { try line("source", Text(f.source), to: out) }
  }

  /// A label, and text that is broken at spaces behind 96 columns.
  private func line(_ label: Text, _ text: Text, to out: Document) throws(RavineError) {
    let indent = 16, width = 96
    try out.append("        \(label)")
    for _ in 0..<(indent - 8 - label.bytes.count) { try out.append(32) }
    var column = indent, word: [UInt8] = []
    func length(_ bytes: [UInt8]) -> Int {
      var n = 0
      for b in bytes where b & 0xc0 != 0x80 { n += 1 }
      return n
    }
    for byte in text.bytes + [32] {
      guard byte == 32 else {
        word.append(byte)
        continue
      }
      if word.isEmpty { continue }
      let size = length(word)
      if column > indent {
        if column + 1 + size > width {
          try out.append("\n                ")
          column = indent
        } else {
          try out.append(32)
          column += 1
        }
      }
      try out.append(Text(word))
      column += size
      word = []
    }
    try out.append("\n")
  }

  private func pad(_ text: Text, _ width: Int) -> Text {
    var out: [UInt8] = []
    for _ in 0..<max(0, width - text.bytes.count) { out.append(32) }
    return Text(out + text.bytes)
  }

  private func writeRecorder(to out: Document) throws(RavineError) {
    guard recorder.frozenCount > 0 else { return }
    let what: Text =
      switch recorder.frozenEvent {
      case .nonfinite: "the first value that is not finite"
      case .growth: "growth was first seen"
      default: "the spike"
      }
    try out.append("\nThe steps before \(what), and that step:\n")
    try out.append(
      "    step         loss   |gradient|  update/weight  largest element of the gradient\n")
    for i in 0..<recorder.frozenCount {
      let row = recorder.frozenRow(i)
      var line = pad("\(row.step)", 8)
      line.append(pad(row.loss.isNaN && row.step != badLossStep ? "-" : short(row.loss), 13))
      line.append(pad(number(row.gradient), 13))
      line.append(pad(number(row.ratio), 15))
      if row.subject >= 0 {
        line.append("  \(short(row.largest)) at \(shown(subjects[row.subject].text))[\(row.index)]")
      }
      if row.nonfinite > 0 { line.append("  \(row.nonfinite) not finite") }
      if row.clipScale < 1 { line.append("  clipped x\(short(row.clipScale))") }
      try out.append("\(line)\n")
    }
  }

  private func number(_ x: Double) -> Text { x.isNaN ? "-" : short(x) }

  /// What was measured, in a few lines.
  private func writeNumbers(to out: Document) throws(RavineError) {
    var line = Text()
    if history.steps > 0 {
      line.append("loss \(short(history.first)) to \(short(history.last))")
    }
    if levels.count > 0 {
      if !line.isEmpty { line.append("; ") }
      let n = min(levels.count, 32)
      line.append(
        "gradient norm \(short(Math.exp(levels.median(last: 32, scratch)))), median of \(n)")
    }
    var low = Double.infinity, high = 0.0
    for i in 0..<subjects.count where subjects[i].isMatrix && subjects[i].ratios.count > 0 {
      let ratio = subjects[i].ratios.median(scratch)
      low = min(low, ratio)
      high = max(high, ratio)
    }
    if high > 0 {
      if !line.isEmpty { line.append("; ") }
      line.append("update / weight \(short(low)) to \(short(high))")
    }
    guard !line.isEmpty || watched.step > 0 else { return }
    try out.append("\n")
    if !line.isEmpty { try self.line("so far", line, to: out) }
    if watched.step > 0 { try self.line("watched", watchedText(), to: out) }
  }

  /// How an attached optimizer was watched, and what its stages did.
  private func watchedText() -> Text {
    let w = watched
    var text: Text =
      "every step; closely one in \(Int(setting(.every))), \(w.sampled) of \(w.updates) so far"
    if clips.count > 0 {
      text.append("; clipping acted in \(w.clipped)")
      if w.clipped > 0 {
        text.append(", median factor of late \(short(clips.median(scratch)))")
      }
    }
    if w.guarded > 0 { text.append("; \(w.guarded) skipped by a guard") }
    if w.accumulated > 0 { text.append("; \(w.accumulated) calls accumulated") }
    if w.idle > 0 { text.append("; \(w.idle) calls without a gradient") }
    return text
  }

  private func writeUnjudged(_ inquiry: Inquiry, to out: Document) throws(RavineError) {
    guard !inquiry.unjudged.isEmpty else { return }
    // Those that need the same stand together.
    var line = Text(), told: [Int] = []
    for i in inquiry.unjudged where !told.contains(i) {
      let needs = judges[i].declaration.needs
      if !line.isEmpty { line.append("; ") }
      var first = true
      for j in inquiry.unjudged where Text(judges[j].declaration.needs) == needs {
        if !first { line.append(", ") }
        line.append("\(judges[j].declaration.code)")
        told.append(j)
        first = false
      }
      line.append(" (\(needs))")
    }
    try self.line("not yet", line, to: out)
  }
}
