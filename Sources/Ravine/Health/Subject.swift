import CRavine
import CShims
import Kernels

/// What an array is.
public enum RecordKind: Int32, BitwiseCopyable, Sendable {
  case gradient = 1
  case activation, weight, update, loss

  var word: StaticText {
    switch self {
    case .gradient: "gradient"
    case .activation: "activation"
    case .weight: "weight"
    case .update: "update"
    case .loss: "loss"
    }
  }
}

/// The arrays of one name and kind over the steps. Plain memory.
struct Track: BitwiseCopyable {
  let kind: RecordKind
  let rank: Int
  let timed: Bool
  /// Elements of the last axis.
  let units: Int
  /// Elements of a record; those of activations and of arrays with a time may change.
  var count: Int
  var type: Int32
  /// The step that it was last recorded in, from 1; 0: never.
  var step: UInt64 = 0
  /// Steps that it was recorded in.
  var records: UInt64 = 0
  /// Of the last step that it was recorded in.
  var statistics = Statistics()
  var unitStatistics = UnitStatistics()
  let bins: UnsafeMutablePointer<UInt64>
  /// Logarithms of the root mean square; a step with nothing but zeros is in none.
  var levels: Window
  /// Shares of elements that are saturated.
  var saturation: Window
  /// Steps in a row in which every element was 0.
  var zeroSteps: UInt64 = 0

  /// The first record that was not finite: its step, from 1; 0: there was none.
  var badStep: UInt64 = 0
  var badIndex = 0
  var badTime: Int64 = -1
  var badValue = 0.0
  /// Elements of it, and steps in which there were some.
  var badCount = 0
  var badSteps: UInt64 = 0

  /// Elements at even distances; what they were a step before stands behind them.
  let sample: UnsafeMutablePointer<Double>
  let sampleCount: Int
  /// The step that the sample is from, and the one that the sample before is from.
  var sampleTaken: UInt64 = 0
  var sampleStep: UInt64 = 0
  /// Of the last step of an attached optimizer that was sampled.
  var sampled: Statistics?

  /// For each unit whether it was not 0 in this step, and the steps in a row in which it was.
  let fired: UnsafeMutablePointer<UInt8>?
  let quiet: UnsafeMutablePointer<UInt32>?

  var sequence: Sequence?

  static var sampleSize: Int { 512 }
  static var levelCount: Int { 32 }

  /// Whether units are watched: those of activations, and the elements of a bias.
  static func watchesUnits(_ kind: RecordKind, rank: Int) -> Bool {
    kind == .activation || (kind == .gradient && rank <= 1)
  }

  /// All in one piece of memory. `watching`: whether units are watched that can be.
  static func make(
    _ kind: RecordKind, _ type: Int32, rank: Int, count: Int, units: Int, timed: Bool,
    watching: Bool = true, _ heap: Heap
  ) throws(RavineError) -> UnsafeMutablePointer<Track> {
    let samples = kind == .activation || timed ? 0 : min(count, sampleSize)
    let watched = watching && watchesUnits(kind, rank: rank) ? units : 0
    let doubles =
      2 * levelCount + 2 * samples + Statistics.binCount
      + (timed ? 2 * Sequence.windowCount : 0)
    let head = (MemoryLayout<Track>.stride + 63) & ~63
    let (units5, overflow) = watched.multipliedReportingOverflow(by: 5)
    guard !overflow, units5 < Int.max / 2 else { throw .memory }
    let size = head + 8 * doubles + units5
    let memory = try heap.zeros(UInt8.self, size)
    let raw = UnsafeMutableRawPointer(memory)
    let track = raw.bindMemory(to: Track.self, capacity: 1)
    var next = (raw + head).bindMemory(to: Double.self, capacity: doubles)
    func take(_ n: Int) -> UnsafeMutablePointer<Double> {
      defer { next += n }
      return next
    }
    let levels = Window(take(levelCount), levelCount)
    let saturation = Window(take(levelCount), levelCount)
    let sample = take(2 * samples)
    let bins = UnsafeMutableRawPointer(take(Statistics.binCount)).bindMemory(
      to: UInt64.self, capacity: Statistics.binCount)
    var sequence: Sequence?
    if timed {
      sequence = Sequence(
        gains: Window(take(Sequence.windowCount), Sequence.windowCount),
        shares: Window(take(Sequence.windowCount), Sequence.windowCount))
    }
    let rest = UnsafeMutableRawPointer(next)
    let quiet = rest.bindMemory(to: UInt32.self, capacity: watched)
    let fired = (rest + 4 * watched).bindMemory(to: UInt8.self, capacity: watched)
    track.initialize(
      to: Track(
        kind: kind, rank: rank, timed: timed, units: units, count: count, type: type, bins: bins,
        levels: levels, saturation: saturation, sample: sample, sampleCount: samples,
        fired: watched > 0 ? fired : nil, quiet: watched > 0 ? quiet : nil, sequence: sequence))
    return track
  }

  /// A step that it is recorded in.
  mutating func begin(_ step: UInt64) {
    self.step = step
    records += 1
  }

  /// The distance of sampled elements.
  var sampleStride: Int { sampleCount > 0 ? count / sampleCount : 1 }
}

/// What a name stands for: its arrays, and what is known of them together. Plain memory.
struct Subject: BitwiseCopyable {
  let name: UnsafePointer<UInt8>
  let nameCount: Int
  /// Place in depth, from the input; -1: not said.
  var depth: Int64 = -1
  /// Whether the host said so by `setDepth`.
  var placed = false
  /// By kind: gradient, activation, weight, update.
  var gradient: UnsafeMutablePointer<Track>?
  var activation: UnsafeMutablePointer<Track>?
  var weight: UnsafeMutablePointer<Track>?
  var update: UnsafeMutablePointer<Track>?
  /// Norms of updates over norms of weights.
  var ratios: Window
  /// The largest of all steps.
  var ratioPeak = 0.0
  /// Shares of the update that rounding swallowed.
  var swallowed: Window
  /// Shares of coordinates where eps dominates the denominator.
  var epsDominated: Window
  /// What the last step of an attached optimizer that was sampled had.
  var health = TensorHealth()
  /// Whether its rule makes the size of a step independent of that of the gradient; nil: not known.
  var normalizes: Bool?

  static var windowCount: Int { 64 }

  var text: Text { Text(name, count: nameCount) }

  func track(_ kind: RecordKind) -> UnsafeMutablePointer<Track>? {
    switch kind {
    case .gradient: gradient
    case .activation: activation
    case .weight: weight
    case .update: update
    case .loss: nil
    }
  }

  mutating func set(_ track: UnsafeMutablePointer<Track>) {
    switch track.pointee.kind {
    case .gradient: gradient = track
    case .activation: activation = track
    case .weight: weight = track
    case .update: update = track
    case .loss: break
    }
  }

  mutating func pushRatio(_ ratio: Double) {
    ratios.push(ratio)
    if ratio.isFinite { ratioPeak = max(ratioPeak, ratio) }
  }

  /// Whether any of its arrays was recorded, or fed by an optimizer.
  var wasSeen: Bool {
    (gradient?.pointee.step ?? 0) > 0 || (activation?.pointee.step ?? 0) > 0
      || (weight?.pointee.step ?? 0) > 0 || (update?.pointee.step ?? 0) > 0
  }

  /// A gradient of parameters: not of activations, and not one of many in time.
  var hasParameterGradient: Bool {
    guard let gradient else { return false }
    return !gradient.pointee.timed && activation == nil
  }

  /// Whether step sizes are judged by it: arrays of rank 2 and more.
  var isMatrix: Bool {
    if let weight { return weight.pointee.rank >= 2 }
    if let update { return update.pointee.rank >= 2 }
    return (gradient?.pointee.rank ?? 0) >= 2
  }

  static func make(
    _ name: UnsafePointer<UInt8>, _ count: Int, _ heap: Heap
  ) throws(RavineError) -> Subject {
    let doubles = 3 * windowCount
    let memory = try heap.allocate(UInt8.self, 8 * doubles + count)
    let windows = UnsafeMutableRawPointer(memory).bindMemory(to: Double.self, capacity: doubles)
    let copy = memory + 8 * doubles
    copy.update(from: name, count: count)
    return Subject(
      name: copy, nameCount: count, ratios: Window(windows, windowCount),
      swallowed: Window(windows + windowCount, windowCount),
      epsDominated: Window(windows + 2 * windowCount, windowCount))
  }
}
