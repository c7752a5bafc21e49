import CRavine
import CShims

/// How to load: all, or what fits; parameters, state, or both.
public struct LoadOptions {
  public var partial = false
  public var params = true
  public var state = true
  public init() {}
  public init(partial: Bool, params: Bool, state: Bool) {
    self.partial = partial
    self.params = params
    self.state = state
  }
}

extension Optimizer {
  /// Reads a checkpoint. Nothing of the handle changes before the whole file was read and checked.
  /// `tell` gets what was missing, extra or different, a line each, also where that is an error.
  public func load(
    _ path: UnsafePointer<CChar>, _ how: LoadOptions,
    tell: (Document) throws(RavineError) -> Void = { (_) throws(RavineError) in }
  ) throws(RavineError) {
    try checkClosed()
    do throws(RavineError) {
      try preparing { () throws(RavineError) in try preparedLoad(path, how, tell) }
    } catch {
      if error.status != RVN_ERR_FORMAT { throw error }
      throw .format("'\(pathText(path))': \(error.message)")
    }
  }

  private func preparedLoad(
    _ path: UnsafePointer<CChar>, _ how: LoadOptions,
    _ tell: (Document) throws(RavineError) -> Void
  ) throws(RavineError) {
    let file = try CheckpointFile.read(path, options.allocator)
    guard let format = file.value("format"), format == "ravine" else {
      throw .format("the file is a safetensors file, but not a checkpoint of Ravine")
    }
    guard let version = file.value("version"), version == "1" else {
      throw .format(
        "the checkpoint has version '\(file.value("version") ?? "?")'; this library reads version 1"
      )
    }
    let counters = try counters(file)
    let moved = try file.counter("perturbed") ?? 0 > 0
    let items = try self.items(file.heap)
    let sources = try file.heap.allocate(Int.self, items.table.count)
    let report = Document(options.allocator)
    var first: Text?
    func note(_ difference: Text) throws(RavineError) {
      if first == nil { first = difference }
      try report.append("\(difference)\n")
    }
    let foreign = try file.heap.allocate(Bool.self, tensors.count)
    foreign.initialize(repeating: false, count: tensors.count)
    for i in 0..<tensors.count where how.state && !tensors[i].removed {
      // State means something to its own rule only, whatever its slots are called.
      let own = try ruleName(i), other = file.value("rule/\(tensors[i].text)") ?? own
      if other == own || own == "frozen" { continue }
      counters.taken[i] = false
      foreign[i] = true
      try note("different state/\(tensors[i].text): file \(other), here \(own)")
    }
    for i in 0..<items.table.count {
      let item = items.table[i]
      if item.tensor < 0 {
        let (source, difference) = try match(item, file)
        sources[i] = how.state ? source : -1
        if source < 0, how.state { try note(difference) }
        continue
      }
      if item.slot >= 0, foreign[item.tensor] {
        sources[i] = -1
        if let k = file.keys.find(try key(item)) { file.records[k].used = true }
        continue
      }
      let (source, difference) = try match(item, file)
      sources[i] = wanted(item.slot < 0, how) ? source : -1
      // A tensor's counter belongs to its state, and goes with it.
      let stateless = try slotNames(item.tensor).isEmpty
      if source < 0, item.slot >= 0 || stateless {
        counters.taken[item.tensor] = false
      }
      if source >= 0, counters.tensors[item.tensor] == .max {
        throw .format("the checkpoint has no step count for '\(tensors[item.tensor].text)'")
      }
      if source < 0, wanted(item.slot < 0, how) { try note(difference) }
    }
    for i in 0..<file.records.count where !file.records[i].used {
      let name = file.name(i)
      let state =
        name.starts(with: "state/") || name.starts(with: "number/")
      if wanted(!state, how) { try note("extra \(name)") }
    }
    let reactions =
      try how.state
      ? savedReactions(file) { (line) throws(RavineError) in try report.append("\(line)\n") } : []
    try tell(report)
    if !how.partial, let first {
      throw .mismatch(
        "the checkpoint is of another optimizer: \(first)\(try moreLines(report, first))")
    }
    try checkMemory()
    try restore()
    for i in 0..<items.table.count where sources[i] >= 0 {
      let item = items.table[i]
      if item.bytes > 0, let memory = item.memory {
        memcpy(memory, file.data.unsafelyUnwrapped + file.records[sources[i]].begin, item.bytes)
      }
    }
    // A file from between two calls goes on there if all of it was taken.
    perturbed = moved && plan?.perturber != nil && how.params && how.state && first == nil
    if how.state {
      adopt(counters, file)
      adopt(reactions)
    }
    if how.params, how.state { poisoned = false }
  }

  private struct Counters {
    var step: UInt64
    var skips, accumulated: UInt64
    /// The largest number: not in the file.
    var tensors: UnsafeMutablePointer<UInt64>
    var taken: UnsafeMutablePointer<Bool>
    /// Gradients that were accumulated of each tensor, and estimates of its curvature.
    var pending, curved: UnsafeMutablePointer<UInt64>
  }

  private func counters(_ file: CheckpointFile) throws(RavineError) -> Counters {
    guard let step = try file.counter("step"), let skips = try file.counter("skips") else {
      throw .format("the checkpoint has no step count")
    }
    let accumulated = try file.counter("accumulated") ?? 0
    let own = try file.heap.allocate(UInt64.self, tensors.count)
    let pending = try file.heap.allocate(UInt64.self, tensors.count)
    let curved = try file.heap.allocate(UInt64.self, tensors.count)
    for i in 0..<tensors.count {
      pending[i] = try file.counter("accumulated/\(tensors[i].text)") ?? 0
      curved[i] = try file.counter("curved/\(tensors[i].text)") ?? 0
      own[i] = try file.counter("step/\(tensors[i].text)") ?? .max
      try checkMemory()
    }
    let taken = try file.heap.allocate(Bool.self, tensors.count)
    for i in 0..<tensors.count { taken[i] = !tensors[i].removed }
    return Counters(
      step: step, skips: skips, accumulated: accumulated, tensors: own, taken: taken,
      pending: pending, curved: curved)
  }

  private func adopt(_ counters: Counters, _ file: CheckpointFile) {
    step = counters.step
    skips = Double(counters.skips)
    accumulated = plan?.accumulator == nil ? 0 : counters.accumulated
    for i in 0..<tensors.count {
      tensors[i].accumulated = accumulated == 0 || !counters.taken[i] ? 0 : counters.pending[i]
      if counters.taken[i] {
        (tensors[i].t, tensors[i].curved) = (counters.tensors[i], counters.curved[i])
      }
    }
  }

  /// The record for an array of the handle: its number, or -1 and what is wrong.
  private func match(_ item: Item, _ file: CheckpointFile) throws(RavineError) -> (Int, Text) {
    let key = try key(item)
    try checkMemory()
    guard let i = file.keys.find(key) else { return (-1, "missing \(key)") }
    file.records[i].used = true
    let r = file.records[i]
    let tensor = item.tensor < 0 ? nil : tensors[item.tensor]
    let codes = item.type == ElementType.byte, rank = codes ? 1 : tensor?.rank ?? 0
    var same = r.type == item.type && r.rank == rank
    if codes {
      same = same && r.length(0) == item.bytes
    } else if let tensor {
      let summed = summed(item)
      for k in 0..<rank where same {
        same = r.length(k) == (k == summed ? 1 : Int(tensor.shape[k]))
      }
    }
    if same { return (i, Text()) }
    let shape = withUnsafeBytes(of: r.shape) { bytes in
      shapeText(
        bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Int64.self), r.rank)
    }
    let type = ElementType.name(r.type), own = ElementType.name(item.type)
    return (
      -1,
      "different \(key): file \(type) \(shape), here \(own) \(lengths(of: item))"
    )
  }

  private func wanted(_ parameters: Bool, _ how: LoadOptions) -> Bool {
    parameters ? how.params : how.state
  }

  private func moreLines(_ report: Document, _ first: Text) throws(RavineError) -> Text {
    var lines = 0
    for i in 0..<report.count where report.start.unsafelyUnwrapped[i] == 10 { lines += 1 }
    return lines > 1 ? ", and \(lines - 1) more differences" : Text()
  }
}
