import CRavine
import CShims
import Kernels

/// The bond of an optimizer and the monitor that watches its steps. Either may go first; the other goes
/// on alone.
final class Attachment {
  private var optimizer: Unmanaged<Optimizer>?
  private var monitor: Unmanaged<Monitor>?
  /// From the monitor's memory: about a quarter of a byte for each parameter.
  private let heap: Heap
  let work: UnsafeMutablePointer<WatchWork>
  /// What the memory is enough for.
  private var tensors = 0, blocks = 0, threads = 0
  /// The subject of each tensor; -1 for one that was removed.
  private(set) var subjects: UnsafeMutablePointer<Int>?
  /// What was found out in the parts of a step so far.
  var totals = StepTotals()
  /// The loss of the call in progress; and the sum and number of those of calls that accumulated.
  var loss: Double?
  var losses = (sum: 0.0, count: 0)

  private init(
    _ optimizer: Optimizer, _ monitor: Monitor, _ heap: Heap,
    _ work: UnsafeMutablePointer<WatchWork>
  ) {
    self.optimizer = Unmanaged.passUnretained(optimizer)
    self.monitor = Unmanaged.passUnretained(monitor)
    self.heap = heap
    self.work = work
  }

  static func make(_ optimizer: Optimizer, _ monitor: Monitor) throws(RavineError) -> Attachment {
    let heap = Heap(monitor.allocator)
    let catalog = try Catalog.shared()
    let moments = try heap.allocate(MomentWork.self, catalog.rules.count)
    for (row, rule) in catalog.rules.enumerated() { moments[row] = MomentWork(rule.declaration) }
    let work = try heap.allocate(WatchWork.self, 1)
    let facts = try heap.allocate(BlockFacts.self, 0), sizes = try heap.allocate(Double.self, 0)
    work.initialize(
      to: WatchWork(
        facts: facts, sizes: sizes, scratch: try heap.allocate(0), moments: UnsafePointer(moments),
        rules: catalog.rules.count))
    let made = Attachment(optimizer, monitor, heap, work)
    try checkMemory()
    return made
  }

  /// Ends the bond.
  func end() {
    optimizer?.takeUnretainedValue().attachment = nil
    monitor?.takeUnretainedValue().attachment = nil
    (optimizer, monitor) = (nil, nil)
  }

  /// The same, from the end of one of the two.
  func optimizerEnds() {
    optimizer = nil
    end()
  }
  func monitorEnds() {
    monitor = nil
    end()
  }

  /// The monitor, unless the steps are those of a range test, which are undone.
  var active: Monitor? {
    guard let optimizer, optimizer.takeUnretainedValue().tests == 0 else { return nil }
    return monitor?.takeUnretainedValue()
  }

  // MARK: memory

  /// What workers need for the call that begins; nil: nothing. All memory is had here, before anything
  /// changes.
  func open(_ optimizer: Optimizer, _ buffers: Buffers) throws(RavineError)
    -> UnsafePointer<WatchWork>?
  {
    guard let monitor = active else { return nil }
    if tensors != optimizer.tensors.count { try reserve(optimizer, monitor) }
    let total = optimizer.buffers?.blocks ?? 0
    if total > blocks || buffers.threads > threads { try reserve(total, buffers.threads) }
    try checkMemory()
    work.pointee.sampling = monitor.isSampling
    return UnsafePointer(work)
  }

  private func reserve(_ total: Int, _ workers: Int) throws(RavineError) {
    let mark = heap.mark()
    do throws(RavineError) {
      let facts = try heap.zeros(BlockFacts.self, max(total, blocks))
      let sizes = try heap.zeros(Double.self, 2 * max(total, blocks))
      let scratch = try heap.allocate(max(workers, threads) * WatchWork.scratchSize)
      heap.free(work.pointee.facts)
      heap.free(work.pointee.sizes)
      heap.free(work.pointee.scratch)
      (work.pointee.facts, work.pointee.sizes, work.pointee.scratch) = (facts, sizes, scratch)
      (blocks, threads) = (max(total, blocks), max(workers, threads))
    } catch {
      heap.release(to: mark)
      throw error
    }
  }

  /// A subject and a track for each tensor.
  private func reserve(_ optimizer: Optimizer, _ monitor: Monitor) throws(RavineError) {
    let count = optimizer.tensors.count
    let all = try heap.allocate(Int.self, count)
    var layers = LayerOrder()
    do throws(RavineError) {
      for i in 0..<count {
        let tensor = optimizer.tensors[i]
        all[i] = tensor.removed ? -1 : try monitor.subject(of: tensor, depth: layers.place(tensor))
      }
    } catch {
      heap.free(all)
      throw error
    }
    heap.free(subjects)
    subjects = all
    tensors = count
  }
}

/// Which layer tensors belong to, unless a host says it: names that are alike up to the last dot are of
/// one layer, as are vectors behind a matrix where names have no dot; layers come in the order of their
/// first tensor.
private struct LayerOrder {
  private var stem: (start: UnsafePointer<UInt8>, count: Int)?
  private var depth: Int64 = -1
  private var dotted = false

  mutating func place(_ tensor: Tensor) -> Int64 {
    var end = tensor.nameCount
    while end > 0, tensor.name[end - 1] != UInt8(ascii: ".") { end -= 1 }
    let same = end > 0 ? dotted && isStem(tensor.name, end) : !dotted && tensor.rank < 2
    if depth < 0 || !same { depth += 1 }
    dotted = end > 0
    stem = (tensor.name, end)
    return min(depth, Monitor.deepest)
  }

  private func isStem(_ name: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    guard let stem, stem.count == count else { return false }
    for i in 0..<count where stem.start[i] != name[i] { return false }
    return true
  }
}

extension MomentWork {
  init(_ d: Declaration) {
    normalizes = d.normalizes ?? false
    guard let m = d.moments else { return }
    mean = d.slot(m.mean)
    square = d.slot(m.square)
    meanDecay = d.parameter(m.meanDecay)
    squareDecay = d.parameter(m.squareDecay)
    eps = d.parameter(m.eps)
    inside = d.parameter(m.inside)
  }
}

extension Declaration {
  /// The place of a slot; -1: there is none.
  @inline(never)
  fileprivate func slot(_ name: StaticText?) -> Int {
    guard let name else { return -1 }
    return slots.firstIndex { Text(name) == $0.name } ?? -1
  }

  @inline(never)
  fileprivate func parameter(_ name: StaticText?) -> Int {
    guard let name else { return -1 }
    return index(of: Text(name)) ?? -1
  }
}

extension Monitor {
  /// Makes every step of an optimizer a step of this monitor.
  public func attach(to optimizer: Optimizer) throws(RavineError) {
    guard attachment == nil else {
      throw .state("the monitor is attached to an optimizer already: call rvn_monitor_detach first")
    }
    guard optimizer.attachment == nil else {
      throw .state(
        "the optimizer has a monitor already: call rvn_monitor_detach with that one first")
    }
    try optimizer.checkClosed()
    if optimizer.isSharded { throw optimizer.needsWhole("an attached monitor") }
    let made = try Attachment.make(optimizer, self)
    if optimizer.plan != nil, !optimizer.stale, let buffers = optimizer.buffers {
      _ = try made.open(optimizer, buffers)
    }
    attachment = made
    optimizer.attachment = made
    watched.attached = true
  }

  public func detach() throws(RavineError) {
    guard let attachment else { throw .state("the monitor is not attached to an optimizer") }
    attachment.end()
  }

  /// Whether the next step is one of those that are looked at closely.
  var isSampling: Bool {
    steps % UInt64(setting(.every)) == 0
  }

  /// The subject of an optimizer's tensor, with a track for its gradients. What was known of an array
  /// of that name with another shape is forgotten.
  fileprivate func subject(of tensor: Tensor, depth: Int64) throws(RavineError) -> Int {
    let name = UnsafeBufferPointer(start: tensor.name, count: tensor.nameCount)
    let known = names.find(name)
    let placed = known.map { subjects[$0].placed || subjects[$0].depth >= 0 } ?? false
    let units = tensor.rank > 0 ? Int(tensor.shape[tensor.rank - 1]) : 1
    let watching = tensor.count <= Monitor.mostUnits
    let (index, track) = try prepare(
      name, placed ? -1 : depth, .gradient, tensor.type, rank: tensor.rank,
      count: tensor.count, units: units, time: -1, watching: watching)
    let old = track.pointee
    if old.count != tensor.count || old.rank != tensor.rank || old.timed || old.units != units {
      subjects[index].set(
        try Track.make(
          .gradient, tensor.type, rank: tensor.rank, count: tensor.count, units: units,
          timed: false, watching: watching, heap))
    }
    return index
  }

  /// Elements of a vector whose elements are watched one by one.
  static var mostUnits: Int { 65_536 }
}
