import CRavine
import CShims
import Kernels

/// Everything in the caller's thread, whose floating-point mode is in order.
func runAlone(_ work: UnsafePointer<Work>) {
  let scratch = Scratch(work, 0)
  for task in 0..<work.pointee.taskCount { run(work, work.pointee.tasks[task], scratch) }
}

/// A worker: takes tasks until there are none.
func runWorker(_ work: UnsafeMutablePointer<Work>, _ worker: Int) {
  let mode = ravine_default_mode()
  let scratch = Scratch(UnsafePointer(work), worker)
  while true {
    let task = ravine_next(&work.pointee.next)
    if task >= work.pointee.taskCount { break }
    run(UnsafePointer(work), work.pointee.tasks[task], scratch)
  }
  ravine_restore_mode(mode)
  _ = ravine_next(&work.pointee.finished)
}

private func run(_ work: UnsafePointer<Work>, _ task: TaskWork, _ scratch: Scratch) {
  var index = task.tensor, first = task.first, rest = task.blocks
  while rest > 0 {
    let tensor = work.pointee.tensors + index
    if index + 2 < work.pointee.tensorCount { prefetch(tensor + 2, work) }
    let blocks = min(rest, tensor.pointee.blocks - first)
    if blocks > 0, tensor.pointee.grad != nil {
      if let rows = work.pointee.rows {
        rows.pointee.run(tensor, first, blocks, work, scratch)
      } else {
        Piece(work: work, tensor: tensor, scratch: scratch).run(first, blocks)
      }
    }
    rest -= blocks
    first = 0
    index += 1
  }
}

/// Asks for the beginning of a tensor's arrays: what the hardware sees too late where tensors are small.
@inline(__always)
private func prefetch(_ tensor: UnsafePointer<Tensor>, _ work: UnsafePointer<Work>) {
  guard let grad = tensor.pointee.grad else { return }  // a frozen tensor has no slots either
  let bytes = min(tensor.pointee.count * tensor.pointee.lane, 256)
  let kind = work.pointee.phase.kind
  let gradientOnly = kind == .count || (kind == .measure && !work.pointee.phase.ruleMeasures)
  let slots = gradientOnly ? 0 : work.pointee.groups[tensor.pointee.group].slots
  var at = 0
  while at < bytes {
    ravine_prefetch(grad + at)
    if !gradientOnly, let data = tensor.pointee.data { ravine_prefetch(data + at) }
    for k in 0..<slots {
      if let array = tensor.pointee.slots.unsafelyUnwrapped[k] { ravine_prefetch(array + at) }
    }
    at += 64
  }
}

/// Some blocks of one tensor.
struct Piece {
  let work: UnsafePointer<Work>
  let tensor: UnsafePointer<Tensor>
  let scratch: Scratch
  let group: UnsafePointer<GroupWork>
  let wide: Int

  init(work: UnsafePointer<Work>, tensor: UnsafeMutablePointer<Tensor>, scratch: Scratch) {
    self.work = work
    self.tensor = UnsafePointer(tensor)
    self.scratch = scratch
    group = UnsafePointer(work.pointee.groups + tensor.pointee.group)
    wide = tensor.pointee.wide
  }

  func run(_ first: Int, _ blocks: Int) {
    switch work.pointee.phase.kind {
    case .count:
      countBytes(gradient: blocks, first)
      measure(Measurement.nonfinite.rawValue, 0, first, blocks, into: work.pointee.chainSums)
    case .measure:
      // In runs that stay in the cache: what is measured in one phase is read from memory once.
      var at = first
      while at < first + blocks {
        let run = min(Piece.cached, first + blocks - at)
        countBytes(gradient: run, at)
        measureAll(at, run)
        at += run
      }
    case .settle:
      countBytes(gradient: blocks, first)
      countBytes(parameters: blocks, first, times: 1)
      for block in first..<first + blocks { settle(block) }
    case .update:
      update(first, blocks)
    case .accumulate:
      countBytes(gradient: blocks, first)
      for block in first..<first + blocks { accumulate(block) }
    }
  }

  /// Blocks of Double that a second-level cache holds beside other things.
  private static let cached = 16

  private func measureAll(_ first: Int, _ blocks: Int) {
    for k in 0..<work.pointee.stageCount {
      let stage = work.pointee.stages[k]
      guard stage.phase == work.pointee.phase.number else { continue }
      if stage.units >= 0 {
        for block in first..<first + blocks { measureUnits(k, block) }
      }
      if stage.measurement >= 0 {
        let sums = work.pointee.chainSums + stage.column * work.pointee.blocks
        measure(stage.measurement, k, first, blocks, into: sums)
      }
    }
    if work.pointee.phase.ruleMeasures, group.pointee.measures > 0 {
      for block in first..<first + blocks { measureRule(block) }
    }
  }

  // MARK: gradients

  /// Whether the rule can read and write the caller's memory as it lies, with scalar factors only.
  private var direct: Bool {
    work.pointee.before == work.pointee.stageCount && !work.pointee.transforming
      && tensor.pointee.gradType == (wide == 1 ? RVN_F64 : RVN_F32)
      && tensor.pointee.type == tensor.pointee.gradType
  }

  private func length(_ block: Int) -> Int {
    min(RAVINE_BLOCK, tensor.pointee.count - block * RAVINE_BLOCK)
  }

  /// A block of the caller's memory as whole groups of lanes of the arithmetic: where it lies, or
  /// padded and converted in scratch.
  private func lanes(
    _ base: UnsafeRawPointer, _ type: Int32, _ block: Int, _ target: UnsafeMutableRawPointer
  ) -> UnsafeRawPointer {
    let size = ElementType.size(type).unsafelyUnwrapped
    let n = length(block), padded = (n + 15) & ~15
    let source = base + block * RAVINE_BLOCK * size
    let same = type == (wide == 1 ? RVN_F64 : RVN_F32)
    if n == padded, same { return source }
    var from = source
    if n != padded {
      let copy = same ? target : scratch.raw
      memcpy(copy, source, n * size)
      memset(copy + n * size, 0, (padded - n) * size)
      from = UnsafeRawPointer(copy)
    }
    if !same {
      work.pointee.kernels.load[2 * Int(type) + wide].unsafelyUnwrapped(from, target, padded)
    }
    return UnsafeRawPointer(target)
  }

  /// The gradient of a block as stage `stage` receives it, and the factor still to be put on it.
  private func gradient(_ block: Int, upTo stage: Int) -> (UnsafeRawPointer, Double) {
    var p: UnsafeRawPointer?
    var g = lanes(tensor.pointee.grad.unsafelyUnwrapped, tensor.pointee.gradType, block, scratch.g)
    var factor = 1.0
    let padded = (length(block) + 15) & ~15
    for k in tensor.pointee.first..<max(stage, tensor.pointee.first) {
      let s = work.pointee.stages[k]
      if s.accumulates, let sum = tensor.pointee.sum {
        let offset = block * RAVINE_BLOCK * tensor.pointee.lane
        work.pointee.kernels.stage[2 * (work.pointee.scaleRow + 1) + wide].unsafelyUnwrapped(
          nil, g, sum + offset, factor, scratch.g, padded)
        g = UnsafeRawPointer(scratch.g)
        factor = 1
      }
      if s.scales { factor *= s.factor }
      if s.units >= 0 {
        g = changeUnits(k, block, g, factor)
        factor = 1
      } else if s.transforms {
        let constants = group.pointee.stageConstants + (2 * k + wide) * RAVINE_MAX_CONSTANTS
        if s.reads, p == nil {
          p = lanes(tensor.pointee.data.unsafelyUnwrapped, tensor.pointee.type, block, scratch.p)
        }
        work.pointee.kernels.stage[2 * s.row + wide].unsafelyUnwrapped(
          constants, g, p ?? g, factor, scratch.g, padded)
        g = UnsafeRawPointer(scratch.g)
        factor = 1
      }
    }
    return (g, factor)
  }

  /// Measures blocks of the gradient as stage `stage` receives it.
  private func measure(
    _ measurement: Int32, _ stage: Int, _ first: Int, _ blocks: Int,
    into sums: UnsafeMutablePointer<Double>
  ) {
    let kernel = work.pointee.kernels.measure[2 * Int(measurement) + wide].unsafelyUnwrapped
    let out = sums + tensor.pointee.firstBlock
    var block = first
    if unchanged(before: stage), tensor.pointee.gradType == (wide == 1 ? RVN_F64 : RVN_F32) {
      let whole = min(blocks, tensor.pointee.count / RAVINE_BLOCK - first)
      if whole > 0 {
        let start =
          tensor.pointee.grad.unsafelyUnwrapped + first * RAVINE_BLOCK * tensor.pointee.lane
        kernel(start, whole, RAVINE_BLOCK, out + first)
        block += whole
      }
    }
    while block < first + blocks {
      var (g, factor) = gradient(block, upTo: stage)
      let padded = (length(block) + 15) & ~15
      if factor != 1 { g = scaled(g, factor, block) }
      kernel(g, 1, padded, out + block)
      block += 1
    }
  }

  // MARK: units

  private func units(_ k: Int) -> UnsafeMutablePointer<UnitWork> {
    let place = work.pointee.stages[k].units * work.pointee.tensorCount
    return work.pointee.units + place + (tensor - UnsafePointer(work.pointee.tensors))
  }

  /// Measures a block for stage k, which changes the gradient by unit.
  private func measureUnits(_ k: Int, _ block: Int) {
    let units = self.units(k)
    guard units.pointee.units > 0 else { return }
    var (g, factor) = gradient(block, upTo: k)
    if g != UnsafeRawPointer(scratch.g) || factor != 1 { g = scaled(g, factor, block) }
    let p = lanes(tensor.pointee.data.unsafelyUnwrapped, tensor.pointee.type, block, scratch.p)
    let size = length(block) * tensor.pointee.lane
    if p != UnsafeRawPointer(scratch.p) { memcpy(scratch.p, p, size) }
    countBytes(parameters: 1, block, times: 1)
    var call = units.pointee.call(tensor.pointee, block)
    call.x = g
    call.p = UnsafeRawPointer(scratch.p)
    let row = units.pointee.byColumn ? 1 : 0
    work.pointee.kernels.unit[2 * row + wide].unsafelyUnwrapped(&call)
  }

  /// The gradient of a block as stage k leaves it.
  private func changeUnits(_ k: Int, _ block: Int, _ g: UnsafeRawPointer, _ factor: Double)
    -> UnsafeRawPointer
  {
    let units = self.units(k), scaled = scaled(g, factor, block)
    guard units.pointee.units > 0 else { return scaled }
    var call = units.pointee.call(tensor.pointee, block)
    call.x = scaled
    call.out = scratch.g
    let row = units.pointee.byColumn ? 3 : 2
    work.pointee.kernels.unit[2 * row + wide].unsafelyUnwrapped(&call)
    return scaled
  }

  /// A block times a factor, in scratch.
  private func scaled(_ g: UnsafeRawPointer, _ factor: Double, _ block: Int) -> UnsafeRawPointer {
    work.pointee.kernels.stage[2 * work.pointee.scaleRow + wide].unsafelyUnwrapped(
      nil, g, nil, factor, scratch.g, (length(block) + 15) & ~15)
    return UnsafeRawPointer(scratch.g)
  }

  private func unchanged(before stage: Int) -> Bool {
    for k in tensor.pointee.first..<max(stage, tensor.pointee.first)
    where work.pointee.stages[k].transforms || work.pointee.stages[k].scales {
      return false
    }
    return true
  }

  /// Adds a gradient to what was accumulated; the first of a window takes its place.
  private func accumulate(_ block: Int) {
    let k = work.pointee.phase.stage, padded = (length(block) + 15) & ~15
    if let sums = reportSums(block) {
      let (g, factor) = gradient(block, upTo: min(k, work.pointee.prepared))
      work.pointee.kernels.measure[wide].unsafelyUnwrapped(g, 1, padded, sums)
      sums[0] *= factor * factor
      sums[1] = 0
    }
    let (g, factor) = gradient(block, upTo: k)
    let slot = group.pointee.slots + work.pointee.stages[k].slot
    guard let sum = tensor.pointee.slots.unsafelyUnwrapped[slot] else { return }
    let place = sum + block * RAVINE_BLOCK * tensor.pointee.lane
    let row = work.pointee.scaleRow + (tensor.pointee.accumulated == 0 ? 0 : 1)
    work.pointee.kernels.stage[2 * row + wide].unsafelyUnwrapped(
      nil, g, place, factor, place, padded)
    countBytes(length(block) * tensor.pointee.lane * (tensor.pointee.accumulated == 0 ? 1 : 2))
  }

  // MARK: rules

  private func measureRule(_ block: Int) {
    let (g, factor) = gradient(block, upTo: work.pointee.before)
    let p = lanes(tensor.pointee.data.unsafelyUnwrapped, tensor.pointee.type, block, scratch.p)
    countBytes(parameters: 1, block, times: 1)
    let sums =
      work.pointee.ruleSums + (tensor.pointee.firstBlock + block) * Int(RAVINE_MAX_MEASURES)
    var call = self.call(block, length(block), 0, group.pointee.slots, p, nil, g, factor, sums)
    call.measuring = 1
    work.pointee.kernels.rule[2 * group.pointee.rule + wide].unsafelyUnwrapped(&call)
  }

  /// Measures an update that is made in scratch, on copies of the state, and not stored.
  private func settle(_ block: Int) {
    let stage = work.pointee.phase.stage
    let (g, factor) = gradient(block, upTo: work.pointee.before)
    let p = lanes(tensor.pointee.data.unsafelyUnwrapped, tensor.pointee.type, block, scratch.p)
    let sums =
      work.pointee.ruleSums + (tensor.pointee.firstBlock + block) * Int(RAVINE_MAX_MEASURES)
    call(block, length(block), p, scratch.new, g, factor, nil)
    follow(upTo: stage, block, length(block), p, scratch.new, g, factor, nil)
    follow(stage, block, length(block), p, scratch.new, g, factor, sums, measuring: true)
  }

  /// Block by block, or several at once where memory is used as it lies.
  private func update(_ first: Int, _ blocks: Int) {
    var first = first, blocks = blocks
    countBytes(gradient: blocks, first)
    countBytes(parameters: blocks, first, times: 2)
    if direct {
      let end = min((first + blocks) * RAVINE_BLOCK, tensor.pointee.count)
      let whole = end % 16 == 0 ? blocks : blocks - 1
      let n = min(end, (first + whole) * RAVINE_BLOCK) - first * RAVINE_BLOCK
      if n > 0 {
        let offset = first * RAVINE_BLOCK * tensor.pointee.lane
        let p = tensor.pointee.data.unsafelyUnwrapped + offset
        call(
          first, n, UnsafeRawPointer(p), p, tensor.pointee.grad.unsafelyUnwrapped + offset,
          factor(upTo: work.pointee.before), reportSums(first))
        prepareNorms(first, whole)
      }
      first += whole
      blocks -= whole
    }
    for block in first..<first + blocks { updateBlock(block) }
  }

  /// The scalar factors of the stages before `end`.
  private func factor(upTo end: Int) -> Double {
    var factor = 1.0
    for k in tensor.pointee.first..<max(end, tensor.pointee.first)
    where work.pointee.stages[k].scales {
      factor *= work.pointee.stages[k].factor
    }
    return factor
  }

  /// Squares of the gradient as it came become those of its true size.
  private func prepareNorms(_ first: Int, _ blocks: Int) {
    guard work.pointee.prepared > 0, let sums = reportSums(first) else { return }
    let f = factor(upTo: work.pointee.prepared)
    for b in 0..<blocks { sums[2 * b] *= f * f }
  }

  private func reportSums(_ block: Int) -> UnsafeMutablePointer<Double>? {
    guard work.pointee.reporting else { return nil }
    return work.pointee.reportSums + 2 * (tensor.pointee.firstBlock + block)
  }

  private func updateBlock(_ block: Int) {
    let n = length(block), padded = (n + 15) & ~15
    let sums = reportSums(block)
    var raw = 0.0
    if sums != nil, work.pointee.transforming {
      let (g, factor) = gradient(block, upTo: work.pointee.prepared)
      work.pointee.kernels.measure[wide].unsafelyUnwrapped(g, 1, padded, &raw)
      raw *= factor * factor
    }
    let (g, factor) = gradient(block, upTo: work.pointee.before)
    let data = tensor.pointee.data.unsafelyUnwrapped
    let p = lanes(data, tensor.pointee.type, block, scratch.p)
    let size = ElementType.size(tensor.pointee.type).unsafelyUnwrapped
    let place = data + block * RAVINE_BLOCK * size
    let follows = work.pointee.before < work.pointee.stageCount
    let new = follows ? scratch.new : p == UnsafeRawPointer(place) ? place : scratch.p
    call(block, n, p, new, g, factor, sums)
    if follows { follow(upTo: work.pointee.stageCount, block, n, p, new, g, factor, sums) }
    if let sums, work.pointee.transforming { sums[0] = raw } else { prepareNorms(block, 1) }
    if new == place { return }
    if size == tensor.pointee.lane {
      memcpy(place, new, n * size)
    } else {
      let out = n == padded ? place : scratch.raw
      work.pointee.kernels.store[2 * Int(tensor.pointee.type) + wide].unsafelyUnwrapped(
        new, out, padded)
      if n != padded { memcpy(place, out, n * size) }
    }
  }

  /// The stages behind the rule and before `end`, one after the other, on new parameters in scratch.
  private func follow(
    upTo end: Int, _ block: Int, _ n: Int, _ p: UnsafeRawPointer, _ new: UnsafeMutableRawPointer,
    _ g: UnsafeRawPointer, _ factor: Double, _ sums: UnsafeMutablePointer<Double>?
  ) {
    for k in work.pointee.before..<end { follow(k, block, n, p, new, g, factor, sums) }
  }

  /// Stage k behind the rule.
  private func follow(
    _ k: Int, _ block: Int, _ n: Int, _ p: UnsafeRawPointer, _ new: UnsafeMutableRawPointer,
    _ g: UnsafeRawPointer, _ factor: Double, _ sums: UnsafeMutablePointer<Double>?,
    measuring: Bool = false
  ) {
    let stage = work.pointee.stages[k]
    let slot = group.pointee.slots + stage.slot
    var call = self.call(block, n, slot, stage.slots, p, new, g, factor, sums)
    call.constants = UnsafeRawPointer(
      tensor.pointee.constants.unsafelyUnwrapped
        + (1 + k - work.pointee.before) * RAVINE_MAX_CONSTANTS)
    call.measuring = measuring ? 1 : 0
    work.pointee.kernels.update[2 * stage.row + wide].unsafelyUnwrapped(&call)
  }

  private func call(
    _ block: Int, _ n: Int, _ p: UnsafeRawPointer, _ out: UnsafeMutableRawPointer?,
    _ g: UnsafeRawPointer, _ factor: Double, _ sums: UnsafeMutablePointer<Double>?
  ) {
    var call = self.call(block, n, 0, group.pointee.slots, p, out, g, factor, sums)
    work.pointee.kernels.rule[2 * group.pointee.rule + wide].unsafelyUnwrapped(&call)
  }

  /// A call from block `block` on, with `count` slots from `slot` on, and the rule's scalars.
  private func call(
    _ block: Int, _ n: Int, _ slot: Int, _ count: Int, _ p: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer?, _ g: UnsafeRawPointer, _ factor: Double,
    _ sums: UnsafeMutablePointer<Double>?
  ) -> ravine_rule_call {
    let offset = block * RAVINE_BLOCK * tensor.pointee.lane
    let stores = work.pointee.phase.kind == .update
    for k in 0..<count {
      scratch.arrays[k] = scratch.dummy
      scratch.masks[k] = 0
      guard let array = tensor.pointee.slots.unsafelyUnwrapped[slot + k] else { continue }
      scratch.arrays[k] = array + offset
      scratch.masks[k] = -1
      countBytes(n * tensor.pointee.lane * (stores ? 2 : 1))
      if stores || out == nil { continue }
      memcpy(scratch.copy(k), array + offset, ((n + 15) & ~15) * tensor.pointee.lane)
      scratch.arrays[k] = scratch.copy(k)
    }
    return ravine_rule_call(
      constants: tensor.pointee.constants, p: p, out: out, g: g, factor: factor,
      state: scratch.arrays, masks: scratch.masks, count: (n + 15) & ~15,
      ahead: tensor.pointee.count > RAVINE_BLOCK ? RAVINE_BLOCK : 0, valid: n, sums: sums,
      measuring: 0)
  }

  // MARK: the counter of bytes that tests read

  @inline(__always)
  private func countBytes(gradient blocks: Int, _ first: Int) {
    #if COUNT_BYTES
    Ravine.countBytes(elements(first, blocks) * (ElementType.size(tensor.pointee.gradType) ?? 0))
    #endif
  }

  @inline(__always)
  private func countBytes(parameters blocks: Int, _ first: Int, times: Int) {
    #if COUNT_BYTES
    Ravine.countBytes(
      elements(first, blocks) * (ElementType.size(tensor.pointee.type) ?? 0) * times)
    #endif
  }

  @inline(__always)
  private func countBytes(_ n: Int) {
    #if COUNT_BYTES
    Ravine.countBytes(n)
    #endif
  }

  private func elements(_ first: Int, _ blocks: Int) -> Int {
    min((first + blocks) * RAVINE_BLOCK, tensor.pointee.count) - first * RAVINE_BLOCK
  }
}

#if COUNT_BYTES
nonisolated(unsafe) private var byteCount = 0

/// Bytes of the caller's arrays and of state that were read or written.
func countBytes(_ n: Int) { _ = ravine_add(&byteCount, n) }

func bytesMoved() -> Int { Int(ravine_load(&byteCount)) }
#endif
