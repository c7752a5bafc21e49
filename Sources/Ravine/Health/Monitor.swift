import CRavine
import CShims
import Kernels

/// Watches a training: takes arrays by name and kind, and judges what it saw.
public final class Monitor {
  public let allocator: ravine_allocator
  let heap: Heap
  let judges: [JudgeEntry]
  /// The limits of all judges, one after the other.
  private var limits: [Double]

  var subjects: Table<Subject>
  var names: NameIndex

  /// Steps that ended.
  public internal(set) var steps: UInt64 = 0
  /// Whether anything was recorded since.
  var open = false
  /// The loss of the step in progress; nil: not given yet.
  var loss: Double?
  var stepFacts = StepFacts()
  var stepRatioMaximum = -Double.infinity

  /// Losses, logarithms of the norm over all gradients, cosines of gradients with those before, and
  /// factors of clipping.
  var losses: Window
  var levels: Window
  var cosines: Window
  var clips: Window
  /// Steps in a row whose gradient turned against the one before: now, at most, and when that was.
  var turning = 0
  var longestTurning = 0
  var turnedAt: UInt64 = 0
  var history: LossHistory
  var recorder: Recorder
  var spikes: SpikeEvents
  var growths: GrowthEvents
  /// The first value that was not finite: its subject (-1: the loss) and kind.
  var firstBad: (subject: Int, kind: RecordKind)?
  var badLossStep: UInt64 = 0
  var badLoss = 0.0
  var badLossSteps: UInt64 = 0

  /// The optimizer that it watches, what it saw of that, and how.
  var attachment: Attachment?
  var watched = Watched()

  /// For blocks of records, sorting and slopes.
  let scratch: UnsafeMutablePointer<Double>

  static var windowCount: Int { 128 }
  /// Room for a block, and for the pairs of 64 points.
  static var scratchSize: Int { 2 * RAVINE_BLOCK + 128 }

  public static func make(_ allocator: ravine_allocator) throws(RavineError) -> Monitor {
    let heap = Heap(allocator)
    let doubles = 4 * windowCount + LossHistory.capacity + scratchSize
    let memory = try heap.zeros(Double.self, doubles)
    let rows = try heap.allocate(FlightRow.self, 2 * Recorder.length)
    let monitor = Monitor(allocator, heap, memory, rows)
    try checkMemory()
    return monitor
  }

  private init(
    _ allocator: ravine_allocator, _ heap: Heap, _ memory: UnsafeMutablePointer<Double>,
    _ rows: UnsafeMutablePointer<FlightRow>
  ) {
    self.allocator = allocator
    self.heap = heap
    judges = allJudges()
    limits = []
    for entry in judges {
      for limit in entry.declaration.limits { limits.append(limit.initial) }
    }
    for setting in Setting.all { limits.append(setting.limit.initial) }
    subjects = Table(heap)
    names = NameIndex(heap)
    let n = Monitor.windowCount
    losses = Window(memory, n)
    levels = Window(memory + n, n)
    cosines = Window(memory + 2 * n, n)
    clips = Window(memory + 3 * n, n)
    history = LossHistory(memory + 4 * n)
    scratch = memory + 4 * n + LossHistory.capacity
    recorder = Recorder(rows)
    spikes = SpikeEvents()
    growths = GrowthEvents()
  }

  deinit { attachment?.monitorEnds() }

  // MARK: limits

  func limit(_ judge: Int, _ name: StaticText) -> Double {
    var at = 0
    for (i, entry) in judges.enumerated() {
      for limit in entry.declaration.limits {
        if i == judge, same(limit.name, name) { return limits[at] }
        at += 1
      }
    }
    return .nan
  }

  func limit(_ code: StaticText, _ name: StaticText) -> Double {
    for (i, entry) in judges.enumerated() where same(entry.declaration.code, code) {
      return limit(i, name)
    }
    return .nan
  }

  /// A limit by its key, "code.limit".
  private func find(_ key: Text) throws(RavineError) -> (at: Int, limit: Limit) {
    var at = 0, known: [Text] = []
    for entry in judges {
      for limit in entry.declaration.limits {
        let name: Text = "\(entry.declaration.code).\(limit.name)"
        if name == key { return (at, limit) }
        known.append(name)
        at += 1
      }
    }
    for setting in Setting.all {
      let name: Text = "attached.\(setting.limit.name)"
      if name == key { return (at, setting.limit) }
      known.append(name)
      at += 1
    }
    throw .name(
      "the monitor has no limit '\(shown(key))'\(suggestion(for: key, among: known))")
  }

  func setting(_ which: Setting) -> Double {
    limits[limits.count - Setting.all.count + which.rawValue]
  }

  public func get(_ key: Text) throws(RavineError) -> Double {
    let at = try find(key).at
    try checkMemory()
    return limits[at]
  }

  public func set(_ key: Text, _ value: Double) throws(RavineError) {
    let (at, limit) = try find(key)
    guard value >= limit.low, value <= limit.high, !limit.whole || value == value.rounded(.down)
    else {
      throw .argument(
        "\(key) is \(value), but must be \(limit.whole ? "a whole number " : "")from \(limit.low) to \(limit.high)"
      )
    }
    try checkMemory()
    limits[at] = value
  }
}

/// Without the memory that a comparison of texts takes.
private func same(_ a: StaticText, _ b: StaticText) -> Bool {
  var i = 0
  while a.start[i] == b.start[i] {
    if a.start[i] == 0 { return true }
    i += 1
  }
  return false
}

/// Text from outside as it may stand in a terminal: control characters, also those of C1 and those
/// that turn the direction of writing, become "?".
func shown(_ text: Text) -> Text {
  var out: [UInt8] = []
  let b = text.bytes
  var i = 0
  while i < b.count {
    let two = i + 1 < b.count && b[i] == 0xc2 && b[i + 1] >= 0x80 && b[i + 1] < 0xa0
    let three =
      i + 2 < b.count && b[i] == 0xe2
      && ((b[i + 1] == 0x80 && b[i + 2] >= 0xa8 && b[i + 2] <= 0xae)
        || (b[i + 1] == 0x81 && b[i + 2] >= 0xa6 && b[i + 2] <= 0xa9))
    if two || three || b[i] < 32 || b[i] == 127 {
      out.append(63)
      i += three ? 3 : two ? 2 : 1
    } else {
      out.append(b[i])
      i += 1
    }
  }
  return Text(out)
}
