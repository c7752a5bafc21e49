/// What a gradient check says of an entry, a tensor or all; the gravest last.
public enum GradientOutcome: Int32, BitwiseCopyable, Comparable, Sendable {
  case correct = 0
  case unresolved  // below what the noise of the loss lets one see
  case kink
  case mistake

  public static func < (a: GradientOutcome, b: GradientOutcome) -> Bool { a.rawValue < b.rawValue }
}

/// One derivative, as the function says and as differences say.
public struct GradientEntry: BitwiseCopyable, Sendable {
  public var outcome = GradientOutcome.correct
  public var tensor = 0
  /// The element; -1: a direction through the whole tensor.
  public var index: Int64 = -1
  public var analytic = 0.0
  public var numeric = 0.0
  /// What the numeric one may be off by.
  public var error = 0.0
  public var relativeError = 0.0
  /// The derivatives of the two sides; on a smooth function the same.
  public var backward = 0.0
  public var forward = 0.0
  /// The step that the numeric one comes from.
  public var step = 0.0

  func isWorse(than other: GradientEntry) -> Bool {
    outcome == other.outcome ? relativeError > other.relativeError : outcome > other.outcome
  }
}

/// What a check found, in one tensor or in all.
public struct GradientReport: BitwiseCopyable, Sendable {
  public var checked: UInt64 = 0
  public var mistakes: UInt64 = 0
  public var kinks: UInt64 = 0
  public var unresolved: UInt64 = 0
  public var worst = GradientEntry()
  public var loss = 0.0
  public var noise = 0.0
  public var repeated = 0.0
  public var evaluations: UInt64 = 0
  // Sums over entries, kinks left out.
  private var both = 0.0
  private var analytic = 0.0
  private var numeric = 0.0

  public var outcome: GradientOutcome { worst.outcome }
  /// Of the angle between the two gradients; 1 where both are 0.
  public var cosine: Double {
    if analytic == 0 && numeric == 0 { return 1 }
    return analytic == 0 || numeric == 0 ? 0 : both / (analytic.squareRoot() * numeric.squareRoot())
  }
  /// The factor that takes the numeric gradient nearest to the analytic one.
  public var ratio: Double { numeric == 0 ? (analytic == 0 ? 1 : .infinity) : both / numeric }

  mutating func take(_ entry: GradientEntry) {
    switch entry.outcome {
    case .correct: break
    case .unresolved: unresolved += 1
    case .kink: kinks += 1
    case .mistake: mistakes += 1
    }
    if checked == 0 || entry.isWorse(than: worst) { worst = entry }
    checked += 1
    guard entry.outcome != .kink, entry.analytic.isFinite, entry.numeric.isFinite else { return }
    both += entry.analytic * entry.numeric
    analytic += entry.analytic * entry.analytic
    numeric += entry.numeric * entry.numeric
  }

  mutating func take(_ other: GradientReport) {
    if other.checked > 0, checked == 0 || other.worst.isWorse(than: worst) { worst = other.worst }
    checked += other.checked
    mistakes += other.mistakes
    kinks += other.kinks
    unresolved += other.unresolved
    both += other.both
    analytic += other.analytic
    numeric += other.numeric
  }
}
