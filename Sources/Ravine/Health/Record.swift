import CRavine
import CShims
import Kernels

/// An array as a caller describes it.
public struct RecordDescription {
  public var name: UnsafePointer<CChar>?
  public var data: UnsafeRawPointer?
  public var type: Int32 = 0
  public var rank: Int32 = 0
  public var shape: UnsafePointer<Int64>?
  public var kind: Int32 = 0
  /// Place in depth, from the input; -1: not said.
  public var depth: Int64 = -1
  /// Step of a sequence; -1: there is none.
  public var time: Int64 = -1

  public init() {}
}

/// What was checked of a record.
private struct Checked {
  let kind: RecordKind
  let name: UnsafeBufferPointer<UInt8>
  let text: Text
  let count: Int
  let units: Int
}

extension Monitor {
  /// Takes an array of the step in progress. It is read before the call returns, and not kept.
  public func record(_ d: RecordDescription) throws(RavineError) {
    let checked = try check(d)
    if checked.kind == .loss { return try recordLoss(d, checked) }
    try checkOrder(d, checked)
    let load = try Catalog.shared().kernels.load[2 * Int(d.type) + 1].unsafelyUnwrapped
    let (index, track) = try prepare(
      checked.name, d.depth, checked.kind, d.type, rank: Int(d.rank), count: checked.count,
      units: checked.units, time: d.time)
    let fresh = track.pointee.step != steps + 1
    if fresh {
      memset(track.pointee.bins, 0, 8 * Statistics.binCount)
      if let fired = track.pointee.fired { memset(fired, 0, track.pointee.units) }
    }
    var statistics = Statistics(), units = UnitStatistics()
    measure(d.data, d.type, checked.count, load, track, &statistics, &units)
    track.pointee.type = d.type
    if track.pointee.kind == .activation || d.time >= 0 { track.pointee.count = checked.count }
    takeSample(d.data, d.type, track)
    track.pointee.sampled = nil
    commit(statistics, units, index, track, time: d.time)
    open = true
  }

  /// Adds what was measured to the track of the step in progress.
  func commit(
    _ statistics: Statistics, _ units: UnitStatistics, _ index: Int,
    _ track: UnsafeMutablePointer<Track>, time: Int64
  ) {
    if track.pointee.step != steps + 1 {
      track.pointee.begin(steps + 1)
      track.pointee.statistics = statistics
      track.pointee.unitStatistics = units
    } else {
      track.pointee.statistics.merge(statistics)
      track.pointee.unitStatistics.merge(units)
    }
    if time >= 0 { track.pointee.sequence?.put(Int(time), statistics.rms) }
    guard statistics.nonfinite > 0 else { return }
    if firstBad == nil { firstBad = (index, track.pointee.kind) }
    if track.pointee.badStep == 0 {
      track.pointee.badStep = steps + 1
      track.pointee.badIndex = statistics.firstNonfinite
      track.pointee.badTime = time
      track.pointee.badCount = statistics.nonfinite
    }
  }

  private func recordLoss(_ d: RecordDescription, _ checked: Checked) throws(RavineError) {
    guard d.time < 0, d.depth < 0 else {
      throw .argument("a loss has no depth and no time")
    }
    guard checked.count > 0 else {
      throw RavineError(RVN_ERR_SHAPE, "'\(checked.text)': a loss has at least one element")
    }
    guard loss == nil else { throw .state("the loss of this step was recorded already") }
    guard let data = d.data else { throw .argument("'\(checked.text)': data is NULL") }
    var sum = 0.0
    for i in 0..<checked.count { sum += element(data, d.type, i) / Double(checked.count) }
    try checkMemory()
    loss = sum
    open = true
  }

  // MARK: checks

  private func check(_ d: RecordDescription) throws(RavineError) -> Checked {
    guard let kind = RecordKind(rawValue: d.kind) else {
      throw .argument(
        "kind is \(d.kind), but must be RVN_KIND_GRADIENT (1), _ACTIVATION (2), _WEIGHT (3), _UPDATE (4) or _LOSS (5)"
      )
    }
    let tensor = TensorDescription(
      name: d.name, data: UnsafeMutableRawPointer(mutating: d.data), grad: nil, type: d.type,
      gradType: 0, rank: d.rank, shape: d.shape)
    let count = try tensor.check()
    let raw = UnsafeRawPointer(d.name.unsafelyUnwrapped).assumingMemoryBound(to: UInt8.self)
    let name = UnsafeBufferPointer(start: raw, count: strnlen(d.name.unsafelyUnwrapped, 256))
    let text = Text(raw, count: name.count)
    guard d.depth >= -1, d.depth <= Monitor.deepest else {
      throw .argument("'\(text)': depth is \(d.depth); 0 to \(Monitor.deepest), or -1 for none")
    }
    guard d.time >= -1, d.time < Sequence.longest else {
      throw .argument(
        "'\(text)': time is \(d.time); 0 to \(Sequence.longest - 1), or -1 for none")
    }
    guard d.time < 0 || kind == .gradient || kind == .activation || kind == .loss else {
      throw .argument("'\(text)': only gradients and activations have a time")
    }
    let last = d.rank > 0 ? Int(d.shape.unsafelyUnwrapped[Int(d.rank) - 1]) : 1
    return Checked(kind: kind, name: name, text: text, count: count, units: last)
  }

  static var deepest: Int64 { 1_000_000 }

  /// Whether the record fits what was recorded before.
  private func checkOrder(_ d: RecordDescription, _ checked: Checked) throws(RavineError) {
    let text = checked.text
    guard let index = names.find(checked.name) else { return }
    let known = subjects[index]
    if d.depth >= 0, known.depth >= 0, d.depth != known.depth {
      throw .argument(
        "'\(text)' is at depth \(known.depth), but this record says \(d.depth): a name has one depth"
      )
    }
    guard let track = known.track(checked.kind) else { return }
    let t = track.pointee, word = checked.kind.word
    guard t.timed == (d.time >= 0) else {
      throw .argument(
        "the \(word) of '\(text)' has been recorded \(t.timed ? "with a time" as Text : "without a time"): all of its records are alike"
      )
    }
    if t.step == steps + 1, !t.timed {
      throw .state(
        "the \(word) of '\(text)' was recorded already: rvn_monitor_end_step comes before the next one"
      )
    }
    if t.step == steps + 1, let sequence = t.sequence, sequence.has(Int(d.time)) {
      throw .state("the \(word) of '\(text)' at time \(d.time) was recorded already in this step")
    }
    let loose = checked.kind == .activation || t.timed
    guard Int(d.rank) == t.rank, loose || checked.count == t.count else {
      throw RavineError(
        RVN_ERR_SHAPE,
        "the \(word) of '\(text)' has \(checked.count) elements and rank \(d.rank), but had \(t.count) and rank \(t.rank) before"
      )
    }
    guard t.units == checked.units else {
      throw RavineError(
        RVN_ERR_SHAPE,
        "the \(word) of '\(text)' has a last axis of \(checked.units), but it was \(t.units) before"
      )
    }
  }

  // MARK: memory

  /// The subject of a name, made if it is new.
  func subject(named name: UnsafeBufferPointer<UInt8>) throws(RavineError) -> Int {
    if let known = names.find(name) { return known }
    try subjects.reserve(subjects.count + 1)
    try names.reserve()
    try checkMemory()
    let made = try Subject.make(name.baseAddress.unsafelyUnwrapped, name.count, heap)
    try names.insert(made.name, made.nameCount)
    try subjects.append(made)
    return subjects.count - 1
  }

  /// The subject and track of a record, made if they are new. `watching`: whether units are watched
  /// that can be. A failure leaves a name of which nothing is known at most.
  func prepare(
    _ name: UnsafeBufferPointer<UInt8>, _ depth: Int64, _ kind: RecordKind, _ type: Int32,
    rank: Int, count: Int, units: Int, time: Int64, watching: Bool = true
  ) throws(RavineError) -> (subject: Int, track: UnsafeMutablePointer<Track>) {
    let index = try subject(named: name)
    try checkMemory()
    var track = subjects[index].track(kind)
    if track == nil {
      track = try Track.make(
        kind, type, rank: rank, count: count, units: units, timed: time >= 0, watching: watching,
        heap)
    }
    let found = track.unsafelyUnwrapped
    do throws(RavineError) {
      if time >= 0 { try found.pointee.sequence?.reserve(Int(time), heap) }
    } catch {
      if subjects[index].track(kind) == nil { heap.free(found) }
      throw error
    }
    subjects[index].set(found)
    if depth >= 0 { subjects[index].depth = depth }
    return (index, found)
  }

  // MARK: measuring

  /// Measures block by block, in order.
  private func measure(
    _ data: UnsafeRawPointer?, _ type: Int32, _ count: Int, _ load: ravine_convert_kernel,
    _ track: UnsafeMutablePointer<Track>, _ statistics: inout Statistics,
    _ units: inout UnitStatistics
  ) {
    guard let data, count > 0, let size = ElementType.size(type) else { return }
    let block = RAVINE_BLOCK
    let raw = UnsafeMutableRawPointer(scratch), wide = scratch + block
    var at = 0
    while at < count {
      let n = min(block, count - at)
      let x: UnsafePointer<Double>
      if type == RVN_F64 {
        x = (data + 8 * at).assumingMemoryBound(to: Double.self)
      } else {
        memcpy(raw, data + at * size, n * size)
        load(raw, wide, (n + 15) & ~15)
        x = UnsafePointer(wide)
      }
      statistics.add(
        x, n, at: at, smallestNormal: ElementType.smallestNormal(type), track.pointee.bins)
      if let fired = track.pointee.fired {
        units.add(x, n, units: track.pointee.units, fired: fired)
      }
      at += n
    }
    if statistics.nonfinite > 0, track.pointee.badStep == 0 {
      track.pointee.badValue = element(data, type, statistics.firstNonfinite)
    }
  }

  private func takeSample(
    _ data: UnsafeRawPointer?, _ type: Int32, _ track: UnsafeMutablePointer<Track>
  ) {
    let t = track.pointee
    guard let data else { return }
    track.pointee.sampleTaken = steps + 1
    for i in 0..<t.sampleCount { t.sample[i] = element(data, type, i * t.sampleStride) }
  }
}

extension Monitor {
  /// What the last record of an array, or those of its last step, had.
  public func statistics(
    _ name: Text, _ kind: Int32
  ) throws(RavineError) -> (Statistics, UnsafePointer<UInt64>) {
    guard let kind = RecordKind(rawValue: kind), kind != .loss else {
      throw .argument("kind is \(kind), but must be that of an array: 1 to 4")
    }
    guard let index = names.find(name) else {
      var known: [Text] = []
      for i in 0..<min(64, subjects.count) { known.append(subjects[i].text) }
      throw .name(
        "nothing called '\(shown(name))' was recorded\(suggestion(for: name, among: known))")
    }
    guard let track = subjects[index].track(kind), track.pointee.records > 0 else {
      throw .name("no \(kind.word) of '\(shown(name))' was recorded")
    }
    try checkMemory()
    return (
      track.pointee.sampled ?? track.pointee.statistics, UnsafePointer(track.pointee.bins)
    )
  }
}

extension ElementType {
  static func smallestNormal(_ type: Int32) -> Double {
    switch type {
    case RVN_F16: 0x1p-14
    case RVN_F64: 0x1p-1022
    default: 0x1p-126
    }
  }
}
