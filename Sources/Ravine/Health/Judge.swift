import CShims

/// How bad a finding is.
public enum Severity: Int, Sendable {
  case note, warn, severe

  var word: StaticText {
    switch self {
    case .note: "note"
    case .warn: "warn"
    case .severe: "severe"
    }
  }
}

/// A number that a judge compares with; `rvn_monitor_set` changes it.
struct Limit {
  let name: StaticText
  let initial: Double
  let low, high: Double
  let summary: StaticText
  let source: StaticText
  var whole = false

  init(
    _ name: StaticText, _ initial: Double, from low: Double = 0, to high: Double = .infinity,
    _ summary: StaticText, source: StaticText
  ) {
    self.name = name
    self.initial = initial
    self.low = low
    self.high = high
    self.summary = summary
    self.source = source
  }
}

/// A finding's code, described once: the limits that can be set, the reports and docs/health.md come
/// from it.
struct JudgeDeclaration {
  let code: StaticText
  /// What is wrong, in a few words.
  let title: StaticText
  /// What is measured, and when it is a finding.
  let summary: StaticText
  /// What must be recorded for it.
  let needs: StaticText
  let advice: StaticText
  let source: StaticText
  let limits: [Limit]
}

/// Decides on one code. It has no state: what it needs was gathered by the monitor.
protocol Judge {
  static var declaration: JudgeDeclaration { get }
  static func judge(_ inquiry: Inquiry) throws(RavineError)
}

struct JudgeEntry {
  let declaration: JudgeDeclaration
  let judge: (Inquiry) throws(RavineError) -> Void
}

/// Every judge; findings of the same severity are told in this order, causes before what they cause. Adding one adds its line here.
func allJudges() -> [JudgeEntry] {
  [
    entry(NonFinite.self),
    entry(Growth.self),
    entry(StepTooLarge.self),
    entry(Spike.self),
    entry(Exploding.self),
    entry(Vanishing.self),
    entry(ExplodingThroughTime.self),
    entry(VanishingThroughTime.self),
    entry(Dead.self),
    entry(Saturated.self),
    entry(StepTooSmall.self),
    entry(Swallowed.self),
    entry(EpsDominated.self),
    entry(ClipAlways.self),
    entry(Bouncing.self),
    entry(LossPlateau.self),
    entry(Noise.self),
  ]
}

private func entry<J: Judge>(_: J.Type) -> JudgeEntry {
  JudgeEntry(
    declaration: J.declaration,
    judge: { (inquiry: Inquiry) throws(RavineError) in try J.judge(inquiry) })
}
