import CRavine
import CShims
import Kernels

/// The pass that makes the update.
extension Piece {
  /// Whether the rule can read and write the caller's memory as it lies, with scalar factors only.
  var isDirect: Bool {
    work.pointee.before == work.pointee.stageCount && !work.pointee.transforming
      && !group.pointee.matrix
      && tensor.pointee.gradType == tensor.pointee.laneType
      && tensor.pointee.type == tensor.pointee.gradType && tensor.pointee.origin == nil
      && !tensor.pointee.packed
  }

  /// Block by block, or several at once where memory is used as it lies.
  @_optimize(speed)
  func update(_ first: Int, _ blocks: Int) {
    var first = first, blocks = blocks
    countBytes(gradient: blocks, first)
    countBytes(parameters: blocks, first, times: 2)
    if isDirect {
      let end = min((first + blocks) * RAVINE_BLOCK, tensor.pointee.count)
      let whole = end % 16 == 0 ? blocks : blocks - 1
      let n = min(end, (first + whole) * RAVINE_BLOCK) - first * RAVINE_BLOCK
      if n > 0 {
        let offset = first * RAVINE_BLOCK * tensor.pointee.lane
        let p = tensor.pointee.data.unsafelyUnwrapped + offset
        call(
          first, n, UnsafeRawPointer(p), p, tensor.pointee.grad.unsafelyUnwrapped + offset,
          factor(upTo: work.pointee.before), reportSums(first))
        if work.pointee.prepared > 0 { prepareNorms(first, whole) }
      }
      first += whole
      blocks -= whole
    }
    for block in first..<first + blocks { updateBlock(block) }
  }

  /// Squares of the gradient as it came become those of its true size.
  func prepareNorms(_ first: Int, _ blocks: Int) {
    guard let sums = reportSums(first) else { return }
    let f = factor(upTo: work.pointee.prepared)
    for b in 0..<blocks { sums[2 * b] *= f * f }
  }

  func updateBlock(_ block: Int) {
    let n = length(block), padded = (n + 15) & ~15
    let sums = reportSums(block)
    var raw = 0.0
    if sums != nil, work.pointee.transforming {
      let (g, factor) = gradient(block, upTo: work.pointee.prepared)
      work.pointee.kernels.measure[wide].unsafelyUnwrapped(g, 1, padded, &raw)
      raw *= factor * factor
    }
    let (g, factor) = gradient(block, upTo: work.pointee.before)
    lookBehind(block, g, factor)
    let data = tensor.pointee.data.unsafelyUnwrapped
    let p = parameters(block)
    let size = ElementType.size(tensor.pointee.type).unsafelyUnwrapped
    let place = data + block * RAVINE_BLOCK * size
    let follows = work.pointee.before < work.pointee.stageCount
    let old = keep(p, block)
    let new = follows ? scratch.new : p == UnsafeRawPointer(place) ? place : scratch.p
    call(block, n, p, new, g, factor, sums)
    if follows { follow(upTo: work.pointee.stageCount, block, n, p, new, g, factor, sums) }
    if let sums, work.pointee.transforming {
      sums[0] = raw
    } else if work.pointee.prepared > 0 {
      prepareNorms(block, 1)
    }
    if new != place { store(new, block) }
    if let old { inspect(block, old, new) }
  }

  /// Puts a block of new parameters where they belong.
  func store(_ new: UnsafeMutableRawPointer, _ block: Int) {
    let n = length(block), padded = (n + 15) & ~15
    let size = ElementType.size(tensor.pointee.type).unsafelyUnwrapped
    let place = tensor.pointee.data.unsafelyUnwrapped + block * RAVINE_BLOCK * size
    if size == tensor.pointee.lane {
      memcpy(place, new, n * size)
    } else {
      let out = n == padded ? place : scratch.raw
      store(new, out, block)
      if n != padded { memcpy(place, out, n * size) }
    }
  }

  /// The stages behind the rule and before `end`, one after the other, on new parameters in scratch.
  func follow(
    upTo end: Int, _ block: Int, _ n: Int, _ p: UnsafeRawPointer, _ new: UnsafeMutableRawPointer,
    _ g: UnsafeRawPointer, _ factor: Double, _ sums: UnsafeMutablePointer<Double>?
  ) {
    for k in work.pointee.before..<end where k != work.pointee.storingStage {
      follow(k, block, n, p, new, g, factor, sums)
    }
  }

  /// Stage k behind the rule.
  func follow(
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
    if let host = stage.host {
      follow(host, block, call)
    } else {
      work.pointee.kernels.update[2 * stage.row + wide].unsafelyUnwrapped(&call)
    }
    if tensor.pointee.packed { putBack(block, n, slot, stage.slots) }
  }

  @_optimize(speed)
  func call(
    _ block: Int, _ n: Int, _ p: UnsafeRawPointer, _ out: UnsafeMutableRawPointer?,
    _ g: UnsafeRawPointer, _ factor: Double, _ sums: UnsafeMutablePointer<Double>?
  ) {
    var call =
      group.pointee.matrix
      ? self.call(block, n, 0, 0, p, out, product(block), 1, sums)
      : self.call(block, n, 0, group.pointee.lanes, p, out, g, factor, sums)
    if let host = group.pointee.host {
      apply(host, block, call)
    } else {
      work.pointee.kernels.rule[2 * group.pointee.rule + wide].unsafelyUnwrapped(&call)
    }
    if tensor.pointee.packed { putBack(block, n, 0, group.pointee.lanes) }
  }

  /// A call from block `block` on, with `count` slots from `slot` on, and the rule's scalars.
  @_optimize(speed)
  func call(
    _ block: Int, _ n: Int, _ slot: Int, _ count: Int, _ p: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer?, _ g: UnsafeRawPointer, _ factor: Double,
    _ sums: UnsafeMutablePointer<Double>?
  ) -> ravine_rule_call {
    let offset = block * RAVINE_BLOCK * tensor.pointee.lane
    let stores = work.pointee.phase.kind.writes
    let inPlace = stores || out == nil
    for k in 0..<count {
      let array = tensor.pointee.slots.unsafelyUnwrapped[slot + k]
      scratch.masks[k] = array != nil || isFactored(slot + k) ? -1 : 0
      if scratch.masks[k] == 0 {
        scratch.arrays[k] = scratch.dummy
      } else if isPacked(slot + k) {
        unpack(slot + k, block, n, scratch.copy(k))
        scratch.arrays[k] = scratch.copy(k)
      } else if let array {
        scratch.arrays[k] = array + offset
        countBytes(n * tensor.pointee.lane * (stores ? 2 : 1))
        if inPlace { continue }
        memcpy(scratch.copy(k), array + offset, ((n + 15) & ~15) * tensor.pointee.lane)
        scratch.arrays[k] = scratch.copy(k)
      }
    }
    return ravine_rule_call(
      constants: tensor.pointee.constants, p: p, out: out, g: g, factor: factor,
      state: scratch.arrays, masks: scratch.masks, count: (n + 15) & ~15,
      ahead: tensor.pointee.count > RAVINE_BLOCK ? Int(RAVINE_AHEAD) : 0, valid: n, sums: sums,
      measuring: 0, sizes: sums == nil ? nil : sizes(block),
      updates: sums == nil ? nil : scratch.told)
  }
}
