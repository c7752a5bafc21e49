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
  /// Reads a checkpoint of one file.
  public func load(
    _ path: UnsafePointer<CChar>, _ how: LoadOptions,
    tell: (Document) throws(RavineError) -> Void = { (_) throws(RavineError) in }
  ) throws(RavineError) {
    try load([path], how, tell: tell)
  }

  /// Reads a checkpoint, of one file or of several that ranks wrote. Nothing of the handle changes
  /// before all was read and checked.
  /// `tell` gets what was missing, extra or different, a line each, also where that is an error.
  public func load(
    _ paths: [UnsafePointer<CChar>], _ how: LoadOptions,
    tell: (Document) throws(RavineError) -> Void
  ) throws(RavineError) {
    try checkClosed()
    var path = paths[0]
    do throws(RavineError) {
      try preparing { () throws(RavineError) in
        var files: [CheckpointFile] = []
        for next in paths {
          path = next
          files.append(try read(next, with: files.first))
        }
        path = paths[0]
        try preparedLoad(files, how, tell)
      }
    } catch {
      if error.status != RVN_ERR_FORMAT { throw error }
      throw .format("'\(pathText(path))': \(error.message)")
    }
  }

  /// One file, of the same save as another.
  private func read(_ path: UnsafePointer<CChar>, with other: CheckpointFile?) throws(RavineError)
    -> CheckpointFile
  {
    let file = try CheckpointFile.read(path, options.allocator)
    guard let format = file.value("format"), format == "ravine" else {
      throw .format("the file is a safetensors file, but not a checkpoint of Ravine")
    }
    guard let version = file.value("version"), version == "1" else {
      throw .format(
        "the checkpoint has version '\(file.value("version") ?? "?")'; this library reads version 1"
      )
    }
    if let other, let key = file.difference(from: other) ?? other.difference(from: file) {
      throw .mismatch(
        "'\(pathText(path))' is not of the same save as the first file: '\(key)' is '\(file.value(key) ?? "")', there '\(other.value(key) ?? "")'"
      )
    }
    return file
  }

  private func preparedLoad(
    _ files: [CheckpointFile], _ how: LoadOptions,
    _ tell: (Document) throws(RavineError) -> Void
  ) throws(RavineError) {
    let file = files[0]
    let counters = try counters(file)
    let moved = try file.counter("perturbed") ?? 0 > 0
    let items = try self.items(file.heap)
    for file in files { try readShards(file, items.table.count) }
    let taken = try file.heap.zeros(Bool.self, items.table.count)
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
      let difference = try match(i, item, files)
      if item.tensor >= 0 {
        if item.slot >= 0, foreign[item.tensor] { continue }
        // A tensor's counter belongs to its state, and goes with it.
        let stateless = try slotNames(item.tensor).isEmpty
        if difference != nil, item.slot >= 0 || stateless {
          counters.taken[item.tensor] = false
        }
        if difference == nil, counters.tensors[item.tensor] == .max {
          throw .format("the checkpoint has no step count for '\(tensors[item.tensor].text)'")
        }
      }
      guard wanted(item.tensor >= 0 && item.slot < 0, how) else { continue }
      taken[i] = difference == nil
      if let difference { try note(difference) }
    }
    for file in files {
      let before = report.count
      for i in 0..<file.records.count where !file.records[i].used {
        let name = file.name(i)
        let state =
          name.starts(with: "state/") || name.starts(with: "number/")
        if wanted(!state, how) { try note("extra \(name)") }
      }
      if report.count > before { break }
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
    for i in 0..<items.table.count where taken[i] {
      for file in files { copy(i, items.table[i], file) }
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

  private func wanted(_ parameters: Bool, _ how: LoadOptions) -> Bool {
    parameters ? how.params : how.state
  }

  private func moreLines(_ report: Document, _ first: Text) throws(RavineError) -> Text {
    var lines = 0
    for i in 0..<report.count where report.start.unsafelyUnwrapped[i] == 10 { lines += 1 }
    return lines > 1 ? ", and \(lines - 1) more differences" : Text()
  }
}
