import CShims

/// What a step found out about one block for a monitor. Plain memory, written by one worker.
struct BlockFacts: BitwiseCopyable {
  /// Of the gradient as the rule received it, where stages change its elements: squares and the same.
  var ruleSquares = 0.0
  var ruleAbsolutes = 0.0
  var ruleLargest = 0.0

  // In steps that are sampled: see `inspect`, and `countMagnitudes`.
  var weights = 0.0
  var products = 0.0
  var updates = 0.0
  var lost = 0.0
  var means = 0.0
  var squares = 0.0
  var live = 0.0
  var dominated = 0.0
  var zeros = 0.0
  var subnormals = 0.0
  var bins = InlineArray<64, UInt16>(repeating: 0)
}

/// Where the state of a rule tells of gradients: slots and parameters by their place, -1 for none.
struct MomentWork: BitwiseCopyable {
  var mean = -1
  var square = -1
  var meanDecay = -1
  var squareDecay = -1
  var eps = -1
  var inside = -1
  /// Whether the rule makes the size of a step independent of that of the gradient.
  var normalizes = false
}

/// What workers need of a monitor, as plain memory.
struct WatchWork: BitwiseCopyable {
  /// For each block.
  var facts: UnsafeMutablePointer<BlockFacts>
  /// For each block two: of the gradient at its true size the sum of magnitudes and the largest (NaN or
  /// infinity where one is not finite).
  var sizes: UnsafeMutablePointer<Double>
  /// Whether this step is one of those that are looked at closely.
  var sampling = false
  /// For each worker `scratchSize` bytes.
  var scratch: UnsafeMutableRawPointer
  /// By the row of a rule.
  var moments: UnsafePointer<MomentWork>
  var rules: Int

  /// Rules of the host say nothing of theirs.
  func moments(of rule: Int) -> MomentWork { rule < rules ? moments[rule] : MomentWork() }

  /// A block of parameters as they were, one as they are kept, and tables of counts.
  static var scratchSize: Int { 2 * RAVINE_BLOCK * 8 + 2 * Int(RAVINE_COUNTERS) }
}
